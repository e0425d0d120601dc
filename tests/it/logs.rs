//! The log: one format for hub, workers and services, the correlation id in it, and no secrets.

use busbar_testkit::{Request, wait_until};

use crate::{ECHO, server};

const LOGGING: &str = "
import logging
from zato.server.service import Service

logging.getLogger('my.module').warning('at import')

class Log(Service):
    def handle(self):
        self.logger.info('said by %s', 'the service')
        self.logger.debug('not said')
        self.logger.warning('two\\nlines')
        logging.getLogger('my.module').info('said by a module')
        print('printed')
        self.response.payload = 'x'

class Fails(Service):
    def handle(self):
        secret_of_a_variable = 'hush'
        raise ValueError('on purpose')

class Handled(Service):
    def handle(self):
        try:
            1 / 0
        except ZeroDivisionError:
            self.logger.exception('caught')
";

/// `2026-11-21T10:11:12.131415Z INFO  worker-1 name [cid] message`
fn assert_format(line: &str) {
    let fields: Vec<_> = line.split_whitespace().collect();
    let time = fields[0].as_bytes();
    assert!(
        time.len() >= 20 && time[4] == b'-' && time[10] == b'T' && time.ends_with(b"Z"),
        "{line}"
    );
    assert!(
        ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&fields[1]),
        "{line}"
    );
    assert!(fields[2] == "hub" || fields[2].starts_with("worker-"), "{line}");
}

#[test]
fn every_line_has_one_format_and_calls_have_their_cid() {
    let server = server()
        .service("log.py", LOGGING)
        .channel("/log", "log.log")
        .channel("/fails", "log.fails")
        .start();
    let response = server.get("/log").expect(200);
    let line = server.wait_log(&["said by the service"]);
    assert_format(&line);
    let expected = format!("log.log [{}] said by the service", response.cid());
    assert!(line.contains("worker-1") && line.ends_with(&expected), "{line}");
    let module = server.wait_log(&["said by a module"]);
    assert!(
        module.contains("my.module") && module.contains(response.cid()),
        "{module}"
    );
    server.wait_log(&["at import"]);
    assert!(!server.log().contains("not said"));

    // what went wrong, once, with its traceback and the cid that the caller has
    let failed = server.get("/fails").expect(500);
    wait_until("the traceback", || {
        server.log().contains("ValueError: on purpose").then_some(())
    });
    let log = server.log();
    assert_eq!(log.matches("ValueError: on purpose").count(), 1, "{log}");
    let line = server.wait_log(&[failed.cid()]);
    assert!(line.contains("ERROR") && line.contains("log.fails"), "{line}");
    assert!(log.contains("log.py"), "where it was");

    // lines that begin one have the format; the others belong to a message of several lines
    let begins = |line: &&str| line.starts_with("20") && line.contains('T');
    assert!(log.lines().filter(begins).count() > 3, "{log}");
    log.lines().filter(begins).for_each(assert_format);
    assert!(!log.contains('\u{1b}'), "no colours in a file");
}

#[test]
fn the_level_is_a_setting() {
    let server = server()
        .service("log.py", LOGGING)
        .channel("/log", "log.log")
        .config("[log]\nlevel = \"debug\"")
        .start();
    server.get("/log").expect(200);
    assert_format(&server.wait_log(&["not said"]));

    let server = crate::server()
        .service("log.py", LOGGING)
        .channel("/log", "log.log")
        .config("[log]\nlevel = \"warn\"")
        .start();
    server.get("/log").expect(200);
    server.wait_log(&["two"]);
    assert!(!server.log().contains("said by the service"));
}

#[test]
fn exceptions_that_services_log_have_their_traceback() {
    let server = server()
        .service("log.py", LOGGING)
        .channel("/handled", "log.handled")
        .start();
    server.get("/handled").expect(200);
    server.wait_log(&["caught"]);
    wait_until("the traceback", || {
        server.log().contains("ZeroDivisionError").then_some(())
    });
}

#[test]
fn bodies_and_credentials_are_not_logged() {
    let server = server()
        .service("echo.py", ECHO)
        .enmasse(
            "
security: [{name: shop, type: basic_auth, username: ann, password: pass-w0rd}]
channel_rest: [{name: a, url_path: /a, service: echo.echo, data_format: json, security_name: shop}]
",
        )
        .config("[log]\nlevel = \"debug\"")
        .start();
    let body = r#"{"card": "4111-1111"}"#;
    server
        .send(&Request::new("POST", "/a").basic("ann", "pass-w0rd").body(body))
        .expect(200);
    server
        .send(&Request::new("POST", "/a").basic("ann", "wr0ng-one").body(body))
        .expect(401);
    server
        .send(
            &Request::new("POST", "/a?token=t0ken")
                .basic("ann", "pass-w0rd")
                .body("{broken 4111-1111"),
        )
        .expect(200);
    server.invoke("echo.echo", body).expect(200);
    let log = server.log();
    for secret in [
        "pass-w0rd",
        "wr0ng-one",
        "4111-1111",
        "YW5uOnBhc3MtdzByZA==",
        server.password(),
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn the_log_may_be_truncated_while_the_server_runs() {
    let server = server().service("log.py", LOGGING).channel("/log", "log.log").start();
    server.get("/log").expect(200);
    server.wait_log(&["said by the service"]);
    std::fs::write(server.directory().join("logs/server.log"), "").unwrap();
    server.get("/log").expect(200);
    server.wait_log(&["said by the service"]);
    assert!(!server.log().contains('\0'), "no hole at its beginning");
}

#[test]
fn what_cannot_be_logged_as_it_is_fails_no_service() {
    let server = server()
        .service(
            "odd.py",
            r"
import logging, os
from zato.server.service import Service

class Unshown:
    def __repr__(self):
        raise RuntimeError('no')
    __str__ = __repr__

class Log(Service):
    def handle(self):
        self.logger.info('file %s', os.fsdecode(b'plik-\xb3.csv'))
        self.logger.info('this %s', Unshown())
        logging.getLogger('of a library \ud800').warning('half %s', '\ud800')
        self.response.payload = 'logged'
",
        )
        .start();
    assert_eq!(server.invoke("odd.log", "").expect(200).text(), "logged");
    let log = server.log();
    for line in [
        r"file plik-\udcb3.csv",
        "cannot format the log message 'this %s' with <tuple object at",
        r"half \ud800",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}
