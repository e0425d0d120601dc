//! [`busbar_connectors::ping`] against servers that are there, away, silent, or of another kind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use busbar_connectors::http::outgoing_config::OutgoingHttp;
use busbar_connectors::imap::EmailImap;
use busbar_connectors::ping::{Ping, can_ping, ping};
use busbar_connectors::redis::OutgoingRedis;
use busbar_connectors::smtp::EmailSmtp;
use busbar_connectors::sql::OutgoingSql;
use busbar_connectors::zmq::OutgoingZmq;
use busbar_model::object::{Object, ObjectType, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_testkit::{Answer, Backend, Database, free_port};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

fn record<T: Object>(fields: &Value) -> Record {
    Record {
        kind: T::KIND.to_owned(),
        name: "CRM".to_owned(),
        is_active: true,
        body: (ObjectType::of::<T>().normalise)(fields.as_object().unwrap())
            .unwrap()
            .into(),
        version: 1,
        id: 0,
    }
}

async fn ask(record: &Record) -> Result<Ping, Error> {
    let snapshot = Snapshot {
        revision: 1,
        records: Vec::new(),
    };
    ping(record, &snapshot, LIMIT).await
}

async fn info(record: &Record) -> String {
    let answer = ask(record).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(answer.elapsed > Duration::ZERO && answer.elapsed < LIMIT);
    answer.info
}

/// Kind and text of what is wrong.
async fn refusal(record: &Record) -> (Kind, String) {
    let error = ask(record).await.unwrap_err();
    assert!(!error.chain().contains("hunter2"), "{}", error.chain());
    (error.kind(), error.chain())
}

fn sql(fields: &Value) -> Record {
    let mut all = json!({"engine": "postgresql", "host": "127.0.0.1", "port": Database::postgresql_port(), "db_name": "test",
        "username": "postgres", "password": "hunter2"});
    for (field, value) in fields.as_object().unwrap() {
        all[field] = value.clone();
    }
    record::<OutgoingSql>(&all)
}

/// A server that answers each line with what `answer` says, to one client.
fn peer(greeting: &'static str, answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(greeting.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
            let answer = answer(line.trim());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            line.clear();
        }
    });
    port
}

#[tokio::test]
async fn databases() {
    let text = info(&sql(&json!({}))).await;
    assert!(
        text.starts_with("PostgreSQL ") && text.contains("/test answered SELECT 1 in 0."),
        "{text}"
    );
    let mysql = json!({"engine": "mysql+pymysql", "port": Database::mysql_port(), "username": "root", "password": ""});
    let text = info(&sql(&mysql)).await;
    assert!(text.contains("answered SELECT 1"), "{text}");
    let lite = info(&sql(
        &json!({"engine": "sqlite", "db_name": ":memory:", "host": "", "port": 0}),
    ))
    .await;
    assert!(lite.starts_with("SQLite 3."), "{lite}");

    let (kind, text) = refusal(&sql(&json!({"port": free_port()}))).await;
    assert_eq!(kind, Kind::Connection);
    assert!(
        text.starts_with("cannot ping outgoing.sql `CRM`: cannot connect to postgresql://postgres@127.0.0.1:"),
        "{text}"
    );
    let wrong = json!({"engine": "mysql", "port": Database::mysql_port(), "username": "nobody_of_busbar"});
    let (kind, text) = refusal(&sql(&wrong)).await;
    assert_eq!(kind, Kind::Unauthorized, "{text}");
    let (kind, text) = refusal(&sql(&json!({"db_name": "no_such_database"}))).await;
    assert!(kind == Kind::Internal && text.contains("no_such_database"), "{text}");
    let (kind, text) = refusal(&sql(&json!({"engine": "oracle"}))).await;
    assert!(kind == Kind::BadRequest && text.contains("SQLAlchemy"), "{text}");
}

#[tokio::test]
async fn redis() {
    let url = std::env::var("BUSBAR_TEST_REDIS").unwrap_or_else(|_| "redis://127.0.0.1:6379/0".to_owned());
    let place = url.split("://").nth(1).unwrap().split('/').next().unwrap();
    let (host, port) = place.rsplit_once(':').unwrap();
    let here = json!({"host": host, "port": port.parse::<u16>().unwrap()});
    let text = info(&record::<OutgoingRedis>(&here)).await;
    assert!(text.starts_with("Redis answered PING in 0."), "{text}");
    let mut wrong = here;
    wrong["password"] = json!("hunter2");
    wrong["username"] = json!("nobody_of_busbar");
    let (kind, text) = refusal(&record::<OutgoingRedis>(&wrong)).await;
    assert_eq!(kind, Kind::Unauthorized, "{text}");
    let away = json!({"host": "127.0.0.1", "port": free_port(), "password": "hunter2"});
    let (kind, text) = refusal(&record::<OutgoingRedis>(&away)).await;
    assert_eq!(kind, Kind::Connection, "{text}");
    assert!(text.starts_with("cannot ping outgoing.redis `CRM`: "), "{text}");
}

#[tokio::test]
async fn back_ends() {
    let backend = Backend::new(|request| {
        let cookie = ("Set-Cookie", "id=topsecret");
        Answer::respond(if request.path() == "/a/" { 404 } else { 500 }, &[cookie], b"")
    });
    let host = format!("http://{}", backend.address());
    let object =
        record::<OutgoingHttp>(&json!({"host": host, "url_path": "/a/{b}", "security": "Key", "ping_method": "GET"}));
    let key = Record {
        kind: "security.apikey".to_owned(),
        name: "Key".to_owned(),
        is_active: true,
        body: json!({"header": "X-API-Key", "password": "hunter2"})
            .as_object()
            .unwrap()
            .clone()
            .into(),
        version: 1,
        id: 0,
    };
    let snapshot = Snapshot::new(1, vec![key]);
    let text = ping(&object, &snapshot, LIMIT).await.unwrap().info;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("> GET {host}/a/"));
    assert!(lines.contains(&"> x-api-key: ***"), "{text}");
    assert!(lines.contains(&"< HTTP/1.1 404 Scripted"), "{text}");
    assert!(
        lines.last().unwrap().starts_with("Status 404, 0 bytes, after 0."),
        "{text}"
    );
    assert!(!text.contains("hunter2") && !text.contains("topsecret"), "{text}");
    let received = backend.received();
    assert_eq!(received[0].header("x-api-key"), Some("hunter2"));

    let away = record::<OutgoingHttp>(&json!({"host": format!("http://127.0.0.1:{}", free_port())}));
    assert_eq!(refusal(&away).await.0, Kind::Connection);
    let silent = Backend::always(Answer::Hang);
    let object = record::<OutgoingHttp>(&json!({"host": format!("http://{}", silent.address()), "timeout": 600}));
    let late = ping(&object, &snapshot, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(
        (late.kind(), late.message()),
        (Kind::Timeout, "outgoing.http `CRM` did not answer a ping within 0.3 s")
    );
}

#[tokio::test]
async fn mail_servers() {
    let port = peer("220 mail\r\n", |line| match line {
        line if line.starts_with("EHLO") => "250-mail\r\n250 HELP\r\n".to_owned(),
        "NOOP" => "250 OK\r\n".to_owned(),
        _ => "221 bye\r\n".to_owned(),
    });
    let object = record::<EmailSmtp>(&json!({"host": "127.0.0.1", "port": port, "mode": "plain"}));
    let text = info(&object).await;
    assert!(
        text.starts_with(&format!("SMTP server 127.0.0.1:{port} answered NOOP")),
        "{text}"
    );
    let busy = peer("421 too busy\r\n", |_| String::new());
    let object = record::<EmailSmtp>(&json!({"host": "127.0.0.1", "port": busy, "mode": "plain"}));
    let (kind, text) = refusal(&object).await;
    assert_eq!(kind, Kind::Unavailable);
    assert!(
        text.starts_with("email.smtp `CRM` did not answer a ping: ") && text.contains("too busy"),
        "{text}"
    );

    let imap = |line: &str| {
        let (tag, command) = line.split_once(' ').unwrap();
        match command {
            "LOGIN \"me\" \"right\"" | "NOOP" => format!("{tag} OK done\r\n"),
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
            _ => format!("{tag} NO go away\r\n"),
        }
    };
    for (password, is_let_in) in [("right", true), ("hunter2", false)] {
        let port = peer("* OK hello\r\n", imap);
        let fields =
            json!({"host": "127.0.0.1", "port": port, "mode": "plain", "username": "me", "password": password});
        let object = record::<EmailImap>(&fields);
        if is_let_in {
            let text = info(&object).await;
            assert!(
                text.starts_with(&format!("IMAP server 127.0.0.1:{port} let `me` in")),
                "{text}"
            );
        } else {
            let (kind, text) = refusal(&object).await;
            assert!(kind == Kind::Unauthorized && text.contains("go away"), "{text}");
        }
    }
}

#[tokio::test]
async fn zeromq_peers() {
    let directory = tempfile::tempdir().unwrap();
    let context = zmq::Context::new();
    let socket = context.socket(zmq::PULL).unwrap();
    socket.bind("tcp://127.0.0.1:*").unwrap();
    let address = socket.get_last_endpoint().unwrap().unwrap();
    let ipc = format!("ipc://{}/socket", directory.path().display());
    socket.bind(&ipc).unwrap();
    for address in [&address, &ipc] {
        let text = info(&record::<OutgoingZmq>(
            &json!({"address": address, "socket_type": "PUSH"}),
        ))
        .await;
        assert!(
            text.starts_with(&format!("a ZeroMQ peer answers at {address}")),
            "{text}"
        );
    }
    let own = address.replace("127.0.0.1", "*");
    let text = info(&record::<OutgoingZmq>(
        &json!({"address": own, "socket_type": "PUB", "socket_method": "bind"}),
    ))
    .await;
    assert!(text.starts_with("busbar's own ZeroMQ socket answers"), "{text}");

    let away = format!("tcp://127.0.0.1:{}", free_port());
    let (kind, text) = refusal(&record::<OutgoingZmq>(&json!({"address": away, "socket_type": "PUSH"}))).await;
    assert_eq!(kind, Kind::Connection, "{text}");
    let other = format!(
        "tcp://127.0.0.1:{}",
        peer("220 this is a mail server\r\n", |_| String::new())
    );
    let (kind, text) = refusal(&record::<OutgoingZmq>(
        &json!({"address": other, "socket_type": "PUSH"}),
    ))
    .await;
    assert!(
        kind == Kind::Protocol && text.contains("does not speak ZeroMQ"),
        "{text}"
    );
}

#[tokio::test]
async fn what_cannot_be_pinged_is_said() {
    let mut object = sql(&json!({}));
    object.is_active = false;
    assert_eq!(refusal(&object).await.0, Kind::Inactive);
    object.kind = "channel.http".to_owned();
    assert!(!can_ping(&object.kind));
    assert_eq!(refusal(&object).await.0, Kind::BadRequest);
}
