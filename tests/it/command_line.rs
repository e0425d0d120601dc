//! The command line as a whole: its reference page, its errors, completion, `info`, `wait` and `deploy`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use busbar_testkit::process::Output;
use busbar_testkit::{Answer, Backend, Request, TestServer, run};
use serde_json::json;

use crate::{EXECUTABLE, OK, busbar, repository, server};

/// Examples that are right and are not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("busbar quickstart", "makes a server on the usual port"),
    ("busbar start", "the server runs"),
    ("busbar stop", "others need it"),
    ("busbar odb migrate", "the server must not run"),
    ("busbar odb rollback", "the server must not run"),
    ("busbar password set", "asks for passwords; has tests of its own"),
    ("busbar restore", "the server must not run"),
    (
        "busbar rollback",
        "there is nothing to go back to; has a test of its own",
    ),
    ("busbar run", "stays"),
    ("busbar test", "has a page and a test of its own"),
    ("busbar wait --address", "the usual port may be anybody's"),
    (
        "busbar outgoing-rest ping",
        "nobody is at its other side; has a test of its own",
    ),
    (
        "busbar queue replay ~/env/server1 1700000000000-0",
        "there is no such dead letter",
    ),
    (
        "busbar queue forget ~/env/server1 1700000000000-0",
        "there is no such dead letter",
    ),
];

const MY_SERVICE: &str = "
from zato.server.service import Service

class GetClientDetails(Service):
    def handle(self):
        self.response.payload = {'name': 'Jane'}
";

const OBJECTS: &str = "
channel_rest:
  - name: orders.in
    service: my-service.get-client-details
    url_path: /orders
    is_audit_log_received_active: true
";

/// What the examples of objects refer to.
const REFERRED_TO: &str = "
rbac_role:
  - name: Clerk
security:
  - {name: shop, type: basic_auth, username: shop, password: secret}
";

/// The type whose secret is the path of a file with a certificate and its key.
const NEEDS_A_FILE: &str = "security tls-key-cert";

/// The lines of the code blocks of a page that are commands.
fn examples(page: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join("docs").join(page)).unwrap();
    let blocks = text
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| line.contains("busbar "));
    lines.map(str::to_owned).collect()
}

/// Runs a line as a shell would, with `busbar` on the path and `~/env/server1` being the server.
fn shell(server: &TestServer, line: &str) -> Output {
    let directory = Path::new(EXECUTABLE).parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    // the environment of the tests, which `command` knows
    let mut command = server.command("unused");
    let mut shell = Command::new("bash");
    shell.current_dir(server.scratch()).args(["-c", line]);
    for (name, value) in command.stdin(Stdio::null()).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
        .env("PATH", format!("{directory}:{path}"))
        .env("HOME", server.scratch())
        .env("PASSWORD", "s3cret");
    run(&mut shell)
}

#[test]
fn every_example_of_the_reference_runs() {
    let server = server().service("my_service.py", MY_SERVICE).start();
    fs::write(server.scratch().join("my_service.py"), MY_SERVICE).unwrap();
    fs::write(server.scratch().join("objects.yaml"), OBJECTS).unwrap();
    fs::create_dir_all(server.scratch().join(".local/share/bash-completion/completions")).unwrap();
    server.import(OBJECTS).expect_code(0);
    let mut count = 0;
    for line in examples("reference/cli.md") {
        if NOT_RUN.iter().any(|(beginning, _)| line.starts_with(beginning)) {
            continue;
        }
        let output = shell(&server, &line);
        assert_eq!(output.code, 0, "{line}\n{}\n{}", output.stdout, output.stderr);
        count += 1;
    }
    assert!(count > 25, "{count}");
}

#[test]
fn every_example_of_the_objects_runs() {
    let server = server().service("my_service.py", MY_SERVICE).start();
    server.import(REFERRED_TO).expect_code(0);
    let (mut count, mut failed) = (0, String::new());
    for line in examples("reference/objects.md") {
        if line.contains(" ping ") || line.contains(NEEDS_A_FILE) {
            continue;
        }
        let output = shell(&server, &line);
        if output.code != 0 || output.stdout.contains("s3cret") {
            failed += &format!("{line}\n{}\n{}", output.stdout, output.stderr);
        }
        count += 1;
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(count > 90, "{count}");
}

#[test]
fn objects_are_made_changed_and_asked_from_a_shell() {
    let backend = Backend::always(Answer::json(&json!({})));
    let server = server().start();
    let object = |action: &str, arguments: &[&str]| {
        let mut command = server.command("outgoing-rest");
        command
            .arg(action)
            .arg(server.directory())
            .args(["--name", "crm"])
            .args(arguments);
        run(&mut command)
    };
    let host = format!("http://{}", backend.address());
    let made = object(
        "create",
        &["--host", &host, "--timeout", "2.5", "--data-format", "none", "--json"],
    );
    let made = made.expect_code(0).json();
    assert_eq!((&made["version"], &made["fields"]["timeout"]), (&json!(1), &json!(2.5)));
    assert_eq!(
        (&made["fields"]["data_format"], &made["fields"]["pool_size"]),
        (&json!(""), &json!(20))
    );
    let taken = object("create", &["--host", &host]).expect_code(15);
    assert!(taken.stderr.contains("exists already"), "{}", taken.stderr);

    let pinged = object("ping", &["--json"]).expect_code(0).json();
    assert!(pinged["response_ms"].as_f64().unwrap() > 0.0, "{pinged:#}");

    // what is not named stays, also under the name that exports have
    let edited = object("edit", &["--pool_size", "3", "--is-active", "no", "--json"])
        .expect_code(0)
        .json();
    assert_eq!((&edited["version"], &edited["is_active"]), (&json!(2), &json!(false)));
    assert_eq!(
        (&edited["fields"]["timeout"], &edited["fields"]["pool_size"]),
        (&json!(2.5), &json!(3))
    );
    let unset = object("edit", &["--unset", "pool-size", "--is-active", "yes", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(unset["fields"]["pool_size"], 20);
    object("edit", &["--unset", "pool_size", "--pool-size", "4"]).expect_code(13);
    object("edit", &[]).expect_code(14);
    let wrong = object("edit", &["--pool-size", "0"]).expect_code(15);
    assert!(wrong.stderr.contains("pool_size"), "{}", wrong.stderr);
    let text = object("get", &[]).expect_code(0).stdout;
    assert!(text.contains(&host) && text.contains("is_active"), "{text}");

    let late = object("edit", &["--version", "1", "--pool-size", "4"]).expect_code(15);
    assert!(late.stderr.contains("version"), "{}", late.stderr);
    let renamed = object("edit", &["--version", "3", "--new-name", "crm2", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(renamed["name"], "crm2");
    object("get", &[]).expect_code(15);
    let back = ["--name", "crm2", "--new-name", "crm"];
    run(server
        .command("outgoing-rest")
        .arg("edit")
        .arg(server.directory())
        .args(back))
    .expect_code(0);

    object("edit", &["--host", "http://127.0.0.1:1"]).expect_code(0);
    object("delete", &["--version", "1"]).expect_code(15);
    let unreachable = object("ping", &[]).expect_code(16);
    assert!(unreachable.stderr.contains("crm"), "{}", unreachable.stderr);
    let unreachable = object("ping", &["--json"]).expect_code(16);
    assert!(unreachable.stderr.contains("crm"), "{}", unreachable.stderr);
    let answer = unreachable.json();
    assert_eq!(
        (&answer["is_success"], &answer["response_ms"]),
        (&false.into(), &serde_json::Value::Null)
    );
    assert!(answer["info"].as_str().unwrap().contains("refused"), "{answer}");
    object("delete", &[]).expect_code(0);
    let gone = object("get", &[]).expect_code(15);
    assert!(
        gone.stderr.contains("there is no outgoing.http `crm`"),
        "{}",
        gone.stderr
    );
}

#[test]
fn secrets_are_read_from_elsewhere_and_never_shown() {
    let server = server().start();
    let account = |action: &str, arguments: &[&str]| {
        let mut command = server.command("security");
        command
            .args(["basic-auth", action])
            .arg(server.directory())
            .args(["--name", "shop"]);
        command.args(arguments).env("SHOP_PASSWORD", "first-s3cret");
        command
    };
    // one that must be there, and nobody is there to be asked
    let mut certificate = server.command("security");
    certificate
        .args(["tls-key-cert", "create"])
        .arg(server.directory())
        .args(["--name", "crm"]);
    let missing = run(&mut certificate).expect_code(29);
    assert!(missing.stderr.contains("--auth-data-stdin"), "{}", missing.stderr);
    run(&mut account("create", &["--username", "shop", "--password", "x"])).expect_code(15);
    run(&mut account(
        "create",
        &["--username", "shop", "--password-env", "NO_SUCH"],
    ))
    .expect_code(12);
    run(&mut account(
        "create",
        &["--username", "shop", "--password-env", "SHOP_PASSWORD"],
    ))
    .expect_code(0);
    let shown = run(&mut account("get", &["--json"])).expect_code(0);
    assert_eq!(shown.json()["fields"]["password"], "******", "{}", shown.stdout);

    server
        .import("channel_rest: [{name: ping, service: pub.zato.ping, url_path: /guarded, security: shop}]")
        .expect_code(0);
    let is_let_in = |password: &str| {
        let request = Request::new("GET", "/guarded").basic("shop", password);
        server.send(&request).status != 401
    };
    assert!(is_let_in("first-s3cret"));
    let mut command = account("edit", &["--password-stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"second-s3cret\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(is_let_in("second-s3cret") && !is_let_in("first-s3cret"));
    assert!(!server.log().contains("s3cret"));
    let used = run(&mut account("delete", &[])).expect_code(15);
    assert!(used.stderr.contains("`ping`"), "{}", used.stderr);
}

#[test]
fn completion_scripts_load_and_complete() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["zsh", "fish"] {
        let script = run(busbar("completions", home.path()).arg(shell)).expect_code(0).stdout;
        assert!(
            script.contains("outgoing-rest") && script.contains("url-path"),
            "{shell}"
        );
    }
    let script = run(busbar("completions", home.path()).arg("bash"))
        .expect_code(0)
        .stdout;
    let file = home.path().join("busbar.bash");
    fs::write(&file, script).unwrap();
    let complete = |words: &str, at: usize| {
        let line = format!(
            "set -eu; source {}; COMP_WORDS=({words}); COMP_CWORD={at}; \
             _busbar busbar \"${{COMP_WORDS[$at]}}\" \"${{COMP_WORDS[$at-1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        run(Command::new("bash").args(["--norc", "-c", &format!("at={at}; {line}")]))
            .expect_code(0)
            .stdout
    };
    assert!(complete("busbar outgo", 1).contains("outgoing-rest"));
    assert!(complete("busbar outgoing-rest cre", 2).contains("create"));
    assert!(complete("busbar outgoing-rest create --url", 3).contains("--url-path"));
    assert!(complete("busbar security basic-auth li", 3).contains("list"));
}

#[test]
fn info_tells_what_a_server_is_made_of_whether_it_runs_or_not() {
    let mut server = server().service("ok.py", OK).prepare();
    let info = |server: &TestServer| server.run("info", &["--json"]).expect_code(0).json();
    let stopped = info(&server);
    assert_eq!(
        (&stopped["is_running"], &stopped["server"]),
        (&json!(false), &json!(null))
    );
    assert_eq!(stopped["name"], "server1");
    let there = |name: &str| Path::new(stopped["paths"][name].as_str().unwrap()).exists();
    assert!(there("config") && there("pickup") && there("work") && there("odb_key"));
    assert!(
        stopped["python"]["version"].as_str().unwrap().starts_with("3."),
        "{stopped:#}"
    );
    let packages = stopped["python"]["packages"].as_array().unwrap();
    assert!(packages.iter().any(|it| it["name"] == "pytest"), "{packages:?}");
    assert_eq!(stopped["odb"]["schema"], stopped["odb"]["newest_schema"]);
    assert_eq!(
        stopped["redis"],
        json!({"is_private": true, "version": null, "error": null})
    );

    server.start();
    let running = info(&server);
    assert_eq!(running["server"]["pid"], server.pid());
    assert!(!running["redis"]["version"].as_str().unwrap().is_empty(), "{running:#}");
    let text = server.run("info", &["--packages"]).expect_code(0).stdout;
    assert!(text.contains("runs (pid") && text.contains("pytest=="), "{text}");
    server.stop();

    // a part that is broken does not hide the others
    let path = server.directory().join("config/server.toml");
    let broken = fs::read_to_string(&path).unwrap().replace("[python]", "[python]\n#");
    fs::write(
        &path,
        format!(
            "{}\n[redis]\nurl = \"redis://127.0.0.1:1/0\"\n",
            without_sections(&broken)
        ),
    )
    .unwrap();
    let info = info(&server);
    assert!(info["redis"]["error"].as_str().unwrap().contains("Redis"), "{info:#}");
    assert_eq!(info["odb"]["objects"], stopped["odb"]["objects"]);
}

/// The settings without those of Redis and Python, which the test writes itself.
fn without_sections(text: &str) -> String {
    let mut table: toml::Table = text.parse().unwrap();
    table.remove("redis");
    table.remove("python");
    table.to_string()
}

#[test]
fn wait_returns_when_a_server_answers() {
    let mut server = server().prepare();
    let late = server.run("wait", &["--timeout", "0.2"]).expect_code(28);
    assert!(
        late.stderr.contains("0.2 s") && late.stderr.contains("does not run"),
        "{}",
        late.stderr
    );
    let mut waiting = server
        .command("wait")
        .arg(server.directory())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    server.start();
    assert!(waiting.wait().unwrap().success());
    let wait = |arguments: &[&str]| run(server.command("wait").args(arguments));
    let address = format!("http://{}", server.address());
    let output = wait(&["--address", &address]).expect_code(0);
    assert!(output.stdout.contains("answers"), "{}", output.stdout);
    assert_eq!(wait(&["--address", &address, "--silent"]).expect_code(0).stdout, "");
    let nothing = wait(&["--address", &address, "--url-path", "/nothing", "--timeout", "0.1"]).expect_code(28);
    assert!(nothing.stderr.contains("404"), "{}", nothing.stderr);
    wait(&[]).expect_code(29);
}

#[test]
fn files_are_deployed_together_with_what_they_import() {
    let server = server().start();
    let write = |name: &str, text: &str| {
        let path = server.scratch().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // the first needs the second
    let first = write("a_first.py", &format!("from z_helper import VALUE\n{OK}"));
    let helper = write("z_helper.py", "VALUE = 1\n");
    let broken = write("broken.py", "import nothing_of_the_kind\n");
    let result = server.run("deploy", &[&first, &helper, "--json"]).expect_code(0).json();
    assert!(result["generation"].as_u64().is_some(), "{result:#}");
    assert_eq!(result["deployed"][0]["services"], json!(["a-first.ok"]), "{result:#}");
    server.invoke("a-first.ok", "").expect(200);

    let again = server.run("deploy", &[&first, &broken]).expect_code(15);
    assert!(
        again.stdout.contains("already") && again.stdout.contains("a-first.ok"),
        "{}",
        again.stdout
    );
    assert!(
        again.stderr.contains("nothing_of_the_kind") && again.stderr.contains("line 1"),
        "{}",
        again.stderr
    );
    let failed = server.run("deploy", &[&broken, "--json"]).expect_code(15).json();
    assert!(
        failed["failed"][0]["traceback"].as_str().unwrap().contains("Traceback"),
        "{failed:#}"
    );
    assert_eq!(failed["generation"], json!(null));
    server.run("deploy", &[]).expect_code(12);
    server.run("deploy", &["/no/such.py"]).expect_code(2);
}

#[test]
fn a_service_is_invoked_with_a_body_from_a_file() {
    const SIZE: &str = "
from zato.server.service import Service

class Size(Service):
    def handle(self):
        self.response.payload = str(len(self.request.raw_request))
        self.response.headers['X-Mine'] = 'yes'
";
    let server = server().service("size.py", SIZE).start();
    let file = server.scratch().join("body");
    fs::write(&file, "x".repeat(3 << 20)).unwrap();
    let arguments = [
        "--payload-file",
        file.to_str().unwrap(),
        "--data-format",
        "raw",
        "--json",
    ];
    let mut command = server.command("service");
    command
        .arg("invoke")
        .arg(server.directory())
        .arg("size.size")
        .args(arguments);
    let answer = run(&mut command).expect_code(0).json();
    assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("3145728")));
    assert!(
        answer["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["X-Mine", "yes"])),
        "{answer:#}"
    );
    assert_eq!(answer["cid"].as_str().unwrap().len(), 24);
}

#[test]
fn errors_have_codes_and_say_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str], code: i32, says: &str| {
        let output = run(busbar(arguments[0], home.path()).args(&arguments[1..])).expect_code(code);
        assert!(output.stderr.contains(says), "{arguments:?}\n{}", output.stderr);
    };
    fails(&["status", "nowhere"], 2, "there is no directory `nowhere`");
    fails(&["status", "."], 3, "busbar quickstart");
    fails(&["status"], 29, "SERVER");
    fails(&["stats"], 15, "similar");
    fails(
        &["enmasse", ".", "--import", "--export", "--input", "x"],
        13,
        "--export",
    );
    fails(&["queue"], 14, "Usage");
    fails(&["outgoing-rest"], 14, "Usage");
    fails(&["outgoing-rest", "create", ".", "--name", "a"], 29, "--host");
    fails(
        &[
            "outgoing-zmq",
            "create",
            ".",
            "--name",
            "a",
            "--address",
            "x",
            "--socket-type",
            "PULL",
        ],
        15,
        "PUSH",
    );
    fails(
        &[
            "outgoing-rest",
            "create",
            ".",
            "--name",
            "a",
            "--host",
            "x",
            "--timeout",
            "soon",
        ],
        15,
        "soon",
    );

    let server = server().prepare();
    for command in ["status", "deploy", "audit-log"] {
        let argument = server.directory().join("config/server.toml");
        let arguments: &[&str] = if command == "status" {
            &[]
        } else {
            &[argument.to_str().unwrap()]
        };
        let output = server.run(command, arguments).expect_code(10);
        assert!(output.stderr.contains("busbar start"), "{}", output.stderr);
        assert!(output.stderr.lines().count() <= 2, "{}", output.stderr);
    }
}

#[test]
fn another_user_is_told_so() {
    let server = server().prepare();
    let directory = server.directory();
    let open = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(server.scratch(), 0o755);
    open(directory.parent().unwrap(), 0o755);
    open(directory, 0o000);
    let mut command = server.command("status");
    command.arg(directory);
    // SAFETY: geteuid cannot fail
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65_534);
    }
    let output = run(&mut command);
    open(directory, 0o700);
    let output = output.expect_code(16);
    assert!(
        output.stderr.contains("run the command as the user"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_server_of_another_version_is_told_from_a_broken_one() {
    use std::io::{BufRead, BufReader};

    let mut server = server().start();
    let socket = server.directory().join("work/control.sock");
    // the server runs, and somebody else answers in its place
    let kept = server.directory().join("work/control.kept");
    fs::rename(&socket, &kept).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let answer = |text: &'static str| {
        let listener = listener.try_clone().unwrap();
        let answering = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(text.as_bytes()).unwrap();
        });
        let output = server.run("status", &[]).expect_code(16);
        answering.join().unwrap();
        output.stderr
    };
    let refused = r#"{"answer":"failed","data":{"kind":"bad_request","message":"the control request cannot be read: unknown variant","exit_code":15}}"#;
    for text in [refused, "{\"answer\":\"of_tomorrow\"}\n", "no JSON\n"] {
        let said = answer(text);
        assert!(
            said.contains("another version") && said.contains("busbar stop"),
            "{text}\n{said}"
        );
    }
    let said = answer("");
    assert!(said.contains("did not answer") && said.contains("server.log"), "{said}");
    drop(listener);
    fs::remove_file(&socket).unwrap();
    let gone = server.run("status", &[]).expect_code(16);
    assert!(gone.stderr.contains("cannot be reached"), "{}", gone.stderr);
    fs::rename(&kept, &socket).unwrap();
    server.stop();
}

#[test]
fn a_reader_that_leaves_ends_a_command_quietly() {
    let server = server().start();
    let output = shell(
        &server,
        "busbar service list ~/env/server1 --internal --json | head -1; echo ${PIPESTATUS[0]}",
    );
    assert!(
        !output.stderr.contains("panic") && output.stderr.is_empty(),
        "{}",
        output.stderr
    );
    let output = shell(&server, "busbar --help | head -1");
    assert!(output.stderr.is_empty(), "{}", output.stderr);
}
