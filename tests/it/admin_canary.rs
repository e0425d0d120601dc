//! No door gives a secret away: each is set to a canary, everything that shows anything is looked at, and the canary is nowhere.

use std::fs;

use busbar_testkit::Request;
use serde_json::json;

use crate::admin_doors::manage;
use crate::{OK, repository, server};

const CANARY: &str = "c4nary-in-the-admin-mine";

/// A canary in the secret of every type of objects that has one.
fn canaries() -> String {
    let text = "
security:
  - {name: basic, type: basic_auth, username: ann, password: CANARY}
  - {name: key, type: apikey, password: CANARY}
  - {name: bearer, type: bearer_token, username: bus, password: CANARY, auth_server_url: 'http://127.0.0.1:9/token'}
  - {name: jwt, type: jwt, username: joe, password: CANARY}
  - {name: wss, type: wss, username: wes, password: CANARY}
  - {name: oauth, type: oauth, username: key, password: CANARY}
  - {name: xpath, type: xpath_sec, username: x, password: CANARY, username_expr: //u, password_expr: //p}
  - {name: account, type: tech_acc, password: CANARY}
  - {name: ntlm, type: ntlm, username: 'SHOP\\ann', password: CANARY}
  - {name: certificate, type: tls_key_cert, auth_data: /nowhere/CANARY.pem}
outconn_redis:
  - {name: redis, host: 127.0.0.1, port: 9, password: CANARY}
email_smtp:
  - {name: smtp, host: 127.0.0.1, port: 9, username: bus, password: CANARY}
email_imap:
  - {name: imap, host: 127.0.0.1, port: 9, username: bus, password: CANARY}
outgoing_sql:
  - {name: sql, engine: postgresql, host: 127.0.0.1, port: 9, db_name: none, username: bus, password: CANARY}
channel_rest:
  - {name: basic, url_path: /basic, service: ok.ok, data_format: json, security_name: basic}
outgoing_rest:
  - {name: sends, host: 'http://127.0.0.1:9', url_path: /, security_name: basic}
";
    text.replace("CANARY", CANARY)
}

/// Names of the management services that show something.
fn readers() -> Vec<String> {
    let catalogue = repository().join("server/admin/src/management/catalogue");
    let files = fs::read_dir(catalogue).unwrap().map(|entry| entry.unwrap().path());
    let text: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let readers = names.filter(|name| {
        let operation = name.rsplit('.').next().unwrap_or_default();
        ["get", "has", "is", "ping"].iter().any(|it| operation.starts_with(it))
    });
    readers.map(str::to_owned).collect()
}

#[test]
fn no_secret_is_given_away() {
    let server = server().service("ok.py", OK).start();
    server.import(&canaries()).expect_code(0);
    // whoever asks for secrets gets them, so all of them are there
    let export = server.run("enmasse", &["--export", "--with-secrets"]).expect_code(0);
    let fields = include_str!("../golden/secrets.txt").lines().count();
    assert_eq!(export.stdout.matches(CANARY).count(), fields, "{}", export.stdout);

    let mut seen = Vec::new();
    for output in [
        server.run("enmasse", &["--export"]),
        server.run("enmasse", &["--export", "--format", "json"]),
        server.enmasse(&["--plan"], &canaries()),
        server.import(&canaries().replace("ann", "bob")),
        server.import(&canaries().replace(CANARY, "0th3r")),
        server.run("status", &["--json"]),
        server.run("status", &[]),
    ] {
        seen.push(format!("{}{}", output.stdout, output.stderr));
    }
    let readers = readers();
    assert!(readers.len() > 50, "{readers:?}");
    let as_admin = |request: Request| {
        let response = server.send_admin(&request.basic("pubapi", server.password()));
        format!("{:?}\n{}", response.headers, response.text())
    };
    for service in &readers {
        for id in 1..=30 {
            let body = json!({
                "cluster_id": 1, "id": id, "name": "basic", "connection": "channel", "transport": "plain_http", "name_filter": "*",
                "type_": "", "service": "ok.ok",
            });
            let shown = as_admin(manage(service).body(body.to_string()));
            let is_list = service.ends_with("list") || shown.contains("missing");
            seen.push(format!("{service} {id}: {shown}"));
            if is_list {
                // the same for all
                break;
            }
        }
    }
    // what is wrong with a secret is told without it
    let edits = ["create", "edit", "change-password"];
    let kinds = ["basic-auth", "apikey", "jwt", "oauth", "wss", "xpath", "tech-account"];
    for (kind, edit) in kinds.iter().flat_map(|kind| edits.map(|edit| (kind, edit))) {
        for password in [json!(CANARY), json!([CANARY]), json!({CANARY: 1})] {
            let body = json!({
                "cluster_id": 1, "id": 1, "name": "basic", "password": password, "password1": password, "password2": "0th3r",
            });
            let request = manage(&format!("zato.security.{kind}.{edit}")).body(body.to_string());
            seen.push(format!("{kind} {edit}: {}", as_admin(request)));
        }
    }
    for path in ["/openapi.json", "/openapi"] {
        seen.push(as_admin(Request::new("GET", path)));
    }
    // a wrong password, in whatever place, is nobody's to see either
    for request in [
        manage("zato.ping").basic(CANARY, CANARY),
        manage("zato.ping").header("Authorization", &format!("Bearer {CANARY}")),
        Request::new("POST", "/zato/jwt/log-in").body(json!({"username": CANARY, "password": CANARY}).to_string()),
        Request::new("POST", "/basic").basic("ann", "wrong"),
    ] {
        seen.push(server.send_admin(&request).text());
        seen.push(server.send(&request).text());
    }
    for text in &seen {
        assert!(!text.contains(CANARY), "{text}");
        assert!(!text.contains("$argon2"), "{text}");
    }
    for line in server.log().lines() {
        assert!(!line.contains(CANARY) && !line.contains("$argon2"), "{line}");
    }
}
