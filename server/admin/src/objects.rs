//! What can be done with one object, whichever door asks.

use std::sync::Arc;

use busbar_model::object::{Change, ChangeSet, ObjectType, Record, Snapshot};
use busbar_model::{Error, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::changes::{Applied, ChangeError, Changes, ObjectName, check_name};
use crate::problem::{Code, Problem};
use crate::registry::Fields;

/// Objects by kind and name.
#[derive(Clone)]
pub struct Objects {
    changes: Arc<Changes>,
}

/// An object as people see it: its secrets are masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectView {
    /// Its kind: `outgoing.http`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it is switched on.
    pub is_active: bool,
    /// Its number, see [`Record::id`].
    pub id: u64,
    /// Counts up with each change of it.
    pub version: u64,
    /// The fields of its type.
    pub fields: Map<String, Value>,
}

/// An object that is to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewObject {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it is switched on.
    #[serde(default = "busbar_model::fields::yes")]
    pub is_active: bool,
    /// The fields of its type; those that are left out have their defaults.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// What becomes different of an object. What is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ObjectEdit {
    /// Its name from now on; whoever names it follows.
    #[serde(default)]
    pub name: Option<String>,
    /// The version that the edit was made from: if it has another one by now, nothing is changed.
    #[serde(default)]
    pub version: Option<u64>,
    /// Whether it is switched on.
    #[serde(default)]
    pub is_active: Option<bool>,
    /// Fields of its type.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

impl Objects {
    /// Objects that `changes` changes.
    pub fn new(changes: Arc<Changes>) -> Self {
        Self { changes }
    }

    /// Those of a kind, by name; with a `query` only those whose names hold every word of it.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`]: there is no such kind.
    pub fn list(&self, kind: &str, query: &str) -> Result<Vec<ObjectView>, Error> {
        let fields = Fields::of(self.object_type(kind)?);
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let snapshot = self.changes.snapshot();
        let found = snapshot.of_kind(kind).filter(|record| {
            let name = record.name.to_lowercase();
            words.iter().all(|word| name.contains(word))
        });
        Ok(found.map(|record| view(fields, record)).collect())
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`]: there is no such kind, or no object of that name.
    pub fn get(&self, object: &ObjectName) -> Result<ObjectView, Error> {
        let fields = Fields::of(self.object_type(&object.kind)?);
        let snapshot = self.changes.snapshot();
        Ok(view(fields, find(&snapshot, object)?))
    }

    /// Makes one.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; its name is taken, among others. Then everything is as it was.
    pub async fn create(&self, object: NewObject, who: &str) -> Result<ObjectView, ChangeError> {
        self.object_type(&object.kind)?;
        let name = ObjectName {
            kind: object.kind.clone(),
            name: object.name.clone(),
        };
        let make = move |current: &Snapshot| {
            let NewObject {
                kind,
                name,
                is_active,
                fields,
            } = object;
            let object = ObjectName { kind, name };
            if find(current, &object).is_ok() {
                let problem = Problem::new(Code::E25, "exists already").with_object(&object);
                return Err(problem.with_field("name").into());
            }
            Ok(put(object, is_active, fields))
        };
        self.changes.transact(who, make).await?;
        Ok(self.get(&name)?)
    }

    /// Changes one.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; then everything is as it was.
    pub async fn edit(&self, object: &ObjectName, edit: ObjectEdit, who: &str) -> Result<ObjectView, ChangeError> {
        self.object_type(&object.kind)?;
        let before = object.clone();
        let after = ObjectName {
            kind: object.kind.clone(),
            name: edit.name.clone().unwrap_or_else(|| object.name.clone()),
        };
        let renamed = after.clone();
        let make = move |current: &Snapshot| {
            let old = find(current, &before)?;
            if let Err(message) = check_name(&renamed.name) {
                // once, and not for either of its names
                let problem = Problem::new(Code::E22, message).with_object(&before);
                return Err(problem.with_field("name").into());
            }
            let mut fields = old.body.fields().into_owned();
            fields.extend(edit.fields);
            let mut set = ChangeSet::default().expecting(&before.kind, &before.name, edit.version);
            let is_active = edit.is_active.unwrap_or(old.is_active);
            let ObjectName { kind, name } = before;
            if name != renamed.name {
                set.changes.push(Change::Rename {
                    kind,
                    name,
                    new_name: renamed.name.clone(),
                });
            }
            set.changes.extend(put(renamed, is_active, fields).changes);
            Ok(set)
        };
        self.changes.transact(who, make).await?;
        Ok(self.get(&after)?)
    }

    /// Deletes one, if it still has this version where one is given.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]: there is none of that name, or others use it. Then everything is as it was.
    pub async fn delete(&self, object: &ObjectName, version: Option<u64>, who: &str) -> Result<Applied, ChangeError> {
        self.object_type(&object.kind)?;
        let object = object.clone();
        let make = move |current: &Snapshot| {
            find(current, &object)?;
            let mut set = ChangeSet::default().expecting(&object.kind, &object.name, version);
            let ObjectName { kind, name } = object;
            set.changes.push(Change::Delete { kind, name });
            Ok(set)
        };
        self.changes.transact(who, make).await
    }

    fn object_type(&self, kind: &str) -> Result<&'static ObjectType, Error> {
        let registry = self.changes.registry();
        registry.get(kind).ok_or_else(|| {
            let known: Vec<_> = registry.iter().map(|it| it.kind).collect();
            Error::new(Kind::NotFound, format!("there is no object type `{kind}`"))
                .with_hint(format!("there are {}", known.join(", ")))
        })
    }
}

fn find<'a>(snapshot: &'a Snapshot, object: &ObjectName) -> Result<&'a Record, Error> {
    snapshot
        .get(&object.kind, &object.name)
        .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no {object}")))
}

fn put(object: ObjectName, is_active: bool, body: Map<String, Value>) -> ChangeSet {
    let ObjectName { kind, name } = object;
    ChangeSet {
        changes: vec![Change::Put(Record {
            kind,
            name,
            is_active,
            body: body.into(),
            version: 0,
            id: 0,
        })],
    }
}

fn view(fields: Fields, record: &Record) -> ObjectView {
    ObjectView {
        kind: record.kind.clone(),
        name: record.name.clone(),
        is_active: record.is_active,
        id: record.id,
        version: record.version,
        fields: fields.masked(&record.body.fields()),
    }
}
