//! The server's own database, on servers of databases.

use std::fs;

use busbar_testkit::{Database, Proxy, Request, TestServer, process};

use crate::{ECHO, OK, repository, server};

const OBJECTS: &str = "
security:
  - {name: shop, type: basic_auth, username: ann, password: c4nary}
channel_rest:
  - {name: 'zam\u{f3}wienia', url_path: /orders, service: echo.echo, data_format: json, security_name: shop}
";

fn order() -> Request {
    Request::new("POST", "/orders").basic("ann", "c4nary").body("1")
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

fn everything_is_there_after_a_restart(database: Database) {
    let mut server = server().odb(&database.url()).service("echo.py", ECHO).start();
    server.import(OBJECTS).expect_code(0);
    server.send(&order()).expect(200);
    // its file is lost while the server is stopped: the source is in the database
    server.deploy("ok.py", OK);
    server.wait_log(&["deployed", "ok.py"]);
    let revision = server.status()["revision"].clone();
    server.stop();
    fs::remove_file(server.pickup().join("ok.py")).unwrap();
    server.start();
    assert_eq!(server.status()["revision"], revision);
    server.send(&order()).expect(200);
    assert_eq!(server.invoke("ok.ok", "").expect(200).text(), r#"{"ok":true}"#);
    assert!(!server.directory().join("work/odb.sqlite").exists());
    assert!(!database.dump("object").contains("c4nary") && database.dump("object").contains("username"));

    let status = odb(&server, "status", &["--json"]).expect_code(0).json();
    assert_eq!(status["version"], status["newest"]);
    assert!(!status.to_string().contains("password"));
    let refused = odb(&server, "rollback", &[]).expect_code(9);
    assert!(
        refused.stderr.contains("runs already") && refused.stderr.contains("busbar stop"),
        "{}",
        refused.stderr
    );
    server.stop();
    odb(&server, "rollback", &["--to", "1"]).expect_code(0);
    assert!(database.dump("object").contains("c4nary"));
    server.start();
    server.send(&order()).expect(200);
    assert!(!database.dump("object").contains("c4nary") && !database.dump("object_version").contains("c4nary"));
}

#[test]
fn everything_is_there_after_a_restart_with_postgresql() {
    everything_is_there_after_a_restart(Database::postgresql());
}

#[test]
fn everything_is_there_after_a_restart_with_mariadb() {
    everything_is_there_after_a_restart(Database::mysql());
}

fn calls_go_on_while_the_database_is_away(database: Database) {
    let proxy = Proxy::new(&database.address());
    let server = server()
        .odb(&database.url_through(proxy.port()))
        .service("echo.py", ECHO)
        .enmasse(OBJECTS)
        .start();
    proxy.cut();
    server.send(&order()).expect(200);
    let other = "channel_rest: [{name: more, url_path: /more, service: echo.echo, data_format: json}]";
    let refused = server.import(other).expect_code(16);
    assert!(refused.stderr.contains("cannot be reached"), "{}", refused.stderr);
    server.post("/more", "1").expect(404);
    server.deploy("ok.py", OK);
    server.wait_log(&["cannot deploy", "cannot be reached"]);
    server.send(&order()).expect(200);
    proxy.mend();
    server.wait_log(&["the ODB is back"]);
    server.import(other).expect_code(0);
    server.post("/more", "1").expect(200);
    server.deploy("ok.py", OK);
    server.wait_log(&["deployed", "ok.py"]);
    // its administrator ends the connections
    database.end_connections();
    server
        .import("channel_rest: [{name: last, url_path: /last, service: ok.ok, data_format: json}]")
        .expect_code(0);
    server.post("/last", "1").expect(200);
}

#[test]
fn calls_go_on_while_postgresql_is_away() {
    calls_go_on_while_the_database_is_away(Database::postgresql());
}

#[test]
fn calls_go_on_while_mariadb_is_away() {
    calls_go_on_while_the_database_is_away(Database::mysql());
}

#[test]
fn two_servers_on_one_database_overwrite_nothing() {
    let database = Database::postgresql();
    let one = server().odb(&database.url()).service("echo.py", ECHO).start();
    let key = fs::read_to_string(one.directory().join("config/odb.key")).unwrap();
    let key = key.lines().find(|line| !line.starts_with('#')).unwrap();
    // the second one needs the key of the first
    let home = tempfile::tempdir().unwrap();
    let mut stranger = crate::busbar("quickstart", home.path());
    stranger.arg("other").args(["--odb", &database.url()]);
    let refused = process::run(&mut stranger).expect_code(15);
    assert!(refused.stderr.contains("encrypted with key"), "{}", refused.stderr);
    assert!(!home.path().join("other/server1").exists());
    let mut quickstart = crate::busbar("quickstart", home.path());
    quickstart
        .arg("env")
        .args(["--odb", &database.url(), "--address", "127.0.0.1:0"]);
    let output = process::run(quickstart.env("BUSBAR_ODB_KEY", key)).expect_code(0);
    assert!(output.stdout.contains("on the other servers"), "{}", output.stdout);
    // the user of the first one is as it was
    one.invoke("echo.echo", "1").expect(200);
}

/// Commands of `docs/odb.md`, in their order.
#[test]
fn the_examples_of_the_page_run() {
    let page = fs::read_to_string(repository().join("docs/odb.md")).unwrap();
    let mut server = server().start();
    let mut count = 0;
    for block in page.split("```sh\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            let mut words = line.split_whitespace();
            assert_eq!(words.next(), Some("busbar"));
            let mut command = server.command(words.next().unwrap());
            if line.starts_with("busbar stop ") {
                assert!(server.stop().success());
                continue;
            }
            for word in words {
                command.arg(word.replace("~/env/server1", server.directory().to_str().unwrap()));
            }
            process::run(&mut command).expect_code(0);
            count += 1;
        }
    }
    assert!(count >= 4);
    server.start();
}
