use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use busbar_model::{Error, Kind};
use serde_json::json;

use super::{Odb, on_every_database, put, record};
use crate::{Location, Secrets, Store};

on_every_database!(
    the_schema_goes_back_and_forward_again,
    going_back_before_encryption_decrypts,
    an_odb_of_a_newer_busbar_is_refused,
    a_database_of_something_else_is_refused,
    two_may_open_a_new_odb_at_once,
);

async fn the_schema_goes_back_and_forward_again(odb: &Odb) {
    let nothing = Store::schema(&odb.location).await.unwrap();
    assert_eq!((nothing.version, nothing.objects), (0, 0));
    let store = odb.open().await;
    store.next_generation().await.unwrap();
    store.close().await;
    let schema = Store::schema(&odb.location).await.unwrap();
    assert_eq!(schema.version, schema.newest);
    assert!(schema.secret_key.is_some());
    let back = |to| Store::rollback(&odb.location, odb.secrets(), to);
    for to in [-1, schema.newest, 99] {
        assert_eq!(back(Some(to)).await.unwrap_err().kind(), Kind::BadRequest);
    }
    for version in (1..schema.newest).rev() {
        assert_eq!(back(None).await.unwrap().to, version);
    }
    // everything is gone only when somebody says so
    assert!(back(None).await.unwrap_err().hint().unwrap().contains("--to 0"));
    back(Some(0)).await.unwrap();
    assert_eq!(Store::schema(&odb.location).await.unwrap().version, 0);
    assert_eq!(odb.open().await.next_generation().await.unwrap(), 1);
}

async fn going_back_before_encryption_decrypts(odb: &Odb) {
    let store = odb.open().await;
    let shop = record(
        "security.basic_auth",
        "shop",
        json!({"username": "ann", "password": "c4nary"}),
    );
    let before = store.apply(&put(shop), "test").await.unwrap();
    store.close().await;
    assert!(!odb.holds("c4nary"));
    let done = Store::rollback(&odb.location, odb.secrets(), Some(1)).await.unwrap();
    // the object, and its history
    assert_eq!(done.decrypted, 2);
    assert!(odb.holds("c4nary"));
    let store = odb.open().await;
    assert_eq!(store.snapshot().await.unwrap(), before);
    assert!(!odb.holds("c4nary"));
}

async fn an_odb_of_a_newer_busbar_is_refused(odb: &Odb) {
    let store = odb.open().await;
    let (table, bytes) = match odb.database {
        Some(_) => ("busbar_migration", "'00'"),
        None => ("_sqlx_migrations", "x'00'"),
    };
    let sql = format!(
        "INSERT INTO {table} (version, description, success, checksum, execution_time) VALUES (9999, 'x', true, {bytes}, 0)"
    );
    odb.execute(&store, &sql).await;
    store.close().await;
    let error = odb.try_open().await.unwrap_err();
    assert!(error.message().contains("newer busbar"), "{error}");
}

async fn a_database_of_something_else_is_refused(odb: &Odb) {
    let store = Store::connect(&odb.location, Secrets::none()).await;
    // a file that is not there is not made for nothing
    let store = match store {
        Ok(store) => store,
        Err(_) => {
            std::fs::write(odb.dir.path().join("odb.sqlite"), "").unwrap();
            Store::connect(&odb.location, Secrets::none()).await.unwrap()
        }
    };
    odb.execute(&store, "CREATE TABLE counter (letter INTEGER)").await;
    store.close().await;
    let error = odb.try_open().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(
        error.message().contains("is not an ODB") && error.hint().is_some(),
        "{error}"
    );
    assert!(Store::schema(&odb.location).await.is_err());
}

async fn two_may_open_a_new_odb_at_once(odb: &Odb) {
    let (one, other) = tokio::join!(odb.try_open(), odb.try_open());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.next_generation().await.unwrap(), 1);
    assert_eq!(other.next_generation().await.unwrap(), 2);
}

// === files alone ===

async fn refused(path: &Path) -> Error {
    let error = Store::open(&Location::file(path), Secrets::none()).await.unwrap_err();
    assert!(error.message().contains(&path.display().to_string()), "{error}");
    assert!(error.hint().is_some(), "{error}");
    error
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    let odb = Odb::sqlite();
    let store = odb.open().await;
    store.next_generation().await.unwrap();
    for file in ["odb.sqlite", "odb.sqlite-wal", "odb.sqlite-shm", "odb.key"] {
        let mode = std::fs::metadata(odb.dir.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn files_that_are_no_odb_are_refused_and_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odb.sqlite");
    let text = b"this is not a database, it is a letter ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().contains("not an ODB"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), text);
    assert_eq!(
        refused(&dir.path().join("missing/odb.sqlite")).await.kind(),
        Kind::Config
    );
    assert_eq!(refused(dir.path()).await.kind(), Kind::Config);
}

#[tokio::test]
async fn a_damaged_file_is_called_damaged() {
    let odb = Odb::sqlite();
    odb.open().await.close().await;
    let path = odb.dir.path().join("odb.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    assert!(refused(&path).await.message().contains("damaged"));
}

// === servers alone ===

#[tokio::test]
async fn what_a_server_refuses_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    for database in [
        busbar_testkit::Database::postgresql(),
        busbar_testkit::Database::mysql(),
    ] {
        let missing = format!("{}_missing", database.url());
        let location = Location::parse(&missing, dir.path()).unwrap();
        let error = Store::open(&location, Secrets::none()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{}", error.chain());
        assert!(error.message().contains("does not exist"), "{error}");
    }
    let database = busbar_testkit::Database::mysql();
    let stranger = database.url().replace("//root@", "//nobody:s3cret@");
    let location = Location::parse(&stranger, dir.path()).unwrap();
    let error = Store::open(&location, Secrets::none()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{}", error.chain());
    assert!(
        error.message().contains("refuses") && !error.chain().contains("s3cret"),
        "{}",
        error.chain()
    );
}
