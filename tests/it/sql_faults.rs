//! `self.outgoing.sql` while databases are away, change, or send more than fits into memory.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use busbar_testkit::server::Builder;
use busbar_testkit::{Database, Moment, OwnServer, Proxy, TestServer, run, wait_until};
use serde_json::{Value, json};

use crate::{busbar, server};

/// How long a pool may take to have connections again once the database is back.
const HEALS_IN: Duration = Duration::from_secs(2);

const SERVICES: &str = "
import time
from sqlalchemy.exc import DBAPIError
from zato.server.service import Service

class Insert(Service):
    '''Commits a row under the number that the caller gives.'''
    def handle(self):
        session = None
        try:
            with self.outgoing.sql['CRM'].session() as session:
                # the text is of this call alone, so it is sent each time
                session.execute(f\"INSERT INTO call_log VALUES ({self.request.payload['id']:d})\")
                session.commit()
            answer = 'stored'
        except DBAPIError as error:
            answer = 'unknown' if error.orig.is_outcome_unknown else 'failed'
            if not error.orig.is_disconnect:
                raise
        self.response.payload = {'answer': answer}

class Text(Service):
    def handle(self):
        with self.outgoing.sql['CRM'].session() as session:
            self.response.payload = {'text': session.execute(self.request.payload['sql']).scalar()}

class Slow(Service):
    '''A transaction that goes on for as long as the caller says.'''
    def handle(self):
        with self.outgoing.sql['CRM'].session() as session:
            before = session.execute('SELECT 1').scalar()
            time.sleep(self.request.payload['seconds'])
            after = session.execute('SELECT 2').scalar()
            session.commit()
        self.response.payload = {'rows': [before, after]}

class Stats(Service):
    def handle(self):
        self.response.payload = self.outgoing.sql['CRM'].pool.stats()
";

fn with_crm(fields: &Value) -> Builder {
    let mut object = json!({"name": "CRM", "engine": "postgresql", "host": "127.0.0.1", "username": "postgres", "db_name": "postgres",
        "pool_size": 4, "max_overflow": 0, "pool_timeout": 20});
    merge(&mut object, fields);
    server()
        .service("faults.py", SERVICES)
        .enmasse(&json!({"outconn_sql": [object]}).to_string())
}

fn merge(object: &mut Value, fields: &Value) {
    for (field, value) in fields.as_object().unwrap() {
        object[field] = value.clone();
    }
}

fn ask(server: &TestServer, service: &str, body: &Value) -> Value {
    let answer = server.invoke(&format!("faults.{service}"), &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

fn insert(server: &TestServer, id: usize) -> String {
    ask(server, "insert", &json!({"id": id}))["answer"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// What is open is what the pool has: nothing was lost on the way.
fn nothing_leaks(server: &TestServer) {
    wait_until("every connection to be back in the pool, or closed", || {
        let stats = ask(server, "stats", &json!({}));
        let number = |name: &str| stats[name].as_i64().unwrap();
        let is_right = number("in_use") == 0
            && number("waiting") == 0
            && number("idle") <= number("size")
            && number("opened") - number("closed") == number("idle");
        is_right.then_some(())
    });
}

#[test]
fn a_database_that_goes_away_a_hundred_times_neither_loses_nor_doubles_anything() {
    let mut database = OwnServer::postgresql(&[], &[]);
    database.execute("CREATE TABLE call_log (id INTEGER PRIMARY KEY)");
    let proxy = Proxy::new(&format!("127.0.0.1:{}", database.port()));
    let server = with_crm(&json!({"port": proxy.port()})).workers(2).start();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let answers = Mutex::new(Vec::new());
    let mut worst = Duration::ZERO;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    let answer = insert(&server, id);
                    answers.lock().unwrap().push((id, answer));
                }
            });
        }
        let stored = |answers: &[(usize, String)]| answers.iter().filter(|(_, answer)| answer == "stored").count();
        for round in 0..100 {
            let before = stored(&answers.lock().unwrap());
            wait_until("calls to go through", || {
                (stored(&answers.lock().unwrap()) > before + 4).then_some(())
            });
            proxy.cut();
            if round % 25 == 24 {
                database.kill();
                database.start();
            }
            let before = stored(&answers.lock().unwrap());
            proxy.mend();
            let back = Instant::now();
            wait_until("a call to go through again", || {
                (stored(&answers.lock().unwrap()) > before).then_some(())
            });
            worst = worst.max(back.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(worst < HEALS_IN, "the pool was without connections for {worst:?}");
    let rows = database.text("SELECT coalesce(string_agg(id::text, ','), '') FROM call_log");
    let rows: HashSet<usize> = rows.split(',').map(|id| id.parse().unwrap()).collect();
    let answers = answers.into_inner().unwrap();
    let mut failed = 0;
    for (id, answer) in &answers {
        // nothing is said of those whose answer was lost
        let expected = match answer.as_str() {
            "stored" => true,
            "failed" => false,
            _ => continue,
        };
        failed += usize::from(!expected);
        assert_eq!(rows.contains(id), expected, "call {id} was told: {answer}");
    }
    assert!(failed > 0 && rows.len() <= answers.len());
    nothing_leaks(&server);
}

#[test]
fn connections_of_which_nothing_is_heard_any_more_are_waited_for_once() {
    let limit = Duration::from_secs(3);
    let database = OwnServer::postgresql(&[], &[]);
    let proxy = Proxy::new(&format!("127.0.0.1:{}", database.port()));
    let server =
        with_crm(&json!({"port": proxy.port(), "extra": format!("connect_timeout={}", limit.as_secs())})).start();
    let number = |name: &str| ask(&server, "stats", &json!({}))[name].as_u64().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ask(&server, "slow", &json!({"seconds": 0.5})));
        }
    });
    let idle = wait_until("several connections that nobody uses", || {
        let idle = number("idle");
        (idle > 1 && idle == number("opened")).then_some(idle)
    });
    // what was used just now is not tried out
    thread::sleep(Duration::from_millis(1100));
    proxy.silence();
    let asked = Instant::now();
    assert_eq!(ask(&server, "text", &json!({"sql": "SELECT 'here'"}))["text"], "here");
    let waited = asked.elapsed();
    assert!(
        waited < limit * 2,
        "one connection after the other was waited for: {waited:?}"
    );
    wait_until("those to be closed", || (number("closed") == idle).then_some(()));
}

#[test]
fn who_loses_the_answer_to_a_commit_is_told_that_the_outcome_is_unknown() {
    for database in [Database::postgresql(), Database::mysql()] {
        database.execute("CREATE TABLE call_log (id INTEGER PRIMARY KEY)");
        let proxy = Proxy::new(&database.address());
        let url = database.url_through(proxy.port());
        let (engine, rest) = url.split_once("://").unwrap();
        let (user, place) = rest.split_once('@').unwrap();
        let crm = json!({"engine": engine, "port": proxy.port(), "username": user.split(':').next().unwrap(),
            "password": user.split_once(':').map_or("", |(_, password)| password), "db_name": place.split_once('/').unwrap().1,
            "pool_size": 1, "ssl_mode": "disable"});
        let server = with_crm(&crm).start();
        assert_eq!(insert(&server, 0), "stored");
        let mut told = Vec::new();
        for (id, moment) in [
            (1, Moment::Before(b"INSERT")),
            (2, Moment::Answering(b"INSERT")),
            (3, Moment::Before(b"COMMIT")),
            (4, Moment::Answering(b"COMMIT")),
            (5, Moment::After(b"COMMIT")),
        ] {
            proxy.cut_at(moment);
            told.push(insert(&server, id));
            // one that was lost while nobody used it is found out by who uses it next; whatever it was, there is another one after that
            let mut next = id * 10..;
            wait_until("calls to go through again", || {
                (insert(&server, next.next().unwrap()) == "stored").then_some(())
            });
        }
        assert_eq!(told, ["failed", "failed", "unknown", "unknown", "stored"], "{engine}");
        // 3 is not there and 4 is: that is what cannot be known
        let ids = "SELECT count(*) FROM call_log WHERE id";
        let is_there = |id: usize| {
            let sql = match engine {
                "mysql" => format!("SELECT CAST(({ids} = {id}) AS CHAR)"),
                _ => format!("SELECT ({ids} = {id})::text"),
            };
            database.text(&sql)
        };
        assert_eq!([1, 2, 3, 4, 5].map(is_there), ["0", "0", "0", "1", "1"], "{engine}");
        nothing_leaks(&server);
    }
}

const LATE: &str = "
from sqlalchemy.exc import DBAPIError
from busbar import sql
from zato.server.service import Service

class Late(Service):
    deadline_secs = 1

    def handle(self):
        asked = self.request.payload
        try:
            getattr(self, asked['how'])()
        except DBAPIError as error:
            told = error.orig
        except sql.Error as error:
            told = error
        # the caller does not wait any more
        with open(asked['path'], 'w') as f:
            f.write(f'{type(told).__name__} {told.is_outcome_unknown} {told.is_disconnect} {told.is_retriable} {type(told.__cause__).__name__}')

    def session(self):
        with self.outgoing.sql['CRM'].session() as session:
            session.execute('INSERT INTO call_log VALUES (1)')
            session.commit()

    def text(self):
        with self.outgoing.sql['CRM'].session() as session:
            session.execute(\"SELECT log_call(1)\")
            session.commit()

    def driver(self):
        connection = sql.connect('CRM', service=self)
        try:
            connection.execute('INSERT INTO call_log VALUES (1)')
            connection.commit()
        finally:
            connection.rollback()
            connection.close()

    def alone(self):
        sql.connect('CRM', service=self, autocommit=True).execute('SELECT log_call(1)')
";

#[test]
fn who_is_cut_off_while_the_database_commits_is_told_that_the_outcome_is_unknown() {
    let database = OwnServer::postgresql(&[], &[]);
    database.execute("CREATE TABLE call_log (id INTEGER)");
    database.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'",
    );
    database.execute(
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON call_log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    database.execute(
        "CREATE FUNCTION log_call(id int) RETURNS int LANGUAGE sql AS 'INSERT INTO call_log VALUES (id) RETURNING id'",
    );
    let server = with_crm(&json!({"port": database.port()}))
        .service("late.py", LATE)
        .start();
    for how in ["session", "text", "driver", "alone"] {
        let path = server.directory().join(format!("told-{how}"));
        let asked = json!({"how": how, "path": path});
        // which of the two ends first is not said
        let status = server.invoke("late.late", &asked.to_string()).status;
        assert!(matches!(status, 200 | 504), "{status}");
        let told = wait_until("the service to be told", || {
            std::fs::read_to_string(&path).ok().filter(|told| !told.is_empty())
        });
        assert_eq!(told, "OperationalError True True False DeadlineExceeded", "{how}");
    }
    nothing_leaks(&server);
}

#[test]
fn transactions_end_as_sqlalchemys_users_expect() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("test_faults.py"), include_str!("sql/test_faults.py")).unwrap();
    let output = run(busbar("test", home.path()).current_dir(home.path()).arg("-q"));
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("12 passed"), "{output:?}");
}

#[test]
fn an_address_and_a_password_change_while_calls_run() {
    let hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let database = OwnServer::postgresql(&[("pg_hba.conf", hba)], &[]);
    database.execute("CREATE ROLE crm LOGIN PASSWORD 'one'");
    let place = format!("127.0.0.1:{}", database.port());
    let proxies = [Proxy::new(&place), Proxy::new(&place)];
    let crm = |proxy: &Proxy, password: &str| json!({"port": proxy.port(), "username": "crm", "password": password});
    let server = with_crm(&crm(&proxies[0], "one")).start();
    let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // more cannot be used at a time: so all connections are open when the password changes, and stay
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&server, "slow", &json!({"seconds": 0.1}));
                    assert_eq!(answer["rows"], json!([1, 2]));
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let further = |count: usize| {
            let before = calls.load(Ordering::Relaxed);
            wait_until("further calls", || {
                (calls.load(Ordering::Relaxed) >= before + count).then_some(())
            });
        };
        let replace = |fields: &Value| {
            let mut object = json!({"name": "CRM", "engine": "postgresql", "host": "127.0.0.1", "db_name": "postgres",
                "pool_size": 4, "max_overflow": 0, "pool_timeout": 20});
            merge(&mut object, fields);
            let yaml = json!({"outconn_sql": [object]}).to_string();
            server.enmasse(&["--import", "--replace"], &yaml).expect_code(0);
        };
        further(8);
        let mut now = 0;
        for password in ["two", "three", "four"] {
            database.execute(&format!("ALTER ROLE crm PASSWORD '{password}'"));
            now = 1 - now;
            replace(&crm(&proxies[now], password));
            further(8);
            // nobody is left on the old way
            proxies[1 - now].cut();
            further(8);
            proxies[1 - now].mend();
        }
        stop.store(true, Ordering::Relaxed);
    });
    nothing_leaks(&server);
}

const LARGE: &str = "
from busbar import sql
from zato.server.service import Service

SQL = \"SELECT number, repeat('x', 1000000) AS body FROM generate_series(1, 1000) number\"

def peak():
    '''Megabytes that this process had at most.'''
    with open('/proc/self/status') as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith('VmHWM'))

class Stream(Service):
    deadline_secs = 300
    def handle(self):
        cursor = sql.connect('CRM', service=self).cursor()
        cursor.execute('SELECT 1')
        before, size = peak(), 0
        cursor.execute(SQL)
        while rows := cursor.fetchmany(10):
            size += sum(len(row[1]) for row in rows)
        with self.outgoing.sql['CRM'].session() as session:
            for row in session.execute(SQL, execution_options={'stream_results': True, 'yield_per': 10}):
                size += len(row.body)
        self.response.payload = {'size': size, 'more': peak() - before}

class Everything(Service):
    deadline_secs = 300
    def handle(self):
        with self.outgoing.sql['CRM'].session() as session:
            self.response.payload = {'count': len(session.execute(SQL).fetchall())}

class Pid(Service):
    def handle(self):
        import os
        self.response.payload = {'pid': os.getpid()}
";

#[test]
fn a_gigabyte_is_read_piece_by_piece_or_costs_the_worker_alone() {
    let server = with_crm(&json!({"port": Database::postgresql_port(), "db_name": "test"}))
        .service("large.py", LARGE)
        .config("[workers]\nmemory_limit_mb = 600")
        .start();
    let call = |service: &str| server.invoke(&format!("large.{service}"), "{}");
    let streamed = call("stream");
    assert_eq!(streamed.status, 200, "{}", streamed.text());
    let streamed: Value = serde_json::from_str(&streamed.text()).unwrap();
    assert_eq!(streamed["size"], 2_000_000_000_u64);
    let more = streamed["more"].as_i64().unwrap();
    assert!(more < 200, "the worker grew by {more} MB");

    let hub = server.pid();
    let pid = call("pid").text();
    assert_eq!(call("everything").status, 502);
    let next = wait_until("the next worker", || {
        let answer = call("pid");
        (answer.status == 200).then(|| answer.text())
    });
    assert_ne!(next, pid);
    assert_eq!(server.pid(), hub);
    // the database is rid of the statement as well
    let idle = json!({"sql": "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 1000) number%' \
        AND state = 'active' AND pid <> pg_backend_pid()"});
    wait_until("the statement to end on the server", || {
        (ask(&server, "text", &idle)["text"] == 0).then_some(())
    });
}
