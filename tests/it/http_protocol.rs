//! HTTP as a protocol: connections, chunks, limits, HTTP/2 and TLS, as raw bytes and as curl speaks them.

use std::path::Path;
use std::process::Command;
use std::thread;

use busbar_testkit::{Connection, Request, run};

use crate::{ECHO, server};

#[test]
fn connections_are_kept_and_take_requests_in_a_row() {
    let server = server().service("echo.py", ECHO).channel("/echo", "echo.echo").start();
    let mut connection = server.connect();
    for number in 0..200 {
        let body = number.to_string();
        assert_eq!(
            connection
                .send(&Request::new("POST", "/echo").body(&body))
                .unwrap()
                .expect(200)
                .text(),
            body
        );
    }
    // pipelined: answered in order
    let bytes: Vec<u8> = (0..20)
        .flat_map(|n| Request::new("POST", "/echo").body(n.to_string()).to_bytes())
        .collect();
    connection.write(&bytes).unwrap();
    for number in 0..20 {
        assert_eq!(connection.read(true).unwrap().expect(200).text(), number.to_string());
    }
    // an error does not cost the connection
    connection.send(&Request::new("POST", "/echo").body("{")).unwrap();
    connection.send(&Request::new("GET", "/nowhere")).unwrap().expect(404);
    connection
        .send(&Request::new("POST", "/echo").body("1"))
        .unwrap()
        .expect(200);
    let last = Request::new("POST", "/echo").header("Connection", "close").body("1");
    connection.send(&last).unwrap().expect(200);
    assert!(connection.read_to_end().unwrap().is_empty());
}

#[test]
fn bodies_may_come_in_chunks_and_after_100_continue() {
    let server = server().service("echo.py", ECHO).channel("/echo", "echo.echo").start();
    let mut connection = server.connect();
    connection
        .write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\n[1,\r\n2\r\n2]\r\n0\r\nTrailer: x\r\n\r\n")
        .unwrap();
    assert_eq!(connection.read(true).unwrap().expect(200).text(), "[1,2]");
    connection
        .write(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        .unwrap();
    connection.write(b"7").unwrap();
    assert_eq!(connection.read(true).unwrap().expect(200).text(), "7");
}

// --- limits ---

#[test]
fn bodies_have_a_limit() {
    let server = server()
        .service("echo.py", ECHO)
        .channel("/echo", "echo.echo")
        .config("[http]\nmax_body = 1000")
        .start();
    let fits = format!("[\"{}\"]", "x".repeat(996));
    assert_eq!(server.post("/echo", &fits).expect(200).text().len(), 1000);

    // declared: refused before it is read
    let mut connection = server.connect();
    connection
        .write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        .unwrap();
    let response = connection.read(true).unwrap().expect(413);
    assert_eq!(response.json()["cid"], response.cid());
    assert_eq!(response.json()["result"], "Error");

    // not declared: refused when it grows too large
    let mut connection = server.connect();
    connection
        .write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    for _ in 0..11 {
        // the answer may come, and the connection be closed, before everything is sent
        if connection
            .write(format!("64\r\n{}\r\n", "1".repeat(100)).as_bytes())
            .is_err()
        {
            break;
        }
    }
    connection.read(true).unwrap().expect(413);

    // the largest number there is, and beyond
    for length in [
        "18446744073709551615",
        "99999999999999999999999",
        "-1",
        "+1",
        "1e3",
        "0x10",
        "",
    ] {
        let mut connection = server.connect();
        connection
            .write(format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes())
            .unwrap();
        let status = connection.read(true).unwrap().status;
        assert!(matches!(status, 400 | 413 | 431), "{length}: {status}");
    }
    server.post("/echo", "1").expect(200);
}

#[test]
fn eight_megabytes_are_the_default() {
    let server = server().service("echo.py", ECHO).channel("/echo", "echo.echo").start();
    let large = format!("[\"{}\"]", "x".repeat((8 << 20) - 4));
    assert_eq!(server.post("/echo", &large).expect(200).body.len(), 8 << 20);
    let mut connection = server.connect();
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        (8 << 20) + 1
    );
    connection.write(head.as_bytes()).unwrap();
    connection.read(true).unwrap().expect(413);
}

#[test]
fn a_full_queue_is_503_with_retry_after_and_goes_by() {
    let server = server()
        .service(
            "slow.py",
            "
import time
from zato.server.service import Service

class Slow(Service):
    def handle(self):
        time.sleep(0.3)
        self.response.payload = 'done'
",
        )
        .channel("/slow", "slow.slow")
        .config("[workers]\nmax_threads = 2\n[calls]\nmax_queue = 4")
        .start();
    let address = server.address();
    let calls: Vec<_> = (0..40)
        .map(|_| {
            thread::spawn(move || {
                Connection::open(address)
                    .unwrap()
                    .send(&Request::new("GET", "/slow"))
                    .unwrap()
            })
        })
        .collect();
    let responses: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    let refused: Vec<_> = responses.iter().filter(|response| response.status == 503).collect();
    assert!(
        !refused.is_empty() && refused.len() < responses.len(),
        "{} of 40 refused",
        refused.len()
    );
    assert!(responses.iter().all(|response| matches!(response.status, 200 | 503)));
    assert!(refused[0].header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(refused[0].json()["cid"], refused[0].cid());
    server.get("/slow").expect(200);
}

// --- protocols, as curl speaks them ---

fn curl(arguments: &[&str]) -> busbar_testkit::Output {
    run(Command::new("curl").args(["-sS", "--max-time", "30"]).args(arguments))
}

#[test]
fn http_2_with_prior_knowledge() {
    let server = server().service("echo.py", ECHO).channel("/echo", "echo.echo").start();
    let url = format!("http://{}/echo", server.address());
    let output = curl(&["--http2-prior-knowledge", "-i", "-d", r#"{"a":[1,"é"]}"#, &url]).expect_code(0);
    assert!(output.stdout.contains("HTTP/2 200"), "{}", output.stdout);
    assert!(
        output.stdout.contains(r#"{"a":[1,"é"]}"#) && output.stdout.contains("x-zato-cid: "),
        "{}",
        output.stdout
    );
    let missing = curl(&[
        "--http2-prior-knowledge",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        &format!("{url}/x"),
    ]);
    assert_eq!(missing.stdout, "404");
}

/// Makes a certificate for 127.0.0.1 that signs itself.
pub fn certificate(directory: &Path) {
    let output = run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .args(["-keyout", "server.key", "-out", "server.pem"])
        .current_dir(directory));
    output.expect_code(0);
}

#[test]
fn https_by_config() {
    // the paths are relative to the directory of the config
    let mut server = server()
        .service("echo.py", ECHO)
        .config("[http]\ntls = { certificate = \"server.pem\", key = \"server.key\" }")
        .prepare();
    let config = server.directory().join("config");
    certificate(&config);
    server.start();
    server
        .import("channel_rest: [{name: echo, url_path: /echo, service: echo.echo, data_format: json}]")
        .expect_code(0);
    let url = format!("https://{}/echo", server.address());
    let authority = config.join("server.pem");
    let authority = authority.to_str().unwrap();
    for (option, version) in [("--http1.1", "HTTP/1.1 200"), ("--http2", "HTTP/2 200")] {
        let output = curl(&["--cacert", authority, option, "-i", "-d", "[1]", &url, &url]).expect_code(0);
        assert_eq!(output.stdout.matches(version).count(), 2, "{}", output.stdout);
        assert_eq!(output.stdout.matches("[1]").count(), 2, "{}", output.stdout);
    }
    // no certificate that curl trusts
    assert_ne!(curl(&[&url]).code, 0);
    // plain HTTP on a TLS port gets no answer of a service
    assert!(
        server
            .connect()
            .send(&Request::new("POST", "/echo").body("[1]"))
            .map_or(true, |r| r.status == 400)
    );
    let output = curl(&["--cacert", authority, "-o", "/dev/null", "-w", "%{http_code}", &url]).expect_code(0);
    assert_eq!(output.stdout, "200");
}

#[test]
fn a_certificate_that_is_missing_is_named() {
    let server = server()
        .config("[http]\ntls = { certificate = \"no.pem\", key = \"no.key\" }")
        .prepare();
    let output = server.run("start", &[]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("no.pem"), "{}", output.stderr);
}
