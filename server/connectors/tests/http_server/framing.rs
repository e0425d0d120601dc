use std::sync::atomic::Ordering;

use crate::setup::{Client, Server, get, post, server};

fn chunked(path: &str, chunks: &[&str]) -> String {
    let chunks: String = chunks
        .iter()
        .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
        .collect();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

#[tokio::test]
async fn bodies_are_read_whole() {
    let server = server().await;
    let mut client = server.connect().await;
    client.send(chunked("/echo", &["{\"a\":", "1", "}"])).await;
    assert_eq!(client.read().await.body, "{\"a\":1}");
    let large = "x".repeat(100_000);
    client.send(post("/length", &large)).await;
    assert_eq!(client.read().await.body, "100000");
    // byte by byte
    for byte in post("/echo", "12345").bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.read().await.body, "12345");
    client
        .send(chunked("/length", &[&large[..60_000], &large[60_000..]]))
        .await;
    assert_eq!(client.read().await.body, "100000");
}

#[tokio::test]
async fn larger_bodies_are_refused_without_being_read() {
    let server = server().await;
    let mut client = server.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n")
        .await;
    let response = client.read().await;
    assert_eq!(response.status(), 413);
    let cid = response.cid();
    assert_eq!(
        response.body,
        format!(r#"{{"result":"Error","cid":"{cid}","details":"The request's body is larger than 100000 bytes"}}"#)
    );
    assert!(response.closes());
    // a client that sends it all before it reads still gets the answer
    let mut client = server.connect().await;
    client.send(post("/echo", &"x".repeat(20_000_000))).await;
    assert_eq!(client.read().await.status(), 413);
    assert_eq!(client.rest().await, "");
    let mut client = server.connect().await;
    client
        .send(chunked("/echo", &[&"x".repeat(60_000), &"x".repeat(60_000)]))
        .await;
    assert_eq!(client.read().await.status(), 413);
    assert_eq!(server.fake.dispatched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn refused_requests_leave_the_connection_usable_if_their_body_is_small() {
    let server = server().await;
    let mut client = server.connect().await;
    for request in [
        post("/guarded", &"x".repeat(60_000)),
        post("/nope", "x"),
        chunked("/nope", &["x", "y"]),
    ] {
        client.send(request).await;
        let response = client.read().await;
        assert!(
            matches!(response.status(), 401 | 404) && !response.closes(),
            "{response:?}"
        );
    }
    // the body comes later than the head
    client
        .send("POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        .await;
    client.send("12345").await;
    assert_eq!(client.read().await.status(), 404);
    client.send(get("/head/1")).await;
    assert_eq!(client.read().await.status(), 200);
    // of a large one nothing is waited for
    client
        .send("POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n")
        .await;
    let response = client.read().await;
    assert!(response.status() == 401 && response.closes(), "{response:?}");
}

#[tokio::test]
async fn who_asks_for_a_go_ahead_gets_it_only_if_the_body_is_wanted() {
    let server = server().await;
    let ask = |path| format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let mut client = server.connect().await;
    client.send(ask("/echo")).await;
    assert_eq!(client.read_head().await.status(), 100);
    client.send("{}").await;
    assert_eq!(client.read().await.body, "{}");
    for (path, status) in [("/guarded", 401), ("/nope", 404)] {
        let mut client = server.connect().await;
        client.send(ask(path)).await;
        let response = client.read().await;
        assert_eq!(response.status(), status);
        assert!(response.closes());
    }
    let mut client = server.connect().await;
    client.send(ask("/echo").replace("Length: 2", "Length: 200000")).await;
    assert_eq!(client.read().await.status(), 413);
}

/// Every response that comes back for these bytes.
async fn all(server: &Server, bytes: &str) -> Vec<u16> {
    let mut client = server.connect().await;
    client.send(bytes).await;
    statuses(&mut client).await
}

async fn statuses(client: &mut Client) -> Vec<u16> {
    // the other side is told that nothing more comes, so that it does not wait
    let rest = client.rest().await;
    rest.match_indices("HTTP/1.1 ")
        .map(|(at, _)| rest[at + 9..at + 12].parse().unwrap())
        .collect()
}

/// A front end that goes by one of two lengths and a server that goes by the other would see different requests. Whatever is framed
/// twice is either refused, or read one way with the connection closed behind it, so that nothing can follow.
#[tokio::test]
async fn two_framings_smuggle_nothing() {
    let server = server().await;
    let smuggled = get("/head/smuggled");
    let te_wins = format!(
        "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n{smuggled}",
        12 + smuggled.len()
    );
    let mut client = server.connect().await;
    client.send(&te_wins).await;
    let response = client.read().await;
    assert_eq!((response.status(), response.body.as_str()), (200, "2"));
    assert!(response.closes());
    assert_eq!(client.rest().await, "", "what follows is not a request");
    assert_eq!(server.fake.dispatched.load(Ordering::SeqCst), 1);

    let swapped = te_wins
        .replace("Transfer-Encoding: chunked\r\n", "")
        .replace("Host: x", "Host: x\r\nTransfer-Encoding: chunked");
    assert_eq!(all(&server, &swapped).await, [200]);
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: ",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        " Content-Length: 5",
        "X: y\r\n Content-Length: 5",
    ] {
        let request = format!("POST /length HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
        assert_eq!(all(&server, &request).await, [400], "{framing}");
    }
    // codings that nobody undoes
    let gzip = "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    assert_eq!(server.ask(gzip).await.status(), 501);
    // HTTP/1.0 knows no chunks
    let old = "POST /length HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(all(&server, old).await, [400]);
    assert_eq!(
        server.fake.dispatched.load(Ordering::SeqCst),
        2,
        "no refused request has reached a service"
    );
}

#[tokio::test]
async fn broken_chunks_end_the_connection() {
    let server = server().await;
    for chunks in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n0\r\n\r\n",
        "2\r\nabX\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nab",
    ] {
        let request = format!("POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let statuses = all(&server, &request).await;
        assert!(statuses.is_empty() || statuses == [400], "{chunks:?} {statuses:?}");
    }
    assert_eq!(server.fake.dispatched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_with_a_cid() {
    let server = server().await;
    let long = "x".repeat(70_000);
    for (bytes, status) in [
        ("\0\0\0\0\r\n\r\n".to_owned(), 400),
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET /echo HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET /echo HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET /echo HTTP/1.1\r\nX: a\0b\r\n\r\n".to_owned(), 400),
        (format!("GET /echo HTTP/1.1\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET /echo HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101)), 431),
    ] {
        let mut client = server.connect().await;
        client.send(&bytes).await;
        let response = client.read().await;
        let shown = &bytes[..bytes.len().min(40)];
        assert_eq!(response.status(), status, "{shown:?}");
        let cid = response.cid();
        assert!(
            response
                .body
                .starts_with(&format!(r#"{{"result":"Error","cid":"{cid}","details":""#)),
            "{shown:?} {response:?}"
        );
        assert_eq!(response.header("server"), Some("busbar"));
        assert_eq!(client.rest().await, "", "{shown:?}");
    }
    // behind a good request on the same connection
    let mut client = server.connect().await;
    client.send(post("/echo", "{}") + "GARBAGE\r\n\r\n").await;
    assert_eq!(client.read().await.body, "{}");
    let response = client.read().await;
    assert_eq!(response.status(), 400);
    response.cid();
}
