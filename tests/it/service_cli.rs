//! `busbar service list` and `invoke`.

use busbar_testkit::TestServer;
use serde_json::json;

use crate::{ECHO, server};

const SHOW: &str = "
from zato.server.service import Service

class Show(Service):
    \"\"\"Tells what it sees.

    Not in the list.
    \"\"\"
    def handle(self):
        self.response.payload = {
            'payload': self.request.payload, 'header': self.request.headers.get('X-Mine'), 'cid': self.cid,
        }

class Declared(Service):
    input = '-a'
    def handle(self):
        pass

class Silent(Service):
    def handle(self):
        pass

class Fails(Service):
    def handle(self):
        raise ValueError('on purpose')
";

#[test]
fn the_list_has_names_generations_files_and_summaries() {
    let server = server().service("show.py", SHOW).service("echo.py", ECHO).start();
    let output = server.run("service", &[]);
    assert_ne!(output.code, 0, "it says what it can do: {}", output.stdout);

    let list = |json: bool| {
        let mut command = server.command("service");
        command.arg("list").arg(server.directory());
        if json {
            command.arg("--json");
        }
        busbar_testkit::run(&mut command).expect_code(0)
    };
    let text = list(false).stdout;
    let line = text.lines().find(|line| line.contains("show.show")).unwrap();
    assert!(
        line.contains("Tells what it sees.") && line.contains("show.py"),
        "{text}"
    );
    assert!(!text.contains("Not in the list"), "{text}");

    let entries = list(true).json();
    let find = |entries: &serde_json::Value, name: &str| {
        entries
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .clone()
    };
    let echo = find(&entries, "echo.echo");
    assert_eq!(
        (&echo["module"], &echo["impl_name"]),
        (&json!("echo"), &json!("echo.Echo"))
    );

    // a new deployment is a new generation of its file only
    let file = server.scratch().join("echo.py");
    std::fs::write(&file, format!("{ECHO}\n# changed\n")).unwrap();
    server.run("hot-deploy", &[file.to_str().unwrap()]).expect_code(0);
    let later = list(true).json();
    assert!(find(&later, "echo.echo")["generation"].as_u64() > echo["generation"].as_u64());
    assert_eq!(
        find(&later, "show.show")["generation"],
        find(&entries, "show.show")["generation"]
    );
}

#[test]
fn a_service_is_invoked_and_its_answer_printed() {
    let server = server().service("show.py", SHOW).start();
    let invoke = |arguments: &[&str]| {
        busbar_testkit::run(
            server
                .command("service")
                .arg("invoke")
                .arg(server.directory())
                .args(arguments),
        )
    };
    let shown = invoke(&[
        "show.show",
        "--payload",
        r#"{"a":[1,"é"]}"#,
        "--headers",
        "X-Mine=1;X-Other=2",
    ])
    .expect_code(0)
    .json();
    assert_eq!(
        (&shown["payload"], &shown["header"]),
        (&json!({"a": [1, "é"]}), &json!("1"))
    );
    invoke(&["show.show"]).expect_code(0);
    assert_eq!(invoke(&["show.silent"]).expect_code(0).stdout, "(None)\n");

    let failed = invoke(&["show.fails"]).expect_code(16);
    assert!(failed.stderr.contains("500"), "{}", failed.stderr);
    let cid = failed
        .stderr
        .split_whitespace()
        .find(|word| word.len() == 24)
        .expect("the cid to look for");
    assert!(server.wait_log(&[cid]).contains("ERROR"));

    let unknown = invoke(&["no.such"]);
    assert!(unknown.code == 15 || unknown.code == 16, "{}", unknown.code);
    assert!(unknown.stderr.contains("no.such"), "{}", unknown.stderr);
    invoke(&["show.declared", "--payload", "{"]).expect_code(16);
}

#[test]
fn a_service_is_switched_off_and_on_again() {
    const CALLER: &str = "
from zato.common.exception import Inactive
from zato.server.service import Service

class Caller(Service):
    def handle(self):
        try:
            self.response.payload = {'echo': self.invoke('echo.echo', {'a': 1})}
        except Inactive as e:
            self.response.payload = {'inactive': str(e)}
";
    const CHANNELS: &str = "
channel_rest:
  - {name: echo, service: echo.echo, url_path: /echo, data_format: json}
  - {name: caller, service: caller.caller, url_path: /caller, data_format: json}
";
    let mut server = server()
        .service("echo.py", ECHO)
        .service("caller.py", CALLER)
        .enmasse(CHANNELS)
        .start();
    let service = |server: &TestServer, arguments: &[&str]| {
        let mut command = server.command("service");
        command.arg(arguments[0]).arg(server.directory()).args(&arguments[1..]);
        busbar_testkit::run(&mut command)
    };
    server.post("/echo", r#"{"a":1}"#).expect(200);

    let output = service(&server, &["disable", "echo.echo"]).expect_code(0);
    assert!(output.stdout.contains("`echo.echo` is inactive"), "{}", output.stdout);
    let is_off = |server: &TestServer| {
        let refused = server.post("/echo", r#"{"a":1}"#).expect(404).json();
        assert_eq!(refused["details"], "Service inactive");
        let caught = server.post("/caller", "{}").expect(200).text();
        assert!(caught.contains("inactive") && caught.contains("echo.echo"), "{caught}");
        let list = service(server, &["list"]).expect_code(0).stdout;
        let line = list.lines().find(|line| line.starts_with("echo.echo")).unwrap();
        assert!(line.contains("(inactive)"), "{list}");
        let failed = service(server, &["invoke", "echo.echo"]).expect_code(16);
        assert!(failed.stdout.contains("Service inactive"), "{}", failed.stdout);
    };
    is_off(&server);
    let output = service(&server, &["disable", "echo.echo"]).expect_code(0);
    assert!(output.stdout.contains("already"), "{}", output.stdout);

    // it is of the service, not of its code or of the process
    server.deploy("echo.py", &format!("{ECHO}\n# changed\n"));
    server.stop();
    server.start();
    is_off(&server);

    service(&server, &["enable", "echo.echo"]).expect_code(0);
    server.post("/echo", r#"{"a":1}"#).expect(200);
    assert!(server.post("/caller", "{}").expect(200).text().contains("echo"));

    let unknown = service(&server, &["disable", "no.such"]).expect_code(15);
    assert!(
        unknown.stderr.contains("no.such") && unknown.stderr.contains("service list"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn commands_tell_when_the_server_does_not_run() {
    let server = server().prepare();
    for arguments in [
        &["service", "list"][..],
        &["service", "invoke"],
        &["status"],
        &["enmasse", "--export"],
    ] {
        let mut command = server.command(arguments[0]);
        command.args(&arguments[1..]).arg(server.directory());
        if arguments.contains(&"invoke") {
            command.arg("a.b");
        }
        let output = busbar_testkit::run(&mut command).expect_code(10);
        assert!(output.stderr.contains("busbar start"), "{}", output.stderr);
    }
}
