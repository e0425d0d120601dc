//! What a channel's options do for its callers.

use std::io::{Read, Write};

use busbar_testkit::{Request, Response, wait_until};
use serde_json::{Value, json};

use crate::{ECHO, OK, server};

/// Tells where each value came from.
const SHOW: &str = "
from zato.server.service import Service

class Show(Service):
    def handle(self):
        self.response.payload = {
            'params': dict(self.request.http.params), 'input': dict(self.request.input), 'GET': dict(self.request.http.GET),
            'all': dict(self.request.channel_params),
        }

class Declared(Service):
    input = '-x', '-y'
    output = '-x', '-y'
    def handle(self):
        self.response.payload = dict(self.request.input)

class Many(Service):
    def handle(self):
        self.response.payload = {'count': len(self.request.http.GET), 'input': len(self.request.input)}
";

#[test]
fn options_say_which_value_of_a_name_wins() {
    let channels = "
channel_rest:
  - {name: default, url_path: '/default/{x}', service: options.show, data_format: json}
  - {name: path, url_path: '/path/{x}', service: options.show, data_format: json, url_params_pri: path-over-qs}
  - {name: apart, url_path: '/apart/{x}', service: options.show, data_format: json, merge_url_params_req: false}
  - {name: declared, url_path: '/declared/{x}', service: options.declared, data_format: json}
  - {name: declared-body, url_path: '/declared-body/{x}', service: options.declared, data_format: json, params_pri: msg-over-channel-params}
  - {name: declared-apart, url_path: '/declared-apart/{x}', service: options.declared, data_format: json, merge_url_params_req: false}
";
    let server = server().service("options.py", SHOW).enmasse(channels).start();
    let post = |target: &str| server.post(target, r#"{"x":"body","z":1}"#).expect(200).json();
    let expected = |params: Value, input: Value, all: Value| json!({"params": params, "input": input, "GET": {"x": "query", "q": ["1", ""]}, "all": all});
    let query = "?x=query&q=1&q=";
    // without declared input parameters add to the body, they replace nothing in it
    assert_eq!(
        post(&format!("/default/path{query}")),
        expected(
            json!({"x": "query", "q": ["1", ""]}),
            json!({"x": "body", "z": 1, "q": ["1", ""]}),
            json!({"x": "query", "q": ["1", ""]})
        )
    );
    assert_eq!(
        post(&format!("/path/path{query}")),
        expected(
            json!({"x": "path"}),
            json!({"x": "body", "z": 1, "q": ["1", ""]}),
            json!({"x": "path", "q": ["1", ""]})
        )
    );
    assert_eq!(
        post(&format!("/apart/path{query}"))["input"],
        json!({"x": "body", "z": 1})
    );

    assert_eq!(post("/declared/path?y=query"), json!({"x": "path", "y": "query"}));
    assert_eq!(post("/declared-body/path?y=query"), json!({"x": "body", "y": "query"}));
    assert_eq!(post("/declared-apart/path?y=query"), json!({"x": "body", "y": ""}));
}

#[test]
fn odd_parameters_are_the_callers_to_choose() {
    let server = server()
        .service("options.py", SHOW)
        .channel("/show/{x}", "options.show")
        .channel("/many", "options.many")
        .start();
    let many = |count: usize| {
        (0..count)
            .map(|index| format!("p{index}={index}"))
            .collect::<Vec<_>>()
            .join("&")
    };
    assert_eq!(
        server.get(&format!("/many?{}", many(5_000))).expect(200).json(),
        json!({"count": 5_000, "input": 5_000})
    );
    // more than a head may hold
    assert!(matches!(
        server.get(&format!("/many?{}", many(10_000))).status,
        414 | 431
    ));
    // all that can stand in a path may stand for a name, encoded or not
    let show = server
        .get("/show/@+,;*!()$.-:|=~%5E%20%25%2F?x%20y=%ff&n")
        .expect(200)
        .json();
    assert_eq!(show["params"]["x"], "@+,;*!()$.-:|=~^ %/");
    assert_eq!(show["GET"], json!({"x y": "\u{fffd}", "n": ""}));
    for path in ["/show/%ff", "/show/%c3%28", "/show/%", "/show/%zz", "/show/%00"] {
        let response = server.get(path).expect(400);
        assert_eq!(response.json()["details"], "Malformed URL path", "{path}");
    }
    // what a client says of its charset is not believed; what it sends must be UTF-8
    let post = |charset: &str, body: &[u8]| {
        let request =
            Request::new("POST", "/show/1").header("Content-Type", &format!("application/json; charset={charset}"));
        server.send(&request.body(body))
    };
    for charset in ["utf-8", "klingon", "iso-8859-1", ""] {
        assert_eq!(
            post(charset, "{\"a\":\"é\"}".as_bytes()).expect(200).json()["input"]["a"],
            "é"
        );
    }
    // so this is no JSON, of which a service that declares nothing makes what it can
    assert_eq!(
        post("utf-16", b"\xff\xfe{\0}\0").expect(200).json()["input"],
        json!({"x": "1"})
    );
}

#[test]
fn whoever_moves_here_is_told_of_channels_that_are_now_found_in_another_order() {
    let server = server()
        .service("ok.py", OK)
        .enmasse(
            "
channel_rest:
  - {name: b, url_path: '/o/{x}', service: ok.ok, data_format: json}
  - {name: c, url_path: '/o/static', service: ok.ok, data_format: json}
",
        )
        .start();
    server.wait_log(&["channel `c` is tried before channel `b`"]);
    let refused = server.import("channel_rest: [{name: d, url_path: '/o/{x}', service: ok.ok, data_format: json}]");
    assert_ne!(refused.code, 0);
    assert!(
        refused.stdout.contains("`/o/{x}`") || refused.stderr.contains("`/o/{x}`"),
        "{refused:?}"
    );
}

// --- compression ---

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bodies_are_compressed_both_ways() {
    let server = server()
        .service(
            "options.py",
            "
from zato.server.service import Service

class Echo(Service):
    def handle(self):
        self.response.headers['X-Coding'] = self.request.http.headers.get('content-encoding', 'none')
        self.response.payload = self.request.payload
",
        )
        .config("[http]\nmax_body = 100000\n")
        .enmasse(
            "
channel_rest:
  - {name: json, url_path: /json, service: options.echo, data_format: json, content_encoding: gzip}
  - {name: plain, url_path: /plain, service: options.echo, data_format: json}
  - {name: raw, url_path: /raw, service: options.echo}
",
        )
        .start();
    let send = |path: &str, coding: &str, body: &[u8], accept: &str| {
        let request = Request::new("POST", path)
            .header("Content-Encoding", coding)
            .header("Accept-Encoding", accept);
        server.send(&request.body(body))
    };
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(90_000));
    let response = send("/json", "gzip", &gzip(body.as_bytes()), "br, gzip").expect(200);
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(
        (response.header("vary"), response.header("x-coding")),
        (Some("Accept-Encoding"), Some("none"))
    );
    let mut text = String::new();
    flate2::read::GzDecoder::new(&response.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, body);

    let response = send("/json", "identity", b"{}", "br").expect(200);
    assert_eq!(
        (response.header("content-encoding"), response.text().as_str()),
        (None, "{}")
    );
    assert_eq!(
        send("/plain", "x-gzip", &gzip(b"[1]"), "gzip").expect(200).text(),
        "[1]"
    );
    // without a format it is the service's own business
    let response = send("/raw", "gzip", b"\x1f\x8bnone", "gzip").expect(200);
    assert_eq!(
        (response.body.as_slice(), response.header("x-coding")),
        (&b"\x1f\x8bnone"[..], Some("gzip"))
    );

    assert_eq!(send("/plain", "gzip", b"{}", "").expect(400).json()["result"], "Error");
    send("/plain", "gzip", &gzip(&vec![b' '; 200_000]), "").expect(413);
    let response = send("/plain", "br", b"{}", "").expect(415);
    assert_eq!(response.header("accept-encoding"), Some("gzip, deflate, identity"));
}

// --- the cache ---

#[test]
fn a_cache_answers_without_the_service() {
    let server = server()
        .service(
            "options.py",
            "
from zato.server.service import Service

count = 0

class Count(Service):
    def handle(self):
        global count
        count += 1
        self.response.headers['X-Count'] = str(count)
        if 'fail' in self.request.http.GET:
            raise Exception('no')
        if 'cookie' in self.request.http.GET:
            self.response.headers['Set-Cookie'] = 'a=1'
        self.response.payload = {'count': count}
",
        )
        .enmasse(
            "
channel_rest:
  - {name: kept, url_path: '/kept', service: options.count, data_format: json, cache_type: builtin, cache_expiry: 3600}
  - {name: other, url_path: '/other', service: options.count, data_format: json, cache_type: builtin}
",
        )
        .start();
    let count = |response: Response| response.expect(200).json()["count"].as_u64().unwrap();
    let first = server.get("/kept?a=1&b=2").expect(200);
    let again = server.get("/kept?b=2&a=1").expect(200);
    assert_eq!((again.json(), again.header("x-count")), (first.json(), Some("1")));
    assert_ne!(again.cid(), first.cid());
    assert_eq!(again.header("content-type"), Some("application/json"));
    // other queries, bodies, methods, channels and callers have answers of their own
    let counts = [
        count(server.get("/kept")),
        count(server.post("/kept", "1")),
        count(server.post("/kept", "2")),
        count(server.get("/other?a=1&b=2")),
        count(server.send(&Request::new("GET", "/kept").header("Authorization", "x"))),
        count(server.post("/kept", "2")),
    ];
    assert_eq!(counts, [2, 3, 4, 5, 6, 4]);
    // errors and cookies are not for others
    for (query, status) in [("fail", 500), ("cookie", 200)] {
        let target = format!("/kept?{query}=1");
        let first = server.get(&target).expect(status);
        assert_ne!(
            server.get(&target).expect(status).header("x-count"),
            first.header("x-count")
        );
    }
    // a channel that was changed starts anew
    let channel =
        "channel_rest: [{name: kept, url_path: /kept, service: options.count, data_format: json, cache_type: builtin}]";
    let changed = server.enmasse(&["--import", "--replace"], channel);
    assert_eq!(changed.code, 0, "{changed:?}");
    assert_eq!(count(server.get("/kept")), 11);
}

#[test]
fn services_may_say_what_tells_their_requests_apart() {
    let server = server()
        .service(
            "hashes.py",
            "
from zato.server.service import Service

count = 0

class Count(Service):
    def get_request_hash(self, ctx):
        assert self.cid and ctx.wsgi_environ['REQUEST_METHOD'] and ctx.channel_item.name == 'kept'
        said = ctx.channel_params.get('said')
        if said == 'wrong':
            raise ValueError('no hash')
        if said == 'number':
            return 7
        return None if said == 'nothing' else ctx.raw_request.decode()[:1]

    def handle(self):
        global count
        count += 1
        self.response.payload = {'count': count}

class Static(Count):
    @staticmethod
    def get_request_hash(ctx):
        return 'same'
",
        )
        .enmasse(
            "
security:
  - {name: ann, type: basic_auth, username: ann, password: a}
  - {name: bob, type: basic_auth, username: bob, password: b}
security_groups:
  - {name: both, members: [ann, bob]}
channel_rest:
  - {name: kept, url_path: '/kept', service: hashes.count, data_format: json, cache_type: builtin}
  - {name: static, url_path: '/static/{x}', service: hashes.static, data_format: json, cache_type: builtin}
  - {name: whose, url_path: '/whose', service: hashes.static, data_format: json, cache_type: builtin, security_groups: [both]}
  - {name: plain, url_path: '/plain', service: hashes.count, data_format: json}
",
        )
        .start();
    let count = |response: Response| response.expect(200).json()["count"].as_u64().unwrap();
    // by the first letter of the body, whatever else is sent
    let counts = [
        count(server.post("/kept", "11")),
        count(server.post("/kept?x=1", "12")),
        count(server.send(&Request::new("PUT", "/kept").body("1").header("Authorization", "x"))),
        count(server.post("/kept", "2")),
    ];
    assert_eq!(counts, [1, 1, 1, 2]);
    // without an opinion, as without the method
    let counts = [
        count(server.post("/kept?said=nothing", "1")),
        count(server.post("/kept?said=nothing", "3")),
        count(server.post("/kept?said=nothing", "1")),
    ];
    assert_eq!(counts, [3, 4, 3]);
    // what goes wrong there goes wrong with the call
    for (said, text) in [("wrong", "no hash"), ("number", "must return text")] {
        let response = server.post(&format!("/kept?said={said}"), "1").expect(500);
        server.wait_log(&[response.cid()]);
        wait_until("the exception is in the log", || {
            server.log().contains(text).then_some(())
        });
    }
    // one answer for all, but each caller has his own
    let counts = [count(server.get("/static/1")), count(server.post("/static/2", "5"))];
    assert_eq!(counts, [5, 5]);
    let by = |name: &str, password: &str| count(server.send(&Request::new("GET", "/whose").basic(name, password)));
    assert_eq!([by("ann", "a"), by("bob", "b"), by("ann", "a")], [6, 7, 6]);
    // nobody asks where nothing is kept
    assert_eq!(count(server.post("/plain?said=wrong", "1")), 8);
}

// --- web pages ---

#[test]
fn pages_of_other_sites_may_call_where_a_channel_lets_them() {
    let server = server()
        .service("ok.py", OK)
        .enmasse(
            "
security:
  - {name: key, type: apikey, username: X-API-Key, password: k3y}
channel_rest:
  - name: shared
    url_path: /shared
    method: POST
    service: ok.ok
    data_format: json
    security_name: key
    cors: {origins: ['https://shop.example'], credentials: true, expose: [X-Total], max_age: 60}
  - {name: all, url_path: /all, service: ok.ok, data_format: json, cors: {origins: ['*'], headers: [X-One]}}
  - {name: own, url_path: /own, service: ok.ok, data_format: json}
",
        )
        .start();
    let preflight = |path: &str, origin: &str, method: &str| {
        let request = Request::new("OPTIONS", path)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", method);
        server.send(&request.header("Access-Control-Request-Headers", "content-type,x-api-key"))
    };
    let response = preflight("/shared", "https://shop.example", "POST").expect(204);
    for (name, value) in [
        ("access-control-allow-origin", "https://shop.example"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "content-type,x-api-key"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
        ("vary", "Origin"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let response = preflight("/shared", "https://evil.example", "POST").expect(204);
    assert_eq!(response.header("access-control-allow-origin"), None);
    // no channel for that method, so nobody to say yes
    preflight("/shared", "https://shop.example", "DELETE").expect(405);
    let response = preflight("/all", "https://any.example", "DELETE").expect(204);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(response.header("access-control-allow-headers"), Some("X-One"));
    // without the option it is a method as any
    assert_eq!(
        preflight("/own", "https://any.example", "GET")
            .expect(200)
            .header("access-control-allow-origin"),
        None
    );

    let post = |key: &str| {
        Request::new("POST", "/shared")
            .header("Origin", "https://shop.example")
            .header("X-API-Key", key)
    };
    for (request, status) in [(post("k3y"), 200), (post("no"), 401)] {
        let response = server.send(&request).expect(status);
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some("https://shop.example")
        );
        assert_eq!(
            response.header("access-control-expose-headers"),
            Some("x-zato-cid, X-Total")
        );
    }
    assert_eq!(server.get("/own").expect(200).header("vary"), None);
    let refused = server
        .import("channel_rest: [{name: x, url_path: /x, service: ok.ok, cors: {origins: ['*'], credentials: true}}]");
    assert_ne!(refused.code, 0);
    assert!(format!("{refused:?}").contains("cors"), "{refused:?}");
}

// --- the audit log ---

#[test]
fn the_audit_log_shows_the_last_messages_without_their_secrets() {
    let server = server()
        .service("echo.py", ECHO)
        .enmasse(
            "
channel_rest:
  - name: audited
    url_path: /audited
    service: echo.echo
    data_format: json
    is_audit_log_received_active: true
    is_audit_log_sent_active: true
    max_len_messages_received: 2
    max_len_messages_sent: 1
    audit_mask: [pin]
  - {name: not, url_path: /not, service: echo.echo, data_format: json}
",
        )
        .start();
    for number in 0..3 {
        let body = format!(r#"{{"n":{number},"pin":"1234","user":{{"Password":"sesame"}}}}"#);
        server.post("/audited?token=tok&a=1", body).expect(200);
    }
    // no JSON, of which a service that declares nothing makes what it can
    let odd = server.post("/audited", "{\"pin\":").expect(200);
    let output = server.run("audit-log", &["audited", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let entries: Value = serde_json::from_str(&output.stdout).unwrap();
    let shown: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["direction"].as_str().unwrap(),
                entry["path"].as_str().unwrap(),
                entry["body"].as_str().unwrap(),
            )
        })
        .collect();
    let unread = "(7 bytes that cannot be looked through for secrets)";
    assert_eq!(shown.len(), 3);
    assert_eq!(
        shown[0],
        (
            "received",
            "/audited?token=******&a=1",
            r#"{"n":2,"pin":"******","user":{"Password":"******"}}"#
        )
    );
    assert_eq!(shown[1], ("received", "/audited", unread));
    assert_eq!(
        (shown[2].0, entries[2]["status"].as_u64(), entries[2]["cid"].as_str()),
        ("sent", Some(200), Some(odd.cid()))
    );
    assert!(!output.stdout.contains("sesame") && !output.stdout.contains("1234"));

    let output = server.run("audit-log", &["audited"]);
    assert!(
        output
            .stdout
            .contains(&format!("sent 200 cid={} POST /audited", odd.cid())),
        "{output:?}"
    );
    let output = server.run("audit-log", &["not"]);
    assert_eq!(output.code, 15, "{output:?}");
    assert!(output.stderr.contains("`not` keeps no messages"), "{output:?}");
}

// --- acknowledged at once ---

#[test]
fn an_asynchronous_channel_answers_when_the_request_is_stored() {
    let server = server()
        .service(
            "options.py",
            "
import json
import time
from pathlib import Path
from zato.server.service import Service

class Keep(Service):
    input = 'path', 'go'
    def handle(self):
        while not Path(self.request.input.go).exists():
            time.sleep(0.01)
        seen = {'cid': self.cid, 'channel': self.channel.name, 'id': self.request.http.params.id, 'header': self.request.headers['x-one']}
        part = Path(self.request.input.path + '.part')
        part.write_text(json.dumps(seen))
        part.rename(self.request.input.path)
",
        )
        .enmasse(
            "
channel_rest:
  - {name: later, url_path: '/later/{id}', service: options.keep, data_format: json, is_async: true}
  - {name: xml, url_path: /xml, service: options.keep, data_format: xml, is_async: true}
  - {name: none, url_path: /none, service: options.none, data_format: json, is_async: true}
",
        )
        .start();
    let (path, go) = (server.scratch().join("seen.json"), server.scratch().join("go"));
    let body = json!({"path": path, "go": go}).to_string();
    let response = server
        .send(&Request::new("POST", "/later/7").header("X-One", "1").body(&body))
        .expect(202);
    assert_eq!(response.json(), json!({"cid": response.cid()}));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(!path.exists());
    std::fs::write(&go, "").unwrap();
    let seen: Value = wait_until("the service has run", || {
        serde_json::from_slice(&std::fs::read(&path).ok()?).ok()
    });
    assert_eq!(
        seen,
        json!({"cid": response.cid(), "channel": "later", "id": "7", "header": "1"})
    );

    // what the service could not use is not stored
    assert_eq!(
        server.post("/later/7", "{}").expect(400).json()["details"],
        "Element missing: go"
    );
    server.post("/later/7", "{").expect(400);
    server.post("/none", "{}").expect(404);
    let response = server
        .post(
            "/xml",
            format!("<r><path>{}.xml</path><go>{}</go></r>", path.display(), go.display()),
        )
        .expect(202);
    let expected = format!(
        "<response><zato_env><cid>{}</cid><result>ZATO_OK</result></zato_env></response>",
        response.cid()
    );
    assert_eq!(response.text(), expected);
}

#[test]
fn answers_say_when_their_channel_ends() {
    let server = server()
        .service("ok.py", OK)
        .enmasse("channel_rest: [{name: old, url_path: /old, service: ok.ok, deprecation: '2026-03-01', sunset: '2026-09-01T02:00:00+02:00'}]")
        .channel("/ok", "ok.ok")
        .start();
    let response = server.post("/old", "{}").expect(200);
    assert_eq!(response.header("deprecation"), Some("@1772323200"));
    assert_eq!(response.header("sunset"), Some("Tue, 01 Sep 2026 00:00:00 GMT"));
    assert_eq!(server.post("/ok", "{}").expect(200).header("deprecation"), None);
    let refused = server
        .import("channel_rest: [{name: bad, url_path: /bad, service: ok.ok, sunset: soon}]")
        .expect_code(15);
    assert!(
        refused.stderr.contains("field `sunset`: must be a date"),
        "{}",
        refused.stderr
    );
}
