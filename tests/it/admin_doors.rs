//! The doors of the management API: where they are, who may come in, what they answer to others, and that they give no secret away.

use std::fs;
use std::process::Command;

use busbar_testkit::{Output, Request, Response, TestServer, process, run};
use serde_json::{Value, json};

use crate::http_protocol::certificate;
use crate::{OK, busbar, server};

/// An envelope around a request to a management service.
fn envelope(service: &str, input: &str) -> String {
    let element = format!("{}_request", service.replace(['.', '-'], "_"));
    format!(
        "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:z=\"https://zato.io/ns/20130518\">\
         <soapenv:Body><z:{element}>{input}</z:{element}></soapenv:Body></soapenv:Envelope>"
    )
}

/// A request to a management service by URL.
pub fn manage(service: &str) -> Request {
    Request::new("POST", &format!("/zato/json/{service}")).body("{}")
}

/// A request that any server answers to `pubapi`, whoever else there is.
fn knock() -> Request {
    Request::new("POST", "/zato/api/invoke/pub.zato.ping").body("{}")
}

/// What an error of the management API looks like.
#[track_caller]
fn expect_error(response: &Response, status: u16) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    let body = response.json();
    let details = body["zato_env"]["details"].clone();
    let expected = json!({"zato_env": {"result": "ZATO_ERROR", "cid": response.cid(), "details": details}});
    assert_eq!(body, expected);
    details
}

fn set_password(server: &TestServer, name: &str, arguments: &[&str], typed: &str) -> Output {
    let mut command = server.command("password");
    command.arg("set").arg(server.directory()).arg(name).args(arguments);
    process::run_with(&mut command, typed.as_bytes())
}

#[test]
fn administrators_have_an_address_of_their_own() {
    let server = server().service("ok.py", OK).channel("/ok", "ok.ok").start();
    let status = server.status();
    assert_eq!(status["admin_address"], format!("http://{}", server.admin_address()));
    assert!(server.admin_address().ip().is_loopback());
    let text = server.run("status", &[]).expect_code(0).stdout;
    assert!(
        text.contains(&format!("admin     http://{}", server.admin_address())),
        "{text}"
    );

    // what one answers is not there on the other
    let doors = [
        "/zato/json/zato.ping",
        "/zato/soap",
        "/zato/admin/invoke",
        "/zato/internal/invoke",
        "/zato/deploy/a.py",
        "/ide-deploy",
    ];
    for path in doors {
        let request = Request::new("POST", path)
            .basic("admin.invoke", server.admin_password())
            .body("{}");
        let response = server.send(&request).expect(404);
        assert_eq!(response.text(), format!("URL not found (CID:{})", response.cid()));
        let other = server.send_admin(&request);
        assert!(!other.text().starts_with("URL not found"), "{path}: {}", other.text());
    }
    server.post("/ok", "{}").expect(200);
    let response = server.send_admin(&Request::new("GET", "/ok")).expect(404);
    assert_eq!(response.text(), format!("URL not found (CID:{})", response.cid()));
    server.send_admin(&Request::new("GET", "/zato/ping")).expect(200);
    let openapi = Request::new("GET", "/openapi.json");
    server.send_admin(&openapi).expect(401);
    let openapi = openapi.basic("pubapi", server.password());
    assert!(server.send_admin(&openapi).expect(200).json()["paths"].is_object());

    // internal services stay where they are
    let invoke = |service: &str| {
        let path = format!("/zato/api/invoke/{service}");
        Request::new("POST", &path)
            .basic("pubapi", server.password())
            .body("{}")
    };
    server.send(&invoke("zato.service.get-list")).expect(400);
    for response in [server.send(&invoke("ok.ok")), server.send_admin(&invoke("ok.ok"))] {
        assert_eq!(response.expect(200).text(), r#"{"ok":true}"#);
    }
    let pong = server.send_admin(&invoke("pub.zato.ping")).expect(200).json();
    assert_eq!(
        (&pong["pong"], &pong["zato_env"]["result"]),
        (&json!("zato"), &json!("ZATO_OK"))
    );
}

#[test]
fn whoever_is_refused_is_told_in_the_format_of_the_door() {
    let server = server().start();
    for (path, realm) in [
        ("/zato/json/zato.ping", "Zato public API"),
        ("/zato/api/invoke/zato.ping", "Zato public API"),
        ("/zato/admin/invoke", "Zato admin invoke"),
        ("/zato/deploy/a.py", "Zato admin invoke"),
        ("/zato/internal/invoke", "Zato internal invoke"),
        ("/ide-deploy", "Zato IDE"),
    ] {
        for request in [
            Request::new("POST", path),
            Request::new("POST", path).body("not JSON"),
            Request::new("POST", path).basic("nobody", "guess"),
            // of the same address as the others, and with a password that is not set
            Request::new("POST", path).basic("ide_publisher", ""),
        ] {
            let response = server.send_admin(&request);
            expect_error(&response, 401);
            let challenge = format!("Basic realm=\"{realm}\"");
            assert_eq!(response.header("www-authenticate"), Some(&*challenge), "{path}");
        }
    }
    let soap = Request::new("POST", "/zato/soap")
        .header("SOAPAction", "zato.ping")
        .body(envelope("zato.ping", ""));
    let response = server.send_admin(&soap).expect(401);
    assert_eq!(
        response.header("www-authenticate"),
        Some("Basic realm=\"Zato public API\"")
    );
    let text = response.text();
    assert!(text.starts_with("<SOAP-ENV:Envelope"), "{text}");
    assert!(text.contains("<faultcode>SOAP-ENV:Client</faultcode>"), "{text}");
    assert!(
        text.contains(&format!("cid [{}], faultstring [", response.cid())),
        "{text}"
    );

    let with_action = |action: Option<&str>| {
        let request = Request::new("POST", "/zato/soap").basic("pubapi", server.password());
        let request = match action {
            Some(action) => request.header("SOAPAction", action),
            None => request,
        };
        server.send_admin(&request.body(envelope("zato.ping", "")))
    };
    for missing in [None, Some(""), Some("\"\"")] {
        let text = with_action(missing).expect(500).text();
        assert!(
            text.contains("SOAPAction") && text.contains("SOAP-ENV:Client"),
            "{text}"
        );
    }
    let unknown = with_action(Some("zato.no.such")).expect(404);
    let expected = format!(
        "CID:`{}` Unknown URL:`/zato/soap` or SOAP action:`zato.no.such`",
        unknown.cid()
    );
    assert_eq!(unknown.text(), expected);
    for action in ["zato.ping", "\"zato.ping\""] {
        let text = with_action(Some(action)).expect(200).text();
        assert!(text.contains("<pong>zato</pong>") && text.contains("ZATO_OK"), "{text}");
    }

    // a page of another site, with what the browser remembers
    let page = knock().basic("pubapi", server.password());
    expect_error(
        &server.send_admin(&page.clone().header("Origin", "https://shop.example")),
        403,
    );
    server
        .send_admin(&page.header("Origin", "http://localhost"))
        .expect(200);

    // no such service, and a path that is none
    let request = manage("zato.no.such").basic("pubapi", server.password());
    expect_error(&server.send_admin(&request), 404);
    server.send_admin(&Request::new("GET", "/zato/json/")).expect(404);
    let get = Request::new("GET", "/zato/deploy/a.py").basic("admin.invoke", server.admin_password());
    assert_eq!(server.send_admin(&get).expect(405).header("allow"), Some("POST, PUT"));
}

#[test]
fn one_address_may_do_for_both() {
    let server = server()
        .service("ok.py", OK)
        .channel("/ok", "ok.ok")
        .config("[admin]\naddress = \"off\"\non_main_listener = true")
        .start();
    assert_eq!(server.status()["admin_address"], "");
    server.post("/ok", "{}").expect(200);
    let request = knock();
    expect_error(&server.send(&request), 401);
    let pong = server
        .send(&request.basic("pubapi", server.password()))
        .expect(200)
        .json();
    assert_eq!(pong["zato_env"]["result"], "ZATO_OK");
    for service in ["pub.zato.ping", "ok.ok"] {
        server.invoke(service, "{}").expect(200);
    }
}

#[test]
fn administrators_speak_tls_if_clients_do() {
    let mut server = server()
        .config("[http]\ntls = { certificate = \"server.pem\", key = \"server.key\" }")
        .prepare();
    let config = server.directory().join("config");
    certificate(&config);
    server.start();
    let address = server.admin_address();
    assert_eq!(server.status()["admin_address"], format!("https://{address}"));
    let output = run(Command::new("curl")
        .args(["-sS", "--max-time", "30", "--cacert"])
        .arg(config.join("server.pem"))
        .args(["-u", &format!("pubapi:{}", server.password()), "-d", "{}"])
        .arg(format!("https://{address}/zato/api/invoke/pub.zato.ping")));
    assert!(output.stdout.contains("ZATO_OK"), "{output:?}");
}

#[test]
fn quickstart_writes_an_address_beside_the_other() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&[][..], "127.0.0.1:8183"),
        (&["--address", "0.0.0.0:18123"], "127.0.0.1:15083"),
    ] {
        let name = format!("env{}", arguments.len());
        let output = run(busbar("quickstart", home.path()).arg(&name).args(arguments)).expect_code(0);
        let config = fs::read_to_string(home.path().join(name).join("server1/config/server.toml")).unwrap();
        assert!(
            config.contains(&format!("[admin]\naddress = \"{expected}\"")),
            "{config}"
        );
        assert!(
            output.stdout.contains(&format!("/zato/admin/invoke on {expected}")),
            "{}",
            output.stdout
        );
    }
}

#[test]
fn two_servers_stand_side_by_side() {
    let (one, two) = (server().start(), server().start());
    assert_ne!(one.admin_address(), two.admin_address());
    let ask = |server: &TestServer, password: &str| server.send_admin(&knock().basic("pubapi", password));
    for (server, other) in [(&one, &two), (&two, &one)] {
        ask(server, server.password()).expect(200);
        ask(server, other.password()).expect(401);
    }
    // an address that is taken is named, and where it is set
    let mut third = server()
        .config(&format!("[admin]\naddress = \"{}\"", one.admin_address()))
        .prepare();
    let output = third.run("start", &[]).expect_code(18);
    assert!(
        output.stderr.contains("[admin]") && output.stderr.contains(&one.admin_address().to_string()),
        "{}",
        output.stderr
    );
    assert!(third.has_ended());
}

#[test]
fn passwords_of_administrators_are_kept_as_hashes() {
    let mut server = server().start();
    let export = |server: &TestServer| {
        let arguments = ["--export", "--format", "json", "--with-secrets"];
        server.run("enmasse", &arguments).expect_code(0).json()
    };
    let kept = |server: &TestServer, name: &str| {
        let all = export(server)["security"].as_array().cloned().unwrap();
        let found = all.into_iter().find(|it| it["name"] == name).unwrap();
        found["password"].as_str().unwrap().to_owned()
    };
    for name in ["pubapi", "admin.invoke"] {
        assert!(kept(&server, name).starts_with("$argon2id$"));
    }
    assert_eq!(kept(&server, "ide_publisher"), "");
    let ping = |server: &TestServer, password: &str| server.send_admin(&knock().basic("pubapi", password)).status;
    assert_eq!(ping(&server, server.password()), 200);
    // who reads the hash cannot log in with it
    assert_eq!(ping(&server, &kept(&server, "pubapi")), 401);

    // by the command, running or not
    set_password(&server, "pubapi", &[], "by hand\n").expect_code(0);
    assert_eq!((ping(&server, "by hand"), ping(&server, server.password())), (200, 401));
    let hash = kept(&server, "pubapi");
    assert!(hash.starts_with("$argon2id$"));
    let output = set_password(&server, "admin.invoke", &["--generate"], "").expect_code(0);
    let generated = output.stdout.split('`').nth(3).unwrap().to_owned();
    assert!(generated.len() >= 16, "{}", output.stdout);
    let invoke = Request::new("POST", "/zato/admin/invoke").body(r#"{"name": "pub.zato.ping"}"#);
    let invoke = |server: &TestServer, password: &str| {
        server
            .send_admin(&invoke.clone().basic("admin.invoke", password))
            .status
            != 401
    };
    assert!(invoke(&server, &generated) && !invoke(&server, server.admin_password()));
    server.stop();
    set_password(&server, "pubapi", &[], "while it was stopped").expect_code(0);
    server.start();
    assert_eq!(
        (ping(&server, "while it was stopped"), ping(&server, "by hand")),
        (200, 401)
    );
    assert!(invoke(&server, &generated));

    // by enmasse: the same again is no change
    let file =
        "security: [{name: pubapi, type: basic_auth, username: pubapi, realm: Zato public API, password: by file}]";
    server.enmasse(&["--import", "--replace"], file).expect_code(0);
    assert_eq!(
        (ping(&server, "by file"), ping(&server, "while it was stopped")),
        (200, 401)
    );
    let again = server.enmasse(&["--import", "--replace"], file).expect_code(0);
    assert!(again.stdout.contains("0 changed"), "{}", again.stdout);
    // any other definition has one that can be sent too
    server
        .import("security: [{name: shop, type: basic_auth, username: ann, password: a}]")
        .expect_code(0);
    set_password(&server, "shop", &[], "b\n").expect_code(0);
    assert_eq!(kept(&server, "shop"), "b");

    for (name, typed, code, said) in [
        ("nobody", "x", 15, "no security definition"),
        ("shop", "\n", 15, "must not be empty"),
    ] {
        let output = set_password(&server, name, &[], typed).expect_code(code);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    let sends = "outgoing_rest: [{name: out, host: 'http://127.0.0.1:9', url_path: /, security_name: pubapi}]";
    let output = server.import(sends).expect_code(15);
    assert!(output.stderr.contains("only a hash is kept"), "{}", output.stderr);
    for secret in ["by hand", "by file", "while it was stopped", &generated] {
        assert!(!server.log().contains(secret));
    }
}

#[test]
fn guessing_is_slowed_down() {
    let server = server().start();
    let ping = |password: &str| server.send_admin(&knock().basic("pubapi", password));
    ping(server.password()).expect(200);
    for _ in 0..10 {
        expect_error(&ping("guess"), 401);
    }
    let response = ping(server.password());
    expect_error(&response, 429);
    assert!(response.header("retry-after").unwrap().parse::<u32>().unwrap() <= 60);
    let invoke = Request::new("POST", "/zato/api/invoke/zato.ping").basic("pubapi", server.password());
    server.send(&invoke).expect(429);
    // others of this address need not wait
    let body = r#"{"name": "pub.zato.ping"}"#;
    let admin = Request::new("POST", "/zato/admin/invoke").basic("admin.invoke", server.admin_password());
    assert!(!matches!(server.send_admin(&admin.body(body)).status, 401 | 429));
    server.wait_log(&["credentials were refused by channel `admin.api.invoke`"]);
    server.wait_log(&["further ones are refused", "127.0.0.1"]);
    assert!(!server.log().contains("guess"));
}

#[test]
fn roles_let_others_manage_a_part() {
    let server = server()
        .service("ok.py", OK)
        .enmasse(
            "
security:
  - {name: viewer, type: basic_auth, username: viewer, password: v}
  - {name: robot, type: apikey, header: X-Key, password: k}
  - {name: app, type: jwt, username: app, password: a}
  - {name: guest, type: basic_auth, username: guest, password: g}
rbac_role:
  - {name: Viewer, parent: Root}
  - {name: Robot, parent: Viewer}
rbac_role_permission:
  - {name: viewers list, role: Viewer, service: 'zato.*.get-list', permission: Read}
  - {name: robots make channels, role: Robot, service: 'zato.http-soap.*', permission: Create}
  - {name: robots invoke, role: Robot, service: ok.ok, permission: Create}
rbac_client_role:
  - {name: viewer, client_def: viewer, role: Viewer}
  - {name: app, client_def: app, role: Viewer}
  - {name: robot, client_def: robot, role: Robot}
",
        )
        .start();
    let viewer = |request: Request| server.send_admin(&request.basic("viewer", "v"));
    let robot = |request: Request| server.send_admin(&request.header("X-Key", "k"));
    let list = || manage("zato.security.basic-auth.get-list").body(r#"{"cluster_id": 1}"#);
    let delete = || manage("zato.security.basic-auth.delete").body(r#"{"id": 1}"#);
    for response in [viewer(list()), robot(list())] {
        let text = response.expect(200).text();
        assert!(text.contains("guest") && text.contains("ZATO_OK"), "{text}");
    }
    for response in [viewer(delete()), robot(delete())] {
        expect_error(&response, 403);
    }
    let channel = json!({
        "cluster_id": 1, "name": "made", "is_active": true, "connection": "channel", "transport": "plain_http",
        "is_internal": false, "url_path": "/made", "service": "ok.ok", "data_format": "json",
    });
    let create = || manage("zato.http-soap.create").body(channel.to_string());
    expect_error(&viewer(create()), 403);
    robot(create()).expect(200);
    server.post("/made", "{}").expect(200);

    // with a token, and in the other formats
    let log_in = Request::new("POST", "/zato/jwt/log-in").body(r#"{"username": "app", "password": "a"}"#);
    let token = server.send_admin(&log_in).expect(200).json()["response"]["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    server.send_admin(&list().header("Authorization", &bearer)).expect(200);
    let soap = |action: &str| {
        let request = Request::new("POST", "/zato/soap").header("SOAPAction", action);
        viewer(request.body(envelope(action, "<cluster_id>1</cluster_id>")))
    };
    assert!(
        soap("zato.security.basic-auth.get-list")
            .expect(200)
            .text()
            .contains("guest")
    );
    assert!(
        soap("zato.security.basic-auth.create")
            .expect(403)
            .text()
            .contains("SOAP-ENV:Fault")
    );
    let invoke = |service: &str| {
        let body = json!({"name": service, "payload": "eyJjbHVzdGVyX2lkIjogMX0="});
        Request::new("POST", "/zato/admin/invoke").body(body.to_string())
    };
    viewer(invoke("zato.security.basic-auth.get-list")).expect(200);
    for service in ["zato.security.basic-auth.create", "ok.ok"] {
        expect_error(&viewer(invoke(service)), 403);
    }

    // services of users, by method
    let call = || Request::new("POST", "/zato/api/invoke/ok.ok").body("{}");
    robot(call()).expect(200);
    expect_error(&viewer(call()), 403);
    // nobody deploys who may only look, and who may nothing does not come in
    let deploy = Request::new("PUT", "/zato/deploy/a.py").body(OK);
    expect_error(&viewer(deploy), 401);
    expect_error(&server.send_admin(&list().basic("guest", "g")), 401);
    // a role that is taken away is gone at once
    let off = "rbac_client_role: [{name: viewer, client_def: viewer, role: Viewer, is_active: false}]";
    server.enmasse(&["--import", "--replace"], off).expect_code(0);
    expect_error(&viewer(list()), 401);
}

#[test]
fn files_are_deployed_as_curl_sends_them() {
    let server = server().start();
    let file = server.scratch().join("ok.py");
    fs::write(&file, OK).unwrap();
    let curl = |path: &str, user: &str, password: &str| {
        let output = run(Command::new("curl")
            .args(["-sS", "--max-time", "60", "-w", " %{http_code}"])
            .args(["-u", &format!("{user}:{password}"), "-T"])
            .arg(&file)
            .arg(format!("http://{}{path}", server.admin_address())));
        output.expect_code(0).stdout
    };
    // curl puts the file's name behind a slash
    let output = curl("/zato/deploy/", "admin.invoke", server.admin_password());
    assert!(output.contains("ok.ok") && output.ends_with(" 200"), "{output}");
    assert_eq!(server.invoke("ok.ok", "{}").expect(200).text(), r#"{"ok":true}"#);
    assert!(server.pickup().join("ok.py").is_file());
    for (path, user, status) in [
        ("/zato/deploy/ok.py", "pubapi", " 401"),
        ("/zato/deploy/ok.txt", "admin.invoke", " 400"),
        ("/zato/deploy/..%2fok.py", "admin.invoke", " 400"),
        ("/zato/deploy/src/..%2f..%2f..%2fok.py", "admin.invoke", " 400"),
    ] {
        let output = curl(path, user, server.admin_password());
        assert!(output.ends_with(status), "{path}: {output}");
    }
    fs::write(&file, "class Broken(").unwrap();
    let output = curl("/zato/deploy/ok.py", "admin.invoke", server.admin_password());
    assert!(output.contains("SyntaxError") && output.ends_with(" 400"), "{output}");
    server.invoke("ok.ok", "{}").expect(200);

    // from an editor, once that may
    set_password(&server, "ide_publisher", &[], "ide\n").expect_code(0);
    let body = json!({"payload_name": "ok2.py", "payload": "Y2xhc3MgQnJva2VuKA=="});
    let publish = |password: &str| {
        let request = Request::new("POST", "/ide-deploy").basic("ide_publisher", password);
        server.send_admin(&request.body(body.to_string()))
    };
    expect_error(&publish("guess"), 401);
    assert_eq!(publish("ide").expect(200).json()["success"], false);
}

#[test]
fn roles_and_permissions_are_there_from_the_start() {
    let server = server().start();
    let export = server
        .run("enmasse", &["--export", "--format", "json"])
        .expect_code(0)
        .json();
    let names = |key: &str| -> Vec<String> {
        let objects = export[key].as_array().unwrap().iter();
        objects.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("rbac_role"), ["Root"]);
    assert_eq!(names("rbac_permission"), ["Create", "Delete", "Read", "Update"]);
}

#[test]
fn calls_are_counted_for_prometheus() {
    let server = server().service("ok.py", OK).channel("/ok", "ok.ok").start();
    for _ in 0..3 {
        server.post("/ok", "{}").expect(200);
    }
    server.get("/metrics").expect(404);
    let ask = Request::new("GET", "/metrics");
    server.send_admin(&ask).expect(401);
    let response = server
        .send_admin(&ask.basic("admin.invoke", server.admin_password()))
        .expect(200);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = response.text();
    assert!(
        text.contains("# TYPE busbar_service_calls_total counter\nbusbar_service_calls_total{service=\"ok.ok\"} 3\n"),
        "{text}"
    );
    assert!(
        text.contains("busbar_service_seconds_total{service=\"ok.ok\"} 0."),
        "{text}"
    );
}
