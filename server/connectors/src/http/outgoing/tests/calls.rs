//! What a call sends and what it gets back.

use super::*;

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
    let refused = connections(records).get("CRM");
    assert!(refused.is_err_and(|error| error.message().contains("`sec`")));
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
