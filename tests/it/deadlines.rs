//! Deadlines: a call that takes too long is its caller's 504, and its thread comes back.

use std::time::{Duration, Instant};

use busbar_testkit::{Connection, Load, Request, wait_until};

use crate::workers::{DEADLY, start, wait_for_workers};
use crate::{OK, server};

#[test]
fn an_endless_loop_is_504_after_its_services_deadline() {
    let server = start("");
    let pids = server.worker_pids();
    let load = Load::start(
        server.address(),
        2,
        Duration::from_millis(5),
        Request::new("GET", "/ok"),
    );
    for name in ["loop", "nap"] {
        let started = Instant::now();
        let response = server.get(&format!("/{name}")).expect(504);
        let elapsed = started.elapsed();
        assert!(
            elapsed >= Duration::from_millis(900) && elapsed < Duration::from_secs(15),
            "{name}: {elapsed:?}"
        );
        assert_eq!(response.json()["cid"], response.cid());
        // a dump of the stack, so that one can see where it was
        let line = if name == "loop" { "deadly.py" } else { "time.sleep(0.1)" };
        wait_until("the stack in the log", || server.log().contains(line).then_some(()));
        server.wait_log(&[response.cid()]);
    }
    // an exception was raised into the thread: it has cleaned up and the worker lives on
    server.wait_log(&["cleaned up"]);
    wait_until("the threads to be free", || {
        let status = server.status();
        status["workers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|worker| worker["calls"].as_u64() <= Some(1))
            .then_some(())
    });
    load.stop().expect_all_well();
    assert_eq!(server.worker_pids(), pids);
}

#[test]
fn a_loop_that_swallows_every_exception_costs_its_worker() {
    let server = start("");
    let pids = server.worker_pids();
    let load = Load::start(
        server.address(),
        2,
        Duration::from_millis(5),
        Request::new("GET", "/ok"),
    );
    server.get("/stubborn").expect(504);
    wait_until("the worker to be replaced", || {
        let now = server.worker_pids();
        (now.len() == 2 && now != pids).then_some(())
    });
    wait_for_workers(&server, 2);
    load.wait_for(50);
    let tally = load.stop();
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    assert!(
        tally.statuses.keys().all(|status| matches!(status, 200 | 502)),
        "{:?}",
        tally.statuses
    );
    assert!(tally.count(502) <= 2, "{:?}", tally.statuses);
}

#[test]
fn deadlines_come_from_the_config_the_service_and_the_channel() {
    const SLEEP: &str = "
import time
from zato.server.service import Service

class Default(Service):
    def handle(self):
        time.sleep(30)

class Longer(Service):
    deadline_secs = 20
    def handle(self):
        time.sleep(1.5)
        self.response.payload = 'done'
";
    let server = server()
        .service("sleep.py", SLEEP)
        .channel("/default", "sleep.default")
        .channel("/longer", "sleep.longer")
        .enmasse(
            "channel_rest: [{name: quick, url_path: /quick, service: sleep.longer, data_format: json, timeout: 1}]",
        )
        .config("[calls]\ndeadline_secs = 1")
        .start();
    server.get("/default").expect(504);
    assert_eq!(server.get("/longer").expect(200).text(), "done");
    server.get("/quick").expect(504);
    // a nested call ends with its outermost one
    server.deploy(
        "outer.py",
        "
from zato.server.service import Service

class Outer(Service):
    def handle(self):
        self.response.payload = self.invoke('sleep.default')
",
    );
    wait_until("the service", || {
        (server.invoke("outer.outer", "").status == 504).then_some(())
    });
}

#[test]
fn a_caller_who_leaves_does_not_keep_the_service_running() {
    let server = start("");
    for _ in 0..20 {
        let mut connection = Connection::open(server.address()).unwrap();
        connection.write(&Request::new("GET", "/nap").to_bytes()).unwrap();
    }
    wait_until("no call to be in flight", || {
        let status = server.status();
        status["workers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|worker| worker["calls"] == 0)
            .then_some(())
    });
    server.get("/ok").expect(200);
}

#[test]
fn deadlines_hold_without_workers_too() {
    let server = server()
        .workers(0)
        .service("deadly.py", DEADLY)
        .service("ok.py", OK)
        .channel("/ok", "ok.ok");
    let server = ["loop", "nap"]
        .into_iter()
        .fold(server, |server, name| {
            server.channel(&format!("/{name}"), &format!("deadly.{name}"))
        })
        .start();
    for name in ["loop", "nap"] {
        let response = server.get(&format!("/{name}")).expect(504);
        assert_eq!(response.json()["cid"], response.cid());
        server.get("/ok").expect(200);
    }
    server.wait_log(&["cleaned up"]);
}

#[test]
fn a_coroutine_that_waits_is_interrupted_and_holds_up_nobody() {
    let server = server()
        .service(
            "waits.py",
            "
import asyncio
from zato.server.service import Service

class Waits(Service):
    deadline_secs = 1
    async def handle(self):
        try:
            await asyncio.sleep(1000)
        finally:
            self.logger.info('cleaned up')

class Short(Service):
    async def handle(self):
        await asyncio.sleep(0.001)
        self.response.payload = {'ok': True}
",
        )
        .channel("/waits", "waits.waits")
        .channel("/short", "waits.short")
        .start();
    let load = Load::start(
        server.address(),
        2,
        Duration::from_millis(5),
        Request::new("GET", "/short"),
    );
    let pids = server.worker_pids();
    server.get("/waits").expect(504);
    server.wait_log(&["cleaned up"]);
    load.stop().expect_all_well();
    assert_eq!(server.worker_pids(), pids);
}
