//! Deployed source files, what they were before, and deployments that failed.

use busbar_model::{Error, Kind};
use serde::{Deserialize, Serialize};

use crate::db::{Arg, Row};
use crate::open::Store;

/// How many texts of one module are kept, the current one among them.
const VERSIONS_KEPT: i64 = 100;

/// How many failed deployments are kept.
const FAILURES_KEPT: i64 = 100;

/// One source file of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSource {
    /// File name without its ending; one module has one current file.
    pub module: String,
    /// Where it lay when it was deployed.
    pub path: String,
    /// Its text, in whatever encoding it declares.
    pub text: Vec<u8>,
    /// Hash of the text, as its writer computes it.
    pub hash: String,
    /// The deployment that it came with.
    pub generation: u64,
    /// When, RFC 3339 in UTC, see [`now`](crate::now).
    pub deployed_at: String,
    /// Who: a user, or the door it came through with the user there; `None`: nobody knows any more.
    pub deployed_by: Option<String>,
}

/// A deployment that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFailure {
    /// Number of the attempt.
    pub generation: u64,
    /// Module that failed; empty if it was not about one.
    pub module: String,
    /// What was wrong, in a line.
    pub message: String,
    /// Python traceback; empty if there is none.
    pub traceback: String,
    /// When, RFC 3339 in UTC.
    pub failed_at: String,
}

/// The columns of a source file, in both tables.
pub(crate) const SOURCE: &str = "module, path, text, hash, generation, deployed_at, deployed_by";

impl Store {
    /// A number for the next deployment, used by no other, not even across restarts.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn next_generation(&self) -> Result<u64, Error> {
        let mut transaction = self.write().await?;
        let generation = self.counter(&mut transaction, "generation").await? + 1;
        let sql = "UPDATE counter SET value = ? WHERE name = 'generation'";
        self.execute(&mut transaction, sql, &[Arg::from(generation)]).await?;
        self.commit(transaction).await?;
        Ok(generation)
    }

    /// Makes `sources` the current files of their modules, all or none, under `generation` whatever theirs says; what they replace
    /// stays in the history.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written; [`Kind::Conflict`] if one of the modules runs a newer generation already.
    pub async fn put_sources(&self, generation: u64, sources: &[StoredSource]) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        for source in sources {
            let StoredSource {
                module,
                path,
                text,
                hash,
                deployed_at,
                deployed_by,
                ..
            } = source;
            let sql = "SELECT generation FROM source WHERE module = ?";
            let row = transaction.fetch_first(sql, &[module.into()]).await;
            let row = row.map_err(|error| self.error(error))?;
            let old = row.map(|row| row.count("generation")).transpose();
            let sql = match old.map_err(|error| self.error(error))? {
                Some(newer) if newer > generation => {
                    return Err(Error::new(
                        Kind::Conflict,
                        format!("module `{module}` runs a newer generation than {generation} already"),
                    ));
                }
                Some(_) => {
                    "UPDATE source SET path = ?, text = ?, hash = ?, generation = ?, deployed_at = ?, deployed_by = ? \
                     WHERE module = ?"
                }
                None => {
                    "INSERT INTO source (path, text, hash, generation, deployed_at, deployed_by, module) \
                     VALUES (?, ?, ?, ?, ?, ?, ?)"
                }
            };
            let args = [
                path.into(),
                Arg::Bytes(text),
                hash.into(),
                Arg::from(generation),
                deployed_at.into(),
                Arg::TextOrNull(deployed_by.as_deref()),
                module.into(),
            ];
            self.execute(&mut transaction, sql, &args).await?;
            let sql = "DELETE FROM source_version WHERE module = ? AND generation = ?";
            let key = [module.into(), Arg::from(generation)];
            self.execute(&mut transaction, sql, &key).await?;
            let sql = "INSERT INTO source_version (path, text, hash, generation, deployed_at, deployed_by, module) \
                       VALUES (?, ?, ?, ?, ?, ?, ?)";
            self.execute(&mut transaction, sql, &args).await?;
            let sql =
                "SELECT generation FROM source_version WHERE module = ? ORDER BY generation DESC LIMIT 1 OFFSET ?";
            let row = transaction
                .fetch_first(sql, &[module.into(), Arg::from(VERSIONS_KEPT)])
                .await;
            if let Some(row) = row.map_err(|error| self.error(error))? {
                let last: i64 = row.get("generation").map_err(|error| self.error(error))?;
                let sql = "DELETE FROM source_version WHERE module = ? AND generation <= ?";
                self.execute(&mut transaction, sql, &[module.into(), Arg::from(last)])
                    .await?;
            }
        }
        self.commit(transaction).await
    }

    /// The current file of every module, by module.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn current_sources(&self) -> Result<Vec<StoredSource>, Error> {
        let sql = format!("SELECT {SOURCE} FROM source ORDER BY module");
        self.read_sources(&sql, &[]).await
    }

    /// Forgets the current file of a module; no error if it has none. Its history stays.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn remove_source(&self, module: &str) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        let sql = "DELETE FROM source WHERE module = ?";
        self.execute(&mut transaction, sql, &[module.into()]).await?;
        self.commit(transaction).await
    }

    /// The files that a module ran, newest first, the current one among them.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn source_history(&self, module: &str) -> Result<Vec<StoredSource>, Error> {
        let sql = format!("SELECT {SOURCE} FROM source_version WHERE module = ? ORDER BY generation DESC");
        self.read_sources(&sql, &[module.into()]).await
    }

    async fn read_sources(&self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<StoredSource>, Error> {
        let rows = self.db.fetch_all(sql, args).await.map_err(|error| self.error(error))?;
        rows.iter()
            .map(|row| read_source(row).map_err(|error| self.error(error)))
            .collect()
    }

    /// Remembers a deployment that was refused, in place of the oldest when many are there.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn put_failure(&self, failure: &StoredFailure) -> Result<(), Error> {
        // what Python says may have any character in it, and PostgreSQL's text has none for NUL
        let [message, traceback] = [&failure.message, &failure.traceback].map(|text| text.replace('\0', "\u{fffd}"));
        let mut transaction = self.write().await?;
        let sql =
            "INSERT INTO deployment_failure (generation, module, message, traceback, failed_at) VALUES (?, ?, ?, ?, ?)";
        let args = [
            Arg::from(failure.generation),
            Arg::from(&failure.module),
            Arg::from(&message),
            Arg::from(&traceback),
            Arg::from(&failure.failed_at),
        ];
        self.execute(&mut transaction, sql, &args).await?;
        let sql = "SELECT id FROM deployment_failure ORDER BY id DESC LIMIT 1 OFFSET ?";
        let row = transaction.fetch_first(sql, &[Arg::from(FAILURES_KEPT)]).await;
        if let Some(row) = row.map_err(|error| self.error(error))? {
            let last: i64 = row.get("id").map_err(|error| self.error(error))?;
            let sql = "DELETE FROM deployment_failure WHERE id <= ?";
            self.execute(&mut transaction, sql, &[Arg::from(last)]).await?;
        }
        self.commit(transaction).await
    }

    /// The last failed deployments, newest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn failures(&self, limit: u32) -> Result<Vec<StoredFailure>, Error> {
        let sql =
            "SELECT generation, module, message, traceback, failed_at FROM deployment_failure ORDER BY id DESC LIMIT ?";
        let rows = self.db.fetch_all(sql, &[Arg::from(i64::from(limit))]).await;
        rows.map_err(|error| self.error(error))?
            .iter()
            .map(|row| read_failure(row).map_err(|error| self.error(error)))
            .collect()
    }
}

pub(crate) fn read_source(row: &Row) -> Result<StoredSource, sqlx::Error> {
    Ok(StoredSource {
        module: row.get("module")?,
        path: row.get("path")?,
        text: row.get("text")?,
        hash: row.get("hash")?,
        generation: row.count("generation")?,
        deployed_at: row.get("deployed_at")?,
        deployed_by: row.get("deployed_by")?,
    })
}

fn read_failure(row: &Row) -> Result<StoredFailure, sqlx::Error> {
    Ok(StoredFailure {
        generation: row.count("generation")?,
        module: row.get("module")?,
        message: row.get("message")?,
        traceback: row.get("traceback")?,
        failed_at: row.get("failed_at")?,
    })
}
