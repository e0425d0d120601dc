//! The tutorial: the very files of `sample-services/tutorial`, one copied over the other while the server runs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use busbar_testkit::zeromq::Receiver;
use busbar_testkit::{Answer, Backend, TestServer, wait_until};
use serde_json::{Value, json};

use crate::{python, sample, sample_text, server};

const PATH: &str = "/tutorial/first-service";
const TYPES: &str = "
from zato.server.service import Service

class Add(Service):
    def handle(self):
        self.kvdb.conn.lpush('myapp:fraud-detection:cust-type', self.request.payload['type'])
";

fn backends() -> Backend {
    Backend::new(|request| match request.path() {
        "/crm" => Answer::json(&json!({"firstName": "Sean", "lastName": "O'Brien"})),
        "/payments" => Answer::json(&json!({"DATE": "2013-05-14T10:42:14.401555", "AMOUNT": "357"})),
        _ => Answer::respond(404, &[], b""),
    })
}

fn objects(backends: &Backend, fraud_detection: &str) -> String {
    sample_text("enmasse/tutorial.yaml")
        .replace("http://127.0.0.1:35201", &backends.url())
        .replace("tcp://127.0.0.1:35101", fraud_detection)
}

fn expected() -> Value {
    json!({
        "first_name": "Sean",
        "last_name": "O'Brien",
        "last_payment_date": "2013-05-14T10:42:14.401555",
        "last_payment_amount": "357",
    })
}

fn call(server: &TestServer, cust_type: &str) {
    let response = server
        .post(PATH, format!(r#"{{"cust_id":123, "cust_type":"{cust_type}"}}"#))
        .expect(200);
    assert_eq!(response.json(), expected());
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn the_three_steps_are_copied_over_each_other() {
    let backends = backends();
    let frauds = Receiver::pull();
    let server = server()
        .enmasse(&objects(&backends, frauds.address()))
        .service("types.py", TYPES)
        .start();

    // nothing is deployed yet, and the server says so
    server.post(PATH, "{}").expect(404);

    server.copy(&sample("tutorial/step1_http/my_service.py"));
    wait_until("step 1 to answer", || {
        (server.post(PATH, r#"{"cust_id":123}"#).status == 200).then_some(())
    });
    call(&server, "A");
    let sent = backends.last();
    assert_eq!((sent.method.as_str(), sent.path()), ("POST", "/payments"));
    assert_eq!(
        serde_json::from_str::<Value>(&sent.text()).unwrap(),
        json!({"cust_id": 123, "cust_type": "A"})
    );
    assert!(sent.header("content-type").unwrap().starts_with("application/json"));
    assert_eq!(sent.header("x-zato-cid").unwrap().len(), 24);
    assert!(
        frauds.receive_within(Duration::from_millis(100)).is_none(),
        "step 1 reports nothing"
    );

    server.copy(&sample("tutorial/step2_zmq/my_service.py"));
    let report = wait_until("step 2 to report", || {
        call(&server, "A");
        frauds.receive_within(Duration::from_millis(200))
    });
    let report: Value = serde_json::from_str(&report[0]).unwrap();
    assert_eq!(report["response"], expected());
    assert_eq!(report["request"], json!({"cust_id": 123, "cust_type": "A"}));
    call(&server, "X");
    server.wait_log(&["No report to fraud detection"]);

    server.copy(&sample("tutorial/step3_kvdb/my_service.py"));
    // now nobody is reported, until the list in the key-value database says so
    wait_until("step 3 to report nothing", || {
        while frauds.receive_within(Duration::from_millis(100)).is_some() {}
        call(&server, "A");
        frauds
            .receive_within(Duration::from_millis(300))
            .is_none()
            .then_some(())
    });
    server.invoke("types.add", r#"{"type": "A"}"#).expect(200);
    call(&server, "B");
    call(&server, "A");
    let report: Value = serde_json::from_str(&frauds.receive()[0]).unwrap();
    let request: Value = serde_json::from_str(report["request"].as_str().unwrap()).unwrap();
    assert_eq!(request["cust_type"], "A");
}

#[test]
fn the_fraud_detection_of_the_samples_prints_what_it_gets() {
    let mut frauds = Command::new(python())
        .arg(sample("backends/fraud_detection.py"))
        .args(["--address", "tcp://127.0.0.1:*", "--count", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(frauds.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.rsplit(' ').next().unwrap().to_owned();

    let backends = backends();
    let server = server()
        .enmasse(&objects(&backends, &address))
        .service("my_service.py", &sample_text("tutorial/step2_zmq/my_service.py"))
        .start();
    call(&server, "C");
    let printed = lines.next().unwrap().unwrap();
    assert!(printed.contains("O'Brien"), "{printed}");
    assert!(frauds.wait().unwrap().success());
}

#[test]
fn the_backends_of_the_samples_answer() {
    let mut backends = Command::new(python())
        .arg(sample("backends/http_backends.py"))
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(backends.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.rsplit(' ').next().unwrap();
    let yaml = sample_text("enmasse/tutorial.yaml").replace("127.0.0.1:35201", address);
    let server = server()
        .enmasse(&yaml)
        .service("my_service.py", &sample_text("tutorial/step1_http/my_service.py"))
        .start();
    call(&server, "A");
    backends.kill().unwrap();
    backends.wait().unwrap();
    // a back-end that is away is the caller's 500, not the server's end
    let response = server.post(PATH, r#"{"cust_id":123, "cust_type":"A"}"#).expect(500);
    assert_eq!(response.json()["cid"], response.cid());
}
