//! `busbar logs`.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, UNIX_EPOCH};

use busbar_testkit::TestServer;
use busbar_testkit::wait::LIMIT;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::server;

const LOGGING: &str = "
from zato.server.service import Service

class Said(Service):
    def handle(self):
        self.logger.info('said %s', self.request.payload)

class Fails(Service):
    def handle(self):
        raise ValueError('on purpose')
";

fn line(second: u32, level: &str, logger: &str, cid: &str, message: &str) -> String {
    format!("2026-01-31T12:00:{second:02}.000000Z {level:<5} worker-1 {logger} [{cid}] {message}\n")
}

/// A server that does not run, with this log.
fn with_log(text: &str) -> TestServer {
    let server = server().prepare();
    fs::write(server.directory().join("logs/server.log"), text).unwrap();
    server
}

#[test]
fn the_log_of_a_server_is_searched() {
    let server = server().service("shop.py", LOGGING).start();
    let cid = server.invoke("shop.said", "12345").expect(200).cid().to_owned();
    let failed = server.invoke("shop.fails", "").expect(500).cid().to_owned();
    server.wait_log(&["said 12345"]);
    server.wait_log(&["ValueError: on purpose"]);
    let logs = |arguments: &[&str]| server.run("logs", arguments).expect_code(0).stdout;

    let of_service = logs(&["--service", "shop.said"]);
    assert_eq!(of_service.lines().count(), 1, "{of_service}");
    assert!(of_service.contains("said 12345"), "{of_service}");
    assert!(logs(&["--cid", &cid]).contains("said 12345"));
    let traceback = logs(&["--cid", &failed, "--level", "error"]);
    // the traceback comes along, which has neither cid nor level in its lines
    assert!(
        traceback.contains("Traceback") && traceback.contains("ValueError: on purpose"),
        "{traceback}"
    );
    let entries = logs(&["--cid", &failed, "--json"]);
    let entry: Value = serde_json::from_str(entries.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&entry["cid"], &entry["level"]),
        (&failed.as_str().into(), &"ERROR".into())
    );
    assert!(entry["message"].as_str().unwrap().contains("\nTraceback"), "{entry:#}");
    assert!(logs(&["--since", "10m", "-n", "1", "--service", "shop.*"]).contains("shop.fails"));
    assert_eq!(logs(&["-n", "0"]), "");
    server.run("logs", &["--since", "yesterday"]).expect_code(15);
    server.run("logs", &["--level", "loud"]).expect_code(15);
}

#[test]
fn many_entries_are_shown_from_the_last_ones_on() {
    let mut text = String::from("a line of another program\n");
    for second in 0..60 {
        text += &line(
            second,
            if second % 20 == 0 { "ERROR" } else { "INFO" },
            "a.b",
            "c0",
            &format!("number {second}"),
        );
        text += "    more of it\n";
    }
    let server = with_log(&text);
    let logs = |arguments: &[&str]| server.run("logs", arguments).expect_code(0).stdout;
    let two = logs(&["-n", "2"]);
    assert_eq!(
        two,
        format!(
            "{}    more of it\n{}    more of it\n",
            line(58, "INFO", "a.b", "c0", "number 58"),
            line(59, "INFO", "a.b", "c0", "number 59")
        )
    );
    let errors = logs(&["-n", "2", "--level", "error"]);
    assert!(
        errors.starts_with("2026-01-31T12:00:20") && errors.contains("number 40"),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 4, "{errors}");
    assert_eq!(logs(&["--since", "2026-01-31T12:00:58"]).lines().count(), 4);
    assert_eq!(logs(&["--since", "2026-01-31T12:00:50", "-n", "1"]).lines().count(), 2);
    assert_eq!(logs(&["--service", "no.such"]), "");
    let json = logs(&["-n", "1", "--json"]);
    let entry: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(entry["message"], "number 59\n    more of it");
    assert_eq!(entry["time"], "2026-01-31T12:00:59.000000Z");
}

#[test]
fn files_that_were_put_aside_are_read_too() {
    let entries = |seconds: std::ops::Range<u32>| -> String {
        seconds
            .map(|second| {
                line(
                    second,
                    "INFO",
                    "a.b",
                    &format!("c{second}"),
                    &format!("number {second}"),
                )
            })
            .collect()
    };
    let server = with_log(&entries(40..60));
    let folder = server.directory().join("logs");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(entries(0..20).as_bytes()).unwrap();
    let mut age = 0;
    for (name, text) in [
        ("server.log.1", entries(20..40).into_bytes()),
        ("server.log.2.gz", packed.finish().unwrap()),
        ("server.log.bak", entries(0..60).into_bytes()),
    ] {
        age += 3_600;
        fs::write(folder.join(name), text).unwrap();
        let file = OpenOptions::new().write(true).open(folder.join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(2_000_000_000 - age))
            .unwrap();
    }
    let logs = |arguments: &[&str]| server.run("logs", arguments).expect_code(0).stdout;
    assert_eq!(logs(&[]), entries(0..60));
    assert_eq!(logs(&["-n", "15"]), entries(45..60));
    assert_eq!(logs(&["-n", "25"]), entries(35..60));
    assert_eq!(logs(&["-n", "50"]), entries(10..60));
    assert_eq!(logs(&["--cid", "c7"]), entries(7..8));
    assert_eq!(logs(&["--since", "2026-01-31T12:00:15"]), entries(15..60));
    fs::write(folder.join("server.log.2.gz"), "not packed at all").unwrap();
    assert_eq!(logs(&["-n", "40"]), entries(20..60));
    let broken = server.run("logs", &["-n", "41"]).expect_code(2);
    assert!(broken.stderr.contains("server.log.2.gz"), "{}", broken.stderr);
}

#[test]
fn there_may_be_no_log_yet() {
    let server = server().prepare();
    fs::remove_file(server.directory().join("logs/server.log")).ok();
    let output = server.run("logs", &[]).expect_code(2);
    assert!(output.stderr.contains("server.log"), "{}", output.stderr);
}

/// A command that follows the log; it is killed with this value.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(server: &TestServer, arguments: &[&str]) -> Self {
        let mut command = server.command("logs");
        command.arg(server.directory()).arg("--follow").args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn expect(&self, text: &str) {
        let line = self
            .lines
            .recv_timeout(LIMIT)
            .unwrap_or_else(|_| panic!("no line with {text}"));
        assert!(line.contains(text), "{line}");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn following_goes_on_when_the_file_is_replaced_or_emptied() {
    let server = with_log(&line(0, "INFO", "a.b", "c0", "first"));
    let path = server.directory().join("logs/server.log");
    let append = |text: &str| {
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let following = Following::start(&server, &["--level", "info"]);
    following.expect("first");
    append(&line(1, "DEBUG", "a.b", "c0", "not wanted"));
    append(&line(2, "ERROR", "a.b", "c0", "second"));
    append("Traceback\n");
    following.expect("second");
    following.expect("Traceback");

    // moved away and made anew
    fs::rename(&path, path.with_extension("log.1")).unwrap();
    append(&line(3, "INFO", "a.b", "c0", "third"));
    following.expect("third");
    // a line that is written in two parts is one line
    append("2026-01-31T12:00:04.000000Z INFO  hub a.b fou");
    append("rth\n");
    following.expect("fourth");
    // copied and emptied, as `logrotate` does with `copytruncate`
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&line(5, "INFO", "a.b", "c0", "5th"));
    following.expect("5th");
}
