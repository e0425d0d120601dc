//! Answers that are sent piece by piece.

use std::io::{Read, Write};
use std::net::TcpStream;

use busbar_testkit::{LIMIT, Request, TestServer, wait_until};

use crate::server;

const SERVICES: &str = "
import json
import time
from pathlib import Path
from zato.server.service import Service

class Pieces(Service):
    def handle(self):
        self.response.headers['X-One'] = '1'
        self.response.payload = iter(['a', b'b', '', None, {'c': 1}, 'é' * 100000])

class Events(Service):
    def handle(self):
        self.response.content_type = 'text/event-stream'
        self.response.payload = self.events(self.request.input.go)

    def events(self, go):
        yield {'n': 1, 'text': 'ż'}
        while not Path(go).exists():
            time.sleep(0.01)
        yield 'event: end\\ndata: x\\n\\n'

class Large(Service):
    def handle(self):
        self.response.payload = (b'x' * 1000000 for _ in range(40))

class Endless(Service):
    deadline_secs = 1

    def handle(self):
        self.response.payload = self.forever(self.request.input.path)

    def forever(self, path):
        count = 0
        try:
            while True:
                yield b'x' * 10000
                count += 1
                Path(path + '.count').write_text(str(count))
        finally:
            Path(path).write_text('closed')

class Fails(Service):
    def handle(self):
        self.response.payload = self.failing('early' in self.request.http.GET)

    def failing(self, early):
        if early:
            raise ValueError('before the first piece')
        yield 'begun'
        raise ValueError('midway')

class Slow(Service):
    deadline_secs = 1

    def handle(self):
        self.response.payload = self.slow(self.request.input.where)

    def slow(self, where):
        if where == 'first':
            time.sleep(3)
        yield 'a'
        time.sleep(2)
        yield 'b'

class Declared(Service):
    output = 'a'

    def handle(self):
        self.response.payload = ({'a': n} for n in range(2))

class Outer(Service):
    def handle(self):
        self.response.payload = self.invoke('stream.declared')
";

fn start(workers: usize) -> TestServer {
    let mut builder = server().workers(workers).service("stream.py", SERVICES);
    for name in [
        "pieces", "events", "large", "endless", "fails", "slow", "declared", "outer",
    ] {
        builder = builder.channel(&format!("/{name}"), &format!("stream.{name}"));
    }
    builder.start()
}

/// Sends a request and reads up to the text, or to the end.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&read).contains(text) {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8(read).unwrap()
}

fn open(server: &TestServer, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream
}

#[test]
fn an_iterator_is_sent_piece_by_piece() {
    for workers in [1, 0] {
        let server = start(workers);
        let mut connection = server.connect();
        for _ in 0..2 {
            let response = connection.send(&Request::new("GET", "/pieces")).unwrap().expect(200);
            assert_eq!(response.text(), format!("ab{{\"c\":1}}\n{}", "é".repeat(100_000)));
            assert_eq!(
                (response.header("transfer-encoding"), response.header("content-length")),
                (Some("chunked"), None)
            );
            assert_eq!(
                (response.header("content-type"), response.header("x-one")),
                (Some("application/json"), Some("1"))
            );
            response.cid();
        }
        // no more than fits waits anywhere, and all of it comes
        let response = connection.send(&Request::new("GET", "/large")).unwrap().expect(200);
        assert_eq!(response.body.len(), 40_000_000);
        for path in ["/declared", "/outer"] {
            let response = connection.send(&Request::new("GET", path)).unwrap().expect(200);
            assert_eq!(response.text(), "{\"a\":0}\n{\"a\":1}\n");
        }
        let response = connection.send(&Request::new("HEAD", "/pieces")).unwrap().expect(200);
        assert_eq!(response.header("content-length"), None);
        connection.send(&Request::new("GET", "/declared")).unwrap().expect(200);
    }
}

#[test]
fn events_are_there_when_they_are_made() {
    let server = start(1);
    let go = server.scratch().join("go");
    let mut stream = open(&server, &format!("/events?go={}", go.display()));
    let head_and_first = read_until(&mut stream, "\n\n\r\n").to_ascii_lowercase();
    assert!(
        head_and_first.contains("content-type: text/event-stream\r\n"),
        "{head_and_first}"
    );
    assert!(
        head_and_first.contains("cache-control: no-cache\r\n"),
        "{head_and_first}"
    );
    assert!(
        head_and_first.ends_with("\r\n1b\r\ndata: {\"n\":1,\"text\":\"ż\"}\n\n\r\n"),
        "{head_and_first:?}"
    );
    std::fs::write(&go, "").unwrap();
    assert_eq!(
        read_until(&mut stream, "\r\n0\r\n\r\n"),
        "14\r\nevent: end\ndata: x\n\n\r\n0\r\n\r\n"
    );
}

#[test]
fn a_client_that_reads_slowly_slows_its_generator_down_and_one_that_leaves_closes_it() {
    let server = start(1);
    let path = server.scratch().join("closed");
    let mut stream = open(&server, &format!("/endless?path={}", path.display()));
    read_until(&mut stream, "\r\n\r\n");
    // the deadline of a second does not count once it has begun: this is beyond what sockets and windows hold
    let count = || {
        std::fs::read_to_string(path.with_extension("count"))
            .ok()?
            .parse::<u64>()
            .ok()
    };
    wait_until("the generator waits for its client", || {
        let before = count()?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        (count()? == before && before > 20).then_some(())
    });
    assert!(count().unwrap() < 3_000, "{:?}", count());
    assert!(!path.exists());
    drop(stream);
    wait_until("the generator is closed", || path.exists().then_some(()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "closed");
}

#[test]
fn what_goes_wrong_midway_closes_the_connection_and_is_logged() {
    let server = start(1);
    let response = server.get("/fails?early=1").expect(500);
    assert_eq!(response.json()["details"], "An error has occurred");

    let mut stream = open(&server, "/fails");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("\r\n5\r\nbegun\r\n"), "{text:?}");
    let cid = text.split("x-zato-cid: ").nth(1).unwrap()[..24].to_owned();
    server.wait_log(&["exception in service", &cid]);
    server.wait_log(&["ValueError: midway"]);
    server.wait_log(&["an answer broke off", &cid]);
    // its thread and its connection are nobody else's problem
    server.get("/declared").expect(200);
}

#[test]
fn the_deadline_counts_to_the_first_piece() {
    let server = start(1);
    server.get("/slow?where=first").expect(504);
    assert_eq!(server.get("/slow?where=later").expect(200).text(), "ab");
}
