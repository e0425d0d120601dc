use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use busbar_runtime::ServiceHandle;
use busbar_runtime::call::{ChannelFields, HeadBuilder, RequestFields};
use busbar_runtime::handler::Source;
use bytes::Bytes;

use super::*;
use crate::testing::Hub;

const LONG: Duration = Duration::from_secs(20);

/// A host, and what the hub would know of it.
struct Server {
    host: Arc<Host>,
    generation: AtomicU64,
    handles: AtomicU32,
    table: Mutex<HashMap<String, ServiceHandle>>,
    modules: Mutex<HashMap<String, String>>,
}

fn server() -> Server {
    server_with(HostConfig::default())
}

fn server_with(config: HostConfig) -> Server {
    let package_dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python").into();
    let host = Host::start(HostConfig { package_dir, ..config }, Arc::new(Hub::default())).unwrap();
    Server {
        host,
        generation: AtomicU64::new(0),
        handles: AtomicU32::new(1),
        table: Mutex::default(),
        modules: Mutex::default(),
    }
}

fn source(module: &str, text: &str) -> Source {
    Source {
        module: module.to_owned(),
        path: format!("/pickup-dir/{module}.py"),
        text: text.as_bytes().to_vec(),
        deployed_by: None,
    }
}

/// A service file whose class `Get` answers with the value of `expression`.
fn answers(expression: &str) -> String {
    format!(
        "from zato.server.service import Service\nclass Get(Service):\n    def handle(self):\n        self.response.payload = {{'answer': {expression}}}\n"
    )
}

impl Server {
    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { tokio::time::timeout(LONG * 2, future).await.expect("it ends in time") })
    }

    fn prepare(&self, sources: &[(&str, &str)], removed: &[&str]) -> (u64, Result<Vec<ServiceInfo>, DeployError>) {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let deployment = Deployment {
            generation,
            sources: sources.iter().map(|(module, text)| source(module, text)).collect(),
            builtin: Vec::new(),
            removed: removed.iter().map(|&stem| stem.to_owned()).collect(),
            again: false,
        };
        (generation, self.wait(self.host.prepare(Arc::new(deployment))))
    }

    fn commit(&self, generation: u64, infos: &[ServiceInfo], removed: &[&str]) {
        let services: Vec<_> = infos
            .iter()
            .map(|service| {
                (
                    service.name.clone(),
                    ServiceHandle(self.handles.fetch_add(1, Ordering::Relaxed)),
                )
            })
            .collect();
        let impl_names = infos.iter().map(|service| service.impl_name.clone());
        self.wait(self.host.commit(Arc::new(Commit {
            generation,
            services: impl_names.zip(services.iter().map(|(_, handle)| *handle)).collect(),
        })))
        .unwrap();
        lock(&self.modules).retain(|_, module| !removed.contains(&module.as_str()));
        lock(&self.table).extend(services);
    }

    /// Deploys files; gives the names of the services that were imported.
    fn deploy(&self, sources: &[(&str, &str)]) -> Result<Vec<String>, DeployError> {
        self.change(sources, &[])
    }

    fn change(&self, sources: &[(&str, &str)], removed: &[&str]) -> Result<Vec<String>, DeployError> {
        let (generation, result) = self.prepare(sources, removed);
        let services = result?;
        self.commit(generation, &services, removed);
        let mut names: Vec<String> = services.into_iter().map(|service| service.name).collect();
        names.sort();
        Ok(names)
    }

    fn handle(&self, service: &str) -> ServiceHandle {
        *lock(&self.table)
            .get(service)
            .unwrap_or_else(|| panic!("there is no `{service}`"))
    }

    fn submit(&self, handle: ServiceHandle) -> (Cid, tokio::sync::oneshot::Receiver<Outcome>) {
        let fields = ChannelFields {
            data_format: busbar_model::DataFormat::Json,
            channel: "test",
            ..ChannelFields::default()
        };
        let channel = HeadBuilder::channel(&fields);
        let head = HeadBuilder::request(
            &channel,
            RequestFields {
                method: "POST",
                path: "/",
                ..RequestFields::default()
            },
        )
        .finish([].into_iter(), [].into_iter());
        let cid = Cid::new();
        let (reply, receiver) = ReplyTo::task();
        self.host.submit(
            Call {
                cid,
                service: handle,
                deadline: Instant::now() + LONG,
                head,
                body: Bytes::from("{}"),
            },
            reply,
        );
        (cid, receiver)
    }

    fn call_handle(&self, handle: ServiceHandle) -> String {
        match self.submit(handle).1.blocking_recv().unwrap() {
            Outcome::Reply(reply) => String::from_utf8(reply.body.to_vec()).unwrap(),
            Outcome::Fault(fault) => format!("{} {:?}", fault.status, fault.details),
        }
    }

    fn call(&self, service: &str) -> String {
        self.call_handle(self.handle(service))
    }
}

fn python<T: for<'a> FromPyObject<'a, 'a, Error = PyErr>>(expression: &str) -> T {
    Python::attach(|py| {
        py.eval(&std::ffi::CString::new(expression).unwrap(), None, None)
            .unwrap()
            .extract()
            .unwrap()
    })
}

#[test]
fn a_deployed_service_answers() {
    let server = server();
    assert_eq!(server.deploy(&[("my_first", &answers("1"))]).unwrap(), ["my-first.get"]);
    assert_eq!(server.call("my-first.get"), r#"{"answer":1}"#);
    assert!(server.host.python_version().starts_with("3."));
}

#[test]
fn new_code_answers_while_old_calls_end_on_the_old() {
    let server = server();
    let slow = answers("(__import__('time').sleep(0.5), 'old')[1]");
    server.deploy(&[("swap_me", &slow)]).unwrap();
    let old = server.handle("swap-me.get");
    let (_, running) = server.submit(old);
    server.deploy(&[("swap_me", &answers("'new'"))]).unwrap();
    assert_eq!(server.call("swap-me.get"), r#"{"answer":"new"}"#);
    // the hub may have routed a call just before
    assert_eq!(server.call_handle(old), r#"{"answer":"old"}"#);
    let Outcome::Reply(reply) = running.blocking_recv().unwrap() else {
        panic!("it failed")
    };
    assert_eq!(&reply.body[..], br#"{"answer":"old"}"#);
}

#[test]
fn nothing_changes_when_a_file_is_broken() {
    let server = server();
    let good = answers("'good'");
    server.deploy(&[("breaks", &good), ("beside", &good)]).unwrap();
    let half = &good[..good.len() - 5];
    for (text, expected) in [
        ("class A(:\n", "SyntaxError: invalid syntax in line 1: `class A(:`"),
        (half, "SyntaxError: "),
        (
            "import no_such_module_anywhere",
            "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        ("raise ValueError('first\\nsecond')", "ValueError: first"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit()", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("x = 1\0", "source code string cannot contain null bytes"),
        ("# -*- coding: no-such -*-\n", "SyntaxError: "),
        ("x = '\u{e9}' +", "SyntaxError: invalid syntax in line 1"),
        (
            "from zato.server.service import Service\nclass A(Service):\n    class SimpleIO:\n        input_required = ('',)\n    def handle(self): pass\n",
            "has an empty name",
        ),
    ] {
        let Err(error) = server.deploy(&[("beside", &answers("'changed'")), ("breaks", text)]) else {
            panic!("it was deployed: {text}");
        };
        assert_eq!(error.module, "breaks", "{text}");
        assert!(error.message.contains(expected), "{text}: {error}");
        assert!(
            !error.message.contains('\n') && !error.traceback.is_empty(),
            "{text}: {error:?}"
        );
        assert_eq!(server.call("breaks.get"), r#"{"answer":"good"}"#);
        assert_eq!(server.call("beside.get"), r#"{"answer":"good"}"#);
        assert!(python::<bool>("'breaks' in __import__('sys').modules"));
    }
    server.deploy(&[("breaks", &answers("'better'"))]).unwrap();
    assert_eq!(server.call("breaks.get"), r#"{"answer":"better"}"#);
}

#[test]
fn a_new_module_that_fails_leaves_nothing() {
    let server = server();
    server
        .deploy(&[("fails_anew", "x = 1\nraise ValueError(x)")])
        .unwrap_err();
    assert!(!python::<bool>("'fails_anew' in __import__('sys').modules"));
    assert!(!python::<bool>(
        "'/pickup-dir/fails_anew.py' in __import__('linecache').cache"
    ));
}

#[test]
fn tracebacks_show_the_lines_that_were_loaded() {
    let server = server();
    let error = server
        .deploy(&[("shows_lines", "x = 1\nx.this_is_not_there()\n")])
        .unwrap_err();
    assert!(
        error.traceback.contains("File \"/pickup-dir/shows_lines.py\", line 2"),
        "{}",
        error.traceback
    );
    assert!(error.traceback.contains("x.this_is_not_there()"), "{}", error.traceback);
    let text = answers("__import__('traceback').format_list(__import__('traceback').extract_stack())[-1]");
    server.deploy(&[("shows_lines", &text)]).unwrap();
    assert!(
        server.call("shows-lines.get").contains("extract_stack())[-1]}"),
        "{}",
        server.call("shows-lines.get")
    );
    assert_eq!(
        python::<String>("__import__('inspect').getsource(__import__('shows_lines'))"),
        text
    );
    assert_eq!(
        python::<String>("__import__('shows_lines').__file__"),
        "/pickup-dir/shows_lines.py"
    );
}

#[test]
fn a_changed_helper_reloads_its_dependants() {
    let server = server();
    let middle = "import chain_base\ndef value(): return chain_base.VALUE * 10\n";
    let top = answers("value()").replace("from zato", "from chain_middle import value\nfrom zato");
    // dependants first, to see that order does not matter
    server
        .deploy(&[
            ("chain_top", &top),
            ("chain_middle", middle),
            ("chain_base", "VALUE = 1"),
        ])
        .unwrap();
    assert_eq!(server.call("chain-top.get"), r#"{"answer":10}"#);
    assert_eq!(
        server.deploy(&[("chain_base", "VALUE = 2")]).unwrap(),
        ["chain-top.get"]
    );
    assert_eq!(server.call("chain-top.get"), r#"{"answer":20}"#);

    let error = server.deploy(&[("chain_base", "OTHER = 2")]).unwrap();
    assert_eq!(error, ["chain-top.get"], "the name is only missed when it is used");
    let error = server.deploy(&[("chain_middle", "def values(): pass")]).unwrap_err();
    assert_eq!(error.module, "chain_top");
    assert!(
        error
            .message
            .starts_with("ImportError: cannot import name 'value' from 'chain_middle'"),
        "{error}"
    );
    assert!(python::<bool>("hasattr(__import__('chain_middle'), 'value')"));
}

#[test]
fn a_helper_that_fails_is_named_and_not_its_dependant() {
    let server = server();
    let top = answers("1").replace("from zato", "import inner_helper\nfrom zato");
    server.deploy(&[("inner_helper", ""), ("outer_user", &top)]).unwrap();
    let error = server
        .deploy(&[("outer_user", &top), ("inner_helper", "1 / 0")])
        .unwrap_err();
    assert_eq!(
        (error.module.as_str(), error.message.as_str()),
        ("inner_helper", "ZeroDivisionError: division by zero")
    );
}

#[test]
fn old_code_keeps_its_helper_even_if_it_imports_it_late() {
    let server = server();
    let user = answers("self.late()")
        + "    def late(self):\n        import time; time.sleep(0.4)\n        import late_helper\n        from late_helper import VALUE\n        return [late_helper.VALUE, VALUE]\n";
    server
        .deploy(&[("late_helper", "VALUE = 'old'"), ("late_user", &user)])
        .unwrap();
    let (_, running) = server.submit(server.handle("late-user.get"));
    server.deploy(&[("late_helper", "VALUE = 'new'")]).unwrap();
    let Outcome::Reply(reply) = running.blocking_recv().unwrap() else {
        panic!("it failed")
    };
    assert_eq!(&reply.body[..], br#"{"answer":["old","old"]}"#);
    assert_eq!(server.call("late-user.get"), r#"{"answer":["new","new"]}"#);
}

#[test]
fn modules_may_import_each_other() {
    let server = server();
    let one = answers("ring_two.two()").replace("from zato", "import ring_two\nONE = 1\nfrom zato");
    let two = "import ring_one\ndef two(): return ring_one.ONE + 1\n";
    server.deploy(&[("ring_one", &one), ("ring_two", two)]).unwrap();
    assert_eq!(server.call("ring-one.get"), r#"{"answer":2}"#);
    server.deploy(&[("ring_two", &two.replace("+ 1", "+ 2"))]).unwrap();
    assert_eq!(server.call("ring-one.get"), r#"{"answer":3}"#);
}

#[test]
fn files_named_like_other_modules_do_not_shadow_them() {
    let server = server();
    let user =
        answers("[json.dumps([1]), hasattr(bunch, 'Bunch')]").replace("from zato", "import json, bunch\nfrom zato");
    server
        .deploy(&[
            ("json", &answers("__import__('json').dumps({})")),
            ("bunch", &answers("2")),
            ("zato", &answers("3")),
            ("uses_json", &user),
        ])
        .unwrap();
    assert_eq!(server.call("json.get"), r#"{"answer":"{}"}"#);
    assert_eq!(server.call("zato.get"), r#"{"answer":3}"#);
    assert_eq!(server.call("uses-json.get"), r#"{"answer":["[1]",true]}"#);
    server.deploy(&[("json", &answers("'again'"))]).unwrap();
    assert_eq!(server.call("json.get"), r#"{"answer":"again"}"#);
}

#[test]
fn any_file_name_can_be_deployed() {
    let server = server();
    let user = answers("importlib.import_module('My-Mod').VALUE").replace(
        "from zato",
        "import importlib\nimportlib.import_module('My-Mod')\nfrom zato",
    );
    let odd = format!("VALUE = 5\n{}", answers("VALUE"));
    let names = server
        .deploy(&[
            ("uses_odd", &user),
            ("My-Mod", &odd),
            ("with space", &odd),
            ("v1.2", &odd),
            ("__main__", &odd),
            ("klasse_\u{e4}", &odd),
        ])
        .unwrap();
    assert!(names.contains(&"my--mod.get".to_owned()), "{names:?}");
    for name in names {
        assert_eq!(server.call(&name), r#"{"answer":5}"#, "{name}");
    }
    server.deploy(&[("My-Mod", &odd.replace('5', "6"))]).unwrap();
    assert_eq!(server.call("uses-odd.get"), r#"{"answer":6}"#);
}

#[test]
fn dataclasses_and_pickle_find_their_module() {
    let server = server();
    let text = "from __future__ import annotations\nimport pickle\nfrom dataclasses import dataclass, field, fields\nfrom typing import ClassVar, get_type_hints\n@dataclass\nclass Point:\n    x: int\n    y: ClassVar[int] = 1\nassert [f.name for f in fields(Point)] == ['x']\nassert get_type_hints(Point)['x'] is int\n".to_owned()
        + &answers("pickle.loads(pickle.dumps(Point(3))).x");
    for _ in 0..2 {
        server.deploy(&[("has_dataclass", &text)]).unwrap();
        assert_eq!(server.call("has-dataclass.get"), r#"{"answer":3}"#);
    }
}

#[test]
fn removed_modules_are_forgotten() {
    let server = server();
    server
        .deploy(&[("goes_away", &answers("1")), ("stays_here", &answers("2"))])
        .unwrap();
    assert!(server.host.environment().services.load().contains_key("goes-away.get"));
    server.change(&[], &["goes_away"]).unwrap();
    let services = server.host.environment().services.load();
    assert!(!services.contains_key("goes-away.get") && services.contains_key("stays-here.get"));
    assert!(!python::<bool>("'goes_away' in __import__('sys').modules"));
    // and a class that is no longer in its file
    let both = format!("{}class Other(Get): pass\n", answers("3"));
    server.deploy(&[("stays_here", &both)]).unwrap();
    assert!(
        server
            .host
            .environment()
            .services
            .load()
            .contains_key("stays-here.other")
    );
    server.deploy(&[("stays_here", &answers("3"))]).unwrap();
    assert!(
        !server
            .host
            .environment()
            .services
            .load()
            .contains_key("stays-here.other")
    );
}

#[test]
fn an_aborted_deployment_is_not_seen() {
    let server = server();
    server.deploy(&[("on_hold", &answers("1"))]).unwrap();
    let (generation, result) = server.prepare(&[("on_hold", &answers("2"))], &[]);
    result.unwrap();
    assert_eq!(server.call("on-hold.get"), r#"{"answer":1}"#);
    server.wait(server.host.abort(generation));
    let error = server
        .wait(server.host.commit(Arc::new(Commit {
            generation,
            services: Vec::new(),
        })))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(server.call("on-hold.get"), r#"{"answer":1}"#);
}

#[test]
fn the_last_of_two_services_with_one_name_wins() {
    let server = server();
    let text = "from zato.server.service import Service\nclass A(Service):\n    name = 'twice'\n    def handle(self): self.response.payload = 'a'\nclass B(A):\n    def handle(self): self.response.payload = 'b'\n";
    assert_eq!(server.deploy(&[("has_twins", text)]).unwrap(), ["twice"]);
    assert_eq!(server.call("twice"), "b");
}

#[test]
fn hooks_decide_and_are_told() {
    let server = server();
    let text = answers("1")
        + "    @staticmethod\n    def before_add_to_store(logger): return True\n    @staticmethod\n    def after_add_to_store(logger):\n        import sys; sys.busbar_test_hook = logger.name\nclass Unwanted(Service):\n    @classmethod\n    def before_add_to_store(cls, logger): return False\n    def handle(self): pass\n";
    assert_eq!(server.deploy(&[("has_hooks", &text)]).unwrap(), ["has-hooks.get"]);
    assert!(!python::<String>("__import__('sys').busbar_test_hook").is_empty());
}

#[test]
fn an_import_that_hangs_is_given_up() {
    let server = server_with(HostConfig {
        import_secs: 1,
        ..HostConfig::default()
    });
    server.deploy(&[("hangs", &answers("1"))]).unwrap();
    let start = Instant::now();
    let error = server.deploy(&[("hangs", "while True: pass")]).unwrap_err();
    assert_eq!(error.module, "hangs");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(error.traceback.contains("while True: pass"), "{}", error.traceback);
    // one that does not even hear the exception
    let error = server
        .deploy(&[(
            "hangs",
            "import time\ntime.sleep(8)\nimport sys\nsys.modules['hangs'] = 5",
        )])
        .unwrap_err();
    assert_eq!(error.module, "hangs");
    assert_eq!(server.call("hangs.get"), r#"{"answer":1}"#);
    server.deploy(&[("hangs", &answers("2"))]).unwrap();
    assert_eq!(server.call("hangs.get"), r#"{"answer":2}"#);
}

#[test]
fn calls_are_served_while_a_deployment_is_imported() {
    let server = server();
    server.deploy(&[("serves_on", &answers("1"))]).unwrap();
    let slow = format!(
        "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\n{}",
        answers("2")
    );
    std::thread::scope(|scope| {
        let deploying = scope.spawn(|| server.deploy(&[("imports_long", &slow)]).unwrap());
        let mut slowest = Duration::ZERO;
        while !deploying.is_finished() {
            let start = Instant::now();
            assert_eq!(server.call("serves-on.get"), r#"{"answer":1}"#);
            slowest = slowest.max(start.elapsed());
        }
        assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    });
}

#[test]
fn deployments_leave_nothing_behind() {
    let server = server();
    let text = |n: u32| {
        format!(
            "import leaks_helper\nclass Marker_leaks: pass\n{}",
            answers(&n.to_string())
        )
    };
    let count = || {
        python::<usize>(
            "(__import__('gc').collect(), sum(1 for o in __import__('gc').get_objects() if isinstance(o, type) and o.__name__ == 'Marker_leaks'))[1]",
        )
    };
    server
        .deploy(&[("leaks_helper", "import sys"), ("leaks", &text(0))])
        .unwrap();
    let modules = python::<usize>(
        "sum(1 for m in __import__('sys').modules.values() if '/pickup-dir/leaks' in str(getattr(m, '__file__', '')))",
    );
    for n in 1..=10 {
        server.deploy(&[("leaks", &text(n))]).unwrap();
        server
            .deploy(&[("leaks", "import leaks_helper\nclass Marker_leaks: pass\n1 / 0")])
            .unwrap_err();
        server
            .deploy(&[("leaks_helper", &format!("import leaks\nN = {n}"))])
            .unwrap();
        assert_eq!(server.call("leaks.get"), format!("{{\"answer\":{n}}}"));
    }
    // handles are kept for a while after they were replaced
    server.host.handles.forget_old();
    assert_eq!(count(), 1);
    assert_eq!(server.host.handles.len(), 1);
    assert_eq!(
        python::<usize>(
            "sum(1 for m in __import__('sys').modules.values() if '/pickup-dir/leaks' in str(getattr(m, '__file__', '')))"
        ),
        modules
    );
}

#[test]
fn an_unknown_handle_is_a_503() {
    let server = server();
    assert!(server.call_handle(ServiceHandle(77)).starts_with("503"));
}

#[test]
fn draining_waits_for_calls() {
    let server = server();
    server
        .deploy(&[("drains", &answers("__import__('time').sleep(0.3)"))])
        .unwrap();
    let (_, running) = server.submit(server.handle("drains.get"));
    server.wait(server.host.drain());
    let mut running = running;
    assert!(
        running.try_recv().is_ok(),
        "it was answered before the host said that it had drained"
    );
}

#[test]
fn a_call_past_its_deadline_is_stopped() {
    let server = server();
    let text = answers("self.spin()")
        + "    def spin(self):\n        while True:\n            try: pass\n            except Exception: pass\n";
    server.deploy(&[("spins", &text)]).unwrap();
    let (cid, running) = server.submit(server.handle("spins.get"));
    while server.host.health().running == 0 {
        std::thread::yield_now();
    }
    server.host.cancel(cid);
    let Outcome::Fault(fault) = running.blocking_recv().unwrap() else {
        panic!("it ended")
    };
    assert_eq!(fault.status, 504);
}
