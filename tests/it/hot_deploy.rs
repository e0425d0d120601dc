//! Hot deployment: a file is copied, and the next call is answered by it; a broken one changes nothing.

use std::fs;
use std::thread;
use std::time::Duration;

use busbar_testkit::{Connection, Load, Request, TestServer, wait_until};
use serde_json::json;

use crate::server;

/// A service `v.v` that answers with a version.
fn version(number: impl std::fmt::Display) -> String {
    format!(
        "
from zato.server.service import Service

class V(Service):
    def handle(self):
        self.response.payload = 'version {number}'
"
    )
}

fn start() -> TestServer {
    server().service("v.py", &version(1)).channel("/v", "v.v").start()
}

#[track_caller]
fn assert_version(server: &TestServer, number: impl std::fmt::Display) {
    assert_eq!(server.get("/v").expect(200).text(), format!("version {number}"));
}

/// Modules whose last deployment failed.
#[track_caller]
fn failures(server: &TestServer) -> Vec<String> {
    let status = server.status();
    let failures = status["failures"].as_array().unwrap();
    failures
        .iter()
        .map(|failure| failure["module"].as_str().unwrap().to_owned())
        .collect()
}

/// A deployment of another file that has come through: whatever was copied before it has been seen by then.
fn settle(server: &TestServer, name: &str) {
    server.deploy(&format!("{name}.py"), &version(0));
    wait_until("the deployment that follows", || {
        (server.invoke(&format!("{name}.v"), "").status == 200).then_some(())
    });
}

#[test]
fn a_copied_file_answers_however_it_was_written() {
    let server = start();
    assert_version(&server, 1);
    // by rename
    server.deploy("v.py", &version(2));
    server.wait_answer("/v", "version 2");
    // as `cp` does
    let file = server.scratch().join("v.py");
    fs::write(&file, version(3)).unwrap();
    server.copy(&file);
    server.wait_answer("/v", "version 3");
    // in place, piece by piece
    {
        use std::io::Write;
        let mut file = fs::File::create(server.pickup().join("v.py")).unwrap();
        for piece in version(4).as_bytes().chunks(10) {
            file.write_all(piece).unwrap();
            file.flush().unwrap();
            thread::sleep(Duration::from_millis(5));
        }
    }
    server.wait_answer("/v", "version 4");
    // a link
    fs::write(&file, version(5)).unwrap();
    fs::remove_file(server.pickup().join("v.py")).unwrap();
    std::os::unix::fs::symlink(&file, server.pickup().join("v.py")).unwrap();
    server.wait_answer("/v", "version 5");
    assert!(server.pickup().join("v.py").exists(), "the file stays");
}

#[test]
fn a_broken_file_of_any_kind_leaves_the_old_code_in_place() {
    let server = start();
    let broken: &[(&str, Vec<u8>)] = &[
        ("syntax", b"def broken(:\n".to_vec()),
        ("indentation", b"class A:\npass\n".to_vec()),
        ("import", b"import a_module_that_is_not_there\n".to_vec()),
        ("exception", b"raise Exception('not today')\n".to_vec()),
        ("exit", b"import sys\nsys.exit(1)\n".to_vec()),
        ("keyboard", b"raise KeyboardInterrupt\n".to_vec()),
        ("recursion", b"def f(): f()\nf()\n".to_vec()),
        ("not utf-8", b"x = '\xff\xfe'\n".to_vec()),
        ("null bytes", b"x = 1\0\n".to_vec()),
        ("half a file", version("half").as_bytes()[..60].to_vec()),
        (
            "half a class",
            format!("{}\n    def more(self", version("half")).into_bytes(),
        ),
        (
            "two ways of SimpleIO",
            format!(
                "{}\n    class SimpleIO:\n        input = 'a'\n        input_required = 'b'\n",
                version("sio")
            )
            .into_bytes(),
        ),
        (
            "wrong SimpleIO",
            format!("{}\n    class SimpleIO:\n        input = 3\n", version("sio")).into_bytes(),
        ),
        ("unknown encoding", b"# -*- coding: no-such-thing -*-\n".to_vec()),
    ];
    for (number, (kind, source)) in broken.iter().enumerate() {
        server.deploy("v.py", &version(number));
        server.wait_answer("/v", &format!("version {number}"));
        assert!(failures(&server).is_empty(), "{:#}", server.status());
        let temporary = server.scratch().join("broken");
        fs::write(&temporary, source).unwrap();
        fs::rename(&temporary, server.pickup().join("v.py")).unwrap();
        wait_until(&format!("{kind} to be shown"), || {
            (failures(&server) == ["v"]).then_some(())
        });
        assert_version(&server, number);
    }
    // and when it is put right, it runs
    server.deploy("v.py", &version(9));
    server.wait_answer("/v", "version 9");
    assert!(failures(&server).is_empty(), "{:#}", server.status());
    assert_eq!(server.status()["workers"][0]["restarts"], 0);
}

#[test]
fn calls_in_flight_finish_on_the_code_they_began_with() {
    let slow = |number: u32| {
        format!(
            "
import time
from zato.server.service import Service

NUMBER = {number}

def number():
    return NUMBER

class V(Service):
    def handle(self):
        self.logger.info('began %d', number())
        for _ in range(20):
            time.sleep(0.1)
        self.response.payload = 'version %d' % number()
"
        )
    };
    let server = server().service("v.py", &slow(1)).channel("/v", "v.v").start();
    let address = server.address();
    let call = thread::spawn(move || {
        Connection::open(address)
            .unwrap()
            .send(&Request::new("GET", "/v"))
            .unwrap()
    });
    server.wait_log(&["began 1"]);
    // in place when the command returns, so that the call is seen beside the new code
    let file = server.scratch().join("v.py");
    fs::write(&file, version(2)).unwrap();
    server.run("hot-deploy", &[file.to_str().unwrap()]).expect_code(0);
    assert_version(&server, 2);
    assert!(!call.is_finished(), "the old call is still in flight");
    assert_eq!(call.join().unwrap().expect(200).text(), "version 1");
}

#[test]
fn a_changed_helper_reloads_the_services_that_import_it() {
    let server = server()
        .service("helper.py", "VALUE = 'one'\n")
        .service(
            "v.py",
            "
import helper
from helper import VALUE
from zato.server.service import Service

class V(Service):
    def handle(self):
        self.response.payload = VALUE + ' ' + helper.VALUE
",
        )
        .channel("/v", "v.v")
        .start();
    assert_eq!(server.get("/v").expect(200).text(), "one one");
    server.deploy("helper.py", "VALUE = 'two'\n");
    server.wait_answer("/v", "two two");
    // a helper that its services cannot live with changes nothing, neither of them
    server.deploy("helper.py", "OTHER = 'three'\n");
    wait_until("the failure to be shown", || {
        (!failures(&server).is_empty()).then_some(())
    });
    assert_eq!(server.get("/v").expect(200).text(), "two two");
    server.deploy("helper.py", "VALUE = 'four'\n");
    server.wait_answer("/v", "four four");
}

#[test]
fn files_that_changed_while_the_server_was_down_are_picked_up() {
    let mut server = start();
    server.stop();
    server.deploy("v.py", &version(2));
    server.deploy("new.py", &version("new"));
    server.start();
    assert_version(&server, 2);
    assert_eq!(server.invoke("new.v", "").expect(200).text(), "version new");

    // one that broke meanwhile: what ran last runs again
    server.stop();
    server.deploy("v.py", "broken(");
    server.start();
    assert_version(&server, 2);
    assert_eq!(failures(&server), ["v"]);
}

#[test]
fn a_removed_file_is_served_on_unless_the_config_says_otherwise() {
    let server = start();
    server.deploy("other.py", &version(1));
    wait_until("the other file", || {
        (server.invoke("other.v", "").status == 200).then_some(())
    });
    fs::remove_file(server.pickup().join("other.py")).unwrap();
    settle(&server, "later");
    server.invoke("other.v", "").expect(200);
    drop(server);

    let server = crate::server()
        .service("v.py", &version(1))
        .channel("/v", "v.v")
        .config("[hot_deploy]\nremove_with_file = true")
        .start();
    assert_version(&server, 1);
    fs::remove_file(server.pickup().join("v.py")).unwrap();
    wait_until("the service to be gone", || {
        (server.get("/v").status == 404).then_some(())
    });
    server.deploy("v.py", &version(2));
    server.wait_answer("/v", "version 2");
}

#[test]
fn services_that_left_the_file_are_gone_and_new_ones_are_there() {
    let server = start();
    server.deploy("v.py", &version(2).replace("class V", "class W"));
    wait_until("the new service", || {
        (server.invoke("v.w", "").status == 200).then_some(())
    });
    server.get("/v").expect(404);
    server.invoke("v.v", "").expect(400);
}

#[test]
fn names_of_the_standard_library_do_not_break_anything() {
    let server = start();
    for name in ["json", "string", "types", "zato", "busbar", "socket", "logging"] {
        server.deploy(&format!("{name}.py"), &version(name));
    }
    settle(&server, "settle");
    // whether such a file is deployed or refused, everything else goes on importing what it means
    server.deploy(
        "v.py",
        "
import json, logging, socket, string, types
from zato.server.service import Service

class V(Service):
    def handle(self):
        self.response.payload = json.dumps([string.digits, types.ModuleType.__name__, socket.AF_INET > 0])
",
    );
    wait_until("the service", || {
        (server.get("/v").text().contains("0123456789")).then_some(())
    });
    server.deploy("v.py", &version(3));
    server.wait_answer("/v", "version 3");
}

#[test]
fn files_that_are_not_services_are_ignored() {
    let server = start();
    for name in ["notes.txt", ".v.py.swp", "v.py~", ".hidden.py", "4913", "#v.py#"] {
        fs::write(server.pickup().join(name), "this is (not Python").unwrap();
    }
    fs::create_dir(server.pickup().join("directory.py")).unwrap();
    settle(&server, "settle");
    assert_version(&server, 1);
    assert!(failures(&server).is_empty(), "{:#}", server.status());
}

#[test]
fn the_command_says_what_came_of_it() {
    let server = start();
    let file = server.scratch().join("v.py");
    fs::write(&file, version(2)).unwrap();
    let output = server.run("hot-deploy", &[file.to_str().unwrap()]).expect_code(0);
    assert!(output.stdout.contains("v.v"), "{}", output.stdout);
    assert_version(&server, 2);
    fs::write(&file, "import nothing_of_the_kind\n").unwrap();
    let output = server.run("hot-deploy", &[file.to_str().unwrap()]).expect_code(15);
    assert!(
        output.stderr.contains("nothing_of_the_kind") && output.stderr.contains("line 1"),
        "{}",
        output.stderr
    );
    assert_version(&server, 2);
    // a folder that lies beside it is no package
    fs::create_dir(server.pickup().join("helpers")).unwrap();
    fs::write(server.pickup().join("helpers/util.py"), "x = 1\n").unwrap();
    fs::write(&file, "from helpers import util\n").unwrap();
    let output = server.run("hot-deploy", &[file.to_str().unwrap()]).expect_code(15);
    assert!(
        output.stderr.contains("folders are packages below `src`"),
        "{}",
        output.stderr
    );
    server.run("hot-deploy", &["/no/such/file.py"]).expect_code(2);
    // it outlives a restart as a copied file does
    let mut server = server;
    server.stop();
    server.start();
    assert_version(&server, 2);
}

#[test]
fn every_worker_has_the_new_code_once_one_has() {
    let server = server()
        .workers(2)
        .service("v.py", &version(1))
        .channel("/v", "v.v")
        .start();
    for number in 2..12 {
        server.deploy("v.py", &version(number));
        server.wait_answer("/v", &format!("version {number}"));
        let addresses = [server.address(); 8];
        let answers: Vec<_> = addresses
            .map(|address| {
                thread::spawn(move || {
                    Connection::open(address)
                        .unwrap()
                        .send(&Request::new("GET", "/v"))
                        .unwrap()
                })
            })
            .into_iter()
            .map(|call| call.join().unwrap().text())
            .collect();
        assert!(
            answers.iter().all(|answer| *answer == format!("version {number}")),
            "{answers:?}"
        );
    }
}

/// A file that notes each time at which it is imported, and by which process.
fn noting(name: &str, more: &str) -> String {
    format!(
        "
import os, pathlib
{more}
with open(pathlib.Path(__file__).parent.parent / 'imports.log', 'a') as log:
    log.write(f'{name} {{os.getpid()}}\\n')
{}",
        version(name)
    )
}

/// Which file was imported by which process, and how often.
fn imports(server: &TestServer) -> std::collections::BTreeMap<String, usize> {
    let log = fs::read_to_string(server.directory().join("imports.log")).unwrap();
    log.lines().fold(Default::default(), |mut counts, line| {
        *counts.entry(line.to_owned()).or_default() += 1;
        counts
    })
}

#[test]
fn a_process_imports_a_file_once_for_each_deployment() {
    let good = ["a", "b", "c", "d"];
    let files = good.iter().fold(server().workers(2), |server, name| {
        let more = if *name == "c" { "import a, b" } else { "" };
        server.service(&format!("{name}.py"), &noting(name, more))
    });
    let broken = ["a1", "b1", "c1"].iter().fold(files, |server, name| {
        server.service(&format!("{name}.py"), "import there_is_none")
    });
    // of a file that cannot be imported what imports it without need is imported once more, without it
    let needless = "try:\n    import a1\nexcept ImportError:\n    pass";
    let server = broken.service("e.py", &noting("e", needless)).start();
    let mut failed = failures(&server);
    failed.sort();
    assert_eq!(failed, ["a1", "b1", "c1"]);
    let seen = imports(&server);
    for name in good {
        let processes: Vec<_> = seen.iter().filter(|(line, _)| line.starts_with(name)).collect();
        assert_eq!(processes.len(), 2, "{seen:?}");
        assert!(processes.iter().all(|(_, count)| **count == 1), "{seen:?}");
        assert_eq!(
            server.invoke(&format!("{name}.v"), "").expect(200).text(),
            format!("version {name}")
        );
    }
    server.invoke("e.v", "").expect(200);

    // while calls are served one worker tries first
    server.deploy("late.py", &noting("late", ""));
    settle(&server, "settled");
    wait_until("both workers have it", || {
        (imports(&server).keys().filter(|line| line.starts_with("late")).count() == 2).then_some(())
    });
    assert!(
        imports(&server)
            .iter()
            .all(|(line, count)| !line.starts_with("late") || *count == 1)
    );

    // a file that others import
    server.deploy("a.py", &noting("a", "again = True"));
    settle(&server, "settled2");
    let seen = imports(&server);
    let count = |name: &str| {
        seen.iter()
            .filter(|(line, _)| line.starts_with(name))
            .map(|(_, count)| count)
            .sum::<usize>()
    };
    assert_eq!((count("a "), count("b "), count("c ")), (4, 2, 4), "{seen:?}");
}

#[test]
fn two_hundred_deployments_under_load_and_one_in_twenty_broken() {
    let server = server()
        .workers(2)
        .service("v.py", &version(1))
        .channel("/v", "v.v")
        .start();
    let load = Load::start(server.address(), 4, Duration::from_millis(1), Request::new("GET", "/v"));
    for number in 2..202 {
        if number % 20 == 0 {
            // it would answer if the class before the mistake were taken
            server.deploy("v.py", &format!("{}\n1 / 0\n", version(format!("broken {number}"))));
            wait_until("the failure to be shown", || (failures(&server) == ["v"]).then_some(()));
        } else {
            server.deploy("v.py", &version(number));
            server.wait_answer("/v", &format!("version {number}"));
        }
    }
    let tally = load.stop();
    tally.expect_all_well();
    let broken: Vec<_> = tally.bodies.keys().filter(|body| body.contains("broken")).collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert!(tally.bodies.len() > 50, "the load saw {} versions", tally.bodies.len());
    assert!(
        server.status()["workers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|worker| worker["restarts"] == 0)
    );
}

#[test]
fn class_attributes_and_modules_are_shared_by_calls_and_new_with_each_deployment() {
    const COUNTER: &str = "
from zato.server.service import Service

class V(Service):
    seen = []
    def handle(self):
        self.mine = getattr(self, 'mine', 0) + 1
        self.seen.append(1)
        self.response.payload = {'seen': len(self.seen), 'mine': self.mine}
";
    let server = server().service("v.py", COUNTER).channel("/v", "v.v").start();
    for seen in 1..4 {
        assert_eq!(server.get("/v").expect(200).json(), json!({"seen": seen, "mine": 1}));
    }
    server.deploy("v.py", &format!("{COUNTER}\n# changed\n"));
    wait_until("the new code", || {
        (server.get("/v").expect(200).json()["seen"].as_u64().unwrap() < 3).then_some(())
    });
}

#[test]
fn a_file_that_is_still_being_written_is_not_deployed() {
    use std::io::Write;
    let server = start();
    let mut file = fs::File::create(server.pickup().join("v.py")).unwrap();
    // what is there so far is a whole module
    file.write_all(version("half").as_bytes()).unwrap();
    file.flush().unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(2);
    while std::time::Instant::now() < until {
        assert_version(&server, 1);
    }
    file.write_all(version("whole").as_bytes()).unwrap();
    drop(file);
    server.wait_answer("/v", "version whole");
    assert!(!server.log().contains("cannot deploy"));
}

#[test]
fn files_that_kill_hang_or_break_do_not_keep_a_server_from_starting() {
    let mut server = server()
        .service("v.py", &version(1))
        .service("a_killer.py", "import os\nos._exit(7)\n")
        .service("broken.py", "broken(")
        .service("z_segfault.py", "import ctypes\nctypes.string_at(0)\n")
        .channel("/v", "v.v")
        .start();
    assert_version(&server, 1);
    let mut failed = failures(&server);
    failed.sort();
    assert_eq!(failed, ["a_killer", "broken", "z_segfault"]);
    // again, now that it is known what they do
    server.stop();
    server.start();
    assert_version(&server, 1);
}

#[test]
fn an_import_that_never_ends_is_given_up_and_holds_up_no_call() {
    let server = server()
        .workers(2)
        .service("v.py", &version(1))
        .channel("/v", "v.v")
        .config("[hot_deploy]\nimport_secs = 2")
        .start();
    server.deploy("hangs.py", "import time\nwhile True:\n    time.sleep(0.05)\n");
    let load = Load::start(
        server.address(),
        2,
        Duration::from_millis(20),
        Request::new("GET", "/v"),
    );
    wait_until("the failure to be shown", || {
        (failures(&server) == ["hangs"]).then_some(())
    });
    load.stop().expect_all_well();
    server.deploy("v.py", &version(2));
    server.wait_answer("/v", "version 2");
}

#[test]
fn deployments_and_dying_workers_end_with_the_last_version_everywhere() {
    let server = server()
        .workers(2)
        .service("v.py", &version(1))
        .channel("/v", "v.v")
        .start();
    for number in 2..8 {
        server.deploy("v.py", &version(number));
        for pid in server.worker_pids() {
            busbar_testkit::process::signal(pid, libc::SIGKILL);
        }
        wait_until("the new version", || {
            // a deployment that met a dying worker may have to be made again by whoever copied the file
            if !failures(&server).is_empty() {
                server.deploy("v.py", &version(number));
            }
            let response = server.get("/v");
            (response.status == 200 && response.text() == format!("version {number}")).then_some(())
        });
    }
    wait_until("both workers to be up", || {
        (server.worker_pids().len() == 2).then_some(())
    });
    let load = Load::start(server.address(), 4, Duration::ZERO, Request::new("GET", "/v"));
    load.wait_for(200);
    let tally = load.stop();
    tally.expect_all_well();
    assert_eq!(tally.bodies.keys().collect::<Vec<_>>(), ["version 7"]);
}

#[test]
fn the_pickup_directory_of_zato_3_is_taken_as_well() {
    let mut server = server().service("v.py", &version(1)).prepare();
    fs::create_dir_all(server.directory().join("pickup/incoming")).unwrap();
    fs::rename(server.pickup(), server.directory().join("pickup/incoming/services")).unwrap();
    server.start();
    assert_eq!(server.invoke("v.v", "").expect(200).text(), "version 1");
    fs::write(server.directory().join("pickup/incoming/services/v.py"), version(2)).unwrap();
    wait_until("the new version", || {
        (server.invoke("v.v", "").text() == "version 2").then_some(())
    });
}

#[test]
fn a_server_serves_the_services_that_its_settings_name() {
    let source = "
from zato.server.service import Service
class Get(Service):
    def handle(self):
        self.response.payload = self.name
class TestGet(Get):
    def handle(self):
        self.response.payload = self.invoke('hr.get')
";
    let server = server()
        .service("crm.py", source)
        .service("hr.py", source)
        .config("[hot_deploy]\nallow = [\"crm.*\"]\ndeny = [\"*.get2\"]")
        .start();
    assert_eq!(server.invoke("crm.get", "").expect(200).text(), "crm.get");
    // what is not served is not there for other services either
    server.invoke("hr.get", "").expect(400);
    server.invoke("crm.test-get", "").expect(500);
    server.wait_log(&["`hr.get` is not served"]);
}
