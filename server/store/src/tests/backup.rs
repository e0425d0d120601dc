use busbar_model::Kind;
use busbar_model::object::{Change, ChangeSet};
use serde_json::json;

use super::{Odb, delete, on_every_database, put, record};
use crate::{Backup, StoredSource, now};

const PASSPHRASE: &str = "correct horse battery staple";

on_every_database!(
    everything_comes_back_with_its_numbers,
    an_odb_that_is_not_empty_is_replaced_only_when_told,
);

/// An ODB with objects, a service and a module.
async fn fill(odb: &Odb) -> Backup {
    let store = odb.open().await;
    let secret = json!({"username": "ann", "password": "c4nary"});
    let set = ChangeSet {
        changes: vec![
            Change::Put(record("a", "gone", json!({}))),
            Change::Put(record("security.basic_auth", "shop", secret)),
            Change::Put(record("service", "orders", json!({}))),
        ],
    };
    store.apply(&set, "ann").await.unwrap();
    store.apply(&delete("a", "gone"), "ann").await.unwrap();
    store
        .identify("service", &["orders".into(), "crm".into()])
        .await
        .unwrap();
    let generation = store.next_generation().await.unwrap();
    let source = StoredSource {
        module: "orders".into(),
        path: "/pickup-dir/orders.py".into(),
        text: vec![0, 0xff, b'\n'],
        hash: "h".into(),
        generation,
        deployed_at: now(),
        deployed_by: Some("cli:ann".into()),
    };
    store.put_sources(generation, &[source]).await.unwrap();
    let backup = store.backup().await.unwrap();
    store.close().await;
    backup
}

async fn everything_comes_back_with_its_numbers(odb: &Odb) {
    let backup = fill(&Odb::sqlite()).await;
    let file = backup.seal(PASSPHRASE).unwrap();
    assert!(!file.windows(6).any(|it| it == b"c4nary"));
    let read = Backup::open(&file, PASSPHRASE).unwrap();
    assert_eq!(read, backup);
    let store = odb.open().await;
    store.restore(&read, false, "restore").await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    assert!(snapshot.iter().eq(&backup.records), "{snapshot:?}");
    assert_eq!(snapshot.revision, backup.revision + 1);
    assert_eq!(store.snapshot_at(snapshot.revision).await.unwrap(), snapshot);
    assert_eq!(store.current_sources().await.unwrap()[0].text, [0, 0xff, b'\n']);
    assert_eq!(store.source_history("orders").await.unwrap().len(), 1);
    assert_eq!(
        store
            .identify("service", &["crm".into(), "orders".into()])
            .await
            .unwrap(),
        [4, 3]
    );
    let next = store.apply(&put(record("a", "next", json!({}))), "ann").await.unwrap();
    assert!(next.records[0].id > 4, "{next:?}");
    assert_eq!(store.next_generation().await.unwrap(), 2);
    assert!(!odb.holds("c4nary"));
}

async fn an_odb_that_is_not_empty_is_replaced_only_when_told(odb: &Odb) {
    let backup = fill(&Odb::sqlite()).await;
    let store = odb.open().await;
    for n in 0..5 {
        store
            .apply(&put(record("a", "mine", json!({"n": n}))), "ann")
            .await
            .unwrap();
    }
    let before = store.snapshot().await.unwrap();
    let error = store.restore(&backup, false, "restore").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(store.snapshot().await.unwrap(), before);
    store.restore(&backup, true, "restore").await.unwrap();
    let after = store.snapshot().await.unwrap();
    assert!(after.iter().eq(&backup.records), "{after:?}");
    assert_eq!(after.revision, before.revision + 1);
    assert_eq!(store.history("a", "mine", 9).await.unwrap(), []);
}

#[tokio::test]
async fn files_that_cannot_be_trusted_are_refused() {
    let backup = fill(&Odb::sqlite()).await;
    assert_eq!(backup.seal("short").unwrap_err().kind(), Kind::BadRequest);
    let file = backup.seal(PASSPHRASE).unwrap();
    let refused = |file: &[u8], passphrase: &str| {
        let error = Backup::open(file, passphrase).unwrap_err();
        assert_eq!(error.kind(), Kind::BadRequest);
        assert!(error.hint().is_some() && !error.chain().contains(PASSPHRASE), "{error}");
        error.message().to_owned()
    };
    assert!(refused(&file, "another passphrase").contains("the passphrase is another one"));
    for length in [0, 5, 15, 16, 40, file.len() - 20, file.len() - 1] {
        refused(&file[..length], PASSPHRASE);
    }
    for position in [20, 60, file.len() / 2, file.len() - 1] {
        let mut changed = file.clone();
        changed[position] ^= 1;
        refused(&changed, PASSPHRASE);
    }
    let newer = [b"busbar-backup 2\n".as_slice(), &file[16..]].concat();
    assert!(refused(&newer, PASSPHRASE).contains("of version 2"));
    assert!(refused(b"PK\x03\x04 a letter", PASSPHRASE).contains("is not a backup"));
}
