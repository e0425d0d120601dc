//! The examples of `docs/facilities.md`.

use busbar_testkit::{Answer, Backend};
use serde_json::json;

use crate::imap::Dovecot;
use crate::{repository, server};

/// A message with a file.
const ORDER: &str = "From: Anna <anna@example.com>
Subject: An order
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=part

--part
Content-Type: text/plain

See the file.
--part
Content-Type: text/csv
Content-Disposition: attachment; filename=order.csv

a,1
b,2
--part--
";

/// The code blocks of a language.
pub fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn examples_run() {
    let text = std::fs::read_to_string(repository().join("docs/facilities.md")).unwrap();
    let examples = blocks(&text, "python");
    assert!(!examples.is_empty());
    let mut server = server().prepare();
    for ini in blocks(&text, "ini") {
        let path = ini.lines().next().unwrap().strip_prefix("# ").unwrap();
        std::fs::write(server.directory().join(path), ini).unwrap();
    }
    for (number, example) in examples.iter().enumerate() {
        server.deploy(&format!("example{number}.py"), example);
    }
    server.start();
    let crm = Backend::new(|_| Answer::json(&json!({"name": "Anna"})));
    let login = Backend::always(Answer::json(&json!({"access_token": "t1", "expires_in": 60})));
    let tokens = json!({"name": "CRM tokens", "type": "bearer_token", "username": "my-client", "password": "secret",
        "auth_server_url": format!("{}/oauth2/token", login.url()), "scopes": "read write"});
    let dovecot = Dovecot::start();
    dovecot.deliver("", "1", ORDER);
    let objects = json!({
        "security": [tokens],
        "outgoing_rest": [{"name": "CRM", "host": crm.url(), "data_format": "json"}],
        "email_smtp": [{"name": "Mail", "host": "127.0.0.1", "port": 1, "mode": "plain"}],
        "email_imap": [dovecot.connection("Orders", json!({}))],
    });
    server.import(&objects.to_string()).expect_code(0);
    let mut command = server.command("service");
    let listed = busbar_testkit::run(command.arg("list").arg(server.directory()).arg("--json"));
    let listed = listed.expect_code(0).json();
    let services: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    for (number, example) in examples.iter().enumerate() {
        let module = format!("example{number}.");
        assert!(services.iter().any(|name| name.starts_with(&module)), "{example}");
    }
    for service in services {
        let answer = server.invoke(service, r#"{"id": 1}"#).expect(200).text();
        match service.split('.').next_back() {
            Some("host") => assert_eq!(answer, "crm.example.com 6"),
            Some("get-customer") => assert_eq!(answer, r#"{"name":"Anna"}"#),
            Some("crm-headers") => assert_eq!(answer, r#"{"Authorization":"Bearer t1"}"#),
            Some("read-orders") => assert_eq!(
                answer,
                r#"[{"from":"anna@example.com","name":"order.csv","lines":["a,1","b,2"]}]"#
            ),
            Some("stock") => assert_eq!(answer, r#"{"total":9,"picture":2}"#),
            Some("send-report") => assert_eq!(answer, r#"{"is_sent":false}"#),
            _ => {}
        }
    }
}
