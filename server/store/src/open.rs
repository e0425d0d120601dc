//! Opening the ODB.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use busbar_model::{Error, Kind};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tracing::warn;

use crate::db::{Arg, Db, Transaction};
use crate::error::translate;
use crate::location::{At, Location};
use crate::schema::lock_file;
use crate::secrets::Secrets;

/// How long an operation waits for another process that writes a SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an operation waits for its turn at a SQLite file in this process.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an operation waits for a database server to be there.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to a database server at most: operations are short and rare.
const CONNECTIONS: u32 = 4;

/// The ODB. Its operations run on the current tokio runtime.
#[derive(Debug)]
pub struct Store {
    pub(crate) db: Db,
    pub(crate) name: String,
    pub(crate) secrets: Secrets,
}

impl Store {
    /// Opens the ODB, makes it if it is not there (a file readable by its owner alone), and brings it up to date: the schema, then the
    /// secrets that are not encrypted yet.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the file or its directory cannot be read or written, is damaged, the database or its user is not there, it is not
    /// an ODB, comes from a newer busbar, or its secrets were encrypted with a key that is not here. [`Kind::Unavailable`]: it is locked,
    /// or does not answer.
    pub async fn open(location: &Location, secrets: Secrets) -> Result<Arc<Self>, Error> {
        if let At::File(path) = &location.at {
            prepare_file(path)?;
        }
        let _lock = lock_file(location).await?;
        let store = Self::connect(location, secrets).await?;
        let up_to_date = async {
            store.migrate().await?;
            store.prepare_secrets().await
        };
        if let Err(error) = up_to_date.await {
            store.db.close().await;
            return Err(error);
        }
        Ok(Arc::new(store))
    }

    /// An ODB that is forgotten with the process.
    ///
    /// # Errors
    ///
    /// Only when memory is short.
    pub async fn in_memory() -> Result<Arc<Self>, Error> {
        Self::open(&Location::memory(), Secrets::none()).await
    }

    /// Connects to what is there, whatever its schema.
    pub(crate) async fn connect(location: &Location, secrets: Secrets) -> Result<Self, Error> {
        let name = location.to_string();
        let db = match &location.at {
            At::Memory => connect_sqlite(SqliteConnectOptions::new().in_memory(true)).await,
            At::File(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .journal_mode(SqliteJournalMode::Wal)
                    // every commit reaches the disk: a change that was answered survives a power cut
                    .synchronous(SqliteSynchronous::Full)
                    // what is deleted is overwritten: it may be a secret
                    .pragma("secure_delete", "ON")
                    .busy_timeout(BUSY_TIMEOUT)
                    .statement_cache_capacity(32);
                connect_sqlite(options).await
            }
            At::Postgres(options) => {
                let pool = PgPoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .acquire_timeout(REACH_TIMEOUT)
                    .after_connect(|connection, _| {
                        Box::pin(async move {
                            // a notice at each start that a table is there already tells nobody anything
                            let sql = "SET lock_timeout = '30s'; SET client_min_messages = warning";
                            sqlx::raw_sql(sql).execute(connection).await?;
                            Ok(())
                        })
                    });
                pool.connect_with((**options).clone()).await.map(Db::Postgres)
            }
            At::MySql(options) => {
                let pool = MySqlPoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .acquire_timeout(REACH_TIMEOUT)
                    .after_connect(|connection, _| {
                        Box::pin(async move {
                            // what does not fit is an error, not cut off
                            let sql = "SET SESSION innodb_lock_wait_timeout = 30, \
                                 sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')";
                            sqlx::query(sql).execute(connection).await?;
                            Ok(())
                        })
                    });
                pool.connect_with((**options).clone()).await.map(Db::MySql)
            }
        };
        let db = db.map_err(|error| translate(&name, error))?;
        Ok(Self { db, name, secrets })
    }

    /// Begins a transaction that writes. Only one at a time does: it reads what the one before has written, and nothing is lost.
    pub(crate) async fn write(&self) -> Result<Transaction, Error> {
        let mut transaction = self.db.begin().await.map_err(|error| self.error(error))?;
        // whoever writes first takes the lock of the row, of SQLite's file as a whole; later it might be too late for that
        self.execute(
            &mut transaction,
            "UPDATE counter SET value = value WHERE name = 'revision'",
            &[],
        )
        .await?;
        Ok(transaction)
    }

    pub(crate) async fn execute(
        &self,
        transaction: &mut Transaction,
        sql: &str,
        args: &[Arg<'_>],
    ) -> Result<(), Error> {
        transaction.execute(sql, args).await.map_err(|error| self.error(error))
    }

    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        transaction.commit().await.map_err(|error| {
            let error = self.error(error);
            let lost = error.kind() == Kind::Unavailable;
            if lost {
                error.with_hint(
                    "whether the change was stored shows when the database is back; then look before you repeat it",
                )
            } else {
                error
            }
        })
    }

    /// Overwrites what was deleted or replaced, as far as the database lets anybody.
    pub(crate) async fn scrub(&self) -> Result<(), Error> {
        let Db::Sqlite(pool) = &self.db else { return Ok(()) };
        for sql in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::query(sql)
                .execute(pool)
                .await
                .map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    /// Writes everything down and closes the connections. Operations fail afterwards.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Translates what the database says.
    pub(crate) fn error(&self, error: sqlx::Error) -> Error {
        translate(&self.name, error)
    }
}

async fn connect_sqlite(options: SqliteConnectOptions) -> Result<Db, sqlx::Error> {
    // One connection: operations are short and rare, SQLite has one writer anyway, and a second connection to memory would be
    // a second database. For the same reason it is never closed for being idle or old.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(TURN_TIMEOUT);
    pool.connect_with(options.foreign_keys(true)).await.map(Db::Sqlite)
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
