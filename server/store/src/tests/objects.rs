use busbar_model::Kind;
use busbar_model::object::{Change, ChangeSet, Snapshot};
use serde_json::json;

use super::{Odb, delete, on_every_database, put, record};
use crate::diff::diff;

on_every_database!(
    objects_read_back_sorted_and_count_their_versions,
    what_changes_nothing_leaves_no_trace,
    history_tells_who_did_what,
    a_set_that_fails_half_way_leaves_nothing,
    a_set_made_from_an_older_state_is_refused,
    a_diff_leads_where_it_says,
    change_sets_wait_for_each_other,
    names_differ_by_every_character,
    large_objects_fit,
);

async fn objects_read_back_sorted_and_count_their_versions(odb: &Odb) {
    let store = odb.open().await;
    assert_eq!(store.snapshot().await.unwrap(), Snapshot::default());
    let body = json!({"z": 1, "a": {"text": "żółw \u{1f422} \u{0} '\""}, "list": [null, true, 1.5]});
    let set = ChangeSet {
        changes: vec![
            Change::Put(record("b", "x", json!({}))),
            Change::Put(record("a", "y", body.clone())),
            Change::Put(record("a", "B", json!({}))),
        ],
    };
    let snapshot = store.apply(&set, "test").await.unwrap();
    assert_eq!(snapshot, store.snapshot().await.unwrap());
    assert_eq!(snapshot.revision, 1);
    let names: Vec<_> = snapshot
        .records
        .iter()
        .map(|it| (it.kind.as_str(), it.name.as_str()))
        .collect();
    assert_eq!(names, [("a", "B"), ("a", "y"), ("b", "x")]);
    assert_eq!(
        serde_json::to_string(&snapshot.records[1].body).unwrap(),
        body.to_string()
    );

    let snapshot = store
        .apply(&put(record("b", "x", json!({"n": 1}))), "test")
        .await
        .unwrap();
    assert_eq!((snapshot.revision, snapshot.records[2].version), (2, 2));
}

async fn what_changes_nothing_leaves_no_trace(odb: &Odb) {
    let store = odb.open().await;
    let first = store
        .apply(&put(record("a", "x", json!({"n": 1}))), "test")
        .await
        .unwrap();
    assert_eq!(
        store
            .apply(&put(record("a", "x", json!({"n": 1}))), "test")
            .await
            .unwrap(),
        first
    );
    assert_eq!(store.apply(&delete("a", "other"), "test").await.unwrap(), first);
    assert_eq!(store.apply(&ChangeSet::default(), "test").await.unwrap(), first);
    assert_eq!(store.history("a", "x", 9).await.unwrap().len(), 1);
}

async fn history_tells_who_did_what(odb: &Odb) {
    let store = odb.open().await;
    store
        .apply(&put(record("a", "x", json!({"n": 1}))), "ann")
        .await
        .unwrap();
    store
        .apply(&put(record("a", "x", json!({"n": 2}))), "bob")
        .await
        .unwrap();
    store.apply(&delete("a", "x"), "eve").await.unwrap();
    store
        .apply(&put(record("a", "x", json!({"n": 1}))), "ann")
        .await
        .unwrap();
    let history = store.history("a", "x", 9).await.unwrap();
    let seen: Vec<_> = history
        .iter()
        .map(|it| (it.action.as_str(), it.version, it.revision, it.changed_by.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("create", 1, 4, "ann"),
            ("delete", 2, 3, "eve"),
            ("change", 2, 2, "bob"),
            ("create", 1, 1, "ann")
        ]
    );
    assert_eq!(history[2].record.as_ref().unwrap().body["n"], 2);
    assert!(history[1].record.is_none());
}

async fn a_set_that_fails_half_way_leaves_nothing(odb: &Odb) {
    let store = odb.open().await;
    let before = store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
    // the third step is the second one that creates something
    odb.execute(&store, "CREATE UNIQUE INDEX once ON object_version (revision, action)")
        .await;
    let set = ChangeSet {
        changes: vec![
            Change::Put(record("a", "new", json!({}))),
            Change::Delete {
                kind: "a".into(),
                name: "x".into(),
            },
            Change::Put(record("a", "refused", json!({}))),
        ],
    };
    let error = store.apply(&set, "test").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal, "{}", error.chain());
    assert_eq!(store.snapshot().await.unwrap(), before);
    assert_eq!(store.history("a", "new", 9).await.unwrap(), []);
}

async fn a_set_made_from_an_older_state_is_refused(odb: &Odb) {
    let store = odb.open().await;
    store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
    let error = store
        .apply_at(0, &put(record("a", "y", json!({}))), "test")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(
        store
            .apply_at(1, &put(record("a", "y", json!({}))), "test")
            .await
            .unwrap()
            .revision,
        2
    );
}

async fn a_diff_leads_where_it_says(odb: &Odb) {
    let store = odb.open().await;
    let set = ChangeSet {
        changes: ["p", "q", "r"]
            .map(|name| Change::Put(record("a", name, json!({"n": 1}))))
            .to_vec(),
    };
    let old = store.apply(&set, "test").await.unwrap();
    let mut new = old.clone();
    new.records.remove(0);
    new.records[0].body["n"] = json!(2);
    new.records.push(record("b", "s", json!({})));
    let there = store.apply(&diff(&old, &new), "test").await.unwrap();
    assert_eq!(diff(&there, &new), ChangeSet::default());
}

async fn change_sets_wait_for_each_other(odb: &Odb) {
    let store = odb.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            store
                .apply(&put(record("a", &number.to_string(), json!({}))), "test")
                .await
                .unwrap()
        });
    }
    let mut revisions: Vec<u64> = tasks.join_all().await.iter().map(|it| it.revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=20).collect::<Vec<u64>>());
}

async fn names_differ_by_every_character(odb: &Odb) {
    let store = odb.open().await;
    let names = ["A", "a", "\u{e1}", "a\u{301}", "\u{df}", "ss", "\u{1f422}", "\u{1f40c}"];
    let longest = "\u{17c}".repeat(200);
    let all = names.iter().copied().chain([longest.as_str()]);
    let changes = all
        .map(|name| Change::Put(record("a", name, json!({"name": name}))))
        .collect();
    let snapshot = store.apply(&ChangeSet { changes }, "test").await.unwrap();
    let stored: Vec<_> = snapshot.records.iter().map(|it| it.name.as_str()).collect();
    let mut expected: Vec<_> = names.iter().copied().chain([longest.as_str()]).collect();
    expected.sort_unstable();
    assert_eq!(stored, expected);
    store.apply(&delete("a", "A"), "test").await.unwrap();
    assert_eq!(store.history("a", "a", 9).await.unwrap().len(), 1);
    assert_eq!(store.snapshot().await.unwrap().records.len(), names.len());
}

async fn large_objects_fit(odb: &Odb) {
    let store = odb.open().await;
    let text = "\u{17c}".repeat(1_000_000);
    let put = put(record(
        "security.basic_auth",
        "a",
        json!({"text": text, "password": text}),
    ));
    store.apply(&put, "test").await.unwrap();
    assert_eq!(
        store.snapshot().await.unwrap().records[0].body["password"],
        text.as_str()
    );
}
