//! What a management service takes and gives: the elements of its declaration, and values made to fit them.
//!
//! The notation is that of the catalogue: `name` must be there, `name?` need not, `name:i` is an integer. Where there is no letter the
//! name decides, as it does for SimpleIO (management.md 3.1).

use serde_json::{Map, Value};

use crate::problem::{Code, Problem};

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Whether it must be there.
    pub is_required: bool,
    /// What its values are.
    pub kind: ElementKind,
}

/// What an element's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementKind {
    /// Text.
    Text,
    /// The number of an object, or how the old clients say that none was chosen.
    Id,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// True or false, in any of the spellings that forms send.
    Boolean,
    /// A list, or text with commas or lines.
    List,
    /// Anything.
    Any,
}

/// How forms of old clients say that nothing was chosen.
pub const NOTHING_CHOSEN: &str = "ZATO_NONE";

/// Groups of elements that many services share.
const MACROS: [(&str, &str); 3] = [
    // the last two are busbar's own
    ("PAGE", "cur_page:i? paginate:b? query? page_size:i? sort_by?"),
    (
        "RL",
        "is_rate_limit_active:b? rate_limit_type? rate_limit_def? rate_limit_check_parent_def:b?",
    ),
    (
        "AL",
        "is_audit_log_sent_active:b? is_audit_log_received_active:b? max_len_messages_sent:i? max_len_messages_received:i? \
         max_bytes_per_message_sent:i? max_bytes_per_message_received:i?",
    ),
];

impl Element {
    /// Reads a declaration: elements with blanks between them.
    ///
    /// # Errors
    ///
    /// The word that is none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let mut elements = Vec::new();
        for word in text.split_whitespace() {
            match MACROS.iter().find(|(name, _)| *name == word) {
                Some((_, group)) => elements.extend(Self::parse_all(group)?),
                None => elements.push(Self::parse(word).ok_or_else(|| word.to_owned())?),
            }
        }
        Ok(elements)
    }

    fn parse(word: &str) -> Option<Self> {
        let (word, is_required) = match word.strip_suffix('?') {
            Some(word) => (word, false),
            None => (word, true),
        };
        let (name, letter) = match word.split_once(':') {
            Some((name, letter)) => (name, Some(letter)),
            None => (word, None),
        };
        let is_name = |name: &str| name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
        if name.is_empty() || !is_name(name) {
            return None;
        }
        let kind = match letter {
            Some("i") if name == "id" || name.ends_with("_id") => ElementKind::Id,
            Some("i") => ElementKind::Integer,
            Some("f") => ElementKind::Float,
            Some("b") => ElementKind::Boolean,
            Some("utc" | "dt") => ElementKind::Text,
            Some("list" | "csv" | "lod") => ElementKind::List,
            Some("dict" | "opaque") => ElementKind::Any,
            Some(_) => return None,
            None => by_name(name),
        };
        Some(Self {
            name: name.to_owned(),
            is_required,
            kind,
        })
    }

    /// Makes a value fit. `None`: it says nothing.
    ///
    /// # Errors
    ///
    /// What the value should have been.
    pub fn read(&self, value: Value) -> Result<Option<Value>, Problem> {
        if value.is_null() {
            return Ok(None);
        }
        let read = match self.kind {
            ElementKind::Text => as_text(value),
            ElementKind::Id => as_id(value),
            ElementKind::Integer => as_integer(value),
            ElementKind::Float => as_float(value),
            ElementKind::Boolean => as_boolean(value),
            ElementKind::List => as_list(value),
            ElementKind::Any => Ok(Some(value)),
        };
        read.map_err(|message| Problem::new(Code::E22, message).with_field(&self.name))
    }
}

/// What the name alone says (management.md 3.1).
fn by_name(name: &str) -> ElementKind {
    if name == "id" || name.ends_with("_id") {
        ElementKind::Id
    } else if ["_size", "_timeout", "_count"].iter().any(|it| name.ends_with(it)) {
        ElementKind::Integer
    } else if ["is_", "needs_", "should_"].iter().any(|it| name.starts_with(it)) {
        ElementKind::Boolean
    } else {
        ElementKind::Text
    }
}

type Read = Result<Option<Value>, &'static str>;

fn as_text(value: Value) -> Read {
    match value {
        Value::String(_) => Ok(Some(value)),
        Value::Number(number) => Ok(Some(number.to_string().into())),
        Value::Bool(value) => Ok(Some(value.to_string().into())),
        _ => Err("must be text"),
    }
}

/// Ids of security definitions may have their type before them: `basic_auth/3`.
fn as_id(value: Value) -> Read {
    match &value {
        Value::Number(number) if number.is_u64() => Ok(Some(value)),
        Value::String(text) => {
            let text = text.trim();
            if text.is_empty() || text == NOTHING_CHOSEN {
                return Ok(Some(NOTHING_CHOSEN.into()));
            }
            let number = text.rsplit_once('/').map_or(text, |(_, number)| number);
            Ok(Some(number.parse::<u64>().map_or(value, Value::from)))
        }
        _ => Err("must be the number of an object"),
    }
}

fn as_integer(value: Value) -> Read {
    const WRONG: &str = "must be an integer";
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Some(number.into())),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => match text.trim().parse::<i64>() {
            Ok(number) => Ok(Some(number.into())),
            Err(_) => Err(WRONG),
        },
        _ => Err(WRONG),
    }
}

fn as_float(value: Value) -> Read {
    const WRONG: &str = "must be a number";
    match value {
        Value::Number(number) => Ok(Some(number.into())),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number.into())),
            _ => Err(WRONG),
        },
        _ => Err(WRONG),
    }
}

fn as_boolean(value: Value) -> Read {
    const WRONG: &str = "must be true or false";
    match value {
        Value::Bool(_) => Ok(Some(value)),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Ok(Some(false.into())),
            Some(1) => Ok(Some(true.into())),
            _ => Err(WRONG),
        },
        Value::String(text) => parse_boolean(&text).map(|value| Some(value.into())).ok_or(WRONG),
        _ => Err(WRONG),
    }
}

/// The spellings of a boolean; nothing is false.
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" | "" => Some(false),
        _ => None,
    }
}

fn as_list(value: Value) -> Read {
    match value {
        Value::Array(_) => Ok(Some(value)),
        Value::String(text) => {
            let parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
            Ok(Some(parts.map(Value::from).collect()))
        }
        Value::Number(_) => Ok(Some(Value::Array(vec![value]))),
        _ => Err("must be a list"),
    }
}

/// Makes the values of an input fit its declaration. What is not declared stays as it is.
///
/// # Errors
///
/// The first element that is missing or does not fit.
pub fn read_input(declared: &[Element], mut input: Map<String, Value>) -> Result<Map<String, Value>, Problem> {
    for element in declared {
        let value = match input.shift_remove(&element.name) {
            Some(value) => element.read(value)?,
            None => None,
        };
        match value {
            Some(value) => {
                input.insert(element.name.clone(), value);
            }
            None if element.is_required => {
                let message = format!("Element missing: {}", element.name);
                return Err(Problem::new(Code::E08, message).with_field(&element.name));
            }
            None => {}
        }
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(word: &str) -> Element {
        let mut elements = Element::parse_all(word).unwrap();
        assert_eq!(elements.len(), 1);
        elements.remove(0)
    }

    #[test]
    fn names_and_letters_decide() {
        for (word, name, is_required, kind) in [
            ("name", "name", true, ElementKind::Text),
            ("id:i?", "id", false, ElementKind::Id),
            ("security_id?", "security_id", false, ElementKind::Id),
            ("pool_size", "pool_size", true, ElementKind::Integer),
            ("is_active", "is_active", true, ElementKind::Boolean),
            ("port:i", "port", true, ElementKind::Integer),
            ("expiry:f?", "expiry", false, ElementKind::Float),
            ("type_?", "type_", false, ElementKind::Text),
            ("members:list", "members", true, ElementKind::List),
        ] {
            let element = one(word);
            assert_eq!(
                (element.name.as_str(), element.is_required, element.kind),
                (name, is_required, kind)
            );
        }
        assert_eq!(Element::parse_all("a PAGE b?").unwrap().len(), 7);
        for wrong in ["a:x", "?", "a b:c", "a-b"] {
            Element::parse_all(wrong).unwrap_err();
        }
    }

    #[test]
    fn values_are_made_to_fit() {
        for (word, value, expected) in [
            ("a", json!(5), json!("5")),
            ("a_size", json!("7"), json!(7)),
            ("is_a", json!("On"), json!(true)),
            ("is_a", json!(""), json!(false)),
            ("is_a", json!(0), json!(false)),
            ("a_id", json!("basic_auth/3"), json!(3)),
            ("a_id", json!("12"), json!(12)),
            ("a_id", json!(""), json!("ZATO_NONE")),
            ("a:list", json!("x, y\nz"), json!(["x", "y", "z"])),
            ("a:f", json!("0.5"), json!(0.5)),
            ("a:dict", json!({"b": 1}), json!({"b": 1})),
        ] {
            assert_eq!(one(word).read(value).unwrap(), Some(expected), "{word}");
        }
        for (word, value) in [
            ("a", json!([1])),
            ("a_size", json!("many")),
            ("a_size", json!(1.5)),
            ("is_a", json!("perhaps")),
            ("is_a", json!(2)),
            ("id", json!(-1)),
            ("a:list", json!({})),
            ("a:f", json!("nan")),
        ] {
            let problem = one(word).read(value).unwrap_err();
            assert!(problem.message.starts_with("must be"), "{problem}");
        }
    }

    #[test]
    fn what_must_be_there_is_asked_for() {
        let declared = Element::parse_all("name is_active a_size?").unwrap();
        let read = |input: Value| read_input(&declared, input.as_object().unwrap().clone());
        let input = read(json!({"name": "x", "is_active": "1", "a_size": "", "other": 1})).unwrap();
        assert_eq!(
            Value::Object(input),
            json!({"name": "x", "is_active": true, "other": 1})
        );
        let problem = read(json!({"name": "x"})).unwrap_err();
        assert_eq!(
            (problem.field.as_str(), problem.message.as_str()),
            ("is_active", "Element missing: is_active")
        );
    }
}
