//! A server, its fake neighbours, and a client that writes bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use busbar_connectors::http::{Audience, ChannelHttp, HttpConfig, HttpServer, Routes};
use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::{Cid, Error};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::inbound::{Dispatch, Entrance, Gate, Guard, Guards, Inbound, Verdict, Visitor};
use busbar_runtime::{Configure, Fault, Head, Outcome, Reply};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Nothing in these tests takes that long unless it hangs.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Answers by the service's name.
#[derive(Default)]
pub struct Fake {
    pub dispatched: AtomicUsize,
    pub dropped: AtomicUsize,
    /// Rung when a call of `wait` begins, and when one is dropped.
    pub began: Notify,
    pub left: Notify,
    /// Lets one call of `wait` go on.
    pub go_on: Notify,
}

struct NoteDrop(Arc<Fake>, bool);

impl Drop for NoteDrop {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
            self.0.left.notify_one();
        }
    }
}

pub struct Dispatcher(pub Arc<Fake>);

impl Dispatch for Dispatcher {
    fn dispatch(&self, request: Inbound) -> BoxFuture<'static, Outcome> {
        let fake = Arc::clone(&self.0);
        fake.dispatched.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let reply = |body: Bytes| {
                Outcome::Reply(Reply {
                    status: 200,
                    body,
                    ..Reply::default()
                })
            };
            match &*request.service {
                "echo" => reply(request.body),
                "length" => reply(request.body.len().to_string().into()),
                "head" => {
                    let head = Head::unpack(&request.head).unwrap();
                    let params: Vec<_> = head.params().map(|(name, value)| format!("{name}={value}")).collect();
                    let x = head
                        .headers()
                        .find(|(name, _)| *name == "x-a")
                        .map(|(_, value)| String::from_utf8_lossy(value));
                    let shown = json!({
                        "method": head.method, "path": head.path, "query": head.query, "remote": head.remote, "params": params,
                        "x-a": x, "channel": head.channel, "security": [head.security_name, head.security_type, head.username],
                    });
                    reply(shown.to_string().into())
                }
                "wait" => {
                    let mut note = NoteDrop(Arc::clone(&fake), false);
                    fake.began.notify_one();
                    fake.go_on.notified().await;
                    note.1 = true;
                    reply(Bytes::from_static(b"at last"))
                }
                "status" => {
                    let head = Head::unpack(&request.head).unwrap();
                    let headers = vec![
                        ("Content-Length".to_owned(), "1".to_owned()),
                        ("X-B".to_owned(), "1".to_owned()),
                    ];
                    let body = Bytes::from_static(b"text");
                    Outcome::Reply(Reply {
                        status: head.query.parse().unwrap(),
                        headers,
                        body,
                        ..Reply::default()
                    })
                }
                "big" => reply(Bytes::from(vec![b'x'; 32 << 20])),
                _ => Outcome::Fault(Fault::new(404, "Service not found")),
            }
        })
    }
}

/// Makes guards that let in who says `letmein`, where there is a definition.
pub struct Porter;

/// Lets in who says `letmein` if this is set.
struct Door(bool);

impl Gate for Porter {
    fn guards(&self, _: &Snapshot) -> Result<Arc<dyn Guards>, Error> {
        Ok(Arc::new(Self))
    }
}

impl Guards for Porter {
    fn of(&self, entrance: &Entrance<'_>) -> Result<Option<Arc<dyn Guard>>, Error> {
        let guard = |name| -> Arc<dyn Guard> { Arc::new(Door(name == "door")) };
        Ok(entrance.security.map(guard))
    }
}

impl Guard for Door {
    fn check(&self, visitor: &Visitor<'_>) -> Verdict {
        if self.0 && (visitor.header)("authorization") == Some(b"letmein") {
            return Verdict::In(None);
        }
        let fault = Fault::new(401, format!("Unauthorized; cid={}", visitor.cid));
        Verdict::Out(fault.with_header("WWW-Authenticate", "Basic realm=\"r\""))
    }
}

pub struct Server {
    pub server: HttpServer,
    pub fake: Arc<Fake>,
}

fn record(kind: &str, name: &str, body: Value) -> Record {
    let body = body.as_object().unwrap().clone().into();
    Record {
        kind: kind.to_owned(),
        name: name.to_owned(),
        is_active: name != "off",
        body,
        version: 1,
        id: 0,
    }
}

pub fn config() -> HttpConfig {
    HttpConfig {
        address: "127.0.0.1:0".to_owned(),
        max_body: 100_000,
        ..HttpConfig::default()
    }
}

pub async fn server() -> Server {
    server_with(config()).await
}

pub async fn server_with(config: HttpConfig) -> Server {
    let channel = |name: &str, body| record(ChannelHttp::KIND, name, body);
    let records = vec![
        channel(
            "echo",
            json!({"service": "echo", "url_path": "/echo", "data_format": "json"}),
        ),
        channel("status", json!({"service": "status", "url_path": "/status"})),
        channel("length", json!({"service": "length", "url_path": "/length"})),
        channel(
            "head",
            json!({"service": "head", "url_path": "/head/{id}", "data_format": "json"}),
        ),
        channel("get", json!({"service": "echo", "url_path": "/get", "method": "GET"})),
        channel("post", json!({"service": "echo", "url_path": "/get", "method": "POST"})),
        channel(
            "guarded",
            json!({"service": "head", "url_path": "/guarded", "data_format": "json", "security": "door"}),
        ),
        channel(
            "guarded xml",
            json!({"service": "echo", "url_path": "/guarded.xml", "data_format": "xml", "security": "door"}),
        ),
        channel("wait", json!({"service": "wait", "url_path": "/wait"})),
        channel("big", json!({"service": "big", "url_path": "/big"})),
        channel(
            "off",
            json!({"service": "echo", "url_path": "/off", "data_format": "json"}),
        ),
        channel(
            "nobody",
            json!({"service": "nobody", "url_path": "/nobody", "data_format": "json"}),
        ),
        record("security.basic_auth", "door", json!({"username": "ann"})),
    ];
    let routes = Routes::new(Arc::new(Porter));
    routes.prepare(&Snapshot::new(1, records)).unwrap().commit();
    let fake = Arc::new(Fake::default());
    let bound = HttpServer::bind(config).await.unwrap();
    let server = bound.spawn(&routes, Audience::Clients, Arc::new(Dispatcher(Arc::clone(&fake))));
    Server { server, fake }
}

impl Server {
    pub fn address(&self) -> SocketAddr {
        self.server.local_address()
    }

    pub async fn connect(&self) -> Client {
        Client(BufReader::new(TcpStream::connect(self.address()).await.unwrap()))
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: &str) -> Response {
        let mut client = self.connect().await;
        client.send(request).await;
        client.read().await
    }
}

/// Writes bytes, reads responses.
pub struct Client(pub BufReader<TcpStream>);

#[derive(Debug, Clone, Default)]
pub struct Response {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn status(&self) -> u16 {
        self.line
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("{self:?}"))
            .parse()
            .unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The id in the header, checked to be one.
    pub fn cid(&self) -> String {
        let cid = self.header("x-zato-cid").unwrap_or_else(|| panic!("no cid: {self:?}"));
        cid.parse::<Cid>().unwrap();
        cid.to_owned()
    }

    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Client {
    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(text.as_ref()).await.unwrap();
    }

    /// The next response, to the end of its body.
    pub async fn read(&mut self) -> Response {
        let response = self.read_head().await;
        self.finish(response).await
    }

    /// A response to a request by HEAD, or an interim one.
    pub async fn read_head(&mut self) -> Response {
        tokio::time::timeout(LIMIT, async {
            let mut response = Response {
                line: self.line().await,
                ..Response::default()
            };
            loop {
                let line = self.line().await;
                let Some((name, value)) = line.split_once(": ") else {
                    return response;
                };
                response.headers.push((name.to_owned(), value.to_owned()));
            }
        })
        .await
        .expect("a response comes")
    }

    /// The body behind a head.
    pub async fn finish(&mut self, mut response: Response) -> Response {
        let length = response
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        tokio::time::timeout(LIMIT, self.0.read_exact(&mut body))
            .await
            .expect("a body comes")
            .unwrap();
        response.body = String::from_utf8(body).unwrap();
        response
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// What still comes until the server closes.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(LIMIT, self.0.read_to_end(&mut rest))
            .await
            .expect("the server closes");
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        String::from_utf8(rest).unwrap()
    }
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
