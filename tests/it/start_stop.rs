//! `busbar start`, `stop` and `status`, and what signals do.

use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use busbar_testkit::process::{descendants, is_alive, kill, signal};
use busbar_testkit::zeromq::Receiver;
use busbar_testkit::{Answer, Backend, Connection, Database, Request, run, wait_until};
use serde_json::{Value, json};

use crate::imap::Dovecot;
use crate::kvdb::Stock;
use crate::smtp::Peer;
use crate::{OK, server};

const SLEEP: &str = "
import time
from zato.server.service import Service

class Sleep(Service):
    def handle(self):
        self.logger.info('sleeping')
        time.sleep(self.request.payload['seconds'])
        self.response.payload = 'slept'
";

#[test]
fn it_starts_in_the_background_and_names_its_address() {
    let mut server = server().service("ok.py", OK).prepare();
    let output = server.run("start", &[]).expect_code(0);
    server.read_address();
    let line = output.stdout.lines().next().unwrap();
    assert!(
        line.contains("ready") && line.contains(&server.address().to_string()),
        "{line}"
    );
    // ready means ready: the very first request is answered
    assert_eq!(server.get("/zato/ping").expect(200).json()["pong"], "zato");
    assert_eq!(server.invoke("ok.ok", "").expect(200).text(), r#"{"ok":true}"#);

    let pid = server.background_pid().unwrap();
    assert!(output.stdout.contains(&pid.to_string()), "{}", output.stdout);
    assert_eq!(server.status()["pid"], pid);
    let text = server.run("status", &[]).expect_code(0).stdout;
    assert!(text.contains(&server.address().to_string()), "{text}");

    let again = server.run("start", &[]).expect_code(9);
    assert!(again.stderr.contains("runs already"), "{}", again.stderr);

    let processes = descendants(pid);
    assert!(!processes.is_empty());
    server.run("stop", &[]).expect_code(0);
    for process in processes.into_iter().chain([pid]) {
        wait_until(&format!("process {process} to be gone"), || {
            (!is_alive(process)).then_some(())
        });
    }
    for command in ["stop", "status"] {
        let output = server.run(command, &[]).expect_code(10);
        assert!(output.stderr.contains("does not run"), "{}", output.stderr);
    }
}

#[test]
fn it_runs_from_any_working_directory() {
    let mut server = server().service("ok.py", OK).prepare();
    // a relative path, from a directory that is gone when the server runs
    let elsewhere = server.scratch().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    run(server.command("start").arg("../env/server1").current_dir(&elsewhere)).expect_code(0);
    fs::remove_dir(&elsewhere).unwrap();
    server.read_address();
    server.invoke("ok.ok", "").expect(200);
    server.deploy("later.py", &OK.replace("Ok(", "Later("));
    wait_until("the new service", || {
        (server.invoke("later.later", "").status == 200).then_some(())
    });
    run(server.command("stop").arg(server.directory()).current_dir("/")).expect_code(0);
}

#[test]
fn two_servers_do_not_disturb_each_other() {
    const KEYS: &str = "
from zato.server.service import Service

class Put(Service):
    def handle(self):
        self.kvdb.conn.set('whose', self.request.payload['whose'])

class Get(Service):
    def handle(self):
        self.response.payload = self.kvdb.conn.get('whose')
";
    let (one, mut two) = (
        server().service("keys.py", KEYS).start(),
        server().service("keys.py", KEYS).start(),
    );
    assert_ne!(one.address(), two.address());
    one.invoke("keys.put", r#"{"whose": "one"}"#).expect(200);
    two.invoke("keys.put", r#"{"whose": "two"}"#).expect(200);
    assert_eq!(one.invoke("keys.get", "").expect(200).text(), "one");
    assert_eq!(two.invoke("keys.get", "").expect(200).text(), "two");
    assert_eq!(two.stop().code(), Some(0));
    assert_eq!(one.invoke("keys.get", "").expect(200).text(), "one");
}

#[test]
fn sigterm_finishes_calls_in_flight_and_takes_no_new_ones() {
    let mut server = server()
        .service("sleep.py", SLEEP)
        .channel("/sleep", "sleep.sleep")
        .start();
    let processes = descendants(server.pid());
    let address = server.address();
    let mut idle = server.connect();
    let call = thread::spawn(move || {
        Connection::open(address)
            .unwrap()
            .send(&Request::new("POST", "/sleep").body(r#"{"seconds": 2}"#))
            .unwrap()
    });
    server.wait_log(&["sleeping"]);
    server.signal(libc::SIGTERM);
    wait_until("new connections to be refused", || {
        Connection::open(address).is_err().then_some(())
    });
    assert!(!call.is_finished(), "the call is still in flight");
    assert_eq!(call.join().unwrap().expect(200).text(), "slept");
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        idle.send(&Request::new("GET", "/zato/ping")).is_err(),
        "idle connections are closed"
    );
    for process in processes {
        wait_until(&format!("process {process} to be gone"), || {
            (!is_alive(process)).then_some(())
        });
    }
}

#[test]
fn calls_in_flight_have_a_limit_when_the_server_stops() {
    let mut server = server()
        .service("sleep.py", SLEEP)
        .channel("/sleep", "sleep.sleep")
        .config("[calls]\ndrain_secs = 1")
        .start();
    let address = server.address();
    let call = thread::spawn(move || {
        Connection::open(address)
            .unwrap()
            .send(&Request::new("POST", "/sleep").body(r#"{"seconds": 60}"#))
    });
    server.wait_log(&["sleeping"]);
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    // either is honest: no answer, or one that says that it was not finished
    if let Ok(response) = call.join().unwrap() {
        assert!(response.status >= 500, "{response:?}");
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut server = server()
        .service("sleep.py", SLEEP)
        .channel("/sleep", "sleep.sleep")
        .start();
    let processes = descendants(server.pid());
    let address = server.address();
    let call = thread::spawn(move || {
        Connection::open(address)
            .unwrap()
            .send(&Request::new("POST", "/sleep").body(r#"{"seconds": 60}"#))
    });
    server.wait_log(&["sleeping"]);
    server.signal(libc::SIGTERM);
    server.wait_log(&["stopping"]);
    let started = Instant::now();
    server.signal(libc::SIGTERM);
    server.wait();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    call.join().unwrap().ok();
    for process in processes {
        wait_until(&format!("process {process} to be gone"), || {
            (!is_alive(process)).then_some(())
        });
    }
}

#[test]
fn a_server_that_was_killed_takes_its_processes_along_and_starts_again() {
    let mut server = server().service("ok.py", OK).start();
    let processes = descendants(server.pid());
    assert!(processes.len() >= 2, "a worker and Redis: {processes:?}");
    kill_hub(&mut server);
    for process in processes {
        wait_until(&format!("process {process} to be gone"), || {
            (!is_alive(process)).then_some(())
        });
    }
    server.run("status", &[]).expect_code(10);
    server.start();
    server.invoke("ok.ok", "").expect(200);
}

fn kill_hub(server: &mut busbar_testkit::TestServer) {
    signal(server.pid(), libc::SIGKILL);
    server.wait();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let server = server().config(&format!("[http]\naddress = \"{address}\"")).prepare();
    let output = server.run("start", &[]).expect_code(18);
    assert!(output.stderr.contains(&address), "{}", output.stderr);
    assert_eq!(server.background_pid(), None);
}

#[test]
fn a_wrong_setting_is_named() {
    let server = server().config("[workers]\nthreads = 3").prepare();
    let output = server.run("start", &[]).expect_code(15);
    assert!(
        output.stderr.contains("threads") && output.stderr.contains("server.toml"),
        "{}",
        output.stderr
    );
}

#[test]
fn stop_now_does_not_wait() {
    let mut server = server().service("sleep.py", SLEEP).prepare();
    server.run("start", &[]).expect_code(0);
    server.read_address();
    let (address, password) = (server.address(), server.password().to_owned());
    let request = Request::new("POST", "/zato/api/invoke/sleep.sleep")
        .basic("pubapi", &password)
        .body(r#"{"seconds": 60}"#);
    let call = thread::spawn(move || Connection::open(address).unwrap().send(&request));
    server.wait_log(&["sleeping"]);
    let started = Instant::now();
    server.run("stop", &["--now"]).expect_code(0);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    call.join().unwrap().ok();
}

#[test]
fn status_says_what_a_script_needs() {
    let server = server().workers(2).service("ok.py", OK).start();
    let status = server.status();
    assert_eq!(status["name"], "server1");
    assert_eq!(status["address"], format!("http://{}", server.address()));
    assert_eq!(status["pid"], server.pid());
    assert_eq!(status["workers"].as_array().unwrap().len(), 2, "{status:#}");
    assert!(status["services"].as_u64().unwrap() >= 1, "{status:#}");
    let pids = server.worker_pids();
    assert_eq!(pids.len(), 2);
    // the number that is shown is the one that can be killed
    kill(pids[0]);
    wait_until("the worker to be replaced", || {
        let now = server.worker_pids();
        (now.len() == 2 && !now.contains(&pids[0])).then_some(())
    });
    assert!(server.worker_pids().contains(&pids[1]));
}

#[test]
fn of_two_starts_at_once_one_wins() {
    let mut server = server().service("ok.py", OK).prepare();
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let mut command = server.command("start");
            command.arg(server.directory());
            thread::spawn(move || run(&mut command))
        })
        .collect();
    let codes: Vec<_> = starts.into_iter().map(|start| start.join().unwrap().code).collect();
    assert_eq!(
        codes.iter().filter(|code| matches!(code, 9 | 18)).count(),
        2,
        "{codes:?}"
    );
    assert!(codes.contains(&0), "{codes:?}");
    server.read_address();
    server.invoke("ok.ok", "").expect(200);
    server.run("stop", &[]).expect_code(0);
}

#[test]
fn what_the_config_names_and_is_not_there_is_named_in_the_error() {
    for (config, expected) in [
        ("[python]\nvenv = \"/no/such/venv\"", "/no/such/venv"),
        ("[redis]\nexecutable = \"/no/such/redis\"", "/no/such/redis"),
        ("[log]\nlevel = \"loud\"", "loud"),
        ("[http]\naddress = \"nowhere\"", "nowhere"),
        ("[redis]\nurl = \"http://x\"", "URL of Redis"),
    ] {
        let server = server().config(config).prepare();
        let output = server.run("start", &[]);
        assert_ne!(output.code, 0, "{config}: {}", output.stdout);
        assert!(output.stderr.contains(expected), "{config}: {}", output.stderr);
        assert_eq!(server.background_pid(), None);
    }
}

#[test]
fn a_server_starts_beside_what_a_crash_left_behind() {
    let mut server = server().service("ok.py", OK).start();
    // as after a crash of the machine
    signal(server.redis_pid(), libc::SIGSTOP);
    kill_hub(&mut server);
    fs::write(server.directory().join("work/pid"), "1").unwrap();
    server.start();
    server.invoke("ok.ok", "").expect(200);
    assert_eq!(server.stop().code(), Some(0));
}

const USES_ALL: &str = "
from contextlib import closing
from busbar import sql
from zato.common.api import SMTPMessage
from zato.server.service import Service

class UseAll(Service):
    def handle(self):
        assert self.outgoing.plain_http['Http'].conn.get(self.cid).status_code == 200
        assert self.email.smtp.get('Smtp').conn.send(SMTPMessage('me@example.com', 'a@example.com', 's', 'b'))
        assert list(self.email.imap.get('Imap').conn.get()) == []
        assert self.email.imap.get('Imap').conn.ping() is not False
        for name in 'Postgres', 'Maria', 'Sqlite':
            with closing(sql.connect(name, service=self)) as connection:
                assert connection.execute('SELECT 1').fetchall()
        self.kvdb.conn.set('a', 'b')
        assert self.kvdb.conn.get('a')
        assert self.outgoing.redis['Stock'].conn.ping()
        self.outgoing.zmq.send('a', 'Zmq')
        self.response.payload = 'used'
";

#[test]
fn a_stop_lets_go_of_every_connection_without_a_panic() {
    let home = tempfile::tempdir().unwrap();
    let smtp = Peer::start(&home.path().join("messages"));
    let dovecot = Dovecot::start();
    let backend = Backend::always(Answer::json(&json!({})));
    let redis = Stock::start();
    let pull = Receiver::pull();
    let sql = |name: &str, more: Value| {
        let mut object = json!({"name": name, "host": "127.0.0.1", "db_name": "test", "password": "", "pool_size": 2});
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        object
    };
    let objects = json!({
        "outgoing_rest": [{"name": "Http", "host": backend.url(), "url_path": "/"}],
        "email_smtp": [{"name": "Smtp", "host": "127.0.0.1", "port": smtp.port, "mode": "plain", "username": "me", "password": "hunter2"}],
        "email_imap": [dovecot.connection("Imap", json!({}))],
        "outconn_redis": [redis.item()],
        "outconn_zmq": [{"name": "Zmq", "address": pull.address(), "socket_type": "PUSH", "socket_method": "connect"}],
        "outconn_sql": [
            sql("Postgres", json!({"engine": "postgresql", "port": Database::postgresql_port(), "username": "postgres"})),
            sql("Maria", json!({"engine": "mysql+pymysql", "port": Database::mysql_port(), "username": "root"})),
            sql("Sqlite", json!({"engine": "sqlite", "host": "", "db_name": home.path().join("a.sqlite")})),
        ],
    });
    for workers in [1, 0] {
        let mut server = server()
            .workers(workers)
            .service("all.py", USES_ALL)
            .enmasse(&objects.to_string())
            .start();
        let answer = server.invoke("all.use-all", "");
        assert_eq!(answer.text(), "used", "{}", server.log());
        // which looks for panics in the log
        assert!(server.stop().success());
    }
}
