//! Changes, whole or not at all.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;
use crate::samples::{Bench, delete, put, set};

fn basic(name: &str) -> Change {
    put("security.basic_auth", name, json!({"username": name, "password": "s3"}))
}

fn channel(name: &str, security: Option<&str>) -> Change {
    put(
        "channel.http",
        name,
        json!({"service": "known.service", "url_path": format!("/{name}"), "security": security}),
    )
}

fn codes(error: ChangeError) -> Vec<(Code, String, String)> {
    match error {
        ChangeError::Refused(problems) => problems
            .0
            .into_iter()
            .map(|it| (it.code, it.object, it.field))
            .collect(),
        ChangeError::Failed(error) => panic!("{}", error.chain()),
    }
}

fn names(objects: &[ObjectName]) -> Vec<&str> {
    objects.iter().map(|it| it.name.as_str()).collect()
}

#[tokio::test]
async fn a_change_is_normalised_stored_and_switched() {
    let bench = Bench::new().await;
    assert_eq!(bench.committed(), [0]);
    let applied = bench
        .changes
        .apply(set([channel("a", Some("shop")), basic("shop")]), "test")
        .await
        .unwrap();
    assert_eq!((applied.revision, names(&applied.created)), (1, vec!["a", "shop"]));
    assert_eq!(applied.warnings, [""; 0]);
    assert_eq!(bench.committed(), [0, 1]);
    let snapshot = bench.changes.snapshot();
    assert_eq!(*snapshot, bench.store.snapshot().await.unwrap());
    assert_eq!(snapshot.records[0].body["http_accept"], "*/*");
    assert_eq!(*bench.host.configured.lock().unwrap().last().unwrap(), snapshot);

    let applied = bench
        .changes
        .apply(
            set([basic("shop"), channel("a", None), delete("channel.http", "b")]),
            "test",
        )
        .await
        .unwrap();
    assert_eq!(
        (names(&applied.unchanged), names(&applied.changed), applied.revision),
        (vec!["shop"], vec!["a"], 2)
    );
    assert_eq!(bench.changes.snapshot().records[0].version, 2);

    let applied = bench.changes.apply(set([basic("shop")]), "test").await.unwrap();
    assert_eq!((applied.revision, names(&applied.unchanged)), (2, vec!["shop"]));
    assert_eq!(bench.committed(), [0, 1, 2], "what changes nothing switches nothing");
}

#[tokio::test]
async fn everything_wrong_is_reported_at_once_and_nothing_is_made() {
    let bench = Bench::new().await;
    let before = bench.changes.snapshot();
    let error = bench
        .changes
        .apply(
            set([
                basic("fine"),
                put("security.basic_auth", "x", json!({"username": "x"})),
                put("channel.http", "y", json!({"service": "s", "url_path": "no-slash"})),
                put(
                    "channel.http",
                    "z",
                    json!({"service": "s", "url_path": "/", "colour": "red"}),
                ),
                put(
                    "channel.http",
                    "size",
                    json!({"service": "s", "url_path": "/", "timeout": "soon"}),
                ),
                put("channel.http", "", json!({"service": "s", "url_path": "/"})),
                put("channel.amqp", "a", json!({})),
                channel("nobody", Some("missing")),
            ]),
            "test",
        )
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("channel.http `y`: field `url_path`: must begin with `/` (E22)"),
        "{text}"
    );
    let found = codes(error);
    let found: Vec<_> = found
        .iter()
        .map(|(code, object, field)| (*code, object.as_str(), field.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (Code::E08, "security.basic_auth `x`", "password"),
            (Code::E22, "channel.http `y`", "url_path"),
            (Code::E22, "channel.http `z`", "colour"),
            (Code::E22, "channel.http `size`", "timeout"),
            (Code::E22, "channel.http ``", "name"),
            (Code::E26, "channel.amqp `a`", ""),
            (Code::W04, "channel.http `nobody`", ""),
        ]
    );
    assert_eq!(bench.changes.snapshot(), before);
    assert_eq!(bench.store.snapshot().await.unwrap(), *before);
    assert_eq!(*bench.first.prepared.lock().unwrap(), [0]);
}

#[tokio::test]
async fn a_definition_in_use_cannot_be_deleted_alone() {
    let bench = Bench::new().await;
    bench
        .changes
        .apply(
            set([basic("shop"), channel("a", Some("shop")), channel("b", Some("shop"))]),
            "test",
        )
        .await
        .unwrap();
    let error = bench
        .changes
        .apply(set([delete("security.basic_auth", "shop")]), "test")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("channel.http `a`, channel.http `b`"),
        "{error}"
    );
    assert_eq!(Error::from(error).kind(), Kind::Conflict);
    let all = [
        delete("security.basic_auth", "shop"),
        delete("channel.http", "a"),
        channel("b", None),
    ];
    let applied = bench.changes.apply(set(all), "test").await.unwrap();
    assert_eq!(names(&applied.deleted), ["a", "shop"]);
}

#[tokio::test]
async fn a_definition_may_change_its_type_in_one_step() {
    let bench = Bench::new().await;
    bench
        .changes
        .apply(set([basic("shop"), channel("a", Some("shop"))]), "test")
        .await
        .unwrap();
    let key = put("security.api_key", "shop", json!({}));
    let error = bench.changes.apply(set([key.clone()]), "test").await.unwrap_err();
    assert_eq!(
        codes(error),
        [(Code::E25, "security.api_key `shop`".to_owned(), String::new())]
    );
    bench
        .changes
        .apply(set([delete("security.basic_auth", "shop"), key]), "test")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_holder_that_cannot_prepare_leaves_everything_as_it_was() {
    let bench = Bench::new().await;
    let before = bench.changes.apply(set([channel("a", None)]), "test").await.unwrap();
    bench.second.fail.store(true, Ordering::Relaxed);
    let error = bench
        .changes
        .apply(set([channel("b", None), delete("channel.http", "a")]), "test")
        .await
        .unwrap_err();
    assert!(
        matches!(error, ChangeError::Failed(ref error) if error.kind() == Kind::Config),
        "{error}"
    );
    assert_eq!(bench.committed(), [0, 1]);
    assert_eq!(bench.changes.snapshot().revision, before.revision);
    assert_eq!(bench.store.snapshot().await.unwrap(), *bench.changes.snapshot());
    assert_eq!(bench.host.configured.lock().unwrap().len(), 2);
    bench.second.fail.store(false, Ordering::Relaxed);
    assert_eq!(
        bench
            .changes
            .apply(set([channel("b", None)]), "test")
            .await
            .unwrap()
            .revision,
        2
    );
}

#[tokio::test]
async fn an_odb_that_cannot_be_written_leaves_everything_as_it_was() {
    let bench = Bench::new().await;
    bench.store.close().await;
    let error = bench
        .changes
        .apply(set([channel("a", None)]), "test")
        .await
        .unwrap_err();
    assert!(matches!(error, ChangeError::Failed(_)));
    assert_eq!(bench.committed(), [0]);
    assert_eq!(bench.changes.snapshot().records, []);
}

#[tokio::test]
async fn a_worker_that_does_not_take_over_is_a_warning() {
    let bench = Bench::new().await;
    bench.host.fail.store(true, Ordering::Relaxed);
    let applied = bench.changes.apply(set([channel("a", None)]), "test").await.unwrap();
    assert!(
        applied.warnings[0].contains("worker 1 is gone"),
        "{:?}",
        applied.warnings
    );
    assert_eq!(bench.changes.snapshot().revision, 1);
}

#[tokio::test]
async fn a_service_that_is_not_there_yet_is_a_warning() {
    let bench = Bench::new().await;
    let change = put(
        "channel.http",
        "a",
        json!({"service": "later.service", "url_path": "/a"}),
    );
    let applied = bench
        .changes
        .apply(set([change, channel("b", None)]), "test")
        .await
        .unwrap();
    assert_eq!(
        applied.warnings,
        ["channel.http `a`: service `later.service` is not deployed yet"]
    );
}

#[tokio::test]
async fn a_change_of_somebody_else_is_seen_and_not_overwritten() {
    let bench = Bench::new().await;
    bench
        .store
        .apply(&set([basic("theirs")]), "another node")
        .await
        .unwrap();
    let error = bench.changes.apply(set([basic("mine")]), "test").await.unwrap_err();
    assert!(matches!(error, ChangeError::Failed(ref error) if error.kind() == Kind::Conflict));
    assert_eq!(
        bench.changes.snapshot().records[0].name,
        "theirs",
        "what they did is in effect now"
    );
    let applied = bench.changes.apply(set([basic("mine")]), "test").await.unwrap();
    assert_eq!(applied.revision, 2);
}

#[tokio::test]
async fn what_this_version_does_not_understand_is_left_alone() {
    let store = Store::in_memory().await.unwrap();
    let odd = [
        put("channel.amqp", "later", json!({})),
        put("channel.http", "odd", json!({"path": 1})),
        channel("fine", None),
    ];
    store.apply(&set(odd), "a newer busbar").await.unwrap();
    let bench = Bench::with_store(store).await;
    let snapshot = bench.changes.snapshot();
    assert_eq!(
        snapshot.records.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
        ["fine"]
    );
    assert_eq!(
        snapshot.records[0].body["http_accept"], "*/*",
        "fields that are new get their defaults"
    );
    assert_eq!(bench.store.snapshot().await.unwrap().records.len(), 3);
    let applied = bench.changes.apply(set([channel("odd", None)]), "test").await.unwrap();
    assert_eq!(applied.revision, 2);
    assert_eq!(bench.changes.snapshot().records[1].version, 2);
    bench.changes.apply(set([channel("next", None)]), "test").await.unwrap();
}

#[tokio::test]
async fn a_change_is_carried_through_though_nobody_waits() {
    let bench = Bench::new().await;
    let (started, start) = tokio::sync::oneshot::channel();
    let changes = bench.changes.clone();
    let caller = tokio::spawn(async move {
        let make = move |_: &Snapshot| {
            started.send(()).unwrap();
            Ok(set([basic("shop")]))
        };
        changes.transact("test", make).await
    });
    start.await.unwrap();
    caller.abort();
    let in_effect = async {
        while bench.changes.snapshot().revision == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), in_effect).await.unwrap();
    assert_eq!(bench.store.snapshot().await.unwrap().records[0].name, "shop");
}

#[tokio::test]
async fn changes_wait_for_each_other() {
    let bench = Bench::new().await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let changes = bench.changes.clone();
            tokio::spawn(async move {
                changes
                    .apply(set([basic(&format!("n{number}"))]), "test")
                    .await
                    .unwrap()
                    .revision
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for task in tasks {
        revisions.push(task.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=20).collect::<Vec<u64>>());
    assert_eq!(bench.changes.snapshot().records.len(), 20);
}

#[tokio::test]
async fn a_rehearsal_finds_what_a_change_would_and_changes_nothing() {
    let bench = Bench::new().await;
    let preview = bench.changes.rehearse(|_| Ok(set([channel("a", None)]))).await.unwrap();
    assert_eq!((names(&preview.created), preview.revision), (vec!["a"], 1));
    bench.first.fail.store(true, Ordering::Relaxed);
    bench
        .changes
        .rehearse(|_| Ok(set([channel("a", None)])))
        .await
        .unwrap_err();
    assert_eq!(bench.changes.snapshot().revision, 0);
    assert_eq!(bench.store.snapshot().await.unwrap().records, []);
    assert_eq!(bench.committed(), [0]);
}

#[test]
fn names_that_are_no_names_are_refused() {
    for name in ["", " a", "a\n", "a\0b", &"x".repeat(201)] {
        assert!(check_name(name).is_err(), "{name:?}");
    }
    for name in ["a", "Fraud detection", "żółw.🐢", &"é".repeat(200)] {
        assert!(check_name(name).is_ok(), "{name:?}");
    }
}
