//! JSON-RPC channels.

use busbar_testkit::TestServer;
use serde_json::{Value, json};

use crate::server;

const SERVICES: &str = "
from zato.common.exception import BadRequest, Forbidden
from zato.server.service import Service

seen = []

class Add(Service):
    class SimpleIO:
        input = 'a_count', 'b_count'
        output = 'sum_count'
    def handle(self):
        seen.append(self.request.input.a_count)
        self.response.payload.sum_count = self.request.input.a_count + self.request.input.b_count

class Seen(Service):
    def handle(self):
        self.response.payload = {'seen': seen, 'type': self.channel.type}

class Fail(Service):
    def handle(self):
        kind = self.request.payload[0] if self.request.payload else ''
        if kind == 'forbidden':
            raise Forbidden(self.cid, 'secret reason')
        raise Exception('secret reason')

class Hidden(Service):
    def handle(self):
        self.response.payload = 'never'
";

fn start() -> TestServer {
    server()
        .service("rpc.py", SERVICES)
        .enmasse("channel_json_rpc: [{name: rpc, url_path: /rpc, service_whitelist: [rpc.add, rpc.seen, rpc.fail, rpc.none]}]")
        .start()
}

#[test]
fn methods_are_services_that_the_channel_lists() {
    let server = start();
    let call = |body: Value| server.post("/rpc", body.to_string()).expect(200).json();
    let add = |id: Value, a: Value| json!({"jsonrpc": "2.0", "method": "rpc.add", "params": {"a_count": a, "b_count": 2}, "id": id});
    assert_eq!(
        call(add(json!("x"), json!(1))),
        json!({"jsonrpc": "2.0", "id": "x", "result": {"sum_count": 3}})
    );
    assert_eq!(
        call(json!([add(json!(1), json!(1)), add(json!(2), json!(2))])),
        json!([{"jsonrpc": "2.0", "id": 1, "result": {"sum_count": 3}}, {"jsonrpc": "2.0", "id": 2, "result": {"sum_count": 4}}])
    );
    // without an id it is a notification: run, and not answered
    let mut notification = add(json!(0), json!(77));
    notification.as_object_mut().unwrap().remove("id");
    let response = server.post("/rpc", notification.to_string()).expect(204);
    assert!(response.body.is_empty());
    let seen = call(json!([notification, {"jsonrpc": "2.0", "method": "rpc.seen", "id": null}]));
    assert_eq!(
        seen,
        json!([{"jsonrpc": "2.0", "id": null, "result": {"seen": [1, 1, 2, 77, 77], "type": "json-rpc"}}])
    );
}

#[test]
fn errors_have_their_codes() {
    let server = start();
    let call = |method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 7}).to_string()
    };
    for (body, id, code, message) in [
        ("{".to_owned(), json!(null), -32700, "Parse error"),
        ("[1,".to_owned(), json!(null), -32700, "Parse error"),
        (String::new(), json!(null), -32700, "Parse error"),
        (
            "[]".to_owned(),
            json!(null),
            -32600,
            "Invalid request: 1 to 1000 calls are expected",
        ),
        (
            "1".to_owned(),
            json!(null),
            -32600,
            "Invalid request: an object is expected",
        ),
        (
            r#"{"method":"rpc.add","id":7}"#.to_owned(),
            json!(7),
            -32600,
            "Invalid request: `jsonrpc` must be \"2.0\"",
        ),
        (
            r#"{"jsonrpc":"2.0","method":1,"id":7}"#.to_owned(),
            json!(7),
            -32600,
            "Invalid request: `method` must be a text",
        ),
        (
            call("rpc.add", json!(1)),
            json!(7),
            -32600,
            "Invalid request: `params` must be an object or a list",
        ),
        (
            call("rpc.hidden", json!([])),
            json!(7),
            -32601,
            "No such method `rpc.hidden`",
        ),
        (
            call("rpc.none", json!([])),
            json!(7),
            -32601,
            "No such method `rpc.none`",
        ),
        (
            call("rpc.add", json!({"a_count": 1})),
            json!(7),
            -32602,
            "Element missing: b_count",
        ),
        (call("rpc.fail", json!(["forbidden"])), json!(7), -32403, "Forbidden"),
        (
            call("rpc.fail", json!(["other"])),
            json!(7),
            -32000,
            "Message could not be handled",
        ),
    ] {
        let response = server.post("/rpc", &body).expect(200);
        let expected = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": {"ctx": {"cid": response.cid()}}}});
        assert_eq!(response.json(), expected, "{body}");
    }
    let refused =
        server.import("channel_rest: [{name: x, url_path: /x, service: rpc.add, service_whitelist: [rpc.add]}]");
    assert_ne!(refused.code, 0);
}
