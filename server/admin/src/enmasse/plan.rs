//! What an import would do, for people and for programs, and an id by which somebody can agree to it.

use std::fmt;

use busbar_model::object::Record;
use busbar_model::references::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::agreement::PlanDigest;
use crate::changes::ObjectName;
use crate::registry::{Fields, Registry};

/// Most characters of a value that people are shown: a certificate in one line helps nobody.
const SHOWN_MAX: usize = 160;

/// What an import would do. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Tells this plan from every other: made of all that it would do, values of secrets too. It is good until the server is restarted.
    #[serde(default)]
    pub id: String,
    /// Objects that would be made, with their fields.
    pub create: Vec<PlannedCreate>,
    /// Objects that would become different.
    pub change: Vec<PlannedChange>,
    /// Objects that would go because the document does not have them.
    #[serde(default)]
    pub delete: Vec<ObjectName>,
    /// Objects that are there as the file describes them.
    pub unchanged: Vec<ObjectName>,
    /// What would work but may not be meant.
    pub warnings: Vec<String>,
    /// Services that objects name and that are not deployed.
    #[serde(default)]
    pub services: Vec<String>,
}

impl Plan {
    /// Whether everything is as the file says already.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.change.is_empty() && self.delete.is_empty()
    }
}

/// An object that would be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCreate {
    /// Which.
    #[serde(flatten)]
    pub object: ObjectName,
    /// Its fields.
    pub fields: Map<String, Value>,
}

/// An object that would become different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// Which.
    #[serde(flatten)]
    pub object: ObjectName,
    /// The fields that would be different.
    pub fields: Vec<FieldChange>,
}

/// A field that would be different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name.
    pub field: String,
    /// What it is.
    pub old: Value,
    /// What it would be.
    pub new: Value,
}

/// Puts a plan together, object by object.
pub(super) struct Planner {
    pub(super) registry: Registry,
    shows: bool,
    digest: Option<PlanDigest>,
    plan: Plan,
}

impl Planner {
    /// A plan that somebody looks at if it `shows` objects, else one of which only the id counts, if anything: for very many objects either
    /// takes a lot of time and memory.
    pub(super) fn new(registry: Registry, shows: bool, has_id: bool) -> Self {
        Self {
            registry,
            shows,
            digest: has_id.then(PlanDigest::new),
            plan: Plan::default(),
        }
    }

    /// An object of the document, and the one that is there.
    pub(super) fn put(&mut self, old: Option<&Record>, new: &Record) {
        let object = ObjectName::of(new);
        let Some(object_type) = self.registry.get(&new.kind) else {
            return;
        };
        let references = object_type.references(&new.body).into_iter();
        let services = references.filter(|it| it.target == Target::Service);
        self.plan.services.extend(services.map(|it| it.name));
        if old.is_some_and(|old| old.is_active == new.is_active && old.body == new.body) {
            self.plan.unchanged.push(object);
            return;
        }
        self.note("put", old, Some(new));
        let fields = Fields::of(object_type);
        match old {
            None => {
                let mut shown = Map::new();
                if self.shows {
                    shown = fields.masked(&new.body.fields());
                    if !new.is_active {
                        shown.insert("is_active".to_owned(), false.into());
                    }
                }
                self.plan.create.push(PlannedCreate { object, fields: shown });
            }
            Some(old) => {
                let fields = compare(fields, old, new);
                self.plan.change.push(PlannedChange { object, fields });
            }
        }
    }

    pub(super) fn delete(&mut self, old: &Record) {
        self.note("delete", Some(old), None);
        self.plan.delete.push(ObjectName::of(old));
    }

    pub(super) fn finish(mut self) -> Plan {
        self.plan.id = self.digest.map(PlanDigest::id).unwrap_or_default();
        self.plan.services.sort();
        self.plan.services.dedup();
        self.plan
    }

    fn note(&mut self, action: &str, old: Option<&Record>, new: Option<&Record>) {
        let whole = |it: &Record| serde_json::json!([it.kind, it.name, it.is_active, it.body.text()]);
        if let Some(digest) = &mut self.digest {
            digest.add(&serde_json::json!([action, old.map(whole), new.map(whole)]));
        }
    }
}

fn compare(fields: Fields, old: &Record, new: &Record) -> Vec<FieldChange> {
    let mut changed = Vec::new();
    if old.is_active != new.is_active {
        changed.push(FieldChange {
            field: "is_active".to_owned(),
            old: old.is_active.into(),
            new: new.is_active.into(),
        });
    }
    let gone = old.body.keys().filter(|it| !new.body.contains_key(*it));
    for field in new.body.keys().chain(gone) {
        let (before, after) = (
            old.body.get(field).unwrap_or(&Value::Null),
            new.body.get(field).unwrap_or(&Value::Null),
        );
        if before != after {
            let (old, new) = (fields.masked_value(field, before), fields.masked_value(field, after));
            changed.push(FieldChange {
                field: field.clone(),
                old,
                new,
            });
        }
    }
    changed
}

impl fmt::Display for Plan {
    /// As people read it: a line per object, fields below, a sum at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PlannedCreate { object, fields } in &self.create {
            writeln!(f, "+ {object}")?;
            for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                writeln!(f, "    {field}: {}", shown(value))?;
            }
        }
        for PlannedChange { object, fields } in &self.change {
            writeln!(f, "~ {object}")?;
            for FieldChange { field, old, new } in fields {
                writeln!(f, "    {field}: {} -> {}", shown(old), shown(new))?;
            }
        }
        for object in &self.delete {
            writeln!(f, "- {object}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "! {warning}")?;
        }
        let (create, change, unchanged) = (self.create.len(), self.change.len(), self.unchanged.len());
        write!(f, "{create} to create, {change} to change, ")?;
        if !self.delete.is_empty() {
            write!(f, "{} to delete, ", self.delete.len())?;
        }
        write!(f, "{unchanged} unchanged")?;
        if change > 0 {
            write!(f, "; changing needs --replace")?;
        }
        writeln!(f)
    }
}

/// A value in one line, cut where it gets too long to read.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}
