//! `busbar.sql`: the driver against real databases, and pools in workers that die, change and run out of connections.

use std::fs;

use busbar_testkit::{Database, TestServer, run, wait_until};
use serde_json::{Value, json};

use crate::{busbar, server};

fn pytest(file: &str, passed: &str) {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("test_it.py"), file).unwrap();
    let output = run(busbar("test", home.path()).current_dir(home.path()).arg("-q"));
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains(passed), "{output:?}");
}

#[test]
fn the_driver_speaks_to_every_database() {
    pytest(include_str!("sql/test_driver.py"), "147 passed");
}

#[test]
fn statements_go_to_the_server_together() {
    pytest(include_str!("sql/test_together.py"), "75 passed");
}

#[test]
fn nothing_is_lost_between_statements_of_postgresql() {
    pytest(include_str!("sql/test_postgresql.py"), "30 passed");
}

#[test]
fn values_of_mysql_are_what_literals_are() {
    pytest(include_str!("sql/test_mysql.py"), "59 passed");
}

#[test]
fn transactions_of_sqlite_are_what_the_user_makes_of_them() {
    pytest(include_str!("sql/test_sqlite.py"), "15 passed");
}

#[test]
fn sessions_are_in_the_zone_of_the_server() {
    pytest(include_str!("sql/test_zones.py"), "49 passed");
}

#[test]
fn results_given_up_in_the_middle_end_their_transaction() {
    pytest(include_str!("sql/test_partly_read.py"), "34 passed");
}

const SERVICE: &str = "
import os
from contextlib import closing
from busbar import sql
from zato.server.service import Service

class Run(Service):
    deadline_secs = 2
    def handle(self):
        asked = self.request.payload
        what = asked['what']
        answer = {}
        try:
            pool = sql.pool(asked['name'], service=self)
            if what == 'ping':
                answer['ok'] = pool.ping() >= 0
            elif what == 'twice':
                with closing(pool.connect()), closing(pool.connect()):
                    pass
            elif what == 'stats':
                answer.update(pool.stats())
            elif what == 'config':
                answer.update(pool.config)
            else:
                with closing(sql.connect(asked['name'], service=self)) as connection:
                    for statement in asked['statements']:
                        cursor = connection.execute(statement)
                        answer['rows'] = [list(row) for row in cursor.fetchall()] if cursor.description else None
                    answer['pid'] = connection.backend_pid
                    if what == 'die':
                        os._exit(3)
                    if what == 'commit':
                        connection.commit()
        except sql.Error as error:
            answer.update(error=type(error).__name__, text=str(error), lost=error.is_disconnect, again=error.is_retriable)
        except KeyError as error:
            answer.update(error='KeyError', text=str(error))
        self.response.payload = answer
";

fn object(name: &str, fields: &Value) -> Value {
    let mut object = json!({
        "name": name, "engine": "postgresql+psycopg2", "host": "127.0.0.1", "port": Database::postgresql_port(), "db_name": "test", "username": "postgres",
        "password": "hunter2", "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1,
    });
    for (field, value) in fields.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

fn start(objects: &[Value]) -> TestServer {
    server()
        .workers(1)
        .service("databases.py", SERVICE)
        .enmasse(&json!({"outconn_sql": objects}).to_string())
        .start()
}

fn ask(server: &TestServer, name: &str, what: &str, statements: &[&str]) -> Value {
    let body = json!({"name": name, "what": what, "statements": statements}).to_string();
    let answer = server.invoke("databases.run", &body);
    if answer.status != 200 {
        return json!({"status": answer.status});
    }
    serde_json::from_str(&answer.text()).unwrap()
}

/// A connection that is no test's own: databases remember by their names what must not meet.
fn unique(what: &str) -> String {
    format!("busbar_{what}_{}", std::process::id())
}

#[test]
fn connections_are_shared_and_lost_ones_replaced() {
    let server = start(&[object("CRM", &json!({}))]);
    assert_eq!(ask(&server, "CRM", "ping", &[]), json!({"ok": true}));
    let first = ask(&server, "CRM", "run", &["SELECT 1"]);
    assert_eq!(first["rows"], json!([[1]]));
    // the connection comes back in the background, so it may have been opened anew for the next one
    let pid = wait_until("the same connection twice", || {
        let one = ask(&server, "CRM", "run", &["SELECT 1"])["pid"].as_u64()?;
        let other = ask(&server, "CRM", "run", &["SELECT 1"])["pid"].as_u64()?;
        (one == other).then_some(one)
    });
    // its user ends it himself, as an administrator would
    let ended = ask(
        &server,
        "CRM",
        "run",
        &["SELECT pg_terminate_backend(pg_backend_pid())"],
    );
    assert_eq!(
        (&ended["error"], &ended["lost"]),
        (&json!("OperationalError"), &json!(true)),
        "{ended}"
    );
    let next = ask(&server, "CRM", "run", &["SELECT 1"]);
    assert_eq!(next["rows"], json!([[1]]));
    assert_ne!(next["pid"].as_u64().unwrap(), pid);
    // nothing of a transaction that was left open stays for the next user
    let table = unique("left");
    ask(&server, "CRM", "run", &[&format!("CREATE TABLE {table} (a int)")]);
    let gone = ask(&server, "CRM", "run", &[&format!("SELECT * FROM {table}")]);
    assert_eq!(gone["error"], "ProgrammingError", "{gone}");
}

#[test]
fn what_cannot_be_had_is_said_clearly() {
    let wrong = json!({"engine": "mysql+pymysql", "port": Database::mysql_port(), "username": "nobody_of_busbar"});
    let server = start(&[
        object("CRM", &json!({})),
        object("Wrong", &wrong),
        object("Away", &json!({"port": 1})),
        object("Other", &json!({"engine": "oracle"})),
    ]);
    let full = ask(&server, "CRM", "twice", &[]);
    assert_eq!(
        (&full["error"], &full["again"]),
        (&json!("OperationalError"), &json!(true))
    );
    let text = full["text"].as_str().unwrap();
    assert!(
        text.contains("`CRM`") && text.contains("pool_size 1") && text.contains("0.1 s"),
        "{text}"
    );
    let stats = ask(&server, "CRM", "stats", &[]);
    assert_eq!(
        (&stats["waited"], &stats["timed_out"], &stats["in_use"]),
        (&json!(1), &json!(1), &json!(0)),
        "{stats}"
    );
    let shown = server.status()["pools"].clone();
    let crm = shown
        .as_array()
        .unwrap()
        .iter()
        .find(|pool| pool["name"] == "CRM")
        .unwrap();
    assert_eq!(
        (&crm["kind"], &crm["limit"], &crm["waited"], &crm["timed_out"]),
        (&json!("outgoing.sql"), &json!(1), &json!(1), &json!(1)),
        "{shown}"
    );
    for (name, error, words) in [
        ("Wrong", "OperationalError", "Access denied"),
        (
            "Away",
            "OperationalError",
            "`Away`: cannot connect to postgresql://postgres@127.0.0.1:1/test",
        ),
        ("Other", "NotSupportedError", "SQLAlchemy"),
        ("None", "KeyError", "None"),
    ] {
        let answer = ask(&server, name, "ping", &[]);
        let text = answer["text"].as_str().unwrap_or_default();
        assert!(answer["error"] == error && text.contains(words), "{answer}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let config = ask(&server, "CRM", "config", &[]);
    assert_eq!((&config["db_name"], config.get("password")), (&json!("test"), None));
    let exported = server.enmasse(&["--export"], "").expect_code(0);
    assert!(
        exported.stdout.contains("outgoing_sql") && !exported.stdout.contains("hunter2"),
        "{}",
        exported.stdout
    );
}

#[test]
fn a_worker_that_dies_leaves_nothing_behind() {
    let server = start(&[object("CRM", &json!({}))]);
    let table = unique("dies");
    ask(&server, "CRM", "commit", &[&format!("CREATE TABLE {table} (a int)")]);
    let died = ask(&server, "CRM", "die", &[&format!("INSERT INTO {table} VALUES (1)")]);
    assert_eq!(died, json!({"status": 502}));
    // the table can be locked as soon as the connection is gone
    let rows = wait_until("the next worker", || {
        let answer = ask(
            &server,
            "CRM",
            "run",
            &[&format!("LOCK TABLE {table}"), &format!("SELECT * FROM {table}")],
        );
        answer.get("rows").cloned()
    });
    assert_eq!(rows, json!([]));
    ask(&server, "CRM", "commit", &[&format!("DROP TABLE {table}")]);
}

#[test]
fn a_statement_is_ended_with_the_call_that_waits_for_it() {
    let server = start(&[object("CRM", &json!({"pool_size": 2}))]);
    let mark = unique("sleeps");
    let late = ask(&server, "CRM", "run", &[&format!("SELECT pg_sleep(600) AS {mark}")]);
    assert_eq!(late["status"], 504, "{late}");
    wait_until("the statement to end on the server", || {
        let running = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%{mark}%' AND pid <> pg_backend_pid()"
        );
        let answer = ask(&server, "CRM", "run", &[&running]);
        (answer["rows"] == json!([[0]])).then_some(())
    });
}

#[test]
fn a_changed_object_is_used_at_once() {
    let server = start(&[object("CRM", &json!({"extra": "application_name=first"}))]);
    let named = |server: &TestServer| {
        ask(server, "CRM", "run", &["SELECT current_setting('application_name')"])["rows"].clone()
    };
    assert_eq!(named(&server), json!([["first"]]));
    let changed = object("CRM", &json!({"extra": "application_name=second"}));
    let replace = |object: &Value| {
        server.enmasse(
            &["--import", "--replace"],
            &json!({"outconn_sql": [object]}).to_string(),
        )
    };
    replace(&changed).expect_code(0);
    wait_until("the change to reach the worker", || {
        (named(&server) == json!([["second"]])).then_some(())
    });
    let refused = object("CRM", &json!({"extra": "no_such_option=1"}));
    let output = replace(&refused);
    assert!(
        output.code != 0 && output.stderr.contains("no_such_option"),
        "{output:?}"
    );
    assert_eq!(named(&server), json!([["second"]]));
}
