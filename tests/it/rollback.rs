//! `busbar rollback`: back to what was, without losing what a server needs.

use busbar_testkit::{Request, TestServer, wait_until};
use serde_json::{Value, json};

use crate::{ECHO, OK, server};

const OBJECTS: &str = "
security: [{name: shop, type: basic_auth, username: ann, password: c4nary}]
channel_rest: [{name: orders, url_path: /orders, service: echo.echo, data_format: json, security_name: shop}]
";

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// Asks a management service as an administrator, for what stands in its response element.
fn ask(server: &TestServer, service: &str, input: Value) -> Value {
    let request = Request::new("POST", &format!("/zato/json/{service}"))
        .basic("pubapi", server.password())
        .body(input.to_string());
    let mut answer = server.send_admin(&request).expect(200).json();
    answer[format!("{}_response", service.replace(['.', '-'], "_"))].take()
}

fn names(server: &TestServer) -> Vec<String> {
    let listed = ask(server, "zato.security.basic-auth.get-list", json!({"cluster_id": 1}));
    let names = listed.as_array().unwrap().iter();
    names.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn going_back_to_before_everything_needs_an_agreement_and_locks_nobody_out() {
    let server = server().service("echo.py", ECHO).enmasse(OBJECTS).start();
    let revision = server.status()["revision"].to_string();
    let before = names(&server);
    assert!(before.iter().any(|it| it == "shop"), "{before:?}");

    let refused = server.run("rollback", &["--time", LONG_AGO]).expect_code(15);
    assert!(
        refused.stderr.contains("- channel.http `orders`") && refused.stderr.contains("--confirm"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("admin.invoke"), "{}", refused.stderr);
    assert_eq!(names(&server), before);
    let plan = server.run("rollback", &["--time", LONG_AGO, "--plan"]).expect_code(0);
    assert!(plan.stdout.contains("- security.basic_auth `shop`"), "{}", plan.stdout);
    // the server decides, not the command
    let other = server
        .run("rollback", &["--time", LONG_AGO, "--confirm", "0123456789abcdef"])
        .expect_code(15);
    assert!(other.stderr.contains("no longer fits"), "{}", other.stderr);
    assert_eq!(names(&server), before);

    server.run("rollback", &["--time", LONG_AGO, "--yes"]).expect_code(0);
    let mut left = before.clone();
    left.retain(|it| it != "shop");
    assert_eq!(names(&server), left);
    for (service, expected) in [
        ("zato.security.rbac.role.get-list", "Root"),
        ("zato.security.rbac.permission.get-list", "Read"),
    ] {
        let listed = ask(&server, service, json!({"cluster_id": 1}));
        assert!(listed.to_string().contains(expected), "{service}: {listed}");
    }
    server.invoke("echo.echo", "1").expect(200);
    server.post("/orders", "1").expect(404);

    // what the way back has undone is not lost
    let plan = server
        .run("rollback", &["--revision", &revision, "--plan", "--json"])
        .expect_code(0)
        .json();
    assert!(plan["deleted"].as_array().unwrap().is_empty(), "{plan}");
    server.run("rollback", &["--revision", &revision]).expect_code(0);
    assert_eq!(names(&server), before);
}

#[test]
fn what_was_deleted_comes_back_with_the_number_that_clients_know() {
    let server = server().service("echo.py", ECHO).enmasse(OBJECTS).start();
    let number = || {
        let input = json!({"cluster_id": 1, "connection": "channel", "transport": "plain_http"});
        let channels = ask(&server, "zato.http-soap.get-list", input);
        let channels = channels.as_array().unwrap().iter();
        let mut found = channels.filter(|it| it["name"] == "orders").map(|it| it["id"].as_u64());
        found.next().flatten()
    };
    let revision = server.status()["revision"].to_string();
    let before = number();
    assert!(before.is_some());
    let delete = |server: &TestServer| {
        let mut command = server.command("channel-rest");
        let output = busbar_testkit::run(command.arg("delete").arg(server.directory()).args(["--name", "orders"]));
        output.expect_code(0);
    };
    delete(&server);
    assert_eq!(number(), None);
    let one = ["--type", "channel-rest", "--name", "orders", "--version", "1"];
    server.run("rollback", &one).expect_code(0);
    assert_eq!(number(), before);
    delete(&server);
    server.run("rollback", &["--revision", &revision]).expect_code(0);
    assert_eq!(number(), before);
}

/// Services that answer with a number.
fn version(number: usize) -> String {
    ECHO.replace("self.request.payload", &format!("{{'version': {number}}}"))
}

#[test]
fn a_module_that_is_taken_back_right_after_its_deployment_stays_back() {
    let server = server().service("echo.py", &version(0)).start();
    let generations = || {
        let arguments = ["--module", "echo", "--json", "-n", "100"];
        let history = server.run("history", &arguments).expect_code(0).json();
        history.as_array().unwrap().len()
    };
    assert_eq!(generations(), 1);
    for number in 1..=6 {
        server.deploy("echo.py", &version(number));
        wait_until("the file to be deployed", || {
            (server.invoke("echo.echo", "1").text() == format!("{{\"version\":{number}}}")).then_some(())
        });
        let file = server.scratch().join("echo.py");
        std::fs::write(&file, version(100 + number)).unwrap();
        let mut command = server.command("deploy");
        busbar_testkit::run(command.arg(server.directory()).arg(&file)).expect_code(0);
        server.run("rollback", &["--module", "echo"]).expect_code(0);
        let back = format!("{{\"version\":{number}}}");
        assert_eq!(server.invoke("echo.echo", "1").text(), back);
    }
    // longer than the watcher needs to look at whatever has changed
    server.deploy("other.py", OK);
    server.wait_log(&["deployed", "other.py"]);
    // three each time: copied, deployed, taken back
    assert_eq!(generations(), 1 + 3 * 6);
}
