//! What objects were: one of them, and all of them at one moment.

use busbar_model::object::{Body, Record, Snapshot};
use busbar_model::{Error, Kind};
use serde::{Deserialize, Serialize};

use crate::db::{Arg, Row};
use crate::open::Store;

/// Objects that are listed of one revision at most.
const TOUCHED_MAX: i64 = 100;

/// Revisions that are listed at a time at most.
const REVISIONS_MAX: u32 = 200;

/// The columns of a version.
const VERSION: &str = "version.object_id AS object_id, version.kind AS kind, version.name AS name, version.former_name AS former_name, \
     version.version AS version, version.revision AS revision, version.action AS action, version.is_active AS is_active, \
     version.body AS body, version.changed_at AS changed_at, version.changed_by AS changed_by";

/// One version of an object, for its history.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectVersion {
    /// The object's id, the same in all its versions.
    pub id: u64,
    /// Counts up with each change since the object was created.
    pub version: u64,
    /// The change set that made it.
    pub revision: u64,
    /// `create`, `change`, `rename` or `delete`.
    pub action: String,
    /// What the object was called since.
    pub name: String,
    /// And before, if that is what became different.
    pub former_name: Option<String>,
    /// The object as it was left; `None` after `delete`.
    pub record: Option<Record>,
    /// When, RFC 3339 in UTC.
    pub changed_at: String,
    /// Who: the door it came through, or a user.
    pub changed_by: String,
}

/// A change set that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number.
    pub revision: u64,
    /// When, RFC 3339 in UTC.
    pub changed_at: String,
    /// Who: the door it came through, or a user.
    pub changed_by: String,
    /// How many objects it made different.
    pub count: u64,
    /// They, the first hundred.
    pub objects: Vec<Touched>,
}

/// An object that a change set made different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Its kind.
    pub kind: String,
    /// Its name since.
    pub name: String,
    /// Its name before, if it was renamed.
    pub former_name: Option<String>,
    /// Its version since.
    pub version: u64,
    /// `create`, `change`, `rename` or `delete`.
    pub action: String,
}

impl Store {
    /// What one object was before, newest first, at most `limit` versions: all that an object of this name was, and what the one that has
    /// it now was under other names.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn history(&self, kind: &str, name: &str, limit: u32) -> Result<Vec<ObjectVersion>, Error> {
        let id = self.last_called(kind, name).await?;
        let sql = format!(
            "SELECT {VERSION} FROM object_version version \
             WHERE version.object_id = ? OR version.kind = ? AND (version.name = ? OR version.former_name = ?) \
             ORDER BY version.id DESC LIMIT ?"
        );
        let limit = Arg::from(i64::from(limit));
        let args = [Arg::from(id), kind.into(), name.into(), name.into(), limit];
        let rows = self.db.fetch_all(&sql, &args).await;
        let rows = rows.map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.read_version(row)).collect()
    }

    /// The id of the object that has this name, or had it when it was deleted; 0 if there is none.
    async fn last_called(&self, kind: &str, name: &str) -> Result<u64, Error> {
        let sql = "SELECT object_id FROM object_version WHERE kind = ? AND name = ? ORDER BY id DESC LIMIT 1";
        let Some(id) = self.first_number(sql, &[kind.into(), name.into()], "object_id").await? else {
            return Ok(0);
        };
        let sql = "SELECT name FROM object_version WHERE object_id = ? ORDER BY id DESC LIMIT 1";
        let rows = self.db.fetch_all(sql, &[Arg::from(id)]).await;
        let rows = rows.map_err(|error| self.error(error))?;
        let last = rows.first().map(|row| row.get::<String>("name")).transpose();
        let last = last.map_err(|error| self.error(error))?;
        Ok(if last.as_deref() == Some(name) { id } else { 0 })
    }

    /// The last change sets, newest first: those before number `before`, at most `limit` of them and never more than 200.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, Error> {
        let sql = "SELECT revision, COUNT(*) AS count, MIN(changed_at) AS changed_at, MIN(changed_by) AS changed_by \
                   FROM object_version WHERE revision < ? GROUP BY revision ORDER BY revision DESC LIMIT ?";
        let before = before.unwrap_or(i64::MAX as u64);
        let args = [Arg::from(before), Arg::from(i64::from(limit.min(REVISIONS_MAX)))];
        let rows = self.db.fetch_all(sql, &args).await.map_err(|error| self.error(error))?;
        let mut revisions = Vec::with_capacity(rows.len());
        for row in rows {
            let read = || -> Result<Revision, sqlx::Error> {
                Ok(Revision {
                    revision: row.count("revision")?,
                    changed_at: row.get("changed_at")?,
                    changed_by: row.get("changed_by")?,
                    count: row.count("count")?,
                    objects: Vec::new(),
                })
            };
            let mut revision = read().map_err(|error| self.error(error))?;
            revision.objects = self.touched(revision.revision).await?;
            revisions.push(revision);
        }
        Ok(revisions)
    }

    async fn touched(&self, revision: u64) -> Result<Vec<Touched>, Error> {
        let sql = "SELECT kind, name, former_name, version, action FROM object_version WHERE revision = ? ORDER BY id LIMIT ?";
        let rows = self
            .db
            .fetch_all(sql, &[Arg::from(revision), Arg::from(TOUCHED_MAX)])
            .await;
        let read = |row: &Row| -> Result<Touched, sqlx::Error> {
            let former_name: Option<String> = row.get("former_name")?;
            Ok(Touched {
                kind: row.get("kind")?,
                name: row.get("name")?,
                version: row.count("version")?,
                action: action(row.get("action")?, former_name.as_ref()),
                former_name,
            })
        };
        let rows = rows.map_err(|error| self.error(error))?;
        rows.iter()
            .map(|row| read(row).map_err(|error| self.error(error)))
            .collect()
    }

    /// The number of the last change set that was made by a time, RFC 3339 in UTC as [`now`](crate::now) writes it; 0 if there was none.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn revision_at(&self, time: &str) -> Result<u64, Error> {
        let sql = "SELECT COALESCE(MAX(revision), 0) AS revision FROM object_version WHERE changed_at <= ?";
        let revision = self.first_number(sql, &[time.into()], "revision").await?;
        Ok(revision.unwrap_or_default())
    }

    /// All objects as a change set left them.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`]: there was no such change set yet, or the history of an object does not go back so far. When the ODB cannot be
    /// read.
    pub async fn snapshot_at(&self, revision: u64) -> Result<Snapshot, Error> {
        let last = "SELECT value FROM counter WHERE name = 'revision'";
        let last = self.first_number(last, &[], "value").await?.unwrap_or_default();
        if revision > last {
            let message = format!("there is no revision {revision}, the last one is {last}");
            return Err(Error::new(Kind::NotFound, message));
        }
        self.refuse_forgotten(revision).await?;
        let sql = format!(
            "SELECT {VERSION} FROM object_version version \
             JOIN (SELECT MAX(id) AS id FROM object_version WHERE revision <= ? GROUP BY object_id) latest ON latest.id = version.id \
             WHERE version.body IS NOT NULL ORDER BY version.kind, version.name"
        );
        let rows = self.db.fetch_all(&sql, &[Arg::from(revision)]).await;
        let rows = rows.map_err(|error| self.error(error))?;
        let mut records = Vec::with_capacity(rows.len());
        for row in &rows {
            records.extend(self.read_version(row)?.record);
        }
        Ok(Snapshot::new(revision, records))
    }

    /// Only so many versions of an object are kept, so what one was long ago may not be known.
    async fn refuse_forgotten(&self, revision: u64) -> Result<(), Error> {
        let forgotten = |what: &str, since: u64| {
            Error::new(
                Kind::NotFound,
                format!("what {what} was in revision {revision} is not known any more"),
            )
            .with_hint(format!("the oldest revision that can be restored is {since} or later"))
        };
        let history = "SELECT value FROM counter WHERE name = 'history'";
        let since = self.first_number(history, &[], "value").await?.unwrap_or_default();
        if revision < since {
            return Err(forgotten("every object", since));
        }
        let sql = "SELECT version.kind AS kind, version.name AS name, version.revision AS revision FROM object_version version \
                   JOIN (SELECT MIN(id) AS id FROM object_version GROUP BY object_id) oldest ON oldest.id = version.id \
                   WHERE version.revision > ? AND version.action <> 'create' ORDER BY version.revision DESC LIMIT 1";
        let rows = self.db.fetch_all(sql, &[Arg::from(revision)]).await;
        let rows = rows.map_err(|error| self.error(error))?;
        let Some(row) = rows.first() else { return Ok(()) };
        let read = || -> Result<(String, String, u64), sqlx::Error> {
            Ok((row.get("kind")?, row.get("name")?, row.count("revision")?))
        };
        let (kind, name, since) = read().map_err(|error| self.error(error))?;
        Err(forgotten(&format!("{kind} `{name}`"), since))
    }

    fn read_version(&self, row: &Row) -> Result<ObjectVersion, Error> {
        let read = || -> Result<(ObjectVersion, Record, Option<String>), sqlx::Error> {
            let former_name: Option<String> = row.get("former_name")?;
            let record = Record {
                kind: row.get("kind")?,
                name: row.get("name")?,
                is_active: row.get::<Option<i64>>("is_active")? != Some(0),
                body: Body::default(),
                version: row.count("version")?,
                id: row.count("object_id")?,
            };
            let version = ObjectVersion {
                id: record.id,
                version: record.version,
                revision: row.count("revision")?,
                action: action(row.get("action")?, former_name.as_ref()),
                name: record.name.clone(),
                former_name,
                record: None,
                changed_at: row.get("changed_at")?,
                changed_by: row.get("changed_by")?,
            };
            Ok((version, record, row.get("body")?))
        };
        let (mut version, mut record, body) = read().map_err(|error| self.error(error))?;
        if let Some(body) = body {
            record.body = self.read_body(&record.kind, &record.name, body)?;
            version.record = Some(record);
        }
        Ok(version)
    }

    /// A number in the first row, if there is one.
    async fn first_number(&self, sql: &str, args: &[Arg<'_>], column: &str) -> Result<Option<u64>, Error> {
        let rows = self.db.fetch_all(sql, args).await.map_err(|error| self.error(error))?;
        let number = rows.first().map(|row| row.count(column)).transpose();
        number.map_err(|error| self.error(error))
    }
}

/// What is stored of a renaming is a change with a former name.
fn action(stored: String, former_name: Option<&String>) -> String {
    match former_name {
        Some(_) => "rename".to_owned(),
        None => stored,
    }
}
