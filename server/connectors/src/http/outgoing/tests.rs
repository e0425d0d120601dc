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
    let body = (ObjectType::of::<T>().normalise)(body.as_object().unwrap()).unwrap();
    Record {
        kind: T::KIND.into(),
        name: name.into(),
        is_active: true,
        body,
        version: 1,
    }
}

fn security(kind: &str, body: Value) -> Record {
    let body = body.as_object().unwrap().clone();
    Record {
        kind: kind.into(),
        name: "sec".into(),
        is_active: true,
        body,
        version: 1,
    }
}

fn connections(records: Vec<Record>) -> OutgoingConnections {
    let connections = OutgoingConnections::new("server1");
    connections
        .prepare(&Snapshot { revision: 1, records })
        .unwrap()
        .commit();
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

#[tokio::test]
async fn a_call_sends_what_it_should_and_reads_the_answer() {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let server = Server::answering(move |request| {
        *keep.lock().unwrap() = Some((request.head.clone(), request.body.clone()));
        "HTTP/1.1 201 Made so\r\nX-A: 1\r\nx-a: 2\r\nSet-Cookie: s=1; Path=/\r\nSet-Cookie: t=\"2\"\r\nContent-Length: 2\r\n\r\n{}".into()
    });
    let more = json!({"url_path": "/customer/{id}", "data_format": "json", "security": "sec"});
    let basic = security("security.basic_auth", json!({"username": "user", "password": "pa:ss"}));
    let connection = connection_with(&server.url(), more, vec![basic]);
    let request = HttpRequest {
        params: vec![("id".into(), "7".into()), ("q".into(), "a b".into())],
        headers: vec![("x-own".into(), "1".into()), ("user-agent".into(), "mine".into())],
        cid: "0123456789abcdef01234567".into(),
        ..post("{\"a\":1}")
    };
    let response = connection.send(request).await.unwrap();
    assert_eq!(
        (response.status, response.reason.as_str(), response.version),
        (201, "Made so", 11)
    );
    assert_eq!(response.body, "{}");
    assert_eq!(response.header("X-A"), Some("1"));
    assert_eq!(response.headers.iter().filter(|(name, _)| name == "X-A").count(), 2);
    assert_eq!(
        response.cookies,
        [("s".into(), "1".into()), ("t".into(), "\"2\"".into())]
    );
    assert_eq!(response.url, format!("{}/customer/7?q=a+b", server.url()));
    assert!(response.sent_headers().contains(&("X-Own".into(), "1".into())));

    let (head, body) = seen.lock().unwrap().take().unwrap();
    let received = Received { head, body };
    assert_eq!(received.line(), "POST /customer/7?q=a+b HTTP/1.1");
    assert_eq!(received.body, b"{\"a\":1}");
    for (name, value) in [
        ("X-Zato-CID", "0123456789abcdef01234567"),
        ("X-Zato-Component", "server1"),
        ("Content-Type", "application/json"),
        ("Authorization", "Basic dXNlcjpwYTpzcw=="),
        ("User-Agent", "mine"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Content-Length", "7"),
    ] {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    assert_eq!(received.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(
        received.header("X-Zato-Msg-TS").unwrap().len(),
        "2024-02-29T12:34:56.123456".len()
    );
}

#[tokio::test]
async fn an_api_key_goes_into_its_header_and_users_headers_win() {
    let server = Server::answering(|request| ok(request.header("x-api-key").unwrap_or("none")));
    let key = security("security.apikey", json!({"header": "X-API-Key", "password": "secret"}));
    let connection = connection_with(&server.url(), json!({"security": "sec"}), vec![key]);
    assert_eq!(connection.send(get()).await.unwrap().body, "secret");
    let request = HttpRequest {
        headers: vec![("X-Api-Key".into(), "own".into())],
        ..get()
    };
    assert_eq!(connection.send(request).await.unwrap().body, "own");
}

#[tokio::test]
async fn security_that_is_off_or_missing_is_an_error() {
    let body = json!({"host": "http://127.0.0.1:1", "security": "sec"});
    let mut off = security("security.basic_auth", json!({}));
    off.is_active = false;
    let all = connections(vec![record::<OutgoingHttp>("CRM", &body), off]);
    assert_eq!(
        all.get("CRM").unwrap().send(get()).await.unwrap_err().kind(),
        Kind::Inactive
    );
    let records = vec![record::<OutgoingHttp>("CRM", &body)];
    let refused = OutgoingConnections::new("x").prepare(&Snapshot { revision: 1, records });
    assert!(refused.is_err_and(|error| error.message().contains("`sec`")));
}

#[tokio::test]
async fn lines_are_kept_and_reused() {
    let server = Server::answering(|_| ok("x"));
    let connection = connection(&server.url(), json!({}));
    for _ in 0..20 {
        connection.send(get()).await.unwrap();
    }
    assert_eq!(server.lines(), 1);
}

#[tokio::test]
async fn a_change_keeps_the_pools_of_connections_that_it_leaves_alone() {
    let server = Server::answering(|_| ok("x"));
    let body = |timeout: u32| json!({"host": server.url(), "timeout": timeout});
    let all = connections(vec![
        record::<OutgoingHttp>(" a ", &body(5)),
        record::<OutgoingHttp>("b", &body(5)),
    ]);
    let (a, b) = (all.get("a").unwrap(), all.get("b ").unwrap());
    a.send(get()).await.unwrap();
    let mut off = record::<OutgoingHttp>("c", &body(1));
    off.is_active = false;
    let records = vec![
        record::<OutgoingHttp>("a", &body(5)),
        record::<OutgoingHttp>("b", &body(6)),
        off,
    ];
    all.prepare(&Snapshot { revision: 2, records }).unwrap().commit();
    assert!(Arc::ptr_eq(&a, &all.get("a").unwrap()));
    assert!(!Arc::ptr_eq(&b, &all.get("b").unwrap()));
    all.get("a").unwrap().send(get()).await.unwrap();
    assert_eq!(server.lines(), 1);
    // whoever holds the old one can still use it
    b.send(get()).await.unwrap();
    assert_eq!(all.get("c").unwrap_err().kind(), Kind::Inactive);
    assert_eq!(all.get("d").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(all.names(), ["a", "b", "c"]);
}

#[tokio::test]
async fn the_pool_bounds_lines_and_waiting_for_one_is_bounded() {
    let server = Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(50));
        ok("x")
    });
    let connection = connection(&server.url(), json!({"pool_size": 2}));
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { connection.send(get()).await.map(|response| response.status) })
        })
        .collect();
    tokio::task::yield_now().await;
    let request = HttpRequest {
        timeout: Some(Duration::from_millis(20)),
        ..get()
    };
    let error = connection.send(request).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::PoolTimeout(2)), "{error:?}");
    assert!(error.message().contains("`CRM`"));
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 200);
    }
    assert_eq!(server.lines(), 2);
}

#[tokio::test]
async fn a_line_that_the_server_has_closed_is_replaced_also_for_a_post() {
    let server = Server::raw(|_, stream| {
        let mut reader = BufReader::new(stream);
        read_request(&mut reader);
        reader.get_mut().write_all(ok("x").as_bytes()).unwrap();
    });
    let connection = connection(&server.url(), json!({}));
    for _ in 0..5 {
        assert_eq!(connection.send(post("y")).await.unwrap().body, "x");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.lines(), 5);
}

#[tokio::test]
async fn a_line_that_drops_under_a_request_is_replaced_once_unless_that_could_do_harm() {
    // every line answers one request and drops at the second one
    let server = || {
        Server::raw(|_, stream| {
            let mut reader = BufReader::new(stream);
            read_request(&mut reader);
            reader.get_mut().write_all(ok("x").as_bytes()).unwrap();
            read_request(&mut reader);
        })
    };
    let connection = connection(&server().url(), json!({}));
    connection.send(get()).await.unwrap();
    assert_eq!(connection.send(get()).await.unwrap().body, "x");
    let error = connection.send(post("y")).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Lost(_)), "{error:?}");
}

#[tokio::test]
async fn refused_and_reset_and_early_closed_are_connection_errors() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = connection(&format!("http://{closed}"), json!({}))
        .send(get())
        .await
        .unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Connect { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Connection);
    assert!(error.chain().contains("refused"), "{}", error.chain());

    // data that nobody has read makes the system send a reset
    let resets = Server::raw(|_, stream| {
        std::thread::sleep(Duration::from_millis(50));
        drop(stream);
    });
    let error = connection(&resets.url(), json!({})).send(post("x")).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Lost(_)), "{error:?}");

    let closes = Server::raw(|_, stream| {
        read_request(&mut BufReader::new(stream));
    });
    let error = connection(&closes.url(), json!({})).send(get()).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Lost(_)), "{error:?}");

    let error = connection("http://no-such-host.invalid", json!({}))
        .send(get())
        .await
        .unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn hanging_and_dripping_servers_meet_the_time_limit() {
    let hangs = Server::raw(|_, stream| {
        std::thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    let drips = Server::raw(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for server in [hangs, drips] {
        let connection = connection(&server.url(), json!({"timeout": 0.2}));
        let started = Instant::now();
        let error = connection.send(get()).await.unwrap_err();
        assert!(matches!(failure(&error), HttpFailure::ReadTimeout(_)), "{error:?}");
        assert_eq!(error.kind(), Kind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn connecting_has_a_time_limit_of_its_own_kind() {
    // the backlog is full: the system answers no more attempts to connect
    let listener = socket_with_full_backlog();
    let url = format!("http://{}", listener.0.local_addr().unwrap());
    let error = connection(&url, json!({"timeout": 0.2})).send(get()).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::ConnectTimeout(_)), "{error:?}");
}

/// A listener whose backlog is full, with the lines that fill it.
fn socket_with_full_backlog() -> (TcpListener, Vec<std::thread::JoinHandle<()>>) {
    use std::os::fd::AsRawFd;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: listening again on a listening socket only changes its backlog
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let fillers = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                if let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
                    std::thread::sleep(Duration::from_secs(2));
                    drop(stream);
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    (listener, fillers)
}

#[tokio::test]
async fn garbage_and_broken_framing_are_told_apart_from_lost_lines() {
    for (wire, expected) in [
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "protocol"),
        ("HTTP/1.1 two hundred\r\n\r\n", "protocol"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "protocol",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxyz", "truncated"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n",
            "truncated",
        ),
    ] {
        let server = Server::raw(move |_, stream| {
            let mut reader = BufReader::new(stream);
            read_request(&mut reader);
            reader.get_mut().write_all(wire.as_bytes()).unwrap();
        });
        let error = connection(&server.url(), json!({})).send(get()).await.unwrap_err();
        let found = match failure(&error) {
            HttpFailure::Protocol(_) => "protocol",
            HttpFailure::Truncated(_) => "truncated",
            _ => "other",
        };
        assert_eq!(found, expected, "{wire:?}: {error:?}");
    }
}

#[tokio::test]
async fn bodies_come_whole_however_they_are_framed() {
    let long = "x".repeat(1_000_000);
    for (wire, expected) in [
        (
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len()),
            long.clone(),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n3\r\nbcd\r\n0\r\nT: 1\r\n\r\n".into(),
            "abcd".into(),
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end".into(), "until the end".into()),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), String::new()),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny".into(),
            "y".into(),
        ),
        ("HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nz".into(), "z".into()),
    ] {
        let server = Server::raw(move |_, stream| {
            let mut reader = BufReader::new(stream);
            read_request(&mut reader);
            reader.get_mut().write_all(wire.as_bytes()).unwrap();
        });
        let response = connection(&server.url(), json!({})).send(get()).await.unwrap();
        assert_eq!(response.body, expected);
    }
}

#[tokio::test]
async fn bodies_are_unpacked_and_limited() {
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let serve = |body: Vec<u8>, encoding: &'static str| {
        Server::raw(move |_, stream| {
            let mut reader = BufReader::new(stream);
            read_request(&mut reader);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = reader.get_mut().write_all(&[head.as_bytes(), &body].concat());
        })
    };
    let server = serve(gzip(b"hello"), "gzip");
    assert_eq!(
        connection(&server.url(), json!({})).send(get()).await.unwrap().body,
        "hello"
    );
    for (body, encoding) in [(gzip(&[0; 2_000]), "gzip"), (vec![0; 2_000], "identity")] {
        let server = serve(body, encoding);
        let error = connection(&server.url(), json!({"max_response_size": 1_000}))
            .send(get())
            .await
            .unwrap_err();
        assert!(matches!(failure(&error), HttpFailure::TooLarge(1_000)), "{error:?}");
    }
    let server = serve(b"no gzip".to_vec(), "gzip");
    let error = connection(&server.url(), json!({})).send(get()).await.unwrap_err();
    assert!(
        matches!(failure(&error), HttpFailure::ContentDecoding { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn redirects_change_methods_as_they_should() {
    let server = Server::answering(|request| match request.line().split(' ').nth(1).unwrap() {
        "/end" => {
            let body = String::from_utf8_lossy(&request.body);
            ok(&format!("{} {body}", request.line().split(' ').next().unwrap()))
        }
        status => {
            let status = status.trim_start_matches('/');
            format!("HTTP/1.1 {status} Go\r\nLocation: end\r\nContent-Length: 0\r\n\r\n")
        }
    });
    for (status, method, expected) in [
        (301, "POST", "GET "),
        (301, "PUT", "PUT "),
        (302, "PUT", "GET "),
        (303, "POST", "GET "),
        (307, "POST", "POST body"),
        (308, "PUT", "PUT body"),
    ] {
        let connection = connection(&server.url(), json!({"url_path": format!("/{status}")}));
        let request = HttpRequest {
            method: method.into(),
            ..post("body")
        };
        let response = connection.send(request).await.unwrap();
        assert_eq!(response.body, expected, "{status} {method}");
        assert_eq!(response.history.len(), 1);
        assert_eq!(response.history[0].status, status);
        assert!(response.url.ends_with("/end"));
        let request = HttpRequest {
            method: method.into(),
            allow_redirects: Some(false),
            ..post("body")
        };
        assert_eq!(connection.send(request).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn redirects_end_and_do_not_carry_credentials_elsewhere() {
    let round = Server::answering(|_| "HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".into());
    let error = connection(&round.url(), json!({})).send(get()).await.unwrap_err();
    assert!(
        matches!(failure(&error), HttpFailure::TooManyRedirects(30)),
        "{error:?}"
    );
    assert_eq!(round.lines(), 1);

    let other = Server::answering(|request| {
        ok(&format!(
            "{:?} {:?}",
            request.header("x-api-key"),
            request.header("authorization")
        ))
    });
    let to = other.url();
    let first = Server::answering(move |_| format!("HTTP/1.1 302 Go\r\nLocation: {to}/x\r\nContent-Length: 0\r\n\r\n"));
    let key = security("security.apikey", json!({"header": "X-API-Key", "password": "secret"}));
    let connection = connection_with(&first.url(), json!({"security": "sec"}), vec![key]);
    let request = HttpRequest {
        basic_auth: Some(("a".into(), "b".into())),
        ..get()
    };
    assert_eq!(connection.send(request).await.unwrap().body, "None None");
}

#[tokio::test]
async fn cookies_go_along_within_redirects_only() {
    let server = Server::answering(|request| match request.line() {
        "GET /log-in HTTP/1.1" => {
            "HTTP/1.1 302 Go\r\nLocation: /in\r\nSet-Cookie: s=1; HttpOnly\r\nContent-Length: 0\r\n\r\n".into()
        }
        _ => ok(request.header("cookie").unwrap_or("none")),
    });
    let log_in = connection(&server.url(), json!({"url_path": "/log-in"}));
    let request = HttpRequest {
        headers: vec![("Cookie".into(), "mine=2; s=0".into())],
        ..get()
    };
    assert_eq!(log_in.send(request).await.unwrap().body, "mine=2; s=1");
    let other = connection(&server.url(), json!({"url_path": "/other"}));
    assert_eq!(other.send(get()).await.unwrap().body, "none");
}

#[tokio::test]
async fn path_parameters_and_requests_that_cannot_be_sent_are_the_callers_errors() {
    let connection = connection("http://127.0.0.1:1", json!({"url_path": "/{a}/{b}"}));
    assert_eq!(connection.path_params(), ["a", "b"]);
    let error = connection.send(get()).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::NoPathParams));
    let params = |names: &[&str]| {
        names
            .iter()
            .map(|&name| (name.to_owned(), "1".to_owned()))
            .collect::<Vec<_>>()
    };
    let error = connection
        .send(HttpRequest {
            params: params(&["a"]),
            ..get()
        })
        .await
        .unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::MissingPathParam(name) if name == "b"));
    for request in [
        HttpRequest {
            method: "NOT A METHOD".into(),
            params: params(&["a", "b"]),
            ..get()
        },
        HttpRequest {
            headers: vec![("a b".into(), "1".into())],
            params: params(&["a", "b"]),
            ..get()
        },
        HttpRequest {
            headers: vec![("a".into(), "1\r\nb: 2".into())],
            params: params(&["a", "b"]),
            ..get()
        },
    ] {
        let error = connection.send(request).await.unwrap_err();
        assert!(matches!(failure(&error), HttpFailure::InvalidRequest(_)), "{error:?}");
        assert_eq!(error.kind(), Kind::BadRequest);
    }
}

#[tokio::test]
async fn framing_headers_of_callers_do_not_break_the_line() {
    let server = Server::answering(|request| ok(&String::from_utf8_lossy(&request.body)));
    let connection = connection(&server.url(), json!({}));
    let headers = vec![
        ("Content-Length".into(), "999".into()),
        ("Transfer-Encoding".into(), "chunked".into()),
    ];
    for _ in 0..2 {
        let response = connection
            .send(HttpRequest {
                headers: headers.clone(),
                ..post("body")
            })
            .await
            .unwrap();
        assert_eq!(response.body, "body");
    }
}

#[tokio::test]
async fn a_ping_goes_to_the_host() {
    let server = Server::answering(|request| {
        let line = request.line();
        format!("HTTP/1.1 200 OK\r\nX-Line: {line}\r\nContent-Length: 100\r\n\r\n")
    });
    let connection = connection(&server.url(), json!({"url_path": "/{a}"}));
    let response = connection.ping("/health", String::new()).await.unwrap();
    assert_eq!(response.header("x-line"), Some("HEAD /health HTTP/1.1"));
    assert_eq!(response.body, "");
}

#[tokio::test]
async fn a_call_that_is_given_up_frees_its_place() {
    let server = Server::raw(|number, stream| {
        let mut reader = BufReader::new(stream);
        read_request(&mut reader);
        if number == 0 {
            std::thread::sleep(Duration::from_secs(2));
        }
        let _ = reader.get_mut().write_all(ok("x").as_bytes());
    });
    let connection = connection(&server.url(), json!({"pool_size": 1}));
    let given_up = tokio::time::timeout(Duration::from_millis(100), connection.send(get())).await;
    assert!(given_up.is_err());
    assert_eq!(connection.send(get()).await.unwrap().body, "x");
}

mod tls {
    use std::io::Write;
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    /// A server with a certificate of its own for `name`, and that certificate in PEM.
    fn server(name: &str) -> (Server, String) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let server = Server::raw(move |_, stream| {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(tls, stream));
            while read_request(&mut reader).is_some() {
                reader.get_mut().write_all(ok("secret").as_bytes()).unwrap();
            }
        });
        (server, cert.pem())
    }

    #[tokio::test]
    async fn a_file_of_authorities_decides_whom_to_trust() {
        let (server, pem) = server("127.0.0.1");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        let url = format!("https://{}", server.address);
        let trusting = connection(&url, json!({"tls_ca_path": path}));
        for _ in 0..3 {
            assert_eq!(trusting.send(get()).await.unwrap().body, "secret");
        }
        assert_eq!(server.lines(), 1);

        let error = connection(&url, json!({})).send(get()).await.unwrap_err();
        assert!(matches!(failure(&error), HttpFailure::Tls { .. }), "{error:?}");
        assert_eq!(error.kind(), Kind::Tls);

        let careless = connection(&url, json!({"tls_verify": false}));
        assert_eq!(careless.send(get()).await.unwrap().body, "secret");
    }

    #[tokio::test]
    async fn a_certificate_for_another_name_is_refused() {
        let (server, pem) = server("crm.example.com");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        let url = format!("https://{}", server.address);
        let error = connection(&url, json!({"tls_ca_path": path}))
            .send(get())
            .await
            .unwrap_err();
        assert!(matches!(failure(&error), HttpFailure::Tls { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_is_a_tls_error() {
        let server = Server::raw(|_, mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let url = format!("https://{}", server.address);
        let error = connection(&url, json!({})).send(get()).await.unwrap_err();
        assert!(matches!(failure(&error), HttpFailure::Tls { .. }), "{error:?}");
    }

    #[test]
    fn a_file_that_holds_no_authorities_is_refused_before_anything_changes() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for path in [directory.path().join("missing.pem"), empty] {
            let body = json!({"host": "https://a", "tls_ca_path": path});
            let records = vec![record::<OutgoingHttp>("CRM", &body)];
            let error = OutgoingConnections::new("x")
                .prepare(&Snapshot { revision: 1, records })
                .err()
                .unwrap();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.message().contains("`CRM`"), "{error}");
        }
    }
}
