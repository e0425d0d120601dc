//! Objects and their versions.

use std::sync::Arc;

use busbar_model::object::{Body, Change, ChangeSet, Record, Snapshot};
use busbar_model::{Error, Kind};
use serde_json::{Map, Value};

use crate::db::{Arg, Row, Transaction};
use crate::diff::put_version;
use crate::open::Store;
use crate::secrets::Key;
use crate::time::now;

/// How many versions of one object are kept.
const VERSIONS_KEPT: i64 = 1_000;

/// How many objects are read at once while others are on their way.
const ROWS_AT_ONCE: usize = 2_000;

/// The revision with every object; without any object it is one row that has the revision alone. One statement, so that both are of the
/// same moment.
pub(crate) const SNAPSHOT: &str = "SELECT counter.value AS revision, object.kind AS kind, object.name AS name, object.is_active AS is_active, \
     object.body AS body, object.version AS version, COALESCE(identity.id, 0) AS id \
     FROM counter LEFT JOIN object ON 1 = 1 \
     LEFT JOIN identity ON identity.kind = object.kind AND identity.name = object.name WHERE counter.name = 'revision' ORDER BY object.kind, object.name";

/// What the store gave to a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its number; of the last one, if it changed nothing.
    pub revision: u64,
    /// The objects that became different and are still there, in the order of the steps; one that several steps changed stands there
    /// several times.
    pub objects: Vec<StoredObject>,
}

/// What the store gave to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Its id.
    pub id: u64,
}

impl Store {
    /// All objects as they are now.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn snapshot(self: &Arc<Self>) -> Result<Snapshot, Error> {
        let mut parts = Vec::new();
        // what has come is read while the rest is on its way
        let take = |rows: Vec<Row>| {
            let this = Arc::clone(self);
            parts.push(tokio::task::spawn_blocking(move || this.read_snapshot(&rows)));
        };
        let rows = self.db.each(SNAPSHOT, &[], ROWS_AT_ONCE, take).await;
        rows.map_err(|error| self.error(error))?;
        let mut snapshot = Snapshot::default();
        for part in parts {
            let part = part.await.map_err(|error| {
                Error::new(Kind::Internal, "reading the objects of the ODB broke off").with_source(error)
            })??;
            snapshot.revision = part.revision;
            snapshot.records.extend(part.records);
        }
        Ok(snapshot)
    }

    /// Makes every step of `set` or none, and gives back what all objects are then. Records are stored as they come, but for their secrets,
    /// which are encrypted: whoever calls this has checked and normalised them. A put that changes nothing leaves no trace, and a set of
    /// only such puts leaves the revision.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written; then nothing of the set is in it. [`Kind::Unavailable`] that says so: the connection was lost at the
    /// very end, and nobody knows.
    pub async fn apply(self: &Arc<Self>, set: &ChangeSet, who: &str) -> Result<Snapshot, Error> {
        self.apply_to(None, set, who).await?;
        self.snapshot().await
    }

    /// As [`Store::apply`], but only if the ODB is still at `revision`, from which the set was made. Gives back what the store alone knows:
    /// all objects are not read for the change of one.
    ///
    /// # Errors
    ///
    /// As [`Store::apply`]; [`Kind::Conflict`] if somebody else changed the objects meanwhile.
    pub async fn apply_at(&self, revision: u64, set: &ChangeSet, who: &str) -> Result<Stored, Error> {
        self.apply_to(Some(revision), set, who).await
    }

    async fn apply_to(&self, expected: Option<u64>, set: &ChangeSet, who: &str) -> Result<Stored, Error> {
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
        let mut stored = Stored {
            revision,
            objects: Vec::new(),
        };
        let mut changed = false;
        for change in &set.changes {
            let given = match change {
                Change::Put(record) => step.put(&mut transaction, record).await?,
                Change::Rename { kind, name, new_name } => step.rename(&mut transaction, kind, name, new_name).await?,
                Change::Delete { kind, name } => {
                    changed |= step.delete(&mut transaction, kind, name).await?;
                    None
                }
                Change::Expect { kind, name, version } => {
                    step.expect(&mut transaction, kind, name, *version).await?;
                    None
                }
            };
            stored.objects.extend(given);
        }
        if changed || !stored.objects.is_empty() {
            stored.revision += 1;
            let sql = "UPDATE counter SET value = ? WHERE name = 'revision'";
            self.execute(&mut transaction, sql, &[Arg::from(stored.revision)])
                .await?;
        }
        self.commit(transaction).await?;
        Ok(stored)
    }

    pub(crate) fn read_snapshot(&self, rows: &[Row]) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot::default();
        for row in rows {
            snapshot.revision = row.count("revision").map_err(|error| self.error(error))?;
            let kind: Option<String> = row.get("kind").map_err(|error| self.error(error))?;
            if kind.is_some() {
                snapshot.records.push(Arc::new(self.read_record(row)?));
            }
        }
        Ok(snapshot)
    }

    /// Stores records as they are, with their versions and numbers, in an ODB that has none.
    pub(crate) async fn put_records(
        &self,
        transaction: &mut Transaction,
        records: &[Record],
        revision: u64,
        who: &str,
    ) -> Result<(), Error> {
        let (at, key) = (now(), self.current_key(transaction).await?);
        let step = Step {
            store: self,
            key: &key,
            revision,
            at: &at,
            who,
        };
        for record in records {
            step.create(transaction, record).await?;
        }
        Ok(())
    }

    fn read_record(&self, row: &Row) -> Result<Record, Error> {
        let read = || -> Result<(String, String, i64, String, u64, u64), sqlx::Error> {
            Ok((
                row.get("kind")?,
                row.get("name")?,
                row.get("is_active")?,
                row.get("body")?,
                row.count("version")?,
                row.count("id")?,
            ))
        };
        let (kind, name, is_active, body, version, id) = read().map_err(|error| self.error(error))?;
        let body = self.read_body(&kind, &name, body)?;
        Ok(Record {
            kind,
            name,
            is_active: is_active != 0,
            body,
            version,
            id,
        })
    }

    pub(crate) fn read_body(&self, kind: &str, name: &str, text: String) -> Result<Body, Error> {
        let text = self.secrets.open(kind, name, text)?;
        Body::read(text).map_err(|error| no_object(kind, name, error))
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

/// A version of an object that is being left behind.
struct Version<'a> {
    id: u64,
    kind: &'a str,
    name: &'a str,
    /// The name before, if it was renamed.
    former_name: Option<&'a str>,
    version: u64,
    action: &'a str,
    /// Whether it is active, and its fields as they are stored; `None`: it is gone.
    state: Option<(i64, &'a str)>,
}

impl Step<'_> {
    /// `None`: it changed nothing.
    async fn put(&self, transaction: &mut Transaction, record: &Record) -> Result<Option<StoredObject>, Error> {
        let Record {
            kind, name, is_active, ..
        } = record;
        let old = self.current(transaction, kind, name).await?;
        let Some(mut version) = put_version(old.as_ref(), record) else {
            return Ok(None);
        };
        let id = match &old {
            Some(old) => old.id,
            None => match self.store.identify_again(transaction, kind, name, record.id).await? {
                Some(last) => {
                    version = last + 1;
                    record.id
                }
                None => self.store.identify_one(transaction, kind, name).await?,
            },
        };
        let body = self.store.secrets.seal(self.key, kind, name, &record.body.fields());
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
        let state = Some((is_active, body.as_str()));
        self.remember(
            transaction,
            &Version {
                id,
                kind,
                name,
                former_name: None,
                version,
                action,
                state,
            },
        )
        .await?;
        Ok(Some(StoredObject {
            kind: kind.clone(),
            name: name.clone(),
            version,
            id,
        }))
    }

    /// Makes an object that has its version and its number already.
    async fn create(&self, transaction: &mut Transaction, record: &Record) -> Result<(), Error> {
        let Record {
            kind,
            name,
            is_active,
            body,
            version,
            id,
        } = record;
        let body = self.store.secrets.seal(self.key, kind, name, &body.fields());
        let body = serde_json::to_string(&body).expect("a JSON object serialises");
        let is_active = i64::from(*is_active);
        let sql = "INSERT INTO object (is_active, body, version, changed_at, changed_by, kind, name) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let args = [
            Arg::from(is_active),
            Arg::from(&body),
            Arg::from(*version),
            self.at.into(),
            self.who.into(),
            kind.into(),
            name.into(),
        ];
        self.store.execute(transaction, sql, &args).await?;
        let version = Version {
            id: *id,
            kind,
            name,
            former_name: None,
            version: *version,
            action: "create",
            state: Some((is_active, &body)),
        };
        self.remember(transaction, &version).await
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
        self.store.forget_identity(transaction, kind, name).await?;
        let version = Version {
            id: old.id,
            kind,
            name,
            former_name: None,
            version: old.version,
            action: "delete",
            state: None,
        };
        self.remember(transaction, &version).await?;
        Ok(true)
    }

    /// `None`: the new name is the old one. What names the object, whoever calls this has rewritten.
    async fn rename(
        &self,
        transaction: &mut Transaction,
        kind: &str,
        name: &str,
        new_name: &str,
    ) -> Result<Option<StoredObject>, Error> {
        let Some(old) = self.current(transaction, kind, name).await? else {
            return Err(Error::new(Kind::NotFound, format!("there is no {kind} `{name}`")));
        };
        if name == new_name {
            return Ok(None);
        }
        if self.current(transaction, kind, new_name).await?.is_some() {
            let message = format!("there is a {kind} `{new_name}` already");
            return Err(Error::new(Kind::Conflict, message));
        }
        // secrets are bound to the name
        let body = self.store.secrets.seal(self.key, kind, new_name, &old.body.fields());
        let body = serde_json::to_string(&body).expect("a JSON object serialises");
        let version = old.version + 1;
        let sql = "UPDATE object SET name = ?, body = ?, version = ?, changed_at = ?, changed_by = ? WHERE kind = ? AND name = ?";
        let args = [
            new_name.into(),
            Arg::from(&body),
            Arg::from(version),
            self.at.into(),
            self.who.into(),
            kind.into(),
            name.into(),
        ];
        self.store.execute(transaction, sql, &args).await?;
        let sql = "UPDATE identity SET name = ? WHERE kind = ? AND name = ?";
        self.store
            .execute(transaction, sql, &[new_name.into(), kind.into(), name.into()])
            .await?;
        let row = Version {
            id: old.id,
            kind,
            name: new_name,
            former_name: Some(name),
            version,
            action: "change",
            state: Some((i64::from(old.is_active), &body)),
        };
        self.remember(transaction, &row).await?;
        Ok(Some(StoredObject {
            kind: kind.to_owned(),
            name: new_name.to_owned(),
            version,
            id: old.id,
        }))
    }

    async fn expect(&self, transaction: &mut Transaction, kind: &str, name: &str, version: u64) -> Result<(), Error> {
        let current = self.current(transaction, kind, name).await?;
        let now = current.map_or(0, |it| it.version);
        if now == version {
            return Ok(());
        }
        let message = format!("{kind} `{name}` is in version {now} and not in version {version} any more");
        Err(Error::new(Kind::Conflict, message).with_hint("look at what is there now and try again"))
    }

    async fn current(&self, transaction: &mut Transaction, kind: &str, name: &str) -> Result<Option<Record>, Error> {
        let sql = "SELECT object.kind AS kind, object.name AS name, is_active, body, version, COALESCE(identity.id, 0) AS id \
                   FROM object LEFT JOIN identity ON identity.kind = object.kind AND identity.name = object.name \
                   WHERE object.kind = ? AND object.name = ?";
        let row = transaction.fetch_first(sql, &[kind.into(), name.into()]).await;
        let row = row.map_err(|error| self.store.error(error))?;
        row.map(|row| self.store.read_record(&row)).transpose()
    }

    async fn remember(&self, transaction: &mut Transaction, version: &Version<'_>) -> Result<(), Error> {
        let Version {
            id,
            kind,
            name,
            former_name,
            version,
            action,
            state,
        } = *version;
        let sql = "INSERT INTO object_version \
                   (object_id, kind, name, former_name, version, revision, action, is_active, body, changed_at, changed_by) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let args = [
            Arg::from(id),
            kind.into(),
            name.into(),
            Arg::TextOrNull(former_name),
            Arg::from(version),
            Arg::from(self.revision),
            action.into(),
            Arg::NumberOrNull(state.map(|(is_active, _)| is_active)),
            Arg::TextOrNull(state.map(|(_, body)| body)),
            self.at.into(),
            self.who.into(),
        ];
        self.store.execute(transaction, sql, &args).await?;
        // whoever comes and goes is cut back when it goes
        if action == "create" {
            return Ok(());
        }
        let sql = "SELECT id FROM object_version WHERE kind = ? AND name = ? ORDER BY id DESC LIMIT 1 OFFSET ?";
        let args = [kind.into(), name.into(), Arg::from(VERSIONS_KEPT)];
        let row = transaction.fetch_first(sql, &args).await;
        if let Some(row) = row.map_err(|error| self.store.error(error))? {
            let last: i64 = row.get("id").map_err(|error| self.store.error(error))?;
            let args = [kind.into(), name.into(), Arg::from(last)];
            let sql = "SELECT COALESCE(MAX(revision), 0) AS revision FROM object_version \
                       WHERE kind = ? AND name = ? AND id <= ? AND action = 'delete'";
            let gone = transaction.fetch_first(sql, &args).await;
            if let Some(row) = gone.map_err(|error| self.store.error(error))? {
                // from before, nobody can tell any more that there was this object
                let revision = row.count("revision").map_err(|error| self.store.error(error))?;
                let sql = "UPDATE counter SET value = ? WHERE name = 'history' AND value < ?";
                self.store
                    .execute(transaction, sql, &[Arg::from(revision), Arg::from(revision)])
                    .await?;
            }
            let sql = "DELETE FROM object_version WHERE kind = ? AND name = ? AND id <= ?";
            self.store.execute(transaction, sql, &args).await?;
        }
        Ok(())
    }
}

pub(crate) fn parse_body(kind: &str, name: &str, body: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(body).map_err(|error| no_object(kind, name, error))
}

fn no_object(kind: &str, name: &str, error: serde_json::Error) -> Error {
    let message = format!("the stored fields of {kind} `{name}` are not a JSON object");
    Error::new(Kind::Internal, message).with_source(error)
}
