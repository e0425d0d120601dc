//! Records to text.

use std::collections::BTreeMap;

use busbar_model::object::{Record, Snapshot};
use busbar_model::{Error, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::changes::{ChangeError, ObjectName};
use crate::enmasse::apply::{ImportOptions, Only};
use crate::enmasse::items::resolve;
use crate::enmasse::keys;
use crate::enmasse::read::Document;
use crate::registry::{Fields, Registry};

/// What an export is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// YAML, for people.
    #[default]
    Yaml,
    /// JSON, for programs.
    Json,
}

/// What is exported.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportOptions {
    /// What it is written in.
    pub format: Format,
    /// Which part.
    #[serde(flatten)]
    pub only: Only,
    /// Write passwords and keys out. Otherwise they are null, and an import of the file keeps what is there.
    pub with_secrets: bool,
    /// Objects of files, which are written down as well. They win over those of the server that have their names.
    pub local: Option<Document>,
    /// Only those of `local`.
    pub without_stored: bool,
}

/// Writes the objects of `snapshot` down, the internal ones left out. The same objects give the same text; importing it where they came
/// from changes nothing.
///
/// # Errors
///
/// [`Code::E10`](crate::problem::Code::E10) if one of the keys that are asked for is not there, and everything that is wrong with
/// [`ExportOptions::local`].
pub fn export(registry: Registry, snapshot: &Snapshot, options: &ExportOptions) -> Result<String, ChangeError> {
    let kinds = keys::kinds_of(registry, &options.only.keys)?;
    let mut records = BTreeMap::new();
    if !options.without_stored {
        records.extend(snapshot.iter().map(|it| (ObjectName::of(it), it.clone())));
    }
    if let Some(document) = &options.local {
        let resolution = resolve(registry, document, snapshot, &ImportOptions::default())?;
        let local = resolution.resolved.into_iter().map(|it| it.record);
        records.extend(local.map(|it| (ObjectName::of(&it), it)));
    }
    let is_asked_for = |record: &&Record| {
        kinds.as_ref().is_none_or(|kinds| kinds.contains(record.kind.as_str()))
            && options.only.has_name(&record.name)
            && record.body.fields().get("is_internal") != Some(&Value::Bool(true))
    };
    let mut tree = Map::new();
    for key in registry.keys() {
        let mut items: Vec<(&str, Value)> = Vec::new();
        for object_type in registry.iter().filter(|it| it.enmasse_keys.first() == Some(&key)) {
            let fields = Fields::of(object_type);
            let records = records.values().filter(|it| it.kind == object_type.kind);
            for record in records.filter(is_asked_for) {
                let item = item(fields, object_type.enmasse_type, record, options.with_secrets);
                items.push((&record.name, item));
            }
        }
        items.sort_by(|a, b| a.0.cmp(b.0));
        if !items.is_empty() {
            tree.insert(key.to_owned(), items.into_iter().map(|(_, item)| item).collect());
        }
    }
    Ok(write(tree, options.format)?)
}

/// Fields that an item spells otherwise than the type does, today's spelling second.
const SPELLINGS: &[(&str, &str)] = &[("security", "security_name")];

fn spelling(field: &str) -> String {
    SPELLINGS
        .iter()
        .find(|(ours, _)| *ours == field)
        .map_or(field, |(_, theirs)| theirs)
        .to_owned()
}

fn item(fields: Fields, enmasse_type: Option<&str>, record: &Record, with_secrets: bool) -> Value {
    let mut item = Map::new();
    item.insert("name".to_owned(), record.name.clone().into());
    if let Some(enmasse_type) = enmasse_type {
        item.insert("type".to_owned(), enmasse_type.into());
    }
    item.insert("is_active".to_owned(), record.is_active.into());
    for (field, value) in &*record.body.fields() {
        match value {
            _ if field == "is_internal" => {}
            // nothing was chosen, which goes without saying unless something else is the default
            Value::Null if fields.is_secret(field) || !fields.has_default(field) => {}
            _ if fields.is_secret(field) && !with_secrets => drop(item.insert(spelling(field), Value::Null)),
            value => drop(item.insert(spelling(field), value.clone())),
        }
    }
    Value::Object(item)
}

fn write(mut tree: Map<String, Value>, format: Format) -> Result<String, Error> {
    let fail = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(Kind::Internal, "the objects cannot be written down").with_source(error)
    };
    match format {
        // in the layout of 2.0 (operations.md 6.1)
        Format::Json => {
            tree.sort_keys();
            let items = tree.values_mut().filter_map(Value::as_array_mut).flatten();
            items.filter_map(Value::as_object_mut).for_each(Map::sort_keys);
            let mut text = Vec::new();
            let layout = serde_json::ser::PrettyFormatter::with_indent(b" ");
            let mut serializer = serde_json::Serializer::with_formatter(&mut text, layout);
            tree.serialize(&mut serializer).map_err(|error| fail(error.into()))?;
            text.push(b'\n');
            String::from_utf8(text).map_err(|error| fail(error.into()))
        }
        Format::Yaml => {
            let options = serde_saphyr::ser_options! { compact_list_indent: false };
            serde_saphyr::to_string_with_options(&tree, options).map_err(|error| fail(error.to_string().into()))
        }
    }
}
