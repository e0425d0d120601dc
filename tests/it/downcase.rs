//! The microservice: answers over HTTP and publishes over ZeroMQ.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use busbar_testkit::zeromq::Receiver;
use busbar_testkit::{TestServer, free_port, wait_until};

use crate::{python, sample, sample_text, server};

fn start() -> (TestServer, String) {
    // the publisher binds, so that its port must be known beforehand
    let port = free_port();
    let address = format!("tcp://127.0.0.1:{port}");
    let server = server()
        .service("downcase.py", &sample_text("downcase.py"))
        .enmasse(&sample_text("enmasse/downcase.yaml").replace("tcp://127.0.0.1:4444", &address))
        .start();
    (server, address)
}

#[test]
fn it_answers_with_and_without_subscribers() {
    let (server, address) = start();
    let response = server.get("/downcase/?param=ABC").expect(200);
    assert_eq!(response.text(), "lower case of ABC is abc");
    assert!(
        response.header("content-type").unwrap().starts_with("text/plain"),
        "{response:?}"
    );

    let (all, some) = (
        Receiver::subscribe(&address, ""),
        Receiver::subscribe(&address, "lower case of X"),
    );
    // a subscription takes a moment to arrive, and what was published before is missed
    let first = wait_until("the subscription to arrive", || {
        server.get("/downcase/?param=X1").expect(200);
        some.receive_within(Duration::from_millis(100))
    });
    assert_eq!(first, ["lower case of X1 is x1"]);
    server.get("/downcase/?param=%C3%89T%C3%89").expect(200);
    wait_until("the message", || {
        (all.receive() == ["lower case of ÉTÉ is été"]).then_some(())
    });

    let missing = server.get("/downcase/").expect(400);
    assert!(missing.text().contains("Give one parameter"), "{}", missing.text());
    server.get("/downcase/?param=a&param=b").expect(400);
    server.get("/downcase").expect(404);
    assert_eq!(
        server.post("/downcase/?param=A", "").expect(405).header("allow"),
        Some("GET")
    );
}

#[test]
fn the_subscriber_of_the_samples_keeps_what_it_gets() {
    let (server, address) = start();
    let log = server.scratch().join("subscriber.log");
    let mut subscriber = Command::new(python())
        .arg(sample("backends/subscriber.py"))
        .args(["--address", &address, "--count", "1", "--log"])
        .arg(&log)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(subscriber.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("listening to"));
    wait_until("the subscriber to end", || {
        server.get("/downcase/?param=ABC").expect(200);
        subscriber.try_wait().unwrap()
    });
    assert!(
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("lower case of ABC is abc")
    );
}
