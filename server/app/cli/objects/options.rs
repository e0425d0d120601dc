//! Fields of a type as options of its commands, out of its JSON schema.

use busbar_model::object::ObjectType;
use clap::builder::{BoolishValueParser, PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use serde_json::{Map, Value, json};

use crate::cli::Exit;
use crate::cli::objects::secret;

/// A field of a type.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name, as exports have it: `url_path`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it takes.
    pub shape: Shape,
    /// Whether there is no default.
    pub is_required: bool,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// What it is when nobody says; null: nothing.
    pub default: Value,
    /// A value that it could have, if its type gives one.
    pub example: Option<Value>,
}

/// What a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of these, each with what it means.
    Choice(Vec<(String, String)>),
    /// Any number of texts.
    List,
    /// Something with parts of its own, as JSON.
    Json,
}

/// How the choice that is an empty text is typed.
const NONE: &str = "none";

impl Field {
    /// The fields of a type, those that are required first.
    pub fn all(object_type: &ObjectType) -> Vec<Self> {
        let schema = (object_type.schema)();
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let mut fields: Vec<Self> = properties
            .map(|(name, property)| Self {
                name: name.clone(),
                description: one_paragraph(property["description"].as_str().unwrap_or_default()),
                shape: Shape::of(property, schema),
                is_required: required.contains(&name.as_str()),
                is_secret: property["x-secret"] == Value::Bool(true),
                default: property["default"].clone(),
                example: property["examples"].get(0).cloned(),
            })
            .collect();
        fields.sort_by_key(|field| !field.is_required);
        fields
    }

    /// The long option: `url-path`.
    pub fn option(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The options that set it.
    pub fn arguments(&self, is_new: bool) -> Vec<Arg> {
        if self.is_secret {
            return secret::arguments(self);
        }
        let argument = Arg::new(self.name.clone())
            .long(self.option())
            .help(self.help(is_new))
            .required(is_new && self.is_required)
            .allow_negative_numbers(true);
        // exports and the pages show the name with underscores
        let argument = if self.option() == self.name {
            argument
        } else {
            argument.alias(self.name.clone())
        };
        vec![match &self.shape {
            Shape::Text => argument.value_name("TEXT").allow_hyphen_values(true),
            Shape::Integer => argument.value_name("NUMBER").value_parser(value_parser!(i64)),
            Shape::Number => argument.value_name("NUMBER").value_parser(value_parser!(f64)),
            Shape::Boolean => argument.value_name("BOOL").value_parser(BoolishValueParser::new()),
            Shape::Choice(choices) => {
                argument
                    .value_name("CHOICE")
                    .value_parser(PossibleValuesParser::new(choices.iter().map(|(value, meaning)| {
                        let value = PossibleValue::new(typed(value).to_owned());
                        if meaning.is_empty() {
                            value
                        } else {
                            value.help(meaning.clone())
                        }
                    })))
            }
            Shape::List => argument.value_name("TEXT").action(ArgAction::Append),
            Shape::Json => argument.value_name("JSON"),
        }]
    }

    /// What it is for, and what it is when nobody says.
    pub fn help(&self, is_new: bool) -> String {
        let mut help = self.description.clone();
        if self.shape == Shape::List {
            help.push_str(" Can be repeated.");
        }
        if let Some(default) = self.shown_default().filter(|_| is_new) {
            help.push_str(&format!(" [default: {default}]"));
        }
        help
    }

    /// The default as it is typed; `None` if there is none, or nothing.
    pub fn shown_default(&self) -> Option<String> {
        match &self.default {
            Value::Null => None,
            Value::String(text) if text.is_empty() => match &self.shape {
                Shape::Choice(_) => Some(NONE.to_owned()),
                _ => None,
            },
            Value::String(text) => Some(text.clone()),
            Value::Array(items) if items.is_empty() => None,
            other => Some(other.to_string()),
        }
    }

    fn value(&self, matches: &ArgMatches) -> Result<Option<Value>, Exit> {
        Ok(match &self.shape {
            Shape::Text => matches.get_one::<String>(&self.name).map(|text| json!(text)),
            Shape::Integer => matches.get_one::<i64>(&self.name).map(|number| json!(number)),
            Shape::Number => matches.get_one::<f64>(&self.name).map(|number| json!(number)),
            Shape::Boolean => matches.get_one::<bool>(&self.name).map(|it| json!(it)),
            Shape::Choice(choices) => matches.get_one::<String>(&self.name).map(|text| {
                let value = choices
                    .iter()
                    .map(|(value, _)| value)
                    .find(|value| typed(value) == text);
                json!(value)
            }),
            Shape::List => matches
                .get_many::<String>(&self.name)
                .map(|texts| json!(texts.collect::<Vec<_>>())),
            Shape::Json => match matches.get_one::<String>(&self.name) {
                None => None,
                Some(text) => Some(
                    serde_json::from_str(text)
                        .map_err(|error| Exit::new(15, format!("`--{}` is not JSON: {error}", self.option())))?,
                ),
            },
        })
    }
}

impl Shape {
    fn of(property: &Value, schema: &Value) -> Self {
        let property = resolve(property, schema);
        let choices = choices(property);
        if !choices.is_empty() {
            return Self::Choice(choices);
        }
        let types: Vec<&str> = match &property["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several
                .iter()
                .filter_map(Value::as_str)
                .filter(|it| *it != "null")
                .collect(),
            _ => Vec::new(),
        };
        match types[..] {
            ["string"] => Self::Text,
            ["integer"] => Self::Integer,
            ["number"] => Self::Number,
            ["boolean"] => Self::Boolean,
            ["array"] if resolve(&property["items"], schema)["type"] == "string" => Self::List,
            _ => Self::Json,
        }
    }
}

/// What a reference, or "this or nothing", stands for.
fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = property["$ref"].as_str().and_then(|it| it.strip_prefix("#/$defs/")) {
        return resolve(&schema["$defs"][name], schema);
    }
    let several = property["anyOf"].as_array().into_iter().flatten();
    let mut something = several.filter(|it| it["type"] != "null");
    match (something.next(), something.next()) {
        (Some(one), None) => resolve(one, schema),
        _ => property,
    }
}

/// The values of an enumeration, with what they mean; none if it is something else.
fn choices(property: &Value) -> Vec<(String, String)> {
    let parts = match property["oneOf"].as_array() {
        Some(parts) => parts.iter().collect(),
        None => vec![property],
    };
    let mut found = Vec::new();
    for part in parts {
        let meaning = one_paragraph(part["description"].as_str().unwrap_or_default());
        if let Some(value) = part["const"].as_str() {
            found.push((value.to_owned(), meaning));
        } else if let Some(values) = part["enum"].as_array() {
            let values = values.iter().filter_map(Value::as_str);
            found.extend(values.map(|value| (value.to_owned(), String::new())));
        } else {
            return Vec::new();
        }
    }
    found
}

/// A choice as it is typed.
fn typed(value: &str) -> &str {
    if value.is_empty() { NONE } else { value }
}

/// Doc comments are broken into lines where it suits the source.
pub fn one_paragraph(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The fields that can have their default again.
pub fn unsettable(fields: &[Field]) -> PossibleValuesParser {
    let names = fields.iter().filter(|field| !field.is_required);
    PossibleValuesParser::new(names.map(|field| {
        let name = PossibleValue::new(field.name.clone());
        if field.option() == field.name {
            name
        } else {
            name.alias(field.option())
        }
    }))
}

/// The fields that the options say.
pub fn given(fields: &[Field], matches: &ArgMatches, is_new: bool) -> Result<Map<String, Value>, Exit> {
    let mut given = Map::new();
    for field in fields {
        let value = if field.is_secret {
            secret::value(field, matches, is_new)?
        } else {
            field.value(matches)?
        };
        if let Some(value) = value {
            given.insert(field.name.clone(), value);
        }
    }
    if !is_new {
        for name in matches.get_many::<String>("unset").into_iter().flatten() {
            // clap gives an alias as it was typed
            let name = name.replace('-', "_");
            let default = fields.iter().find(|it| it.name == name).map(|it| it.default.clone());
            if given.insert(name.clone(), default.unwrap_or_default()).is_some() {
                return Err(Exit::new(13, format!("`{name}` is both set and unset")));
            }
        }
    }
    Ok(given)
}

/// A name for examples: `crm` for outgoing connections, what it is for the others.
pub fn example_name(object_type: &ObjectType) -> String {
    let (family, _) = object_type.kind.split_once('.').unwrap_or((object_type.kind, ""));
    match family {
        "channel" => "get-customer".to_owned(),
        "outgoing" => "crm".to_owned(),
        "service" => "my-service.get-client-details".to_owned(),
        "email" => "office".to_owned(),
        _ => "partners".to_owned(),
    }
}

/// The options of an example of `create`: what is required, and what the type's own check asks for besides.
pub fn example(object_type: &ObjectType, fields: &[Field]) -> String {
    let mut chosen: Vec<&Field> = fields.iter().filter(|field| field.is_required).collect();
    loop {
        let body = chosen.iter().map(|field| (field.name.clone(), example_value(field)));
        let Err(error) = (object_type.normalise)(&body.collect()) else {
            break;
        };
        let missing = fields.iter().find(|it| it.name == error.field && it.example.is_some());
        match missing.filter(|field| !chosen.iter().any(|it| it.name == field.name)) {
            Some(field) => chosen.push(field),
            None => break,
        }
    }
    let mut line = format!(" --name {}", example_name(object_type));
    for field in chosen {
        if field.is_secret {
            line.push_str(&format!(" --{}-env PASSWORD", field.option()));
            continue;
        }
        let value = match example_value(field) {
            Value::String(text) => typed(&text).to_owned(),
            other => other.to_string(),
        };
        line.push_str(&format!(" --{} {}", field.option(), quoted(&value)));
    }
    line
}

fn example_value(field: &Field) -> Value {
    match (&field.example, &field.shape) {
        // of several lines the first will do
        (Some(Value::String(text)), _) => json!(text.lines().next()),
        (Some(other), _) => other.clone(),
        (None, Shape::Choice(choices)) => json!(choices.first().map(|(value, _)| value)),
        (None, Shape::Integer | Shape::Number) => json!(1),
        (None, Shape::Boolean) => json!(true),
        (None, Shape::Json) => json!({}),
        (None, Shape::List) => json!(["shop"]),
        (None, Shape::Text) => json!("shop"),
    }
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@,+".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
