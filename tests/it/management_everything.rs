//! Services about objects of all types at once: what the command line does, through the doors of the management API.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_testkit::{Request, Response, TestServer, run};
use serde_json::{Value, json};

use crate::{ECHO, server};

const CANARY: &str = "c4nary-of-everything";

fn objects() -> String {
    format!(
        "
security:
  - {{name: shop, type: basic_auth, username: ann, password: {CANARY}}}
channel_rest:
  - {{name: orders, url_path: /orders, service: echo.echo, data_format: json, security_name: shop}}
"
    )
}

fn request(service: &str, input: &Value) -> Request {
    Request::new("POST", &format!("/zato/json/{service}")).body(input.to_string())
}

fn ask(server: &TestServer, service: &str, input: &Value) -> Response {
    server.send_admin(&request(service, input).basic("pubapi", server.password()))
}

/// What stands in the response element of an answer that is to succeed and to hold no secret.
#[track_caller]
fn ok(server: &TestServer, service: &str, input: &Value) -> Value {
    let response = ask(server, service, input).expect(200);
    assert!(!response.text().contains(CANARY), "{service}: {}", response.text());
    response.json()[format!("{}_response", service.replace(['.', '-'], "_"))].take()
}

#[test]
fn objects_are_planned_imported_exported_and_taken_back() {
    let server = server().service("echo.py", ECHO).start();
    let first = server.status()["revision"].as_u64().unwrap();
    let input = json!({"input": objects()});
    let plan = ok(&server, "busbar.enmasse.plan", &input);
    assert_eq!(plan["create"].as_array().unwrap().len(), 2, "{plan}");
    assert_eq!(server.status()["revision"], first);
    let applied = ok(&server, "busbar.enmasse.import", &input);
    assert_eq!(
        (&applied["created"][1]["name"], &applied["revision"]),
        (&json!("shop"), &json!(first + 1))
    );
    let order = || Request::new("POST", "/orders").basic("ann", CANARY).body("1");
    server.send(&order()).expect(200);

    // as an object, and only with replacing
    let tree = json!({"channel_rest": [{"name": "orders", "url_path": "/orders/v2", "service": "echo.echo", "data_format": "json"}]});
    let refused = ask(&server, "busbar.enmasse.import", &json!({"input": tree}));
    assert!(refused.text().contains("exists already"), "{}", refused.text());
    assert_eq!(refused.status, 409);
    ok(
        &server,
        "busbar.enmasse.import",
        &json!({"input": tree, "replace": true}),
    );
    server.post("/orders/v2", "1").expect(200);

    let channel = json!({"object_type": "channel.http", "name": "orders"});
    let versions = ok(&server, "busbar.history.get-version-list", &channel);
    assert_eq!(
        (&versions[0]["version"], &versions[0]["changed_by"]),
        (&json!(2), &json!("pubapi"))
    );
    assert!(versions[0]["changes"].to_string().contains("/orders/v2"), "{versions}");
    let changes = ok(&server, "busbar.history.get-list", &json!({"limit": 2}));
    assert_eq!(
        (changes.as_array().unwrap().len(), &changes[0]["revision"]),
        (2, &json!(first + 2))
    );
    let one = json!({"object_type": "channel.http", "name": "orders", "version": 1});
    assert_eq!(
        ok(&server, "busbar.rollback.object", &one)["changed"][0]["name"],
        "orders"
    );
    server.send(&order()).expect(200);

    // what deletes needs a plan that somebody has seen, and what a server needs is never deleted
    let start = json!({"revision": first});
    let plan = ok(&server, "busbar.rollback.plan", &start);
    assert_eq!(plan["deleted"].as_array().unwrap().len(), 2, "{plan}");
    ask(&server, "busbar.rollback.everything", &start).expect(409);
    ask(
        &server,
        "busbar.rollback.everything",
        &json!({"time": "2020-01-01T00:00:00Z"}),
    )
    .expect(409);
    let confirmed = json!({"revision": first, "confirm": plan["id"]});
    assert_eq!(
        ok(&server, "busbar.rollback.everything", &confirmed)["deleted"],
        plan["deleted"]
    );
    server.send(&order()).expect(404);

    // secrets are for those who say that they want them
    let then = json!({"revision": first + 1});
    let exported = ok(&server, "busbar.enmasse.export", &then);
    assert!(
        exported["text"].as_str().unwrap().contains("url_path: /orders\n"),
        "{exported}"
    );
    let all = json!({"revision": first + 1, "with_secrets": true, "format": "json", "include_type": "security"});
    let text = ask(&server, "busbar.enmasse.export", &all).expect(200).text();
    assert!(text.contains(CANARY) && !text.contains("/orders"), "{text}");
    for (service, input) in [
        ("busbar.enmasse.export", json!({"format": "toml"})),
        ("busbar.enmasse.export", json!({"include_type": "nothing"})),
        ("busbar.enmasse.plan", json!({"input": 1})),
        ("busbar.enmasse.plan", json!({"input": ""})),
        (
            "busbar.enmasse.plan",
            json!({"input": "security: [{name: a, type: basic_auth, username: Zato_Enmasse_Env.HOME}]"}),
        ),
        ("busbar.enmasse.plan", json!({"input": "include: [/etc/hostname]"})),
        ("busbar.rollback.plan", json!({})),
        (
            "busbar.rollback.plan",
            json!({"revision": 1, "time": "2020-01-01T00:00:00Z"}),
        ),
        ("busbar.rollback.plan", json!({"revision": -1})),
        (
            "busbar.rollback.object",
            json!({"object_type": "security", "name": "a", "version": 1}),
        ),
        ("busbar.backup.create", json!({"passphrase": ""})),
    ] {
        let response = ask(&server, service, &input);
        assert_eq!(response.status, 400, "{service} {input}: {}", response.text());
    }
}

#[test]
fn modules_are_taken_back_and_backups_made() {
    let mut server = server().service("echo.py", ECHO).enmasse(&objects()).start();
    server.deploy("echo.py", &ECHO.replace("self.request.payload", "'other'"));
    server.wait_log(&["deployed", "echo.py", "generation 2"]);
    let module = json!({"module": "echo"});
    let sources = ok(&server, "busbar.history.get-source-list", &module);
    assert_eq!(
        (&sources[0]["generation"], &sources[1]["generation"]),
        (&json!(2), &json!(1))
    );
    let back = ok(&server, "busbar.rollback.module", &module);
    assert_eq!(back, json!({"generation": 3, "services": ["echo.echo"]}));
    assert_eq!(server.invoke("echo.echo", "1").text(), "1");
    ask(&server, "busbar.rollback.module", &json!({"module": "nobody"})).expect(404);

    let backup = ok(&server, "busbar.backup.create", &json!({"passphrase": "correct horse"}));
    let sealed = STANDARD.decode(backup["backup"].as_str().unwrap()).unwrap();
    let file = server.scratch().join("all.backup");
    std::fs::write(&file, sealed).unwrap();
    server.stop();
    let mut restore = server.command("restore");
    restore.arg("--force").arg(server.directory()).arg(&file);
    run(restore.env("BUSBAR_PASSPHRASE", "correct horse")).expect_code(0);
    server.start();
    server
        .send(&Request::new("POST", "/orders").basic("ann", CANARY).body("1"))
        .expect(200);
}

const INVOKES: &str = "
from zato.server.service import Service

class Plan(Service):
    def handle(self):
        text = 'channel_rest: [{name: a, url_path: /a, service: invokes.plan}]'
        plan = self.invoke('busbar.enmasse.plan', {'input': text}, skip_response_elem=True)
        changes = self.invoke('busbar.history.get-list', {'limit': 1}, skip_response_elem=True)
        self.response.payload = [plan['create'][0]['name'], len(changes)]
";

const ROLES: &str = "
security: [{name: deputy, type: apikey, header: X-Deputy, password: d3puty}]
rbac_role: [{name: Deputy, parent: Root}]
rbac_role_permission:
  - {name: a, role: Deputy, service: '*', permission: Create}
  - {name: b, role: Deputy, service: '*', permission: Read}
  - {name: c, role: Deputy, service: '*', permission: Update}
  - {name: d, role: Deputy, service: 'busbar.*', permission: Update}
rbac_client_role: [{name: deputy, client_def: deputy, role: Deputy}]
";

#[test]
fn services_and_administrators_call_them_and_nobody_else() {
    let server = server().service("invokes.py", INVOKES).enmasse(ROLES).start();
    assert_eq!(server.invoke("invokes.plan", "").expect(200).text(), r#"["a",1]"#);

    let invoke = |service: &str| {
        let input = json!({"name": service, "payload": STANDARD.encode("{}"), "is_async": false});
        Request::new("POST", "/zato/admin/invoke").body(input.to_string())
    };
    let answer = server.send_admin(&invoke("busbar.history.get-list").basic("admin.invoke", server.admin_password()));
    let answer = answer.expect(200).json();
    let answer = STANDARD.decode(answer["response"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(answer).unwrap().contains("changed_by"));

    // roles allow one of them nothing, whatever they say
    let list = Request::new("POST", "/zato/json/zato.http-soap.get-list").body("{}");
    server.send_admin(&list.header("X-Deputy", "d3puty")).expect(200);
    for service in [
        "busbar.history.get-list",
        "busbar.history.get-version-list",
        "busbar.history.get-source-list",
        "busbar.rollback.object",
        "busbar.rollback.module",
        "busbar.rollback.plan",
        "busbar.rollback.everything",
        "busbar.enmasse.plan",
        "busbar.enmasse.import",
        "busbar.enmasse.export",
        "busbar.backup.create",
    ] {
        let own = request(service, &json!({}));
        server.send_admin(&own).expect(401);
        let own = request(service, &json!({})).header("X-Deputy", "d3puty");
        server.send_admin(&own).expect(403);
        server
            .send_admin(&invoke(service).header("X-Deputy", "d3puty"))
            .expect(403);
        // nor is there one on the address of clients
        let refused = server.invoke(service, "{}");
        assert_eq!(refused.status, 400, "{service}: {}", refused.text());
    }
}

#[test]
fn a_history_of_a_module_says_who_deployed_it() {
    let mut server = server().start();
    let me = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let me = me.trim();
    let file = server.scratch().join("echo.py");
    std::fs::write(&file, ECHO).unwrap();
    // SAFETY: geteuid cannot fail
    let owner = if unsafe { libc::geteuid() } == 0 {
        std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
        "nobody"
    } else {
        me
    };
    std::fs::rename(&file, server.pickup().join("echo.py")).unwrap();
    server.wait_log(&["deployed", "echo.py", "generation 1"]);

    let payload = STANDARD.encode(ECHO.replace("self.request.payload", "'uploaded'"));
    let upload = json!({"payload": payload, "payload_name": "echo.py"});
    ok(&server, "zato.service.upload-package", &upload);
    server.run("rollback", &["--module", "echo"]).expect_code(0);
    let (picked_up, cli) = (format!("pickup:{owner}"), format!("cli:{me}"));
    let by = |server: &TestServer| {
        let sources = ok(server, "busbar.history.get-source-list", &json!({"module": "echo"}));
        let names = sources.as_array().unwrap().iter().map(|it| it["deployed_by"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(by(&server), [cli.as_str(), "pubapi", &picked_up]);
    let text = server.run("history", &["--module", "echo"]).expect_code(0).stdout;
    assert!(text.contains(&format!("echo.py by {cli}\n")), "{text}");
    let services = ok(&server, "zato.service.get-deployment-info-list", &json!({}));
    let details: Value = serde_json::from_str(services[0]["details"].as_str().unwrap()).unwrap();
    assert_eq!(details["deployed_by"], cli);

    // a restart deploys what ran, and nobody else has
    server.stop();
    server.start();
    assert_eq!(by(&server)[0], cli);
}
