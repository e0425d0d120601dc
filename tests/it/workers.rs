//! Workers: whatever `handle()` does to its process, its own callers are told and nobody else notices.

use std::thread;
use std::time::{Duration, Instant};

use busbar_testkit::process::kill;
use busbar_testkit::{Connection, Load, Request, Response, TestServer, wait_until};
use serde_json::json;

use crate::{OK, server};

pub const DEADLY: &str = "
import ctypes, os, signal, sys, threading, time
from zato.server.service import Service

class Segfault(Service):
    def handle(self):
        ctypes.string_at(0)

class Exit(Service):
    def handle(self):
        os._exit(3)

class SysExit(Service):
    def handle(self):
        sys.exit(3)

class Abort(Service):
    def handle(self):
        os.abort()

class Terminate(Service):
    def handle(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        self.response.payload = 'still here'

class Loop(Service):
    deadline_secs = 1
    def handle(self):
        while True:
            pass

class Stubborn(Service):
    deadline_secs = 1
    def handle(self):
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except BaseException:
                pass

class Nap(Service):
    deadline_secs = 1
    def handle(self):
        try:
            for _ in range(600):
                time.sleep(0.1)
        finally:
            self.logger.info('cleaned up')

class Deaf(Service):
    def handle(self):
        # a call into C that keeps the GIL for as long as it lasts
        ctypes.PyDLL(None).sleep(120)

class Memory(Service):
    def handle(self):
        self.hoard = []
        while True:
            self.hoard.append(bytearray(8 << 20))
            time.sleep(0.005)

class Threads(Service):
    def handle(self):
        stop, started = threading.Event(), 0
        try:
            for _ in range(10000):
                threading.Thread(target=stop.wait, daemon=True).start()
                started += 1
        except RuntimeError as error:
            self.logger.info('no more threads: %s', error)
        finally:
            stop.set()
        self.response.payload = {'started': started}

class Recursion(Service):
    def handle(self):
        def down(n):
            return down(n + 1)
        down(0)

class Wait(Service):
    def handle(self):
        self.logger.info('waiting')
        time.sleep(3)
        self.response.payload = 'waited'
";

pub fn start(config: &str) -> TestServer {
    let services = [
        "segfault",
        "exit",
        "sys-exit",
        "abort",
        "terminate",
        "loop",
        "stubborn",
        "nap",
        "deaf",
        "memory",
        "threads",
        "recursion",
        "wait",
    ];
    let server = server()
        .workers(2)
        .service("deadly.py", DEADLY)
        .service("ok.py", OK)
        .channel("/ok", "ok.ok")
        .config(config);
    services
        .into_iter()
        .fold(server, |server, name| {
            server.channel(&format!("/{name}"), &format!("deadly.{name}"))
        })
        .start()
}

/// The worker's death is the caller's 502, with the CID that stands in the log.
#[track_caller]
fn assert_lost(server: &TestServer, response: &Response) {
    assert_eq!(response.status, 502, "{}", response.text());
    let body = response.json();
    assert_eq!(
        (&body["result"], &body["cid"]),
        (&json!("Error"), &json!(response.cid()))
    );
    server.wait_log(&[response.cid()]);
}

#[track_caller]
pub fn wait_for_workers(server: &TestServer, count: usize) {
    wait_until("the workers to be up again", || {
        let status = server.status();
        let workers = status["workers"].as_array().unwrap();
        (workers.iter().filter(|worker| worker["state"] == "ready").count() == count).then_some(())
    });
}

#[test]
fn a_worker_that_dies_is_its_callers_502_and_nobody_elses() {
    let server = start("");
    let load = Load::start(
        server.address(),
        2,
        Duration::from_millis(3),
        Request::new("GET", "/ok"),
    );
    load.wait_for(20);
    for name in ["segfault", "exit", "abort"] {
        wait_for_workers(&server, 2);
        assert_lost(&server, &server.get(&format!("/{name}")));
    }
    wait_for_workers(&server, 2);
    load.wait_for(50);
    let tally = load.stop();
    // a call that ran beside it on the same worker at that moment is lost with it; nothing else is
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    assert!(
        tally.statuses.keys().all(|status| matches!(status, 200 | 502)),
        "{:?}",
        tally.statuses
    );
    assert!(tally.count(502) <= 3 * 2, "{:?}", tally.statuses);
    let restarts: u64 = server.status()["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["restarts"].as_u64().unwrap())
        .sum();
    assert_eq!(restarts, 3);
}

#[test]
fn a_worker_killed_under_load_loses_only_its_calls_in_flight() {
    let server = start("");
    let load = Load::start(
        server.address(),
        4,
        Duration::from_millis(1),
        Request::new("GET", "/ok"),
    );
    load.wait_for(200);
    for _ in 0..3 {
        wait_for_workers(&server, 2);
        let before = server.worker_pids();
        let killed = Instant::now();
        kill(before[0]);
        wait_until("another worker to be up", || {
            let now = server.worker_pids();
            let is_up = now.len() == 2 && !now.contains(&before[0]);
            (is_up
                && server.status()["workers"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|w| w["state"] == "ready"))
            .then_some(())
        });
        // within a second on a machine that has nothing else to do
        assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
        load.wait_for(100);
    }
    let tally = load.stop();
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    assert!(
        tally.statuses.keys().all(|status| matches!(status, 200 | 502)),
        "{:?}",
        tally.statuses
    );
    assert!(tally.count(502) <= 3 * 4, "{:?}", tally.statuses);
    for lost in &tally.refused {
        assert_eq!(lost.json()["cid"], lost.cid());
    }
}

#[test]
fn all_workers_gone_is_a_wait_not_an_end() {
    let server = start("");
    let address = server.address();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                Connection::open(address)
                    .unwrap()
                    .send(&Request::new("GET", "/wait"))
                    .unwrap()
            })
        })
        .collect();
    wait_until("the calls to run", || {
        (server.log().matches("waiting").count() >= 4).then_some(())
    });
    for pid in server.worker_pids() {
        kill(pid);
    }
    for call in waiting {
        assert_lost(&server, &call.join().unwrap());
    }
    // a call that comes meanwhile waits for a worker, or is told to come again
    wait_until("the server to serve", || {
        (server.get("/ok").status == 200).then_some(())
    });
    wait_for_workers(&server, 2);
}

#[test]
fn exits_and_signals_that_are_no_deaths() {
    let server = start("");
    let pids = server.worker_pids();
    // an exception as any other
    let response = server.get("/sys-exit").expect(500);
    assert_eq!(response.json()["cid"], response.cid());
    server.get("/recursion").expect(500);
    assert_eq!(server.worker_pids(), pids);
    // asked to end by somebody else than the hub: whatever it does, the caller is answered and the server goes on
    let response = server.get("/terminate");
    assert!(matches!(response.status, 200 | 502), "{}", response.text());
    wait_for_workers(&server, 2);
    server.get("/ok").expect(200);
}

#[test]
fn a_call_into_c_that_keeps_the_interpreter_is_found_out() {
    let server = start("[workers]\ndeaf_after_secs = 2");
    let pids = server.worker_pids();
    let started = Instant::now();
    let response = server.get("/deaf");
    assert_lost(&server, &response);
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    wait_for_workers(&server, 2);
    assert_ne!(server.worker_pids(), pids);
    server.get("/ok").expect(200);
}

#[test]
fn other_calls_go_on_while_a_worker_is_deaf() {
    let server = start("[workers]\ndeaf_after_secs = 3");
    let address = server.address();
    let deaf = thread::spawn(move || {
        Connection::open(address)
            .unwrap()
            .send(&Request::new("GET", "/deaf"))
            .unwrap()
    });
    wait_until("the call to run", || {
        let status = server.status();
        status["workers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|worker| worker["calls"] == 1)
            .then_some(())
    });
    let mut answered = 0;
    while !deaf.is_finished() {
        // one that was given to the deaf worker before it was noticed is lost with it
        let response = server.get("/ok");
        assert!(matches!(response.status, 200 | 502), "{}", response.text());
        answered += usize::from(response.status == 200);
    }
    assert_eq!(deaf.join().unwrap().status, 502);
    assert!(answered > 0);
}

#[test]
fn memory_beyond_the_limit_costs_the_worker_that_took_it() {
    let server = start("[workers]\nmemory_limit_mb = 300");
    let pids = server.worker_pids();
    let started = Instant::now();
    assert_lost(&server, &server.get("/memory"));
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    wait_for_workers(&server, 2);
    let now = server.worker_pids();
    assert_eq!(
        now.iter().filter(|pid| pids.contains(pid)).count(),
        1,
        "one was replaced: {pids:?} {now:?}"
    );
    server.get("/ok").expect(200);
}

#[test]
fn ten_thousand_threads_are_the_services_own_trouble() {
    let server = start("");
    let load = Load::start(
        server.address(),
        1,
        Duration::from_millis(20),
        Request::new("GET", "/ok"),
    );
    // 10,000 threads take their time on a machine that is busy with other tests
    let mut connection = server.connect();
    connection.set_limit(Duration::from_secs(100)).unwrap();
    let response = connection.send(&Request::new("GET", "/threads")).unwrap();
    assert!(matches!(response.status, 200 | 500 | 502), "{}", response.text());
    wait_for_workers(&server, 2);
    load.wait_for(10);
    let tally = load.stop();
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    assert!(
        tally.statuses.keys().all(|status| matches!(status, 200 | 502)),
        "{:?}",
        tally.statuses
    );
    server.get("/ok").expect(200);
}

#[test]
fn a_file_that_kills_its_importer_is_refused_and_the_rest_goes_on() {
    let server = start("");
    server.deploy("killer.py", "import os\nos._exit(7)\n");
    wait_until("the failure to be shown", || {
        let failures = server.status()["failures"].clone();
        failures
            .as_array()
            .unwrap()
            .iter()
            .any(|failure| failure["module"] == "killer")
            .then_some(())
    });
    wait_for_workers(&server, 2);
    server.get("/ok").expect(200);
    server.deploy("killer.py", &OK.replace("Ok(", "Killer("));
    wait_until("the corrected file", || {
        (server.invoke("killer.killer", "").status == 200).then_some(())
    });
}

#[test]
fn without_workers_services_run_in_the_hub() {
    let server = server().workers(0).service("ok.py", OK).channel("/ok", "ok.ok").start();
    assert_eq!(server.get("/ok").expect(200).json(), json!({"ok": true}));
    assert!(server.worker_pids().is_empty());
    server.deploy("ok.py", &OK.replace("True", "False"));
    server.wait_answer("/ok", r#"{"ok":false}"#);
    server.deploy("ok.py", "broken(");
    wait_until("the failure to be shown", || {
        (!server.status()["failures"].as_array().unwrap().is_empty()).then_some(())
    });
    let load = Load::start(server.address(), 4, Duration::ZERO, Request::new("GET", "/ok"));
    load.wait_for(500);
    load.stop().expect_all_well();
    server.get("/nowhere").expect(404);
}

#[test]
fn many_calls_that_wait_do_not_hold_up_short_ones() {
    let server = start("");
    let address = server.address();
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let mut connection = Connection::open(address).unwrap();
            connection.write(&Request::new("GET", "/wait").to_bytes()).unwrap();
            connection
        })
        .collect();
    wait_until("the calls to run", || {
        (server.log().matches("waiting").count() >= 100).then_some(())
    });
    for _ in 0..20 {
        server.get("/ok").expect(200);
    }
    for mut connection in waiting {
        assert_eq!(connection.read(true).unwrap().expect(200).text(), "waited");
    }
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    let server = server()
        .service("echo.py", crate::ECHO)
        .channel("/echo", "echo.echo")
        .start();
    let body = format!("[\"{}\"]", "x".repeat(4 << 20));
    let (address, body) = (server.address(), std::sync::Arc::new(body));
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let body = body.clone();
            thread::spawn(move || {
                let request = Request::new("POST", "/echo").body(body.as_bytes());
                let response = Connection::open(address).unwrap().send(&request).unwrap().expect(200);
                assert!(response.body == body.as_bytes());
            })
        })
        .collect();
    // short calls get through between them
    for _ in 0..20 {
        assert_eq!(server.post("/echo", "[1]").expect(200).text(), "[1]");
    }
    for call in calls {
        call.join().unwrap();
    }
}

#[test]
fn a_caller_that_does_not_read_its_answer_is_given_up() {
    let server = server()
        .service(
            "large.py",
            "
from zato.server.service import Service

class Large(Service):
    def handle(self):
        self.response.payload = b'x' * (32 << 20)
",
        )
        .service("ok.py", OK)
        .channel("/large", "large.large")
        .channel("/ok", "ok.ok")
        .config("[http]\nwrite_timeout_secs = 1")
        .start();
    let mut deaf: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(server.address()).unwrap();
            connection.write(&Request::new("GET", "/large").to_bytes()).unwrap();
            connection
        })
        .collect();
    for _ in 0..20 {
        server.get("/ok").expect(200);
    }
    thread::sleep(Duration::from_secs(3));
    for connection in &mut deaf {
        // cut off in the middle: what was buffered, and no more
        assert!(connection.read(true).is_err());
    }
    server.get("/ok").expect(200);
}
