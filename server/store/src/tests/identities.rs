use std::collections::BTreeSet;

use busbar_model::object::{Change, ChangeSet, Snapshot};
use serde_json::json;

use super::{Odb, delete, on_every_database, put, record};
use crate::Store;

on_every_database!(
    objects_get_numbers_that_stay_and_never_come_again,
    what_comes_back_has_its_number_again,
    a_service_and_what_is_set_for_it_have_one_number,
    objects_of_an_older_schema_get_numbers,
);

fn ids(snapshot: &Snapshot) -> Vec<(&str, u64)> {
    snapshot.iter().map(|it| (it.name.as_str(), it.id)).collect()
}

async fn objects_get_numbers_that_stay_and_never_come_again(odb: &Odb) {
    let store = odb.open().await;
    let all = ["x", "y"].map(|name| Change::Put(record("b", name, json!({}))));
    store.apply(&ChangeSet { changes: all.into() }, "test").await.unwrap();
    let other = store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
    assert_eq!(ids(&other), [("x", 3), ("x", 1), ("y", 2)]);
    let edited = store
        .apply(&put(record("b", "x", json!({"n": 1}))), "test")
        .await
        .unwrap();
    assert_eq!(ids(&edited), ids(&other));
    // the newest one goes, so that a number which is only the next free one would be the same
    store.apply(&delete("a", "x"), "test").await.unwrap();
    store.close().await;
    let store = odb.open().await;
    let again = store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
    assert_eq!(ids(&again), [("x", 4), ("x", 1), ("y", 2)]);
    let history = store.history("a", "x", 9).await.unwrap();
    let numbers: Vec<_> = history.iter().map(|it| it.record.as_ref().map(|it| it.id)).collect();
    assert_eq!(numbers, [Some(4), None, Some(3)]);
}

async fn what_comes_back_has_its_number_again(odb: &Odb) {
    let store = odb.open().await;
    let numbered = |kind: &str, name: &str, id: u64| {
        let record = record(kind, name, json!({}));
        put(busbar_model::object::Record { id, ..record })
    };
    for name in ["x", "y"] {
        store.apply(&put(record("a", name, json!({}))), "test").await.unwrap();
    }
    store.apply(&delete("a", "x"), "test").await.unwrap();
    let back = store.apply(&numbered("a", "x", 1), "test").await.unwrap();
    assert_eq!(ids(&back), [("x", 1), ("y", 2)]);
    assert_eq!(back.records[0].version, 2);
    // numbers that nobody had, that another kind had and that somebody has are given to nobody
    for (kind, name, id) in [("a", "p", 99), ("b", "q", 1), ("a", "r", 2)] {
        store.apply(&numbered(kind, name, id), "test").await.unwrap();
    }
    let all = store.snapshot().await.unwrap();
    assert_eq!(ids(&all), [("p", 3), ("r", 5), ("x", 1), ("y", 2), ("q", 4)]);
    // under another name too
    store.apply(&delete("a", "y"), "test").await.unwrap();
    let back = store.apply(&numbered("a", "z", 2), "test").await.unwrap();
    assert_eq!(back.get("a", "z").map(|it| it.id), Some(2));
}

async fn a_service_and_what_is_set_for_it_have_one_number(odb: &Odb) {
    let store = odb.open().await;
    let names = ["one".to_owned(), "two".to_owned()];
    let numbers = store.identify("service", &names).await.unwrap();
    assert_eq!(numbers, [1, 2]);
    let set = store
        .apply(&put(record("service", "two", json!({}))), "test")
        .await
        .unwrap();
    assert_eq!(ids(&set), [("two", 2)]);
    store.apply(&delete("service", "two"), "test").await.unwrap();
    let other = store.apply(&put(record("a", "one", json!({}))), "test").await.unwrap();
    assert_eq!(ids(&other), [("one", 3)]);
    let names = ["two".to_owned(), "three".to_owned(), "one".to_owned()];
    assert_eq!(store.identify("service", &names).await.unwrap(), [2, 4, 1]);
    assert!(store.identify("service", &[]).await.unwrap().is_empty());
}

async fn objects_of_an_older_schema_get_numbers(odb: &Odb) {
    let store = odb.open().await;
    for name in ["x", "y", "gone"] {
        store.apply(&put(record("a", name, json!({}))), "test").await.unwrap();
    }
    store.apply(&delete("a", "gone"), "test").await.unwrap();
    store.close().await;
    Store::rollback(&odb.location, odb.secrets(), Some(2)).await.unwrap();
    let store = odb.open().await;
    let snapshot = store.snapshot().await.unwrap();
    let mut numbers: BTreeSet<_> = snapshot.iter().map(|it| it.id).collect();
    assert!(numbers.len() == 2 && !numbers.contains(&0), "{numbers:?}");
    for (name, record) in ["x", "y"].iter().zip(snapshot.iter()) {
        let history = store.history("a", name, 9).await.unwrap();
        assert_eq!(history[0].record.as_ref(), Some(record));
    }
    let history = store.history("a", "gone", 9).await.unwrap();
    assert!(numbers.insert(history[1].record.as_ref().unwrap().id));
    let again = store.apply(&put(record("a", "gone", json!({}))), "test").await.unwrap();
    assert!(numbers.insert(again.records[0].id), "{again:?}");
}
