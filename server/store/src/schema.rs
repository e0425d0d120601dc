//! The steps of the schema, forward and back, embedded in the executable: the same steps for every database, each in its words.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use busbar_model::{Error, Kind};
use serde::Serialize;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::mysql::{MySql, MySqlPool};
use sqlx::pool::PoolConnection;

use crate::db::Db;
use crate::error::{translate, translate_migration};
use crate::location::{At, Location};
use crate::open::Store;
use crate::secrets::Secrets;

/// `busb`, written into the header of a SQLite file by the first step.
const APPLICATION_ID: i64 = 0x6275_7362;

/// A table of the first step, by which an ODB is told from other databases.
const A_TABLE: &str = "counter";

/// One step: its number, what it is about, and its SQL both ways.
struct Step {
    number: i64,
    about: &'static str,
    sqlite: [&'static str; 2],
    postgresql: [&'static str; 2],
    mysql: [&'static str; 2],
}

macro_rules! both_ways {
    ($folder:literal, $name:literal) => {
        [
            include_str!(concat!("../../../migrations/", $folder, "/", $name, ".sql")),
            include_str!(concat!("../../../migrations/", $folder, "/", $name, ".down.sql")),
        ]
    };
}

macro_rules! step {
    ($number:literal, $name:literal) => {
        Step {
            number: $number,
            about: $name,
            sqlite: both_ways!("sqlite", $name),
            postgresql: both_ways!("postgresql", $name),
            mysql: both_ways!("mysql", $name),
        }
    };
}

/// Every step, in order. A step that was released is never edited: what it did is stored with a checksum.
const STEPS: &[Step] = &[
    step!(1, "0001_objects_and_sources"),
    step!(2, "0002_settings"),
    step!(3, "0003_identities"),
    step!(4, "0004_who_deployed"),
    step!(5, "0005_service_tallies"),
];

/// The step that begins to encrypt secrets: a schema before it knows nothing of that.
const SECRETS_STEP: i64 = 2;

/// The newest schema.
const NEWEST: i64 = STEPS[STEPS.len() - 1].number;

/// How far the schema of an ODB is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// Where the ODB is, without a password.
    pub location: String,
    /// Number of its last step; 0: there is nothing yet.
    pub version: i64,
    /// Number of the last step that this busbar knows.
    pub newest: i64,
    /// Id of the key that secrets are encrypted with, once they are.
    pub secret_key: Option<String>,
    /// How many objects there are.
    pub objects: u64,
}

/// What a step back did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// Number of the last step before.
    pub from: i64,
    /// And now.
    pub to: i64,
    /// How many secrets are stored in clear now, because that schema knows nothing of encryption.
    pub decrypted: usize,
}

impl Store {
    /// Says how far the schema is, without changing anything.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn schema(location: &Location) -> Result<Schema, Error> {
        if let At::File(path) = &location.at
            && !path.exists()
        {
            return Ok(Schema {
                location: location.to_string(),
                version: 0,
                newest: NEWEST,
                secret_key: None,
                objects: 0,
            });
        }
        let store = Self::connect(location, Secrets::none()).await?;
        let schema = store.read_schema().await;
        store.db.close().await;
        schema
    }

    /// Says whether the key that the secrets are encrypted with is among those that are here, without changing anything.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn check_key(location: &Location, secrets: Secrets) -> Result<(), Error> {
        if let At::File(path) = &location.at
            && !path.exists()
        {
            return Ok(());
        }
        let store = Self::connect(location, secrets).await?;
        let checked = async {
            if store.version().await? < SECRETS_STEP {
                return Ok(());
            }
            match store.secret_key_id().await? {
                Some(id) => store.secrets.check_key(&id),
                None => Ok(()),
            }
        }
        .await;
        store.db.close().await;
        checked
    }

    async fn read_schema(&self) -> Result<Schema, Error> {
        self.refuse_other_databases().await?;
        let version = self.version().await?;
        let objects = if version > 0 {
            let rows = self.db.fetch_all("SELECT count(*) AS count FROM object", &[]).await;
            let rows = rows.map_err(|error| self.error(error))?;
            rows[0].count("count").map_err(|error| self.error(error))?
        } else {
            0
        };
        let secret_key = if version >= SECRETS_STEP {
            self.secret_key_id().await?
        } else {
            None
        };
        Ok(Schema {
            location: self.name.clone(),
            version,
            newest: NEWEST,
            secret_key,
            objects,
        })
    }

    /// Takes the schema back to step `to`, by default the one before the last, so that an older busbar can use the ODB. Secrets are
    /// decrypted when that one does not know how to.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; [`Kind::BadRequest`] if the schema is not beyond `to`, or if nobody said that everything is to go.
    pub async fn rollback(location: &Location, secrets: Secrets, to: Option<i64>) -> Result<RolledBack, Error> {
        let _lock = lock_file(location).await?;
        let store = Self::connect(location, secrets).await?;
        let done = store.go_back(to).await;
        store.db.close().await;
        done
    }

    async fn go_back(&self, to: Option<i64>) -> Result<RolledBack, Error> {
        self.refuse_other_databases().await?;
        let from = self.version().await?;
        let to = match to {
            Some(to) => to,
            None if from > 1 => from - 1,
            None => {
                return Err(Error::new(
                    Kind::BadRequest,
                    format!("the schema of the ODB `{}` is at its first step", self.name),
                )
                .with_hint("`--to 0` removes it, with everything in it"));
            }
        };
        if to < 0 || to >= from {
            let message = format!(
                "the schema of the ODB `{}` is at step {from}, and not beyond {to}",
                self.name
            );
            return Err(Error::new(Kind::BadRequest, message));
        }
        let decrypted = if to > 0 && to < SECRETS_STEP && from >= SECRETS_STEP {
            self.decrypt_all().await?
        } else {
            0
        };
        let steps = self.migrator();
        let undone = match &self.db {
            Db::Sqlite(pool) => steps.undo(pool, to).await,
            Db::Postgres(pool) => steps.undo(pool, to).await,
            Db::MySql(pool) => match lock_schema(pool).await {
                Ok(mut connection) => steps.undo(&mut *connection, to).await,
                Err(error) => Err(error.into()),
            },
        };
        undone.map_err(|error| translate_migration(&self.name, error))?;
        Ok(RolledBack { from, to, decrypted })
    }

    /// Runs the steps that the ODB does not have yet, each in a transaction of its own where the database has that for schemas.
    pub(crate) async fn migrate(&self) -> Result<(), Error> {
        self.refuse_other_databases().await?;
        let steps = self.migrator();
        let done = match &self.db {
            Db::Sqlite(pool) => steps.run(pool).await,
            Db::Postgres(pool) => steps.run(pool).await,
            Db::MySql(pool) => match lock_schema(pool).await {
                Ok(mut connection) => {
                    let done = steps.run(&mut *connection).await;
                    // its lock ends with it
                    let closed = connection.close().await;
                    done.and(closed.map_err(Into::into))
                }
                Err(error) => Err(error.into()),
            },
        };
        done.map_err(|error| translate_migration(&self.name, error))
    }

    /// Number of the last step.
    async fn version(&self) -> Result<i64, Error> {
        let table = self.steps_table();
        if !self.tables().await?.contains(table) {
            return Ok(0);
        }
        let sql = format!("SELECT COALESCE(MAX(version), 0) AS version FROM {table}");
        let rows = self.db.fetch_all(&sql, &[]).await.map_err(|error| self.error(error))?;
        rows[0].get("version").map_err(|error| self.error(error))
    }

    /// What holds the numbers of the steps that were taken. A server's database may hold other things too, so there it is named for us.
    fn steps_table(&self) -> &'static str {
        match &self.db {
            Db::Sqlite(_) => "_sqlx_migrations",
            Db::Postgres(_) | Db::MySql(_) => "busbar_migration",
        }
    }

    fn migrator(&self) -> Migrator {
        let step = |step: &Step, migration_type, sql: &'static str| {
            Migration::new(
                step.number,
                step.about.into(),
                migration_type,
                sql.into_sql_str(),
                false,
            )
        };
        let steps = STEPS.iter().flat_map(|it| {
            let [forward, back] = match &self.db {
                Db::Sqlite(_) => it.sqlite,
                Db::Postgres(_) => it.postgresql,
                Db::MySql(_) => it.mysql,
            };
            [
                step(it, MigrationType::ReversibleUp, forward),
                step(it, MigrationType::ReversibleDown, back),
            ]
        });
        let mut migrator = Migrator::with_migrations(steps.collect());
        migrator.dangerous_set_table_name(self.steps_table());
        // MariaDB takes the endless wait that sqlx asks of a lock for none at all: see `lock_schema`
        migrator.set_locking(!matches!(self.db, Db::MySql(_)));
        migrator
    }

    /// The tables that are there.
    async fn tables(&self) -> Result<BTreeSet<String>, Error> {
        let sql = match &self.db {
            Db::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'",
            Db::Postgres(_) => {
                "SELECT tablename::text AS name FROM pg_catalog.pg_tables WHERE schemaname = current_schema()"
            }
            Db::MySql(_) => {
                "SELECT CAST(table_name AS CHAR) AS name FROM information_schema.tables WHERE table_schema = database()"
            }
        };
        let rows = self.db.fetch_all(sql, &[]).await.map_err(|error| self.error(error))?;
        rows.iter()
            .map(|row| row.get("name").map_err(|error| self.error(error)))
            .collect()
    }

    async fn refuse_other_databases(&self) -> Result<(), Error> {
        let tables = self.tables().await?;
        let is_other = match &self.db {
            Db::Sqlite(_) => {
                let rows = self.db.fetch_all("PRAGMA application_id", &[]).await;
                let rows = rows.map_err(|error| self.error(error))?;
                let id: i64 = rows[0].get("application_id").map_err(|error| self.error(error))?;
                // of a start that was cut off before its first step, only the list of steps is there
                let is_new = tables.is_empty() || tables.iter().eq([self.steps_table()]) && self.version().await? == 0;
                id != APPLICATION_ID && !is_new
            }
            Db::Postgres(_) | Db::MySql(_) => tables.contains(A_TABLE) && !tables.contains(self.steps_table()),
        };
        if is_other {
            return Err(
                Error::new(Kind::Config, format!("`{}` is not an ODB", self.name)).with_hint(match &self.db {
                    Db::Sqlite(_) => "this SQLite file belongs to something else; move it away",
                    _ => "it has a table `counter` of something else; give busbar a database of its own",
                }),
            );
        }
        Ok(())
    }
}

/// How often it is seen whether another one has ended.
const LOCK_POLL: Duration = Duration::from_millis(10);
/// How long a change of the schema waits for another one.
const SCHEMA_LOCK_LIMIT: Duration = Duration::from_secs(30);

/// Keeps others from opening a SQLite file, or changing its schema, until the value is dropped. sqlx locks nothing here, and SQLite's own lock
/// comes too late: after it was seen which steps are missing; and whoever opens a new file changes how it keeps its journal, which others
/// are refused meanwhile instead of waiting. It is the directory that is locked: of the file itself only SQLite may hold descriptors.
pub(crate) async fn lock_file(location: &Location) -> Result<Option<File>, Error> {
    let At::File(path) = &location.at else {
        // memory is nobody else's, and servers have locks of their own
        return Ok(None);
    };
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let locked = lock_directory(directory.unwrap_or(Path::new("."))).await;
    locked
        .map(Some)
        .map_err(|error| translate(&location.to_string(), error))
}

async fn lock_directory(directory: &Path) -> Result<File, sqlx::Error> {
    let file = File::open(directory)?;
    let end = Instant::now() + SCHEMA_LOCK_LIMIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => tokio::time::sleep(LOCK_POLL).await,
            Err(TryLockError::WouldBlock) => return Err(locked_for_long()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

fn locked_for_long() -> sqlx::Error {
    std::io::Error::new(ErrorKind::TimedOut, "another process changes its schema for long").into()
}

/// A connection that is the only one to change the schema, until it is closed.
async fn lock_schema(pool: &MySqlPool) -> Result<PoolConnection<MySql>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let lock = "SELECT GET_LOCK(CONCAT('busbar.', SHA1(database())), 30)";
    let taken: Option<i64> = sqlx::query_scalar(lock).fetch_one(&mut *connection).await?;
    if taken == Some(1) {
        Ok(connection)
    } else {
        Err(locked_for_long())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_step_and_its_number_leads_its_name() {
        for dialect in ["sqlite", "postgresql", "mysql"] {
            let folder = format!("{}/../../migrations/{dialect}", env!("CARGO_MANIFEST_DIR"));
            let files: BTreeSet<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|it| it.unwrap().file_name().into_string().unwrap())
                .collect();
            let steps: BTreeSet<String> = STEPS
                .iter()
                .flat_map(|it| [format!("{}.sql", it.about), format!("{}.down.sql", it.about)])
                .collect();
            assert_eq!(files, steps, "{dialect}");
        }
        for (index, step) in STEPS.iter().enumerate() {
            assert_eq!(step.number, index as i64 + 1);
            assert!(step.about.starts_with(&format!("{:04}_", step.number)));
        }
    }
}
