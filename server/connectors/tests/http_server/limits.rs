use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::setup::{LIMIT, config, get, post, server, server_with};

#[tokio::test]
async fn slow_heads_are_cut_off() {
    let mut config = config();
    config.head_timeout_secs = 1;
    let server = server_with(config).await;
    let mut client = server.connect().await;
    let started = Instant::now();
    client.send("GET /head/1 HTTP/1.1\r\n").await;
    let response = client.read().await;
    assert_eq!(response.status(), 408);
    response.cid();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(client.rest().await, "");
    // a byte now and then does not help
    let mut client = server.connect().await;
    let started = Instant::now();
    for byte in "GET /head/1 HTTP/1.1\r\nX-Slow: yes\r\n".bytes() {
        if tokio::io::AsyncWriteExt::write_all(client.0.get_mut(), &[byte])
            .await
            .is_err()
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(started.elapsed() > Duration::from_secs(1));
    assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
    // who says nothing at all is hung up on
    let mut client = server.connect().await;
    assert_eq!(client.rest().await, "");
    // a good client is not disturbed
    assert_eq!(server.ask(&get("/head/1")).await.status(), 200);
}

#[tokio::test]
async fn slow_bodies_are_cut_off() {
    let server = server().await;
    let mut client = server.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
        .await;
    let started = Instant::now();
    let response = client.read().await;
    assert_eq!(response.status(), 408);
    let cid = response.cid();
    assert_eq!(
        response.body,
        format!(r#"{{"result":"Error","cid":"{cid}","details":"The request's body comes too slowly"}}"#)
    );
    assert!((4..9).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert!(response.closes());
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let mut config = config();
    config.idle_timeout_secs = 1;
    let server = server_with(config).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(get("/head/1")).await;
        assert_eq!(client.read().await.status(), 200);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(client.rest().await, "");
    assert_eq!(server.server.connections(), 0);
}

#[tokio::test]
async fn who_leaves_takes_the_call_along() {
    let server = server().await;
    let mut client = server.connect().await;
    client.send(post("/wait", "x")).await;
    tokio::time::timeout(LIMIT, server.fake.began.notified()).await.unwrap();
    drop(client);
    tokio::time::timeout(LIMIT, server.fake.left.notified())
        .await
        .expect("the call is dropped");
    assert_eq!(server.fake.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let mut config = config();
    config.write_timeout_secs = 1;
    let server = server_with(config).await;
    let mut client = server.connect().await;
    client.send(get("/big")).await;
    let wait = async {
        while server.server.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // it is there until then
    tokio::time::timeout(Duration::from_millis(500), std::future::pending::<()>())
        .await
        .unwrap_err();
    tokio::time::timeout(LIMIT, wait).await.expect("it is cut off");
}

#[tokio::test]
async fn a_full_server_lets_new_clients_in_as_others_leave() {
    let mut config = config();
    config.max_connections = 2;
    let server = server_with(config).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    for client in [&mut first, &mut second] {
        client.send(get("/head/1")).await;
        client.read().await;
    }
    let mut third = server.connect().await;
    third.send(get("/head/3")).await;
    let early = tokio::time::timeout(Duration::from_millis(300), third.0.read_u8()).await;
    assert!(early.is_err(), "there is no room yet");
    drop(first);
    assert_eq!(third.read().await.status(), 200);
    // idle ones are closed early when others wait
    let mut fourth = server.connect().await;
    fourth.send(get("/head/4")).await;
    assert_eq!(fourth.read().await.status(), 200);
}

#[tokio::test]
async fn many_idle_connections_disturb_nobody() {
    let server = server().await;
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let mut client = server.connect().await;
    for _ in 0..100 {
        client.send(post("/echo", "1")).await;
        assert_eq!(client.read().await.status(), 200);
    }
    assert_eq!(server.server.connections(), 401);
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight() {
    let server = server().await;
    let mut idle = server.connect().await;
    idle.send(get("/head/1")).await;
    idle.read().await;
    let mut busy = server.connect().await;
    busy.send(post("/wait", "x")).await;
    tokio::time::timeout(LIMIT, server.fake.began.notified()).await.unwrap();
    let address = server.address();
    let fake = server.fake.clone();
    let draining = tokio::spawn(async move { server.server.drain(LIMIT).await });
    assert_eq!(idle.rest().await, "", "an idle connection is closed");
    assert!(TcpStream::connect(address).await.is_err(), "nobody new is let in");
    assert!(!draining.is_finished());
    fake.go_on.notify_one();
    let response = busy.read().await;
    assert_eq!(response.body, "at last");
    assert!(response.closes());
    assert_eq!(tokio::time::timeout(LIMIT, draining).await.unwrap().unwrap(), 0);
    assert_eq!(fake.dropped.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn stopping_has_a_limit() {
    let server = server().await;
    let mut busy = server.connect().await;
    busy.send(post("/wait", "x")).await;
    tokio::time::timeout(LIMIT, server.fake.began.notified()).await.unwrap();
    assert_eq!(server.server.drain(Duration::from_millis(200)).await, 1);
    assert_eq!(busy.rest().await, "");
    assert_eq!(server.fake.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(server.server.connections(), 0);
}
