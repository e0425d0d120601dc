//! The document, out of channels and services.

use std::collections::{BTreeSet, HashMap, HashSet};

use busbar_model::service::ServiceInfo;
use busbar_model::sio::{Element, ElementKind};
use busbar_model::{DataFormat, SoapVersion};
use serde_json::{Map, Value, json};

use super::schema::{self, Way};
use super::{Channel, Scheme};

/// Schema of what is answered when a call failed.
const ERROR: &str = "Error";

/// Methods that an operation can have.
const METHODS: [&str; 7] = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"];

/// Makes the document. Channels whose service is not there are left out: a call would be answered with 404.
pub(super) fn make<'s>(title: &str, channels: &[Channel], find: &dyn Fn(&str) -> Option<&'s ServiceInfo>) -> Value {
    let mut document = Document::default();
    for channel in channels {
        if let Some(methods) = &channel.json_rpc {
            let methods: Vec<_> = methods.iter().filter_map(|name| find(name)).collect();
            if !methods.is_empty() {
                document.add_json_rpc(channel, &methods);
            }
        } else if let Some(service) = find(&channel.service) {
            document.add(channel, service);
        }
    }
    document.finish(title)
}

/// `text` with nothing in it but what the name of a component may have.
pub(super) fn identifier(text: &str) -> String {
    let keep = |letter: char| {
        if letter.is_ascii_alphanumeric() || "._-".contains(letter) {
            letter
        } else {
            '_'
        }
    };
    text.chars().map(keep).collect()
}

/// A document in the making.
#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    /// By their shape, how paths are spelt: two that differ in the names of placeholders only are one to OpenAPI.
    spellings: HashMap<String, String>,
    schemes: Map<String, Value>,
    schemas: Map<String, Value>,
    tags: BTreeSet<String>,
    ids: HashSet<String>,
}

impl Document {
    fn add(&mut self, channel: &Channel, service: &ServiceInfo) {
        let path = self
            .spellings
            .entry(shape(&channel.path))
            .or_insert_with(|| channel.path.clone())
            .clone();
        let methods = methods(channel, service);
        for method in &methods {
            let key = method.to_ascii_lowercase();
            if let Some(other) = self.paths.get_mut(&path).and_then(|item| item.get_mut(&key)) {
                // told apart by `Accept` or `SOAPAction`, which OpenAPI does not know
                let text = other["description"].as_str().unwrap_or_default();
                other["description"] = format!("{text} Also channel `{}`.", channel.name).into();
                continue;
            }
            let operation = self.operation(channel, service, method, &path, methods.len() > 1);
            let item = self.paths.entry(path.clone()).or_insert_with(|| json!({}));
            item[key] = operation;
        }
    }

    fn operation(
        &mut self,
        channel: &Channel,
        service: &ServiceInfo,
        method: &str,
        path: &str,
        is_one_of_many: bool,
    ) -> Value {
        let mut description = format!("Service `{}`, channel `{}`.", service.name, channel.name);
        let summary = if service.summary.is_empty() {
            &service.name
        } else {
            &service.summary
        };
        self.tags.insert(service.module.clone());
        let mut operation = json!({
            "operationId": self.id(channel, method, is_one_of_many),
            "summary": summary,
            "tags": [service.module],
        });
        let input = Input::of(channel, service, method);
        let parameters = input.parameters(path, &channel.path);
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = input.body(channel, service, &mut self.schemas) {
            operation["requestBody"] = body;
        }
        if channel.is_deprecated {
            operation["deprecated"] = true.into();
        }
        operation["responses"] = responses(channel, service, &mut self.schemas);
        self.secure(channel, &mut operation, &mut description);
        operation["description"] = description.into();
        operation
    }

    /// A channel of JSON-RPC: one operation, whose body says which of the services `methods` is called.
    fn add_json_rpc(&mut self, channel: &Channel, methods: &[&ServiceInfo]) {
        let mut calls = Vec::new();
        for service in methods {
            let declaration = service.sio.as_ref().filter(|declaration| declaration.input.is_some());
            let params = match declaration {
                Some(declaration) => {
                    let elements = declaration.input.as_deref().unwrap_or_default();
                    let named = name_of(&declaration.input_model, service, "input");
                    refer(&mut self.schemas, &named, schema::object(elements, Way::In))
                }
                None => json!({}),
            };
            let is_required = declaration.is_some_and(|it| it.input.iter().flatten().any(|element| element.required));
            let mut required = vec!["jsonrpc", "method"];
            required.extend(is_required.then_some("params"));
            calls.push(json!({
                "title": service.name,
                "description": service.summary,
                "type": "object",
                "properties": {
                    "jsonrpc": {"const": "2.0"},
                    "method": {"const": service.name},
                    "params": params,
                    "id": {"type": ["string", "integer", "null"], "description": "Without it nothing is answered."},
                },
                "required": required,
            }));
        }
        let answer = json!({
            "type": "object",
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "id": {"type": ["string", "integer", "null"]},
                "result": {"description": "What the service answered."},
                "error": {
                    "type": "object",
                    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": {}},
                    "required": ["code", "message"],
                },
            },
            "required": ["jsonrpc", "id"],
        });
        let answer = refer(&mut self.schemas, "JsonRpcAnswer", answer);
        let call = match calls.len() {
            1 => calls.remove(0),
            _ => json!({"oneOf": calls}),
        };
        let tag = "JSON-RPC".to_owned();
        self.tags.insert(tag.clone());
        let mut operation = json!({
            "operationId": self.id(channel, "POST", false),
            "summary": format!("JSON-RPC 2.0: {} method(s)", methods.len()),
            "tags": [tag],
            "requestBody": {"required": true, "content": {"application/json": {"schema": call}}},
            "responses": {
                "200": {
                    "description": "What the service answered, or why there is no answer.",
                    "content": {"application/json": {"schema": answer}},
                },
                "204": {"description": "Nothing is to be answered: the call has no `id`."},
            },
        });
        let mut description = format!(
            "Channel `{}`. Several calls in a list are a batch, whose answers are a list.",
            channel.name
        );
        self.secure(channel, &mut operation, &mut description);
        operation["description"] = description.into();
        let item = self.paths.entry(channel.path.clone()).or_insert_with(|| json!({}));
        item["post"] = operation;
    }

    /// Notes what callers must have.
    fn secure(&mut self, channel: &Channel, operation: &mut Value, description: &mut String) {
        let Some(schemes) = &channel.security else {
            return;
        };
        let required: Vec<_> = schemes
            .iter()
            .filter_map(|scheme| scheme.require(&mut self.schemes))
            .collect();
        if schemes.contains(&Scheme::Other) {
            description.push_str(" Callers need credentials of WS-Security.");
        } else if required.is_empty() {
            description.push_str(" Nobody has credentials for it.");
        }
        if !required.is_empty() {
            operation["security"] = required.into();
        }
    }

    fn id(&mut self, channel: &Channel, method: &str, is_one_of_many: bool) -> String {
        let mut id = identifier(&channel.name);
        if is_one_of_many {
            id = format!("{id}.{}", method.to_ascii_lowercase());
        }
        let mut unique = id.clone();
        let mut number = 2;
        while !self.ids.insert(unique.clone()) {
            unique = format!("{id}.{number}");
            number += 1;
        }
        unique
    }

    fn finish(mut self, title: &str) -> Value {
        let error = json!({
            "type": "object",
            "properties": {
                "result": {"const": "Error"},
                "cid": {"type": "string", "description": "Correlation id, to be found in the server's log."},
                "details": {"description": "What went wrong: a text, or a list of them."},
            },
            "required": ["result", "cid"],
        });
        self.schemas.insert(ERROR.to_owned(), error);
        let tags: Vec<_> = self.tags.iter().map(|name| json!({"name": name})).collect();
        json!({
            "openapi": "3.1.0",
            "info": {"title": title, "version": env!("CARGO_PKG_VERSION")},
            "tags": tags,
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "headers": {
                    "X-Zato-CID": {"description": "Correlation id.", "schema": {"type": "string"}},
                },
                "securitySchemes": self.schemes,
            },
        })
    }
}

/// Name of a schema: the model's, else the service's with what it is of it.
fn name_of(model: &str, service: &ServiceInfo, part: &str) -> String {
    if model.is_empty() {
        format!("{}.{part}", service.name)
    } else {
        model.to_owned()
    }
}

/// Puts a schema among the named ones, and refers to it. Another one of that name gets a number.
fn refer(schemas: &mut Map<String, Value>, name: &str, schema: Value) -> Value {
    let name = identifier(name);
    let mut unique = name.clone();
    let mut number = 2;
    while unique == ERROR || schemas.get(&unique).is_some_and(|other| *other != schema) {
        unique = format!("{name}.{number}");
        number += 1;
    }
    let reference = json!({"$ref": format!("#/components/schemas/{unique}")});
    schemas.insert(unique, schema);
    reference
}

/// A path without the names of its placeholders.
fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    let mut is_name = false;
    for letter in path.chars() {
        is_name &= letter != '}';
        if !is_name {
            shape.push(letter);
        }
        is_name |= letter == '{';
    }
    shape
}

/// Names of a path's placeholders, in order.
fn placeholders(path: &str) -> Vec<&str> {
    path.split('{')
        .skip(1)
        .filter_map(|part| Some(part.split_once('}')?.0))
        .collect()
}

/// The methods with which a call makes sense. Where any is taken, `POST`, and `GET` if all that is required fits into a query.
fn methods<'a>(channel: &'a Channel, service: &'a ServiceInfo) -> Vec<&'a str> {
    let own: Vec<_> = service.http_methods.iter().map(String::as_str).collect();
    let methods = match channel.method.as_str() {
        _ if channel.soap.is_some() => vec!["POST"],
        "" if own.is_empty() => {
            let needs_body = Input::of(channel, service, "GET").lacks_required(&channel.path);
            if needs_body { vec!["POST"] } else { vec!["GET", "POST"] }
        }
        "" => own,
        method if own.is_empty() || own.contains(&method) => vec![method],
        _ => Vec::new(),
    };
    methods.into_iter().filter(|method| METHODS.contains(method)).collect()
}

/// Where the declared input of one operation is put.
struct Input<'s> {
    elements: &'s [Element],
    /// Names that path and query can give.
    merges_params: bool,
    has_body: bool,
}

impl<'s> Input<'s> {
    fn of(channel: &Channel, service: &'s ServiceInfo, method: &str) -> Self {
        let declaration = service.sio.as_ref();
        let params_only = declaration.is_some_and(|declaration| declaration.use_channel_params_only);
        Self {
            elements: declaration
                .and_then(|declaration| declaration.input.as_deref())
                .unwrap_or_default(),
            // rows of CSV take nothing from elsewhere
            merges_params: channel.merges_params && channel.soap.is_none() && channel.format != DataFormat::Csv,
            has_body: matches!(method, "POST" | "PUT" | "PATCH") && !params_only,
        }
    }

    /// Whether required input can come in a body only.
    fn lacks_required(&self, path: &str) -> bool {
        let in_path = placeholders(path);
        self.elements.iter().any(|element| {
            let is_param = in_path.contains(&element.name.as_str()) || fits_query(element);
            element.required && !(self.merges_params && is_param)
        })
    }

    /// Path and query parameters. `shown` is the path as the document spells it, `own` as the channel does.
    fn parameters(&self, shown: &str, own: &str) -> Vec<Value> {
        let in_path = placeholders(own);
        let schema_of = |name: &str| match self.elements.iter().find(|element| element.name == name) {
            Some(element) if self.merges_params => schema::element(element, Way::In),
            _ => json!({"type": "string"}),
        };
        let path = placeholders(shown)
            .into_iter()
            .zip(&in_path)
            .map(|(shown, name)| json!({"name": shown, "in": "path", "required": true, "schema": schema_of(name)}));
        let query = self
            .elements
            .iter()
            .filter(|element| self.merges_params && !self.has_body && fits_query(element))
            .filter(|element| !in_path.contains(&element.name.as_str()))
            .map(|element| {
                let schema = schema::element(element, Way::In);
                json!({"name": element.name, "in": "query", "required": element.required, "schema": schema})
            });
        path.chain(query).collect()
    }

    /// The body. What the path gives is not asked for again.
    fn body(&self, channel: &Channel, service: &ServiceInfo, schemas: &mut Map<String, Value>) -> Option<Value> {
        if !self.has_body {
            return None;
        }
        let declaration = service.sio.as_ref().filter(|declaration| declaration.input.is_some());
        let in_path = placeholders(&channel.path);
        let is_asked = |element: &&Element| !(self.merges_params && in_path.contains(&element.name.as_str()));
        let asked = || self.elements.iter().filter(is_asked);
        let schema_in = |make: &dyn Fn() -> Value| declaration.map_or_else(|| json!({}), |_| make());
        let is_required = asked().any(|element| element.required);
        let text = || json!({"schema": {"type": "string"}});
        let content = match (channel.soap, channel.format) {
            (Some(SoapVersion::V11), _) => json!({"text/xml": text()}),
            (Some(SoapVersion::V12), _) => json!({"application/soap+xml": text()}),
            (None, DataFormat::Json) => {
                let mut schema = schema_in(&|| schema::object(asked(), Way::In));
                if let Some(declaration) = declaration {
                    // without what the path gives it is this channel's own
                    let name = match self.elements.iter().all(|element| is_asked(&element)) {
                        true => name_of(&declaration.input_model, service, "input"),
                        false => format!("{}.{}.input", service.name, channel.name),
                    };
                    schema = refer(schemas, &name, schema);
                }
                json!({"application/json": {"schema": schema}})
            }
            (None, DataFormat::Xml) => {
                let mut schema = schema_in(&|| schema::xml_object(asked(), Way::In));
                if let Some(declaration) = declaration {
                    schema["xml"] = json!({"name": declaration.request_elem});
                }
                json!({"application/xml": {"schema": schema}})
            }
            (None, DataFormat::Form | DataFormat::Post) => {
                let schema = schema_in(&|| schema::form(asked()));
                json!({
                    "application/x-www-form-urlencoded": {"schema": schema},
                    "multipart/form-data": {"schema": schema},
                })
            }
            (None, DataFormat::Csv) => json!({"text/csv": text()}),
            (None, DataFormat::None | DataFormat::Dict) => json!({"*/*": {}}),
        };
        let is_required =
            channel.soap.is_some() || is_required && !matches!(channel.format, DataFormat::None | DataFormat::Dict);
        Some(json!({"required": is_required, "content": content}))
    }
}

/// Whether a query parameter can give the element its value.
fn fits_query(element: &Element) -> bool {
    !matches!(element.kind, ElementKind::Dict | ElementKind::DictList)
}

fn responses(channel: &Channel, service: &ServiceInfo, schemas: &mut Map<String, Value>) -> Value {
    let headers = json!({"X-Zato-CID": {"$ref": "#/components/headers/X-Zato-CID"}});
    let declaration = service.sio.as_ref();
    let text = || json!({"type": "string"});
    let answers_json = matches!(channel.format, DataFormat::Json | DataFormat::Form | DataFormat::Post);
    let schema = match (channel.soap, channel.format) {
        (Some(_), _) => text(),
        (None, _) if answers_json && channel.is_async => {
            json!({"type": "object", "properties": {"cid": {"type": "string"}}, "required": ["cid"]})
        }
        (None, _) if answers_json => {
            let name = declaration.map(|declaration| name_of(&declaration.output_model, service, "output"));
            schema::output_json(declaration, |schema| refer(schemas, &name.unwrap_or_default(), schema))
        }
        (None, DataFormat::Xml) if !channel.is_async => schema::output_xml(declaration),
        _ => text(),
    };
    let (status, meaning) = if channel.is_async {
        ("202", "The request is stored; the service will run.")
    } else {
        ("200", "What the service answered.")
    };
    let mut responses = json!({
        status: {"description": meaning, "headers": headers, "content": {(channel.content_type.as_str()): {"schema": schema}}},
    });
    let (error_type, error) = match (channel.soap, channel.format) {
        (Some(_), _) => (channel.content_type.as_str(), text()),
        (None, DataFormat::Json) => (
            channel.content_type.as_str(),
            json!({"$ref": "#/components/schemas/Error"}),
        ),
        (None, DataFormat::Xml) => (channel.content_type.as_str(), json!({})),
        _ => ("text/plain", text()),
    };
    let mut refuse = |status: &str, meaning: &str| {
        responses[status] =
            json!({"description": meaning, "headers": headers, "content": {error_type: {"schema": error}}});
    };
    refuse("400", "The input cannot be used.");
    if channel.security.is_some() {
        refuse("401", "The credentials are missing or wrong.");
        refuse("403", "The caller may not do this.");
    }
    if channel.is_limited {
        refuse("429", "Too many requests.");
    }
    refuse("default", "The call failed.");
    responses
}

#[cfg(test)]
mod tests;
