//! The object types that a server has, for code that works with all of them. The list itself stands in the executable.

use std::collections::BTreeSet;

use busbar_model::object::ObjectType;
pub use busbar_model::references::SECURITY;
use serde_json::{Map, Value};

/// What stands in place of a secret wherever somebody looks.
pub const MASK: &str = "******";

/// Every object type there is.
#[derive(Debug, Clone, Copy)]
pub struct Registry(&'static [ObjectType]);

impl Registry {
    /// A registry of `types`. Exports list objects in this order, so definitions come before what uses them.
    pub const fn new(types: &'static [ObjectType]) -> Self {
        Self(types)
    }

    /// The type of a kind.
    pub fn get(self, kind: &str) -> Option<&'static ObjectType> {
        self.0.iter().find(|it| it.kind == kind)
    }

    /// All types.
    pub fn iter(self) -> impl Iterator<Item = &'static ObjectType> {
        self.0.iter()
    }

    /// The types that a top-level enmasse key may hold.
    pub fn of_key(self, key: &str) -> Vec<&'static ObjectType> {
        self.0.iter().filter(|it| it.enmasse_keys.contains(&key)).collect()
    }

    /// Today's enmasse key of every type, each once, in the order of the types.
    pub fn keys(self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        for key in self.0.iter().filter_map(|it| it.enmasse_keys.first()) {
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
        keys
    }
}

/// What an object type's schema says of its fields.
#[derive(Debug, Clone, Copy)]
pub struct Fields(&'static Value);

impl Default for Fields {
    /// Those of a type that has none.
    fn default() -> Self {
        Self(&Value::Null)
    }
}

impl Fields {
    /// Those of a type.
    pub fn of(object_type: &ObjectType) -> Self {
        Self((object_type.schema)())
    }

    fn properties(self) -> impl Iterator<Item = (&'static str, &'static Value)> {
        let properties = self.0["properties"].as_object().into_iter().flatten();
        properties.map(|(name, schema)| (name.as_str(), schema))
    }

    /// The schema of a field; null if there is no such field.
    fn property(self, field: &str) -> &'static Value {
        &self.0["properties"][field]
    }

    /// Whether the type has this field.
    pub fn has(self, field: &str) -> bool {
        !self.property(field).is_null()
    }

    /// Names of all fields.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.properties().map(|(name, _)| name)
    }

    /// Names of the fields that have no default, in the order of the alphabet.
    pub fn required(self) -> impl Iterator<Item = &'static str> {
        let required = self.0["required"].as_array().into_iter().flatten();
        required.filter_map(Value::as_str).collect::<BTreeSet<_>>().into_iter()
    }

    /// Whether the field is something other than null when nobody says what it is.
    pub fn has_default(self, field: &str) -> bool {
        !self.default_value(field).is_null()
    }

    /// What the field is when nobody says; null if it must be said.
    pub fn default_value(self, field: &str) -> &'static Value {
        &self.property(field)["default"]
    }

    /// Names of the fields that are never shown.
    pub fn secrets(self) -> impl Iterator<Item = &'static str> {
        let secrets = self.properties().filter(|(_, schema)| is_secret(schema));
        secrets.map(|(name, _)| name)
    }

    /// Whether the field is never shown.
    pub fn is_secret(self, field: &str) -> bool {
        is_secret(self.property(field))
    }

    /// Whether a value of `json_type` (`string`, `integer`, `number`, `boolean`...) fits the field, as far as its schema says.
    pub fn accepts(self, field: &str, json_type: &str) -> bool {
        match &self.property(field)["type"] {
            Value::String(one) => one == json_type,
            Value::Array(several) => several.iter().any(|it| it == json_type),
            _ => false,
        }
    }

    /// `body` with its secrets masked, for people to look at. Secrets that are not set stay so.
    pub fn masked(self, body: &Map<String, Value>) -> Map<String, Value> {
        body.iter()
            .map(|(name, value)| (name.clone(), self.masked_value(name, value)))
            .collect()
    }

    /// One field's value, masked if it is a secret that is set.
    pub fn masked_value(self, field: &str, value: &Value) -> Value {
        if self.is_secret(field) && !value.is_null() {
            Value::String(MASK.to_owned())
        } else {
            value.clone()
        }
    }
}

fn is_secret(schema: &Value) -> bool {
    schema["x-secret"] == Value::Bool(true)
}
