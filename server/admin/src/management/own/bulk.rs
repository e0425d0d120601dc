//! Objects of one type, many at once: all of them or none (management.md 6.17).

use std::collections::{BTreeSet, HashMap};

use busbar_model::object::{Change, ChangeSet, ObjectType, Record};
use busbar_model::{Error, Kind};
use serde_json::{Map, Value, json};

use super::{Row, check_administrator, object, wrong};
use crate::changes::Applied;
use crate::enmasse::{Document, ImportOptions, Item, import};
use crate::management::answer::Answer;
use crate::management::{Call, Management};

pub const TABLE: &[Row] = &[
    ("zato.common.create-objects", |management, call| {
        Box::pin(put(management, call, ImportOptions::default()))
    }),
    ("zato.common.import-objects", |management, call| {
        Box::pin(put(management, call, ImportOptions::replacing()))
    }),
    ("zato.common.delete-objects", |management, call| {
        Box::pin(delete(management, call))
    }),
    ("pub.zato.common.delete-many", |management, call| {
        Box::pin(delete(management, call))
    }),
];

/// Most objects of one request.
const MAX: usize = 10_000;

/// What a request is about.
struct Asked<'a> {
    /// The key of files that stands for the type.
    key: String,
    /// The type, or those that share the key.
    types: Vec<&'static ObjectType>,
    objects: &'a [Value],
}

fn asked<'a>(management: &Management, call: &'a Call<'_>) -> Result<Asked<'a>, Error> {
    check_administrator(call)?;
    let name = call.text("object_type").unwrap_or_default();
    let registry = management.changes().registry();
    let (key, types) = match registry.get(name) {
        Some(only) => (only.enmasse_keys.first().copied().unwrap_or_default(), vec![only]),
        None => (name, registry.of_key(name)),
    };
    if types.is_empty() {
        let known = registry.keys().join(", ");
        return Err(wrong(
            "object_type",
            &format!("there is no type `{name}`; there are {known}"),
        ));
    }
    match call.input.get("object_list").and_then(Value::as_array) {
        Some(objects) if objects.len() > MAX => Err(wrong("object_list", &format!("holds more than {MAX} objects"))),
        Some(objects) => Ok(Asked {
            key: key.to_owned(),
            types,
            objects,
        }),
        None => Err(wrong("object_list", "must be a list")),
    }
}

/// Makes the objects, which look like those of files under the type's key.
async fn put(management: &Management, call: &Call<'_>, options: ImportOptions) -> Result<Answer, Error> {
    let Asked { key, types, objects } = asked(management, call)?;
    let mut items = Vec::new();
    for (index, fields) in objects.iter().enumerate() {
        let Value::Object(mut fields) = fields.clone() else {
            return Err(wrong("object_list", &format!("item {} is no object", index + 1)));
        };
        if let [only] = types[..]
            && let Some(its_type) = only.enmasse_type
        {
            fields.entry("type").or_insert_with(|| its_type.into());
        }
        items.push(Item {
            file: String::new(),
            key: key.clone(),
            position: index + 1,
            fields,
        });
    }
    let document = Document {
        items,
        keys: BTreeSet::from([key]),
    };
    let applied = import(management.changes(), document, options, &call.caller).await?;
    Ok(Answer::One(told(&applied)))
}

/// Deletes the objects, given by their names or their ids, or by objects that have one of these.
async fn delete(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let Asked { types, objects, .. } = asked(management, call)?;
    let snapshot = management.changes().snapshot();
    let mut by_id: HashMap<u64, Vec<&Record>> = HashMap::new();
    for record in types.iter().flat_map(|of| snapshot.of_kind(of.kind)) {
        by_id.entry(record.id).or_default().push(record);
    }
    let mut set = ChangeSet::default();
    for given in objects {
        let given = given.get("id").or_else(|| given.get("name")).unwrap_or(given);
        let found: Vec<&Record> = match given {
            Value::Number(number) => {
                let of_id = number.as_u64().and_then(|id| by_id.get(&id));
                of_id.cloned().unwrap_or_default()
            }
            Value::String(name) => types.iter().filter_map(|of| snapshot.get(of.kind, name)).collect(),
            _ => Vec::new(),
        };
        let [record] = found[..] else {
            let (kind, message) = match found.len() {
                0 => (Kind::NotFound, format!("there is no object {given} of this type")),
                _ => (
                    Kind::Conflict,
                    format!("there are several objects {given}: give their ids"),
                ),
            };
            return Err(Error::new(kind, message));
        };
        set = set.expecting(&record.kind, &record.name, Some(record.version));
        set.changes.push(Change::Delete {
            kind: record.kind.clone(),
            name: record.name.clone(),
        });
    }
    let applied = management.changes().apply(set, &call.caller).await?;
    Ok(Answer::One(told(&applied)))
}

/// What was done, as counts, and what to see to, as enmasse says it.
fn told(applied: &Applied) -> Map<String, Value> {
    object(json!({
        "created": applied.created.len(),
        "changed": applied.changed.len(),
        "unchanged": applied.unchanged.len(),
        "deleted": applied.deleted.len(),
        "warnings": applied.warnings,
    }))
}
