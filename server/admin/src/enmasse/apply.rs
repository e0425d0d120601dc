//! Import, and what an import would do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use busbar_model::object::{Change, ChangeSet, Record, Snapshot};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::changes::{Applied, ChangeError, Changes, ObjectName};
use crate::enmasse::items::{Resolved, resolve};
use crate::enmasse::read::Document;
use crate::problem::{Code, Problem, Problems};
use crate::registry::Fields;

/// How a document is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Change objects that are there. Without it an import that would change one makes nothing at all; one that is there as the file
    /// describes it is no obstacle.
    pub replace: bool,
}

/// Imports all of `document`, or nothing.
///
/// # Errors
///
/// [`ChangeError`]; then everything is as it was.
pub async fn import(
    changes: &Arc<Changes>,
    document: Document,
    options: ImportOptions,
    who: &str,
) -> Result<Applied, ChangeError> {
    let registry = changes.registry();
    let make = move |current: &Snapshot| {
        let resolved = resolve(registry, &document, current)?;
        if !options.replace {
            refuse_existing(&resolved, current)?;
        }
        Ok(puts(resolved))
    };
    changes.transact(who, make).await
}

fn puts(resolved: Vec<Resolved>) -> ChangeSet {
    ChangeSet {
        changes: resolved.into_iter().map(|it| Change::Put(it.record)).collect(),
    }
}

fn refuse_existing(resolved: &[Resolved], current: &Snapshot) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for Resolved { file, record } in resolved {
        if stored(current, record).is_some_and(|it| !same(it, record)) {
            let object = format!("{} `{}`", record.kind, record.name);
            problems.push(
                Problem::new(Code::W01, "exists already and is different")
                    .in_file(file)
                    .with_object(object),
            );
        }
    }
    problems.or(())
}

fn stored<'a>(current: &'a Snapshot, record: &Record) -> Option<&'a Record> {
    current
        .records
        .iter()
        .find(|it| it.kind == record.kind && it.name == record.name)
}

fn same(a: &Record, b: &Record) -> bool {
    a.is_active == b.is_active && a.body == b.body
}

/// What an import would do. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Objects that would be made, with their fields.
    pub create: Vec<PlannedCreate>,
    /// Objects that would become different.
    pub change: Vec<PlannedChange>,
    /// Objects that are there as the file describes them.
    pub unchanged: Vec<ObjectName>,
    /// What would work but may not be meant.
    pub warnings: Vec<String>,
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

/// What [`import`] with replacing would do. Goes all the way but for storing and switching, so what it accepts an import accepts.
///
/// # Errors
///
/// As [`import`].
pub async fn plan(changes: &Arc<Changes>, document: &Document) -> Result<Plan, ChangeError> {
    let registry = changes.registry();
    let mut plan = Plan::default();
    let applied = changes
        .rehearse(|current| {
            let resolved = resolve(registry, document, current)?;
            let mut fields = BTreeMap::new();
            for Resolved { record, .. } in &resolved {
                let Some(object_type) = registry.get(&record.kind) else {
                    continue;
                };
                let fields = fields
                    .entry(object_type.kind)
                    .or_insert_with(|| Fields::of(object_type));
                let object = ObjectName {
                    kind: record.kind.clone(),
                    name: record.name.clone(),
                };
                match stored(current, record) {
                    None => plan.create.push(PlannedCreate {
                        object,
                        fields: fields.masked(&record.body),
                    }),
                    Some(old) if same(old, record) => plan.unchanged.push(object),
                    Some(old) => plan.change.push(PlannedChange {
                        object,
                        fields: compare(fields, old, record),
                    }),
                }
            }
            Ok(puts(resolved))
        })
        .await?;
    plan.warnings = applied.warnings;
    Ok(plan)
}

fn compare(fields: &Fields, old: &Record, new: &Record) -> Vec<FieldChange> {
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
                writeln!(f, "    {field}: {value}")?;
            }
        }
        for PlannedChange { object, fields } in &self.change {
            writeln!(f, "~ {object}")?;
            for FieldChange { field, old, new } in fields {
                writeln!(f, "    {field}: {old} -> {new}")?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "! {warning}")?;
        }
        let (create, change, unchanged) = (self.create.len(), self.change.len(), self.unchanged.len());
        write!(f, "{create} to create, {change} to change, {unchanged} unchanged")?;
        if change > 0 {
            write!(f, "; changing needs --replace")?;
        }
        writeln!(f)
    }
}
