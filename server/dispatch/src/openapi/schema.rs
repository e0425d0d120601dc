//! JSON schemas of declared input and output (sio.md 3).

use busbar_model::sio::{Declaration, Element, ElementKind};
use serde_json::{Map, Value, json};

/// Whether values come in or go out: a few types are written stricter than they are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// An object with these elements, in JSON. Those that need not be there may be null as well.
pub(super) fn object<'e>(elements: impl IntoIterator<Item = &'e Element>, way: Way) -> Value {
    members(elements, |it| {
        let schema = element(it, way);
        if it.required { schema } else { or_null(schema) }
    })
}

/// An object with these elements, as a form has them.
pub(super) fn form<'e>(elements: impl IntoIterator<Item = &'e Element>) -> Value {
    members(elements, |it| element(it, Way::In))
}

/// An object with these elements, in XML.
pub(super) fn xml_object<'e>(elements: impl IntoIterator<Item = &'e Element>, way: Way) -> Value {
    members(elements, |it| xml_element(it, way))
}

fn members<'e>(elements: impl IntoIterator<Item = &'e Element>, schema_of: impl Fn(&Element) -> Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for element in elements {
        properties.insert(element.name.clone(), schema_of(element));
        if element.required {
            required.push(Value::from(element.name.as_str()));
        }
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// The same schema, which null fits as well.
fn or_null(mut schema: Value) -> Value {
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(kind) => *kind = json!([kind.take(), "null"]),
        // whatever there is fits it
        None => {}
    }
    schema
}

/// The value of one element in XML: lists and objects have shapes of their own there (sio.md 6).
fn xml_element(element: &Element, way: Way) -> Value {
    match (element.kind, way) {
        (ElementKind::List, _) => wrapped(json!({"xml": {"name": "item"}})),
        (ElementKind::Dict, Way::In) => xml_dict(element, way),
        (ElementKind::Dict, Way::Out) => wrapped(entry()),
        (ElementKind::DictList, Way::In) => {
            let mut row = xml_dict(element, way);
            row["xml"] = json!({"name": "item_dict"});
            wrapped(row)
        }
        (ElementKind::DictList, Way::Out) => {
            let mut row = wrapped(entry());
            row["xml"]["name"] = "dict".into();
            wrapped(row)
        }
        _ => self::element(element, way),
    }
}

fn xml_dict(element: &Element, way: Way) -> Value {
    if element.nested.is_empty() {
        json!({"type": "object"})
    } else {
        xml_object(&element.nested, way)
    }
}

fn wrapped(item: Value) -> Value {
    json!({"type": "array", "items": item, "xml": {"wrapped": true}})
}

/// One key of an object.
fn entry() -> Value {
    json!({
        "type": "object",
        "properties": {"key": {"type": "string"}, "value": {}},
        "required": ["key", "value"],
        "xml": {"name": "item"},
    })
}

/// The value of one element.
pub(super) fn element(element: &Element, way: Way) -> Value {
    match (element.kind, way) {
        (ElementKind::Text | ElementKind::Utc, _) => json!({"type": "string"}),
        (ElementKind::Int, _) => json!({"type": "integer"}),
        (ElementKind::Bool, _) => json!({"type": "boolean"}),
        (ElementKind::Float, _) => json!({"type": "number"}),
        (ElementKind::Decimal, Way::In) => json!({"type": ["string", "number"], "format": "decimal"}),
        (ElementKind::Decimal, Way::Out) => json!({"type": "string", "format": "decimal"}),
        (ElementKind::Date, _) => json!({"type": "string", "format": "date"}),
        (ElementKind::DateTime, _) => json!({"type": "string", "format": "date-time"}),
        (ElementKind::Uuid, Way::In) => json!({"type": "string", "format": "uuid"}),
        (ElementKind::Uuid, Way::Out) => json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        (ElementKind::Csv, _) => json!({"type": "string", "description": "Comma-separated values."}),
        (ElementKind::List, _) => json!({"type": "array"}),
        (ElementKind::Dict, way) => dict(element, way),
        (ElementKind::DictList, way) => json!({"type": "array", "items": dict(element, way)}),
        (ElementKind::AsIs | ElementKind::Opaque | ElementKind::Custom, _) => json!({}),
        (ElementKind::Secret, _) => json!({"type": "string", "format": "password"}),
    }
}

fn dict(element: &Element, way: Way) -> Value {
    if element.nested.is_empty() {
        json!({"type": "object"})
    } else {
        object(&element.nested, way)
    }
}

/// What a service answers in JSON. `refer` puts the schema of one item where it has a name.
pub(super) fn output_json(declaration: Option<&Declaration>, refer: impl FnOnce(Value) -> Value) -> Value {
    let Some((declaration, output)) = declared(declaration) else {
        return json!({});
    };
    let mut schema = refer(object(output, Way::Out));
    if declaration.output_repeated {
        schema = json!({"type": "array", "items": schema});
    }
    match declaration.response_elem.as_deref() {
        Some(wrapper) => json!({"type": "object", "properties": {wrapper: schema}, "required": [wrapper]}),
        None => schema,
    }
}

/// What a service answers in XML: `zato_env` and what it says, below one root. Instances of models stand at the root themselves.
pub(super) fn output_xml(declaration: Option<&Declaration>) -> Value {
    let Some((declaration, output)) = declared(declaration) else {
        return json!({});
    };
    if declaration.output_is_model {
        let mut schema = object(output, Way::Out);
        schema["xml"] = json!({"name": "response"});
        return schema;
    }
    let item = xml_object(output, Way::Out);
    let (name, content) = if declaration.output_repeated {
        let mut item = item;
        item["xml"] = json!({"name": "item"});
        ("item_list", wrapped(item))
    } else {
        ("item", item)
    };
    let text = || json!({"type": "string"});
    let env = json!({"type": "object", "properties": {"cid": text(), "result": text()}, "required": ["cid", "result"]});
    let mut xml = json!({"name": declaration.response_elem.as_deref().unwrap_or("response")});
    if !declaration.namespace.is_empty() {
        xml["namespace"] = declaration.namespace.as_str().into();
    }
    json!({
        "type": "object",
        "properties": {"zato_env": env, name: content},
        "required": ["zato_env", name],
        "xml": xml,
    })
}

fn declared(declaration: Option<&Declaration>) -> Option<(&Declaration, &[Element])> {
    declaration.and_then(|declaration| Some((declaration, declaration.output.as_deref()?)))
}
