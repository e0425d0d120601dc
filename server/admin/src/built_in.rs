//! What a server has from the start. Nothing deletes it because a file or a former state of the objects does not have it: whoever does
//! that must not lock himself out (management.md 1 and 6).

use busbar_model::object::Record;
use serde_json::Value;

use crate::accounts::ACCOUNTS;
use crate::registry::SECURITY;

/// Names of such objects, by their kind, or by what it begins with if that ends with a full stop.
const BUILT_IN: &[(&str, &[&str])] = &[
    (SECURITY, &ACCOUNTS),
    ("rbac_role", &["Root"]),
    ("rbac_permission", &["Create", "Read", "Update", "Delete"]),
];

/// Whether an object is one of them.
pub fn is_built_in(record: &Record) -> bool {
    let is_listed = |(kind, names): &(&str, &[&str])| {
        let is_kind = record.kind == *kind || (kind.ends_with('.') && record.kind.starts_with(kind));
        is_kind && names.contains(&record.name.as_str())
    };
    record.body.fields().get("is_internal") == Some(&Value::Bool(true)) || BUILT_IN.iter().any(is_listed)
}
