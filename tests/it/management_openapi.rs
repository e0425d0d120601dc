//! The management services as an OpenAPI document.

use std::process::Command;

use busbar_testkit::Request;
use serde_json::Value;

use crate::{python, server};

#[test]
fn the_document_is_valid_and_tells_of_services_that_are_there() {
    let server = server().start();
    let ask = |service: &str, body: &str| {
        let request = Request::new("POST", &format!("/zato/json/{service}")).basic("pubapi", server.password());
        server.send_admin(&request.body(body)).expect(200)
    };
    let answer = ask("zato.apispec.get-api-spec", "");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let file = server.scratch().join("openapi.json");
    std::fs::write(&file, answer.text()).unwrap();
    let output = Command::new(python())
        .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    let document: Value = answer.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 150, "{}", paths.len());
    // those that take nothing, do nothing to the server, and need nobody else
    for service in [
        "zato.ping",
        "zato.security.basic-auth.get-list",
        "zato.service.get-list",
    ] {
        let schema =
            &paths[&format!("/zato/json/{service}")]["post"]["responses"]["200"]["content"]["application/json"];
        let declared: Vec<_> = schema["schema"]["properties"].as_object().unwrap().keys().collect();
        for name in ask(service, r#"{"name_filter": "*"}"#)
            .json()
            .as_object()
            .unwrap()
            .keys()
        {
            assert!(declared.contains(&name), "{service}: {name}");
        }
    }
    let few = ask("zato.apispec.get-api-spec", r#"{"query": "Basic-Auth Create"}"#).json();
    let few: Vec<_> = few["paths"].as_object().unwrap().keys().collect();
    assert_eq!(few, ["/zato/json/zato.security.basic-auth.create"]);
}
