use busbar_model::Kind;
use busbar_model::object::{Change, ChangeSet, Snapshot};
use serde_json::json;

use super::{Odb, delete, on_every_database, put, record};
use crate::diff::diff;

on_every_database!(
    objects_read_back_sorted_and_count_their_versions,
    what_changes_nothing_leaves_no_trace,
    history_tells_who_did_what,
    a_renamed_object_takes_its_history_along,
    an_expected_version_must_be_there,
    everything_is_known_as_it_was,
    what_is_not_known_any_more_is_said,
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
    let names: Vec<_> = snapshot.iter().map(|it| (it.kind.as_str(), it.name.as_str())).collect();
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

fn rename(kind: &str, name: &str, new_name: &str) -> ChangeSet {
    let [kind, name, new_name] = [kind, name, new_name].map(str::to_owned);
    Change::Rename { kind, name, new_name }.into()
}

async fn a_renamed_object_takes_its_history_along(odb: &Odb) {
    let store = odb.open().await;
    let kind = "security.basic_auth";
    let definition = |name: &str| put(record(kind, name, json!({"username": "ann", "password": "c4nary"})));
    let before = store.apply(&definition("x"), "ann").await.unwrap();
    let after = store.apply(&rename(kind, "x", "y"), "bob").await.unwrap();
    let (old, new) = (&before.records[0], &after.records[0]);
    assert_eq!(
        (new.name.as_str(), new.id, new.version, &new.body),
        ("y", old.id, 2, &old.body)
    );
    assert!(!odb.holds("c4nary"));
    store.apply(&definition("x"), "eve").await.unwrap();
    let seen = |history: Vec<crate::ObjectVersion>| -> Vec<(String, String, u64)> {
        let one = |it: crate::ObjectVersion| (it.action, it.name, it.version);
        history.into_iter().map(one).collect()
    };
    let row = |action: &str, name: &str, version| (action.to_owned(), name.to_owned(), version);
    assert_eq!(
        seen(store.history(kind, "y", 9).await.unwrap()),
        [row("rename", "y", 2), row("create", "x", 1)]
    );
    // the one that has the old name now, and who had it before
    assert_eq!(
        seen(store.history(kind, "x", 9).await.unwrap()),
        [row("create", "x", 1), row("rename", "y", 2), row("create", "x", 1)]
    );
    for (set, expected) in [
        (rename(kind, "x", "y"), Kind::Conflict),
        (rename(kind, "z", "a"), Kind::NotFound),
    ] {
        assert_eq!(store.apply(&set, "test").await.unwrap_err().kind(), expected);
    }
    assert_eq!(store.apply(&rename(kind, "x", "x"), "test").await.unwrap().revision, 3);
    store.rotate_secrets().await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().records[1].body["password"], "c4nary");
    assert_eq!(
        store.history(kind, "y", 9).await.unwrap()[1]
            .record
            .as_ref()
            .unwrap()
            .name,
        "x"
    );
}

async fn an_expected_version_must_be_there(odb: &Odb) {
    let store = odb.open().await;
    let set = |n: u32, version| put(record("a", "x", json!({"n": n}))).expecting("a", "x", Some(version));
    store.apply(&set(1, 0), "test").await.unwrap();
    let before = store.apply(&set(2, 1), "test").await.unwrap();
    let error = store.apply(&set(3, 1), "test").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().contains("version 2 and not in version 1"), "{error}");
    assert_eq!(store.snapshot().await.unwrap(), before);
}

async fn everything_is_known_as_it_was(odb: &Odb) {
    let store = odb.open().await;
    let mut states = vec![store.snapshot().await.unwrap()];
    let both = ChangeSet {
        changes: vec![
            Change::Put(record("a", "x", json!({"n": 1}))),
            Change::Put(record("security.basic_auth", "s", json!({"password": "c4nary"}))),
        ],
    };
    for set in [
        both,
        put(record("a", "x", json!({"n": 2}))),
        rename("security.basic_auth", "s", "t"),
        delete("a", "x"),
        put(record("a", "x", json!({"n": 3}))),
        rename("a", "x", "y"),
    ] {
        states.push(store.apply(&set, "ann").await.unwrap());
    }
    for state in &states {
        assert_eq!(store.snapshot_at(state.revision).await.unwrap(), *state);
    }
    let error = store.snapshot_at(7).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.message().contains("the last one is 6"), "{error}");
    let revisions = store.revisions(None, 99).await.unwrap();
    let numbers: Vec<_> = revisions.iter().map(|it| (it.revision, it.count)).collect();
    assert_eq!(numbers, [(6, 1), (5, 1), (4, 1), (3, 1), (2, 1), (1, 2)]);
    let actions: Vec<_> = revisions.iter().map(|it| it.objects[0].action.as_str()).collect();
    assert_eq!(actions, ["rename", "create", "delete", "rename", "change", "create"]);
    assert_eq!(revisions[0].objects[0].former_name.as_deref(), Some("x"));
    assert_eq!(revisions[5].changed_by, "ann");
    let page = store.revisions(Some(4), 2).await.unwrap();
    assert_eq!(page, revisions[3..5]);
    assert_eq!(store.revision_at(&revisions[0].changed_at).await.unwrap(), 6);
    assert_eq!(store.revision_at("2000-01-01T00:00:00.000Z").await.unwrap(), 0);
}

async fn what_is_not_known_any_more_is_said(odb: &Odb) {
    let store = odb.open().await;
    store
        .apply(&put(record("a", "chatty", json!({"n": 0}))), "test")
        .await
        .unwrap();
    store
        .apply(&put(record("a", "quiet", json!({}))), "test")
        .await
        .unwrap();
    for n in 1..=3 {
        store
            .apply(&put(record("a", "chatty", json!({"n": n}))), "test")
            .await
            .unwrap();
    }
    odb.execute(
        &store,
        "DELETE FROM object_version WHERE name = 'chatty' AND version < 3",
    )
    .await;
    let error = store.snapshot_at(3).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.message().contains("a `chatty`"), "{error}");
    assert!(error.hint().unwrap().contains("is 4 or later"), "{error:?}");
    assert_eq!(store.snapshot_at(4).await.unwrap().records[0].body["n"], 2);
    odb.execute(&store, "UPDATE counter SET value = 5 WHERE name = 'history'")
        .await;
    assert_eq!(store.snapshot_at(4).await.unwrap_err().kind(), Kind::NotFound);
    store.snapshot_at(5).await.unwrap();
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
    let mut changed = old.records[1].as_ref().clone();
    changed.body["n"] = json!(2);
    let kept = old.records[2].as_ref().clone();
    let new = Snapshot::new(old.revision, vec![changed, kept, record("b", "s", json!({}))]);
    let there = store.apply(&diff(&old, &new), "test").await.unwrap();
    assert_eq!(diff(&there, &new), ChangeSet::default());
}

async fn change_sets_wait_for_each_other(odb: &Odb) {
    let store = odb.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            let name = number.to_string();
            let snapshot = store.apply(&put(record("a", &name, json!({}))), "test").await.unwrap();
            assert!(snapshot.iter().any(|record| record.name == name));
        });
    }
    tasks.join_all().await;
    // each has made a revision of its own, and none has undone another's
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.revision, snapshot.records.len()), (20, 20));
    let mut revisions: Vec<u64> = store
        .revisions(None, 100)
        .await
        .unwrap()
        .iter()
        .map(|it| it.revision)
        .collect();
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
    let stored: Vec<_> = snapshot.iter().map(|it| it.name.as_str()).collect();
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
