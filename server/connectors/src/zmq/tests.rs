use std::time::{Duration, Instant};

use busbar_model::Kind;
use busbar_model::object::{Object, ObjectType, Record, Snapshot};
use busbar_runtime::{Configure, HubRequest};
use busbar_testkit::free_port;
use bytes::Bytes;
use serde_json::{Value, json};
use zmq::{Context, Socket};

use super::{OutgoingZmq, ZmqSockets, ZmqState, ZmqStatus};

const LIMIT: Duration = Duration::from_secs(10);

fn record(name: &str, body: Value) -> Record {
    let body = (ObjectType::of::<OutgoingZmq>().normalise)(body.as_object().unwrap())
        .unwrap()
        .into();
    Record {
        kind: OutgoingZmq::KIND.into(),
        name: name.into(),
        is_active: true,
        body,
        version: 1,
        id: 0,
    }
}

fn configure(sockets: &ZmqSockets, records: Vec<Record>) {
    sockets.prepare(&Snapshot::new(1, records)).unwrap().commit();
}

fn sockets(records: Vec<Record>) -> ZmqSockets {
    let sockets = ZmqSockets::new().unwrap();
    configure(&sockets, records);
    sockets
}

fn send(sockets: &ZmqSockets, text: impl Into<String>) -> Result<(), busbar_model::Error> {
    sockets.send("x", vec![Bytes::from(text.into())])
}

fn peer(kind: zmq::SocketType) -> Socket {
    let socket = Context::new().socket(kind).unwrap();
    socket.set_rcvtimeo(i32::try_from(LIMIT.as_millis()).unwrap()).unwrap();
    socket.set_linger(0).unwrap();
    socket
}

fn bind(socket: &Socket, port: u16) {
    let end = Instant::now() + LIMIT;
    while let Err(error) = socket.bind(&format!("tcp://127.0.0.1:{port}")) {
        assert!(Instant::now() < end, "{error}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn receive(socket: &Socket) -> String {
    socket.recv_string(0).unwrap().unwrap()
}

fn wait_for(sockets: &ZmqSockets, what: &str, is_so: impl Fn(&ZmqStatus) -> bool) {
    let end = Instant::now() + LIMIT;
    loop {
        let status = sockets.status("x").unwrap();
        if is_so(&status) {
            return;
        }
        assert!(Instant::now() < end, "not {what}: {status:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn push(port: u16) -> Value {
    json!({"address": format!("tcp://127.0.0.1:{port}"), "socket_type": "PUSH"})
}

#[test]
fn a_peer_that_comes_late_gets_everything_in_order() {
    let port = free_port();
    let sockets = sockets(vec![record("x", push(port))]);
    for number in 0..3_000 {
        send(&sockets, number.to_string()).unwrap();
    }
    let pull = peer(zmq::PULL);
    bind(&pull, port);
    for number in 0..3_000 {
        assert_eq!(receive(&pull), number.to_string());
    }
    wait_for(&sockets, "connected", |status| {
        status.state == ZmqState::Connected && status.peers == 1
    });
}

#[test]
fn a_peer_that_restarts_gets_what_was_sent_meanwhile() {
    let port = free_port();
    let sockets = sockets(vec![record("x", push(port))]);
    let pull = peer(zmq::PULL);
    bind(&pull, port);
    send(&sockets, "before").unwrap();
    assert_eq!(receive(&pull), "before");
    wait_for(&sockets, "connected", |status| status.peers == 1);
    drop(pull);
    wait_for(&sockets, "disconnected", |status| status.peers == 0);
    send(&sockets, "meanwhile").unwrap();
    let pull = peer(zmq::PULL);
    bind(&pull, port);
    assert_eq!(receive(&pull), "meanwhile");
}

#[test]
fn a_wrong_peer_takes_nothing_and_makes_way_for_the_right_one() {
    let port = free_port();
    let wrong = peer(zmq::PUSH);
    bind(&wrong, port);
    let sockets = sockets(vec![record("x", push(port))]);
    send(&sockets, "kept").unwrap();
    wait_for(&sockets, "failing", |status| {
        let error = status.error.as_ref();
        status.state == ZmqState::Failing && error.is_some_and(|error| error.contains("PULL"))
    });
    assert_eq!(sockets.status("x").unwrap().queued, 1);
    assert_eq!(sockets.ping("x").unwrap_err().kind(), Kind::Connection);
    drop(wrong);
    let pull = peer(zmq::PULL);
    bind(&pull, port);
    assert_eq!(receive(&pull), "kept");
    wait_for(&sockets, "connected", |status| {
        status.state == ZmqState::Connected && status.error.is_none()
    });
}

#[test]
fn who_only_looks_in_is_no_peer() {
    let port = free_port();
    let body = json!({"address": format!("tcp://127.0.0.1:{port}"), "socket_type": "PUSH", "socket_method": "bind"});
    let sockets = sockets(vec![record("x", body)]);
    wait_for(&sockets, "open", |status| status.endpoint.is_some());
    let pull = peer(zmq::PULL);
    pull.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    wait_for(&sockets, "connected", |status| status.peers == 1);
    for _ in 0..3 {
        // as load balancers do to see whether somebody is there
        drop(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
    }
    let wrong = peer(zmq::PUSH);
    wrong.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    send(&sockets, "still there").unwrap();
    assert_eq!(receive(&pull), "still there");
    let status = sockets.status("x").unwrap();
    assert_eq!((status.state, status.peers), (ZmqState::Connected, 1));
    drop(pull);
    wait_for(&sockets, "waiting", |status| status.state == ZmqState::Waiting);
}

#[test]
fn messages_have_parts() {
    let port = free_port();
    let sockets = sockets(vec![record("x", push(port))]);
    let pull = peer(zmq::PULL);
    bind(&pull, port);
    sockets
        .send("x", vec![Bytes::from("a"), Bytes::new(), Bytes::from("c")])
        .unwrap();
    assert_eq!(
        pull.recv_multipart(0).unwrap(),
        [b"a".to_vec(), b"".to_vec(), b"c".to_vec()]
    );
    assert_eq!(sockets.send("x", vec![]).unwrap_err().kind(), Kind::BadRequest);
}

#[test]
fn a_full_queue_is_an_error_that_names_the_connection() {
    let body = |more: Value| {
        let mut body =
            json!({"address": "tcp://127.0.0.1:*", "socket_type": "PUSH", "socket_method": "bind", "linger": 0});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for more in [json!({"high_water_mark": 10}), json!({"max_queue_size": 20})] {
        let sockets = sockets(vec![record("x", body(more))]);
        for _ in 0..10 {
            send(&sockets, "ab").unwrap();
        }
        let error = send(&sockets, "ab").unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().contains("outgoing.zmq `x`"), "{error}");
        assert_eq!(sockets.status("x").unwrap().queued, 10);
    }
}

#[test]
fn a_subscriber_that_is_just_connecting_gets_the_first_message() {
    let port = free_port();
    let subscriber = peer(zmq::SUB);
    subscriber.set_subscribe(b"").unwrap();
    subscriber.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let address = format!("tcp://127.0.0.1:{port}");
    let sockets = sockets(vec![record(
        "x",
        json!({"address": address, "socket_type": "PUB", "socket_method": "bind"}),
    )]);
    for text in ["first", "second"] {
        send(&sockets, text).unwrap();
    }
    assert_eq!(receive(&subscriber), "first");
    assert_eq!(receive(&subscriber), "second");
}

#[test]
fn a_publisher_without_subscribers_keeps_nothing() {
    let body = json!({"address": "tcp://127.0.0.1:*", "socket_type": "PUB", "socket_method": "bind"});
    let sockets = sockets(vec![record("x", body)]);
    send(&sockets, "nobody").unwrap();
    wait_for(&sockets, "empty", |status| status.queued == 0 && status.sent == 1);
}

#[test]
fn an_address_that_is_taken_is_tried_until_it_is_free() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://127.0.0.1:{}", taken.local_addr().unwrap().port());
    let body = json!({"address": address, "socket_type": "PUSH", "socket_method": "bind"});
    let sockets = sockets(vec![record("x", body)]);
    wait_for(&sockets, "failing", |status| {
        status.state == ZmqState::Failing && status.error.is_some()
    });
    let error = sockets.ping("x").unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    send(&sockets, "kept").unwrap();
    drop(taken);
    let pull = peer(zmq::PULL);
    pull.connect(&address).unwrap();
    assert_eq!(receive(&pull), "kept");
    assert!(sockets.ping("x").is_ok());
}

#[test]
fn an_address_that_cannot_be_is_an_error_in_the_status() {
    let body = json!({"address": "ipc:///no/such/directory/socket", "socket_type": "PUSH", "socket_method": "bind"});
    let sockets = sockets(vec![record("x", body)]);
    wait_for(&sockets, "failing", |status| status.error.is_some());
}

#[test]
fn a_connection_that_goes_while_it_connects_holds_nothing_up() {
    let bound = |port: u16| json!({"address": format!("tcp://127.0.0.1:{port}"), "socket_type": "PUSH", "socket_method": "bind"});
    // how far the one that goes has come is different each time
    for _ in 0..10 {
        let port = free_port();
        let sockets = sockets(vec![record("x", bound(free_port()))]);
        configure(&sockets, vec![record("y", push(port))]);
        configure(&sockets, vec![record("x", bound(port))]);
        send(&sockets, "hello").unwrap();
        let pull = peer(zmq::PULL);
        pull.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
        assert_eq!(receive(&pull), "hello");
    }
}

#[test]
fn changes_keep_what_they_do_not_change_and_take_queues_along() {
    let (first, second) = (free_port(), free_port());
    let bound = |port: u16| json!({"address": format!("tcp://127.0.0.1:{port}"), "socket_type": "PUSH", "socket_method": "bind"});
    let sockets = sockets(vec![record("x", bound(first))]);
    send(&sockets, "1").unwrap();
    let same = sockets.outbox_for_tests("x");
    configure(
        &sockets,
        vec![record("x", bound(first)), record("y", push(free_port()))],
    );
    assert!(std::sync::Arc::ptr_eq(&same, &sockets.outbox_for_tests("x")));
    configure(&sockets, vec![record("x", bound(second))]);
    send(&sockets, "2").unwrap();
    let pull = peer(zmq::PULL);
    pull.connect(&format!("tcp://127.0.0.1:{second}")).unwrap();
    assert_eq!(receive(&pull), "1");
    assert_eq!(receive(&pull), "2");
    // and the old address is free
    bind(&peer(zmq::PULL), first);
}

#[test]
fn a_socket_that_is_bound_again_gets_its_address_back() {
    let port = free_port();
    let bound = |mark: u32| json!({"address": format!("tcp://127.0.0.1:{port}"), "socket_type": "PUSH", "socket_method": "bind", "high_water_mark": mark});
    let sockets = sockets(vec![record("x", bound(5))]);
    wait_for(&sockets, "open", |status| status.endpoint.is_some());
    configure(&sockets, vec![record("x", bound(6))]);
    send(&sockets, "hello").unwrap();
    let pull = peer(zmq::PULL);
    pull.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    assert_eq!(receive(&pull), "hello");
}

#[test]
fn unknown_and_inactive_connections_are_told_apart() {
    let mut off = record("off", push(1));
    off.is_active = false;
    let sockets = sockets(vec![off]);
    assert_eq!(
        sockets.send("off", vec![Bytes::new()]).unwrap_err().kind(),
        Kind::Inactive
    );
    assert_eq!(
        sockets.send("x", vec![Bytes::new()]).unwrap_err().kind(),
        Kind::NotFound
    );
}

#[tokio::test]
async fn stopping_delivers_what_is_queued() {
    let port = free_port();
    let sockets = sockets(vec![record("x", push(port))]);
    for number in 0..2_000 {
        send(&sockets, number.to_string()).unwrap();
    }
    let pull = peer(zmq::PULL);
    bind(&pull, port);
    let reader = std::thread::spawn(move || (0..2_000).map(|_| receive(&pull)).collect::<Vec<_>>());
    sockets.stop(LIMIT).await;
    assert_eq!(reader.join().unwrap().last().unwrap(), "1999");
    assert_eq!(send(&sockets, "late").unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn stopping_does_not_wait_for_peers_longer_than_it_may() {
    let sockets = sockets(vec![record("x", push(free_port()))]);
    send(&sockets, "nobody").unwrap();
    let started = Instant::now();
    sockets.stop(Duration::from_millis(200)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn workers_send_and_ping_by_request() {
    let port = free_port();
    let sockets = sockets(vec![record("x", push(port))]);
    let request = |operation: &str| HubRequest {
        kind: OutgoingZmq::KIND.into(),
        name: "x".into(),
        operation: operation.into(),
        parts: vec![Bytes::from("hello")],
    };
    assert_eq!(sockets.request(request("send")).await.unwrap(), "");
    let status: ZmqStatus = serde_json::from_slice(&sockets.request(request("ping")).await.unwrap()).unwrap();
    assert!(
        matches!(status.state, ZmqState::Opening | ZmqState::Waiting),
        "{status:?}"
    );
    assert_eq!(
        sockets.request(request("dance")).await.unwrap_err().kind(),
        Kind::BadRequest
    );
}
