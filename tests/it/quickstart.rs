//! `busbar quickstart`: one command makes an environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use busbar_testkit::run;

use crate::{busbar, python, server};

#[test]
fn it_makes_a_server_and_says_how_to_go_on() {
    let home = tempfile::tempdir().unwrap();
    let output = run(busbar("quickstart", home.path())
        .arg("env")
        .args(["--address", "127.0.0.1:18123"]))
    .expect_code(0);
    let server = home.path().join("env/server1");
    for part in ["pickup-dir", "config", "logs", "work"] {
        let mode = server.join(part).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{part} is for its owner only: {mode:o}");
    }
    let config = fs::read_to_string(server.join("config/server.toml")).unwrap();
    assert!(config.contains("127.0.0.1:18123"), "{config}");
    for text in ["busbar start ", "cp ", "curl ", "/zato/api/invoke/", "password `"] {
        assert!(output.stdout.contains(text), "no {text:?} in:\n{}", output.stdout);
    }
}

#[test]
fn editors_and_type_checkers_find_what_services_import() {
    let home = tempfile::tempdir().unwrap();
    run(busbar("quickstart", home.path()).arg("env")).expect_code(0);
    let environment = home.path().join("env");
    let slip = "from zato.server.service import Service\n\n\nclass Slip(Service):\n    def handle(self) -> None:\n        \
        self.response.payload = self.request.http.method\n        self.response.status_code = self.requests.http\n";
    fs::write(environment.join("server1/pickup-dir/slip.py"), slip).unwrap();
    for checker in ["mypy", "pyright"] {
        let program = python().with_file_name(checker);
        let output = run(Command::new(program).current_dir(&environment)).expect_code(1);
        let errors: Vec<&str> = output
            .stdout
            .lines()
            .filter(|it| it.contains("error:") || it.contains(" - error"))
            .collect();
        assert!(
            matches!(errors[..], [error] if error.contains("slip.py:7") && error.contains("requests")),
            "{checker}: {output:?}"
        );
    }
}

#[test]
fn every_environment_has_a_password_of_its_own() {
    let (one, two) = (server().prepare(), server().prepare());
    assert!(one.password().len() >= 16, "{}", one.password());
    assert_ne!(one.password(), two.password());
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("mine.txt"), "x").unwrap();
    let output = run(busbar("quickstart", home.path()).arg(".")).expect_code(5);
    assert!(output.stderr.contains("is not empty"), "{}", output.stderr);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn an_empty_directory_is_used() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("env")).unwrap();
    run(busbar("quickstart", home.path()).arg("env")).expect_code(0);
}

#[test]
fn an_address_must_be_one() {
    let home = tempfile::tempdir().unwrap();
    let output = run(busbar("quickstart", home.path())
        .arg("env")
        .args(["--address", "nowhere"]))
    .expect_code(15);
    assert!(output.stderr.contains("nowhere"), "{}", output.stderr);
    assert!(!home.path().join("env").exists());
}

#[test]
fn every_command_has_help_with_an_example() {
    let home = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 10] = [
        &["quickstart"],
        &["start"],
        &["stop"],
        &["status"],
        &["hot-deploy"],
        &["service", "list"],
        &["service", "invoke"],
        &["enmasse"],
        &["run"],
        &["check"],
    ];
    for command in commands {
        let output = run(busbar(command[0], home.path()).args(&command[1..]).arg("--help")).expect_code(0);
        assert!(
            command[0] == "help" || output.stdout.contains("Example"),
            "{command:?}:\n{}",
            output.stdout
        );
    }
}

#[test]
fn naming_the_environment_instead_of_the_server_is_explained() {
    let server = server().prepare();
    let environment = server.directory().parent().unwrap();
    for command in ["start", "stop", "status"] {
        let output = run(server.command(command).arg(environment)).expect_code(3);
        assert!(output.stderr.contains("did you mean"), "{}", output.stderr);
    }
    run(server.command("start").arg(environment.join("nothing"))).expect_code(2);
}
