//! What is kept of services for those who manage them: samples of their calls, and their WSDL.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_testkit::{Request, TestServer};
use serde_json::{Value, json};

use crate::{ECHO, server};

/// Calls a management service.
#[track_caller]
fn manage(server: &TestServer, service: &str, input: &Value) -> Value {
    let request = Request::new("POST", &format!("/zato/api/invoke/{service}"))
        .basic("pubapi", server.password())
        .body(input.to_string());
    server.send_admin(&request).expect(200).json()
}

fn decoded(value: &Value) -> String {
    String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn one_call_in_so_many_is_kept() {
    let server = server().service("echo.py", ECHO).channel("/echo", "echo.echo").start();
    let sample = || {
        manage(
            &server,
            "zato.service.get-request-response",
            &json!({"name": "echo.echo"}),
        )
    };
    server.post("/echo", r#"{"a": 0}"#).expect(200);
    assert_eq!(sample()["sample_cid"], "");
    let every = json!({"name": "echo.echo", "sample_req_resp_freq": 2, "cluster_id": 1});
    manage(&server, "zato.service.configure-request-response", &every);
    // the second call of all, and the fourth
    let mut kept = String::new();
    for number in 1..=4 {
        let body = json!({"number": number, "password": "s3cret"}).to_string();
        let answer = server.post("/echo", body).expect(200);
        if number % 2 == 1 {
            kept = answer.cid().to_owned();
        }
    }
    let sample = sample();
    assert_eq!(sample["sample_cid"], kept.as_str());
    let request: Value = serde_json::from_str(&decoded(&sample["sample_req"])).unwrap();
    assert_eq!(request, json!({"number": 3, "password": "******"}));
    let response = decoded(&sample["sample_resp"]);
    assert!(
        response.contains("\"number\":3") && !response.contains("s3cret"),
        "{response}"
    );
}

#[test]
fn wsdl_is_kept_for_callers() {
    let server = server().service("echo.py", ECHO).start();
    let path = "/zato/wsdl?service=echo.echo&cluster_id=1";
    server.get("/zato/wsdl?cluster_id=1").expect(400);
    server.get("/zato/wsdl?service=echo.echo").expect(400);
    server.get(path).expect(404);
    server.get("/zato/wsdl?service=nobody&cluster_id=1").expect(404);
    let document = "<definitions name=\"Écho\"/>";
    let set = json!({"name": "echo.echo", "wsdl": STANDARD.encode(document), "wsdl_name": "echo.wsdl"});
    manage(&server, "zato.service.set-wsdl", &set);
    let wsdl = server.get(path).expect(200);
    assert_eq!(wsdl.text(), document);
    assert_eq!(
        wsdl.header("content-disposition").unwrap(),
        "attachment; filename=\"echo.wsdl\""
    );
    assert!(wsdl.header("content-type").unwrap().starts_with("text/xml"));
}
