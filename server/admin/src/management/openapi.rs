//! OpenAPI 3.1 of the management services, out of the catalogue.

use std::collections::BTreeSet;

use busbar_runtime::inbound::builtin;
use serde_json::{Map, Value, json};

use crate::management::catalogue::{Declared, Operation};
use crate::management::element::{Element, ElementKind, NOTHING_CHOSEN};

/// Where the services are called, each by its name.
const PREFIX: &str = "/zato/json/";
/// Name of the one way to log in.
const SCHEME: &str = "basic";
/// What any service may answer when it does not do what it was asked for.
const FAILURES: [(&str, &str); 7] = [
    ("400", "The request is not one that the service takes"),
    ("401", "Who calls is not known"),
    ("403", "Who calls may not do this"),
    (
        "404",
        "There is no such service, or what the request names does not exist",
    ),
    (
        "409",
        "Something is in the way: a name that is taken, an object that others need",
    ),
    ("413", "The request is too large"),
    ("429", "Too many wrong passwords"),
];

/// What an element of a service about everything at once may hold: of texts that say so much, hardly any that is made up means anything.
fn example(element: &str) -> Option<Value> {
    Some(match element {
        "object_type" => "channel.http".into(),
        "module" => "orders".into(),
        "revision" | "version" => 1.into(),
        "time" => "2026-03-01T12:00:00Z".into(),
        "format" => "yaml".into(),
        "include_type" => json!(["security"]),
        "input" => json!({
            "security": [{"name": "shop", "type": "basic_auth", "username": "shop", "password": "s3cret"}],
            "channel_rest": [{"name": "orders", "service": "orders.receive", "url_path": "/orders", "security_name": "shop"}],
        }),
        _ => return None,
    })
}

/// Makes the document of these services.
pub fn document<'a>(services: impl IntoIterator<Item = &'a Declared>) -> Value {
    let mut services: Vec<_> = services.into_iter().collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let paths: Map<String, Value> = services
        .iter()
        .map(|service| (format!("{PREFIX}{}", service.name), json!({"post": operation(service)})))
        .collect();
    let tags: BTreeSet<_> = services.iter().map(|service| tag(service)).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Management services of busbar",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Each service is called by its name, here with JSON; with SOAP on `/zato/soap`, and over \
                            `/zato/admin/invoke` by clients that name it in the request.",
        },
        "security": [{SCHEME: []}],
        "tags": tags.into_iter().map(|name| json!({"name": name})).collect::<Value>(),
        "paths": paths,
        "components": {
            "securitySchemes": {SCHEME: {"type": "http", "scheme": "basic"}},
            "schemas": {
                "Failure": {
                    "type": "object",
                    "properties": {"zato_env": environment("ZATO_ERROR")},
                },
                "Done": environment("ZATO_OK"),
            },
        },
    })
}

/// The part of a name that services of one type share.
fn tag(service: &Declared) -> &str {
    service
        .name
        .rsplit_once('.')
        .map_or(&service.name, |(family, _)| family)
}

fn operation(service: &Declared) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer(service));
    for (status, description) in FAILURES {
        responses.insert(
            status.to_owned(),
            json!({
                "description": description,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
            }),
        );
    }
    json!({
        "operationId": service.name,
        "summary": summary(service),
        "tags": [tag(service)],
        "requestBody": {
            "required": service.input.iter().any(|element| element.is_required),
            "content": {"application/json": {"schema": input(service)}},
        },
        "responses": responses,
    })
}

fn summary(service: &Declared) -> String {
    let Some(operation) = service.operation else {
        return format!("Runs `{}`", service.name);
    };
    let kind = service.kinds.join("` or `");
    match operation {
        Operation::List => format!("Lists objects of the type `{kind}`"),
        Operation::Get => format!("Shows one `{kind}`"),
        Operation::Create => format!("Makes a new `{kind}`"),
        Operation::Edit => format!("Changes a `{kind}`"),
        Operation::Delete => format!("Deletes a `{kind}`"),
        Operation::ChangePassword => format!("Sets the password of a `{kind}`"),
        Operation::Ping => format!("Tries out whether a `{kind}` can be reached"),
    }
}

/// What a service takes. Other members are ignored.
fn input(service: &Declared) -> Value {
    let elements = &service.input;
    let mut properties: Map<String, Value> = elements
        .iter()
        .map(|element| {
            let mut types = match element.kind {
                ElementKind::Text => json!(["string"]),
                ElementKind::Id => json!(["integer", "string"]),
                ElementKind::Integer => json!(["integer"]),
                ElementKind::Float => json!(["number"]),
                ElementKind::Boolean => json!(["boolean"]),
                ElementKind::List => json!(["array", "string"]),
                ElementKind::Any => return (element.name.clone(), json!({})),
            };
            if let (false, Some(types)) = (element.is_required, types.as_array_mut()) {
                types.push("null".into());
            }
            let mut schema = json!({"type": types});
            if element.kind == ElementKind::Id {
                schema["description"] = format!("Number of an object; `{NOTHING_CHOSEN}`: of none").into();
                schema["minimum"] = 0.into();
            }
            (element.name.clone(), schema)
        })
        .collect();
    if service.name.starts_with(builtin::WHOLE) {
        for (name, property) in &mut properties {
            if let Some(example) = example(name) {
                property["examples"] = json!([example]);
            }
        }
    }
    let required: Vec<_> = elements.iter().filter(|it| it.is_required).map(|it| &it.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn answer(service: &Declared) -> Value {
    let mut properties = Map::new();
    let one = output(&service.output);
    if service.is_repeated {
        properties.insert(service.response_element.clone(), json!({"type": "array", "items": one}));
        properties.insert("_meta".to_owned(), json!({"type": "object"}));
    } else if !service.output.is_empty() {
        properties.insert(service.response_element.clone(), one);
    }
    properties.insert("zato_env".to_owned(), json!({"$ref": "#/components/schemas/Done"}));
    json!({
        "description": "It was done",
        "content": {"application/json": {"schema": {"type": "object", "properties": properties}}},
    })
}

/// What a service gives. What has no value is an empty text, whatever its type is.
fn output(elements: &[Element]) -> Value {
    let properties: Map<String, Value> = elements
        .iter()
        .map(|element| {
            let schema = match element.kind {
                ElementKind::Id | ElementKind::Integer => json!({"type": ["integer", "string"]}),
                ElementKind::Float => json!({"type": ["number", "string"]}),
                ElementKind::Boolean => json!({"type": ["boolean", "string"]}),
                ElementKind::List => json!({"type": ["array", "string"]}),
                // as the type's own field is: a name, a number, a list
                ElementKind::Text | ElementKind::Any => json!({}),
            };
            (element.name.clone(), schema)
        })
        .collect();
    json!({"type": "object", "properties": properties})
}

fn environment(result: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "result": {"const": result},
            "cid": {"type": "string"},
            "details": {},
        },
        "required": ["result", "cid"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::catalogue::CATALOGUE;

    #[test]
    fn examples_of_services_about_everything_are_what_they_take() {
        let mut seen = BTreeSet::new();
        for service in CATALOGUE.values() {
            for (name, property) in input(service)["properties"].as_object().unwrap() {
                let Some(examples) = property.get("examples") else {
                    continue;
                };
                let element = service.input.iter().find(|it| it.name == *name).unwrap();
                let read = element.read(examples[0].clone()).unwrap();
                assert_eq!(read.as_ref(), Some(&examples[0]), "{} {name}", service.name);
                seen.insert(name.clone());
            }
        }
        assert_eq!(seen.len(), 8, "{seen:?}");
    }

    #[test]
    fn each_service_is_an_operation() {
        let names = [
            "zato.security.basic-auth.create",
            "zato.service.get-list",
            "zato.service.delete",
        ];
        let document = document(names.map(|name| &CATALOGUE[name]));
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 3);
        let create = &paths["/zato/json/zato.security.basic-auth.create"]["post"];
        let input = &create["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(input["required"], json!(["name", "is_active", "username", "realm"]));
        assert_eq!(input["properties"]["realm"], json!({"type": ["string"]}));
        assert_eq!(
            input["properties"]["rate_limit_def"],
            json!({"type": ["string", "null"]})
        );
        assert_eq!(create["summary"], "Makes a new `security.basic_auth`");
        let properties = |name: &str| {
            let answer = &paths[name]["post"]["responses"]["200"];
            answer["content"]["application/json"]["schema"]["properties"].clone()
        };
        let list = properties("/zato/json/zato.service.get-list");
        assert_eq!(list["zato_service_get_list_response"]["type"], "array");
        let delete = properties("/zato/json/zato.service.delete");
        assert_eq!(delete.as_object().unwrap().len(), 1);
        assert_eq!(
            document["tags"],
            json!([{"name": "zato.security.basic-auth"}, {"name": "zato.service"}])
        );
    }
}
