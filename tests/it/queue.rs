//! `self.invoke_async`: messages that are kept until a service has returned, whatever dies meanwhile.

use busbar_testkit::process::{Output, kill, run};
use busbar_testkit::server::Builder;
use busbar_testkit::{TestServer, wait_until};
use serde_json::{Value, json};

use crate::{OK, server};

const SHOP: &str = "
import os, time
from datetime import datetime, timezone
from decimal import Decimal
from zato.server.service import Service

class Note(Service):
    '''Notes what it is given.'''
    def handle(self):
        self.kvdb.conn.rpush('notes', repr(self.request.payload))
        self.response.payload = {'response': {'noted': self.request.payload}}

class Called(Service):
    def handle(self):
        self.kvdb.conn.rpush('called', repr([
            self.name, self.request.payload, self.channel.type, self.in_reply_to, dict(self.environ)]))

class Order(Service):
    def handle(self):
        if self.channel.type == 'invoke-async-callback':
            self.kvdb.conn.rpush('called', self.channel.type)
            return
        when = datetime(2026, 1, 2, tzinfo=timezone.utc)
        self.response.payload = {'cid': self.invoke_async(
            'shop.note', {'price': Decimal('1.10'), 'when': when, 'raw': b'x', 'pair': (1, 2)},
            callback=['shop.called', self], environ={'table': 7}, cid='my-own-cid')}

class Order2(Service):
    name = 'shop.order2'
    def handle(self):
        self.response.payload = {'cid': self.invoke_async('shop.note', 'plain')}

class OrderCallback(Service):
    name = 'shop.order2-async-callback'
    def handle(self):
        self.kvdb.conn.rpush('called', repr([self.request.payload, self.channel == 'invoke-async-callback']))

class Wrong(Service):
    def handle(self):
        seen = []
        for name, payload in (('no.such', ''), ('shop.note', {'a': [self]})):
            try:
                self.invoke_async(name, payload)
            except (KeyError, TypeError) as error:
                seen.append(f'{type(error).__name__}: {error}')
        self.response.payload = seen

class Slow(Service):
    '''Begins, then waits until it may end.'''
    def handle(self):
        conn = self.kvdb.conn
        conn.rpush('begun', os.getpid())
        while not conn.exists('may-end'):
            time.sleep(0.02)
        conn.incr('ended')

class Broken(Service):
    def handle(self):
        if self.kvdb.conn.exists('mended'):
            self.kvdb.conn.rpush('notes', self.request.payload)
        else:
            self.kvdb.conn.incr('failures')
            raise ValueError('out of order')

class Put(Service):
    def handle(self):
        name, payload, options = self.request.payload + ['', {}][len(self.request.payload) - 1:]
        self.response.payload = {'cid': self.invoke_async(name, payload, **options)}

class Redis(Service):
    def handle(self):
        name, *args = self.request.payload
        self.response.payload = {'result': getattr(self.kvdb.conn, name)(*args)}
";

fn redis(server: &TestServer, command: &Value) -> Value {
    server.invoke("shop.redis", &command.to_string()).expect(200).json()["result"].take()
}

fn put(server: &TestServer, message: &Value) -> String {
    let answer = server.invoke("shop.put", &message.to_string()).expect(200).json();
    answer["cid"].as_str().unwrap().to_owned()
}

/// Waits until a Redis command answers so.
#[track_caller]
fn wait_redis(server: &TestServer, command: &Value, wanted: &Value) {
    wait_until(&format!("{command} to be {wanted}"), || {
        (redis(server, command) == *wanted).then_some(())
    });
}

/// `busbar queue COMMAND SERVER ...`
fn command(server: &TestServer, arguments: &[&str]) -> Output {
    let (name, rest) = arguments.split_first().unwrap();
    run(server.command("queue").arg(name).arg(server.directory()).args(rest))
}

/// What `busbar queue` prints.
pub fn queue(server: &TestServer, arguments: &[&str]) -> String {
    command(server, arguments).expect_code(0).stdout
}

fn quick() -> Builder {
    server()
        .service("shop.py", SHOP)
        .config("[queue]\nretry_secs = 0.05\nmax_deliveries = 3\n")
}

#[test]
fn messages_reach_services_as_they_were_and_answers_reach_callbacks() {
    let mut server = quick().start();
    let answer = server.invoke("shop.order", "").expect(200).json();
    assert_eq!(answer, json!({"cid": "my-own-cid"}));
    let plain = "{'price': Decimal('1.10'), 'when': datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc), \
                 'raw': b'x', 'pair': (1, 2)}";
    wait_until("the message to be noted", || {
        let notes = redis(&server, &json!(["lrange", "notes", 0, 0]));
        (notes == json!([plain])).then_some(())
    });
    wait_until("both callbacks", || {
        let called = redis(&server, &json!(["lrange", "called", 0, -1]));
        let called: Vec<&str> = called.as_array()?.iter().filter_map(Value::as_str).collect();
        let expected =
            format!("['shop.called', {{'noted': {plain}}}, 'invoke-async-callback', 'my-own-cid', {{'table': 7}}]");
        (called.contains(&expected.as_str()) && called.contains(&"invoke-async-callback")).then_some(())
    });

    redis(&server, &json!(["delete", "called"]));
    let cid = server.invoke("shop.order2", "").expect(200).json()["cid"].to_string();
    assert_eq!(cid.len(), 26, "{cid}");
    wait_redis(
        &server,
        &json!(["lrange", "called", 0, 0]),
        &json!(["[{'noted': 'plain'}, True]"]),
    );

    let wrong = server.invoke("shop.wrong", "").expect(200).json().to_string();
    assert!(
        wrong.contains("KeyError: 'no.such'") && wrong.contains("of type `shop.Wrong`"),
        "{wrong}"
    );
    put(&server, &json!(["shop.note", "late", {"expiration": 0}]));
    server.wait_log(&["a message for service `shop.note` expired before its turn came"]);
    assert!(server.stop().success());
}

#[test]
fn what_never_works_becomes_a_dead_letter_that_can_be_replayed() {
    let server = quick().config("[workers]\ncount = 0\n").start();
    let cid = put(&server, &json!(["shop.broken", "again"]));
    wait_until("a dead letter", || {
        queue(&server, &["status"]).contains("1 dead").then_some(())
    });
    assert_eq!(redis(&server, &json!(["get", "failures"])), json!("3"));
    let dead: Value = serde_json::from_str(&queue(&server, &["dead", "--json"])).unwrap();
    assert_eq!((&dead[0]["cid"], &dead[0]["deliveries"]), (&json!(cid), &json!(3)));
    assert_eq!(dead[0]["service"], "shop.broken");
    let reason = dead[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("status 500"), "{reason}");

    redis(&server, &json!(["set", "mended", "1"]));
    let id = dead[0]["id"].as_str().unwrap();
    assert!(queue(&server, &["replay", id]).contains("1 dead letter(s) will be run again"));
    wait_redis(&server, &json!(["lrange", "notes", 0, -1]), &json!(["again"]));
    wait_until("an empty queue", || {
        queue(&server, &["status"])
            .starts_with("0 waiting, 0 of them in the hands of this server, 0 dead")
            .then_some(())
    });
    let wrong = command(&server, &["forget", id]).expect_code(15);
    assert!(wrong.stderr.contains("there is no dead letter"), "{}", wrong.stderr);
    command(&server, &["replay"]).expect_code(14);
}

#[test]
fn a_message_outlives_its_worker_and_the_hub_and_redis() {
    let mut server = quick().workers(1).config("[queue]\nmax_deliveries = 20\n").start();
    put(&server, &json!(["shop.slow"]));
    wait_redis(&server, &json!(["llen", "begun"]), &json!(1));
    // the worker
    let worker = redis(&server, &json!(["lindex", "begun", 0]));
    kill(worker.as_str().unwrap().parse().unwrap());
    wait_until("it to be run again", || {
        let answer = server.invoke("shop.redis", r#"["llen", "begun"]"#);
        (answer.status == 200 && answer.json()["result"] == 2).then_some(())
    });
    // the hub, and with it everything that was going on
    kill(server.pid());
    server.wait();
    server.start();
    wait_redis(&server, &json!(["llen", "begun"]), &json!(3));
    // Redis
    kill(server.redis_pid());
    wait_until("Redis to be back", || {
        let answer = server.invoke("shop.redis", r#"["set", "may-end", "1"]"#);
        (answer.status == 200).then_some(())
    });
    wait_redis(&server, &json!(["get", "ended"]), &json!("1"));
    wait_until("an empty queue", || {
        queue(&server, &["status"]).starts_with("0 waiting").then_some(())
    });
    assert_eq!(redis(&server, &json!(["get", "ended"])), "1");
    assert!(server.stop().success());
}

#[test]
fn without_redis_the_caller_is_told() {
    let server = quick()
        .service("ok.py", OK)
        .config("[redis]\nurl = \"redis://127.0.0.1:1/0\"\n[calls]\nreturn_tracebacks = true\n")
        .start();
    let answer = server.invoke("shop.order2", "").expect(500);
    assert!(
        answer.text().contains("cannot store a message for service `shop.note`"),
        "{}",
        answer.text()
    );
    let status = command(&server, &["status"]).expect_code(16);
    assert!(status.stderr.contains("Redis cannot be used"), "{}", status.stderr);
}
