use std::sync::Arc;

use busbar_model::Kind;
use busbar_testkit::{Database, Proxy};
use serde_json::json;

use super::{Odb, on_every_database, put, record};
use crate::{Location, Secrets, Store};

on_every_database!(two_servers_lose_no_update, two_servers_share_generations);

/// Counts up as a server would: read, change, and again if somebody else was faster.
async fn count_up(store: Arc<Store>, times: u32) {
    for _ in 0..times {
        loop {
            let snapshot = store.snapshot().await.unwrap();
            let old = snapshot.records.first().map_or(0, |it| it.body["n"].as_u64().unwrap());
            let set = put(record("a", "x", json!({"n": old + 1})));
            match store.apply_at(snapshot.revision, &set, "test").await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{}", error.chain()),
            }
        }
    }
}

async fn two_servers_lose_no_update(odb: &Odb) {
    let stores = [odb.open().await, odb.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for store in &stores {
        for _ in 0..2 {
            tasks.spawn(count_up(store.clone(), 10));
        }
    }
    tasks.join_all().await;
    let snapshot = stores[0].snapshot().await.unwrap();
    assert_eq!((snapshot.revision, &snapshot.records[0].body["n"]), (40, &json!(40)));
    assert_eq!(stores[1].history("a", "x", 99).await.unwrap().len(), 40);
}

async fn two_servers_share_generations(odb: &Odb) {
    let stores = [odb.open().await, odb.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..20 {
        let store = stores[index % 2].clone();
        tasks.spawn(async move { store.next_generation().await.unwrap() });
    }
    let mut generations = tasks.join_all().await;
    generations.sort_unstable();
    assert_eq!(generations, (1..=20).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_locked_file_is_called_locked() {
    let odb = Odb::sqlite();
    let (one, other) = (odb.open().await, odb.open().await);
    let transaction = one.write().await.unwrap();
    let error = other.next_generation().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.is_temporary() && error.message().contains("locked"), "{error}");
    drop(transaction);
    assert_eq!(other.next_generation().await.unwrap(), 1);
}

async fn connections_that_the_administrator_ended(database: Database) {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::parse(&database.url(), dir.path()).unwrap();
    let store = Store::open(&location, Secrets::none()).await.unwrap();
    assert_eq!(store.next_generation().await.unwrap(), 1);
    // idle ones: nobody notices
    database.end_connections();
    assert_eq!(store.next_generation().await.unwrap(), 2);
    // one in the middle of a change: it was not made
    let mut transaction = store.write().await.unwrap();
    database.end_connections();
    let broken = store
        .execute(
            &mut transaction,
            "UPDATE counter SET value = 99 WHERE name = 'generation'",
            &[],
        )
        .await;
    let error = broken.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{}", error.chain());
    drop(transaction);
    assert_eq!(store.next_generation().await.unwrap(), 3);
}

#[tokio::test]
async fn postgresql_connections_that_the_administrator_ended() {
    connections_that_the_administrator_ended(Database::postgresql()).await;
}

#[tokio::test]
async fn mysql_connections_that_the_administrator_ended() {
    connections_that_the_administrator_ended(Database::mysql()).await;
}

async fn a_server_that_goes_away_and_comes_back(database: Database) {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::new(&database.address());
    let location = Location::parse(&database.url_through(proxy.port()), dir.path()).unwrap();
    let store = Store::open(&location, Secrets::none()).await.unwrap();
    let before = store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
    proxy.cut();
    let error = store
        .apply(&put(record("a", "y", json!({}))), "test")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{}", error.chain());
    assert!(error.is_temporary() && error.hint().is_some(), "{error}");
    assert_eq!(store.snapshot().await.unwrap_err().kind(), Kind::Unavailable);
    let error = Store::open(&location, Secrets::none()).await.unwrap_err();
    assert!(error.message().contains("cannot be reached"), "{}", error.chain());
    proxy.mend();
    assert_eq!(store.snapshot().await.unwrap(), before);
    assert_eq!(
        store
            .apply(&put(record("a", "y", json!({}))), "test")
            .await
            .unwrap()
            .revision,
        2
    );
}

#[tokio::test]
async fn a_postgresql_server_that_goes_away_and_comes_back() {
    a_server_that_goes_away_and_comes_back(Database::postgresql()).await;
}

#[tokio::test]
async fn a_mysql_server_that_goes_away_and_comes_back() {
    a_server_that_goes_away_and_comes_back(Database::mysql()).await;
}

#[tokio::test]
async fn a_disk_that_is_full_keeps_what_it_has() {
    let odb = Odb::sqlite();
    let store = odb.open().await;
    let before = store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
    let backup = store.backup().await.unwrap();
    // not one page more than there are
    odb.execute(&store, "PRAGMA max_page_count = 1").await;
    let large = json!({"text": "x".repeat(1_000_000)});
    let error = store
        .apply(&put(record("a", "y", large.clone())), "test")
        .await
        .unwrap_err();
    assert!(error.message().contains("the disk is full"), "{}", error.chain());
    assert!(error.hint().unwrap().contains("was not stored"), "{error}");
    assert_eq!(store.snapshot().await.unwrap(), before);
    odb.execute(&store, "PRAGMA max_page_count = 1000000").await;
    store.apply(&put(record("a", "y", large)), "test").await.unwrap();
    store.restore(&backup, true, "test").await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().records, before.records);
}

#[tokio::test]
async fn an_odb_that_may_only_be_read_is_read() {
    let odb = Odb::sqlite();
    let store = odb.open().await;
    let before = store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
    odb.execute(&store, "PRAGMA query_only = ON").await;
    let error = store
        .apply(&put(record("a", "y", json!({}))), "test")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{}", error.chain());
    assert!(error.hint().is_some(), "{error}");
    assert_eq!(store.snapshot().await.unwrap(), before);
}
