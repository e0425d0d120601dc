//! Everything that can be configured: one Rust struct per object type, one record per object, one change per change.
//!
//! A type is defined once, as a struct with serde, schemars and doc comments plus `impl Object`. Storage, live changes, enmasse,
//! management services and documentation follow from it.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::body;
pub use crate::body::Body;
use crate::references::{self, Mark, Reference, SECURITY, Target};
use crate::schema;

/// Where a connector of a type lives (docs/architecture.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// In every worker, called directly from Python.
    Worker,
    /// Once per node, in the hub.
    Hub,
}

/// An object type.
pub trait Object:
    Clone + PartialEq + fmt::Debug + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// Its name: `outgoing.zmq`, `channel.http`, `security.basic_auth`.
    const KIND: &'static str;
    /// Where its connector lives.
    const PLACEMENT: Placement;
    /// Top-level enmasse keys that hold objects of this type, today's first (operations.md 6). A key shared by several types
    /// (`security`) is told apart by [`Object::ENMASSE_TYPE`].
    const ENMASSE_KEYS: &'static [&'static str];
    /// Value of an enmasse item's `type` that selects this type among those which share a key.
    const ENMASSE_TYPE: Option<&'static str> = None;

    /// Rewrites one enmasse item into this type's own fields, in place: renames old spellings, fills in what the key implies.
    /// `name` and `is_active` have been taken out already.
    fn from_enmasse(key: &str, item: &mut Map<String, Value>) {
        let _ = (key, item);
    }

    /// Checks what the types of the fields cannot say. Called before anything is stored.
    fn check(&self) -> Result<(), FieldError> {
        Ok(())
    }
}

/// A field whose value cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {message}")]
pub struct FieldError {
    /// The field's name as the user wrote it.
    pub field: String,
    /// What is wrong with it and what is expected.
    pub message: String,
}

impl FieldError {
    /// `field` cannot be accepted because of `message`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// One configured object as it is stored, sent and compared: its type's own fields are one JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`Object::KIND`].
    pub kind: String,
    /// Unique among the objects of its kind (security definitions: among all of them).
    pub name: String,
    /// Whether it is switched on.
    #[serde(default = "crate::fields::yes")]
    pub is_active: bool,
    /// The type's own fields, normalised: every field present, defaults filled in.
    pub body: Body,
    /// Counts up with each change of this object, also when it is deleted and comes back; 1 when it is created, 0 before it is stored.
    #[serde(default)]
    pub version: u64,
    /// The number by which old management services name it (management.md 3): given by the store when the object is created, one sequence
    /// for all kinds, the same as long as the object exists, given to no other afterwards. One that was deleted and is put with its number
    /// has it again. 0 before it is stored.
    #[serde(default)]
    pub id: u64,
}

impl Record {
    /// Kind and name, by which objects are sorted.
    pub fn key(&self) -> (&str, &str) {
        (&self.kind, &self.name)
    }

    /// Whether what is made of one is what is made of the other: they differ in nothing but their numbers. An object has none yet when
    /// something is made of it for the first time.
    pub fn is_as(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || self.key() == other.key()
                && self.is_active == other.is_active
                && self.version == other.version
                && self.body == other.body
    }

    /// Reads the typed fields back.
    pub fn parse<T: Object>(&self) -> Result<T, FieldError> {
        self.body.parse()
    }
}

/// One step of a change. Steps of a [`ChangeSet`] succeed or fail together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Change {
    /// Creates the object, or replaces it if there is one of that kind and name.
    Put(Record),
    /// Removes the object; no error if it is not there.
    Delete {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Gives the object another name. Its id and its history stay, and whatever names it follows; an error if it is not there, or if the
    /// new name is taken.
    Rename {
        /// Its kind.
        kind: String,
        /// Its name until now.
        name: String,
        /// Its name from now on.
        new_name: String,
    },
    /// Changes nothing, and refuses the set if the object is not in this version: for who looked at it first, and must not undo what
    /// somebody else did meanwhile.
    Expect {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// [`Record::version`]; 0: there is no such object.
        version: u64,
    },
}

/// What one import, one management call or one command changes, all or nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChangeSet {
    /// The steps, in order.
    pub changes: Vec<Change>,
}

impl ChangeSet {
    /// The same, but refused unless the object is in this version when it is made: see [`Change::Expect`]. `None` expects nothing.
    #[must_use]
    pub fn expecting(mut self, kind: &str, name: &str, version: Option<u64>) -> Self {
        if let Some(version) = version {
            let expect = Change::Expect {
                kind: kind.to_owned(),
                name: name.to_owned(),
                version,
            };
            self.changes.insert(0, expect);
        }
        self
    }
}

impl From<Change> for ChangeSet {
    fn from(change: Change) -> Self {
        Self { changes: vec![change] }
    }
}

/// All objects at one moment. `revision` counts up with every change set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Number of the last change set in it.
    pub revision: u64,
    /// Every object, sorted by kind and name. Those that a change leaves as they are the next snapshot shares with this one.
    #[serde(with = "shared")]
    pub records: Vec<Arc<Record>>,
}

impl Snapshot {
    /// These objects, in whichever order they come.
    pub fn new(revision: u64, mut records: Vec<Record>) -> Self {
        records.sort_by(|one, other| one.key().cmp(&other.key()));
        Self {
            revision,
            records: records.into_iter().map(Arc::new).collect(),
        }
    }

    /// Every object, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().map(|it| &**it)
    }

    /// One object.
    pub fn get(&self, kind: &str, name: &str) -> Option<&Record> {
        self.shared(kind, name).map(|it| &**it)
    }

    /// The same, for whoever keeps it.
    pub fn shared(&self, kind: &str, name: &str) -> Option<&Arc<Record>> {
        self.records.get(self.index(kind, name)?)
    }

    /// One object, to be changed in place; its kind and name stay.
    pub fn get_mut(&mut self, kind: &str, name: &str) -> Option<&mut Record> {
        let index = self.index(kind, name)?;
        self.records.get_mut(index).map(Arc::make_mut)
    }

    /// All objects of a kind, by name.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Record> {
        self.shared_of_kind(kind).iter().map(|it| &**it)
    }

    /// The same, for whoever keeps them.
    pub fn shared_of_kind(&self, kind: &str) -> &[Arc<Record>] {
        let start = self.records.partition_point(|it| it.kind.as_str() < kind);
        let length = self.records[start..].partition_point(|it| it.kind == kind);
        &self.records[start..start + length]
    }

    /// All security definitions, by type and name, for whoever keeps them.
    pub fn shared_definitions(&self) -> &[Arc<Record>] {
        let start = self.records.partition_point(|it| it.kind.as_str() < SECURITY);
        let length = self.records[start..].partition_point(|it| it.kind.starts_with(SECURITY));
        &self.records[start..start + length]
    }

    /// The security definition of this name, of whichever type: no two of them have the same.
    pub fn security(&self, name: &str) -> Option<&Record> {
        self.shared_security(name).map(|it| &**it)
    }

    /// The same, for whoever keeps it.
    pub fn shared_security(&self, name: &str) -> Option<&Arc<Record>> {
        let mut rest = self.shared_definitions();
        while let Some(first) = rest.first() {
            let length = rest.partition_point(|it| it.kind == first.kind);
            let (of_kind, others) = rest.split_at(length);
            if let Ok(index) = of_kind.binary_search_by(|it| it.name.as_str().cmp(name)) {
                return Some(&of_kind[index]);
            }
            rest = others;
        }
        None
    }

    fn index(&self, kind: &str, name: &str) -> Option<usize> {
        self.records.binary_search_by(|it| it.key().cmp(&(kind, name))).ok()
    }

    /// Active and inactive objects of one type, typed. Stored records were checked, so one that does not parse is a defect and
    /// is reported as such.
    pub fn of<T: Object>(&self) -> impl Iterator<Item = (&Record, Result<T, FieldError>)> {
        self.of_kind(T::KIND).map(|record| (record, record.parse::<T>()))
    }
}

/// Records that are shared are written as others are, but that their bodies need not be read for that.
pub(crate) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Record;
    use crate::body::{self, Body};

    /// A [`Record`] whose body is written as the text that it is.
    #[derive(Serialize)]
    struct Sent<'r> {
        kind: &'r str,
        name: &'r str,
        is_active: bool,
        #[serde(serialize_with = "body::text::serialize")]
        body: &'r Body,
        version: u64,
        id: u64,
    }

    #[derive(Deserialize)]
    struct Received {
        kind: String,
        name: String,
        is_active: bool,
        #[serde(deserialize_with = "body::text::deserialize")]
        body: Body,
        version: u64,
        id: u64,
    }

    pub fn serialize<S: Serializer>(records: &[Arc<Record>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(records.iter().map(|it| Sent {
            kind: &it.kind,
            name: &it.name,
            is_active: it.is_active,
            body: &it.body,
            version: it.version,
            id: it.id,
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arc<Record>>, D::Error> {
        let records: Vec<Received> = Vec::deserialize(deserializer)?;
        let record = |it: Received| Record {
            kind: it.kind,
            name: it.name,
            is_active: it.is_active,
            body: it.body,
            version: it.version,
            id: it.id,
        };
        Ok(records.into_iter().map(|it| Arc::new(record(it))).collect())
    }
}

/// Gives a type's own fields back, checked and with defaults filled in.
pub type Normalise = fn(&Map<String, Value>) -> Result<Map<String, Value>, FieldError>;

/// An object type with its Rust type forgotten: what generic code (storage, enmasse, documentation) works with.
#[derive(Clone, Copy)]
pub struct ObjectType {
    /// [`Object::KIND`].
    pub kind: &'static str,
    /// [`Object::PLACEMENT`].
    pub placement: Placement,
    /// [`Object::ENMASSE_KEYS`].
    pub enmasse_keys: &'static [&'static str],
    /// [`Object::ENMASSE_TYPE`].
    pub enmasse_type: Option<&'static str>,
    /// JSON schema of the type's own fields; secret fields carry `"x-secret": true`, those that name other objects `"x-refers"`.
    pub schema: fn() -> &'static Value,
    /// [`Object::from_enmasse`].
    pub from_enmasse: fn(&str, &mut Map<String, Value>),
    /// Parses, checks, and gives the fields back with defaults filled in. Unknown fields are errors.
    pub normalise: Normalise,
    /// The same, as a body that stays text.
    pub normalise_body: fn(&Body) -> Result<Body, FieldError>,
    /// The fields that name other objects.
    pub marks: fn() -> Arc<[Mark]>,
}

impl ObjectType {
    /// Names of the fields that are never shown and are encrypted where they are stored.
    pub fn secrets(&self) -> Vec<String> {
        let schema = (self.schema)();
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .filter(|(_, property)| property["x-secret"] == Value::Bool(true))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Other objects and services that a normalised body names, so that a change which would leave it dangling can be refused.
    pub fn references(&self, body: &Body) -> Vec<Reference> {
        self.marked(body, references::references)
    }

    /// The same, and what is there without being made, as long as nobody deletes it.
    pub fn all_references(&self, body: &Body) -> Vec<Reference> {
        self.marked(body, references::all_references)
    }

    /// Bodies of types that name nothing need not be looked at.
    fn marked(&self, body: &Body, find: fn(&[Mark], &Map<String, Value>) -> Vec<Reference>) -> Vec<Reference> {
        let marks = (self.marks)();
        if marks.is_empty() {
            return Vec::new();
        }
        find(&marks, &body.fields())
    }

    /// Lets a body that names the target `old` name it `new`. Whether it did.
    pub fn rename(&self, body: &mut Map<String, Value>, target: &Target, old: &str, new: &str) -> bool {
        references::rename(&(self.marks)(), body, target, old, new)
    }

    /// Forgets the Rust type.
    pub const fn of<T: Object>() -> Self {
        Self {
            kind: T::KIND,
            placement: T::PLACEMENT,
            enmasse_keys: T::ENMASSE_KEYS,
            enmasse_type: T::ENMASSE_TYPE,
            schema: schema::of::<T>,
            from_enmasse: T::from_enmasse,
            normalise: |body| {
                let object: T = body::parse(body).map_err(|error| without_secret(&Self::of::<T>(), error))?;
                object.check()?;
                match serde_json::to_value(&object).expect("an object serialises to JSON") {
                    Value::Object(body) => Ok(body),
                    other => unreachable!("an object type serialises to a JSON object, not {other}"),
                }
            },
            normalise_body: |body| {
                let object: T = body.parse().map_err(|error| without_secret(&Self::of::<T>(), error))?;
                object.check()?;
                Ok(Body::of(&object))
            },
            marks: || references::marks(TypeId::of::<T>(), Self::of::<T>().schema),
        }
    }
}

/// What is said of a secret does not repeat it: `invalid type: integer, expected a string`.
fn without_secret(object_type: &ObjectType, mut error: FieldError) -> FieldError {
    if object_type.secrets().contains(&error.field)
        && let Some((what, expected)) = error.message.split_once(", expected ")
    {
        let what = what.split(['`', '"']).next().unwrap_or_default().trim_end();
        error.message = format!("{what}, expected {expected}");
    }
    error
}

impl fmt::Debug for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectType")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        address: String,
        #[serde(default)]
        size: u32,
        #[serde(default)]
        #[schemars(extend("x-secret" = true))]
        password: String,
    }

    impl Object for Sample {
        const KIND: &'static str = "outgoing.sample";
        const PLACEMENT: Placement = Placement::Worker;
        const ENMASSE_KEYS: &'static [&'static str] = &["outgoing_sample"];

        fn check(&self) -> Result<(), FieldError> {
            if self.address.is_empty() {
                Err(FieldError::new("address", "must not be empty"))
            } else {
                Ok(())
            }
        }
    }

    fn normalise(body: Value) -> Result<Value, FieldError> {
        (ObjectType::of::<Sample>().normalise)(body.as_object().unwrap()).map(Value::Object)
    }

    #[test]
    fn defaults_are_filled_in() {
        assert_eq!(
            normalise(serde_json::json!({"address": "a"})).unwrap(),
            serde_json::json!({"address": "a", "size": 0, "password": ""})
        );
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(
            normalise(serde_json::json!({"address": ""})).unwrap_err().field,
            "address"
        );
        assert_eq!(normalise(serde_json::json!({})).unwrap_err().field, "address");
        assert_eq!(
            normalise(serde_json::json!({"address": "a", "x": 1}))
                .unwrap_err()
                .field,
            "x"
        );
        let error = normalise(serde_json::json!({"size": "many", "address": "a"})).unwrap_err();
        assert_eq!(error.field, "size");
        assert_eq!(error.message, "invalid type: string \"many\", expected u32");
    }

    #[test]
    fn errors_do_not_repeat_secrets() {
        assert_eq!(ObjectType::of::<Sample>().secrets(), ["password"]);
        let error = normalise(serde_json::json!({"address": "a", "password": 4711})).unwrap_err();
        assert_eq!(error.field, "password");
        assert_eq!(error.message, "invalid type: integer, expected a string");
    }
}
