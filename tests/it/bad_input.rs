//! Input that is wrong by accident or on purpose: refused at the edge, cheaply, and nobody else notices.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use busbar_testkit::process::raise_open_files;
use busbar_testkit::{Connection, Load, Request, TestServer, wait_until};
use serde_json::json;

use crate::{ECHO, OK, server};

/// A service that declares input, so that the hub checks it.
const DECLARED: &str = "
from zato.server.service import Service

class Declared(Service):
    input = 'a', '-b'
    output = 'a', '-b'
    def handle(self):
        self.response.payload.a = self.request.input.a
        self.response.payload.b = self.request.input.b

class Any(Service):
    input = '-a'
    def handle(self):
        self.response.payload = {'ran': True}
";

fn start() -> TestServer {
    server()
        .service("declared.py", DECLARED)
        .service("echo.py", ECHO)
        .channel("/declared", "declared.declared")
        .channel("/any", "declared.any")
        .channel("/echo", "echo.echo")
        .enmasse("channel_rest: [{name: xml, url_path: /xml, service: declared.declared, data_format: xml}]")
        .start()
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> Vec<u8> {
    [open.repeat(depth), middle.to_owned(), close.repeat(depth)]
        .concat()
        .into_bytes()
}

#[test]
fn malformed_json_is_400_and_never_reaches_python() {
    let server = start();
    let mut corpus: Vec<Vec<u8>> = [
        "{",
        "}",
        "[",
        "]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "[,1]",
        "{\"a\":1}{\"a\":2}",
        "{\"a\":1} x",
        "nul",
        "tru",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "-",
        "+1",
        ".5",
        "5.",
        "1e",
        "1e+",
        "0x10",
        "\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\\\"",
        "{\"a\":\"\u{0}\"}",
        "// c\n{}",
        "{} // c",
        "/* */ {}",
        "<a/>",
        "a=1&b=2",
        "{\"a\":1,\"b\"}",
        "{1:2}",
        "{null:1}",
        "[1 2]",
        "{\"a\" 1}",
        "undefined",
        "None",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    corpus.push(b"\"\xff\"".to_vec());
    corpus.push(b"{\"a\":\"\xc3\x28\"}".to_vec());
    corpus.push(b"{\"a\":\"\xed\xa0\x80\"}".to_vec()); // a surrogate in UTF-8
    corpus.push(b"{\"a\":\"\xf0\x9f\x98\"}".to_vec()); // cut
    corpus.push(b"{\"a\":\"\xc0\xaf\"}".to_vec()); // overlong
    corpus.push(b"\x00".to_vec());
    corpus.push(b"\xff\xfe{\x00}\x00".to_vec()); // UTF-16
    corpus.push(nested("[", "", "]", 100_000));
    corpus.push(nested("{\"a\":", "1", "}", 100_000));
    corpus.push(nested("[", "", "", 100_000));
    let mut connection = server.connect();
    for body in corpus {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let response = connection.send(&Request::new("POST", "/any").body(&body)).unwrap();
        assert_eq!(response.status, 400, "{shown:?}: {}", response.text());
        let error = response.json();
        assert_eq!(
            (&error["result"], &error["cid"]),
            (&json!("Error"), &json!(response.cid())),
            "{shown:?}"
        );
        let details = error["details"].as_str().unwrap();
        assert!(details.contains("JSON"), "{shown:?}: {details}");
        assert!(details.len() < 500, "{shown:?}: the body is not sent back");
    }
    assert!(!server.log().contains("Traceback"), "nothing of it reached Python");
    server.post("/any", "{}").expect(200);
}

#[test]
fn odd_json_that_is_valid_arrives() {
    let server = start();
    let large = format!("[{}]", "1,".repeat(100_000) + "1");
    for (body, expected) in [
        (r#"{"a":1,"a":2}"#, Some(r#"{"a":2}"#)), // the last one wins, as in Python
        (r#"["\ud83d\ude00\u0000\""]"#, None),
        (" \r\n\t{\"a\" : [ 1 , 2 ] } ", Some(r#"{"a":[1,2]}"#)),
        ("\"\"", None),
        ("[]", Some("[]")),
        ("{}", Some("{}")),
        ("0", Some("0")),
        ("-0.0", Some("-0.0")),
        ("1.5", Some("1.5")),
        (
            "12345678901234567890123456789012345678901234567890",
            Some("12345678901234567890123456789012345678901234567890"),
        ),
        (&large, Some(&large)),
    ] {
        let response = server.post("/echo", body).expect(200);
        if let Some(expected) = expected {
            assert!(response.text() == expected, "{body:.60}: {:.60}", response.text());
        } else if body != "\"\"" {
            let (sent, got): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(body).unwrap(), response.json());
            assert_eq!(sent, got);
        }
    }
    // numbers beyond any float: refused or infinite, but never a crash
    for body in [
        "1e999999",
        "-1e999999",
        "1e-999999",
        &"9".repeat(5_000),
        &format!("0.{}", "1".repeat(100_000)),
    ] {
        let status = server.post("/echo", body).status;
        assert!(matches!(status, 200 | 400 | 500), "{body:.20}: {status}");
    }
    // lone surrogates cannot be written as UTF-8 again
    for body in [r#""\ud800""#, r#""\udc00x""#, r#"{"\ud800":1}"#, r#"{"a":"\ud800"}"#] {
        let status = server.post("/echo", body).status;
        assert!(matches!(status, 200 | 400 | 500), "{body}: {status}");
        let status = server.post("/declared", r#"{"a":"\ud800"}"#).status;
        assert!(matches!(status, 200 | 400 | 500), "{status}");
    }
    assert_eq!(server.worker_pids().len(), 1);
    assert_eq!(server.status()["workers"][0]["restarts"], 0, "no worker died of it");
}

#[test]
fn nothing_a_bom_and_the_wrong_kind_of_json() {
    let server = start();
    let missing = server.post("/declared", "").expect(400);
    assert_eq!(missing.json()["details"], "Element missing: a");
    assert_eq!(
        server.post("/declared", "{}").expect(400).json()["details"],
        "Element missing: a"
    );
    assert_eq!(
        server.post("/declared", "[1]").expect(400).json()["details"],
        "Element missing: a"
    );
    for scalar in ["1", "\"a\"", "true", "null"] {
        server.post("/declared", scalar).expect(400);
    }
    // a byte order mark is no part of JSON; taking it or refusing it are both right, failing is not
    let status = server.post("/declared", "\u{feff}{\"a\":\"1\"}").status;
    assert!(matches!(status, 200 | 400), "{status}");
    server.post("/declared?a=1", "").expect(200);
    assert_eq!(
        server.post("/declared", r#"{"a":null}"#).expect(200).json(),
        json!({"a": null, "b": ""})
    );
}

#[test]
fn xml_with_a_doctype_is_refused() {
    let server = start();
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\
                <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]><r><a>&c;</a></r>";
    let external = "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r><a>&x;</a></r>";
    let refused = [
        bomb.to_owned(),
        external.to_owned(),
        "<!DOCTYPE r><r><a>1</a></r>".to_owned(),
        "<r><a>&undefined;</a></r>".to_owned(),
        "<r><a>1</a>".to_owned(),
        "<r><a>1</b></r>".to_owned(),
        "<r a=1><a>1</a></r>".to_owned(),
        "<r/><r/>".to_owned(),
        "text".to_owned(),
        "{\"a\":1}".to_owned(),
        "<r><a>\u{0}</a></r>".to_owned(),
        String::from_utf8(nested("<a>", "", "</a>", 100_000)).unwrap(),
    ];
    for body in refused {
        let response = server.post("/xml", &body);
        assert_eq!(response.status, 400, "{body:.60}: {}", response.text());
        assert!(!response.text().contains("root:"), "no file's content");
        assert_eq!(response.cid().len(), 24);
    }
    server.post("/xml", b"<r><a>\xff</a></r>").expect(400);
    server
        .post("/xml", "<r><a>1 &lt; 2 &amp; <![CDATA[<3>]]></a></r>")
        .expect(200);
    assert!(!server.log().contains("Traceback"), "nothing of it reached Python");
}

#[test]
fn requests_that_could_be_read_in_two_ways_are_refused() {
    let server = start();
    let smuggled = "GET /zato/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let heads = [
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n1",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost : x\r\nContent-Length: 1\r\n\r\n1",
        "POST /echo HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\n1",
        "POST /echo HTTP/1.1\r\nHost: x\r\nX\0Y: a\r\nContent-Length: 1\r\n\r\n1",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n1\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "GET\r\n\r\n",
        "GET  /zato/ping HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /zato/ping HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET /zato/\u{1}ping HTTP/1.1\r\nHost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}",
    ];
    for head in heads {
        let mut connection = server.connect();
        connection.write(format!("{head}{smuggled}").as_bytes()).unwrap();
        connection.finish().ok();
        let mut statuses = Vec::new();
        while let Ok(response) = connection.read(true) {
            statuses.push(response.status);
        }
        assert!(statuses.len() <= 1, "{head:?}: a second request was seen: {statuses:?}");
        // with both a length and chunks, a server may go by the chunks if it then closes the connection
        let is_refused = |status: &u16| (400..=505).contains(status) || (head.contains("Length: 6") && *status == 200);
        assert!(statuses.iter().all(is_refused), "{head:?}: {statuses:?}");
    }
    server.get("/zato/ping").expect(200);
}

#[test]
fn a_request_names_one_host() {
    let server = start();
    let status = |head: &str| {
        let mut connection = server.connect();
        connection.write(head.as_bytes()).unwrap();
        connection.read(true).unwrap().status
    };
    for host in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: a/c\r\n",
        "Host: a,b\r\n",
    ] {
        assert_eq!(
            status(&format!("GET /zato/ping HTTP/1.1\r\n{host}\r\n")),
            400,
            "{host:?}"
        );
    }
    for host in ["a", "a:80", "[::1]:80", "1.2.3.4", "", "żółw.example"] {
        let expected = if host.is_ascii() { 200 } else { 400 };
        assert_eq!(
            status(&format!("GET /zato/ping HTTP/1.1\r\nHost: {host}\r\n\r\n")),
            expected,
            "{host:?}"
        );
    }
    assert_eq!(status("GET /zato/ping HTTP/1.0\r\n\r\n"), 200);
}

#[test]
fn heads_have_a_limit_in_size_and_number() {
    let server = start();
    let many = (0..2_000).fold(Request::new("GET", "/zato/ping"), |request, n| {
        request.header(&format!("X-{n}"), "1")
    });
    let large = Request::new("GET", "/zato/ping").header("X-Large", &"x".repeat(1 << 20));
    let long = Request::new("GET", &format!("/{}", "x".repeat(1 << 20)));
    let many_parameters = Request::new("GET", &format!("/echo?{}", "a=1&".repeat(200_000)));
    for request in [many, large, long, many_parameters] {
        let mut connection = server.connect();
        // it may be refused, and the connection closed, before all of it is sent
        let outcome = connection
            .write(&request.to_bytes())
            .and_then(|()| connection.read(true));
        if let Ok(response) = outcome {
            assert!(matches!(response.status, 400 | 413 | 414 | 431), "{}", response.status);
        }
    }
    // what browsers and gateways send goes through
    let usual = (0..60).fold(Request::new("GET", "/zato/ping"), |request, n| {
        request.header(&format!("X-{n}"), &"v".repeat(60))
    });
    server.send(&usual).expect(200);
}

#[test]
fn slow_heads_and_bodies_are_given_up_and_keep_nobody_waiting() {
    let server = server()
        .service("echo.py", ECHO)
        .channel("/echo", "echo.echo")
        .config("[http]\nhead_timeout_secs = 1\nmin_body_rate = 1000")
        .start();
    let load = Load::start(
        server.address(),
        2,
        Duration::from_millis(5),
        Request::new("POST", "/echo").body("1"),
    );
    let address = server.address();
    // each drips a byte every 100 ms and would take minutes
    let slow: Vec<_> = [
        "GET /zato/ping HTTP/1.1\r\nX-Slow: ",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3E8\r\n",
        "",
    ]
    .into_iter()
    .map(|head| {
        thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(25) {
                if stream.write_all(b"1").is_err() {
                    return Some(head);
                }
                thread::sleep(Duration::from_millis(100));
            }
            None
        })
    })
    .collect();
    for thread in slow {
        assert!(thread.join().unwrap().is_some(), "a slow client was not given up");
    }
    load.stop().expect_all_well();
}

#[test]
fn ten_thousand_idle_connections_beside_active_ones() {
    let limit = raise_open_files();
    // none of them is given up while the test runs
    let server = server()
        .service("ok.py", OK)
        .channel("/ok", "ok.ok")
        .config("[http]\nhead_timeout_secs = 300")
        .start();
    // the hub needs a descriptor for each as well, and shares this process's limit
    let count = 10_000.min(usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(500));
    let mut idle = Vec::with_capacity(count);
    for number in 0..count {
        let stream = TcpStream::connect(server.address());
        let mut stream = stream.unwrap_or_else(|error| panic!("connection {number}: {error}"));
        // every other one stops in the middle of a head
        if number % 2 == 0 {
            stream.write_all(b"GET /ok HT").unwrap();
        }
        idle.push(stream);
    }
    let load = Load::start(server.address(), 4, Duration::ZERO, Request::new("GET", "/ok"));
    load.wait_for(500);
    let tally = load.stop();
    tally.expect_all_well();
    // idle ones cost little: the kilobytes of a connection, not the megabytes of a thread
    let pages: u64 = std::fs::read_to_string(format!("/proc/{}/statm", server.pid()))
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert!(pages * 4096 < 1 << 30, "{} MB", (pages * 4096) >> 20);
    drop(idle);
    server.get("/ok").expect(200);
}

#[test]
fn clients_that_leave_in_the_middle_leave_nothing_behind() {
    let server = start();
    for _ in 0..200 {
        let mut connection = server.connect();
        connection
            .write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"a\"")
            .unwrap();
    }
    for _ in 0..50 {
        // sent, and not waited for
        server
            .connect()
            .write(&Request::new("POST", "/echo").body("1").to_bytes())
            .unwrap();
    }
    wait_until("no call to be in flight", || {
        let status = server.status();
        status["workers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|worker| worker["calls"] == 0)
            .then_some(())
    });
    server.post("/echo", "1").expect(200);
}

#[test]
fn a_client_of_http_1_0_is_answered() {
    let server = start();
    let mut connection = Connection::open(server.address()).unwrap();
    connection
        .write(b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\n[1]")
        .unwrap();
    assert_eq!(connection.read(true).unwrap().expect(200).text(), "[1]");
    assert!(connection.read_to_end().unwrap().is_empty(), "the connection is closed");
}
