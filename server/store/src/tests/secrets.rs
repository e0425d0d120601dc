use std::os::unix::fs::PermissionsExt;

use busbar_model::Kind;
use serde_json::json;

use super::{Odb, delete, on_every_database, put, record};
use crate::{Secrets, Store, new_key};

const KIND: &str = "security.basic_auth";

on_every_database!(
    secrets_are_nowhere_in_clear,
    what_is_in_clear_is_encrypted_at_the_start,
    the_history_has_its_secrets,
    a_rotation_encrypts_everything_anew,
    a_rotation_that_fails_changes_nothing,
    another_server_takes_over_a_rotated_key,
    without_its_key_an_odb_is_refused,
);

fn shop(password: &str) -> busbar_model::object::ChangeSet {
    put(record(KIND, "shop", json!({"username": "ann", "password": password})))
}

async fn secrets_are_nowhere_in_clear(odb: &Odb) {
    let store = odb.open().await;
    let snapshot = store.apply(&shop("c4nary-1"), "test").await.unwrap();
    assert_eq!(snapshot.records[0].body["password"], "c4nary-1");
    assert_eq!(store.snapshot().await.unwrap(), snapshot);
    store.apply(&shop("c4nary-2"), "test").await.unwrap();
    store.apply(&delete(KIND, "shop"), "test").await.unwrap();
    assert!(!odb.holds("c4nary"));
    assert!(odb.holds("username"));
    store.close().await;
    assert!(!odb.holds("c4nary"));
    // the same again is no change, though it would be stored as another text
    let store = odb.open().await;
    let first = store.apply(&shop("c4nary-1"), "test").await.unwrap();
    assert_eq!(store.apply(&shop("c4nary-1"), "test").await.unwrap(), first);
}

async fn what_is_in_clear_is_encrypted_at_the_start(odb: &Odb) {
    // as a busbar that knows no secrets leaves it
    let store = Store::open(&odb.location, Secrets::in_file(&odb.key(), []))
        .await
        .unwrap();
    store.apply(&shop("c4nary-1"), "test").await.unwrap();
    let before = store.apply(&shop("c4nary-2"), "test").await.unwrap();
    assert!(odb.holds("c4nary-1") && odb.holds("c4nary-2"));
    store.close().await;
    let store = odb.open().await;
    assert!(!odb.holds("c4nary"));
    assert_eq!(store.snapshot().await.unwrap(), before);
    let history = store.history(KIND, "shop", 9).await.unwrap();
    let passwords: Vec<_> = history
        .iter()
        .map(|it| &it.record.as_ref().unwrap().body["password"])
        .collect();
    assert_eq!(passwords, ["c4nary-2", "c4nary-1"]);
}

async fn the_history_has_its_secrets(odb: &Odb) {
    let store = odb.open().await;
    store.apply(&shop("one"), "test").await.unwrap();
    store.apply(&shop("two"), "test").await.unwrap();
    let history = store.history(KIND, "shop", 9).await.unwrap();
    assert_eq!(history[1].record.as_ref().unwrap().body["password"], "one");
}

async fn a_rotation_encrypts_everything_anew(odb: &Odb) {
    let store = odb.open().await;
    store.apply(&shop("one"), "test").await.unwrap();
    let before = store.apply(&shop("two"), "test").await.unwrap();
    let old_file = std::fs::read_to_string(odb.key()).unwrap();
    let rotated = store.rotate_secrets().await.unwrap();
    // the object, and two versions of it
    assert_eq!(rotated.secrets, 3);
    assert!(odb.holds(&rotated.key) && !odb.holds(&rotated.old_key));
    assert_eq!(store.snapshot().await.unwrap(), before);
    assert_eq!(store.apply(&shop("two"), "test").await.unwrap(), before);
    let new_file = std::fs::read_to_string(odb.key()).unwrap();
    assert_eq!(new_file.lines().count(), old_file.lines().count());
    assert_ne!(new_file, old_file);
    assert_eq!(
        std::fs::metadata(odb.key()).unwrap().permissions().mode() & 0o777,
        0o600
    );
    store.close().await;
    assert_eq!(
        Store::schema(&odb.location).await.unwrap().secret_key,
        Some(rotated.key)
    );
    let store = odb.open().await;
    assert_eq!(store.snapshot().await.unwrap(), before);
    assert_eq!(store.history(KIND, "shop", 9).await.unwrap().len(), 2);
}

async fn a_rotation_that_fails_changes_nothing(odb: &Odb) {
    let store = odb.open().await;
    let before = store.apply(&shop("one"), "test").await.unwrap();
    let key = Store::schema(&odb.location).await.unwrap().secret_key.unwrap();
    let version = "INSERT INTO object_version (kind, name, version, revision, action, body, changed_at, changed_by)";
    let damaged = format!("$chacha20-poly1305${key}${}", "A".repeat(60));
    let values = format!("('{KIND}', 'shop', 9, 9, 'change', '{{\"password\":\"{damaged}\"}}', '', '')");
    odb.execute(&store, &format!("{version} VALUES {values}")).await;
    let error = store.rotate_secrets().await.unwrap_err();
    assert!(error.message().contains("cannot be decrypted"), "{error}");
    assert_eq!(store.snapshot().await.unwrap(), before);
    odb.execute(&store, "DELETE FROM object_version WHERE version = 9")
        .await;
    store.close().await;
    // the new key waits in the file for the next one
    let store = odb.open().await;
    let rotated = store.rotate_secrets().await.unwrap();
    assert_eq!((rotated.old_key, rotated.secrets), (key, 2));
    assert_eq!(store.snapshot().await.unwrap(), before);
}

async fn another_server_takes_over_a_rotated_key(odb: &Odb) {
    let one = odb.open().await;
    one.apply(&shop("one"), "test").await.unwrap();
    let copy = odb.dir.path().join("copy.key");
    std::fs::copy(odb.key(), &copy).unwrap();
    let secrets = Secrets::in_file(&copy, [(KIND.to_owned(), "password".to_owned())]);
    let other = Store::open(&odb.location, secrets).await.unwrap();
    let rotated = one.rotate_secrets().await.unwrap();
    let error = other.apply(&shop("two"), "test").await.unwrap_err();
    assert!(
        error.message().contains(&rotated.key) && error.hint().is_some(),
        "{error}"
    );
    assert!(other.snapshot().await.is_err());
    std::fs::copy(odb.key(), &copy).unwrap();
    let after = other.apply(&shop("two"), "test").await.unwrap();
    assert_eq!(one.snapshot().await.unwrap(), after);
}

async fn without_its_key_an_odb_is_refused(odb: &Odb) {
    let store = odb.open().await;
    store.apply(&shop("one"), "test").await.unwrap();
    store.close().await;
    let key = std::fs::read_to_string(odb.key()).unwrap();
    std::fs::remove_file(odb.key()).unwrap();
    let error = odb.try_open().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().contains("odb.key") && error.hint().is_some(), "{error}");
    assert!(!odb.key().exists());
    std::fs::write(odb.key(), format!("{}\n", new_key())).unwrap();
    std::fs::set_permissions(odb.key(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(odb.try_open().await.unwrap_err().message().contains("odb.key"));
    std::fs::write(odb.key(), &key).unwrap();
    odb.open().await.close().await;
    std::fs::set_permissions(odb.key(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = odb.try_open().await.unwrap_err();
    assert!(error.hint().unwrap().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn keys_come_from_the_environment_too() {
    let odb = Odb::sqlite();
    let (one, two) = (new_key(), new_key());
    let secrets = |text: String| {
        let fields = [(KIND.to_owned(), "password".to_owned())];
        Secrets::in_variable("BUSBAR_ODB_KEY", text, fields)
    };
    let store = Store::open(&odb.location, secrets(one.clone())).await.unwrap();
    let before = store.apply(&shop("c4nary"), "test").await.unwrap();
    let error = store.rotate_secrets().await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadRequest);
    assert!(error.hint().unwrap().contains("new-key"), "{error}");
    store.close().await;
    let store = Store::open(&odb.location, secrets(format!("{two} {one}")))
        .await
        .unwrap();
    let rotated = store.rotate_secrets().await.unwrap();
    assert_eq!(store.snapshot().await.unwrap(), before);
    store.close().await;
    assert!(!odb.holds("c4nary") && odb.holds(&rotated.key));
    let store = Store::open(&odb.location, secrets(two)).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap(), before);
    assert!(!odb.key().exists());
}
