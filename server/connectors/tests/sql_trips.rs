//! How often the other side of a line to PostgreSQL has to be waited for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use busbar_connectors::sql::{Engine, Param, Scanned, SqlRequest, SqlSession, SqlTarget, Style};
use busbar_testkit::OwnServer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that counts how often the client has spoken after the server had.
struct Proxy {
    port: u16,
    turns: Arc<AtomicUsize>,
}

impl Proxy {
    async fn before(server: &OwnServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = server.port();
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        tokio::spawn(async move {
            loop {
                let (here, _) = listener.accept().await.unwrap();
                let there = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (from_client, to_client) = here.into_split();
                let (from_server, to_server) = there.into_split();
                let answered = Arc::new(AtomicBool::new(true));
                let (spoken, counted) = (Arc::clone(&answered), Arc::clone(&counted));
                tokio::spawn(pass(from_client, to_server, move || {
                    if spoken.swap(false, Ordering::Relaxed) {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }));
                tokio::spawn(pass(from_server, to_client, move || {
                    answered.store(true, Ordering::Relaxed)
                }));
            }
        });
        Self { port, turns }
    }

    /// Turns that were taken since this was asked.
    fn take(&self) -> usize {
        self.turns.swap(0, Ordering::Relaxed)
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, note: impl Fn()) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        note();
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}

async fn run(session: &SqlSession, sql: &str, lists: Vec<Vec<Param>>) -> u64 {
    let is_many = lists.len() > 1;
    let scanned = Arc::new(Scanned::new(sql, Some(Style::Pyformat), Engine::Postgres).unwrap());
    let request = SqlRequest {
        scanned,
        lists,
        is_many,
    };
    let outcome = session.execute(request).await.unwrap();
    session.fetch_all(&outcome).await.unwrap();
    outcome.summary().count.unwrap()
}

#[tokio::test]
async fn what_belongs_together_goes_together() {
    let server = OwnServer::postgresql(&[], &[]);
    server.execute("CREATE TABLE customer (id int PRIMARY KEY, name text)");
    let proxy = Proxy::before(&server).await;
    let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", proxy.port);
    let target = SqlTarget::of_url(&url, &[("ssl_mode".to_owned(), "disable".to_owned())]).unwrap();
    let session = SqlSession::open(target).await.unwrap();
    // nobody asks for anything beyond the log-in
    assert_eq!(proxy.take(), 1);
    let insert = "INSERT INTO customer VALUES (%s, %s)";
    let row = |id| vec![Param::Int(id), Param::Text(format!("customer {id}"))];
    // to prepare it, and to begin and run it; then it is known
    for turns in [2, 1, 1] {
        run(&session, insert, vec![row(7)]).await;
        assert_eq!(proxy.take(), turns);
        session.rollback().await.unwrap();
        assert_eq!(proxy.take(), 1);
    }
    // many rows at once, also with the BEGIN
    let rows: Vec<_> = (0..500).map(row).collect();
    assert_eq!(run(&session, insert, rows).await, 500);
    assert_eq!(proxy.take(), 1);
    // what cannot be inferred takes three more, once: to find that out, to go back, to see what it gives
    let literal = "SELECT id FROM customer WHERE %s IS NULL OR id < %s";
    for turns in [4, 1, 1] {
        assert_eq!(
            run(&session, literal, vec![vec![Param::Int(1), Param::Int(5)]]).await,
            5
        );
        assert_eq!(proxy.take(), turns);
    }
    session.commit().await.unwrap();
    proxy.take();
    // with its values in it, it goes with the BEGIN as well
    run(&session, literal, vec![vec![Param::Int(1), Param::Int(5)]]).await;
    assert_eq!(proxy.take(), 1);
    session.close().await;
}
