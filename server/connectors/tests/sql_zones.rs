//! What sessions of PostgreSQL begin with, whatever the log-in: the time zone of the server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use busbar_connectors::sql::{Cell, Engine, Scanned, SqlRequest, SqlSession, SqlTarget};
use busbar_testkit::{OwnServer, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

async fn open(url: &str, options: &[(&str, &str)]) -> SqlSession {
    let options: Vec<_> = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let target = SqlTarget::of_url(url, &options).unwrap();
    SqlSession::open(target).await.unwrap()
}

/// The value of a setting.
async fn show(session: &SqlSession, setting: &str) -> String {
    let request = SqlRequest {
        scanned: Arc::new(Scanned::new(&format!("SHOW {setting}"), None, Engine::Postgres).unwrap()),
        lists: vec![Vec::new()],
        is_many: false,
    };
    let outcome = session.execute(request).await.unwrap();
    let mut rows = outcome.ready();
    let row = rows.next_row().unwrap();
    let Cell::Text(text) = row.cell(0).unwrap() else {
        panic!("a setting is text");
    };
    text.into_owned()
}

/// The zone of a new session.
async fn zone(url: &str, options: &[(&str, &str)]) -> String {
    let session = open(url, options).await;
    let zone = show(&session, "TimeZone").await;
    session.close().await;
    zone
}

#[tokio::test]
async fn it_is_asked_for_with_every_kind_of_password() {
    let hba = "host all postgres 127.0.0.1/32 trust\nhost all scram all scram-sha-256\nhost all hashed all md5\n\
        host all plain all password\nlocal all all trust\n";
    let options = ["timezone=Europe/Warsaw", "datestyle=German, DMY"];
    let server = OwnServer::postgresql(&[("pg_hba.conf", hba)], &options);
    server.execute("CREATE ROLE scram LOGIN PASSWORD 'żółw %'");
    server.execute("CREATE ROLE plain LOGIN PASSWORD 'żółw %'");
    server.execute("SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN PASSWORD 'żółw %'");
    for user in ["scram", "plain", "hashed"] {
        let url = format!(
            "postgresql://{user}:%C5%BC%C3%B3%C5%82w%20%25@127.0.0.1:{}/postgres",
            server.port()
        );
        let session = open(&url, &[]).await;
        assert_eq!(show(&session, "TimeZone").await, "Europe/Warsaw", "{user}");
        assert_eq!(show(&session, "DateStyle").await, "ISO, DMY", "{user}");
        session.close().await;
    }
}

#[tokio::test]
async fn it_is_asked_for_again_when_the_server_has_read_its_files() {
    let mut server = OwnServer::postgresql(&[], &[]);
    let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", server.port());
    for place in ["Asia/Tokyo", "Europe/Warsaw"] {
        server.execute(&format!("ALTER SYSTEM SET timezone = '{place}'"));
        let read = || server.text("SELECT pg_conf_load_time()::text");
        let before = read();
        server.execute("SELECT pg_reload_conf()");
        wait_until("the server has read its files", || (read() != before).then_some(()));
        assert_eq!(zone(&url, &[]).await, place);
        assert_eq!(zone(&url, &[]).await, place);
    }
    server.execute("ALTER SYSTEM SET timezone = 'America/New_York'");
    server.kill();
    server.start();
    assert_eq!(zone(&url, &[]).await, "America/New_York");
    // who may not see what it is recognised by gets in all the same
    server.execute("CREATE ROLE crm LOGIN; REVOKE SELECT ON pg_db_role_setting FROM PUBLIC");
    let url = url.replace("postgres@", "crm@");
    assert_eq!(zone(&url, &[]).await, "America/New_York");
    assert_eq!(zone(&url, &[("timezone", "UTC")]).await, "UTC");
}

#[tokio::test]
async fn whoever_cannot_ask_gets_a_session_all_the_same() {
    let server = OwnServer::postgresql(&[], &["timezone=Europe/Warsaw"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = server.port();
    let refused = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&refused);
    // lets nobody through who does not say a time zone
    let proxy = tokio::spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut first = vec![0; 1024];
                let count = from.read(&mut first).await.unwrap();
                if first[..count].windows(8).all(|word| word != b"TimeZone") {
                    counter.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                let mut there = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                there.write_all(&first[..count]).await.unwrap();
                let _ = copy_bidirectional(&mut from, &mut there).await;
            });
        }
    });
    let url = format!("postgresql://postgres@127.0.0.1:{port}/postgres");
    let options = [("ssl_mode", "disable")];
    assert_eq!(zone(&url, &options).await, "UTC");
    // twice, as the first time may have been a bad moment; and then no more for a while
    assert_eq!(refused.load(Ordering::Relaxed), 2);
    assert_eq!(zone(&url, &options).await, "UTC");
    assert_eq!(refused.load(Ordering::Relaxed), 2);
    proxy.abort();
}

#[tokio::test]
async fn nothing_is_said_on_a_line_that_is_not_encrypted_as_it_must_be() {
    for (mode, answer) in [("require", b'N'), ("verify-ca", b'N'), ("verify-full", b'S')] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let mut said = Vec::new();
            // who asks first, and who opens the session
            for _ in 0..2 {
                let (mut line, _) = listener.accept().await.unwrap();
                let mut request = [0; 8];
                line.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
                line.write_all(&[answer]).await.unwrap();
                // no server of TLS answers like this
                line.write_all(b"\x15\x03\x03\x00\x02\x02\x28").await.unwrap();
                let mut rest = Vec::new();
                let _ = line.read_to_end(&mut rest).await;
                said.push(rest);
            }
            said
        });
        let url = format!("postgresql://crm:hunter2@127.0.0.1:{port}/crm");
        let target = SqlTarget::of_url(&url, &[("ssl_mode".to_owned(), mode.to_owned())]).unwrap();
        assert!(SqlSession::open(target).await.is_err(), "{mode}");
        for rest in server.await.unwrap() {
            // at most the first words of TLS
            assert!(
                rest.is_empty() || (answer == b'S' && rest[0] == 0x16),
                "{mode}: {rest:?}"
            );
            let has = |word: &[u8]| rest.windows(word.len()).any(|part| part == word);
            assert!(!has(b"hunter2") && !has(b"crm"), "{mode}");
        }
    }
}
