//! What services took by minute: counted, kept beyond restarts, read over the management API and by the command line.

use std::fs;

use busbar_testkit::{Database, Proxy, Request, Response, TestServer, process};
use serde_json::{Value, json};

use crate::{ECHO, OK, server};

/// A period that has everything that a test does.
fn always() -> Value {
    json!({"start": "2020-01-01", "stop": "2099-01-01", "n": 10, "n_type": "usage"})
}

fn ask(server: &TestServer, service: &str, input: &Value) -> Response {
    let request = Request::new("POST", &format!("/zato/json/zato.stats.{service}")).body(input.to_string());
    server.send_admin(&request.basic("pubapi", server.password()))
}

/// What stands in the response element of an answer.
#[track_caller]
fn ok(server: &TestServer, service: &str, input: &Value) -> Value {
    let element = format!("zato_stats_{}_response", service.replace(['.', '-'], "_"));
    ask(server, service, input).expect(200).json()[element].take()
}

/// How often a service of users was called.
#[track_caller]
fn calls(server: &TestServer, service: &str) -> u64 {
    let list = ok(server, "trends.get-trends", &always());
    let found = list.as_array().unwrap().iter().find(|it| it["service_name"] == service);
    found.map_or(0, |it| it["usage"].as_u64().unwrap())
}

fn echo(server: &TestServer, times: usize) {
    for _ in 0..times {
        server.invoke("echo.echo", "1").expect(200);
    }
}

#[test]
fn calls_are_counted_beyond_restarts() {
    let mut server = server()
        .service("echo.py", ECHO)
        .service("ok.py", OK)
        .workers(2)
        .start();
    echo(&server, 3);
    server.invoke("ok.ok", "").expect(200);
    // what is counted is told at once, not when its minute is over
    assert_eq!((calls(&server, "echo.echo"), calls(&server, "ok.ok")), (3, 1));
    let first = &ok(&server, "trends.get-trends", &always())[0];
    assert_eq!(
        (&first["service_name"], &first["usage_perc_all_services"]),
        (&json!("echo.echo"), &json!(75.0))
    );
    let (mean, min, max) = (&first["mean"], &first["min_resp_time"], &first["max_resp_time"]);
    assert!(
        min.as_f64() > Some(0.0) && min.as_f64() <= mean.as_f64() && mean.as_f64() <= max.as_f64(),
        "{first}"
    );
    server.stop();
    server.start();
    assert_eq!((calls(&server, "echo.echo"), calls(&server, "ok.ok")), (3, 1));
    echo(&server, 1);
    assert_eq!(calls(&server, "echo.echo"), 4);
    // jobs of Zato's have what is counted stored; then it is there even after the server was killed
    ok(&server, "process-raw-times", &json!({}));
    server.signal(9);
    server.wait();
    server.start();
    assert_eq!(calls(&server, "echo.echo"), 4);
    for job in ["aggregate-by-hour", "summary.create-summary-by-year"] {
        ok(&server, job, &json!({}));
    }
    assert_eq!(calls(&server, "echo.echo"), 4);

    // a service that is gone was called all the same
    let delete = Request::new("POST", "/zato/json/zato.service.delete").basic("pubapi", server.password());
    let get = Request::new("POST", "/zato/json/zato.service.get-by-name").basic("pubapi", server.password());
    let found = server.send_admin(&get.body(r#"{"name": "ok.ok"}"#)).expect(200).json();
    let id = &found["zato_service_get_by_name_response"]["id"];
    server
        .send_admin(&delete.body(json!({"id": id}).to_string()))
        .expect(200);
    assert_eq!(calls(&server, "ok.ok"), 1);
    let gone = json!({"start": "2020-01-01", "stop": "2099-01-01", "service_name": "ok.ok"});
    assert_eq!(ok(&server, "get-by-service", &gone)["usage"], 1);

    ok(&server, "delete", &always());
    assert_eq!(ok(&server, "trends.get-trends", &always()), json!([]));
    server.stop();
    server.start();
    assert_eq!(ok(&server, "trends.get-trends", &always()), json!([]));
}

#[test]
fn clients_of_old_get_them_in_their_shapes() {
    let server = server().service("echo.py", ECHO).start();
    echo(&server, 2);
    let envelope = "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>\
        <r xmlns='https://zato.io/ns/20130518'><start>2020-01-01T00:00:00</start><stop>2099-01-01T00:00:00</stop><n>5</n>\
        <n_type>mean</n_type></r></e:Body></e:Envelope>";
    let soap = Request::new("POST", "/zato/soap")
        .header("SOAPAction", "zato.stats.summary.get-summary-by-range")
        .basic("pubapi", server.password())
        .body(envelope);
    let text = server.send_admin(&soap).expect(200).text();
    for part in [
        "<service_name>echo.echo</service_name>",
        "<usage>2</usage>",
        "<all_services_usage>2<",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let refused = ask(
        &server,
        "trends.get-trends",
        &json!({"start": "x", "stop": "y", "n": 1, "n_type": "mean"}),
    );
    assert!(refused.expect(400).text().contains("field `start`"));
}

#[test]
fn the_command_line_tells_which_are_called_most() {
    let server = server().service("echo.py", ECHO).service("ok.py", OK).start();
    echo(&server, 3);
    server.invoke("ok.ok", "").expect(200);
    let stats = |arguments: &[&str]| {
        let mut command = server.command("service");
        process::run(command.arg("stats").arg(server.directory()).args(arguments))
    };
    let text = stats(&["--since", "1d"]).expect_code(0).stdout;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines.len(), lines[0][0]), (3, "service"), "{text}");
    assert_eq!(
        (&lines[1][..2], &lines[2][..2]),
        (&["echo.echo", "3"][..], &["ok.ok", "1"][..])
    );
    let only = stats(&["ok.ok", "--by", "mean", "--json"]).expect_code(0).json();
    let services = only["services"].as_array().unwrap();
    assert_eq!(
        (services.len(), &only["calls"], &services[0]["calls"]),
        (1, &json!(4), &json!(1))
    );
    let trend: u64 = services[0]["calls_trend"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_u64().unwrap())
        .sum();
    assert_eq!(trend, 1);
    let before = stats(&["--since", "2020-01-01", "--until", "2021-01-01"])
        .expect_code(0)
        .stdout;
    assert_eq!(before.lines().count(), 1);
    for wrong in [
        &["--since", "1h", "--until", "2h"][..],
        &["--by", "name"],
        &["--top", "0"],
    ] {
        assert_ne!(stats(wrong).code, 0, "{wrong:?}");
    }
}

fn servers_of_one_database_are_counted_together(database: Database) {
    let proxy = Proxy::new(&database.address());
    let one = server()
        .odb(&database.url_through(proxy.port()))
        .service("echo.py", ECHO)
        .start();
    let mut other = server().prepare();
    let config = |server: &TestServer, file: &str| server.directory().join("config").join(file);
    fs::copy(config(&one, "odb.key"), config(&other, "odb.key")).unwrap();
    let settings = fs::read_to_string(config(&other, "server.toml")).unwrap();
    let settings = settings.replace("[odb]\n", &format!("[odb]\nurl = \"{}\"\n", database.url()));
    fs::write(config(&other, "server.toml"), settings).unwrap();
    other.start();
    echo(&one, 2);
    // the accounts are those in the database
    let request = Request::new("POST", "/zato/api/invoke/echo.echo").basic("pubapi", one.password());
    for _ in 0..3 {
        other.send(&request).expect(200);
    }
    assert_eq!(calls(&one, "echo.echo"), 2);
    other.stop();
    assert_eq!(calls(&one, "echo.echo"), 5);

    // what the database does not take is not lost
    proxy.cut();
    echo(&one, 1);
    ask(&one, "process-raw-times", &json!({})).expect(503);
    one.wait_log(&["statistics wait in memory until the ODB takes them"]);
    proxy.mend();
    ok(&one, "process-raw-times", &json!({}));
    one.wait_log(&["the ODB takes statistics again"]);
    assert_eq!(calls(&one, "echo.echo"), 6);
    ok(&one, "aggregate-by-day", &json!({}));
    ok(&one, "delete", &always());
    assert_eq!(calls(&one, "echo.echo"), 0);
}

#[test]
fn servers_of_one_postgresql_are_counted_together() {
    servers_of_one_database_are_counted_together(Database::postgresql());
}

#[test]
fn servers_of_one_mariadb_are_counted_together() {
    servers_of_one_database_are_counted_together(Database::mysql());
}

#[test]
fn nothing_is_kept_where_it_is_switched_off() {
    let server = server()
        .config("[statistics]\nenabled = false\n")
        .service("echo.py", ECHO)
        .start();
    echo(&server, 2);
    ok(&server, "process-raw-times", &json!({}));
    assert_eq!(ok(&server, "trends.get-trends", &always()), json!([]));
}
