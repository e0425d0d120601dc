//! What was, and the way back.

use busbar_model::object::Change;
use serde_json::json;

use super::*;
use crate::problem::Code;
use crate::samples::{Bench, delete, put, set};

fn basic(name: &str, password: &str) -> Change {
    put(
        "security.basic_auth",
        name,
        json!({"username": name, "password": password}),
    )
}

fn channel(name: &str, security: Option<&str>) -> Change {
    put(
        "channel.http",
        name,
        json!({"service": "known.service", "url_path": "/", "security": security}),
    )
}

fn rename(kind: &str, name: &str, new_name: &str) -> Change {
    let [kind, name, new_name] = [kind, name, new_name].map(str::to_owned);
    Change::Rename { kind, name, new_name }
}

fn object(kind: &str, name: &str) -> ObjectName {
    let [kind, name] = [kind, name].map(str::to_owned);
    ObjectName { kind, name }
}

async fn make(bench: &Bench, changes: impl IntoIterator<Item = Change>) -> Applied {
    let set = set(changes);
    let made = bench.changes.apply(set, "ann").await;
    made.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn a_history_tells_what_became_different_and_no_secret() {
    let bench = Bench::new().await;
    make(&bench, [basic("shop", "c4nary")]).await;
    make(&bench, [basic("shop", "0ther")]).await;
    make(&bench, [rename("security.basic_auth", "shop", "store")]).await;
    make(&bench, [delete("security.basic_auth", "store")]).await;
    let history = bench
        .changes
        .history(&object("security.basic_auth", "store"), 9)
        .await
        .unwrap();
    let text = serde_json::to_string(&history).unwrap();
    assert!(!text.contains("c4nary") && !text.contains("0ther"), "{text}");
    let seen: Vec<_> = history
        .iter()
        .map(|it| (it.action.as_str(), it.version, json!(it.changes)))
        .collect();
    let change = |field: &str, old: Value, new: &str| json!({"field": field, "old": old, "new": new});
    assert_eq!(
        seen,
        [
            ("delete", 3, json!([])),
            ("rename", 3, json!([change("name", json!("shop"), "store")])),
            ("change", 2, json!([change("password", json!("******"), "******")])),
            (
                "create",
                1,
                json!([
                    change("username", Value::Null, "shop"),
                    change("password", Value::Null, "******")
                ])
            ),
        ]
    );
    assert_eq!(history[0].changed_by, "ann");
    let newest = bench.changes.history(&object("security.basic_auth", "store"), 2).await;
    assert_eq!(newest.unwrap(), history[..2]);
}

#[tokio::test]
async fn an_object_goes_back_to_a_version() {
    let bench = Bench::new().await;
    let name = object("channel.http", "a");
    make(&bench, [basic("shop", "s3"), channel("a", Some("shop"))]).await;
    make(&bench, [channel("a", None)]).await;
    let applied = bench.changes.roll_back(&name, 1, "bob").await.unwrap();
    assert_eq!((applied.changed.as_slice(), applied.revision), (&[name.clone()][..], 3));
    assert_eq!(bench.changes.snapshot().records[0].body["security"], "shop");
    assert_eq!(bench.changes.history(&name, 1).await.unwrap()[0].changed_by, "bob");

    let error = bench.changes.roll_back(&name, 7, "bob").await.unwrap_err();
    assert!(error.to_string().contains("no version 7"), "{error}");
    let error = bench.changes.roll_back(&object("channel.http", "b"), 1, "bob").await;
    assert_eq!(Error::from(error.unwrap_err()).kind(), Kind::NotFound);

    // what it named is gone
    make(&bench, [channel("a", None), delete("security.basic_auth", "shop")]).await;
    let error = bench.changes.roll_back(&name, 1, "bob").await.unwrap_err();
    assert!(
        error.to_string().contains("there is no security definition `shop`"),
        "{error}"
    );

    // and it comes back from the dead
    make(&bench, [delete("channel.http", "a")]).await;
    let applied = bench.changes.roll_back(&name, 2, "bob").await.unwrap();
    assert_eq!(applied.created, [name]);
}

fn numbers(bench: &Bench) -> Vec<(String, u64, u64)> {
    let snapshot = bench.changes.snapshot();
    snapshot.iter().map(|it| (it.name.clone(), it.id, it.version)).collect()
}

#[tokio::test]
async fn what_was_deleted_comes_back_with_its_number() {
    let bench = Bench::new().await;
    let name = object("channel.http", "a");
    make(&bench, [channel("a", None), channel("b", None)]).await;
    let before = numbers(&bench);
    make(&bench, [delete("channel.http", "a")]).await;
    bench.changes.roll_back(&name, 1, "bob").await.unwrap();
    // clients that stored a version must not mistake this for it
    let (id, other) = (before[0].1, before[1].clone());
    assert_eq!(numbers(&bench), [("a".to_owned(), id, 2), other.clone()]);
    make(&bench, [delete("channel.http", "a")]).await;
    bench.changes.restore(&Moment::Revision(1), None, "bob").await.unwrap();
    assert_eq!(numbers(&bench), [("a".to_owned(), id, 3), other]);
    assert_eq!(*bench.changes.snapshot(), bench.store.snapshot().await.unwrap());

    // one that goes on under another name keeps its number for itself
    make(&bench, [rename("channel.http", "a", "c")]).await;
    bench.changes.roll_back(&name, 1, "bob").await.unwrap();
    let ids: BTreeSet<u64> = numbers(&bench).into_iter().map(|it| it.1).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(bench.changes.snapshot().get("channel.http", "c").unwrap().id, id);
    // made anew, it is another object
    make(&bench, [delete("channel.http", "c")]).await;
    make(&bench, [channel("c", None)]).await;
    assert!(!ids.contains(&bench.changes.snapshot().get("channel.http", "c").unwrap().id));
}

#[tokio::test]
async fn what_a_server_has_from_the_start_stays_and_deleting_the_rest_needs_an_agreement() {
    let bench = Bench::new().await;
    let internal = put(
        "channel.http",
        "own",
        json!({"service": "known.service", "url_path": "/own", "is_internal": true}),
    );
    make(&bench, [basic("shop", "s3")]).await;
    make(&bench, [basic("admin.invoke", "a"), basic("pubapi", "b"), internal]).await;
    make(&bench, [channel("a", Some("shop"))]).await;
    let start = Moment::Revision(0);
    let plan = bench.changes.rehearse_restore(&start).await.unwrap();
    let deleted = [object("channel.http", "a"), object("security.basic_auth", "shop")];
    assert_eq!(plan.applied.deleted, deleted);

    let code = |result: Result<Applied, ChangeError>| match result {
        Err(ChangeError::Refused(problems)) => problems.0[0].code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(bench.changes.restore(&start, None, "bob").await), Code::E30);
    // what the plan was made from has changed
    make(&bench, [channel("a", None)]).await;
    let late = bench.changes.restore(&start, Some(plan.id), "bob").await;
    assert_eq!(code(late), Code::E29);
    assert_eq!(bench.changes.snapshot().records.len(), 5);

    let plan = bench.changes.rehearse_restore(&start).await.unwrap();
    let other = bench.changes.rehearse_restore(&Moment::Revision(1)).await.unwrap();
    assert_ne!(plan.id, other.id);
    bench.changes.restore(&start, Some(plan.id), "bob").await.unwrap();
    let snapshot = bench.changes.snapshot();
    let left: Vec<&str> = snapshot.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(left, ["own", "admin.invoke", "pubapi"]);
}

#[tokio::test]
async fn everything_goes_back_to_where_it_was() {
    let bench = Bench::new().await;
    let mut states = vec![bench.changes.snapshot()];
    let steps = [
        vec![basic("shop", "s3"), basic("b", "s3"), channel("a", Some("shop"))],
        vec![
            rename("security.basic_auth", "shop", "store"),
            channel("new", Some("b")),
        ],
        // names that go round in a circle
        vec![
            rename("security.basic_auth", "store", "x"),
            rename("security.basic_auth", "b", "store"),
            rename("security.basic_auth", "x", "b"),
        ],
        vec![delete("channel.http", "a"), delete("security.basic_auth", "b")],
        vec![put("security.api_key", "b", json!({})), channel("a", Some("b"))],
    ];
    for step in steps {
        make(&bench, step).await;
        states.push(bench.changes.snapshot());
    }
    let count = states.len();
    for index in (0..count).chain((0..count).rev()).chain([3, 1, 5, 2, 4]) {
        let moment = Moment::Revision(states[index].revision);
        let preview = bench.changes.rehearse_restore(&moment).await.unwrap();
        let mut applied = bench.changes.restore(&moment, Some(preview.id), "bob").await.unwrap();
        applied.revision = preview.applied.revision;
        assert_eq!(applied, preview.applied);
        let now = bench.changes.snapshot();
        assert_eq!(
            busbar_store::diff(&now, &states[index]),
            ChangeSet::default(),
            "{index}"
        );
        assert_eq!(*now, bench.store.snapshot().await.unwrap());
    }
    let error = bench
        .changes
        .restore(&Moment::Revision(999), None, "bob")
        .await
        .unwrap_err();
    assert_eq!(Error::from(error).kind(), Kind::NotFound);
    let error = bench.changes.at(&Moment::Time("noon".into())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadRequest);
    let first = bench.changes.revisions(Some(2), 1).await.unwrap();
    let at = bench
        .changes
        .at(&Moment::Time(first[0].changed_at.clone()))
        .await
        .unwrap();
    assert!(at.revision >= 1);
    let long_ago = Moment::Time("1999-12-31T23:59:59+01:00".into());
    assert_eq!(bench.changes.at(&long_ago).await.unwrap(), Snapshot::default());
}

#[tokio::test]
async fn an_object_keeps_its_number_when_its_old_name_comes_back() {
    let bench = Bench::new().await;
    make(&bench, [channel("a", None)]).await;
    let id = bench.changes.snapshot().records[0].id;
    make(&bench, [rename("channel.http", "a", "b"), channel("a", None)]).await;
    let plan = bench.changes.rehearse_restore(&Moment::Revision(1)).await.unwrap();
    let restored = bench.changes.restore(&Moment::Revision(1), Some(plan.id), "bob").await;
    assert_eq!(restored.unwrap().renamed.len(), 1);
    let now = bench.changes.snapshot();
    assert_eq!((now.records.len(), now.records[0].id), (1, id));
}
