//! Sessions of PostgreSQL behind pgbouncer, which knows nothing of prepared statements, nor of most settings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod session;

use busbar_connectors::sql::{Param, SqlSession, SqlTarget};
use busbar_testkit::{OwnServer, Pgbouncer};
use session::{open, text};

#[tokio::test]
async fn sessions_that_share_connections_run_every_statement() {
    let server = OwnServer::postgresql(&[], &[]);
    let proxy = Pgbouncer::before(&server);
    for options in [&[][..], &[("statement_cache", "0")]] {
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(open(&proxy.url("transaction"), options).await);
        }
        for round in 0..5 {
            for session in &sessions {
                let found = text(session, "SELECT (%s + 1)::text", vec![Param::Int(round)]).await;
                assert_eq!(found.unwrap(), (round + 1).to_string());
                session.commit().await.unwrap();
            }
        }
        for session in sessions {
            session.close().await;
        }
    }
}

#[tokio::test]
async fn a_session_of_its_own_has_the_settings_of_the_connection() {
    let server = OwnServer::postgresql(&[], &["timezone=Europe/Warsaw"]);
    let proxy = Pgbouncer::before(&server);
    let url = proxy.url("session");
    let session = open(&url, &[]).await;
    assert_eq!(
        text(&session, "SHOW TimeZone", Vec::new()).await.unwrap(),
        "Europe/Warsaw"
    );
    session.close().await;
    let session = open(&url, &[("timezone", "Asia/Tokyo")]).await;
    assert_eq!(text(&session, "SHOW TimeZone", Vec::new()).await.unwrap(), "Asia/Tokyo");
    session.close().await;
    // to set it afterwards would set it for others, who get that connection of the server next
    let options = [("search_path".to_owned(), "crm".to_owned())];
    let target = SqlTarget::of_url(&url, &options).unwrap();
    let refusal = SqlSession::open(target).await.map(drop).unwrap_err().to_string();
    assert!(
        refusal.contains("search_path") && refusal.contains("ALTER ROLE"),
        "{refusal}"
    );
}

#[tokio::test]
async fn what_is_cut_off_ends_on_the_server_behind_it() {
    let server = OwnServer::postgresql(&[], &[]);
    let proxy = Pgbouncer::before(&server);
    let session = open(&proxy.url("transaction"), &[]).await;
    let count = "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    let sleeping = text(&session, "SELECT pg_sleep(100)::text", Vec::new());
    let cut = tokio::time::timeout(std::time::Duration::from_millis(500), sleeping).await;
    assert!(cut.is_err() && session.is_broken());
    tokio::task::spawn_blocking(move || {
        busbar_testkit::wait_until("the statement to end", || (server.text(count) == "0").then_some(()));
        drop(proxy);
    })
    .await
    .unwrap();
}
