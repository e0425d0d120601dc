//! JSON schemas of declared input and output (sio.md 3).

use busbar_model::sio::{Declaration, Element, ElementKind};
use serde_json::{Map, Value, json};

/// Whether values come in or go out: a few types are written stricter than they are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// An object with these elements.
pub(super) fn object<'e>(elements: impl IntoIterator<Item = &'e Element>, way: Way) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for element in elements {
        properties.insert(element.name.clone(), self::element(element, way));
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

/// What a service answers in XML.
pub(super) fn output_xml(declaration: Option<&Declaration>) -> Value {
    let Some((declaration, output)) = declared(declaration) else {
        return json!({});
    };
    let mut schema = object(output, Way::Out);
    if declaration.output_repeated {
        schema = json!({"type": "array", "items": schema});
    }
    let mut xml = json!({"name": declaration.response_elem.as_deref().unwrap_or("response")});
    if !declaration.namespace.is_empty() {
        xml["namespace"] = declaration.namespace.as_str().into();
    }
    if declaration.output_repeated {
        xml["wrapped"] = true.into();
        schema["items"]["xml"] = json!({"name": "item"});
    }
    schema["xml"] = xml;
    schema
}

fn declared(declaration: Option<&Declaration>) -> Option<(&Declaration, &[Element])> {
    declaration.and_then(|declaration| Some((declaration, declaration.output.as_deref()?)))
}
