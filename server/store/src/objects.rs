//! Objects and their versions.

use busbar_model::object::{Change, ChangeSet, Record, Snapshot};
use busbar_model::{Error, Kind};
use serde_json::{Map, Value};

use crate::db::{Arg, Row, Transaction};
use crate::diff::put_version;
use crate::open::Store;
use crate::secrets::Key;
use crate::time::now;

/// How many versions of one object are kept.
const VERSIONS_KEPT: i64 = 1_000;

/// The revision with every object; without any object it is one row that has the revision alone. One statement, so that both are of the
/// same moment.
const SNAPSHOT: &str = "SELECT counter.value AS revision, object.kind AS kind, object.name AS name, object.is_active AS is_active, \
     object.body AS body, object.version AS version \
     FROM counter LEFT JOIN object ON 1 = 1 WHERE counter.name = 'revision' ORDER BY object.kind, object.name";

/// One version of an object, for its history.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectVersion {
    /// Counts up with each change since the object was created.
    pub version: u64,
    /// The change set that made it.
    pub revision: u64,
    /// `create`, `change` or `delete`.
    pub action: String,
    /// The object as it was left; `None` after `delete`.
    pub record: Option<Record>,
    /// When, RFC 3339 in UTC.
    pub changed_at: String,
    /// Who: the door it came through, or a user.
    pub changed_by: String,
}

impl Store {
    /// All objects as they are now.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let rows = self.db.fetch_all(SNAPSHOT, &[]).await;
        self.read_snapshot(&rows.map_err(|error| self.error(error))?)
    }

    /// Makes every step of `set` or none, and gives back what all objects are then. Records are stored as they come, but for their secrets,
    /// which are encrypted: whoever calls this has checked and normalised them. A put that changes nothing leaves no trace, and a set of
    /// only such puts leaves the revision.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written; then nothing of the set is in it. [`Kind::Unavailable`] that says so: the connection was lost at the
    /// very end, and nobody knows.
    pub async fn apply(&self, set: &ChangeSet, who: &str) -> Result<Snapshot, Error> {
        self.apply_to(None, set, who).await
    }

    /// As [`Store::apply`], but only if the ODB is still at `revision`, from which the set was made.
    ///
    /// # Errors
    ///
    /// As [`Store::apply`]; [`Kind::Conflict`] if somebody else changed the objects meanwhile.
    pub async fn apply_at(&self, revision: u64, set: &ChangeSet, who: &str) -> Result<Snapshot, Error> {
        self.apply_to(Some(revision), set, who).await
    }

    async fn apply_to(&self, expected: Option<u64>, set: &ChangeSet, who: &str) -> Result<Snapshot, Error> {
        let mut transaction = self.write().await?;
        let revision = self.counter(&mut transaction, "revision").await?;
        if let Some(expected) = expected
            && expected != revision
        {
            return Err(
                Error::new(Kind::Conflict, "the objects were changed by somebody else meanwhile")
                    .with_hint("look at what is there now and try again")
                    .with_temporary(true),
            );
        }
        let at = now();
        let key = self.current_key(&mut transaction).await?;
        let step = Step {
            store: self,
            key: &key,
            revision: revision + 1,
            at: &at,
            who,
        };
        let mut changed = false;
        for change in &set.changes {
            changed |= match change {
                Change::Put(record) => step.put(&mut transaction, record).await?,
                Change::Delete { kind, name } => step.delete(&mut transaction, kind, name).await?,
            };
        }
        if changed {
            let sql = "UPDATE counter SET value = ? WHERE name = 'revision'";
            self.execute(&mut transaction, sql, &[Arg::from(revision + 1)]).await?;
        }
        let rows = transaction.fetch_all(SNAPSHOT, &[]).await;
        let snapshot = self.read_snapshot(&rows.map_err(|error| self.error(error))?)?;
        self.commit(transaction).await?;
        Ok(snapshot)
    }

    /// What one object was before, newest first, at most `limit` versions.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn history(&self, kind: &str, name: &str, limit: u32) -> Result<Vec<ObjectVersion>, Error> {
        let sql = "SELECT version, revision, action, is_active, body, changed_at, changed_by FROM object_version \
                   WHERE kind = ? AND name = ? ORDER BY id DESC LIMIT ?";
        let args = [kind.into(), name.into(), Arg::from(i64::from(limit))];
        let rows = self.db.fetch_all(sql, &args).await.map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.read_version(row, kind, name)).collect()
    }

    fn read_version(&self, row: &Row, kind: &str, name: &str) -> Result<ObjectVersion, Error> {
        let read = || -> Result<_, sqlx::Error> {
            Ok((
                row.count("version")?,
                row.get::<Option<i64>>("is_active")?,
                row.get::<Option<String>>("body")?,
                row.count("revision")?,
                row.get("action")?,
                row.get("changed_at")?,
                row.get("changed_by")?,
            ))
        };
        let (version, is_active, body, revision, action, changed_at, changed_by) =
            read().map_err(|error| self.error(error))?;
        let record = match body {
            Some(body) => Some(Record {
                kind: kind.to_owned(),
                name: name.to_owned(),
                is_active: is_active != Some(0),
                body: self.read_body(kind, name, &body)?,
                version,
            }),
            None => None,
        };
        Ok(ObjectVersion {
            version,
            revision,
            action,
            record,
            changed_at,
            changed_by,
        })
    }

    fn read_snapshot(&self, rows: &[Row]) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot::default();
        for row in rows {
            snapshot.revision = row.count("revision").map_err(|error| self.error(error))?;
            let kind: Option<String> = row.get("kind").map_err(|error| self.error(error))?;
            if kind.is_some() {
                snapshot.records.push(self.read_record(row)?);
            }
        }
        Ok(snapshot)
    }

    fn read_record(&self, row: &Row) -> Result<Record, Error> {
        let read = || -> Result<(String, String, i64, String, u64), sqlx::Error> {
            Ok((
                row.get("kind")?,
                row.get("name")?,
                row.get("is_active")?,
                row.get("body")?,
                row.count("version")?,
            ))
        };
        let (kind, name, is_active, body, version) = read().map_err(|error| self.error(error))?;
        let body = self.read_body(&kind, &name, &body)?;
        Ok(Record {
            kind,
            name,
            is_active: is_active != 0,
            body,
            version,
        })
    }

    fn read_body(&self, kind: &str, name: &str, text: &str) -> Result<Map<String, Value>, Error> {
        let mut body = parse_body(kind, name, text)?;
        self.secrets.open(kind, name, &mut body)?;
        Ok(body)
    }

    /// A counter's value.
    pub(crate) async fn counter(&self, transaction: &mut Transaction, name: &str) -> Result<u64, Error> {
        let row = transaction
            .fetch_first("SELECT value FROM counter WHERE name = ?", &[name.into()])
            .await;
        match row.map_err(|error| self.error(error))? {
            Some(row) => row.count("value").map_err(|error| self.error(error)),
            None => Err(self.error(sqlx::Error::RowNotFound)),
        }
    }
}

/// One change set as it is being written.
struct Step<'a> {
    store: &'a Store,
    key: &'a Key,
    revision: u64,
    at: &'a str,
    who: &'a str,
}

impl Step<'_> {
    /// Whether it changed anything.
    async fn put(&self, transaction: &mut Transaction, record: &Record) -> Result<bool, Error> {
        let Record {
            kind, name, is_active, ..
        } = record;
        let old = self.current(transaction, kind, name).await?;
        let Some(version) = put_version(old.as_ref(), record) else {
            return Ok(false);
        };
        let body = self.store.secrets.seal(self.key, kind, name, &record.body);
        let body = serde_json::to_string(&body).expect("a JSON object serialises");
        let is_active = i64::from(*is_active);
        let (sql, action) = match old {
            Some(_) => (
                "UPDATE object SET is_active = ?, body = ?, version = ?, changed_at = ?, changed_by = ? WHERE kind = ? AND name = ?",
                "change",
            ),
            None => (
                "INSERT INTO object (is_active, body, version, changed_at, changed_by, kind, name) VALUES (?, ?, ?, ?, ?, ?, ?)",
                "create",
            ),
        };
        let args = [
            Arg::from(is_active),
            Arg::from(&body),
            Arg::from(version),
            self.at.into(),
            self.who.into(),
            kind.into(),
            name.into(),
        ];
        self.store.execute(transaction, sql, &args).await?;
        self.remember(transaction, kind, name, version, action, Some((is_active, &body)))
            .await?;
        Ok(true)
    }

    /// Whether there was anything to delete.
    async fn delete(&self, transaction: &mut Transaction, kind: &str, name: &str) -> Result<bool, Error> {
        let Some(old) = self.current(transaction, kind, name).await? else {
            return Ok(false);
        };
        let sql = "DELETE FROM object WHERE kind = ? AND name = ?";
        self.store
            .execute(transaction, sql, &[kind.into(), name.into()])
            .await?;
        self.remember(transaction, kind, name, old.version, "delete", None)
            .await?;
        Ok(true)
    }

    async fn current(&self, transaction: &mut Transaction, kind: &str, name: &str) -> Result<Option<Record>, Error> {
        let sql = "SELECT kind, name, is_active, body, version FROM object WHERE kind = ? AND name = ?";
        let row = transaction.fetch_first(sql, &[kind.into(), name.into()]).await;
        let row = row.map_err(|error| self.store.error(error))?;
        row.map(|row| self.store.read_record(&row)).transpose()
    }

    async fn remember(
        &self,
        transaction: &mut Transaction,
        kind: &str,
        name: &str,
        version: u64,
        action: &str,
        state: Option<(i64, &str)>,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO object_version \
                   (kind, name, version, revision, action, is_active, body, changed_at, changed_by) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let args = [
            kind.into(),
            name.into(),
            Arg::from(version),
            Arg::from(self.revision),
            action.into(),
            Arg::NumberOrNull(state.map(|(is_active, _)| is_active)),
            Arg::TextOrNull(state.map(|(_, body)| body)),
            self.at.into(),
            self.who.into(),
        ];
        self.store.execute(transaction, sql, &args).await?;
        let sql = "SELECT id FROM object_version WHERE kind = ? AND name = ? ORDER BY id DESC LIMIT 1 OFFSET ?";
        let args = [kind.into(), name.into(), Arg::from(VERSIONS_KEPT)];
        let row = transaction.fetch_first(sql, &args).await;
        if let Some(row) = row.map_err(|error| self.store.error(error))? {
            let last: i64 = row.get("id").map_err(|error| self.store.error(error))?;
            let sql = "DELETE FROM object_version WHERE kind = ? AND name = ? AND id <= ?";
            let args = [kind.into(), name.into(), Arg::from(last)];
            self.store.execute(transaction, sql, &args).await?;
        }
        Ok(())
    }
}

pub(crate) fn parse_body(kind: &str, name: &str, body: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(body).map_err(|error| {
        Error::new(
            Kind::Internal,
            format!("the stored fields of {kind} `{name}` are not a JSON object"),
        )
        .with_source(error)
    })
}
