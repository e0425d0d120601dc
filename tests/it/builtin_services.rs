//! Built-in services: there from the start, callable by their names, and not to be broken by what is deployed.

use busbar_testkit::process::kill;
use busbar_testkit::wait_until;
use serde_json::json;

use crate::server;

const PAGES: &str = "
from zato.server.service.internal.helpers import Echo, HTMLService

class Page(HTMLService):
    def handle(self):
        self.set_html_payload({'names': ['<Anna>', 'Bob']}, '{% for name in names %}<p>{{ name|upper }}</p>{% endfor %}')

class Own(Echo):
    pass

class Taken(Echo):
    name = 'zato.helpers.echo'
    def handle(self):
        self.response.payload = 'taken'

class All(Echo):
    def handle(self):
        self.response.payload = [
            *(self.invoke(name) for name in ('zato.ping', 'pub.zato.ping', 'zato.ping2', 'demo.ping')),
            self.invoke('helpers.echo', 'a'),
        ]
";

#[test]
fn helpers_answer_and_are_listed_on_request_only() {
    let server = server()
        .service("helpers.py", PAGES)
        .channel("/echo", "zato.helpers.echo")
        .channel("/log", "pub.helpers.input-logger")
        .channel("/raw", "pub.helpers.raw-request-logger")
        .channel("/page", "helpers.page")
        .channel("/own", "helpers.own")
        .channel("/all", "helpers.all")
        .start();
    assert_eq!(server.post("/echo", r#"{"a": 1 }"#).expect(200).text(), r#"{"a": 1 }"#);
    assert_eq!(server.post("/own", "[1]").expect(200).text(), "[1]");
    let page = server.get("/page").expect(200);
    assert_eq!(page.text(), "<p>&lt;ANNA&gt;</p><p>BOB</p>");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let pong = json!({"pong": "zato"});
    assert_eq!(
        server.get("/all").expect(200).json(),
        json!([pong, pong, pong, pong, "a"])
    );
    server.post("/log", r#"{"colour": "blue"}"#).expect(200);
    server.wait_log(&["pub.helpers.input-logger", "'colour': 'blue'"]);
    server.post("/raw", r#"{"colour": "red"}"#).expect(200);
    server.wait_log(&["pub.helpers.raw-request-logger", r#"{"colour": "red"}"#]);

    // a user's class cannot take the name
    server.wait_log(&["`helpers.Taken` is not served"]);
    let list = |arguments: &[&str]| {
        let mut command = server.command("service");
        command
            .arg("list")
            .arg(server.directory())
            .arg("--json")
            .args(arguments);
        let entries = busbar_testkit::run(&mut command).expect_code(0).json();
        let names = entries.as_array().unwrap().iter();
        names
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&[]), ["helpers.all", "helpers.own", "helpers.page"]);
    assert!(list(&["--internal"]).contains(&"zato.helpers.echo".to_owned()));
    assert_eq!(server.status()["services"], 3);
}

#[test]
fn they_outlive_workers_and_deployments() {
    let server = server()
        .service("helpers.py", PAGES)
        .channel("/echo", "zato.helpers.echo")
        .start();
    std::fs::remove_file(server.pickup().join("helpers.py")).unwrap();
    server.deploy("busbar.services.helpers.py", PAGES);
    server.wait_log(&["a module of busbar has this name"]);
    let pid = server.worker_pids()[0];
    kill(pid);
    wait_until("another worker", || {
        server
            .worker_pids()
            .first()
            .is_some_and(|&other| other != pid)
            .then_some(())
    });
    assert_eq!(server.post("/echo", "[1]").expect(200).text(), "[1]");
}

#[test]
fn the_gateway_calls_what_its_caller_may() {
    let server = server()
        .service(
            "gate.py",
            "
from zato.server.service.internal.helpers import Echo, ServiceGateway

class Gate(ServiceGateway):
    services_allowed = ['gate.target', 'gate.no']

class Target(Echo):
    def handle(self):
        self.response.payload = {'got': self.request.payload}
",
        )
        .channel("/gate", "gate.gate")
        .channel("/open", "helpers.service-gateway")
        .start();
    let call =
        |path: &str, service: &str| server.post(path, json!({"service": service, "request": {"a": 1}}).to_string());
    assert_eq!(
        call("/gate", "gate.target").expect(200).json(),
        json!({"got": {"a": 1}})
    );
    call("/gate", "helpers.echo").expect(403);
    call("/gate", "gate.no").expect(400);
    // without a list, a channel that anybody may call leads nowhere
    call("/open", "gate.target").expect(403);
    call("/open", "zato.ping").expect(200);
}
