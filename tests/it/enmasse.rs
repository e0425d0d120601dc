//! `busbar enmasse`: the running server changes as the file says, all of it or nothing.

use std::fs;

use busbar_testkit::{Answer, Backend};
use serde_json::{Value, json};

use crate::{ECHO, OK, server};

const FILE: &str = "
security:
  - {name: shop, type: basic_auth, username: ann, password: s3cret-one, realm: Shop}
channel_rest:
  - {name: orders, url_path: /orders, service: echo.echo, data_format: json, security_name: shop}
outgoing_rest:
  - {name: CRM, host: 'http://127.0.0.1:9', url_path: '/c/{id}', data_format: json}
outconn_zmq:
  - {name: frauds, address: 'tcp://127.0.0.1:35999', socket_type: PUSH}
";

#[test]
fn an_import_changes_the_running_server() {
    let server = server().service("echo.py", ECHO).start();
    server.post("/orders", "1").expect(404);
    let output = server.import(FILE).expect_code(0);
    assert!(output.stdout.contains("orders"), "{}", output.stdout);
    server.post("/orders", "1").expect(401);
    let authorised = busbar_testkit::Request::new("POST", "/orders")
        .basic("ann", "s3cret-one")
        .body("1");
    server.send(&authorised).expect(200);
    // the same again is no change, and no obstacle
    server.import(FILE).expect_code(0);
    let secrets = server.log() + &server.status().to_string() + &output.stdout;
    assert!(!secrets.contains("s3cret-one"));
}

#[test]
fn what_is_there_and_different_is_changed_only_when_asked() {
    let server = server()
        .service("echo.py", ECHO)
        .service("ok.py", OK)
        .enmasse(FILE)
        .start();
    let changed = FILE
        .replace("/orders,", "/orders/v2,")
        .replace("s3cret-one", "s3cret-two");
    let output = server.import(&changed).expect_code(15);
    assert!(
        output.stderr.contains("orders") && output.stderr.contains("W01"),
        "{}",
        output.stderr
    );
    server.post("/orders", "1").expect(401);
    server.enmasse(&["--import", "--replace"], &changed).expect_code(0);
    server.post("/orders", "1").expect(404);
    let authorised = busbar_testkit::Request::new("POST", "/orders/v2")
        .basic("ann", "s3cret-two")
        .body("1");
    server.send(&authorised).expect(200);
}

#[test]
fn a_plan_shows_and_does_nothing() {
    let server = server()
        .service("echo.py", ECHO)
        .enmasse("channel_rest: [{name: a, url_path: /a, service: echo.echo, data_format: json}]")
        .start();
    let yaml = "
channel_rest:
  - {name: a, url_path: /changed, service: echo.echo, data_format: json}
  - {name: b, url_path: /b, service: echo.echo, data_format: json}
security:
  - {name: shop, type: basic_auth, username: ann, password: s3cret}
";
    let before = server.status()["revision"].clone();
    let output = server.enmasse(&["--plan"], yaml).expect_code(0);
    for text in ["/changed", "/a", "b", "shop"] {
        assert!(output.stdout.contains(text), "no {text} in:\n{}", output.stdout);
    }
    assert!(!output.stdout.contains("s3cret"));
    let plan = server
        .enmasse(&["--plan", "--format", "json"], yaml)
        .expect_code(0)
        .json();
    assert_eq!(
        (
            plan["create"].as_array().unwrap().len(),
            plan["change"].as_array().unwrap().len()
        ),
        (2, 1),
        "{plan:#}"
    );
    assert_eq!(server.status()["revision"], before);
    server.post("/a", "1").expect(200);
    server.post("/b", "1").expect(404);
}

#[test]
fn all_or_nothing_and_every_mistake_is_named() {
    let server = server().service("echo.py", ECHO).start();
    let before = server.status()["revision"].clone();
    let yaml = "
channel_rest:
  - {name: good, url_path: /good, service: echo.echo, data_format: json}
  - {name: no-path, service: echo.echo}
  - {name: colour, url_path: /x, service: echo.echo, colour: red}
  - {url_path: /z, service: echo.echo}
security:
  - {name: strange, type: telepathy}
nonsense:
  - {name: x}
";
    let output = server.import(yaml).expect_code(15);
    for text in ["no-path", "url_path", "colour", "telepathy", "nonsense"] {
        assert!(output.stderr.contains(text), "no {text} in:\n{}", output.stderr);
    }
    let dangling = "
channel_rest:
  - {name: good, url_path: /good, service: echo.echo, data_format: json}
  - {name: secured, url_path: /y, service: echo.echo, security_name: not-there}
";
    let output = server.import(dangling).expect_code(15);
    assert!(output.stderr.contains("not-there"), "{}", output.stderr);
    server.post("/good", "1").expect(404);
    assert_eq!(server.status()["revision"], before);

    for (text, expected) in [
        ("channel_rest: [", ""),
        ("just text", ""),
        ("a: &a [*a]", ""),
        ("\u{0}", ""),
        ("- 1\n- 2", ""),
    ] {
        let output = server.import(text).expect_code(15);
        assert!(
            output.stderr.contains(expected) && !output.stderr.contains("panicked"),
            "{}",
            output.stderr
        );
    }
    // two objects that cannot both be
    let twice = "
channel_rest:
  - {name: a, url_path: /same, service: echo.echo}
  - {name: b, url_path: /same, service: echo.echo}
";
    let output = server.import(twice).expect_code(15);
    assert!(
        output.stderr.contains("/same") || output.stderr.contains("`b`"),
        "{}",
        output.stderr
    );
    server.post("/same", "1").expect(404);

    server
        .run("enmasse", &["--import", "--input", "/no/such/file.yaml"])
        .expect_code(2);
    assert_ne!(server.run("enmasse", &[]).code, 0);
    assert_ne!(server.run("enmasse", &["--import", "--export"]).code, 0);
}

#[test]
fn an_export_reads_back_without_its_secrets() {
    let server = server().service("echo.py", ECHO).enmasse(FILE).start();
    let text = server.run("enmasse", &["--export"]).expect_code(0).stdout;
    assert!(
        text.contains("orders") && text.contains("frauds") && text.contains("CRM"),
        "{text}"
    );
    assert!(
        !text.contains("s3cret-one") && !text.contains(server.password()),
        "{text}"
    );
    // it came from here, so that it changes nothing, the password included
    server.enmasse(&["--import", "--replace"], &text).expect_code(0);
    let authorised = busbar_testkit::Request::new("POST", "/orders")
        .basic("ann", "s3cret-one")
        .body("1");
    server.send(&authorised).expect(200);

    let output = server.scratch().join("out.json");
    let arguments = [
        "--export",
        "--format",
        "json",
        "--with-secrets",
        "--output",
        output.to_str().unwrap(),
    ];
    server.run("enmasse", &arguments).expect_code(0);
    let full: Value = serde_json::from_str(&fs::read_to_string(&output).unwrap()).unwrap();
    let shop = full["security"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "shop")
        .unwrap();
    assert_eq!(shop["password"], "s3cret-one");

    // another server becomes the same
    let other = crate::server().service("echo.py", ECHO).start();
    other
        .enmasse(&["--import", "--replace"], &full.to_string())
        .expect_code(0);
    other.send(&authorised).expect(200);
    let only = server
        .run(
            "enmasse",
            &["--export", "--include-type", "outconn_zmq", "--format", "json"],
        )
        .expect_code(0)
        .json();
    assert_eq!(only.as_object().unwrap().keys().collect::<Vec<_>>(), ["outconn_zmq"]);
}

#[test]
fn files_of_zato_2_0_are_read() {
    let backend = Backend::always(Answer::json(&json!({"from": "CRM"})));
    let server = server()
        .service(
            "receive.py",
            "
from zato.server.service import Service

class Receive(Service):
    def handle(self):
        self.response.payload = self.outgoing.plain_http.get('CRM').conn.get(self.cid).data
",
        )
        .start();
    let old = json!({
        "def_sec": [{"type": "basic_auth", "name": "shop", "username": "shop", "password": "s3", "realm": "Shop", "is_active": true}],
        "channel_plain_http": [{"name": "orders.in", "is_active": true, "is_internal": false, "url_path": "/orders", "connection": "channel",
            "transport": "plain_http", "service": "receive.receive", "sec_def": "shop", "data_format": "json"}],
        "outconn_plain_http": [{"name": "CRM", "is_active": true, "is_internal": false, "url_path": "/crm", "connection": "outgoing",
            "transport": "plain_http", "host": backend.url(), "sec_def": "zato-no-security"}],
        "outconn_zmq": [{"name": "Fraud detection", "is_active": true, "address": "tcp://127.0.0.1:35101", "socket_type": "PUSH"}],
    });
    server.import(&old.to_string()).expect_code(0);
    let request = busbar_testkit::Request::new("GET", "/orders").basic("shop", "s3");
    assert_eq!(server.send(&request).expect(200).json(), json!({"from": "CRM"}));
}

#[test]
fn the_environment_fills_in_secrets_and_included_files_are_read() {
    let server = server()
        .service("echo.py", ECHO)
        .variable("Shop_Password", "from-the-environment")
        .start();
    fs::write(
        server.scratch().join("part.yaml"),
        "security: [{name: shop, type: basic_auth, username: ann, password: Zato_Enmasse_Env.Shop_Password}]",
    )
    .unwrap();
    let yaml = "
include: [part.yaml]
channel_rest: [{name: a, url_path: /a, service: echo.echo, data_format: json, security_name: shop}]
";
    server.import(yaml).expect_code(0);
    let request = busbar_testkit::Request::new("POST", "/a")
        .basic("ann", "from-the-environment")
        .body("1");
    server.send(&request).expect(200);
    let output =
        server.import("security: [{name: s2, type: basic_auth, username: bob, password: Zato_Enmasse_Env.Not_Set}]");
    assert_eq!(output.code, 15, "{}", output.stdout);
    assert!(output.stderr.contains("Not_Set"), "{}", output.stderr);
}

#[test]
fn objects_outlive_a_restart() {
    let mut server = server().service("echo.py", ECHO).enmasse(FILE).start();
    let before = server
        .run("enmasse", &["--export", "--with-secrets"])
        .expect_code(0)
        .stdout;
    server.stop();
    server.start();
    assert_eq!(
        server
            .run("enmasse", &["--export", "--with-secrets"])
            .expect_code(0)
            .stdout,
        before
    );
    server.post("/orders", "1").expect(401);
}

#[test]
fn imports_under_load_lose_no_request() {
    let server = server().service("ok.py", OK).channel("/ok", "ok.ok").start();
    let load = busbar_testkit::Load::start(
        server.address(),
        4,
        std::time::Duration::from_millis(1),
        busbar_testkit::Request::new("GET", "/ok"),
    );
    for number in 0..20 {
        let yaml = format!(
            "
channel_rest: [{{name: other, url_path: /other/{number}, service: ok.ok, data_format: json}}]
outgoing_rest: [{{name: out, host: 'http://127.0.0.1:9', url_path: /{number}}}]
"
        );
        server.enmasse(&["--import", "--replace"], &yaml).expect_code(0);
        server.get(&format!("/other/{number}")).expect(200);
    }
    load.stop().expect_all_well();
}

#[test]
fn hundreds_of_objects_in_one_file() {
    let server = server().service("ok.py", OK).start();
    let channels: Vec<_> = (0..500)
        .map(|n| json!({"name": format!("c{n}"), "url_path": format!("/c/{n}"), "service": "ok.ok", "data_format": "json"}))
        .collect();
    server
        .import(&json!({"channel_rest": channels}).to_string())
        .expect_code(0);
    for n in [0, 250, 499] {
        server.get(&format!("/c/{n}")).expect(200);
    }
    server.get("/c/500").expect(404);
}

#[test]
fn imports_at_once_are_whole_each() {
    let server = server().service("ok.py", OK).start();
    let mut imports = Vec::new();
    for file in 0..4 {
        let channels: Vec<_> = (0..20)
            .map(|n| json!({"name": format!("c{file}-{n}"), "url_path": format!("/c/{file}/{n}"), "service": "ok.ok"}))
            .collect();
        let path = server.scratch().join(format!("part-{file}.json"));
        fs::write(&path, json!({"channel_rest": channels}).to_string()).unwrap();
        let mut command = server.command("enmasse");
        command.arg(server.directory()).args(["--import", "--input"]).arg(path);
        imports.push(std::thread::spawn(move || busbar_testkit::run(&mut command)));
    }
    for import in imports {
        import.join().unwrap().expect_code(0);
    }
    for file in 0..4 {
        for n in 0..20 {
            server.get(&format!("/c/{file}/{n}")).expect(200);
        }
    }
}

#[test]
fn whoever_nobody_can_log_in_with_is_told_of() {
    let server = server().start();
    let file = "
security:
  - {name: shop, type: basic_auth, username: ann}
  - {name: users, type: jwt, username: joe, password: null}
  - {name: set, type: basic_auth, username: bob, password: s3cret}
  - {name: backend, type: ntlm, username: SHOP\\ann}
  - {name: header, type: xpath_sec, username: ann, username_expr: //u}
";
    let without = |kind: &str, name: &str| format!("! {kind} `{name}`: has no password, and refuses every caller");
    let expected = [without("security.basic_auth", "shop"), without("security.jwt", "users")];
    for output in [server.enmasse(&["--plan"], file), server.import(file).expect_code(0)] {
        for warning in &expected {
            assert!(output.stdout.contains(warning), "{}", output.stdout);
        }
        assert_eq!(output.stdout.matches("has no password").count(), 2, "{}", output.stdout);
    }
    // whoever was told once is not told again of what stays as it is
    let again = server.import(file).expect_code(0);
    assert!(!again.stdout.contains("has no password"), "{}", again.stdout);
}
