//! What callers get when services fail, or are not called: statuses, texts, and what is kept from them.

use busbar_testkit::{run, wait_until};
use serde_json::json;

use crate::server;
use crate::service_api::start;

#[test]
fn exceptions_become_statuses() {
    const SOURCE: &str = "
from zato.common import exception
from zato.server.connection.http_soap import BadRequest, NotFound

class Raise(Service):
    def handle(self):
        name, args = self.request.payload
        self.response.headers['X-Before'] = '1'
        raise getattr(exception, name)(self.cid, *args)

class Generic(Service):
    def handle(self):
        raise Exception('something broke', 7)

class Nested(Service):
    def handle(self):
        self.invoke('api.raise', ['NotFound', ['no such thing']])
";
    let server = start(SOURCE, &["raise", "generic", "nested"]);
    for (name, arguments, status, details) in [
        ("BadRequest", json!(["wrong", true]), 400, "wrong"),
        ("Forbidden", json!(["not you"]), 403, "not you"),
        ("NotFound", json!(["gone"]), 404, "gone"),
        ("MethodNotAllowed", json!(["no"]), 405, "no"),
        ("Conflict", json!(["twice"]), 409, "twice"),
        ("TooManyRequests", json!(["slower"]), 429, "slower"),
        ("InternalServerError", json!(["oh"]), 500, "oh"),
        ("ServiceUnavailable", json!(["later"]), 503, "later"),
    ] {
        let response = server
            .post("/raise", json!([name, arguments]).to_string())
            .expect(status);
        assert_eq!(
            response.json(),
            json!({"result": "Error", "cid": response.cid(), "details": details}),
            "{name}"
        );
        assert_eq!(response.header("x-before"), Some("1"), "{name}");
    }
    let response = server
        .post("/raise", r#"["Unauthorized", ["who", "Basic realm=\"x\""]]"#)
        .expect(401);
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"x\""));
    assert_eq!(
        server.post("/nested", "").expect(404).json()["details"],
        "no such thing"
    );

    // what went wrong inside is not for callers, unless the config says so
    let response = server.post("/generic", "").expect(500);
    assert_eq!(
        response.json(),
        json!({"result": "Error", "cid": response.cid(), "details": "An error has occurred"})
    );
    let open = crate::server()
        .service("api.py", &format!("from zato.server.service import Service\n{SOURCE}"))
        .channel("/generic", "api.generic")
        .config("[calls]\nreturn_tracebacks = true")
        .start();
    assert_eq!(
        open.post("/generic", "").expect(500).json()["details"],
        json!(["something broke", 7])
    );
}

#[test]
fn errors_in_every_format_and_what_they_do_not_tell() {
    const SOURCE: &str = "
from zato.common import exception
from zato.common.marshal_.api import ElementMissing

CASES = {
    'bad': lambda cid: exception.BadRequest(cid, 'no such type'),
    'told': lambda cid: exception.BadRequest(cid, 'told', needs_msg=True),
    'schema': lambda cid: exception.JSONSchemaValidationException(cid, 'not so'),
    'address': lambda cid: exception.AddressNotAllowed(cid, 'not from there'),
    'rate': lambda cid: exception.RateLimitReached(cid, 'slower'),
    'exists': lambda cid: exception.PubSubSubscriptionExists(cid, 'twice'),
    'status': lambda cid: exception.HTTPException(cid, 'short and stout', 418),
    'reportable': lambda cid: exception.Reportable(cid, 'gone', 410),
    'parsing': lambda cid: exception.ParsingException(cid, 'unreadable'),
    'missing': lambda cid: ElementMissing('/a/b'),
    'inactive': lambda cid: exception.Inactive('my name'),
    'timeout': lambda cid: exception.TimeoutException(cid, 'late'),
    'zato': lambda cid: exception.ZatoException(cid, 'broken'),
    'other': lambda cid: OSError(2, 'secret'),
}

class Raise(Service):
    def handle(self):
        raise CASES[self.request.http.params.case](self.cid)
";
    let source = format!("from zato.server.service import Service\n{SOURCE}");
    let channel = |path: &str, format: &str| {
        format!("  - name: {path}\n    url_path: /{path}/{{case}}\n    service: api.raise\n    data_format: {format}\n")
    };
    let objects = format!(
        "channel_rest:\n{}{}{}",
        channel("json", "json"),
        channel("xml", "xml"),
        channel("plain", "''")
    );
    let server = server()
        .service("api.py", &source)
        .config("[calls]\nhide_messages = true\ndefault_error_message = \"Sorry\"")
        .enmasse(&objects)
        .start();
    for (case, status, details) in [
        ("bad", 400, "Bad request"),
        ("told", 400, "told"),
        ("schema", 400, "not so"),
        ("address", 403, "not from there"),
        ("rate", 429, "slower"),
        ("exists", 400, "Bad request"),
        ("status", 418, "short and stout"),
        ("reportable", 410, "gone"),
        ("parsing", 400, "unreadable"),
        ("missing", 400, "Element missing: /a/b"),
        ("inactive", 500, "Sorry"),
        ("timeout", 500, "Sorry"),
        ("zato", 500, "Sorry"),
        ("other", 500, "Sorry"),
    ] {
        let response = server.get(&format!("/json/{case}")).expect(status);
        assert_eq!(
            response.json(),
            json!({"result": "Error", "cid": response.cid(), "details": details}),
            "{case}"
        );
        assert_eq!(
            server.get(&format!("/plain/{case}")).expect(status).text(),
            details,
            "{case}"
        );
        assert!(
            server
                .get(&format!("/xml/{case}"))
                .expect(status)
                .text()
                .contains(details),
            "{case}"
        );
    }
}

#[test]
fn input_follows_the_json_schema_of_its_service() {
    let source = "
import json, pathlib
from zato.server.service import Service

pathlib.Path(__file__).with_name('order.json').write_text(
    json.dumps({'type': 'object', 'required': ['id'], 'properties': {'id': {'type': 'integer'}}}))

class Order(Service):
    schema = 'order.json'
    slow_threshold = 1
    def before_handle(self):
        self.seen = True
    def handle(self):
        self.sleep(0.005)
        self.response.payload = {'id': self.request.payload['id']}
";
    let server = server()
        .service("api.py", source)
        .channel("/order", "api.order")
        .start();
    assert_eq!(
        server.post("/order", r#"{"id": 7}"#).expect(200).json(),
        json!({"id": 7})
    );
    server.wait_log(&["slow call of service `api.order`"]);
    let slow = || {
        let mut command = server.command("service");
        command
            .arg("slow")
            .arg(server.directory())
            .args(["api.order", "--json"]);
        run(&mut command).expect_code(0).json()
    };
    let call = wait_until("the call is kept", || slow().get(0).cloned());
    assert!(call["duration_ms"].as_u64().unwrap() >= 5, "{call}");
    assert_eq!(
        (&call["threshold_ms"], &call["channel"]),
        (&json!(1), &json!("http-soap"))
    );
    let mut command = server.command("service");
    let text = run(command.arg("slow").arg(server.directory())).expect_code(0).stdout;
    assert!(text.contains("ms (slow from 1 ms) api.order cid="), "{text}");

    // what is set for the service wins, and stays when it is switched off and on
    server
        .import("service: [{name: api.order, slow_threshold: 100000}]")
        .expect_code(0);
    for switch in ["disable", "enable"] {
        run(server
            .command("service")
            .arg(switch)
            .arg(server.directory())
            .arg("api.order"))
        .expect_code(0);
    }
    server.post("/order", r#"{"id": 7}"#).expect(200);
    let exported = server.enmasse(&["--export"], "").expect_code(0).stdout;
    assert!(exported.contains("slow_threshold: 100000"), "{exported}");
    assert_eq!(slow().as_array().unwrap().len(), 1);
    for (body, details) in [
        (r#"{}"#, "'id' is a required property"),
        (r#"{"id": "x"}"#, "'x' is not of type 'integer'"),
        ("", "'' is not of type 'object'"),
    ] {
        let response = server.post("/order", body).expect(400);
        let told = response.json()["details"].as_str().unwrap().to_owned();
        assert!(told.contains(details), "{told}");
    }
}
