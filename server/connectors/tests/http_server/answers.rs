use serde_json::{Value, json};

use crate::setup::{config, get, post, server, server_with};

#[tokio::test]
async fn a_request_reaches_its_service_and_the_connection_stays() {
    let server = server().await;
    let mut client = server.connect().await;
    let mut cids = Vec::new();
    for body in ["{}", "{\"a\":1}", ""] {
        client.send(post("/echo", body)).await;
        let response = client.read().await;
        assert_eq!((response.status(), response.body.as_str()), (200, body));
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("server"), Some("busbar"));
        assert_eq!(response.header("content-length"), Some(&*body.len().to_string()));
        assert!(response.header("date").is_some() && response.header("transfer-encoding").is_none());
        cids.push(response.cid());
    }
    cids.dedup();
    assert_eq!(cids.len(), 3, "every request has its own cid");
}

#[tokio::test]
async fn the_service_sees_the_request() {
    let server = server().await;
    let response = server
        .ask("GET /head/a%20b%2Fc?x=1&y=%20 HTTP/1.1\r\nHost: x\r\nX-A: 7\r\nX-B: z\r\n\r\n")
        .await;
    let shown: Value = serde_json::from_str(&response.body).unwrap();
    let remote = shown["remote"].as_str().unwrap();
    assert!(remote.starts_with("127.0.0.1:"), "{remote}");
    assert_eq!(
        shown,
        json!({"method": "GET", "path": "/head/a b/c", "query": "x=1&y=%20", "remote": remote, "params": ["id=a b/c"],
               "x-a": "7", "channel": "head", "security": ["", "", ""]})
    );
    let response = server
        .ask("GET /guarded HTTP/1.1\r\nHost: x\r\nAuthorization: letmein\r\n\r\n")
        .await;
    let shown: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(shown["security"], json!(["door", "basic_auth", "ann"]));
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let server = server().await;
    for path in ["/", "/nope", "/echo/", "/ECHO", "/echo%2F"] {
        let response = server.ask(&get(path)).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(
            response.body,
            format!("URL not found (CID:{})", response.cid()),
            "{path}"
        );
        assert_eq!(response.header("content-type"), None, "{path}");
    }
    let response = server.ask("PUT /get HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((response.status(), response.header("allow")), (405, Some("GET, POST")));
    assert_eq!(response.body, format!("Method not allowed (CID:{})", response.cid()));
    for method in ["TRACE", "FETCH", "get"] {
        let response = server.ask(&format!("{method} /echo HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(response.status(), 405, "{method}");
        let cid = response.cid();
        assert_eq!(
            response.body,
            format!(r#"{{"result":"Error","cid":"{cid}","details":"Unsupported HTTP method"}}"#)
        );
    }
    for path in ["/echo%", "/%zz", "/%ff", "/%00"] {
        let response = server.ask(&get(path)).await;
        assert_eq!(response.status(), 400, "{path}");
        assert!(response.body.contains(&response.cid()), "{path}");
    }
    let response = server.ask(&get("/off")).await;
    let cid = response.cid();
    assert_eq!(response.status(), 404);
    assert_eq!(
        response.body,
        format!(r#"{{"result":"Error","cid":"{cid}","details":"Channel inactive"}}"#)
    );
    let response = server.ask(&get("/nobody")).await;
    assert_eq!(
        (response.status(), response.header("content-type")),
        (404, Some("application/json"))
    );
    assert_eq!(server.fake.dispatched.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn wrong_credentials() {
    let server = server().await;
    let response = server.ask(&post("/guarded", "{}")).await;
    let cid = response.cid();
    assert_eq!(
        (response.status(), response.header("www-authenticate")),
        (401, Some("Basic realm=\"r\""))
    );
    assert_eq!(
        response.body,
        format!(r#"{{"result":"Error","cid":"{cid}","details":"Unauthorized; cid={cid}"}}"#)
    );
    assert_eq!(response.header("content-type"), Some("application/json"));
    let response = server.ask(&post("/guarded.xml", "<a/>")).await;
    let cid = response.cid();
    assert_eq!(response.header("content-type"), Some("application/xml"));
    assert_eq!(
        response.body,
        format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<response><zato_env><cid>{cid}</cid><result>ZATO_ERROR</result>\
             <details>Unauthorized; cid={cid}</details></zato_env></response>"
        )
    );
}

#[tokio::test]
async fn head_gets_the_length_without_the_body() {
    let server = server().await;
    let mut client = server.connect().await;
    client.send("HEAD /head/1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let response = client.read_head().await;
    assert_eq!(response.status(), 200);
    assert!(response.header("content-length").unwrap().parse::<usize>().unwrap() > 50);
    client.send("HEAD /nope HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.read_head().await.status(), 404);
    client.send(get("/head/1")).await;
    assert_eq!(
        client.read().await.status(),
        200,
        "nothing is left over from the others"
    );
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row() {
    let server = server().await;
    let mut client = server.connect().await;
    client
        .send(
            [
                post("/echo", "1"),
                get("/nope"),
                post("/echo", "2"),
                post("/guarded", "x"),
                post("/echo", "3"),
            ]
            .concat(),
        )
        .await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let response = client.read().await;
        seen.push((
            response.status(),
            if response.status() == 200 {
                response.body
            } else {
                String::new()
            },
        ));
    }
    let none = String::new;
    assert_eq!(
        seen,
        [
            (200, "1".to_owned()),
            (404, none()),
            (200, "2".to_owned()),
            (401, none()),
            (200, "3".to_owned())
        ]
    );
}

#[tokio::test]
async fn http_1_0_closes_unless_asked() {
    let server = server().await;
    let mut client = server.connect().await;
    client.send("GET /head/1 HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.read().await.status(), 200);
    assert_eq!(client.rest().await, "");
    let mut client = server.connect().await;
    client
        .send("GET /head/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    assert_eq!(client.read().await.status(), 200);
    client.send("GET /head/1 HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.read().await.status(), 200);
}

#[tokio::test]
async fn proxies_are_believed_only_when_trusted() {
    let request = "GET /head/1 HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n\r\n";
    let remote = |response: crate::setup::Response| {
        let shown: Value = serde_json::from_str(&response.body).unwrap();
        shown["remote"].as_str().unwrap().to_owned()
    };
    assert!(remote(server().await.ask(request).await).starts_with("127.0.0.1:"));
    let mut config = config();
    config.trusted_proxies = vec!["127.0.0.0/8".to_owned().try_into().unwrap()];
    let server = server_with(config).await;
    assert_eq!(remote(server.ask(request).await), "10.0.0.1:0");
    let both = request.replace("Host: x", "Host: x\r\nX-Zato-Forwarded-For: [fd00::1]:99");
    assert_eq!(remote(server.ask(&both).await), "[fd00::1]:0");
    let nonsense = request.replace("10.0.0.1", "you know who");
    assert!(remote(server.ask(&nonsense).await).starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn the_server_header_can_be_another_or_none() {
    let mut config = config();
    config.server_header = "Apache".to_owned();
    assert_eq!(
        server_with(config.clone())
            .await
            .ask(&get("/nope"))
            .await
            .header("server"),
        Some("Apache")
    );
    config.server_header = String::new();
    assert_eq!(
        server_with(config).await.ask(&get("/nope")).await.header("server"),
        None
    );
}

#[tokio::test]
async fn every_status_can_be_sent() {
    let server = server().await;
    let mut client = server.connect().await;
    for (status, body) in [
        (200, "text"),
        (201, "text"),
        (204, ""),
        (304, ""),
        (418, "text"),
        (599, "text"),
        (799, "text"),
    ] {
        for method in ["GET", "HEAD"] {
            client
                .send(format!("{method} /status?{status} HTTP/1.1\r\nHost: x\r\n\r\n"))
                .await;
            let response = client.read_head().await;
            assert_eq!(
                (response.status(), response.header("x-b")),
                (status, Some("1")),
                "{status}"
            );
            let length = response.header("content-length");
            assert_eq!(length, (!body.is_empty()).then_some("4"), "{method} {status}");
            if method == "GET" && !body.is_empty() {
                assert_eq!(client.finish(response).await.body, body);
            }
        }
    }
    for status in [0, 99, 101, 199, 1000, 65535] {
        client.send(get(&format!("/status?{status}"))).await;
        assert_eq!(client.read().await.status(), 500, "{status}");
    }
}
