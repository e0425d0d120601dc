//! The key-value database and the cache for administrators: what they refuse.

use busbar_testkit::TestServer;
use busbar_testkit::server::Builder;
use serde_json::{Value, json};

use crate::server;

/// A server with a channel for each of these services, at their names.
fn start(services: &[&str]) -> TestServer {
    let with_channel = |builder: Builder, service: &&str| builder.channel(&format!("/{service}"), service);
    services.iter().fold(server(), with_channel).start()
}

fn refused(server: &TestServer, service: &str, body: &str) -> String {
    let answer = server.post(&format!("/{service}"), body).expect(400).json();
    answer["details"].as_str().unwrap().to_owned()
}

#[test]
fn requests_that_are_no_objects_are_refused() {
    let server = start(&[
        "zato.kvdb.remote-command.execute",
        "zato.kvdb.data-dict.dictionary.create",
        "zato.kvdb.data-dict.impexp.import",
        "zato.crypto.encrypt",
    ]);
    for (service, bodies) in [
        ("zato.kvdb.remote-command.execute", ["[1]", "\"PING\""]),
        ("zato.kvdb.data-dict.dictionary.create", ["[1]", "7"]),
        ("zato.kvdb.data-dict.impexp.import", ["[1]", "true"]),
    ] {
        for body in bodies {
            let details = refused(&server, service, body);
            assert_eq!(details, "the request must be a JSON object", "{service} {body}");
        }
    }
    let details = refused(&server, "zato.crypto.encrypt", r#"{"clear_text": null}"#);
    assert_eq!(details, "field `clear_text`: must be text");
    let ping = server.post("/zato.kvdb.remote-command.execute", r#"{"command": "ECHO 'a b'"}"#);
    assert_eq!(ping.expect(200).json()["result"], json!("a b"));
    for command in ["FLUSHALL", "config get *", "SUBSCRIBE a", "NO.SUCH", "BLPOP a 0"] {
        let body = json!({"command": command}).to_string();
        let details = refused(&server, "zato.kvdb.remote-command.execute", &body);
        assert!(details.contains("is not allowed here"), "{command}: {details}");
    }
}

#[test]
fn of_two_that_make_the_same_entry_one_is_refused() {
    let server = start(&[
        "zato.kvdb.data-dict.dictionary.create",
        "zato.kvdb.data-dict.dictionary.get-list",
    ]);
    let create = |value: usize| {
        let body = json!({"system": "crm", "key": "country", "value": value.to_string()}).to_string();
        server.post("/zato.kvdb.data-dict.dictionary.create", body).status
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..40).map(|number| scope.spawn(move || create(number / 4))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(409)), (10, 30), "{statuses:?}");
    let list = server
        .post("/zato.kvdb.data-dict.dictionary.get-list", "{}")
        .expect(200)
        .json();
    assert_eq!(list.as_array().unwrap().len(), 10);
}

#[test]
fn the_cache_refuses_what_it_cannot_hold() {
    let server = start(&[
        "zato.cache.builtin.entry.create",
        "zato.cache.builtin.entry.get",
        "zato.cache.builtin.entry.delete",
        "zato.cache.builtin.entry.update",
        "zato.cache.builtin.entry.get-list",
    ]);
    let body = |more: &str| format!(r#"{{"cache_id": 1, "value": "v", {more}}}"#);
    for (service, more, details) in [
        ("create", r#""key": [1]"#, "field `key`: must be text or a whole number"),
        (
            "get",
            r#""key": {"a": 1}"#,
            "field `key`: must be text or a whole number",
        ),
        (
            "delete",
            r#""key": true"#,
            "field `key`: must be text or a whole number",
        ),
        (
            "update",
            r#""key": "k", "expiry": "soon""#,
            "field `expiry`: must be seconds",
        ),
        (
            "create",
            r#""key": "k", "expiry": -1"#,
            "field `expiry`: must be seconds",
        ),
        (
            "get-list",
            r#""max_chars": [null]"#,
            "field `max_chars`: must be a whole number",
        ),
    ] {
        let service = format!("zato.cache.builtin.entry.{service}");
        assert_eq!(refused(&server, &service, &body(more)), details, "{service} {more}");
    }
    server
        .post("/zato.cache.builtin.entry.create", body(r#""key": "k""#))
        .expect(200);
    // one that never expires, in effect, does not keep the others from being listed
    server
        .post(
            "/zato.cache.builtin.entry.create",
            body(r#""key": "late", "expiry": 1e300"#),
        )
        .expect(200);
    let listed = server
        .post("/zato.cache.builtin.entry.get-list", body(r#""max_chars": 5"#))
        .expect(200);
    let listed = listed.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    // those who look are no readers
    assert_eq!((&listed[0]["hits"], &listed[0]["last_read"]), (&json!(0), &Value::Null));
    let found = server.post("/zato.cache.builtin.entry.get", body(r#""key": "k""#));
    assert_eq!(found.expect(200).json()["value"], json!("v"));
}
