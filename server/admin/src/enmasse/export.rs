//! Records to text.

use busbar_model::object::{Record, Snapshot};
use busbar_model::{Error, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportOptions {
    /// What it is written in.
    pub format: Format,
    /// Only objects under these top-level keys, in any of the spellings an import takes; empty: all.
    pub keys: Vec<String>,
    /// Only objects whose name contains one of these texts; empty: all.
    pub names: Vec<String>,
    /// Write passwords and keys out. Otherwise they are null, and an import of the file keeps what is there.
    pub with_secrets: bool,
}

/// Writes the objects of `snapshot` down, the internal ones left out. The same objects give the same text; importing it where they came
/// from changes nothing.
///
/// # Errors
///
/// [`Kind::BadRequest`] if one of the keys that are asked for is not there.
pub fn export(registry: Registry, snapshot: &Snapshot, options: &ExportOptions) -> Result<String, Error> {
    for key in &options.keys {
        if registry.of_key(key).is_empty() {
            return Err(Error::new(Kind::BadRequest, format!("there is no enmasse key `{key}`"))
                .with_hint(format!("there are {}", registry.keys().join(", "))));
        }
    }
    let mut tree = Map::new();
    for key in registry.keys() {
        let mut items: Vec<(&str, Value)> = Vec::new();
        for object_type in registry.iter().filter(|it| it.enmasse_keys.first() == Some(&key)) {
            if !options.keys.is_empty()
                && !options
                    .keys
                    .iter()
                    .any(|it| object_type.enmasse_keys.contains(&it.as_str()))
            {
                continue;
            }
            let fields = Fields::of(object_type);
            let records = snapshot.records.iter().filter(|it| it.kind == object_type.kind);
            for record in records.filter(|it| is_asked_for(it, options)) {
                items.push((
                    &record.name,
                    item(&fields, object_type.enmasse_type, record, options.with_secrets),
                ));
            }
        }
        items.sort_by(|a, b| a.0.cmp(b.0));
        if !items.is_empty() {
            tree.insert(key.to_owned(), items.into_iter().map(|(_, item)| item).collect());
        }
    }
    write(&Value::Object(tree), options.format)
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

fn is_asked_for(record: &Record, options: &ExportOptions) -> bool {
    record.body.get("is_internal") != Some(&Value::Bool(true))
        && (options.names.is_empty() || options.names.iter().any(|it| record.name.contains(it.as_str())))
}

fn item(fields: &Fields, enmasse_type: Option<&str>, record: &Record, with_secrets: bool) -> Value {
    let mut item = Map::new();
    item.insert("name".to_owned(), record.name.clone().into());
    if let Some(enmasse_type) = enmasse_type {
        item.insert("type".to_owned(), enmasse_type.into());
    }
    item.insert("is_active".to_owned(), record.is_active.into());
    for (field, value) in &record.body {
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

fn write(tree: &Value, format: Format) -> Result<String, Error> {
    let fail = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(Kind::Internal, "the objects cannot be written down").with_source(error)
    };
    match format {
        Format::Json => serde_json::to_string_pretty(tree)
            .map(|text| text + "\n")
            .map_err(|error| fail(error.into())),
        Format::Yaml => {
            let options = serde_saphyr::ser_options! { compact_list_indent: false };
            serde_saphyr::to_string_with_options(tree, options).map_err(|error| fail(error.to_string().into()))
        }
    }
}
