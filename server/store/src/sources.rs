//! Deployed source files, what they were before, and deployments that failed.

use busbar_model::{Error, Kind};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

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

impl Store {
    /// A number for the next deployment, used by no other, not even across restarts.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn next_generation(&self) -> Result<u64, Error> {
        let value: i64 =
            sqlx::query_scalar("UPDATE counter SET value = value + 1 WHERE name = 'generation' RETURNING value")
                .fetch_one(&self.pool)
                .await
                .map_err(|error| self.error(error))?;
        Ok(value as u64)
    }

    /// Makes `sources` the current files of their modules, all or none, under `generation` whatever theirs says; what they replace
    /// stays in the history.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written; [`Kind::Conflict`] if one of the modules runs a newer generation already.
    pub async fn put_sources(&self, generation: u64, sources: &[StoredSource]) -> Result<(), Error> {
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| self.error(error))?;
        for source in sources {
            let done = sqlx::query(
                "INSERT INTO source (module, path, text, hash, generation, deployed_at) VALUES (?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (module) DO UPDATE SET path = excluded.path, text = excluded.text, hash = excluded.hash, \
                 generation = excluded.generation, deployed_at = excluded.deployed_at \
                 WHERE excluded.generation >= source.generation",
            )
            .bind(&source.module)
            .bind(&source.path)
            .bind(&source.text)
            .bind(&source.hash)
            .bind(generation as i64)
            .bind(&source.deployed_at)
            .execute(&mut *transaction)
            .await
            .map_err(|error| self.error(error))?;
            if done.rows_affected() == 0 {
                return Err(Error::new(
                    Kind::Conflict,
                    format!(
                        "module `{}` runs a newer generation than {generation} already",
                        source.module
                    ),
                ));
            }
            sqlx::query(
                "INSERT OR REPLACE INTO source_version (module, generation, path, text, hash, deployed_at) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&source.module)
            .bind(generation as i64)
            .bind(&source.path)
            .bind(&source.text)
            .bind(&source.hash)
            .bind(&source.deployed_at)
            .execute(&mut *transaction)
            .await
            .map_err(|error| self.error(error))?;
            sqlx::query(
                "DELETE FROM source_version WHERE module = ?1 AND generation <= \
                 (SELECT generation FROM source_version WHERE module = ?1 ORDER BY generation DESC LIMIT 1 OFFSET ?2)",
            )
            .bind(&source.module)
            .bind(VERSIONS_KEPT)
            .execute(&mut *transaction)
            .await
            .map_err(|error| self.error(error))?;
        }
        transaction.commit().await.map_err(|error| self.error(error))
    }

    /// The current file of every module, by module.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn current_sources(&self) -> Result<Vec<StoredSource>, Error> {
        let rows = sqlx::query("SELECT module, path, text, hash, generation, deployed_at FROM source ORDER BY module")
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        rows.iter()
            .map(|row| read_source(row).map_err(|error| self.error(error)))
            .collect()
    }

    /// Forgets the current file of a module; no error if it has none. Its history stays.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written.
    pub async fn remove_source(&self, module: &str) -> Result<(), Error> {
        sqlx::query("DELETE FROM source WHERE module = ?")
            .bind(module)
            .execute(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        Ok(())
    }

    /// The files that a module ran, newest first, the current one among them.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn source_history(&self, module: &str) -> Result<Vec<StoredSource>, Error> {
        let rows = sqlx::query(
            "SELECT module, path, text, hash, generation, deployed_at FROM source_version WHERE module = ? ORDER BY generation DESC",
        )
        .bind(module)
        .fetch_all(&self.pool)
        .await
        .map_err(|error| self.error(error))?;
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
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| self.error(error))?;
        sqlx::query(
            "INSERT INTO deployment_failure (generation, module, message, traceback, failed_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(failure.generation as i64)
        .bind(&failure.module)
        .bind(&failure.message)
        .bind(&failure.traceback)
        .bind(&failure.failed_at)
        .execute(&mut *transaction)
        .await
        .map_err(|error| self.error(error))?;
        sqlx::query("DELETE FROM deployment_failure WHERE id <= (SELECT id FROM deployment_failure ORDER BY id DESC LIMIT 1 OFFSET ?)")
            .bind(FAILURES_KEPT)
            .execute(&mut *transaction)
            .await
            .map_err(|error| self.error(error))?;
        transaction.commit().await.map_err(|error| self.error(error))
    }

    /// The last failed deployments, newest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn failures(&self, limit: u32) -> Result<Vec<StoredFailure>, Error> {
        let rows = sqlx::query(
            "SELECT generation, module, message, traceback, failed_at FROM deployment_failure ORDER BY id DESC LIMIT ?",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| self.error(error))?;
        rows.iter()
            .map(|row| read_failure(row).map_err(|error| self.error(error)))
            .collect()
    }
}

fn read_source(row: &SqliteRow) -> Result<StoredSource, sqlx::Error> {
    Ok(StoredSource {
        module: row.try_get("module")?,
        path: row.try_get("path")?,
        text: row.try_get("text")?,
        hash: row.try_get("hash")?,
        generation: row.try_get::<i64, _>("generation")? as u64,
        deployed_at: row.try_get("deployed_at")?,
    })
}

fn read_failure(row: &SqliteRow) -> Result<StoredFailure, sqlx::Error> {
    Ok(StoredFailure {
        generation: row.try_get::<i64, _>("generation")? as u64,
        module: row.try_get("module")?,
        message: row.try_get("message")?,
        traceback: row.try_get("traceback")?,
        failed_at: row.try_get("failed_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    fn source(module: &str, generation: u64) -> StoredSource {
        StoredSource {
            module: module.to_owned(),
            path: format!("pickup-dir/{module}.py"),
            text: format!("# {generation}\n").into_bytes(),
            hash: format!("h{generation}"),
            generation,
            deployed_at: now(),
        }
    }

    #[tokio::test]
    async fn generations_are_never_reused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odb.sqlite");
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.next_generation().await.unwrap(), 1);
        assert_eq!(store.next_generation().await.unwrap(), 2);
        store.close().await;
        assert_eq!(Store::open(&path).await.unwrap().next_generation().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn sources_read_back_byte_for_byte_and_keep_their_history() {
        let store = Store::in_memory().await.unwrap();
        let mut latin = source("b", 1);
        latin.text = b"# -*- coding: latin-1 -*-\n# \xe9\0\xff".to_vec();
        store.put_sources(1, &[latin.clone(), source("a", 1)]).await.unwrap();
        assert_eq!(store.current_sources().await.unwrap()[1], latin);
        let newer = source("b", 2);
        store.put_sources(2, std::slice::from_ref(&newer)).await.unwrap();
        let current = store.current_sources().await.unwrap();
        assert_eq!(
            current
                .iter()
                .map(|it| (it.module.as_str(), it.generation))
                .collect::<Vec<_>>(),
            [("a", 1), ("b", 2)]
        );
        assert_eq!(store.source_history("b").await.unwrap(), [newer, latin]);
        store.remove_source("b").await.unwrap();
        store.remove_source("nobody").await.unwrap();
        assert_eq!(store.current_sources().await.unwrap().len(), 1);
        assert_eq!(store.source_history("b").await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_older_generation_does_not_overwrite_a_newer_one() {
        let store = Store::in_memory().await.unwrap();
        store.put_sources(5, &[source("b", 5)]).await.unwrap();
        let error = store
            .put_sources(4, &[source("a", 4), source("b", 4)])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        let current = store.current_sources().await.unwrap();
        assert_eq!(current.iter().map(|it| it.generation).collect::<Vec<_>>(), [5]);
    }

    #[tokio::test]
    async fn history_and_failures_are_bounded() {
        let store = Store::in_memory().await.unwrap();
        for generation in 1..=130 {
            store.put_sources(generation, &[source("a", generation)]).await.unwrap();
            let failure = StoredFailure {
                generation,
                module: "a".into(),
                message: "no".into(),
                traceback: String::new(),
                failed_at: now(),
            };
            store.put_failure(&failure).await.unwrap();
        }
        let history = store.source_history("a").await.unwrap();
        assert_eq!(
            (history.len(), history[0].generation, history[99].generation),
            (100, 130, 31)
        );
        let failures = store.failures(1_000).await.unwrap();
        assert_eq!(
            (failures.len(), failures[0].generation, failures[99].generation),
            (100, 130, 31)
        );
        assert_eq!(store.failures(3).await.unwrap().len(), 3);
    }
}
