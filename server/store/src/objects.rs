//! Objects and their versions.

use busbar_model::object::{Change, ChangeSet, Record, Snapshot};
use busbar_model::{Error, Kind};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::diff::put_version;
use crate::open::Store;
use crate::time::now;

/// How many versions of one object are kept.
const VERSIONS_KEPT: i64 = 1_000;

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
        let mut transaction = self.pool.begin().await.map_err(|error| self.error(error))?;
        let snapshot = self.read_snapshot(&mut transaction).await?;
        transaction.commit().await.map_err(|error| self.error(error))?;
        Ok(snapshot)
    }

    /// Makes every step of `set` or none, and gives back what all objects are then. Records are stored as they come: whoever calls this
    /// has checked and normalised them. A put that changes nothing leaves no trace, and a set of only such puts leaves the revision.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be written; then nothing of the set is in it.
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
        // takes the write lock at once: a transaction that reads first and writes later may find that it cannot
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| self.error(error))?;
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
        let step = Step {
            store: self,
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
            sqlx::query("UPDATE counter SET value = ? WHERE name = 'revision'")
                .bind((revision + 1) as i64)
                .execute(&mut *transaction)
                .await
                .map_err(|error| self.error(error))?;
        }
        let snapshot = self.read_snapshot(&mut transaction).await?;
        transaction.commit().await.map_err(|error| self.error(error))?;
        Ok(snapshot)
    }

    /// What one object was before, newest first, at most `limit` versions.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn history(&self, kind: &str, name: &str, limit: u32) -> Result<Vec<ObjectVersion>, Error> {
        let rows = sqlx::query(
            "SELECT version, revision, action, is_active, body, changed_at, changed_by FROM object_version \
             WHERE kind = ? AND name = ? ORDER BY id DESC LIMIT ?",
        )
        .bind(kind)
        .bind(name)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.read_version(row, kind, name)).collect()
    }

    fn read_version(&self, row: &SqliteRow, kind: &str, name: &str) -> Result<ObjectVersion, Error> {
        let read = || -> Result<_, sqlx::Error> {
            Ok((
                row.try_get::<i64, _>("version")? as u64,
                row.try_get::<Option<bool>, _>("is_active")?,
                row.try_get::<Option<String>, _>("body")?,
                row.try_get::<i64, _>("revision")? as u64,
                row.try_get("action")?,
                row.try_get("changed_at")?,
                row.try_get("changed_by")?,
            ))
        };
        let (version, is_active, body, revision, action, changed_at, changed_by) =
            read().map_err(|error| self.error(error))?;
        let record = match body {
            Some(body) => Some(Record {
                kind: kind.to_owned(),
                name: name.to_owned(),
                is_active: is_active.unwrap_or(true),
                body: parse_body(kind, name, &body)?,
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

    async fn read_snapshot(&self, connection: &mut SqliteConnection) -> Result<Snapshot, Error> {
        let revision = self.counter(connection, "revision").await?;
        let rows = sqlx::query("SELECT kind, name, is_active, body, version FROM object ORDER BY kind, name")
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| self.error(error))?;
        let records = rows.iter().map(|row| self.read_record(row)).collect::<Result<_, _>>()?;
        Ok(Snapshot { revision, records })
    }

    fn read_record(&self, row: &SqliteRow) -> Result<Record, Error> {
        let read = || -> Result<_, sqlx::Error> {
            let body: String = row.try_get("body")?;
            let version: i64 = row.try_get("version")?;
            Ok((
                row.try_get("kind")?,
                row.try_get("name")?,
                row.try_get("is_active")?,
                body,
                version as u64,
            ))
        };
        let (kind, name, is_active, body, version): (String, String, bool, String, u64) =
            read().map_err(|error| self.error(error))?;
        let body = parse_body(&kind, &name, &body)?;
        Ok(Record {
            kind,
            name,
            is_active,
            body,
            version,
        })
    }

    /// A counter's value.
    pub(crate) async fn counter(&self, connection: &mut SqliteConnection, name: &str) -> Result<u64, Error> {
        let value: i64 = sqlx::query_scalar("SELECT value FROM counter WHERE name = ?")
            .bind(name)
            .fetch_one(connection)
            .await
            .map_err(|error| self.error(error))?;
        Ok(value as u64)
    }
}

/// One change set as it is being written.
struct Step<'a> {
    store: &'a Store,
    revision: u64,
    at: &'a str,
    who: &'a str,
}

impl Step<'_> {
    /// Whether it changed anything.
    async fn put(&self, connection: &mut SqliteConnection, record: &Record) -> Result<bool, Error> {
        let old = self.current(connection, &record.kind, &record.name).await?;
        let Some(version) = put_version(old.as_ref(), record) else {
            return Ok(false);
        };
        let body = serde_json::to_string(&record.body).expect("a JSON object serialises");
        sqlx::query(
            "INSERT INTO object (kind, name, is_active, body, version, changed_at, changed_by) VALUES (?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (kind, name) DO UPDATE SET is_active = excluded.is_active, body = excluded.body, \
             version = excluded.version, changed_at = excluded.changed_at, changed_by = excluded.changed_by",
        )
        .bind(&record.kind)
        .bind(&record.name)
        .bind(record.is_active)
        .bind(&body)
        .bind(version as i64)
        .bind(self.at)
        .bind(self.who)
        .execute(&mut *connection)
        .await
        .map_err(|error| self.store.error(error))?;
        let action = if old.is_some() { "change" } else { "create" };
        self.remember(
            connection,
            &record.kind,
            &record.name,
            version,
            action,
            Some((record.is_active, &body)),
        )
        .await?;
        Ok(true)
    }

    /// Whether there was anything to delete.
    async fn delete(&self, connection: &mut SqliteConnection, kind: &str, name: &str) -> Result<bool, Error> {
        let Some(old) = self.current(connection, kind, name).await? else {
            return Ok(false);
        };
        sqlx::query("DELETE FROM object WHERE kind = ? AND name = ?")
            .bind(kind)
            .bind(name)
            .execute(&mut *connection)
            .await
            .map_err(|error| self.store.error(error))?;
        self.remember(connection, kind, name, old.version, "delete", None)
            .await?;
        Ok(true)
    }

    async fn current(
        &self,
        connection: &mut SqliteConnection,
        kind: &str,
        name: &str,
    ) -> Result<Option<Record>, Error> {
        let row = sqlx::query("SELECT kind, name, is_active, body, version FROM object WHERE kind = ? AND name = ?")
            .bind(kind)
            .bind(name)
            .fetch_optional(connection)
            .await
            .map_err(|error| self.store.error(error))?;
        row.map(|row| self.store.read_record(&row)).transpose()
    }

    async fn remember(
        &self,
        connection: &mut SqliteConnection,
        kind: &str,
        name: &str,
        version: u64,
        action: &str,
        state: Option<(bool, &str)>,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO object_version (kind, name, version, revision, action, is_active, body, changed_at, changed_by) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(kind)
        .bind(name)
        .bind(version as i64)
        .bind(self.revision as i64)
        .bind(action)
        .bind(state.map(|(is_active, _)| is_active))
        .bind(state.map(|(_, body)| body))
        .bind(self.at)
        .bind(self.who)
        .execute(&mut *connection)
        .await
        .map_err(|error| self.store.error(error))?;
        sqlx::query(
            "DELETE FROM object_version WHERE kind = ?1 AND name = ?2 AND id <= \
             (SELECT id FROM object_version WHERE kind = ?1 AND name = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        )
        .bind(kind)
        .bind(name)
        .bind(VERSIONS_KEPT)
        .execute(&mut *connection)
        .await
        .map_err(|error| self.store.error(error))?;
        Ok(())
    }
}

fn parse_body(kind: &str, name: &str, body: &str) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
    serde_json::from_str(body).map_err(|error| {
        Error::new(
            Kind::Internal,
            format!("the stored fields of {kind} `{name}` are not a JSON object"),
        )
        .with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diff::diff;

    fn record(kind: &str, name: &str, body: serde_json::Value) -> Record {
        Record {
            kind: kind.into(),
            name: name.into(),
            is_active: true,
            body: body.as_object().unwrap().clone(),
            version: 0,
        }
    }

    fn put(record: Record) -> ChangeSet {
        ChangeSet {
            changes: vec![Change::Put(record)],
        }
    }

    fn delete(kind: &str, name: &str) -> ChangeSet {
        ChangeSet {
            changes: vec![Change::Delete {
                kind: kind.into(),
                name: name.into(),
            }],
        }
    }

    #[tokio::test]
    async fn objects_read_back_sorted_and_count_their_versions() {
        let store = Store::in_memory().await.unwrap();
        assert_eq!(store.snapshot().await.unwrap(), Snapshot::default());
        let body = json!({"z": 1, "a": {"text": "żółw \u{1f422} \u{0} '\""}, "list": [null, true, 1.5]});
        let set = ChangeSet {
            changes: vec![
                Change::Put(record("b", "x", json!({}))),
                Change::Put(record("a", "y", body.clone())),
                Change::Put(record("a", "B", json!({}))),
            ],
        };
        let snapshot = store.apply(&set, "test").await.unwrap();
        assert_eq!(snapshot, store.snapshot().await.unwrap());
        assert_eq!(snapshot.revision, 1);
        let names: Vec<_> = snapshot
            .records
            .iter()
            .map(|it| (it.kind.as_str(), it.name.as_str()))
            .collect();
        assert_eq!(names, [("a", "B"), ("a", "y"), ("b", "x")]);
        assert_eq!(
            serde_json::to_string(&snapshot.records[1].body).unwrap(),
            body.to_string()
        );

        let snapshot = store
            .apply(&put(record("b", "x", json!({"n": 1}))), "test")
            .await
            .unwrap();
        assert_eq!((snapshot.revision, snapshot.records[2].version), (2, 2));
    }

    #[tokio::test]
    async fn what_changes_nothing_leaves_no_trace() {
        let store = Store::in_memory().await.unwrap();
        let first = store
            .apply(&put(record("a", "x", json!({"n": 1}))), "test")
            .await
            .unwrap();
        assert_eq!(
            store
                .apply(&put(record("a", "x", json!({"n": 1}))), "test")
                .await
                .unwrap(),
            first
        );
        assert_eq!(store.apply(&delete("a", "other"), "test").await.unwrap(), first);
        assert_eq!(store.apply(&ChangeSet::default(), "test").await.unwrap(), first);
        assert_eq!(store.history("a", "x", 9).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn history_tells_who_did_what() {
        let store = Store::in_memory().await.unwrap();
        store
            .apply(&put(record("a", "x", json!({"n": 1}))), "ann")
            .await
            .unwrap();
        store
            .apply(&put(record("a", "x", json!({"n": 2}))), "bob")
            .await
            .unwrap();
        store.apply(&delete("a", "x"), "eve").await.unwrap();
        store
            .apply(&put(record("a", "x", json!({"n": 1}))), "ann")
            .await
            .unwrap();
        let history = store.history("a", "x", 9).await.unwrap();
        let seen: Vec<_> = history
            .iter()
            .map(|it| (it.action.as_str(), it.version, it.revision, it.changed_by.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("create", 1, 4, "ann"),
                ("delete", 2, 3, "eve"),
                ("change", 2, 2, "bob"),
                ("create", 1, 1, "ann")
            ]
        );
        assert_eq!(history[2].record.as_ref().unwrap().body["n"], 2);
        assert!(history[1].record.is_none());
    }

    #[tokio::test]
    async fn a_set_that_fails_half_way_leaves_nothing() {
        let store = Store::in_memory().await.unwrap();
        let before = store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
        sqlx::query(
            "CREATE TRIGGER fail BEFORE INSERT ON object WHEN new.name = 'fail' BEGIN SELECT raise(ABORT, 'disk on fire'); END",
        )
        .execute(&store.pool)
        .await
        .unwrap();
        let set = ChangeSet {
            changes: vec![
                Change::Put(record("a", "new", json!({}))),
                Change::Delete {
                    kind: "a".into(),
                    name: "x".into(),
                },
                Change::Put(record("a", "fail", json!({}))),
            ],
        };
        let error = store.apply(&set, "test").await.unwrap_err();
        assert!(error.chain().contains("disk on fire"), "{}", error.chain());
        assert_eq!(store.snapshot().await.unwrap(), before);
        assert_eq!(store.history("a", "new", 9).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_set_made_from_an_older_state_is_refused() {
        let store = Store::in_memory().await.unwrap();
        store.apply(&put(record("a", "x", json!({}))), "test").await.unwrap();
        let error = store
            .apply_at(0, &put(record("a", "y", json!({}))), "test")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(
            store
                .apply_at(1, &put(record("a", "y", json!({}))), "test")
                .await
                .unwrap()
                .revision,
            2
        );
    }

    #[tokio::test]
    async fn a_diff_leads_where_it_says() {
        let store = Store::in_memory().await.unwrap();
        let set = ChangeSet {
            changes: ["p", "q", "r"]
                .map(|name| Change::Put(record("a", name, json!({"n": 1}))))
                .to_vec(),
        };
        let old = store.apply(&set, "test").await.unwrap();
        let mut new = old.clone();
        new.records.remove(0);
        new.records[0].body["n"] = json!(2);
        new.records.push(record("b", "s", json!({})));
        let there = store.apply(&diff(&old, &new), "test").await.unwrap();
        assert_eq!(diff(&there, &new), ChangeSet::default());
    }

    #[tokio::test]
    async fn change_sets_wait_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("odb.sqlite")).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let store = store.clone();
            tasks.spawn(async move {
                store
                    .apply(&put(record("a", &number.to_string(), json!({}))), "test")
                    .await
                    .unwrap()
            });
        }
        let mut revisions: Vec<u64> = tasks.join_all().await.iter().map(|it| it.revision).collect();
        revisions.sort_unstable();
        assert_eq!(revisions, (1..=20).collect::<Vec<u64>>());
    }
}
