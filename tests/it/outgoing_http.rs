//! Outgoing HTTP: what services send, what they get, and what they can catch when a back-end misbehaves.

use std::time::{Duration, Instant};

use busbar_testkit::backend::Refusing;
use busbar_testkit::{Answer, Backend, TestServer};
use serde_json::{Value, json};

use crate::server;

/// Makes one call and tells what came of it, exceptions by the names that services catch.
const CALL: &str = "
import requests
from zato.server.service import Service

class Call(Service):
    def handle(self):
        wanted = self.request.payload
        item = self.outgoing.plain_http[wanted.get('name', 'B')]
        try:
            response = getattr(item.conn, wanted['method'])(self.cid, *wanted.get('args', []), **wanted.get('kwargs', {}))
            self.response.payload = {
                'status': response.status_code, 'ok': response.ok, 'text': response.text, 'data': response.data,
                'length': len(response.content), 'headers': dict(response.headers), 'url': response.url,
                'type': response.headers['content-TYPE'] if 'Content-Type' in response.headers else None,
            }
        except requests.exceptions.RequestException as error:
            self.response.payload = {'caught': [cls.__name__ for cls in type(error).__mro__], 'error': str(error)}
        except Exception as error:
            self.response.payload = {'raised': [cls.__name__ for cls in type(error).__mro__], 'error': str(error)}
";

fn start(backend: &Backend, more: &str) -> TestServer {
    server()
        .service("call.py", CALL)
        .enmasse(&format!(
            "outgoing_rest:\n  - {{name: B, host: '{}', url_path: /, data_format: json}}\n{more}",
            backend.url()
        ))
        .start()
}

#[track_caller]
fn call(server: &TestServer, wanted: &Value) -> Value {
    server.invoke("call.call", &wanted.to_string()).expect(200).json()
}

/// Answers with what it got.
pub fn mirror() -> Backend {
    Backend::new(|request| {
        let headers: serde_json::Map<_, _> = request.headers.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
        Answer::json(
            &json!({"method": request.method, "target": request.target, "headers": headers, "body": request.text()}),
        )
    })
}

const SESSION: &str = "
import requests
from zato.server.service import Service

class Session(Service):
    def handle(self):
        conn = self.out.rest[self.request.payload].conn
        session = conn.session
        assert isinstance(session, requests.Session) and conn.impl is session and self.out.rest['Other'].conn.impl is not session
        headers = session.get(conn.address + 'a').json()['headers']
        try:
            self.out.rest['Slow'].conn.session.get(self.out.rest['Slow'].conn.address)
        except requests.exceptions.Timeout:
            self.response.payload = {name.lower(): value for name, value in headers.items() if name.lower() in {'authorization', 'x-key'}}
";

#[test]
fn a_session_of_requests_has_what_the_connection_has() {
    let backend = mirror();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server()
        .service("use.py", SESSION)
        .enmasse(&format!(
            "security:
  - {{name: basic, type: basic_auth, username: me, password: secret}}
  - {{name: key, type: apikey, header: X-Key, password: '123'}}
outgoing_rest:
  - {{name: Basic, host: '{0}', url_path: /, security: basic}}
  - {{name: Key, host: '{0}', url_path: /, security: key}}
  - {{name: Other, host: '{0}', url_path: /}}
  - {{name: Slow, host: 'http://{1}', url_path: /, timeout: 0.2}}
",
            backend.url(),
            silent.local_addr().unwrap()
        ))
        .start();
    for (name, expected) in [
        ("Basic", json!({"authorization": "Basic bWU6c2VjcmV0"})),
        ("Key", json!({"x-key": "123"})),
    ] {
        let answer = server.invoke("use.session", &json!(name).to_string());
        assert_eq!(answer.expect(200).json(), expected, "{name}: {}", server.log());
    }
}

#[test]
fn every_method_and_its_argument_forms() {
    let backend = mirror();
    let server = start(&backend, "");
    for (method, verb) in [("post", "POST"), ("send", "POST"), ("put", "PUT"), ("patch", "PATCH")] {
        let got = call(
            &server,
            &json!({"method": method, "args": [{"a": [1, "é"]}, {"q": "x y", "l": [1, 2]}]}),
        )["data"]
            .clone();
        assert_eq!(got["method"], verb);
        assert_eq!(
            serde_json::from_str::<Value>(got["body"].as_str().unwrap()).unwrap(),
            json!({"a": [1, "é"]})
        );
        let target = got["target"].as_str().unwrap();
        assert!(target == "/?q=x+y&l=1&l=2" || target == "/?q=x%20y&l=1&l=2", "{target}");
        assert!(
            got["headers"]["content-type"]
                .as_str()
                .unwrap()
                .starts_with("application/json")
        );
        assert_eq!(got["headers"]["x-zato-cid"].as_str().unwrap().len(), 24);
    }
    let got = call(&server, &json!({"method": "get", "args": [{"a": 1}]}));
    assert_eq!(
        (&got["data"]["method"], &got["data"]["target"]),
        (&json!("GET"), &json!("/?a=1"))
    );
    assert_eq!((&got["status"], &got["ok"]), (&json!(200), &json!(true)));
    let got = call(&server, &json!({"method": "delete", "args": [{"a": 1}]}));
    assert_eq!(
        (&got["data"]["method"], &got["data"]["target"]),
        (&json!("DELETE"), &json!("/?a=1"))
    );
    let got = call(&server, &json!({"method": "options"}));
    assert_eq!(got["data"]["method"], "OPTIONS");
    // a str is sent as it is, headers of the call win
    let kwargs = json!({"data": "<x/>", "headers": {"Content-Type": "text/xml", "X-Mine": "1"}});
    let got = call(&server, &json!({"method": "post", "kwargs": kwargs}));
    assert_eq!(got["data"]["body"], "<x/>");
    assert_eq!(got["data"]["headers"]["content-type"], "text/xml");
    assert_eq!(got["data"]["headers"]["x-mine"], "1");
    let got = call(&server, &json!({"method": "post", "kwargs": {"json": {"j": 1}}}));
    assert_eq!(
        serde_json::from_str::<Value>(got["data"]["body"].as_str().unwrap()).unwrap(),
        json!({"j": 1})
    );
}

#[test]
fn placeholders_are_filled_from_params() {
    let backend = mirror();
    let server = start(
        &backend,
        &format!(
            "  - {{name: P, host: '{}', url_path: '/customer/{{id}}/{{what}}', data_format: json}}\n",
            backend.url()
        ),
    );
    let got = call(
        &server,
        &json!({"name": "P", "method": "get", "args": [{"id": "7/8 é", "what": "x", "q": "1"}]}),
    );
    assert_eq!(got["data"]["target"], "/customer/7%2F8%20%C3%A9/x?q=1");
    for params in [json!([]), json!([{"id": 1}])] {
        let got = call(&server, &json!({"name": "P", "method": "get", "args": params}));
        assert_eq!(got["raised"][0], "ValueError", "{got}");
    }
    assert_eq!(backend.count(), 1);
}

#[test]
fn credentials_are_the_connections_own() {
    let backend = mirror();
    let server = server()
        .service("call.py", CALL)
        .enmasse(&format!(
            "
security:
  - {{name: sec.basic, type: basic_auth, username: ann, password: p w}}
  - {{name: sec.key, type: apikey, username: X-Key, password: k3y}}
outgoing_rest:
  - {{name: basic, host: '{url}', url_path: /, security_name: sec.basic}}
  - {{name: key, host: '{url}', url_path: /, security_name: sec.key}}
",
            url = backend.url()
        ))
        .start();
    call(&server, &json!({"name": "basic", "method": "get"}));
    assert_eq!(backend.last().header("authorization"), Some("Basic YW5uOnAgdw=="));
    call(&server, &json!({"name": "key", "method": "get"}));
    assert_eq!(backend.last().header("x-key"), Some("k3y"));
    assert_eq!(backend.last().header("authorization"), None);
    for secret in ["p w", "k3y", "YW5uOnAgdw=="] {
        assert!(!server.log().contains(secret), "{secret} is in the log");
    }
}

#[test]
fn connections_are_kept_and_shared() {
    let backend = mirror();
    let server = start(&backend, "");
    for _ in 0..20 {
        call(&server, &json!({"method": "get"}));
    }
    let connections: std::collections::HashSet<_> =
        backend.received().iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 2, "{connections:?}");
}

#[test]
fn statuses_never_raise_and_bodies_are_parsed_by_type() {
    let backend = Backend::new(|request| match request.path() {
        "/404" => Answer::respond(404, &[("Content-Type", "application/json")], br#"{"e":1}"#),
        "/500" => Answer::respond(500, &[("Content-Type", "text/plain")], b"down"),
        "/204" => Answer::respond(204, &[], b""),
        "/empty" => Answer::respond(200, &[("Content-Type", "application/json")], b""),
        "/bad" => Answer::respond(200, &[("Content-Type", "application/json")], b"{nope"),
        "/latin" => Answer::respond(200, &[("Content-Type", "text/plain; charset=iso-8859-1")], b"\xe9"),
        "/gzip" => Answer::respond(
            200,
            &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
            // gzip of {"zipped":true}
            &[
                31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 170, 202, 44, 40, 72, 77, 81, 178, 42, 41, 42, 77, 173, 5, 0,
                132, 40, 188, 8, 15, 0, 0, 0,
            ],
        ),
        "/moved" => Answer::respond(302, &[("Location", "/404")], b""),
        "/loop" => Answer::respond(302, &[("Location", "/loop")], b""),
        "/see-other" => Answer::respond(303, &[("Location", "/method")], b""),
        "/method" => Answer::json(&json!(request.method)),
        "/temporary" => Answer::respond(307, &[("Location", "/method")], b""),
        _ => Answer::text("text/plain", "plain"),
    });
    let paths = [
        "404",
        "500",
        "204",
        "empty",
        "bad",
        "latin",
        "gzip",
        "moved",
        "loop",
        "see-other",
        "temporary",
        "plain",
    ];
    let objects: String = paths
        .iter()
        .map(|path| format!("  - {{name: '{path}', host: '{}', url_path: /{path}}}\n", backend.url()))
        .collect();
    let server = start(&backend, &objects);
    let get = |name: &str| call(&server, &json!({"name": name, "method": "get"}));

    let got = get("404");
    assert_eq!(
        (&got["status"], &got["ok"], &got["data"]),
        (&json!(404), &json!(false), &json!({"e": 1}))
    );
    let got = get("500");
    assert_eq!(
        (&got["status"], &got["data"], &got["text"]),
        (&json!(500), &json!("down"), &json!("down"))
    );
    assert_eq!(get("204")["status"], 204);
    assert_eq!(get("empty")["data"], "");
    let got = get("bad");
    assert!(got["error"].as_str().is_some_and(|text| text.contains("JSON")), "{got}");
    assert_eq!(get("latin")["text"], "é");
    assert_eq!(get("gzip")["data"], json!({"zipped": true}));
    assert_eq!(get("plain")["data"], "plain");
    // redirects
    let got = get("moved");
    assert_eq!(
        (&got["status"], got["url"].as_str().unwrap().ends_with("/404")),
        (&json!(404), true)
    );
    let got = get("loop");
    assert_eq!(got["caught"][0], "TooManyRedirects", "{got}");
    assert_eq!(
        call(&server, &json!({"name": "see-other", "method": "post", "args": ["x"]}))["data"],
        "GET"
    );
    assert_eq!(
        call(&server, &json!({"name": "temporary", "method": "post", "args": ["x"]}))["data"],
        "POST"
    );
}

#[test]
fn faults_raise_what_users_of_requests_catch() {
    let backend = Backend::new(|request| match request.path() {
        "/close" => Answer::Close,
        "/reset" => Answer::Reset,
        "/hang" => Answer::Hang,
        "/drip" => Answer::Drip(Duration::from_secs(1), vec![b'x'; 100]),
        "/garbage" => Answer::Raw(b"\x16\x03\x01 this is not HTTP\r\n\r\n".to_vec()),
        "/cut" => Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this".to_vec()),
        "/cut-chunk" => Answer::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this".to_vec()),
        "/endless-head" => Answer::Raw([b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 4 << 20]].concat()),
        "/not-gzip" => Answer::respond(200, &[("Content-Encoding", "gzip")], b"plain"),
        _ => Answer::json(&json!("fine")),
    });
    let refusing = Refusing::new();
    let paths = [
        "close",
        "reset",
        "hang",
        "drip",
        "garbage",
        "cut",
        "cut-chunk",
        "endless-head",
        "not-gzip",
    ];
    let objects: String = paths
        .iter()
        .map(|path| {
            format!(
                "  - {{name: '{path}', host: '{}', url_path: /{path}, timeout: 1.5}}\n",
                backend.url()
            )
        })
        .collect();
    let server = start(
        &backend,
        &format!(
            "{objects}  - {{name: refused, host: '{}', url_path: /}}\n  - {{name: nowhere, host: 'http://name.invalid', url_path: /}}\n",
            refusing.url()
        ),
    );
    for (name, expected) in [
        ("refused", &["ConnectionError"][..]),
        ("nowhere", &["ConnectionError"]),
        ("close", &["ConnectionError"]),
        ("reset", &["ConnectionError"]),
        ("hang", &["Timeout", "TimeoutException"]),
        ("drip", &["Timeout", "TimeoutException"]),
        ("garbage", &["ConnectionError"]),
        ("cut", &["ConnectionError", "ChunkedEncodingError"]),
        ("cut-chunk", &["ConnectionError", "ChunkedEncodingError"]),
        ("endless-head", &["ConnectionError"]),
        ("not-gzip", &["ContentDecodingError"]),
    ] {
        let started = Instant::now();
        let got = call(&server, &json!({"name": name, "method": "get"}));
        let caught: Vec<_> = got["caught"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        assert!(expected.iter().any(|class| caught.contains(class)), "{name}: {got}");
        assert!(caught.contains(&"RequestException"), "{name}: {got}");
        assert!(!got["error"].as_str().unwrap().is_empty(), "{name}");
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{name}: {:?}",
            started.elapsed()
        );
    }
    // and nothing of it spoils the next call
    assert_eq!(call(&server, &json!({"method": "get"}))["data"], "fine");
}

#[test]
fn a_kept_connection_that_the_back_end_closed_is_not_an_error() {
    // answers once on each connection, then closes it
    let backend = Backend::new(|_| Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42".to_vec()));
    let server = start(&backend, "");
    for _ in 0..20 {
        assert_eq!(call(&server, &json!({"method": "get"}))["data"], 42);
    }
}

#[test]
fn a_back_end_that_hangs_does_not_hold_up_other_services() {
    let backend = Backend::always(Answer::Hang);
    let server = server()
        .service("call.py", CALL)
        .service("ok.py", crate::OK)
        .channel("/ok", "ok.ok")
        .channel("/call", "call.call")
        .enmasse(&format!(
            "outgoing_rest: [{{name: B, host: '{}', url_path: /, timeout: 20}}]",
            backend.url()
        ))
        .start();
    let address = server.address();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut connection = busbar_testkit::Connection::open(address).unwrap();
            connection
                .write(
                    &busbar_testkit::Request::new("POST", "/call")
                        .body(r#"{"method":"get"}"#)
                        .to_bytes(),
                )
                .unwrap();
            connection
        })
        .collect();
    busbar_testkit::wait_until("calls to wait for the back-end", || {
        let calls = server.status()["workers"][0]["calls"].as_u64().unwrap();
        (calls >= 40).then_some(())
    });
    for _ in 0..50 {
        server.get("/ok").expect(200);
    }
    drop(waiting);
}

#[test]
fn names_that_are_not_there() {
    let backend = mirror();
    let server = server()
        .service(
            "names.py",
            "
from zato.server.service import Service

class Names(Service):
    def handle(self):
        http = self.outgoing.plain_http
        try:
            http['nope']
        except KeyError:
            missing = 'KeyError'
        try:
            http['off'].conn.get(self.cid)
            inactive = ''
        except Exception as error:
            inactive = type(error).__name__
        self.response.payload = {
            'get': http.get('nope'), 'missing': missing, 'inactive': inactive,
            'rest': self.out.rest['B'].conn.get(self.cid).data['method'],
            'blanks': http.get(' B ').conn.get(self.cid).data['method'],
            'ping': bool(http['B'].conn.ping(self.cid)),
            'forward': http['B'].get(self.cid).data['method'],
            'no_cid': http['B'].conn.send({'x': 1}).data['body'],
        }
",
        )
        .enmasse(&format!(
            "outgoing_rest:\n  - {{name: B, host: '{url}', url_path: /, data_format: json}}\n  - {{name: 'off', host: '{url}', url_path: /, is_active: false}}\n",
            url = backend.url()
        ))
        .start();
    let got = server.invoke("names.names", "").expect(200).json();
    assert_eq!(got["get"], Value::Null);
    assert_eq!(
        (&got["missing"], &got["inactive"]),
        (&json!("KeyError"), &json!("Inactive")),
        "{got}"
    );
    assert_eq!(
        (&got["rest"], &got["blanks"], &got["forward"]),
        (&json!("GET"), &json!("GET"), &json!("GET"))
    );
    assert_eq!(
        serde_json::from_str::<Value>(got["no_cid"].as_str().unwrap()).unwrap(),
        json!({"x": 1})
    );
    assert!(
        backend.received().iter().any(|request| request.method == "HEAD"),
        "a ping is a HEAD"
    );
}

#[test]
fn a_connection_moves_to_a_new_address_while_the_server_runs() {
    let (old, new) = (
        Backend::always(Answer::json(&json!("old"))),
        Backend::always(Answer::json(&json!("new"))),
    );
    let server = start(&old, "");
    assert_eq!(call(&server, &json!({"method": "get"}))["data"], "old");
    let yaml = format!(
        "outgoing_rest: [{{name: B, host: '{}', url_path: /, data_format: json}}]",
        new.url()
    );
    server.enmasse(&["--import", "--replace"], &yaml).expect_code(0);
    assert_eq!(call(&server, &json!({"method": "get"}))["data"], "new");
}

#[test]
fn a_pool_opens_no_more_connections_than_it_may() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let backend = Backend::new({
        let (now, most) = (now.clone(), most.clone());
        move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
            now.fetch_sub(1, Ordering::SeqCst);
            Answer::json(&json!("done"))
        }
    });
    let server = server()
        .service("call.py", CALL)
        .channel("/call", "call.call")
        .enmasse(&format!(
            "outgoing_rest: [{{name: B, host: '{}', url_path: /, pool_size: 3}}]",
            backend.url()
        ))
        .start();
    let address = server.address();
    let calls: Vec<_> = (0..12)
        .map(|_| {
            std::thread::spawn(move || {
                let request = busbar_testkit::Request::new("POST", "/call").body(r#"{"method":"get"}"#);
                busbar_testkit::Connection::open(address)
                    .unwrap()
                    .send(&request)
                    .unwrap()
                    .expect(200)
                    .json()
            })
        })
        .collect();
    for call in calls {
        let got = call.join().unwrap();
        assert_eq!(got["data"], "done", "{got}");
    }
    assert!(most.load(Ordering::SeqCst) <= 3, "{most:?} connections at once");
    assert_eq!(backend.count(), 12);
}

#[test]
fn a_request_that_may_have_been_carried_out_is_not_sent_twice() {
    // takes each second request of a connection, and closes it without an answer
    let backend = Backend::new(|request| match request.text().as_str() {
        "\"first\"" => Answer::json(&json!("fine")),
        _ => Answer::Close,
    });
    let server = start(&backend, "");
    for _ in 0..3 {
        assert_eq!(
            call(&server, &json!({"method": "post", "kwargs": {"json": "first"}}))["data"],
            "fine"
        );
        let before = backend.count();
        let got = call(&server, &json!({"method": "post", "kwargs": {"json": "second"}}));
        assert!(got["caught"].is_array(), "{got}");
        assert_eq!(backend.count() - before, 1, "it was sent again");
    }
}

/// `openssl s_server` with a certificate that nobody trusts by itself.
struct Tls {
    child: std::process::Child,
    port: u16,
}

impl Tls {
    fn start(directory: &std::path::Path) -> Self {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        crate::http_protocol::certificate(directory);
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                "server.pem",
                "-key",
                "server.key",
                "-www",
            ])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // it says where it listens: ACCEPT 127.0.0.1:40123
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .find(|line| line.as_ref().is_ok_and(|line| line.starts_with("ACCEPT")))
            .unwrap()
            .unwrap();
        // what it prints later must not fill the pipe
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            port: line.rsplit(':').next().unwrap().trim().parse().unwrap(),
        }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn certificates_are_verified_unless_the_connection_says_otherwise() {
    let home = tempfile::tempdir().unwrap();
    let tls = Tls::start(home.path());
    let (port, authority) = (tls.port, home.path().join("server.pem"));
    let server = server()
        .service("call.py", CALL)
        .enmasse(&format!(
            "
outgoing_rest:
  - {{name: unknown, host: 'https://127.0.0.1:{port}', url_path: /}}
  - {{name: trusted, host: 'https://localhost:{port}', url_path: /, tls_ca_path: '{}'}}
  - {{name: other-name, host: 'https://127.0.0.2:{port}', url_path: /, tls_ca_path: '{}'}}
  - {{name: unchecked, host: 'https://127.0.0.1:{port}', url_path: /, tls_verify: false}}
",
            authority.display(),
            authority.display()
        ))
        .start();
    let get = |name: &str| call(&server, &json!({"name": name, "method": "get"}));
    let refused = get("unknown");
    assert_eq!(refused["caught"][0], "SSLError", "{refused}");
    assert!(
        refused["caught"]
            .as_array()
            .unwrap()
            .contains(&json!("ConnectionError"))
    );
    for name in ["trusted", "unchecked"] {
        let got = get(name);
        assert_eq!(got["status"], 200, "{name}: {got}");
    }
    let got = get("other-name");
    assert!(got["caught"].is_array(), "{got}");
}
