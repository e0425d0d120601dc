//! Opening the ODB.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use busbar_model::{Error, Kind};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tracing::warn;

use crate::error::{translate, translate_migration};
use crate::migrations::migrator;

/// How long an operation waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an operation waits for its turn in this process.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// `busb`, written into the file's header by the first migration.
const APPLICATION_ID: i32 = 0x6275_7362;

/// The ODB. Its operations run on the current tokio runtime.
#[derive(Debug)]
pub struct Store {
    pub(crate) pool: SqlitePool,
    pub(crate) path: Option<PathBuf>,
}

impl Store {
    /// Opens the file, creates it (readable by its owner alone, it holds passwords) if there is none, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the file or its directory cannot be read or written, is damaged, is not an ODB, or comes from a newer
    /// busbar. [`Kind::Unavailable`]: another process holds it locked.
    pub async fn open(path: &Path) -> Result<Arc<Self>, Error> {
        prepare_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // every commit reaches the disk: a change that was answered survives a power cut
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(32);
        Self::connect(options, Some(path.to_owned())).await
    }

    /// An ODB that is forgotten with the process.
    ///
    /// # Errors
    ///
    /// Only when memory is short.
    pub async fn in_memory() -> Result<Arc<Self>, Error> {
        Self::connect(SqliteConnectOptions::new().in_memory(true).foreign_keys(true), None).await
    }

    async fn connect(options: SqliteConnectOptions, path: Option<PathBuf>) -> Result<Arc<Self>, Error> {
        // One connection: operations are short and rare, SQLite has one writer anyway, and a second connection to memory would be
        // a second database. For the same reason it is never closed for being idle or old.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(TURN_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|error| translate(path.as_deref(), error))?;
        let store = Self { pool, path };
        if let Err(error) = store.bring_up_to_date().await {
            store.pool.close().await;
            return Err(error);
        }
        Ok(Arc::new(store))
    }

    async fn bring_up_to_date(&self) -> Result<(), Error> {
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        let application_id: i32 = sqlx::query_scalar("PRAGMA application_id")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        if tables > 0 && application_id != APPLICATION_ID && !self.is_new().await? {
            let name = self.path.as_deref().unwrap_or(Path::new("(in memory)")).display();
            return Err(Error::new(Kind::Config, format!("`{name}` is not an ODB"))
                .with_hint("this SQLite file belongs to something else; move it away"));
        }
        migrator()
            .run(&self.pool)
            .await
            .map_err(|error| translate_migration(self.path.as_deref(), error))
    }

    /// Whether the only table is the list of migrations and that is empty: a start that was cut off before its first migration.
    async fn is_new(&self) -> Result<bool, Error> {
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT IN ('_sqlx_migrations', 'sqlite_sequence')",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(|error| self.error(error))?;
        if others > 0 {
            return Ok(false);
        }
        let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        Ok(applied == 0)
    }

    /// Writes everything down and closes the file. Operations fail afterwards.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Translates what SQLite says.
    pub(crate) fn error(&self, error: sqlx::Error) -> Error {
        translate(self.path.as_deref(), error)
    }
}

/// Creates the file with permissions that let nobody else read it, which SQLite would not do; its journal files inherit them.
fn prepare_file(path: &Path) -> Result<(), Error> {
    let fail = |error: std::io::Error| {
        Error::new(Kind::Config, format!("cannot open the ODB `{}`", path.display()))
            .with_hint("the user that runs the server needs to read and write this file and its directory")
            .with_source(error)
    };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let metadata = std::fs::metadata(path).map_err(fail)?;
            if !metadata.is_file() {
                return Err(fail(std::io::Error::other("it is not a file")));
            }
            if metadata.permissions().mode() & 0o077 != 0 {
                warn!(path = %path.display(), "the ODB `{}` can be read by other users", path.display());
            }
            Ok(())
        }
        Err(error) => Err(fail(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_file_is_for_its_owner_alone_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odb.sqlite");
        let store = Store::open(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let generation = store.next_generation().await.unwrap();
        for journal in ["odb.sqlite-wal", "odb.sqlite-shm"] {
            let mode = std::fs::metadata(dir.path().join(journal))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{journal}");
        }
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.next_generation().await.unwrap(), generation + 1);
    }

    #[tokio::test]
    async fn migrations_go_back_and_forward_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odb.sqlite");
        let store = Store::open(&path).await.unwrap();
        store.next_generation().await.unwrap();
        migrator().undo(&store.pool, 0).await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('_sqlx_migrations', 'sqlite_sequence')",
        )
        .fetch_all(&store.pool)
        .await
        .unwrap();
        assert_eq!(tables, [""; 0]);
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.next_generation().await.unwrap(), 1);
    }

    async fn refused(path: &Path) -> Error {
        let error = Store::open(path).await.unwrap_err();
        assert!(error.message().contains(&path.display().to_string()), "{error}");
        assert!(error.hint().is_some(), "{error}");
        error
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

        let path = dir.path().join("other.sqlite");
        let other = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path).create_if_missing(true))
            .await
            .unwrap();
        sqlx::query("CREATE TABLE letter (id INTEGER)")
            .execute(&other)
            .await
            .unwrap();
        other.close().await;
        assert!(refused(&path).await.message().contains("not an ODB"));

        assert_eq!(
            refused(&dir.path().join("missing/odb.sqlite")).await.kind(),
            Kind::Config
        );
        assert_eq!(refused(dir.path()).await.kind(), Kind::Config);
    }

    #[tokio::test]
    async fn a_damaged_file_is_called_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odb.sqlite");
        let store = Store::open(&path).await.unwrap();
        store.close().await;
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        assert!(refused(&path).await.message().contains("damaged"));
    }

    #[tokio::test]
    async fn a_file_of_a_newer_busbar_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odb.sqlite");
        let store = Store::open(&path).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)",
        )
        .execute(&store.pool)
        .await
        .unwrap();
        store.close().await;
        let error = refused(&path).await;
        assert!(error.message().contains("newer busbar"), "{error}");
    }

    #[tokio::test]
    async fn a_locked_file_is_called_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odb.sqlite");
        let store = Store::open(&path).await.unwrap();
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(Duration::from_millis(10));
        let other = SqlitePool::connect_with(options).await.unwrap();
        let transaction = store.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let error = sqlx::query("UPDATE counter SET value = value + 1")
            .execute(&other)
            .await
            .unwrap_err();
        let error = translate(Some(&path), error);
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.is_temporary() && error.message().contains("locked"), "{error}");
        drop(transaction);
        other.close().await;
    }
}
