//! What a curl user sees of HTTP channels: routes, methods, credentials, built-in paths, answers and errors.

use busbar_testkit::{Request, Response};
use serde_json::json;

use crate::{ECHO, OK, server};

/// Tells what the service saw of the request.
const SHOW: &str = "
from zato.server.service import Service

class Show(Service):
    def handle(self):
        http = self.request.http
        self.response.payload = {
            'params': dict(http.params), 'GET': dict(http.GET), 'method': http.method, 'path': http.path,
            'input': dict(self.request.input), 'payload': self.request.payload, 'channel': self.channel.name,
        }
";

fn assert_error(response: &Response, status: u16, details: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(
        response.json(),
        json!({"result": "Error", "cid": response.cid(), "details": details})
    );
}

// --- routes ---

#[test]
fn names_in_braces_become_parameters() {
    let server = server()
        .service("show.py", SHOW)
        .channel("/customer/{cust_id}/orders/{order-id}", "show.show")
        .channel("/files/{path}", "show.show")
        .enmasse("channel_rest: [{name: flat, url_path: '/flat/{x}', service: show.show, match_slash: false}]")
        .start();
    let show = server
        .post("/customer/7/orders/a-1?full=1&tag=a&tag=b", r#"{"note":"x"}"#)
        .expect(200)
        .json();
    assert_eq!(show["params"]["cust_id"], "7");
    assert_eq!(show["params"]["order-id"], "a-1");
    assert_eq!(show["GET"], json!({"full": "1", "tag": ["a", "b"]}));
    assert_eq!(show["input"]["cust_id"], "7");
    assert_eq!(show["input"]["note"], "x");
    assert_eq!(show["input"]["full"], "1");
    assert_eq!(show["payload"], json!({"note": "x"}));
    assert_eq!(show["method"], "POST");

    // decoded, and a query parameter wins over one of the path
    assert_eq!(
        server.get("/files/%C3%A9t%C3%A9%20x").expect(200).json()["params"]["path"],
        "été x"
    );
    assert_eq!(
        server.get("/files/a/b/c.txt").expect(200).json()["params"]["path"],
        "a/b/c.txt"
    );
    assert_eq!(server.get("/files/a?path=b").expect(200).json()["input"]["path"], "b");
    server.get("/flat/a").expect(200);
    server.get("/flat/a/b").expect(404);
    // at least one character
    server.get("/files/").expect(404);
    server.get("/customer//orders/1").expect(404);
}

#[test]
fn a_literal_path_comes_before_a_placeholder_and_a_method_before_any() {
    let server = server()
        .service("show.py", SHOW)
        .enmasse(
            "
channel_rest:
  - {name: a, url_path: '/p/{x}', service: show.show, data_format: json}
  - {name: b, url_path: '/p/static', service: show.show, data_format: json}
  - {name: c, url_path: '/p/static', service: show.show, data_format: json, method: PUT}
  - {name: d, url_path: '/p/{x}/more', service: show.show, data_format: json}
  - {name: e, url_path: '/v', service: show.show, data_format: json, http_accept: application/vnd.x}
  - {name: f, url_path: '/v', service: show.show, data_format: json}
  - {name: g, url_path: '/dot.x', service: show.show, data_format: json}
",
        )
        .start();
    let channel = |response: Response| response.expect(200).json()["channel"].as_str().unwrap().to_owned();
    assert_eq!(channel(server.get("/p/other")), "a");
    assert_eq!(channel(server.get("/p/static")), "b");
    assert_eq!(channel(server.send(&Request::new("PUT", "/p/static"))), "c");
    assert_eq!(channel(server.get("/p/1/more")), "d");
    assert_eq!(
        channel(server.send(&Request::new("GET", "/v").header("Accept", "application/vnd.x"))),
        "e"
    );
    assert_eq!(channel(server.get("/v")), "f");
    assert_eq!(channel(server.get("/dot.x")), "g");
    server.get("/dotax").expect(404);
    server.get("/P/static").expect(404);
    server.get("/v/").expect(404);
}

#[test]
fn an_unknown_path_is_404_and_is_not_echoed() {
    let server = server().start();
    for target in ["/nothing-here", "/", "/zato/ping/", "//zato/ping"] {
        let response = server.get(target).expect(404);
        assert_eq!(response.text(), format!("URL not found (CID:{})", response.cid()));
        assert_eq!(response.header("server"), Some("busbar"));
        assert!(response.header("date").is_some());
    }
}

#[test]
fn a_method_that_the_channel_does_not_take_is_405_with_what_it_takes() {
    let server = server()
        .service("echo.py", ECHO)
        .enmasse(
            "
channel_rest:
  - {name: a, url_path: /a, service: echo.echo, data_format: json, method: POST}
  - {name: b, url_path: /a, service: echo.echo, data_format: json, method: PUT}
",
        )
        .start();
    let response = server.get("/a").expect(405);
    let mut allowed: Vec<_> = response.header("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["POST", "PUT"]);
    assert_eq!(response.text(), format!("Method not allowed (CID:{})", response.cid()));
    server.post("/a", "1").expect(200);

    // methods that no channel can have
    for method in ["TRACE", "PROPFIND", "get"] {
        let response = server.send(&Request::new(method, "/a"));
        assert_error(&response, 405, "Unsupported HTTP method");
    }
}

#[test]
fn verbs_with_methods_of_their_own() {
    let server = server()
        .service(
            "verbs.py",
            "
from zato.server.service import Service

class Verbs(Service):
    def handle_GET(self):
        self.response.payload = {'verb': 'GET'}
    def handle_DELETE(self):
        self.response.status_code = 204
",
        )
        .channel("/verbs", "verbs.verbs")
        .start();
    assert_eq!(server.get("/verbs").expect(200).json(), json!({"verb": "GET"}));
    assert!(
        server
            .send(&Request::new("DELETE", "/verbs"))
            .expect(204)
            .body
            .is_empty()
    );
    let response = server.post("/verbs", "{}").expect(405);
    assert_eq!(response.text(), "");
    assert_eq!(response.cid().len(), 24);
}

#[test]
fn inactive_channels_and_unknown_services_are_404() {
    let server = server()
        .service("ok.py", OK)
        .enmasse(
            "
channel_rest:
  - {name: 'off', url_path: /off, service: ok.ok, data_format: json, is_active: false}
  - {name: none, url_path: /none, service: not.there, data_format: json}
",
        )
        .start();
    for path in ["/off", "/none"] {
        let response = server.get(path).expect(404);
        assert!(response.text().contains(response.cid()), "{}", response.text());
    }
}

// --- credentials ---

const SECURED: &str = "
security:
  - {name: shop, type: basic_auth, username: ann, password: 'p:w é', realm: Shop}
  - {name: keys, type: apikey, username: X-API-Key, password: k3y}
  - {name: closed, type: apikey, username: X-API-Key}
channel_rest:
  - {name: basic, url_path: /basic, service: who.who, data_format: json, security_name: shop}
  - {name: key, url_path: /key, service: who.who, data_format: json, security_name: keys}
  - {name: open, url_path: /open, service: who.who, data_format: json}
  - {name: closed, url_path: /closed, service: who.who, data_format: json, security_name: closed}
";

const WHO: &str = "
from zato.server.service import Service

class Who(Service):
    def handle(self):
        security = self.channel.security
        self.response.payload = {'name': security.name, 'type': security.type, 'username': security.username}
";

#[test]
fn basic_auth() {
    let server = server().service("who.py", WHO).enmasse(SECURED).start();
    let get = || Request::new("GET", "/basic");
    let who = server.send(&get().basic("ann", "p:w é")).expect(200).json();
    assert_eq!(who, json!({"name": "shop", "type": "basic_auth", "username": "ann"}));
    let refused = [
        get(),
        get().basic("ann", "wrong"),
        get().basic("bob", "p:w é"),
        get().basic("", ""),
        get().header("Authorization", "Basic"),
        get().header("Authorization", "Basic !!!not base64!!!"),
        get().header("Authorization", "Basic YW5u"),
        get().header("Authorization", "Bearer abc"),
        get().header("Authorization", ""),
        get().header("X-API-Key", "k3y"),
    ];
    for request in refused {
        let response = server.send(&request).expect(401);
        assert_eq!(
            response.header("www-authenticate"),
            Some("Basic realm=\"Shop\""),
            "{request:?}"
        );
        let body = response.json();
        assert!(body["details"].as_str().unwrap().starts_with("Unauthorized"), "{body}");
        assert_eq!(body["cid"], response.cid());
    }
    let open = server.get("/open").expect(200).json();
    assert_eq!(open, json!({"name": null, "type": null, "username": null}));
}

#[test]
fn api_keys() {
    let server = server().service("who.py", WHO).enmasse(SECURED).start();
    let get = || Request::new("GET", "/key");
    server.send(&get().header("x-api-KEY", "k3y")).expect(200);
    for request in [
        get(),
        get().header("X-API-Key", "k3"),
        get().header("X-API-Key", ""),
        get().basic("ann", "p:w é"),
    ] {
        let response = server.send(&request);
        assert_error(&response, 401, "401 Unauthorized");
        assert_eq!(response.header("www-authenticate"), None);
    }
    // a definition without a key lets nobody in
    for value in ["", "x", "None"] {
        server
            .send(&Request::new("GET", "/closed").header("X-API-Key", value))
            .expect(401);
    }
}

// --- built-in paths ---

#[test]
fn ping_answers_whom_it_may_concern() {
    let server = server().start();
    let response = server.get("/zato/ping").expect(200);
    let body = response.json();
    assert_eq!(body["pong"], "zato");
    assert_eq!(body["zato_env"]["result"], "ZATO_OK");
    assert_eq!(body["zato_env"]["cid"], response.cid());
    assert_eq!(body["zato_ping_response"]["pong"], "zato");
    server.post("/zato/ping", "").expect(200);
}

#[test]
fn any_service_can_be_invoked_by_name_with_the_password() {
    let server = server()
        .service("echo.py", ECHO)
        .service(
            "sio.py",
            "
from zato.server.service import Service

class Inner(Service):
    class SimpleIO:
        input = 'a'
        output = 'a'
    def handle(self):
        self.response.payload.a = self.request.input.a

class Outer(Service):
    input = 'a'
    output = 'a'
    def handle(self):
        self.response.headers['X-Mine'] = 'yes'
        self.response.payload.a = self.request.input.a
",
        )
        .start();
    assert_eq!(
        server.invoke("echo.echo", r#"{"a":1}"#).expect(200).json(),
        json!({"a": 1})
    );
    assert_eq!(
        server.invoke("sio.inner", r#"{"a":"1"}"#).expect(200).json(),
        json!({"response": {"a": "1"}})
    );
    let outer = server.invoke("sio.outer", r#"{"a":"1"}"#).expect(200);
    assert_eq!((outer.json(), outer.header("x-mine")), (json!({"a": "1"}), Some("yes")));
    let get = Request::new("GET", "/zato/api/invoke/sio.outer?a=2").basic("pubapi", server.password());
    assert_eq!(server.send(&get).expect(200).json(), json!({"a": "2"}));

    let response = server.post("/zato/api/invoke/echo.echo", "{}").expect(401);
    assert!(response.header("www-authenticate").unwrap().starts_with("Basic realm="));
    for name in ["no.such", "zato.server.stop", "pub.zato.other"] {
        let response = server.invoke(name, "{}").expect(400);
        assert_eq!(response.json()["result"], "Error", "{name}");
    }
    server.invoke("sio.outer", "{not json").expect(400);
    server.invoke("sio.outer", "{}").expect(400);
}

// --- what services answer with ---

#[test]
fn statuses_headers_and_content_types_are_the_services_own() {
    let server = server()
        .service(
            "own.py",
            "
from zato.server.service import Service

class Own(Service):
    def handle(self):
        self.response.status_code = int(self.request.input.get('status', 200))
        self.response.headers['X-One'] = '1'
        self.response.headers['Server'] = 'mine'
        self.response.content_type = 'text/csv'
        self.response.payload = 'a,b'

class Injected(Service):
    def handle(self):
        self.response.headers['X-Bad'] = 'a\\r\\nX-Evil: 1'
        self.response.payload = 'x'
",
        )
        .channel("/own", "own.own")
        .channel("/injected", "own.injected")
        .start();
    for status in [200, 201, 202, 299, 301, 400, 418, 500, 599] {
        let response = server.get(&format!("/own?status={status}")).expect(status);
        assert_eq!(response.text(), "a,b");
        assert_eq!(response.header("content-type"), Some("text/csv"));
        assert_eq!(
            (response.header("x-one"), response.header("server")),
            (Some("1"), Some("mine"))
        );
        assert_eq!(response.header("content-length"), Some("3"));
    }
    for status in [0, 99, 1000, -1] {
        server.get(&format!("/own?status={status}")).expect(500);
    }
    let injected = server.get("/injected");
    assert_eq!(injected.header("x-evil"), None, "{injected:?}");
    server.get("/own").expect(200);
}

#[test]
fn head_has_no_body_and_options_is_a_method_as_any() {
    let server = server().service("ok.py", OK).channel("/ok", "ok.ok").start();
    let mut connection = server.connect();
    let head = connection.send(&Request::new("HEAD", "/ok")).unwrap().expect(200);
    assert_eq!(head.header("content-length"), Some("11"));
    // nothing of a body is in the way of the next response
    assert_eq!(
        connection
            .send(&Request::new("OPTIONS", "/ok"))
            .unwrap()
            .expect(200)
            .json(),
        json!({"ok": true})
    );
}

#[test]
fn channels_without_a_format_get_and_give_bytes() {
    let server = server()
        .service(
            "raw.py",
            "
from zato.server.service import Service

class Raw(Service):
    def handle(self):
        payload = self.request.payload
        self.response.payload = type(payload).__name__.encode() + b':' + payload[::-1]
",
        )
        .enmasse("channel_rest: [{name: raw, url_path: /raw, service: raw.raw}]")
        .start();
    let response = server.post("/raw", b"\x00\xff{").expect(200);
    assert_eq!(response.body, b"bytes:{\xff\x00");
    assert!(response.header("content-type").unwrap().starts_with("text/plain"));
}

#[test]
fn errors_of_xml_channels_and_of_those_without_a_format() {
    let server = server()
        .service(
            "gone.py",
            "
from zato.common.exception import NotFound
from zato.server.service import Service

class Gone(Service):
    def handle(self):
        raise NotFound(self.cid, 'gone & <away>')
",
        )
        .enmasse(
            "
channel_rest:
  - {name: xml, url_path: /xml, service: gone.gone, data_format: xml}
  - {name: raw, url_path: /raw, service: gone.gone}
",
        )
        .start();
    let response = server.post("/xml", "<r/>").expect(404);
    assert_eq!(response.header("content-type"), Some("application/xml"));
    let expected = format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<response><zato_env><cid>{}</cid><result>ZATO_ERROR</result>\
         <details>gone &amp; &lt;away&gt;</details></zato_env></response>",
        response.cid()
    );
    assert_eq!(response.text(), expected);
    let response = server.post("/raw", "").expect(404);
    assert_eq!(response.text(), "gone & <away>");
    assert!(response.header("content-type").unwrap().starts_with("text/plain"));
}
