//! Random objects of every type, made out of what the schemas of the types say.

use busbar_connectors::check::check;
use busbar_dispatch::security::SecurityBasicAuth;
use busbar_model::object::{Object, ObjectType, Record, Snapshot};
use busbar_model::references::{Reference, Target};
use serde_json::{Map, Value, json};

use crate::registry::TYPES;

/// The security definition that objects name which name one.
pub const DEFINITION: &str = "definition";

/// Texts that YAML, JSON or a reader in between might take for something else, and some that are what a field may ask for.
const TEXTS: &[&str] = &[
    "",
    "yes",
    "null",
    "~",
    "1",
    "1.0",
    "0123",
    "0x1F",
    "- a",
    "a: b",
    "a #b",
    "[",
    "{",
    "}",
    "*a",
    "&a",
    "!a",
    "%a",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "a\nb",
    "a\n\n",
    " a ",
    "\t",
    "\u{0}",
    "żółw",
    "\u{1f422}",
    "2024-01-01",
    "<<",
    "---",
    "...",
    "X-Key",
    "abc",
    "a/b",
    "/a/{b}",
    "application/json",
    "http://127.0.0.1:9000",
    "tcp://127.0.0.1:9000",
    "localhost",
    "localhost:26379",
    "a@example.com",
    "//a/b",
    "CN=a",
    "sqlite",
    "postgresql",
];

/// Makes objects.
pub struct Random {
    random: fastrand::Rng,
    /// A certificate with its key.
    pem: String,
}

impl Random {
    /// The same objects on each run, or those of the seed that the environment names.
    pub fn seeded() -> Self {
        let seed = std::env::var("SEED").map_or(1, |it| it.parse().unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()])
            .unwrap()
            .self_signed(&key);
        Self {
            random: fastrand::Rng::with_seed(seed),
            pem: format!("{}{}", key.serialize_pem(), certificate.unwrap().pem()),
        }
    }

    /// Objects of every type, `count` of each, and the definition that they name. Those of which no connection can be made, which would be
    /// refused, are switched off. Must be called within a tokio runtime.
    pub fn records(&mut self, count: usize) -> Vec<Record> {
        let body = json!({"username": "u", "password": "p"});
        let mut records = vec![Record {
            kind: SecurityBasicAuth::KIND.to_owned(),
            name: DEFINITION.to_owned(),
            is_active: true,
            body: body.as_object().cloned().unwrap().into(),
            version: 0,
            id: 0,
        }];
        for object_type in TYPES {
            for number in 0..count {
                records.push(Record {
                    kind: object_type.kind.to_owned(),
                    name: format!("{} {number}", object_type.kind),
                    is_active: self.random.bool(),
                    body: self.valid_body(object_type, number).into(),
                    version: 0,
                    id: 0,
                });
            }
        }
        let snapshot = Snapshot::new(0, records.clone());
        let unfit = check(snapshot.iter(), &snapshot);
        for (record, _) in unfit {
            let mine = records
                .iter_mut()
                .find(|it| it.kind == record.kind && it.name == record.name);
            mine.unwrap().is_active = false;
        }
        records
    }

    /// A body that its type accepts: a field that it does not accept gets another value.
    fn valid_body(&mut self, object_type: &ObjectType, number: usize) -> Map<String, Value> {
        let schema = (object_type.schema)();
        let mut last = String::new();
        for _ in 0..200 {
            let mut body = self.body(schema);
            for _ in 0..300 {
                match (object_type.normalise)(&body) {
                    Ok(normalised) => match named(object_type, number, normalised) {
                        Some(body) => return body,
                        None => break,
                    },
                    Err(error) => {
                        let property = &schema["properties"][&error.field];
                        last = error.to_string();
                        if !property.is_object() {
                            break;
                        }
                        // the value may be right and another one wrong, which is the default often
                        if self.random.u8(..4) == 0 && !is_required(schema, &error.field) {
                            body.remove(&error.field);
                        } else {
                            let value = self.value(schema, property);
                            body.insert(error.field, value);
                        }
                    }
                }
            }
        }
        panic!("no luck with {}: {last}", object_type.kind)
    }

    fn body(&mut self, schema: &Value) -> Map<String, Value> {
        let mut body = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if is_required(schema, name) || self.random.u8(..3) > 0 {
                body.insert(name.clone(), self.value(schema, property));
            }
        }
        body
    }

    fn value(&mut self, schema: &Value, property: &Value) -> Value {
        if let Some(name) = property["$ref"].as_str().and_then(|it| it.strip_prefix("#/$defs/")) {
            return self.value(schema, &schema["$defs"][name]);
        }
        for choices in ["oneOf", "anyOf", "enum"] {
            if let Some(choices) = property[choices].as_array() {
                let choice = &choices[self.random.usize(..choices.len())];
                return if choice.is_object() {
                    self.value(schema, choice)
                } else {
                    choice.clone()
                };
            }
        }
        if let Some(value) = property.get("const") {
            return value.clone();
        }
        if let Some(examples) = property["examples"].as_array()
            && self.random.bool()
        {
            return examples[self.random.usize(..examples.len())].clone();
        }
        let types: Vec<&str> = match &property["type"] {
            Value::String(one) => vec![one],
            several => several
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
        };
        let low = property["minimum"].as_f64().unwrap_or(0.0);
        let high = property["maximum"].as_f64().unwrap_or(4_000_000_000.0);
        match types[self.random.usize(..types.len())] {
            "boolean" => Value::Bool(self.random.bool()),
            "integer" => [low as i64, high as i64, low as i64 + 7][self.random.usize(..3)].into(),
            "number" => [low, high, low + 0.125, (low + 1.0) / 3.0][self.random.usize(..4)].into(),
            "null" => Value::Null,
            "array" => (0..self.random.usize(..3))
                .map(|_| self.value(schema, &property["items"]))
                .collect(),
            "object" => {
                let fields = property["properties"].as_object().cloned().unwrap_or_default();
                fields
                    .into_iter()
                    .map(|(name, field)| (name, self.value(schema, &field)))
                    .collect::<Map<_, _>>()
                    .into()
            }
            "string" if self.random.u8(..30) == 0 => self.pem.clone().into(),
            "string" => TEXTS[self.random.usize(..TEXTS.len())].into(),
            other => panic!("teach this test about fields of type {other}"),
        }
    }
}

fn is_required(schema: &Value, field: &str) -> bool {
    schema["required"]
        .as_array()
        .is_some_and(|it| it.iter().any(|it| it == field))
}

/// The body with everything that it names put into what there is, the first object of each type; `None` if it cannot be.
fn named(object_type: &ObjectType, number: usize, mut body: Map<String, Value>) -> Option<Map<String, Value>> {
    for Reference { field, target, name } in object_type.references(&body.clone().into()) {
        let there = match target {
            Target::Security => DEFINITION.to_owned(),
            Target::Service => continue,
            // the first of a type names none of its own
            Target::Kind(kind) if kind == object_type.kind && number == 0 => {
                body.remove(&field);
                continue;
            }
            Target::Kind(kind) => format!("{kind} 0"),
        };
        if let Some(value) = body.get_mut(&field) {
            rename(value, &name, &there);
        }
    }
    (object_type.normalise)(&body).ok()
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|it| rename(it, from, to)),
        _ => {}
    }
}
