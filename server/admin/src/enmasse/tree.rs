//! YAML and JSON text to values. What is ambiguous or meant to hurt is refused: duplicate keys, nesting, alias bombs, sheer size.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Largest file, in bytes: 100,000 objects are half of it.
pub const SIZE_MAX: u64 = 64 * 1024 * 1024;

/// Deepest nesting; real files use four levels.
const DEPTH_MAX: usize = 32;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Yaml,
    Json,
}

impl Language {
    /// By the file's ending; when that says nothing, by its first character.
    pub fn of(name: &str, text: &str) -> Self {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        match ending.as_deref() {
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            _ if text.trim_start().starts_with('{') => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// Parses a whole file. An empty one is `null`.
///
/// # Errors
///
/// In words, what is wrong and where.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|it| **it == b'\n').count();
        format!("is not UTF-8 text (line {line})")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match Language::of(name, text) {
        _ if text.trim().is_empty() => Ok(Value::Null),
        Language::Json => {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            let value = Tree { depth: 0 }.deserialize(&mut deserializer).and_then(|value| {
                deserializer.end()?;
                Ok(value)
            });
            value.map_err(|error| format!("is not valid JSON: {error}"))
        }
        Language::Yaml => parse_yaml(text).map_err(|error| format!("is not valid YAML: {error}")),
    }
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_anchors: 1_000,
            max_aliases: 10_000,
            max_documents: 1,
            max_nodes: 20_000_000,
            max_events: 40_000_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        with_snippet: false,
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        Tree { depth: 0 }.deserialize(deserializer)
    })
    .map_err(|error| one_line(&error.to_string()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads one value, counting how deep it stands.
struct Tree {
    depth: usize,
}

impl Tree {
    fn inside<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")))
        } else {
            Ok(Self { depth: self.depth + 1 })
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self.inside()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "key `{key}` stands twice in the same place"
                )));
            }
            let value = entries.next_value_seed(self.inside()?)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
