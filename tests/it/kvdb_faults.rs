//! `self.kvdb`, `self.lock` and `self.cache` while their Redis is full, only reads, does not answer, or is gone.
//!
//! What services catch is compared with what redis-py raises beside it.

use std::process::{Child, Command, Stdio};
use std::thread;

use busbar_testkit::{TestServer, wait_until};
use serde_json::{Value, json};

use crate::server;

const SERVICES: &str = "
import redis
from zato.server.service import Service

def told(work, *args):
    try:
        return ['fine', work(*args)]
    except redis.RedisError as error:
        return [type(error).__name__, str(error)]

class Try(Service):
    '''Does something with each of the clients, and tells what came of it.'''
    def handle(self):
        asked = self.request.payload
        clients = {'busbar': self.kvdb.conn}
        if 'port' in asked:
            clients['redis-py'] = redis.Redis(port=asked['port'], decode_responses=True)
        work = getattr(self, 'do_' + asked['what'])
        self.response.payload = {name: told(work, conn) for name, conn in clients.items()}

    def do_get(self, conn):
        return conn.get('kept')

    def do_set(self, conn):
        return conn.set('new', 'x' * 100)

    def do_delete(self, conn):
        return conn.delete('none')

    def do_pipeline(self, conn):
        return conn.pipeline().get('kept').set('new', 1).execute()

    def do_unbound(self, conn):
        return conn.pipeline(transaction=False).get('kept').set('new', 1).execute()

    def do_script(self, conn):
        return conn.eval(\"return redis.call('SET', KEYS[1], 1)\", 1, 'new')

    def do_wait(self, conn):
        return conn.blpop(['nothing'], timeout=1)

    def do_many(self, conn):
        conn.mset({f'many:{number}': number for number in range(100)})
        return [conn.get(f'many:{number}') for number in range(100)] == [str(number) for number in range(100)]

    def do_lock(self, conn):
        with self.lock('a', block=1):
            return True

    def do_cache(self, conn):
        self.cache.default['a'] = 1
        return self.cache.default['a']

class Uncaught(Service):
    def handle(self):
        self.kvdb.conn.set('new', 1)
        self.response.payload = {'answer': 'fine'}

class Locked(Service):
    def handle(self):
        with self.lock('b'):
            self.response.payload = {'answer': 'fine'}
";

/// A Redis on a free port, which ends with this value.
struct OwnRedis {
    port: u16,
    options: Vec<String>,
    child: Child,
    _home: tempfile::TempDir,
}

impl OwnRedis {
    fn start(options: &[&str]) -> Self {
        let port = busbar_testkit::free_port();
        let home = tempfile::tempdir().unwrap();
        let fixed = [
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--dir",
            home.path().to_str().unwrap(),
        ];
        let options: Vec<String> = fixed.iter().chain(options).map(|option| (*option).to_owned()).collect();
        Self {
            port,
            child: Self::spawn(port, &options),
            options,
            _home: home,
        }
    }

    fn spawn(port: u16, options: &[String]) -> Child {
        let mut command = Command::new("redis-server");
        let child = command.args(options).stdout(Stdio::null()).spawn().unwrap();
        wait_until("Redis to listen", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        child
    }

    /// Runs a command beside the server under test.
    #[track_caller]
    fn command(&self, words: &[&str]) -> String {
        let output = busbar_testkit::run(
            Command::new("redis-cli")
                .args(["-p", &self.port.to_string()])
                .args(words),
        );
        output.expect_code(0).stdout.trim().to_owned()
    }

    fn signal(&self, name: &str) {
        busbar_testkit::run(Command::new("kill").args([name, &self.child.id().to_string()])).expect_code(0);
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = Self::spawn(self.port, &self.options);
    }

    fn server(&self) -> TestServer {
        self.command(&["set", "kept", "yes"]);
        let server = server()
            .service("faults.py", SERVICES)
            .config(&format!("[redis]\nurl = \"redis://127.0.0.1:{}\"", self.port))
            .start();
        heals(&server);
        server
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of something that a service did.
#[track_caller]
fn attempt(server: &TestServer, asked: &Value) -> Value {
    server.invoke("faults.try", &asked.to_string()).expect(200).json()
}

#[track_caller]
fn outcome(server: &TestServer, what: &str) -> (String, Value) {
    let told = attempt(server, &json!({"what": what}))["busbar"].clone();
    (told[0].as_str().unwrap().to_owned(), told[1].clone())
}

/// Both clients say the same, in this class.
#[track_caller]
fn is_as_with_redis_py(server: &TestServer, redis: &OwnRedis, what: &str, class: &str) {
    let told = attempt(server, &json!({"what": what, "port": redis.port}));
    assert_eq!(told["busbar"][0], class, "{what}: {told}");
    assert_eq!(told["redis-py"][0], class, "{what}: {told}");
    // that of a transaction also names the command
    let text = |client: &str| told[client][1].to_string().replace('"', "");
    assert!(text("redis-py").ends_with(&text("busbar")), "{what}: {told}");
}

/// A service that catches nothing: its caller gets an error with the cid of the call, and no traceback, and the log has both.
#[track_caller]
fn is_told_with_the_cid(server: &TestServer, service: &str, class: &str) {
    let response = server.invoke(&format!("faults.{service}"), "{}");
    assert_eq!(response.status, 500, "{}", response.text());
    let cid = response.header("x-zato-cid").unwrap().to_owned();
    let text = response.text();
    assert!(text.contains(&cid) && !text.contains("Traceback"), "{text}");
    wait_until("the error in the log", || {
        let log = server.log();
        log.split_once(&cid)?.1.contains(class).then_some(())
    });
}

/// All works again, in the same processes.
#[track_caller]
fn heals(server: &TestServer) {
    wait_until("Redis to be used again", || {
        ["uncaught", "locked"]
            .iter()
            .all(|service| server.invoke(&format!("faults.{service}"), "{}").status == 200)
            .then_some(())
    });
    assert_eq!(outcome(server, "get"), ("fine".to_owned(), json!("yes")));
    // each answer belongs to its question
    assert_eq!(outcome(server, "many"), ("fine".to_owned(), json!(true)));
    assert_eq!(server.status()["workers"][0]["restarts"], 0);
}

#[test]
fn a_redis_that_is_full() {
    let redis = OwnRedis::start(&[]);
    let server = redis.server();
    redis.command(&["config", "set", "maxmemory", "1"]);
    for what in ["set", "pipeline", "unbound", "script"] {
        is_as_with_redis_py(&server, &redis, what, "OutOfMemoryError");
    }
    for what in ["get", "delete", "wait"] {
        is_as_with_redis_py(&server, &redis, what, "fine");
    }
    assert_eq!(outcome(&server, "lock").0, "OutOfMemoryError");
    assert_eq!(outcome(&server, "cache"), ("fine".to_owned(), json!(1)));
    is_told_with_the_cid(&server, "uncaught", "OutOfMemoryError");
    is_told_with_the_cid(&server, "locked", "OutOfMemoryError");
    redis.command(&["config", "set", "maxmemory", "0"]);
    heals(&server);
}

#[test]
fn a_redis_that_only_reads() {
    let redis = OwnRedis::start(&[]);
    let server = redis.server();
    // of a master that nobody has
    redis.command(&["replicaof", "127.0.0.1", &busbar_testkit::free_port().to_string()]);
    for what in ["set", "pipeline", "unbound", "delete", "script"] {
        is_as_with_redis_py(&server, &redis, what, "ReadOnlyError");
    }
    is_as_with_redis_py(&server, &redis, "get", "fine");
    assert_eq!(outcome(&server, "lock").0, "ReadOnlyError");
    assert_eq!(outcome(&server, "cache"), ("fine".to_owned(), json!(1)));
    is_told_with_the_cid(&server, "uncaught", "ReadOnlyError");
    is_told_with_the_cid(&server, "locked", "ReadOnlyError");
    redis.command(&["replicaof", "no", "one"]);
    heals(&server);
}

#[test]
fn a_redis_that_does_not_answer() {
    let redis = OwnRedis::start(&[]);
    let server = redis.server();
    redis.signal("-STOP");
    thread::scope(|scope| {
        for what in ["get", "set", "pipeline", "wait", "lock"] {
            let server = &server;
            scope.spawn(move || assert_eq!(outcome(server, what).0, "TimeoutError", "{what}"));
        }
        scope.spawn(|| is_told_with_the_cid(&server, "uncaught", "TimeoutError"));
        // who does not need it does not notice
        assert_eq!(outcome(&server, "cache"), ("fine".to_owned(), json!(1)));
        server.get("/zato/ping").expect(200);
    });
    redis.signal("-CONT");
    heals(&server);
}

#[test]
fn a_redis_that_is_gone() {
    let mut redis = OwnRedis::start(&[]);
    let server = redis.server();
    redis.kill();
    for what in ["get", "set", "pipeline", "script", "wait"] {
        let told = attempt(&server, &json!({"what": what, "port": redis.port}));
        assert_eq!(told["busbar"][0], "ConnectionError", "{what}: {told}");
        assert_eq!(told["redis-py"][0], "ConnectionError", "{what}: {told}");
    }
    assert_eq!(outcome(&server, "lock").0, "ConnectionError");
    assert_eq!(outcome(&server, "cache"), ("fine".to_owned(), json!(1)));
    is_told_with_the_cid(&server, "uncaught", "ConnectionError");
    is_told_with_the_cid(&server, "locked", "ConnectionError");
    server.get("/zato/ping").expect(200);
    redis.start_again();
    redis.command(&["set", "kept", "yes"]);
    heals(&server);
}
