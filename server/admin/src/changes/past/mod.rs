//! What objects were, who made them so, and the way back.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use busbar_model::object::{Change, ChangeSet, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_store::{ObjectVersion, Revision};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::agreement::{PlanDigest, agreed};
use crate::built_in::is_built_in;
use crate::changes::{Applied, ChangeError, Changes, ObjectName};
use crate::registry::{Fields, Registry};

/// How many versions of an object are looked through at most; the store keeps no more.
const VERSIONS_MAX: u32 = 1_000;

/// A moment in the life of all objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// When this change had been made.
    Revision(u64),
    /// This time, RFC 3339: `2026-03-01T12:00:00Z`.
    Time(String),
}

/// One version of an object, for people to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastVersion {
    /// Its number.
    pub version: u64,
    /// Number of the change that made it.
    pub revision: u64,
    /// `create`, `change`, `rename` or `delete`.
    pub action: String,
    /// What the object was called since.
    pub name: String,
    /// When, RFC 3339 in UTC.
    pub changed_at: String,
    /// Who.
    pub changed_by: String,
    /// What became different, field by field; of a new object what is not as it is by default. Secrets are masked.
    pub changes: Vec<FieldChange>,
}

/// A field that became different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name; `name` and `is_active` are fields here.
    pub field: String,
    /// What it was; null if there was no object.
    pub old: Value,
    /// What it is since.
    pub new: Value,
}

/// What going back to a moment would do, and an id by which somebody can agree to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestorePlan {
    /// Made of all that it would do, and of the objects as they are. Good until these change, or the server is restarted.
    pub id: String,
    /// What would be done.
    #[serde(flatten)]
    pub applied: Applied,
}

impl Changes {
    /// What an object was, newest first, at most `limit` versions of it.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`]: there was never such an object. When the ODB cannot be read.
    pub async fn history(&self, object: &ObjectName, limit: u32) -> Result<Vec<PastVersion>, Error> {
        let limit = limit.min(VERSIONS_MAX);
        // one more, to tell what the oldest one made different
        let versions = self.store.history(&object.kind, &object.name, limit + 1).await?;
        if versions.is_empty() {
            return Err(Error::new(Kind::NotFound, format!("there was never a {object}")));
        }
        let fields = self.registry.get(&object.kind).map(Fields::of).unwrap_or_default();
        let past = versions
            .iter()
            .take(limit as usize)
            .enumerate()
            .map(|(index, version)| {
                let before = versions[index + 1..].iter().find(|it| it.id == version.id);
                let before = before.filter(|_| version.action != "create");
                past_version(fields, before, version)
            });
        Ok(past.collect())
    }

    /// The last changes, newest first: those before number `before`, at most `limit` of them and never more than 200.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, Error> {
        self.store.revisions(before, limit).await
    }

    /// All objects as they were.
    ///
    /// # Errors
    ///
    /// [`Kind::BadRequest`]: the time is none. [`Kind::NotFound`]: that moment is still to come, or too long ago. When the ODB cannot be
    /// read.
    pub async fn at(&self, moment: &Moment) -> Result<Snapshot, Error> {
        let revision = match moment {
            Moment::Revision(revision) => *revision,
            Moment::Time(time) => {
                let time = busbar_store::moment(time).ok_or_else(|| {
                    Error::new(Kind::BadRequest, format!("`{time}` is not a time"))
                        .with_hint("write it as 2026-03-01T12:00:00Z, or with an offset instead of the Z")
                })?;
                self.store.revision_at(&time).await?
            }
        };
        self.store.snapshot_at(revision).await
    }

    /// Gives an object the fields that it had in `version`; one that was deleted comes back, with its id. A checked change like any other, and a new
    /// version.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]: there is no such version, or it names what is not there any more. Then everything is as it was.
    pub async fn roll_back(
        self: &Arc<Self>,
        object: &ObjectName,
        version: u64,
        who: &str,
    ) -> Result<Applied, ChangeError> {
        let ObjectName { kind, name } = object.clone();
        let versions = self.store.history(&kind, &name, VERSIONS_MAX).await?;
        let now = versions.first().map(|it| it.id);
        // an older object of that name has versions of the same numbers
        let of_now = versions.iter().filter(|it| Some(it.id) == now);
        let found = of_now.clone().find(|it| it.version == version && it.record.is_some());
        let Some(record) = found.and_then(|it| it.record.clone()) else {
            let known: BTreeSet<_> = of_now.filter(|it| it.record.is_some()).map(|it| it.version).collect();
            let error = Error::new(Kind::NotFound, format!("{object} has no version {version}"));
            return Err(match (known.first(), known.last()) {
                (Some(first), Some(last)) => error.with_hint(format!("it has {first} to {last}")).into(),
                _ => error.with_hint("there was never such an object").into(),
            });
        };
        let put = move |current: &Snapshot| {
            // the object may have left this name to go on under another one: then this is one of its own
            let goes_on = current.iter().any(|it| it.id == record.id && it.name != name);
            let id = if goes_on { 0 } else { record.id };
            Ok(Change::Put(Record { name, id, ..record }).into())
        };
        self.transact(who, put).await
    }

    /// Makes all objects what they were, but for what a server has from the start, which stays. A checked change like any other, and a new
    /// revision: what it undoes is not lost. If it deletes anything, `confirm` has to name the [plan](RestorePlan) that does so.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; as of [`Changes::at`]; E29 and E30 if it is not what was agreed to. Then everything is as it was.
    pub async fn restore(
        self: &Arc<Self>,
        moment: &Moment,
        confirm: Option<String>,
        who: &str,
    ) -> Result<Applied, ChangeError> {
        let then = self.at(moment).await?;
        let registry = self.registry;
        let make = move |current: &Snapshot| {
            let set = way_to(registry, current, &then);
            let deletes = set.changes.iter().filter(|it| matches!(it, Change::Delete { .. }));
            agreed(&plan_id(current, &set), deletes.count(), confirm.as_deref())?;
            Ok(set)
        };
        self.transact(who, make).await
    }

    /// What [`Changes::restore`] would do.
    ///
    /// # Errors
    ///
    /// As there, but for what was agreed to.
    pub async fn rehearse_restore(&self, moment: &Moment) -> Result<RestorePlan, ChangeError> {
        let then = self.at(moment).await?;
        let mut id = String::new();
        let make = |current: &Snapshot| {
            let set = way_to(self.registry, current, &then);
            id = plan_id(current, &set);
            Ok(set)
        };
        let applied = self.rehearse(make).await?;
        Ok(RestorePlan { id, applied })
    }
}

fn plan_id(current: &Snapshot, set: &ChangeSet) -> String {
    let mut digest = PlanDigest::new();
    digest.add(&json!(current.revision));
    for change in &set.changes {
        digest.add(&json!(change));
    }
    digest.id()
}

fn past_version(fields: Fields, before: Option<&ObjectVersion>, version: &ObjectVersion) -> PastVersion {
    let mut changes = Vec::new();
    if let Some(record) = &version.record {
        let old = before.and_then(|it| it.record.as_ref());
        if let Some(former_name) = &version.former_name {
            changes.push(FieldChange {
                field: "name".to_owned(),
                old: Value::from(former_name.as_str()),
                new: Value::from(version.name.as_str()),
            });
        }
        if old.is_some_and(|old| old.is_active != record.is_active) || old.is_none() && !record.is_active {
            changes.push(FieldChange {
                field: "is_active".to_owned(),
                old: old.map_or(Value::Null, |old| Value::from(old.is_active)),
                new: Value::from(record.is_active),
            });
        }
        for (field, new) in &*record.body {
            let was = match old {
                Some(old) => old.body.get(field).unwrap_or(&Value::Null),
                None => fields.default_value(field),
            };
            if was != new {
                let was = if old.is_some() { was } else { &Value::Null };
                changes.push(FieldChange {
                    field: field.clone(),
                    old: fields.masked_value(field, was),
                    new: fields.masked_value(field, new),
                });
            }
        }
    }
    PastVersion {
        version: version.version,
        revision: version.revision,
        action: version.action.clone(),
        name: version.name.clone(),
        changed_at: version.changed_at.clone(),
        changed_by: version.changed_by.clone(),
        changes,
    }
}

/// The change set that makes `current` what it was `then`. An object is the same if its id is, whatever it is called; one that was deleted
/// and made again is if its name is. What was deleted comes back with its id. What a server has from the start stays, under its name. What is
/// of a type that this busbar does not have is left alone, as everywhere.
fn way_to(registry: Registry, current: &Snapshot, then: &Snapshot) -> ChangeSet {
    let then: Vec<&Record> = then.iter().filter(|it| registry.get(&it.kind).is_some()).collect();
    let now: BTreeMap<u64, &Record> = current.iter().map(|it| (it.id, it)).collect();
    let is_kept = |now: &Record, then: &Record| now.name == then.name || !is_built_in(now);
    let is_same = |it: &Record| now.get(&it.id).filter(|now| now.kind == it.kind && is_kept(now, it));
    let mut stays: BTreeSet<u64> = BTreeSet::new();
    let mut renames: Vec<(ObjectName, String)> = Vec::new();
    for record in &then {
        match is_same(record) {
            Some(now) => {
                stays.insert(now.id);
                if now.name != record.name {
                    renames.push((ObjectName::of(now), record.name.clone()));
                }
            }
            None => stays.extend(current.get(&record.kind, &record.name).map(|it| it.id)),
        }
    }
    let gone = current.iter().filter(|it| !stays.contains(&it.id) && !is_built_in(it));
    let mut changes: Vec<Change> = gone
        .map(|it| Change::Delete {
            kind: it.kind.clone(),
            name: it.name.clone(),
        })
        .collect();
    changes.extend(in_order(renames));
    changes.extend(then.into_iter().cloned().map(Change::Put));
    ChangeSet { changes }
}

/// Renames in an order in which each new name is free; where names go round in a circle, one of them steps aside first.
fn in_order(mut renames: Vec<(ObjectName, String)>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut rename = |object: &ObjectName, new_name: String| {
        changes.push(Change::Rename {
            kind: object.kind.clone(),
            name: object.name.clone(),
            new_name,
        });
    };
    while !renames.is_empty() {
        let taken: BTreeSet<ObjectName> = renames.iter().map(|(object, _)| object.clone()).collect();
        let (free, waiting): (Vec<_>, Vec<_>) = renames.into_iter().partition(|(object, new_name)| {
            let new = ObjectName {
                kind: object.kind.clone(),
                name: new_name.clone(),
            };
            !taken.contains(&new)
        });
        renames = waiting;
        if free.is_empty()
            && let Some((object, _)) = renames.first_mut()
        {
            let aside = (1..).map(|number| format!("restored {number}"));
            let is_free = |name: &String| taken.iter().all(|it| it.name != *name);
            let name = { aside }.find(is_free).unwrap_or_default();
            rename(object, name.clone());
            object.name = name;
        }
        for (object, new_name) in free {
            rename(&object, new_name);
        }
    }
    changes
}
