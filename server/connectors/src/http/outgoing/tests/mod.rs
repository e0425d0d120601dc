//! Against servers that do exactly what a test says, down to the byte.

mod bearer;
mod calls;
mod faults;
mod lines;
mod ntlm;
mod redirects;
mod tls;
mod wss;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busbar_model::object::{Object, ObjectType, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::Configure;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{HttpConnection, HttpFailure, HttpRequest, OutgoingConnections};
use crate::http::outgoing_config::OutgoingHttp;

/// A request as a raw server reads it: lines of the head, and the body.
struct Received {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Received {
    fn line(&self) -> &str {
        &self.head[0]
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head[1..].iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A server that does exactly what a test says, one thread a line.
struct Server {
    address: SocketAddr,
    lines: Arc<AtomicUsize>,
}

impl Server {
    /// `line` gets the number of the line, from 0, and the line.
    fn raw(line: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&lines);
        let line = Arc::new(line);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let line = Arc::clone(&line);
                std::thread::spawn(move || line(number, stream));
            }
        });
        Self { address, lines }
    }

    /// Answers every request of every line with what `answer` makes of it.
    fn answering(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        Self::raw(move |_, stream| {
            let mut reader = BufReader::new(stream);
            while let Some(request) = read_request(&mut reader) {
                let response = answer(&request);
                if reader.get_mut().write_all(response.as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn lines(&self) -> usize {
        self.lines.load(Ordering::SeqCst)
    }
}

fn read_request(reader: &mut BufReader<impl Read>) -> Option<Received> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" if head.is_empty() => {}
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut received = Received { head, body: Vec::new() };
    let length = received
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    received.body = vec![0; length];
    reader.read_exact(&mut received.body).ok()?;
    Some(received)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn record<T: Object>(name: &str, body: &Value) -> Record {
    let body = (ObjectType::of::<T>().normalise)(body.as_object().unwrap())
        .unwrap()
        .into();
    Record {
        kind: T::KIND.into(),
        name: name.into(),
        is_active: true,
        body,
        version: 1,
        id: 0,
    }
}

fn security(kind: &str, body: Value) -> Record {
    let body = body.as_object().unwrap().clone().into();
    Record {
        kind: kind.into(),
        name: "sec".into(),
        is_active: true,
        body,
        version: 1,
        id: 0,
    }
}

fn connections(records: Vec<Record>) -> OutgoingConnections {
    let connections = OutgoingConnections::new("server1");
    connections.prepare(&Snapshot::new(1, records)).unwrap().commit();
    connections
}

fn connection(host: &str, more: Value) -> Arc<HttpConnection> {
    connection_with(host, more, vec![])
}

fn connection_with(host: &str, more: Value, mut records: Vec<Record>) -> Arc<HttpConnection> {
    let mut body = json!({"host": host, "timeout": 5});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    records.push(record::<OutgoingHttp>("CRM", &body));
    connections(records).get("CRM").unwrap()
}

fn get() -> HttpRequest {
    HttpRequest::new("GET")
}

fn post(body: &'static str) -> HttpRequest {
    HttpRequest {
        body: Bytes::from_static(body.as_bytes()),
        ..HttpRequest::new("POST")
    }
}

fn failure(error: &Error) -> &HttpFailure {
    HttpFailure::of(error).unwrap_or_else(|| panic!("{error:?}"))
}
