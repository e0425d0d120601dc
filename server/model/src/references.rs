//! What objects name: read off marks in the schemas of their types, so that a type says it once, beside the field.
//!
//! A field with `"x-refers": "security"` holds the name of a security definition, or a list of names; an empty text and none name nothing.
//! `x-given` lists names that need not be made because they are always there.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde_json::{Map, Value};

/// Kinds of security definitions begin with this; their names are unique across all of these kinds.
pub const SECURITY: &str = "security.";

/// What a field names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A security definition of any type: `security`.
    Security,
    /// A service: `service`. It may be deployed later: a dangling one is a warning.
    Service,
    /// An object of this kind.
    Kind(String),
}

impl Target {
    fn read(mark: &str) -> Self {
        match mark {
            "security" => Self::Security,
            "service" => Self::Service,
            kind => Self::Kind(kind.to_owned()),
        }
    }

    /// What names an object of `kind`; services are not objects.
    pub fn of_kind(kind: &str) -> Self {
        if kind.starts_with(SECURITY) {
            Self::Security
        } else {
            Self::Kind(kind.to_owned())
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Security => f.write_str("security definition"),
            Self::Service => f.write_str("service"),
            Self::Kind(kind) => f.write_str(kind),
        }
    }
}

/// What an object points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The field that says so.
    pub field: String,
    /// What kind of thing it is.
    pub target: Target,
    /// Its name.
    pub name: String,
}

/// A field that names other objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The field.
    pub field: String,
    /// What it names.
    pub target: Target,
    /// Names that are there without being made, whatever their case.
    given: Vec<String>,
}

impl Mark {
    /// The marks of a type's schema.
    fn read(schema: &Value) -> Vec<Self> {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let marks = properties.filter_map(|(field, property)| {
            let given = property["x-given"].as_array().into_iter().flatten();
            Some(Self {
                field: field.clone(),
                target: Target::read(property["x-refers"].as_str()?),
                given: given.filter_map(Value::as_str).map(str::to_owned).collect(),
            })
        });
        marks.collect()
    }

    /// The names in this field of `body`.
    fn names<'a>(&'a self, body: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
        let value = body.get(&self.field);
        let list = value.and_then(Value::as_array).into_iter().flatten();
        let names = value.into_iter().chain(list).filter_map(Value::as_str);
        names.filter(|name| !name.is_empty())
    }

    /// The name as it is given, if it is one of those.
    fn given(&self, name: &str) -> Option<&str> {
        let mut given = self.given.iter().map(String::as_str);
        given.find(|given| given.eq_ignore_ascii_case(name))
    }

    fn reference(&self, name: &str) -> Reference {
        Reference {
            field: self.field.clone(),
            target: self.target.clone(),
            name: name.to_owned(),
        }
    }
}

/// The marks of the type `id`, read once.
pub(crate) fn marks(id: TypeId, schema: fn() -> &'static Value) -> Arc<[Mark]> {
    static MARKS: LazyLock<RwLock<HashMap<TypeId, Arc<[Mark]>>>> = LazyLock::new(RwLock::default);
    let known = MARKS.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
    known.unwrap_or_else(|| {
        let marks: Arc<[Mark]> = Mark::read(schema()).into();
        let mut all = MARKS.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(id).or_insert(marks).clone()
    })
}

/// What the fields of an object name and has to be made.
pub(crate) fn references(marks: &[Mark], body: &Map<String, Value>) -> Vec<Reference> {
    let of_mark = |mark: &Mark| {
        let made = mark.names(body).filter(|name| mark.given(name).is_none());
        made.map(|name| mark.reference(name)).collect::<Vec<_>>()
    };
    marks.iter().flat_map(of_mark).collect()
}

/// What the fields of an object name, also what is there without being made, in the spelling of what is given.
pub(crate) fn all_references(marks: &[Mark], body: &Map<String, Value>) -> Vec<Reference> {
    let of_mark = |mark: &Mark| {
        let names = mark.names(body).map(|name| mark.given(name).unwrap_or(name));
        names.map(|name| mark.reference(name)).collect::<Vec<_>>()
    };
    marks.iter().flat_map(of_mark).collect()
}

/// Lets the fields that name the target `old` name it `new`. Whether there were any.
pub(crate) fn rename(marks: &[Mark], body: &mut Map<String, Value>, target: &Target, old: &str, new: &str) -> bool {
    let mut changed = false;
    for mark in marks.iter().filter(|mark| mark.target == *target) {
        let mut set = |value: &mut Value| {
            if value
                .as_str()
                .is_some_and(|name| mark.given(name).unwrap_or(name) == old)
            {
                *value = Value::from(new);
                changed = true;
            }
        };
        match body.get_mut(&mark.field) {
            Some(Value::Array(list)) => list.iter_mut().for_each(set),
            Some(value) => set(value),
            None => {}
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({"properties": {
            "security": {"type": ["string", "null"], "x-refers": "security"},
            "services": {"type": "array", "x-refers": "service"},
            "role": {"type": "string", "x-refers": "rbac_role", "x-given": ["Root"]},
            "note": {"type": "string"},
        }})
    }

    fn found(body: Value) -> Vec<(String, Target, String)> {
        let references = references(&Mark::read(&schema()), body.as_object().unwrap());
        let parts = |it: Reference| (it.field, it.target, it.name);
        let mut found: Vec<_> = references.into_iter().map(parts).collect();
        found.sort();
        found
    }

    #[test]
    fn texts_and_lists_are_read_and_empty_ones_name_nothing() {
        let all = json!({"security": "shop", "services": ["a", "", "b"], "role": "Clerk", "note": "shop"});
        let role = Target::Kind("rbac_role".to_owned());
        assert_eq!(
            found(all),
            [
                ("role".to_owned(), role, "Clerk".to_owned()),
                ("security".to_owned(), Target::Security, "shop".to_owned()),
                ("services".to_owned(), Target::Service, "a".to_owned()),
                ("services".to_owned(), Target::Service, "b".to_owned()),
            ]
        );
        for nothing in [json!({}), json!({"security": null, "services": [], "role": "root"})] {
            assert_eq!(found(nothing), []);
        }
        // what is given is named all the same
        let body = json!({"role": "root"});
        let all = all_references(&Mark::read(&schema()), body.as_object().unwrap());
        assert_eq!(all.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["Root"]);
    }

    #[test]
    fn names_change_where_they_mean_the_same() {
        let marks = Mark::read(&schema());
        let mut body = json!({"security": "x", "services": ["x", "y"], "role": "x", "note": "x"});
        let body = body.as_object_mut().unwrap();
        assert!(rename(&marks, body, &Target::Security, "x", "z"));
        assert!(!rename(&marks, body, &Target::Security, "x", "z"));
        assert!(rename(&marks, body, &Target::Service, "x", "z"));
        assert_eq!(
            Value::Object(body.clone()),
            json!({"security": "z", "services": ["z", "y"], "role": "x", "note": "x"})
        );
        body.insert("role".to_owned(), "root".into());
        let role = Target::Kind("rbac_role".to_owned());
        assert!(rename(&marks, body, &role, "Root", "Boss"));
        assert_eq!(body["role"], "Boss");
    }

    #[test]
    fn a_kind_is_named_as_its_marks_say() {
        assert_eq!(Target::of_kind("security.jwt"), Target::Security);
        assert_eq!(Target::of_kind("security_group"), Target::read("security_group"));
    }
}
