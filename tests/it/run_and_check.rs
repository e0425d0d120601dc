//! `busbar run`: files without an environment, reloaded on save. `busbar check`: what is in a file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use busbar_testkit::process::{descendants, is_alive, signal, wait};
use busbar_testkit::{Connection, LIMIT, Request, Response, free_port, run, wait_until};

use crate::{OK, busbar};

const CHECKED: &str = "
from zato.server.service import Int, Service

class Get(Service):
    \"\"\"Gets one.\"\"\"
    class SimpleIO:
        input_required = 'name', Int('size')
        input_optional = 'note',
        output_required = 'ok',
    def handle(self):
        pass

class Verbs(Service):
    def handle_GET(self):
        pass
    def handle_POST(self):
        pass
";

/// A `busbar run` that ends with the test.
struct Running {
    child: Child,
    address: SocketAddr,
    output: std::path::PathBuf,
}

impl Running {
    fn start(home: &Path, files: &[&str]) -> Self {
        let port = free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let output = home.join("output.txt");
        let log = fs::File::create(&output).unwrap();
        let child = busbar("run", home)
            .args(files)
            .args(["--address", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self { child, address, output };
        wait_until("it to answer", || {
            if let Ok(Some(status)) = running.child.try_wait() {
                panic!("it has ended ({status}):\n{}", running.text());
            }
            Connection::open(address)
                .and_then(|mut it| it.send(&Request::new("GET", "/zato/ping")))
                .ok()
        });
        running
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn wait_path(&self, path: &str) {
        wait_until("the channel", || (self.post(path, "").status != 404).then_some(()));
    }

    fn post(&self, path: &str, body: &str) -> Response {
        Connection::open(self.address)
            .unwrap()
            .send(&Request::new("POST", path).body(body))
            .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- output ---\n{}\n---", self.text());
        }
        let pid = i32::try_from(self.child.id()).unwrap();
        let children = descendants(pid);
        // asked first: it has a temporary directory to remove
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(pid, libc::SIGTERM);
            wait(&mut self.child, LIMIT);
        }
        self.child.kill().ok();
        self.child.wait().ok();
        for child in children.into_iter().filter(|child| is_alive(*child)) {
            signal(child, libc::SIGKILL);
        }
    }
}

#[test]
fn one_file_runs_without_an_environment_and_is_reloaded_when_it_is_saved() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("ok.py");
    fs::write(&file, OK).unwrap();
    let running = Running::start(home.path(), &["ok.py"]);
    // each service has a path of its name, opened right after the server listens
    running.wait_path("/ok.ok");
    assert_eq!(running.post("/ok.ok", "").expect(200).text(), r#"{"ok":true}"#);
    assert!(
        running.text().contains("/ok.ok"),
        "it names the path:\n{}",
        running.text()
    );

    fs::write(&file, OK.replace("True", "False")).unwrap();
    wait_until("the new code", || {
        (running.post("/ok.ok", "").text() == r#"{"ok":false}"#).then_some(())
    });
    fs::write(&file, "def broken(").unwrap();
    wait_until("the mistake to be shown", || {
        running.text().contains("SyntaxError").then_some(())
    });
    assert_eq!(running.post("/ok.ok", "").expect(200).text(), r#"{"ok":false}"#);
    // as editors save: written beside, then renamed
    fs::write(home.path().join("ok.py.tmp"), OK.replace("True", "'renamed'")).unwrap();
    fs::rename(home.path().join("ok.py.tmp"), &file).unwrap();
    wait_until("the new code", || {
        (running.post("/ok.ok", "").text() == r#"{"ok":"renamed"}"#).then_some(())
    });
    // nothing is left beside the file
    let mut names: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.retain(|name| !name.to_string_lossy().starts_with('.'));
    names.sort();
    assert_eq!(names, ["ok.py", "output.txt"]);
}

#[test]
fn several_files_run_together_and_have_a_key_value_database() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("ok.py"), OK).unwrap();
    fs::write(
        home.path().join("keys.py"),
        "
from zato.server.service import Service

class Count(Service):
    def handle(self):
        self.response.payload = {'count': self.kvdb.conn.incr('count'), 'ok': self.invoke('ok.ok')}
",
    )
    .unwrap();
    let mut running = Running::start(home.path(), &["ok.py", "keys.py"]);
    running.wait_path("/ok.ok");
    assert_eq!(
        running.post("/keys.count", "").expect(200).text(),
        r#"{"count":1,"ok":{"ok":true}}"#
    );
    // Ctrl-C
    signal(i32::try_from(running.child.id()).unwrap(), libc::SIGINT);
    let status = wait(&mut running.child, LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", running.text());
}

#[test]
fn a_file_that_is_broken_from_the_start_can_be_corrected() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("ok.py");
    fs::write(&file, "import nothing_of_the_kind\n").unwrap();
    let running = Running::start(home.path(), &["ok.py"]);
    wait_until("the mistake to be shown", || {
        running.text().contains("nothing_of_the_kind").then_some(())
    });
    fs::write(&file, OK).unwrap();
    wait_until("the service", || {
        (running.post("/ok.ok", "").status == 200).then_some(())
    });
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    for command in ["run", "check"] {
        let output = run(busbar(command, home.path()).arg("nowhere.py")).expect_code(2);
        assert!(output.stderr.contains("nowhere.py"), "{}", output.stderr);
    }
}

#[test]
fn check_shows_what_is_in_a_file_without_deploying_it() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("my_service.py"), CHECKED).unwrap();
    let output = run(busbar("check", home.path()).arg("my_service.py")).expect_code(0);
    for text in [
        "my-service.get",
        "Gets one.",
        "name",
        "size",
        "note",
        "my-service.verbs",
        "GET",
        "POST",
    ] {
        assert!(output.stdout.contains(text), "no {text} in:\n{}", output.stdout);
    }
    let names: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(names.iter().all(|name| name != "__pycache__"), "{names:?}");
}

#[test]
fn check_says_where_the_mistake_is() {
    let home = tempfile::tempdir().unwrap();
    for (name, source, expected) in [
        ("syntax.py", "x = 1\ndef broken(:\n", "line 2"),
        ("name.py", "import nothing_of_the_kind\n", "nothing_of_the_kind"),
        (
            "declared.py",
            "from zato.server.service import Service\nclass A(Service):\n    class SimpleIO:\n        input = 'a'\n        input_required = 'b'\n",
            "input_required",
        ),
    ] {
        fs::write(home.path().join(name), source).unwrap();
        let output = run(busbar("check", home.path()).arg(name)).expect_code(15);
        assert!(
            (output.stdout.clone() + &output.stderr).contains(expected),
            "{name}:\n{}\n{}",
            output.stdout,
            output.stderr
        );
    }
}

#[test]
fn check_shows_the_other_files_when_one_is_broken() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("one.py"), "def broken(").unwrap();
    fs::write(home.path().join("ok.py"), OK).unwrap();
    fs::write(home.path().join("two.py"), "import nothing_of_the_kind").unwrap();
    let output = run(busbar("check", home.path()).args(["one.py", "ok.py", "two.py"])).expect_code(15);
    assert!(output.stdout.contains("ok.ok"), "{}", output.stdout);
    for text in [
        "`one` cannot be deployed",
        "SyntaxError",
        "`two` cannot be deployed",
        "nothing_of_the_kind",
    ] {
        assert!(output.stderr.contains(text), "no {text} in:\n{}", output.stderr);
    }
}

#[test]
fn check_takes_a_directory() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("old");
    fs::create_dir_all(directory.join("src/crm")).unwrap();
    fs::write(directory.join("ok.py"), OK).unwrap();
    fs::write(directory.join("src/crm/also.py"), OK).unwrap();
    fs::write(directory.join("notes.txt"), "no service").unwrap();
    let output = run(busbar("check", home.path()).arg("old")).expect_code(0);
    for text in [
        "ok.ok",
        "crm.also.ok",
        "2 files, 2 service(s); 0 cannot be deployed; 0 finding(s) in 0",
    ] {
        assert!(output.stdout.contains(text), "no {text} in:\n{}", output.stdout);
    }
    let missing = "from zato.server.service import Service\nclass A(Service):\n    def handle(self):\n        \
        self.outgoing.ftp['a']\n        self.odb\n        self.request.amqp\n        {}.keys()[0]\n";
    fs::write(directory.join("missing.py"), missing).unwrap();
    fs::write(directory.join("broken.py"), "def broken(").unwrap();
    let output = run(busbar("check", home.path()).arg("old")).expect_code(15);
    for text in [
        "line 4: self.outgoing.ftp is not supported yet",
        "line 5: self.odb is not in busbar: ",
        "line 6: self.request.amqp is not supported yet",
        "line 7: .keys() of a dictionary cannot be indexed",
        "4 files, 3 service(s); 1 cannot be deployed; 4 finding(s) in 1",
    ] {
        assert!(output.stdout.contains(text), "no {text} in:\n{}", output.stdout);
    }
    fs::create_dir(home.path().join("empty")).unwrap();
    let empty = run(busbar("check", home.path()).arg("empty")).expect_code(2);
    assert!(empty.stderr.contains("there is no service file in"), "{}", empty.stderr);
}

#[test]
fn the_sample_services_check_out() {
    let home = tempfile::tempdir().unwrap();
    for file in [
        "downcase.py",
        "market_cap.py",
        "tutorial/step1_http/my_service.py",
        "tutorial/step3_kvdb/my_service.py",
    ] {
        run(busbar("check", home.path()).arg(crate::sample(file))).expect_code(0);
    }
}

#[test]
fn check_lists_what_only_python_2_understands() {
    let home = tempfile::tempdir().unwrap();
    let source = "import httplib\n\ndef f():\n    print 'a'\n    try:\n        pass\n    except ValueError, e:\n        raise KeyError, 'x'\n";
    fs::write(home.path().join("old.py"), source).unwrap();
    let output = run(busbar("check", home.path()).arg("old.py")).expect_code(15);
    for text in [
        "line 1: module `httplib` is `http.client` now",
        "line 4: print is a function now",
        "line 7: except ValueError, e is except ValueError as e now",
        "line 8: raise E, 'text' is raise E('text') now",
    ] {
        assert!(output.stdout.contains(text), "no {text} in:\n{}", output.stdout);
    }
}
