//! `self.email.imap` where the mailbox is one of Microsoft 365: against a server that answers as its API does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use busbar_testkit::backend::Received;
use busbar_testkit::{Answer, Backend};
use serde_json::{Value, json};

use crate::server;

const SERVICES: &str = "
from zato.common.exception import ZatoException
from zato.server.service import Service

class Read(Service):
    def handle(self):
        conn = self.email.imap.get('Orders').conn
        assert conn.ping() is True
        seen = []
        for uid, message in conn.get():
            seen.append([uid, message.data.subject, message.data.sent_from[0].email])
            if 'old' in message.data.subject:
                message.delete()
            elif 'move' in message.data.subject:
                message.move('Done/2026')
            else:
                message.mark_seen()
        self.response.payload = [seen, [str(uid) for uid, _ in conn.get('INBOX')], [str(uid) for uid, _ in conn.get(\"Ann's\")]]

class Fails(Service):
    def handle(self):
        said = []
        for name in 'Orders', 'Denied', 'Lost', 'Elsewhere', 'Wrong':
            try: list(self.email.imap[name].conn.get('Nowhere' if name == 'Orders' else 'INBOX'))
            except Exception as e: said.append([type(e).__name__, str(e)])
        self.response.payload = said
";

/// One message of the mailbox.
struct Message {
    folder: &'static str,
    subject: &'static str,
    received: &'static str,
    is_read: bool,
}

type Box = Arc<Mutex<BTreeMap<&'static str, Message>>>;

fn message(folder: &'static str, subject: &'static str, received: &'static str) -> Message {
    Message {
        folder,
        subject,
        received,
        is_read: false,
    }
}

/// Shows two messages at a time, as the API does with more of them.
fn list(mailbox: &Box, folder: &str, request: &Received, host: &str) -> Answer {
    let mailbox = mailbox.lock().unwrap();
    let is_filtered = request.target.contains("isRead+ne+true");
    let found: Vec<_> = mailbox
        .iter()
        .filter(|(_, it)| it.folder == folder && !(is_filtered && it.is_read))
        .map(|(id, it)| json!({"id": id, "receivedDateTime": it.received}))
        .collect();
    let skip = request
        .target
        .split("$skip=")
        .nth(1)
        .map_or(0, |skip| skip.parse().unwrap());
    let page: Vec<_> = found.iter().skip(skip).take(2).cloned().collect();
    let mut answer = json!({"value": page});
    if found.len() > skip + 2 {
        let target = request.target.split("&$skip=").next().unwrap();
        answer["@odata.nextLink"] = json!(format!("{host}{target}&$skip={}", skip + 2));
    }
    Answer::json(&answer)
}

fn api(mailbox: &Box) -> Backend {
    let mailbox = Arc::clone(mailbox);
    Backend::new(move |request| {
        let host = format!("http://{}", request.header("host").unwrap_or_default());
        if request.path() == "/tenant/oauth2/v2.0/token" {
            let form = request.text();
            assert!(
                form.contains("grant_type=client_credentials") && form.contains("client_id=app"),
                "{form}"
            );
            assert!(
                form.contains("scope=http%3A%2F%2F127.0.0.1") && form.contains("%2F.default"),
                "{form}"
            );
            return match form.contains("client_secret=s3cret") {
                true => Answer::json(&json!({"access_token": "t0ken", "expires_in": 3600})),
                false => Answer::respond(401, &[], form.as_bytes()),
            };
        }
        if request.header("authorization") != Some("Bearer t0ken") {
            return Answer::respond(401, &[], b"{}");
        }
        assert_eq!(request.header("prefer"), Some("IdType=\"ImmutableId\""));
        let Some(path) = request.path().strip_prefix("/v1.0/users/orders%40example%2Ecom/") else {
            let error = json!({"error": {"code": "ErrorAccessDenied", "message": "not for you: t0ken"}});
            return Answer::respond(403, &[], error.to_string().as_bytes());
        };
        let parts: Vec<&str> = path.split('/').collect();
        let named = |id: &str| Answer::json(&json!({"value": [{"id": id}]}));
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["mailFolders", "inbox"]) => Answer::json(&json!({"id": "inbox"})),
            ("GET", ["mailFolders", folder, "messages"]) => list(&mailbox, folder, request, &host),
            ("GET", ["mailFolders"]) if request.target.contains("Ann%27%27s") => named("anns"),
            ("GET", ["mailFolders"]) if request.target.contains("Done") => named("done"),
            ("GET", ["mailFolders", "done", "childFolders"]) => named("done2026"),
            ("GET", ["mailFolders", ..]) => Answer::json(&json!({"value": []})),
            ("GET", ["messages", id, "$value"]) => match mailbox.lock().unwrap().get(*id) {
                Some(it) => Answer::text(
                    "text/plain",
                    &format!("From: ann@x.com\r\nSubject: {}\r\n\r\nbody\r\n", it.subject),
                ),
                None => Answer::respond(404, &[], b"{}"),
            },
            ("PATCH", ["messages", id]) => {
                assert_eq!(
                    serde_json::from_str::<Value>(&request.text()).unwrap(),
                    json!({"isRead": true})
                );
                mailbox.lock().unwrap().get_mut(*id).unwrap().is_read = true;
                Answer::json(&json!({}))
            }
            ("POST", ["messages", id, "move"]) => {
                assert_eq!(
                    serde_json::from_str::<Value>(&request.text()).unwrap(),
                    json!({"destinationId": "done2026"})
                );
                mailbox.lock().unwrap().get_mut(*id).unwrap().folder = "done2026";
                Answer::respond(201, &[], b"{}")
            }
            ("DELETE", ["messages", id]) => {
                mailbox.lock().unwrap().remove(*id);
                Answer::respond(204, &[], b"")
            }
            (method, path) => panic!("{method} {path:?}"),
        }
    })
}

#[test]
fn messages_are_read_marked_moved_and_deleted() {
    let mailbox = Box::default();
    mailbox.lock().unwrap().extend([
        ("a", message("inbox", "newest", "2026-01-05T00:00:00Z")),
        ("b", message("inbox", "an old one", "2026-01-01T00:00:00Z")),
        ("c", message("inbox", "to move", "2026-01-03T00:00:00Z")),
        ("d", message("anns", "hers", "2026-01-03T00:00:00Z")),
        (
            "e",
            Message {
                is_read: true,
                ..message("inbox", "seen", "2026-01-02T00:00:00Z")
            },
        ),
    ]);
    let api = api(&mailbox);
    let elsewhere = Backend::new(|request| match request.method.as_str() {
        "POST" => Answer::json(&json!({"access_token": "t0ken"})),
        _ => Answer::json(&json!({"value": [], "@odata.nextLink": "http://127.0.0.2:1/x"})),
    });
    let gone = busbar_testkit::backend::Refusing::new();
    let connection = |name: &str, url: &str, username: &str, password: &str| {
        json!({"name": name, "server_type": "microsoft-365", "tenant_id": "tenant", "client_id": "app", "username": username,
            "password": password, "api_url": format!("{url}/v1.0"), "token_url": format!("{url}/tenant/oauth2/v2.0/token"),
            "host": "", "port": 0, "mode": "ssl", "get_criteria": "UNSEEN", "debug_level": 2, "timeout": 10})
    };
    let objects = json!({"email_imap": [
        connection("Orders", &api.url(), "orders@example.com", "s3cret"),
        connection("Denied", &api.url(), "boss@example.com", "s3cret"),
        connection("Lost", &gone.url(), "orders@example.com", "s3cret"),
        connection("Elsewhere", &elsewhere.url(), "orders@example.com", "s3cret"),
        connection("Wrong", &api.url(), "orders@example.com", "hunter2"),
    ]});
    let server = server()
        .service("mail.py", SERVICES)
        .enmasse(&objects.to_string())
        .start();
    let answer = server.invoke("mail.read", "").expect(200).json();
    let seen = json!([
        ["b", "an old one", "ann@x.com"],
        ["c", "to move", "ann@x.com"],
        ["a", "newest", "ann@x.com"],
    ]);
    assert_eq!(answer, json!([seen, [], ["d"]]));
    {
        let mailbox = mailbox.lock().unwrap();
        let left: Vec<_> = mailbox.iter().map(|(id, it)| (*id, it.folder, it.is_read)).collect();
        assert_eq!(
            left,
            [
                ("a", "inbox", true),
                ("c", "done2026", false),
                ("d", "anns", false),
                ("e", "inbox", true)
            ]
        );
    }

    let said = server.invoke("mail.fails", "").expect(200).json();
    for (index, texts) in [
        &["ZatoException", "Nowhere"][..],
        &["ZatoException", "403 ErrorAccessDenied"],
        &["ConnectionException", "email.imap `Lost`"],
        &["ZatoException", "somewhere else"],
        &["ZatoException", "email.imap `Wrong`", "answered 401"],
    ]
    .iter()
    .enumerate()
    {
        let entry = said[index].to_string();
        assert!(texts.iter().all(|text| entry.contains(text)), "{texts:?} in {entry}");
    }
    let log = server.log();
    assert!(!said.to_string().contains("t0ken") && !log.contains("s3cret") && !log.contains("t0ken"));
}
