//! Passwords and keys of objects: encrypted where they are stored, and nowhere else in clear.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use busbar_testkit::{Request, TestServer, process};

use crate::{ECHO, busbar, server};

const CANARY: &str = "c4nary-in-the-coal-mine";

/// A canary in every object type that has a secret.
fn objects(canary: &str) -> String {
    format!(
        "
security:
  - {{name: shop, type: basic_auth, username: ann, password: {canary}}}
  - {{name: key, type: apikey, password: {canary}}}
  - {{name: jwt, type: jwt, username: joe, password: {canary}}}
  - {{name: wss, type: wss, username: wes, password: {canary}}}
  - {{name: crm, type: bearer_token, username: bus, password: {canary}, auth_server_url: 'http://127.0.0.1:9/token'}}
email_smtp:
  - {{name: mail, host: 127.0.0.1, port: 9, username: bus, password: {canary}}}
channel_rest:
  - {{name: orders, url_path: /orders, service: echo.echo, data_format: json, security_name: shop}}
"
    )
}

/// Files of a directory, at any depth, that hold a text.
fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}

fn may_call(server: &TestServer, password: &str) -> bool {
    let request = Request::new("POST", "/orders").basic("ann", password).body("1");
    server.send(&request).status == 200
}

#[test]
fn a_canary_is_nowhere_in_clear() {
    let mut server = server().service("echo.py", ECHO).start();
    server.import(&objects(CANARY)).expect_code(0);
    assert!(may_call(&server, CANARY));
    let mut seen = String::new();
    // refused, planned, changed, and changed back: the history has both
    let other = "an0ther-canary";
    for output in [
        server.import(&objects(other)).expect_code(15),
        server.enmasse(&["--plan"], &objects(other)).expect_code(0),
        server
            .enmasse(&["--import", "--replace"], &objects(other))
            .expect_code(0),
        server
            .import("security: [{name: odd, type: basic_auth, username: ann, password: 470911}]")
            .expect_code(15),
        server
            .enmasse(&["--import", "--replace"], &objects(CANARY))
            .expect_code(0),
        server.run("enmasse", &["--export"]),
        server.run("enmasse", &["--export", "--format", "json"]),
        server.run("status", &["--json"]),
    ] {
        seen.push_str(&output.stdout);
        seen.push_str(&output.stderr);
    }
    let mut pids = process::descendants(server.pid());
    pids.push(server.pid());
    for pid in pids {
        seen.push_str(&String::from_utf8_lossy(
            &fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
        ));
    }
    for secret in [CANARY, other, "470911"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
        assert_eq!(
            files_with(server.directory(), secret),
            [""; 0].map(PathBuf::from),
            "{secret}"
        );
    }
    // whoever asks for them gets them
    let export = server.run("enmasse", &["--export", "--with-secrets"]).expect_code(0);
    assert_eq!(export.stdout.matches(CANARY).count(), 6, "{}", export.stdout);
    server.stop();
    assert_eq!(files_with(server.directory(), CANARY), [""; 0].map(PathBuf::from));
    server.start();
    assert!(may_call(&server, CANARY) && !may_call(&server, other));
}

#[test]
fn what_an_older_version_stored_is_encrypted_at_the_start() {
    let mut server = server().service("echo.py", ECHO).start();
    server.import(&objects(CANARY)).expect_code(0);
    server.stop();
    let output = odb(&server, "rollback", &["--to", "1"]).expect_code(0);
    assert!(output.stdout.contains("in clear"), "{}", output.stdout);
    assert!(!files_with(server.directory(), CANARY).is_empty());
    server.start();
    assert!(may_call(&server, CANARY));
    assert_eq!(files_with(server.directory(), CANARY), [""; 0].map(PathBuf::from));
    server.wait_log(&["were encrypted"]);
}

#[test]
fn a_key_is_changed_while_the_server_runs_and_while_it_does_not() {
    let mut server = server().service("echo.py", ECHO).start();
    server.import(&objects(CANARY)).expect_code(0);
    let key = server.directory().join("config/odb.key");
    let read = || fs::read_to_string(&key).unwrap();
    let first = read();
    let output = rotate(&server).expect_code(0);
    let second = read();
    assert!(
        output.stdout.contains("encrypted with key") && second != first,
        "{}",
        output.stdout
    );
    server.import(&objects(CANARY)).expect_code(0);
    server.stop();
    rotate(&server).expect_code(0);
    assert_ne!(read(), second);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    // the one before is of no use any more
    let third = read();
    fs::write(&key, &second).unwrap();
    let refused = start(&server);
    assert!(
        refused.stderr.contains("odb.key") && refused.stderr.contains("encrypted with key"),
        "{}",
        refused.stderr
    );
    fs::write(&key, third).unwrap();
    server.start();
    assert!(may_call(&server, CANARY));
}

#[test]
fn a_key_that_is_missing_or_that_others_can_read_stops_the_start() {
    let server = server().prepare();
    let key = server.directory().join("config/odb.key");
    let text = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = start(&server);
    assert!(
        refused.stderr.contains("can be read or written by other users"),
        "{}",
        refused.stderr
    );
    fs::remove_file(&key).unwrap();
    let refused = start(&server);
    assert!(
        refused.stderr.contains("odb.key") && refused.stderr.contains("does not hold"),
        "{}",
        refused.stderr
    );
    assert!(!text.is_empty() && !key.exists());
}

#[test]
fn a_key_comes_from_the_environment_and_stays_with_the_hub() {
    let home = tempfile::tempdir().unwrap();
    let output = process::run(busbar("secrets", home.path()).arg("new-key")).expect_code(0);
    let key = output.stdout.trim().to_owned();
    let service = "
import os
from zato.server.service import Service

class Look(Service):
    def handle(self):
        self.response.payload = {'found': [name for name in os.environ if 'KEY' in name]}
";
    let mut server = server()
        .service("look.py", service)
        .service("echo.py", ECHO)
        .variable("BUSBAR_ODB_KEY", &key)
        .start();
    server.import(&objects(CANARY)).expect_code(0);
    assert!(!server.directory().join("config/odb.key").exists());
    assert_eq!(server.invoke("look.look", "").expect(200).text(), r#"{"found":[]}"#);
    let refused = rotate(&server).expect_code(15);
    assert!(
        refused.stderr.contains("new-key") && !refused.stderr.contains(&key),
        "{}",
        refused.stderr
    );
    server.stop();
    server.start();
    assert!(may_call(&server, CANARY));
    assert_eq!(files_with(server.directory(), &key), [""; 0].map(PathBuf::from));
}

fn rotate(server: &TestServer) -> process::Output {
    process::run(server.command("secrets").arg("rotate").arg(server.directory()))
}

fn odb(server: &TestServer, command: &str, arguments: &[&str]) -> process::Output {
    process::run(
        server
            .command("odb")
            .arg(command)
            .arg(server.directory())
            .args(arguments),
    )
}

fn start(server: &TestServer) -> process::Output {
    server.run("start", &[]).expect_code(18)
}
