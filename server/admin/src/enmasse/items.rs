//! Items to records: which type, which object, which fields, under all the names they had.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use busbar_model::bearer_token;
use busbar_model::object::{Body, ObjectType, Record, Snapshot};
use busbar_model::references::Target;
use serde_json::{Map, Value};

use crate::changes::{ObjectName, check_name};
use crate::enmasse::apply::ImportOptions;
use crate::enmasse::keys;
use crate::enmasse::prune::Prune;
use crate::enmasse::read::{Document, Item};
use crate::problem::{Code, Problem, Problems};
use crate::registry::{Fields, Registry};

/// What exports of Zato say of an object and what says nothing here: keys of its database, names of its cluster, and what it made out
/// of other fields.
const BOOKKEEPING: &[&str] = &[
    "id",
    "cluster",
    "cluster_id",
    "cluster_name",
    "is_internal",
    "opaque1",
    "service_id",
    "security_id",
    "old_name",
];

/// Longest text of a field, in bytes. Chains of certificates, the longest that there are in earnest, have a hundredth of it.
const TEXT_MAX: usize = 1 << 20;

/// What a document comes to.
pub(super) struct Resolution {
    /// The objects, normalised, in the order of their items.
    pub resolved: Vec<Resolved>,
    /// Objects that name another one which is nowhere, and are not made for that: see
    /// [`ImportOptions::ignore_missing_defs`].
    pub left_out: Vec<LeftOut>,
}

/// An object that is not made.
pub(super) struct LeftOut {
    pub name: ObjectName,
    pub problem: Problem,
}

/// One item, made out.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    /// File that it stands in.
    pub file: String,
    /// The item in words.
    pub object: String,
    /// The object that it describes, normalised.
    pub record: Record,
}

/// Makes records out of items. `current` gives the secrets that a file leaves out: exports do not hold them, so an import of one keeps
/// what is there.
///
/// # Errors
///
/// Everything that is wrong with any item.
pub(super) fn resolve(
    registry: Registry,
    document: &Document,
    current: &Snapshot,
    options: &ImportOptions,
) -> Result<Resolution, Problems> {
    if document.items.is_empty() && options.prune == Prune::No {
        return Err(Problem::new(Code::E03, "there is nothing in the file to import").into());
    }
    let only = keys::kinds_of(registry, &options.only.keys)?;
    let mut resolver = Resolver {
        registry,
        current,
        seen: HashMap::new(),
        unknown_keys: BTreeMap::new(),
        references: Vec::new(),
        problems: Problems::default(),
    };
    let mut resolved: Vec<Resolved> = Vec::with_capacity(document.items.len());
    for item in &document.items {
        if let Some(record) = resolver.item(item) {
            resolved.push(Resolved {
                file: item.file.clone(),
                object: item.describe(),
                record,
            });
        }
    }
    resolver.report_unknown_keys();
    if !resolver.problems.0.is_empty() && !options.ignore_missing_defs {
        resolver.report_dangling(document);
    }
    let mut resolved = resolver.problems.or(resolved)?;
    resolved.retain(|it| {
        let is_kind = only.as_ref().is_none_or(|only| only.contains(it.record.kind.as_str()));
        is_kind && options.only.has_name(&it.record.name)
    });
    let left_out = if options.ignore_missing_defs {
        leave_out(registry, &mut resolved, current)
    } else {
        Vec::new()
    };
    Ok(Resolution { resolved, left_out })
}

/// Takes away what names an object that is nowhere, and what names those.
fn leave_out(registry: Registry, resolved: &mut Vec<Resolved>, current: &Snapshot) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    loop {
        let before = left_out.len();
        let stored = current.iter();
        let there: HashSet<(Target, String)> = stored
            .chain(resolved.iter().map(|it| &it.record))
            .map(|it| (Target::of_kind(&it.kind), it.name.clone()))
            .collect();
        resolved.retain(|it| {
            let references = registry
                .get(&it.record.kind)
                .map(|found| found.references(&it.record.body));
            let missing = references.into_iter().flatten().find_map(|it| {
                let named = (it.target, it.name);
                (named.0 != Target::Service && !there.contains(&named)).then_some((it.field, named))
            });
            let Some((field, (target, name))) = missing else {
                return true;
            };
            let mut problem = Problem::missing(&target, &name)
                .in_file(&it.file)
                .with_object(&it.object)
                .with_field(field);
            problem.message.push_str("; the object is left out");
            left_out.push(LeftOut {
                name: ObjectName::of(&it.record),
                problem,
            });
            false
        });
        if left_out.len() == before {
            return left_out;
        }
    }
}

struct Resolver<'a> {
    registry: Registry,
    current: &'a Snapshot,
    /// Objects so far, and the file that each stands in.
    seen: HashMap<(&'static str, String), &'a str>,
    /// Items under keys that there are not, by file and key: one message for each.
    unknown_keys: BTreeMap<(&'a str, &'a str), Vec<String>>,
    /// Security definitions that items name.
    references: Vec<(&'a Item, String)>,
    problems: Problems,
}

impl<'a> Resolver<'a> {
    fn refuse(&mut self, item: &Item, code: Code, field: &str, message: impl Into<String>) {
        self.problems.push(
            Problem::new(code, message)
                .in_file(&item.file)
                .with_object(item.describe())
                .with_field(field),
        );
    }

    /// The object that `item` describes; `None` if something is wrong with it, which is on the list then.
    fn item(&mut self, item: &'a Item) -> Option<Record> {
        let key = keys::todays(item);
        let candidates = self.registry.of_key(key);
        if candidates.is_empty() {
            self.unknown_keys
                .entry((&item.file, &item.key))
                .or_default()
                .push(item.describe());
            return None;
        }
        let mut fields = item.fields.clone();
        let before = self.problems.0.len();
        self.sizes(item);
        let name = self.name(item, fields.shift_remove("name"));
        // an object of its own once: what was switched off are the limits, not the service
        if item.key == "service_limits"
            && let Some(value) = fields.shift_remove("is_active")
        {
            fields.insert("is_rate_limit_active".to_owned(), value);
        }
        let is_active = self.is_active(item, fields.shift_remove("is_active"));
        let object_type = self.object_type(item, &candidates, &mut fields);
        let (name, object_type) = (name?, object_type?);
        if let Some(file) = self.seen.insert((object_type.kind, name.clone()), &item.file) {
            let place = if file == item.file {
                "in the same file".to_owned()
            } else {
                format!("in {file}")
            };
            self.refuse(
                item,
                Code::E21,
                "",
                format!("stands there twice, the first time {place}"),
            );
            return None;
        }
        let body = self.body(item, object_type, &name, fields);
        for reference in body
            .as_ref()
            .map(|body| object_type.references(body))
            .unwrap_or_default()
        {
            if reference.target == Target::Security {
                self.references.push((item, reference.name));
            }
        }
        if self.problems.0.len() > before {
            return None;
        }
        Some(Record {
            kind: object_type.kind.to_owned(),
            name,
            is_active,
            body: body?,
            version: 0,
            id: 0,
        })
    }

    /// Texts that are too long to be meant. A wrong file must not fill the ODB.
    fn sizes(&mut self, item: &Item) {
        for (field, value) in &item.fields {
            if let Some(length) = too_long(value) {
                let message = format!("must not be longer than {TEXT_MAX} bytes, this one has {length}");
                let field = if field.is_empty() { "(object)" } else { field };
                self.refuse(item, Code::E22, field, message);
            }
        }
    }

    fn name(&mut self, item: &Item, name: Option<Value>) -> Option<String> {
        match name {
            Some(Value::String(name)) => match check_name(&name) {
                Ok(()) => Some(name),
                Err(message) => {
                    let code = if name.is_empty() { Code::E04 } else { Code::E22 };
                    self.refuse(item, code, "name", message);
                    None
                }
            },
            None | Some(Value::Null) => {
                self.refuse(item, Code::E04, "name", "is required");
                None
            }
            Some(other) => {
                self.refuse(
                    item,
                    Code::E22,
                    "name",
                    format!("must be text; put {other} into quotes"),
                );
                None
            }
        }
    }

    fn is_active(&mut self, item: &Item, value: Option<Value>) -> bool {
        match value {
            None | Some(Value::Null) => true,
            Some(Value::Bool(value)) => value,
            Some(value) => value.as_str().and_then(parse_bool).unwrap_or_else(|| {
                self.refuse(
                    item,
                    Code::E22,
                    "is_active",
                    format!("must be true or false, not {value}"),
                );
                true
            }),
        }
    }

    /// Which of the types that share a key it is.
    fn object_type(
        &mut self,
        item: &Item,
        candidates: &[&'static ObjectType],
        fields: &mut Map<String, Value>,
    ) -> Option<&'static ObjectType> {
        if let [only] = candidates
            && only.enmasse_type.is_none()
        {
            return Some(only);
        }
        // a 2.0 export has channels and outgoing connections under one key
        let direction = match fields.get("connection").and_then(Value::as_str) {
            Some("channel") => "channel.",
            Some("outgoing") => "outgoing.",
            _ => "",
        };
        let candidates: Vec<_> = candidates
            .iter()
            .filter(|it| it.kind.starts_with(direction))
            .copied()
            .collect();
        if let [only] = candidates[..]
            && only.enmasse_type.is_none()
        {
            return Some(only);
        }
        let known: Vec<_> = candidates.iter().filter_map(|it| it.enmasse_type).collect();
        match fields.shift_remove("type") {
            Some(Value::String(name)) => {
                let name = todays_type(name, fields);
                let found = candidates
                    .iter()
                    .find(|it| it.enmasse_type == Some(name.as_str()))
                    .copied();
                if found.is_none() {
                    let message = format!(
                        "there is no type `{name}` under `{}`; there are {}",
                        item.key,
                        known.join(", ")
                    );
                    self.refuse(item, Code::E09, "type", message);
                }
                found
            }
            None | Some(Value::Null) => {
                if let [only] = candidates[..] {
                    return Some(only);
                }
                self.refuse(
                    item,
                    Code::E04,
                    "type",
                    format!("is required; it can be {}", known.join(", ")),
                );
                None
            }
            Some(other) => {
                self.refuse(item, Code::E22, "type", format!("must be text, not {other}"));
                None
            }
        }
    }

    /// The item's own fields, normalised.
    fn body(
        &mut self,
        item: &Item,
        object_type: &'static ObjectType,
        name: &str,
        mut fields: Map<String, Value>,
    ) -> Option<Body> {
        let schema = Fields::of(object_type);
        fields.retain(|field, value| {
            // old exports have a null for everything that was never set; of a secret it says that it was not written out
            let says_something = !value.is_null() || (schema.accepts(field, "null") && !schema.is_secret(field));
            says_something && !BOOKKEEPING.contains(&field.as_str())
        });
        (object_type.from_enmasse)(keys::todays(item), &mut fields);
        for (field, value) in &mut fields {
            fit(schema, field, value);
        }
        if let Some(stored) = self.current.get(object_type.kind, name) {
            let stored = stored.body.fields();
            for secret in schema.secrets() {
                if !fields.contains_key(secret)
                    && let Some(value) = stored.get(secret)
                {
                    fields.insert(secret.to_owned(), value.clone());
                }
            }
        }
        // a type tells of one thing at a time: what does not belong is taken away, and the rest looked at again
        let mut fields = Body::from(fields);
        loop {
            match (object_type.normalise_body)(&fields) {
                Ok(body) => return Some(body),
                Err(error) => {
                    let unknown =
                        error.message.starts_with("unknown field") && fields.shift_remove(&error.field).is_some();
                    let missing = error.message.starts_with("missing field");
                    let mut problem = Problem::of_field(error);
                    if unknown && let Some(similar) = similar(&problem.field, schema.names()) {
                        problem.message.push_str(&format!("; did you mean `{similar}`?"));
                    }
                    if problem.message.contains("invalid type: integer") && schema.accepts(&problem.field, "string") {
                        problem.message.push_str("; put it into quotes");
                    }
                    let first = problem.field.clone();
                    self.problems
                        .push(problem.in_file(&item.file).with_object(item.describe()));
                    if unknown {
                        continue;
                    }
                    if missing {
                        for field in schema.required().filter(|it| *it != first && !fields.contains_key(*it)) {
                            let code = if field == "service" { Code::E11 } else { Code::E08 };
                            self.refuse(item, code, field, "is required");
                        }
                    }
                    return None;
                }
            }
        }
    }

    /// References are checked when everything else is right with a change; here nothing becomes of it, and what is wrong with them must
    /// not come to light only after the rest was mended.
    fn report_dangling(&mut self, document: &Document) {
        // an item that could not be made out may be the definition
        let mentioned: BTreeSet<&str> = document
            .items
            .iter()
            .filter_map(|item| item.fields.get("name").and_then(Value::as_str))
            .collect();
        for (item, definition) in std::mem::take(&mut self.references) {
            if !mentioned.contains(definition.as_str()) && self.current.security(&definition).is_none() {
                self.problems.push(
                    Problem::missing(&Target::Security, &definition)
                        .in_file(&item.file)
                        .with_object(item.describe()),
                );
            }
        }
    }

    fn report_unknown_keys(&mut self) {
        let keys = self.registry.keys();
        for ((file, key), items) in std::mem::take(&mut self.unknown_keys) {
            let what = if keys::NOT_YET.contains(&key) {
                format!("busbar does not have `{key}` yet")
            } else if let Some(similar) = similar(key, keys.iter().copied()) {
                format!("there is no key `{key}`; did you mean `{similar}`?")
            } else {
                format!("there is no key `{key}`; there are {}", keys.join(", "))
            };
            let shown: Vec<_> = items.iter().take(10).map(String::as_str).collect();
            let more = items.len().saturating_sub(shown.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let message = format!("{what} (used for {}{more})", shown.join(", "));
            self.problems.push(Problem::new(Code::E10, message).in_file(file));
        }
    }
}

/// What a type is called today: exports of 3.2 have bearer tokens under the name of what they replaced, OAuth 1.0.
fn todays_type(name: String, fields: &Map<String, Value>) -> String {
    if name == "oauth" && bearer_token::are_fields(fields) {
        "bearer_token".to_owned()
    } else {
        name
    }
}

/// How long the longest text in a value is, if that is too long.
fn too_long(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.len()).filter(|length| *length > TEXT_MAX),
        Value::Array(items) => items.iter().filter_map(too_long).max(),
        Value::Object(fields) => fields.values().filter_map(too_long).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Makes a text out of the environment, or of an old export, the number or the flag that the field is.
fn fit(schema: Fields, field: &str, value: &mut Value) {
    let Value::String(text) = value else { return };
    if schema.accepts(field, "string") {
        return;
    }
    let text = text.trim();
    let fitted = if schema.accepts(field, "boolean") {
        parse_bool(text).map(Value::Bool)
    } else if schema.accepts(field, "integer") {
        text.parse::<i64>().ok().map(Value::from)
    } else if schema.accepts(field, "number") {
        text.parse::<f64>().ok().filter(|it| it.is_finite()).map(Value::from)
    } else {
        None
    };
    if let Some(fitted) = fitted {
        *value = fitted;
    }
}

/// What Zato takes for a flag, in any case.
fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" | "" => Some(false),
        _ => None,
    }
}

/// The candidate that is most like `text`, if one is like it at all.
fn similar<'c>(text: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let near = candidates.map(|it| (distance(text, it), it)).min()?;
    (near.0 <= (text.len() / 3).clamp(1, 3)).then_some(near.1)
}

/// How many characters have to be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(100).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
