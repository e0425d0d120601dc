//! Changes, whole or not at all.

use std::sync::atomic::Ordering;

use busbar_model::object::Change;
use serde_json::json;

use super::*;
use crate::problem::Code;
use crate::samples::{Bench, REGISTRY, delete, put, set};

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
async fn objects_and_services_have_numbers_from_the_store() {
    let bench = Bench::new().await;
    let set_up = set([basic("shop"), channel("a", Some("shop"))]);
    bench.changes.apply(set_up, "test").await.unwrap();
    assert_eq!(bench.store.snapshot().await.unwrap(), *bench.changes.snapshot());
    let ids = |snapshot: &Snapshot| -> Vec<u64> { snapshot.iter().map(|it| it.id).collect() };
    assert_eq!(ids(&bench.changes.snapshot()), [2, 1]);
    bench.changes.apply(set([channel("a", None)]), "test").await.unwrap();
    assert_eq!(ids(&bench.changes.snapshot()), [2, 1]);
    let services = ["s.one".to_owned(), "s.two".to_owned()];
    assert_eq!(bench.changes.service_ids(&services).await.unwrap(), [3, 4]);
    assert_eq!(bench.changes.service_ids(&services[1..]).await.unwrap(), [4]);
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
            (Code::W04, "channel.http `nobody`", "security"),
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

fn rename(kind: &str, name: &str, new_name: &str) -> Change {
    Change::Rename {
        kind: kind.to_owned(),
        name: name.to_owned(),
        new_name: new_name.to_owned(),
    }
}

#[tokio::test]
async fn a_new_name_is_followed_by_whatever_names_the_object() {
    let bench = Bench::new().await;
    let set_up = set([basic("shop"), channel("a", Some("shop")), channel("b", None)]);
    bench.changes.apply(set_up, "test").await.unwrap();
    let before = bench.changes.snapshot();
    let change = set([rename("security.basic_auth", "shop", "store")]);
    let applied = bench.changes.apply(change, "test").await.unwrap();
    assert_eq!(
        (names(&applied.changed), applied.renamed.as_slice(), applied.revision),
        (
            vec!["a"],
            &[Renamed {
                kind: "security.basic_auth".into(),
                name: "shop".into(),
                new_name: "store".into()
            }][..],
            2
        )
    );
    assert!(applied.created.is_empty() && applied.deleted.is_empty(), "{applied:?}");
    let after = bench.changes.snapshot();
    assert_eq!(*after, bench.store.snapshot().await.unwrap());
    assert_eq!(*bench.host.configured.lock().unwrap().last().unwrap(), after);
    assert_eq!(after.get("channel.http", "a").unwrap().body["security"], "store");
    let (old, new) = (&before.records[2], after.get("security.basic_auth", "store").unwrap());
    assert_eq!((old.id, &old.body, old.version + 1), (new.id, &new.body, new.version));
    assert!(after.get("security.basic_auth", "shop").is_none());

    // renamed, edited, and the old name used again: in one go
    let change = set([
        rename("security.basic_auth", "store", "shop"),
        put(
            "security.basic_auth",
            "shop",
            json!({"username": "new", "password": "s3"}),
        ),
        put("security.api_key", "store", json!({})),
    ]);
    let applied = bench.changes.apply(change, "test").await.unwrap();
    assert_eq!(
        (names(&applied.changed), names(&applied.created), applied.renamed.len()),
        (vec!["a", "shop"], vec!["store"], 1)
    );
    let after = bench.changes.snapshot();
    assert_eq!(*after, bench.store.snapshot().await.unwrap());
    assert_eq!(after.get("security.basic_auth", "shop").unwrap().id, old.id);
}

#[tokio::test]
async fn a_name_that_cannot_be_given_is_refused() {
    let bench = Bench::new().await;
    let set_up = set([
        basic("shop"),
        put("security.api_key", "key", json!({})),
        channel("a", Some("shop")),
    ]);
    bench.changes.apply(set_up, "test").await.unwrap();
    for (change, code) in [
        (rename("channel.http", "nobody", "b"), Code::E27),
        (rename("channel.http", "a", " b"), Code::E22),
        (rename("channel.amqp", "a", "b"), Code::E26),
        (rename("service", "a", "b"), Code::E22),
        (rename("security.basic_auth", "shop", "key"), Code::E25),
    ] {
        let error = bench.changes.apply(set([change.clone()]), "test").await.unwrap_err();
        assert_eq!(codes(error)[0].0, code, "{change:?}");
    }
    bench.changes.apply(set([channel("b", None)]), "test").await.unwrap();
    let error = bench
        .changes
        .apply(set([rename("channel.http", "a", "b")]), "test")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "channel.http `a`: field `name`: cannot be renamed: there is a channel.http `b` (E25)"
    );
    let applied = bench
        .changes
        .apply(set([rename("channel.http", "a", "a")]), "test")
        .await
        .unwrap();
    assert_eq!((applied.revision, applied.renamed.len()), (2, 0));
}

#[tokio::test]
async fn what_was_made_from_an_older_version_is_refused() {
    let bench = Bench::new().await;
    let expecting = |change: Change, version| set([change]).expecting("channel.http", "a", Some(version));
    let create = || expecting(channel("a", None), 0);
    bench.changes.apply(create(), "ann").await.unwrap();
    let error = bench.changes.apply(create(), "bob").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "channel.http `a`: exists already, in version 1 (E28)"
    );
    let edit = |path: &str| {
        put(
            "channel.http",
            "a",
            json!({"service": "known.service", "url_path": path}),
        )
    };
    bench.changes.apply(expecting(edit("/ann"), 1), "ann").await.unwrap();
    for change in [
        edit("/bob"),
        delete("channel.http", "a"),
        rename("channel.http", "a", "b"),
    ] {
        let error = bench.changes.apply(expecting(change, 1), "bob").await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("was in version 1 when this change was made, and is in version 2"),
            "{error}"
        );
        assert_eq!(Error::from(error).kind(), Kind::Conflict);
    }
    bench
        .changes
        .apply(expecting(delete("channel.http", "a"), 2), "bob")
        .await
        .unwrap();
    let error = bench
        .changes
        .apply(expecting(edit("/ann"), 2), "ann")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
    let none = set([edit("/x")]).expecting("channel.http", "a", None);
    bench.changes.apply(none, "ann").await.unwrap();
}

#[tokio::test]
async fn of_two_writers_with_one_version_one_is_refused() {
    let bench = Bench::new().await;
    bench.changes.apply(set([channel("a", None)]), "test").await.unwrap();
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let changes = bench.changes.clone();
            let path = format!("/{number}");
            let change = put(
                "channel.http",
                "a",
                json!({"service": "known.service", "url_path": path}),
            );
            let set = set([change]).expecting("channel.http", "a", Some(1));
            tokio::spawn(async move { changes.apply(set, "test").await })
        })
        .collect();
    let mut made = 0;
    for writer in writers {
        made += usize::from(writer.await.unwrap().is_ok());
    }
    assert_eq!((made, bench.changes.snapshot().records[0].version), (1, 2));
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
    assert_eq!(snapshot.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["fine"]);
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

#[test]
fn objects_are_understood_by_several_threads_and_stay_in_order() {
    let records = (0..3 * SHARE_MIN + 7).map(|number| {
        let mut change = channel(&format!("{number:05}"), None);
        let Change::Put(record) = &mut change else {
            unreachable!("a channel is put")
        };
        match number % 10 {
            3 => record.kind = "channel.pigeon".to_owned(),
            4 => drop(record.body.shift_remove("service")),
            _ => {}
        }
        Arc::new(record.clone())
    });
    let records: Vec<_> = records.collect();
    let all = understood(REGISTRY, records.clone());
    let expected = records
        .iter()
        .enumerate()
        .filter(|(number, _)| !matches!(number % 10, 3 | 4));
    assert!(all.iter().map(|it| &it.name).eq(expected.map(|(_, it)| &it.name)));
    assert!(all.iter().all(|it| it.body.text().contains("http_accept")));
}
