//! Between the fields of object types and the elements that management services know them by.
//!
//! Requests go through what enmasse reads items with ([`ObjectType::from_enmasse`]): both have the same spellings. Answers have the
//! type's own fields, under the elements' names where these differ, and what follows from them: ids of the objects that they name.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::HashMap;

use busbar_model::object::{ObjectType, Record, Snapshot};
use busbar_model::{Error, Kind};
use serde_json::{Map, Value};

use crate::management::answer::fit;
use crate::management::element::{Element, ElementKind, NOTHING_CHOSEN, parse_boolean};
use crate::problem::{Code, Problem};
use crate::registry::{Fields, SECURITY};

/// The one cluster that a server belongs to, for clients that ask about clusters.
pub const CLUSTER_ID: u64 = 1;

/// Elements that name another object by its id, the kind of that object (a prefix of it), and the field that names it.
const BY_ID: &[(&str, &str, &str)] = &[
    ("security_id", SECURITY, "security"),
    ("sec_id", SECURITY, "security"),
    ("sec_tls_ca_cert_id", SECURITY, "tls_ca_cert"),
    ("sec_tls_ca_cert_id", "security.tls_ca_cert", "tls_ca_cert"),
    ("role_id", "rbac_role", "role"),
    ("perm_id", "rbac_permission", "permission"),
    ("parent_id", "rbac_role", "parent"),
];

/// Elements that have a field's value under another name.
const BY_NAME: &[(&str, &str)] = &[
    ("security_name", "security"),
    ("sec_name", "security"),
    ("role_name", "role"),
    ("perm_name", "permission"),
    ("parent_name", "parent"),
    ("service_name", "service"),
    ("client_name", "client_def"),
    ("engine_display_name", "engine"),
    ("display_name", "engine"),
];

/// Objects and services by number, as they are in the middle of one call.
pub struct Numbers<'a> {
    snapshot: &'a Snapshot,
    services: HashMap<String, u64>,
}

impl<'a> Numbers<'a> {
    /// Those of `snapshot`, and services.
    pub fn new(snapshot: &'a Snapshot, services: HashMap<String, u64>) -> Self {
        Self { snapshot, services }
    }

    /// The object of a number, among those whose kind begins so.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`]: there is none.
    pub fn record(&self, kind: &str, id: u64) -> Result<&'a Record, Error> {
        let mut records = self.snapshot.iter();
        records
            .find(|it| it.id == id && it.kind.starts_with(kind))
            .ok_or_else(|| {
                Error::new(
                    Kind::NotFound,
                    format!("there is no object with the id {id} of this type"),
                )
            })
    }

    /// The security definition of a name.
    pub fn security(&self, name: &str) -> Option<&'a Record> {
        self.named(SECURITY, name)
    }

    /// The object of a name; all kinds of security definitions are one group, [`SECURITY`].
    fn named(&self, group: &str, name: &str) -> Option<&'a Record> {
        if group == SECURITY {
            self.snapshot.security(name)
        } else {
            self.snapshot.get(group, name)
        }
    }

    /// The number of a service.
    pub fn service(&self, name: &str) -> Option<u64> {
        self.services.get(name).copied()
    }

    /// The service of a number.
    pub fn service_name(&self, id: u64) -> Option<&str> {
        let mut services = self.services.iter();
        services
            .find(|(_, number)| **number == id)
            .map(|(name, _)| name.as_str())
    }
}

/// The value of a security definition's `sec_type`: the last part of its kind, `oauth` of bearer tokens too, as in 3.2.
pub fn security_type(kind: &str) -> &str {
    match kind.strip_prefix(SECURITY) {
        Some("bearer_token") => "oauth",
        Some(last) => last,
        None => "",
    }
}

/// Makes fields of a type out of a request's values: ids become names, old spellings today's, texts what the fields hold. What is
/// declared but says nothing of this type is left out.
///
/// # Errors
///
/// The value that names something that there is not, or that the type has no room for.
pub fn to_fields(
    object_type: &ObjectType,
    key: &str,
    declared: &[Element],
    mut values: Map<String, Value>,
    numbers: &Numbers<'_>,
) -> Result<Map<String, Value>, Problem> {
    for name in ["id", "cluster_id", "name", "is_active", "is_internal", "connection"] {
        values.shift_remove(name);
    }
    names_for_ids(&mut values, numbers)?;
    (object_type.from_enmasse)(key, &mut values);
    let schema = (object_type.schema)();
    let mut fields = Map::new();
    for (name, value) in values {
        let property = &schema["properties"][&name];
        if !property.is_null() {
            if let Some(value) = suited(schema, property, value) {
                fields.insert(name, value);
            }
        } else if let Some(element) = declared.iter().find(|it| it.name == name)
            && !is_nothing(&value)
        {
            let message = format!("there is no such thing for {}; leave it empty", object_type.kind);
            return Err(Problem::new(Code::E22, message).with_field(&element.name));
        }
    }
    Ok(fields)
}

/// Replaces the ids of objects and services by their names.
fn names_for_ids(values: &mut Map<String, Value>, numbers: &Numbers<'_>) -> Result<(), Problem> {
    for (element, kind, field) in BY_ID {
        let Some(id) = values.shift_remove(*element) else {
            continue;
        };
        if values.get(*field).is_some_and(|value| !is_nothing(value)) {
            continue;
        }
        let name = match &id {
            Value::Number(number) => {
                let found = numbers.record(kind, number.as_u64().unwrap_or_default());
                let found = found.map_err(|error| Problem::new(Code::W04, error.message()).with_field(*element))?;
                Value::from(found.name.clone())
            }
            _ if id == NOTHING_CHOSEN => "".into(),
            // a name where an id was expected
            name => name.clone(),
        };
        values.insert((*field).to_owned(), name);
    }
    if let Some(Value::Number(id)) = values.shift_remove("service_id")
        && values.get("service").is_none_or(is_nothing)
    {
        let name = numbers.service_name(id.as_u64().unwrap_or_default()).ok_or_else(|| {
            Problem::new(Code::E22, format!("there is no service with the id {id}")).with_field("service_id")
        })?;
        values.insert("service".to_owned(), name.into());
    }
    for (element, kind) in [("security_groups", "security_group"), ("members", SECURITY)] {
        let Some(Value::Array(items)) = values.get_mut(element) else {
            continue;
        };
        for item in items {
            let id = match &*item {
                Value::Number(number) => number.as_u64(),
                // a name comes first: names may look like ids with their type
                Value::String(text) if numbers.named(kind, text).is_some() => None,
                Value::String(text) => text.rsplit(['/', '-']).next().and_then(|id| id.parse().ok()),
                _ => None,
            };
            if let Some(record) = id.and_then(|id| numbers.record(kind, id).ok()) {
                *item = record.name.clone().into();
            }
        }
    }
    Ok(())
}

/// A value as the field's schema wants it: numbers and booleans out of text. `None`: an empty text where there can be none, which
/// stands for the default.
fn suited(schema: &Value, property: &Value, value: Value) -> Option<Value> {
    let takes = |json_type: &str| match &property["type"] {
        Value::String(one) => one == json_type,
        Value::Array(several) => several.iter().any(|it| it == json_type),
        _ => false,
    };
    match value {
        Value::String(text) if text.is_empty() => {
            let is_choice = takes("string") || choices(schema, property).any(str::is_empty);
            is_choice.then(|| text.into())
        }
        Value::String(text) if !takes("string") => {
            let number = || serde_json::from_str::<Value>(text.trim()).ok().filter(Value::is_number);
            let suited = if takes("integer") || takes("number") {
                number()
            } else if takes("boolean") {
                parse_boolean(&text).map(Value::from)
            } else {
                None
            };
            Some(suited.unwrap_or_else(|| text.into()))
        }
        other => Some(other),
    }
}

/// The texts that a field can have, if it is a choice.
fn choices<'a>(schema: &'a Value, property: &'a Value) -> impl Iterator<Item = &'a str> {
    let reference = property["$ref"]
        .as_str()
        .or_else(|| property["allOf"][0]["$ref"].as_str());
    let definition = reference
        .and_then(|it| it.strip_prefix("#/$defs/"))
        .map_or(property, |name| &schema["$defs"][name]);
    let listed = definition["enum"].as_array().into_iter().flatten();
    let described = definition["oneOf"].as_array().into_iter().flatten();
    let described = described.flat_map(|one| {
        let several = one["enum"].as_array().into_iter().flatten();
        several.chain(Some(&one["const"]))
    });
    listed.chain(described).filter_map(Value::as_str)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == NOTHING_CHOSEN,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// An object as a service gives it: the declared elements, then the type's other fields. Secrets are left out.
pub fn to_elements(fields: Fields, declared: &[Element], record: &Record, numbers: &Numbers<'_>) -> Map<String, Value> {
    let mut values = Map::new();
    let body = own_fields(record);
    for element in declared {
        if let Some(value) = computed(fields, &body, &element.name, record, numbers) {
            values.insert(element.name.clone(), as_declared(element, value));
        }
    }
    for (name, value) in &**body {
        if !fields.is_secret(name) && !values.contains_key(name) {
            values.insert(name.clone(), value.clone());
        }
    }
    // for `edit` and `delete`, which can be told from which version they were made
    values.entry("version").or_insert_with(|| record.version.into());
    fit(declared, values)
}

/// One element of those that [`to_elements`] gives; `None`: there is none of this name.
pub fn to_element(
    fields: Fields,
    declared: &[Element],
    record: &Record,
    numbers: &Numbers<'_>,
    name: &str,
) -> Option<Value> {
    let element = declared.iter().find(|it| it.name == name);
    let body = own_fields(record);
    let computed = element.and_then(|it| Some(as_declared(it, computed(fields, &body, name, record, numbers)?)));
    let own = || (**body).get(name).filter(|_| !fields.is_secret(name)).cloned();
    let version = || (name == "version").then(|| record.version.into());
    let value = computed.or_else(own).or_else(version);
    match element {
        Some(_) => Some(value.filter(|it| !it.is_null()).unwrap_or_else(|| "".into())),
        None => value,
    }
}

fn as_declared(element: &Element, value: Value) -> Value {
    let whole = |number: f64| number.fract() == 0.0 && number.abs() < 1e15;
    match (&value, element.kind) {
        // `10`, not `10.0`: old clients read an integer
        (Value::Number(number), _) if number.is_f64() && number.as_f64().is_some_and(whole) => {
            Value::from(number.as_f64().unwrap_or_default() as i64)
        }
        (Value::Array(lines), ElementKind::Text) if lines.iter().all(Value::is_string) => {
            let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
            lines.join("\n").into()
        }
        _ => value,
    }
}

type OwnFields<'a, F> = LazyCell<Cow<'a, Map<String, Value>>, F>;

/// The fields of an object, read when they are looked at, and not kept: a list goes through those of all objects.
fn own_fields<'a>(record: &'a Record) -> OwnFields<'a, impl FnOnce() -> Cow<'a, Map<String, Value>>> {
    LazyCell::new(|| record.body.fields())
}

/// What an element is for an object; `None`: nothing.
fn computed<'a>(
    fields: Fields,
    body: &OwnFields<'a, impl FnOnce() -> Cow<'a, Map<String, Value>>>,
    element: &str,
    record: &Record,
    numbers: &Numbers<'_>,
) -> Option<Value> {
    let own = |field: &str| (**body).get(field).filter(|value| !value.is_null());
    let text = |field: &str| own(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    match element {
        "id" => return Some(record.id.into()),
        "name" => return Some(record.name.as_str().into()),
        "is_active" => return Some(record.is_active.into()),
        "is_internal" => return Some(own(element).cloned().unwrap_or(Value::Bool(false))),
        "cluster_id" => return Some(CLUSTER_ID.into()),
        "connection" => {
            return Some(
                if record.kind.starts_with("channel.") {
                    "channel"
                } else {
                    "outgoing"
                }
                .into(),
            );
        }
        "sec_type" if record.kind.starts_with(SECURITY) => return Some(security_type(&record.kind).into()),
        "sec_type" => return Some(security_type(&numbers.security(text("security")?)?.kind).into()),
        "service_id" => return numbers.service(text("service")?).map(Value::from),
        // groups by their numbers, as clients give them
        "security_groups" => {
            let groups = own(element)?.as_array()?.iter().filter_map(Value::as_str);
            let ids = groups.filter_map(|name| numbers.named("security_group", name));
            return Some(ids.map(|group| Value::from(group.id)).collect());
        }
        "security_group_count" => return Some(own("security_groups")?.as_array()?.len().into()),
        "member_count" => return Some(own("members")?.as_array()?.len().into()),
        // 2.0 keeps the name of an API key's header in its user name
        "username" if record.kind == "security.apikey" => {
            return text("username").or_else(|| text("header")).map(Value::from);
        }
        _ => {}
    }
    if let Some((_, kind, field)) = BY_ID.iter().find(|(name, _, _)| *name == element) {
        let name = text(field)?;
        return numbers.named(kind, name).map(|record| record.id.into());
    }
    if fields.is_secret(element) {
        return None;
    }
    let alias = || {
        BY_NAME
            .iter()
            .find(|(name, _)| *name == element)
            .and_then(|(_, field)| own(field))
    };
    own(element).or_else(alias).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::management::catalogue::CATALOGUE;
    use crate::samples::REGISTRY;

    #[test]
    fn one_element_is_what_it_is_among_all() {
        let record = |kind: &str, body: Value| Record {
            kind: kind.to_owned(),
            name: "shop".to_owned(),
            is_active: true,
            body: body.as_object().cloned().unwrap().into(),
            version: 3,
            id: 7,
        };
        let basic = json!({"username": "u", "password": "c4nary", "realm": null});
        let channel =
            json!({"service": "a.b", "security": "shop", "url_path": "/a", "timeout": 2.0, "no_element": [1]});
        let records = vec![record("security.basic_auth", basic), record("channel.http", channel)];
        let snapshot = Snapshot::new(1, records);
        let numbers = Numbers::new(&snapshot, HashMap::from([("a.b".to_owned(), 9)]));
        for (service, kind) in [
            ("zato.security.basic-auth.get-list", "security.basic_auth"),
            ("zato.http-soap.get-list", "channel.http"),
        ] {
            let declared = &CATALOGUE[service].output;
            let fields = Fields::of(REGISTRY.get(kind).unwrap());
            let record = snapshot.get(kind, "shop").unwrap();
            for (name, value) in to_elements(fields, declared, record, &numbers) {
                let element = to_element(fields, declared, record, &numbers, &name);
                assert_eq!(element, Some(value), "{service} {name}");
            }
            for nothing in ["password", "no_such_element"] {
                assert_eq!(
                    to_element(fields, declared, record, &numbers, nothing),
                    None,
                    "{service}"
                );
            }
        }
    }
}
