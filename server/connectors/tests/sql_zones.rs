//! What sessions of PostgreSQL begin with, whatever the log-in: the time zone of the server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod session;

use busbar_connectors::sql::{SqlSession, SqlTarget};
use busbar_testkit::{OwnServer, wait_until};
use session::{open, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The value of a setting.
async fn show(session: &SqlSession, setting: &str) -> String {
    text(session, &format!("SHOW {setting}"), Vec::new()).await.unwrap()
}

/// The zone of a new session.
async fn zone(url: &str, options: &[(&str, &str)]) -> String {
    let session = open(url, options).await;
    let zone = show(&session, "TimeZone").await;
    session.close().await;
    zone
}

#[tokio::test]
async fn it_is_there_with_every_kind_of_password() {
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
async fn it_is_another_one_when_the_server_has_read_its_files() {
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
    server.execute("CREATE ROLE crm LOGIN");
    let url = url.replace("postgres@", "crm@");
    assert_eq!(zone(&url, &[]).await, "America/New_York");
    assert_eq!(zone(&url, &[("timezone", "UTC")]).await, "UTC");
}

#[tokio::test]
async fn nothing_is_said_on_a_line_that_is_not_encrypted_as_it_must_be() {
    for (mode, answer) in [("require", b'N'), ("verify-ca", b'N'), ("verify-full", b'S')] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut line, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            line.read_exact(&mut request).await.unwrap();
            assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
            line.write_all(&[answer]).await.unwrap();
            // no server of TLS answers like this
            line.write_all(b"\x15\x03\x03\x00\x02\x02\x28").await.unwrap();
            let mut rest = Vec::new();
            let _ = line.read_to_end(&mut rest).await;
            rest
        });
        let url = format!("postgresql://crm:hunter2@127.0.0.1:{port}/crm");
        let target = SqlTarget::of_url(&url, &[("ssl_mode".to_owned(), mode.to_owned())]).unwrap();
        assert!(SqlSession::open(target).await.is_err(), "{mode}");
        let rest = server.await.unwrap();
        // at most the first words of TLS
        assert!(
            rest.is_empty() || (answer == b'S' && rest[0] == 0x16),
            "{mode}: {rest:?}"
        );
        let has = |word: &[u8]| rest.windows(word.len()).any(|part| part == word);
        assert!(!has(b"hunter2") && !has(b"crm"), "{mode}");
    }
}
