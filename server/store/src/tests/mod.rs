//! One suite over every database.

mod backup;
mod faults;
mod identities;
mod objects;
mod schema;
mod secrets;
mod sources;
mod tallies;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use busbar_model::Error;
use busbar_model::object::{Change, ChangeSet, Record};
use busbar_testkit::Database;

use crate::{Location, Secrets, Store};

/// Makes a test of each function for each database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test(&crate::tests::Odb::sqlite()).await; })*
        }
        mod postgresql {
            $(#[tokio::test] async fn $test() { super::$test(&crate::tests::Odb::postgresql()).await; })*
        }
        mod mysql {
            $(#[tokio::test] async fn $test() { super::$test(&crate::tests::Odb::mysql()).await; })*
        }
    };
}
pub(crate) use on_every_database;

/// An ODB of the test's own.
pub(crate) struct Odb {
    pub dir: tempfile::TempDir,
    pub location: Location,
    pub database: Option<Database>,
}

impl Odb {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::file(&dir.path().join("odb.sqlite"));
        Self {
            dir,
            location,
            database: None,
        }
    }

    pub fn postgresql() -> Self {
        Self::on(Database::postgresql())
    }

    pub fn mysql() -> Self {
        Self::on(Database::mysql())
    }

    fn on(database: Database) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::parse(&database.url(), dir.path()).unwrap();
        Self {
            dir,
            location,
            database: Some(database),
        }
    }

    /// `password` of `security.basic_auth` is secret.
    pub fn secrets(&self) -> Secrets {
        Secrets::in_file(&self.key(), [("security.basic_auth".to_owned(), "password".to_owned())])
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("odb.key")
    }

    pub async fn try_open(&self) -> Result<Arc<Store>, Error> {
        Store::open(&self.location, self.secrets()).await
    }

    pub async fn open(&self) -> Arc<Store> {
        self.try_open().await.unwrap()
    }

    /// Runs a statement that busbar does not have.
    pub async fn execute(&self, store: &Store, sql: &str) {
        let mut transaction = store.db.begin().await.unwrap();
        transaction.execute(sql, &[]).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Whether `text` stands anywhere in what is stored: in the bytes of the files, or in the rows of the tables.
    pub fn holds(&self, text: &str) -> bool {
        match &self.database {
            Some(database) => ["object", "object_version"]
                .iter()
                .any(|table| database.dump(table).contains(text)),
            None => ["", "-wal"].iter().any(|suffix| {
                let file = self.dir.path().join(format!("odb.sqlite{suffix}"));
                contains(&file, text)
            }),
        }
    }
}

fn contains(file: &Path, text: &str) -> bool {
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

pub(crate) fn record(kind: &str, name: &str, body: serde_json::Value) -> Record {
    Record {
        kind: kind.into(),
        name: name.into(),
        is_active: true,
        body: body.as_object().unwrap().clone().into(),
        version: 0,
        id: 0,
    }
}

pub(crate) fn put(record: Record) -> ChangeSet {
    ChangeSet {
        changes: vec![Change::Put(record)],
    }
}

pub(crate) fn delete(kind: &str, name: &str) -> ChangeSet {
    ChangeSet {
        changes: vec![Change::Delete {
            kind: kind.into(),
            name: name.into(),
        }],
    }
}
