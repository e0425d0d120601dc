//! One class on two channels: JSON and XML out of the same code.

use busbar_testkit::{Answer, Backend, TestServer};
use serde_json::json;

use crate::{sample_text, server};

fn backends() -> Backend {
    Backend::new(|request| match request.path() {
        "/yahoo/yql" if request.target.contains("GOOG") => {
            Answer::json(&json!({"query": {"results": {"quote": {"MarketCapitalization": "294.51B"}}}}))
        }
        "/yahoo/yql" => Answer::json(&json!({"query": {"results": {"quote": null}}})),
        "/google/finance" if request.target.contains("GOOG") => Answer::text(
            "application/xml",
            r#"<?xml version="1.0"?><r><finance><market_cap data="294510.00"/></finance></r>"#,
        ),
        "/google/finance" => Answer::text("application/xml", "<r><finance><x/></finance></r>"),
        _ => Answer::respond(404, &[], b""),
    })
}

fn start(backends: &Backend) -> TestServer {
    server()
        .service("market_cap.py", &sample_text("market_cap.py"))
        .enmasse(&sample_text("enmasse/market_cap.yaml").replace("http://127.0.0.1:35201", &backends.url()))
        .start()
}

#[test]
fn json_in_json_out() {
    let backends = backends();
    let server = start(&backends);
    let response = server.post("/market-cap", r#"{"symbol": "GOOG"}"#).expect(200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(
        response.json(),
        json!({"market_cap": [{"provider": "Yahoo!", "value": "294.51"}, {"provider": "Google", "value": "294.51"}]})
    );
    let called = backends.received();
    assert!(called[0].target.starts_with("/yahoo/yql?"), "{}", called[0].target);
    assert!(
        called[1].target.starts_with("/google/finance?stock=GOOG"),
        "{}",
        called[1].target
    );

    let unknown = server.post("/market-cap", r#"{"symbol": "NOBODY"}"#).expect(200).json();
    assert_eq!(unknown["market_cap"][0]["value"], "n/a");
    assert_eq!(unknown["market_cap"][1]["value"], "n/a");
    // the query string is input as well
    server.get("/market-cap?symbol=GOOG").expect(200);
}

#[test]
fn xml_in_xml_out_of_the_same_class() {
    let backends = backends();
    let server = start(&backends);
    let response = server
        .post("/market-cap.xml", "<request><symbol>GOOG</symbol></request>")
        .expect(200);
    assert!(
        response.header("content-type").unwrap().starts_with("application/xml"),
        "{response:?}"
    );
    let body = response.text();
    let body = match body.find("?>") {
        Some(end) => body[end + 2..].trim_start(),
        None => &body,
    };
    let expected = format!(
        "<market_cap><zato_env><cid>{}</cid><result>ZATO_OK</result></zato_env>\
         <item_list><item><provider>Yahoo!</provider><value>294.51</value></item>\
         <item><provider>Google</provider><value>294.51</value></item></item_list></market_cap>",
        response.cid()
    );
    assert_eq!(body, expected);
    // whatever the root's name and namespace
    server
        .post("/market-cap.xml", "<q xmlns='urn:x'><symbol>GOOG</symbol></q>")
        .expect(200);
}

#[test]
fn what_is_missing_is_refused_in_either_format_before_any_code_runs() {
    let backends = backends();
    let server = start(&backends);
    let response = server.post("/market-cap", "{}").expect(400);
    assert_eq!(response.json()["details"], "Element missing: symbol");
    assert_eq!(response.json()["result"], "Error");
    assert_eq!(response.json()["cid"], response.cid());
    let response = server.post("/market-cap.xml", "<request/>").expect(400);
    assert!(
        response.text().contains("Element missing: symbol"),
        "{}",
        response.text()
    );
    assert_eq!(response.header("x-zato-cid").unwrap().len(), 24);
    assert_eq!(backends.count(), 0);
}
