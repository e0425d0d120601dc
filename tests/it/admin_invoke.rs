//! `zato.service.invoke`, with and without waiting: what services are given, what they are told of it, and what callers may not do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_testkit::{Request, Response, TestServer, wait_until};
use serde_json::{Map, Value, json};

use crate::queue::queue;
use crate::server;

const EK: &str = "
import json
from zato.server.service import Service

def note(self, *seen):
    self.kvdb.conn.rpush('seen', json.dumps([*seen, str(self.channel), self.channel.name, self.transport, self.data_format]))
    self.response.payload = 'noted'

class Record(Service):
    name = 'ek.record'
    def handle(self):
        note(self, repr(self.request.payload), repr(self.request.raw_request))

class Declared(Service):
    name = 'ek.declared'
    input = 'a', '-b'
    def handle(self):
        note(self, dict(self.request.input))

class Secret(Service):
    name = 'ek.secret'
    def handle(self):
        self.kvdb.conn.incr('secret')

class Called(Service):
    name = 'ek.called'
    def handle(self):
        environ = dict(self.environ)
        self.kvdb.conn.rpush('called', json.dumps([self.request.payload, str(self.channel), self.in_reply_to, environ]))

class Give(Service):
    name = 'ek.give'
    def handle(self):
        self.response.payload = self.request.payload

class Manage(Service):
    name = 'ek.manage'
    def handle(self):
        def made(name):
            return {'name': name, 'is_active': True, 'username': name, 'realm': 'r'}
        create = 'zato.security.basic-auth.create'
        self.invoke_async(create, made('one'), callback='ek.called', cid='own', environ={'table': 7})
        self.invoke_async(create, json.dumps(made('two')))
        self.invoke_async('ek.give', made('three'), callback=create)
        errors = []
        for name, options in (('zato.nope', {}), ('nope', {}), ('ek.give', {'callback': 'zato.nope'})):
            try:
                self.invoke_async(name, '', **options)
            except KeyError as error:
                errors.append(error.args[0])
        self.response.payload = errors

class Redis(Service):
    name = 'ek.redis'
    def handle(self):
        name, *args = self.request.payload
        self.response.payload = {'result': getattr(self.kvdb.conn, name)(*args)}
";

const USERS: &str = "
security:
  - {name: robot, type: basic_auth, username: robot, password: r}
rbac_role:
  - {name: Robot, parent: Root}
rbac_role_permission:
  - {name: robots invoke, role: Robot, service: zato.service.invoke, permission: Create}
  - {name: robots record, role: Robot, service: ek.record, permission: Create}
  - {name: robots list, role: Robot, service: zato.security.basic-auth.get-list, permission: Read}
rbac_client_role:
  - {name: robot, client_def: robot, role: Robot}
";

fn start() -> TestServer {
    server()
        .service("ek.py", EK)
        .enmasse(USERS)
        .config("[queue]\nretry_secs = 0.05\nmax_deliveries = 2\n")
        .start()
}

fn redis(server: &TestServer, command: &Value) -> Value {
    server.invoke("ek.redis", &command.to_string()).expect(200).json()["result"].take()
}

/// Asks for a call as administrators do, or as one of `robot`.
fn invoke_as(server: &TestServer, user: Option<(&str, &str)>, service: &str, payload: &[u8], more: &Value) -> Response {
    let mut body = Map::from_iter([
        ("name".to_owned(), service.into()),
        ("payload".to_owned(), STANDARD.encode(payload).into()),
    ]);
    body.extend(more.as_object().cloned().unwrap());
    let (name, password) = user.unwrap_or(("admin.invoke", server.admin_password()));
    let request = Request::new("POST", "/zato/admin/invoke").body(Value::Object(body).to_string());
    server.send_admin(&request.basic(name, password))
}

fn invoke(server: &TestServer, service: &str, payload: &[u8], more: &Value) -> Response {
    invoke_as(server, None, service, payload, more)
}

/// The next thing that a service has noted.
fn seen(server: &TestServer, what: &str) -> Value {
    let text = wait_until(what, || {
        redis(server, &json!(["lpop", "seen"])).as_str().map(str::to_owned)
    });
    serde_json::from_str(&text).unwrap()
}

/// The queue is empty, and nothing of it was given up.
fn expect_all_done(server: &TestServer) {
    wait_until("the queue to be empty", || {
        let status = queue(server, &["status"]);
        (status.contains("0 waiting") && status.contains("0 dead")).then_some(())
    });
}

#[test]
fn a_service_gets_the_same_whether_somebody_waits_or_not() {
    let server = start();
    let xml = b"<r><a>1</a><b>\xc3\xa9</b></r>";
    let soap = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><r><a>1</a></r></s:Body></s:Envelope>";
    let cases: [(&str, &[u8], Value, Value); 14] = [
        (
            "ek.record",
            br#"{"a": 1}"#,
            json!({"data_format": "json"}),
            json!(["{'a': 1}", "b'{\"a\": 1}'", "invoke", "invoke", "", "json"]),
        ),
        // what the client of 3.2 sends when there is nothing to send
        (
            "ek.record",
            br#""""#,
            json!({"data_format": "json", "transport": null}),
            json!(["''", "b'\"\"'", "invoke", "invoke", "", "json"]),
        ),
        (
            "ek.record",
            b"[1, 2]",
            json!({"data_format": "json"}),
            json!(["[1, 2]", "b'[1, 2]'", "invoke", "invoke", "", "json"]),
        ),
        (
            "ek.record",
            b"7",
            json!({"data_format": "json"}),
            json!(["7", "b'7'", "invoke", "invoke", "", "json"]),
        ),
        (
            "ek.record",
            b"",
            json!({"data_format": "json"}),
            json!(["''", "b''", "invoke", "invoke", "", "json"]),
        ),
        (
            "ek.record",
            b"plain text",
            json!({}),
            json!(["b'plain text'", "b'plain text'", "invoke", "invoke", "", ""]),
        ),
        (
            "ek.record",
            b"\xff\x00",
            json!({}),
            json!(["b'\\xff\\x00'", "b'\\xff\\x00'", "invoke", "invoke", "", ""]),
        ),
        (
            "ek.record",
            b"",
            json!({"payload": null}),
            json!(["b''", "b''", "invoke", "invoke", "", ""]),
        ),
        (
            "ek.record",
            b"a,b\n1,2\n",
            json!({"data_format": "csv"}),
            json!([
                "[['a', 'b'], ['1', '2']]",
                "b'a,b\\n1,2\\n'",
                "invoke",
                "invoke",
                "",
                "csv"
            ]),
        ),
        // an envelope of `self.invoke_async` is data like any other
        (
            "ek.record",
            br#"{"payload": 1, "channel": "x", "cid": "y", "callback": ["ek.secret"]}"#,
            json!({"data_format": "dict", "channel": "ek.record"}),
            json!([
                r#"b'{"payload": 1, "channel": "x", "cid": "y", "callback": ["ek.secret"]}'"#,
                r#"b'{"payload": 1, "channel": "x", "cid": "y", "callback": ["ek.secret"]}'"#,
                "ek.record",
                "ek.record",
                "",
                "dict"
            ]),
        ),
        (
            "ek.declared",
            br#"{"a": "1"}"#,
            json!({"data_format": "json", "channel": "invoke-async", "transport": "plain_http"}),
            json!([{"a": "1"}, "invoke-async", "invoke-async", "plain_http", "json"]),
        ),
        (
            "ek.declared",
            b"a=1\nb=2",
            json!({"data_format": "json", "channel": ""}),
            json!([{"a": "1", "b": "2"}, "invoke", "invoke", "", "json"]),
        ),
        (
            "ek.declared",
            xml,
            json!({"data_format": "xml"}),
            json!([{"a": "1", "b": "\u{e9}"}, "invoke", "invoke", "", "xml"]),
        ),
        (
            "ek.declared",
            soap,
            json!({"data_format": "xml", "channel": "jobs", "transport": "soap"}),
            json!([{"a": "1"}, "jobs", "jobs", "soap", "xml"]),
        ),
    ];
    for (service, payload, mut more, expected) in cases {
        for is_async in [false, true] {
            more["is_async"] = is_async.into();
            let answer = invoke(&server, service, payload, &more).expect(200).json();
            let answer = STANDARD.decode(answer["response"].as_str().unwrap()).unwrap();
            assert_eq!(answer.len(), if is_async { 24 } else { 5 }, "{more}");
            let mut noted = seen(&server, &format!("{service} with {more}"));
            if let Some(input) = noted[0].as_object_mut() {
                input.retain(|_, value| *value != "");
            }
            assert_eq!(noted, expected, "{more}");
        }
    }
    expect_all_done(&server);
    assert_eq!(redis(&server, &json!(["get", "secret"])), Value::Null);
}

#[test]
fn what_a_service_cannot_use_is_refused_at_once() {
    let server = start();
    for (service, payload, more, said) in [
        ("ek.declared", "{", json!({"data_format": "json"}), "JSON"),
        (
            "ek.declared",
            "{}",
            json!({"data_format": "json"}),
            "Element missing: a",
        ),
        (
            "ek.declared",
            "<r/>",
            json!({"data_format": "xml"}),
            "Element missing: a",
        ),
        (
            "ek.declared",
            "<r><a>1</a></r>",
            json!({"data_format": "xml", "transport": "soap"}),
            "envelope",
        ),
        ("ek.record", "", json!({"transport": "pigeon"}), "transport"),
        ("ek.record", "", json!({"expiration": -5}), "expiration"),
        ("ek.record", "", json!({"expiration": 0}), "expiration"),
        (
            "zato.security.basic-auth.create",
            "{}",
            json!({"data_format": "json"}),
            "name",
        ),
    ] {
        let mut more = more;
        more["is_async"] = true.into();
        let details =
            invoke(&server, service, payload.as_bytes(), &more).expect(400).json()["zato_env"]["details"].take();
        assert!(details.as_str().unwrap().contains(said), "{service} {more}: {details}");
    }
    expect_all_done(&server);
}

#[test]
fn whoever_may_call_one_service_has_no_other_called() {
    let server = start();
    let robot = Some(("robot", "r"));
    let create = "zato.security.basic-auth.create";
    let definition = json!({"name": "mine", "is_active": true, "username": "mine", "realm": "r"});
    for service in [create, "ek.secret", "ek.give"] {
        for is_async in [true, false] {
            let body = definition.to_string();
            invoke_as(&server, robot, service, body.as_bytes(), &json!({"is_async": is_async})).expect(403);
        }
    }
    // in the words of a message of `self.invoke_async`
    for name in ["ek.secret", create] {
        let envelope = json!({"payload": definition, "callback": [name], "cid": "mine", "channel": "x", "environ": {}, "data_format": "json"});
        for format in ["json", "dict", ""] {
            let more = json!({"is_async": true, "data_format": format, "channel": "invoke-async", "callback": [name]});
            invoke_as(&server, robot, "ek.record", envelope.to_string().as_bytes(), &more).expect(200);
            let noted = seen(&server, "the attack");
            assert!(noted[0].as_str().unwrap().contains("callback"), "{noted}");
        }
        let listing = json!({"cluster_id": 1, "payload": "{}", "callback": [name]}).to_string();
        let list = "zato.security.basic-auth.get-list";
        invoke_as(
            &server,
            robot,
            list,
            listing.as_bytes(),
            &json!({"is_async": true, "data_format": "json"}),
        )
        .expect(200);
    }
    expect_all_done(&server);
    assert_eq!(redis(&server, &json!(["get", "secret"])), Value::Null);
    let list = invoke(
        &server,
        "zato.security.basic-auth.get-list",
        b"{}",
        &json!({"is_async": false}),
    );
    let list = list.expect(200).json();
    let list = STANDARD.decode(list["response"].as_str().unwrap()).unwrap();
    assert!(!String::from_utf8(list).unwrap().contains("mine"));
}

#[test]
fn services_leave_messages_for_services_that_manage_the_server() {
    let server = start();
    let errors = server.invoke("ek.manage", "").expect(200).json();
    assert_eq!(errors, json!(["zato.nope", "nope", "zato.nope"]));
    let called = wait_until("the callback", || {
        redis(&server, &json!(["lpop", "called"])).as_str().map(str::to_owned)
    });
    let called: Value = serde_json::from_str(&called).unwrap();
    assert_eq!(
        called,
        json!([{"id": called[0]["id"], "name": "one"}, "invoke-async-callback", "own", {"table": 7}])
    );
    expect_all_done(&server);
    let more = json!({"is_async": false, "data_format": "json"});
    let list = invoke(&server, "zato.security.basic-auth.get-list", b"{}", &more)
        .expect(200)
        .json();
    let list = String::from_utf8(STANDARD.decode(list["response"].as_str().unwrap()).unwrap()).unwrap();
    for name in ["one", "two", "three"] {
        assert!(list.contains(&format!("\"username\":\"{name}\"")), "{name}: {list}");
    }
}

#[test]
fn what_is_out_of_range_is_named() {
    let server = start();
    let ask = |service: &str, payload: Value| {
        let more = json!({"is_async": false, "data_format": "json"});
        let response = invoke(&server, service, payload.to_string().as_bytes(), &more);
        let details = response.json()["zato_env"]["details"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (response.status, details)
    };
    for service in ["zato.crypto.generate-password", "zato.crypto.generate-secret"] {
        for bits in [-1, 0, 7, 1_i64 << 40] {
            let (status, details) = ask(service, json!({"bits": bits}));
            assert_eq!(status, 400, "{details}");
            assert!(details.contains("field `bits`"), "{details}");
        }
        assert_eq!(ask(service, json!({"bits": 128})).0, 200);
    }
    let (status, details) = ask("zato.service.slow-response.get-list", json!({"name": "no.such"}));
    assert_eq!(status, 404, "{details}");
    assert!(details.contains("no.such"), "{details}");
    assert_eq!(
        ask("zato.service.slow-response.get-list", json!({"name": "ek.record"})).0,
        200
    );
}

#[test]
fn soap_answers_are_in_the_namespace_of_the_request() {
    let server = start();
    let ask = |namespace: &str| {
        let body = format!(
            "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:zato=\"{namespace}\">\
             <soapenv:Body><zato:zato_ping_request/></soapenv:Body></soapenv:Envelope>"
        );
        let request = Request::new("POST", "/zato/soap")
            .header("SOAPAction", "zato.ping")
            .body(body);
        let response = server
            .send_admin(&request.basic("pubapi", server.password()))
            .expect(200);
        (response.text(), response.cid().to_owned())
    };
    for (asked, expected) in [
        ("https://zato.io/ns/v1", "https://zato.io/ns/v1"),
        ("https://zato.io/ns/20130518", "https://zato.io/ns/20130518"),
        ("urn:other", "https://zato.io/ns/20130518"),
    ] {
        let (text, cid) = ask(asked);
        let wanted = format!(
            "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"{expected}\"><soap:Body>\
             <zato_ping_response xmlns=\"{expected}\"><zato_env><cid>{cid}</cid><result>ZATO_OK</result></zato_env>\
             <item><pong>zato</pong></item></zato_ping_response></soap:Body></soap:Envelope>"
        );
        assert_eq!(text, wanted);
    }
}
