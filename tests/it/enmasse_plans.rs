//! `busbar enmasse`: what goes because a file does not have it, plans that are agreed to, comparing, waiting, and the words of Zato.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{ECHO, OK, server};

const FILE: &str = "
security:
  - {name: shop, type: basic_auth, username: ann, password: s3cret-one, realm: Shop}
channel_rest:
  - {name: orders, url_path: /orders, service: ok.ok, data_format: json}
  - {name: prices, url_path: /prices, service: ok.ok, data_format: json}
outconn_zmq:
  - {name: frauds, address: 'tcp://127.0.0.1:35999', socket_type: PUSH}
";

/// Without the prices, and with nothing said of ZeroMQ.
const LESS: &str = "
security:
  - {name: shop, type: basic_auth, username: ann, password: s3cret-one, realm: Shop}
channel_rest:
  - {name: orders, url_path: /orders, service: ok.ok, data_format: json}
";

#[test]
fn what_the_file_does_not_have_goes_when_the_plan_is_confirmed() {
    let server = server().service("ok.py", OK).enmasse(FILE).start();
    let plan = server
        .enmasse(&["--plan", "--prune", "--json"], LESS)
        .expect_code(0)
        .json();
    let deleted: Vec<_> = plan["delete"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    // neither what the file does not speak of, nor what the server has from the start
    assert_eq!(deleted, [&json!("prices")], "{plan:#}");
    server.get("/prices").expect(200);

    let output = server.enmasse(&["--import", "--prune"], LESS).expect_code(15);
    let id = plan["id"].as_str().unwrap();
    assert!(
        output.stderr.contains("- channel.http `prices`") && output.stderr.contains(id),
        "{}",
        output.stderr
    );
    server.get("/prices").expect(200);

    // somebody else was quicker: what was shown is not what would be done
    server
        .import("channel_rest: [{name: late, url_path: /late, service: ok.ok}]")
        .expect_code(0);
    let output = server
        .enmasse(&["--import", "--prune", "--confirm", id], LESS)
        .expect_code(15);
    assert!(output.stderr.contains("E29"), "{}", output.stderr);
    server.get("/prices").expect(200);
    let output = server.enmasse(&["--plan", "--prune"], LESS).expect_code(0);
    let id = output.stdout.trim_end().rsplit(' ').next().unwrap().to_owned();
    let output = server
        .enmasse(&["--import", "--prune", "--confirm", &id], LESS)
        .expect_code(0);
    assert!(output.stdout.contains("- channel.http `prices`"), "{}", output.stdout);
    server.get("/prices").expect(404);
    server.get("/late").expect(404);
    server.get("/orders").expect(200);
    assert!(server.run("enmasse", &["--export"]).stdout.contains("frauds"));
}

#[test]
fn everything_that_is_not_in_the_file_goes_but_for_what_the_server_needs() {
    let server = server().service("ok.py", OK).enmasse(FILE).start();
    server
        .enmasse(&["--import", "--prune-all", "--yes"], LESS)
        .expect_code(0);
    let left = server.run("enmasse", &["--export", "--json"]).expect_code(0).json();
    let names = |key: &str| -> Vec<Value> {
        let items = left[key].as_array().unwrap().iter();
        items.map(|it| it["name"].clone()).collect()
    };
    assert_eq!(
        (names("channel_rest"), left.get("outconn_zmq")),
        (vec![json!("orders")], None)
    );
    assert!(names("security").contains(&json!("pubapi")), "{left:#}");
    assert!(server.invoke("ok.ok", "").status == 200);
    for arguments in [
        &["--import", "--prune", "--ignore-missing-includes"][..],
        &["--import", "--clean-odb"],
    ] {
        server.enmasse(arguments, LESS).expect_code(13);
    }
}

#[test]
fn a_server_that_is_not_as_the_file_says_is_told_by_the_exit_code() {
    let server = server().service("ok.py", OK).enmasse(FILE).start();
    let output = server.enmasse(&["--check"], FILE).expect_code(0);
    assert!(output.stdout.starts_with("as the file says: 4"), "{}", output.stdout);
    server.enmasse(&["--plan", "--detailed-exitcode"], FILE).expect_code(0);
    let before = server.status()["revision"].clone();
    let drifted = FILE
        .replace("/orders", "/orders/v2")
        .replace("s3cret-one", "s3cret-two");
    let output = server.enmasse(&["--check"], &drifted).expect_code(1);
    assert!(
        output.stdout.contains("~ channel.http `orders`") && output.stdout.contains("/orders/v2"),
        "{}",
        output.stdout
    );
    assert!(!output.stdout.contains("s3cret"), "{}", output.stdout);
    server
        .enmasse(&["--plan", "--detailed-exitcode"], &drifted)
        .expect_code(1);
    server.enmasse(&["--plan"], &drifted).expect_code(0);
    // objects that the file does not have are a difference to who asks for them
    server.enmasse(&["--check"], LESS).expect_code(0);
    let found = server
        .enmasse(&["--check", "--prune", "--json"], LESS)
        .expect_code(1)
        .json();
    assert_eq!(found["delete"], json!([{"kind": "channel.http", "name": "prices"}]));
    let broken = server
        .enmasse(&["--check"], "channel_rest: [{name: a}]")
        .expect_code(15);
    assert!(broken.stderr.contains("E11"), "{}", broken.stderr);
    assert_eq!(server.status()["revision"], before);
}

#[test]
fn what_is_wrong_is_reported_as_a_table() {
    let server = server().service("ok.py", OK).enmasse(FILE).start();
    let wrong = "
channel_rest:
  - {name: orders, url_path: no-slash, service: ok.ok}
  - {name: guarded, url_path: /g, service: ok.ok, security_name: nobody}
chanel_rest:
  - {name: a}
";
    let output = server.import(wrong).expect_code(15);
    for part in [
        "1 warnings and 2 errors found:",
        "Key           Value",
        "warn0001/W04  ",
        "err0001/E22   ",
        "err0002/E10   ",
    ] {
        assert!(output.stderr.contains(part), "no {part} in:\n{}", output.stderr);
    }
    let problems = server.enmasse(&["--import", "--json"], wrong).expect_code(15).json();
    let codes: Vec<_> = problems["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].clone())
        .collect();
    assert_eq!(codes, ["E22", "E10", "W04"]);
    let output = server
        .enmasse(
            &["--import", "--ignore-missing-defs"],
            &wrong.replace("no-slash", "/orders"),
        )
        .expect_code(15);
    assert!(!output.stderr.contains("W04"), "{}", output.stderr);
    let fine = wrong
        .replace("no-slash", "/orders")
        .replace("chanel_rest:\n  - {name: a}", "");
    let output = server
        .enmasse(&["--import", "--replace", "--ignore-missing-defs"], &fine)
        .expect_code(0);
    assert!(
        output.stdout.contains("nobody") && output.stdout.contains("W04"),
        "{}",
        output.stdout
    );
    server.get("/g").expect(404);
}

#[test]
fn services_that_are_still_to_come_are_waited_for() {
    let server = server().service("ok.py", OK).start();
    let file = "channel_rest: [{name: a, url_path: /a, service: echo.echo, data_format: json}]";
    let output = server
        .enmasse(&["--import", "--missing-wait-time", "0.3"], file)
        .expect_code(15);
    assert!(
        output.stderr.contains("err0001/E12") && output.stderr.contains("echo.echo"),
        "{}",
        output.stderr
    );
    server.post("/a", "1").expect(404);

    let path = server.scratch().join("a.yaml");
    fs::write(&path, file).unwrap();
    let mut command = server.command("enmasse");
    command
        .arg(server.directory())
        .args(["--import", "--missing-wait-time", "100", "--input"])
        .arg(path);
    let import = std::thread::spawn(move || busbar_testkit::run(&mut command));
    server.deploy("echo.py", ECHO);
    import.join().unwrap().expect_code(0);
    server.post("/a", "1").expect(200);
}

#[test]
fn a_server_that_does_not_run_yet_is_waited_for() {
    let mut server = server().service("ok.py", OK).start();
    server.stop();
    let path = server.scratch().join("a.yaml");
    fs::write(&path, LESS).unwrap();
    let arguments = ["--import", "--input", path.to_str().unwrap(), "--initial-wait-time"];
    server
        .run("enmasse", &[&arguments[..], &["0.1"]].concat())
        .expect_code(10);
    let mut command = server.command("enmasse");
    command.arg(server.directory()).args(arguments).arg("100");
    let import = std::thread::spawn(move || busbar_testkit::run(&mut command));
    std::thread::sleep(Duration::from_millis(300));
    server.start();
    import.join().unwrap().expect_code(0);
    server.get("/orders").expect(200);
}

#[test]
fn words_of_zato_are_understood() {
    let server = server().service("ok.py", OK).enmasse(FILE).start();
    for (arguments, code) in [
        (&[][..], 14),
        (&["--import"], 12),
        (&["--import", "--export-odb"], 13),
        (&["--export", "--plan"], 13),
        (&["--import", "--input", "/no/such/file", "--exit-on-missing-file"], 2),
    ] {
        assert_eq!(server.run("enmasse", arguments).code, code, "{arguments:?}");
    }
    let old = [
        "--import",
        "--replace-odb-objects",
        "--server-url",
        "localhost:17010",
        "--rbac-sleep",
        "1",
        "--cols_width",
        "20,60",
    ];
    let output = server.enmasse(&old, FILE).expect_code(0);
    assert!(output.stderr.contains("--server-url does nothing"), "{}", output.stderr);

    // an export in 2.0's words is a file of 2.0's name
    let folder = server.scratch().join("old");
    fs::create_dir(&folder).unwrap();
    let mut command = server.command("enmasse");
    command.arg(server.directory()).arg("--export-odb").current_dir(&folder);
    let output = busbar_testkit::run(&mut command).expect_code(0);
    let name = output.stdout.trim();
    assert!(name.starts_with("zato-export-") && name.ends_with(".json"), "{name}");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.starts_with("{\n \"channel_rest\": [\n  {\n   \""), "{text}");

    // files are joined with each other, and with the server
    let local = "outconn_zmq: [{name: audit, address: 'tcp://127.0.0.1:35998', socket_type: PUB}]";
    let alone = server
        .enmasse(&["--export-local", "--output", "/dev/stdout"], local)
        .expect_code(0)
        .json();
    assert_eq!(alone.as_object().unwrap().len(), 1);
    let both = server
        .enmasse(&["--export-local", "--export-odb", "--output", "/dev/stdout"], local)
        .expect_code(0)
        .json();
    assert_eq!(both["outconn_zmq"].as_array().unwrap().len(), 2);

    let part = server.enmasse(
        &[
            "--plan",
            "--json",
            "--include-type",
            "outconn_zmq",
            "--include-name",
            "aud",
        ],
        local,
    );
    assert_eq!(part.expect_code(0).json()["create"].as_array().unwrap().len(), 1);
    let part = server.enmasse(&["--plan", "--json", "--include-name", "nothing of this"], local);
    assert_eq!(part.expect_code(0).json()["create"], json!([]));
}
