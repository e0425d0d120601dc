//! `busbar doctor`: each problem is provoked.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

use busbar_testkit::{TestServer, run};
use serde_json::Value;

use crate::{EXECUTABLE, OK, server};

/// What it says, and that it exits as that should.
fn examine(server: &TestServer) -> Value {
    let output = server.run("doctor", &["--json"]);
    let findings = output.json();
    let is_problem = findings["state"] == "problem";
    assert_eq!(output.code, if is_problem { 16 } else { 0 }, "{findings:#}");
    findings
}

/// Checks that there is a finding of this state whose message and hint hold these texts.
#[track_caller]
fn expect(findings: &Value, name: &str, state: &str, texts: &[&str]) {
    let found = findings["checks"].as_array().unwrap().iter().any(|check| {
        let text = format!("{} {}", check["message"], check["hint"]);
        check["name"] == name && check["state"] == state && texts.iter().all(|it| text.contains(it))
    });
    assert!(found, "no {state} of {name} with {texts:?} in\n{findings:#}");
}

fn set(server: &TestServer, section: &str, key: &str, value: impl Into<toml::Value>) {
    let path = server.directory().join("config/server.toml");
    let mut config: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    let table = config.entry(section).or_insert_with(|| toml::Table::new().into());
    table.as_table_mut().unwrap().insert(key.to_owned(), value.into());
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn a_healthy_server_has_no_problem_running_or_not() {
    let mut server = server().service("ok.py", OK).prepare();
    let stopped = examine(&server);
    assert_ne!(stopped["state"], "problem", "{stopped:#}");
    expect(&stopped, "address", "ok", &["free"]);
    expect(&stopped, "redis", "ok", &["will be started"]);
    expect(&stopped, "odb", "ok", &["step"]);
    expect(&stopped, "python", "ok", &["1 services"]);
    expect(&stopped, "keys", "ok", &[]);
    expect(&stopped, "directories", "ok", &[]);
    expect(&stopped, "crash", "ok", &[]);

    server.start();
    let running = examine(&server);
    assert_ne!(running["state"], "problem", "{running:#}");
    expect(&running, "address", "ok", &["the server has"]);
    expect(&running, "redis", "ok", &["answers"]);
    expect(&running, "server", "ok", &["it runs"]);
    let text = server.run("doctor", &[]).expect_code(0).stdout;
    assert!(text.contains("0 problems"), "{text}");
}

#[test]
fn an_address_that_somebody_else_has_is_a_problem() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let server = server().prepare();
    set(&server, "http", "address", address.as_str());
    expect(&examine(&server), "address", "problem", &[&address, "ss -ltnp"]);
    set(&server, "http", "address", "nowhere");
    expect(&examine(&server), "address", "problem", &["nowhere", "HOST:PORT"]);
    set(&server, "http", "address", "127.0.0.1:0");
    let mut tls = toml::Table::new();
    tls.insert("certificate".into(), "gone.pem".into());
    tls.insert("key".into(), "gone.key".into());
    set(&server, "http", "tls", tls);
    expect(&examine(&server), "address", "problem", &["gone.key", "tls"]);
}

#[test]
fn settings_that_cannot_be_read_are_a_problem() {
    let server = server().prepare();
    set(&server, "http", "adress", "127.0.0.1:0");
    expect(
        &examine(&server),
        "settings",
        "problem",
        &["adress", "configuration.md"],
    );
}

#[test]
fn keys_that_others_can_read_are_a_problem() {
    let server = server().prepare();
    let open = |file: &str, mode: u32| {
        let path = server.directory().join(file);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open("config/secret.key", 0o644);
    open("config/server.toml", 0o644);
    let findings = examine(&server);
    expect(&findings, "keys", "problem", &["secret.key", "chmod 600"]);
    expect(&findings, "keys", "warning", &["server.toml", "chmod 600"]);
    open("config/secret.key", 0o600);
    open("config/odb.key", 0o640);
    let findings = examine(&server);
    expect(&findings, "keys", "problem", &["odb.key", "chmod 600"]);
    expect(&findings, "odb", "problem", &["odb.key"]);
}

#[test]
fn directories_that_are_missing_or_open_are_found() {
    let server = server().prepare();
    let open = |name: &str, mode: u32| {
        let path = server.directory().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open("pickup-dir", 0o777);
    open("work", 0o755);
    fs::remove_dir_all(server.directory().join("logs")).unwrap();
    let findings = examine(&server);
    expect(&findings, "directories", "problem", &["pickup-dir", "chmod o-w"]);
    expect(&findings, "directories", "warning", &["work", "chmod 700"]);
    expect(&findings, "directories", "problem", &["logs", "mkdir"]);
    fs::write(server.directory().join("logs"), "").unwrap();
    expect(&examine(&server), "directories", "problem", &["is not a directory"]);
}

#[test]
fn what_a_crash_left_behind_is_found() {
    let mut server = server().start();
    server.signal(9);
    server.wait();
    expect(
        &examine(&server),
        "crash",
        "warning",
        &["control.sock", "the next start"],
    );
}

#[test]
fn a_server_that_does_not_answer_is_a_problem() {
    let server = server().start();
    let socket = server.directory().join("work/control.sock");
    let kept = server.directory().join("work/control.kept");
    fs::rename(&socket, &kept).unwrap();
    expect(
        &examine(&server),
        "server",
        "problem",
        &["does not answer", "busbar stop --now"],
    );
    fs::rename(&kept, &socket).unwrap();
}

#[test]
fn a_database_that_does_not_fit_is_a_problem() {
    let server = server().prepare();
    let key = server.directory().join("config/odb.key");
    let kept = fs::read(&key).unwrap();
    let other = run(server.command("secrets").arg("new-key")).expect_code(0).stdout;
    fs::write(&key, other).unwrap();
    expect(&examine(&server), "odb", "problem", &["encrypted with key", "odb.key"]);
    fs::write(&key, kept).unwrap();

    set(&server, "odb", "url", "postgresql://nobody@127.0.0.1:1/none");
    expect(&examine(&server), "odb", "problem", &["127.0.0.1:1"]);
    set(&server, "odb", "url", "postgresql://${NO_SUCH_VARIABLE}@127.0.0.1/none");
    expect(&examine(&server), "odb", "problem", &["NO_SUCH_VARIABLE"]);
    set(&server, "odb", "url", "");
    fs::write(
        server.directory().join("work/odb.sqlite"),
        "this is text and no database",
    )
    .unwrap();
    fs::remove_file(server.directory().join("work/odb.sqlite-wal")).ok();
    expect(&examine(&server), "odb", "problem", &["odb.sqlite"]);
}

#[test]
fn python_that_cannot_import_the_services_is_a_problem() {
    let server = server()
        .service("good.py", OK)
        .service("missing.py", "import nothing_of_the_kind.part\n")
        .service("broken.py", "def f(:\n")
        .prepare();
    let findings = examine(&server);
    expect(
        &findings,
        "python",
        "problem",
        &["missing.py", "install `nothing_of_the_kind`"],
    );
    expect(&findings, "python", "problem", &["broken.py", "busbar check --server"]);

    server.deploy("missing.py", "import os\nos._exit(3)\n");
    expect(&examine(&server), "python", "problem", &["ended while it imported"]);
    set(&server, "python", "venv", "/no/such/environment");
    expect(
        &examine(&server),
        "python",
        "problem",
        &["/no/such/environment", "venv"],
    );
}

#[test]
fn an_import_that_hangs_ends() {
    let server = server()
        .service("slow.py", "import time\ntime.sleep(3600)\n")
        .config("[hot_deploy]\nimport_secs = 1")
        .prepare();
    expect(&examine(&server), "python", "problem", &["slow"]);
}

#[test]
fn a_redis_that_is_not_there_is_a_problem() {
    let server = server().prepare();
    set(&server, "redis", "executable", "/no/such/redis-server");
    expect(
        &examine(&server),
        "redis",
        "problem",
        &["/no/such/redis-server", "apt-get"],
    );
    set(&server, "redis", "executable", "false");
    expect(&examine(&server), "redis", "problem", &["`false --version` failed"]);
    set(&server, "redis", "url", "redis://127.0.0.1:1/0");
    expect(&examine(&server), "redis", "problem", &["Redis", "`url` of [redis]"]);
}

/// A Redis that says of itself what a test wants.
fn redis(info: &'static str, save: &'static str, time: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Some(command) = read_command(&mut reader) {
                let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
                let answer = match command[0].as_str() {
                    "INFO" => bulk(info),
                    "CONFIG" => format!("*2\r\n{}{}", bulk("save"), bulk(save)),
                    "TIME" => format!("*2\r\n{}{}", bulk(&time.to_string()), bulk("0")),
                    _ => "+OK\r\n".to_owned(),
                };
                if (&stream).write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    url
}

fn read_command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |mark: char, reader: &mut dyn BufRead| -> Option<usize> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.trim_end().strip_prefix(mark)?.parse().ok()
    };
    let count = number('*', reader)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = number('$', reader)?;
        let mut word = vec![0; length + 2];
        reader.read_exact(&mut word).ok()?;
        words.push(String::from_utf8_lossy(&word[..length]).to_uppercase());
    }
    Some(words)
}

#[test]
fn a_redis_that_will_lose_messages_is_found() {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let server = server().prepare();
    let url = redis(
        "redis_version:5.0.7\r\nrole:slave\r\naof_enabled:0\r\nrdb_last_bgsave_status:err\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n",
        "",
        now - 3600,
    );
    set(&server, "redis", "url", url);
    let findings = examine(&server);
    expect(&findings, "redis", "problem", &["5.0.7", "6.2"]);
    expect(&findings, "redis", "problem", &["replica"]);
    expect(&findings, "redis", "problem", &["could not write"]);
    expect(&findings, "redis", "warning", &["appendonly yes"]);
    expect(&findings, "redis", "warning", &["allkeys-lru", "noeviction"]);
    expect(&findings, "redis", "warning", &["clock"]);

    let url = redis("redis_version:7.2.0\r\nrole:master\r\naof_enabled:1\r\n", "", now);
    set(&server, "redis", "url", url);
    expect(&examine(&server), "redis", "ok", &["7.2.0"]);
}

#[test]
fn few_open_files_are_found() {
    let server = server().prepare();
    let limited = |limit: u32| {
        let mut command = Command::new("bash");
        let line = format!("ulimit -n {limit} && exec \"$0\" doctor \"$1\" --json");
        command
            .args(["-c", &line, EXECUTABLE])
            .arg(server.directory())
            .env("HOME", server.scratch());
        run(&mut command).json()
    };
    expect(&limited(1_024), "files", "warning", &["1024 files", "LimitNOFILE"]);
    expect(&limited(256), "files", "problem", &["256 files", "LimitNOFILE"]);
}

#[test]
fn a_clock_that_went_back_is_found() {
    let server = server().prepare();
    let file = fs::File::options()
        .append(true)
        .open(server.directory().join("config/server.toml"))
        .unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(86_400))
        .unwrap();
    expect(&examine(&server), "clock", "warning", &["server.toml", "chrony"]);
}

#[test]
fn deployments_that_failed_are_found() {
    let server = server().start();
    let file = server.scratch().join("wrong.py");
    fs::write(&file, "import nothing_of_the_kind\n").unwrap();
    server.run("deploy", &[file.to_str().unwrap()]).expect_code(15);
    expect(
        &examine(&server),
        "server",
        "warning",
        &["`wrong`", "nothing_of_the_kind"],
    );
}
