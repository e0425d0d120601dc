//! Outgoing ZeroMQ: messages wait for peers, callers do not.

use std::time::{Duration, Instant};

use busbar_testkit::process::connections_to;
use busbar_testkit::zeromq::Receiver;
use busbar_testkit::{TestServer, free_port, wait_until};
use serde_json::json;

use crate::server;

const SEND: &str = "
from zato.server.service import Service

class Send(Service):
    def handle(self):
        name, first, count = self.request.payload
        for number in range(first, first + count):
            self.outgoing.zmq.send('message %d' % number, name)

class Forms(Service):
    def handle(self):
        zmq = self.outgoing.zmq
        zmq.send('été', 'push')
        zmq.send(b'bytes', 'push')
        zmq['push'].send('by item')
        zmq.conn().send('by conn', 'push')
        zmq.send(['two', 'parts'], 'push')
        try:
            zmq.send('x', 'not-there')
            self.response.payload = 'sent'
        except KeyError as error:
            self.response.payload = 'KeyError'
";

fn free_address() -> String {
    format!("tcp://127.0.0.1:{}", free_port())
}

fn start(address: &str, socket_type: &str, socket_method: &str) -> TestServer {
    server()
        .service("send.py", SEND)
        .enmasse(&format!(
            "outconn_zmq: [{{name: push, address: '{address}', socket_type: {socket_type}, socket_method: {socket_method}}}]"
        ))
        .start()
}

#[track_caller]
fn send(server: &TestServer, first: usize, count: usize) {
    server
        .invoke("send.send", &json!(["push", first, count]).to_string())
        .expect(200);
}

#[track_caller]
fn expect(receiver: &Receiver, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(receiver.receive(), [format!("message {number}")]);
    }
}

#[test]
fn every_form_of_sending() {
    let peer = Receiver::pull();
    let server = start(peer.address(), "PUSH", "connect");
    assert_eq!(server.invoke("send.forms", "").expect(200).text(), "KeyError");
    for expected in [&["été"][..], &["bytes"], &["by item"], &["by conn"], &["two", "parts"]] {
        assert_eq!(peer.receive(), expected);
    }
}

#[test]
fn messages_to_a_peer_that_is_away_wait_for_it() {
    let address = free_address();
    let server = start(&address, "PUSH", "connect");
    let started = Instant::now();
    send(&server, 0, 500);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "nobody waits for the peer: {:?}",
        started.elapsed()
    );
    let peer = Receiver::pull_on(&address);
    expect(&peer, 0..500);
}

#[test]
fn a_peer_that_was_away_in_between_gets_what_was_sent_meanwhile() {
    let address = free_address();
    let server = start(&address, "PUSH", "connect");
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let mut peer = Receiver::pull_on(&address);
    send(&server, 0, 10);
    expect(&peer, 0..10);
    for round in 1..4 {
        drop(peer);
        // what the kernel has taken for a peer that has just left is lost to any sender
        wait_until("the line to be down", || (connections_to(port) == 0).then_some(()));
        send(&server, round * 100, 50);
        peer = Receiver::pull_on(&address);
        expect(&peer, round * 100..round * 100 + 50);
    }
}

#[test]
fn a_socket_can_bind_and_its_peers_connect() {
    let address = free_address();
    let server = start(&address, "PUB", "bind");
    let subscriber = Receiver::subscribe(&address, "");
    wait_until("the subscription to arrive", || {
        send(&server, 0, 1);
        subscriber.receive_within(Duration::from_millis(100))
    });
    send(&server, 1, 100);
    // whatever was sent while the subscription arrived comes first
    let mut message = subscriber.receive();
    while message == ["message 0"] {
        message = subscriber.receive();
    }
    assert_eq!(message, ["message 1"]);
    expect(&subscriber, 2..101);
}

#[test]
fn a_subscriber_that_does_not_exist_blocks_nobody() {
    let server = start(&free_address(), "PUB", "connect");
    send(&server, 0, 5_000);
    send(&server, 0, 5_000);
}

#[test]
fn beyond_the_high_water_mark_callers_are_told_and_nobody_blocks() {
    let address = free_address();
    let server = server()
        .service(
            "fill.py",
            "
from zato.server.service import Service

class Fill(Service):
    def handle(self):
        sent = 0
        try:
            for number in range(10000):
                self.outgoing.zmq.send('message %d' % number, 'push')
                sent += 1
        except Exception as error:
            self.logger.info('%s: %s', type(error).__name__, error)
        self.response.payload = sent
",
        )
        .enmasse(&format!(
            "outconn_zmq: [{{name: push, address: '{address}', socket_type: PUSH, socket_method: connect, high_water_mark: 100}}]"
        ))
        .start();
    let sent: usize = server.invoke("fill.fill", "").expect(200).text().parse().unwrap();
    assert!((100..10_000).contains(&sent), "{sent}");
    // what was taken is not lost
    let peer = Receiver::pull_on(&address);
    expect(&peer, 0..sent);
}

#[test]
fn messages_that_wait_leave_before_the_server_stops() {
    let peer = Receiver::pull();
    let mut server = start(peer.address(), "PUSH", "connect");
    send(&server, 0, 200);
    assert_eq!(server.stop().code(), Some(0));
    expect(&peer, 0..200);
}

#[test]
fn a_connection_moves_while_the_server_runs() {
    let (old, new) = (Receiver::pull(), Receiver::pull());
    let server = start(old.address(), "PUSH", "connect");
    send(&server, 0, 5);
    expect(&old, 0..5);
    let yaml = format!(
        "outconn_zmq: [{{name: push, address: '{}', socket_type: PUSH, socket_method: connect}}]",
        new.address()
    );
    server.enmasse(&["--import", "--replace"], &yaml).expect_code(0);
    send(&server, 5, 5);
    expect(&new, 5..10);
}
