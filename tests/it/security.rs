//! What callers of secured channels see: tokens, groups, roles and limits.

use busbar_testkit::{Request, Response, TestServer};
use serde_json::json;

use crate::server;

/// Tells who called.
const WHO: &str = "
from zato.server.service import Service

class Who(Service):
    def handle(self):
        self.response.payload = self.channel.security.to_dict()
";

fn send(server: &TestServer, request: Request, status: u16) -> Response {
    server.send(&request).expect(status)
}

fn details(response: &Response) -> String {
    response.json()["details"].as_str().unwrap().to_owned()
}

fn log_in(server: &TestServer, username: &str, password: &str) -> Response {
    let body = json!({"username": username, "password": password, "totp_code": "123456"});
    server.post("/zato/jwt/log-in", body.to_string())
}

fn with_token(token: &str) -> Request {
    Request::new("GET", "/who").header("Authorization", &format!("Bearer {token}"))
}

#[test]
fn a_jwt_user_logs_in_calls_and_logs_out() {
    let server = server()
        .workers(2)
        .service("who.py", WHO)
        .enmasse(
            "
security:
  - {name: ann.jwt, type: jwt, username: ann, password: s3cret, ttl: 600}
  - {name: bob.jwt, type: jwt, username: bob, password: other}
channel_rest:
  - {name: who, url_path: /who, service: who.who, data_format: json, security_name: ann.jwt}
",
        )
        .start();
    let response = log_in(&server, "ann", "s3cret").expect(200);
    let body = response.json();
    let token = body["response"]["token"].as_str().unwrap();
    assert_eq!(body, json!({"response": {"token": token}}));
    assert_eq!(response.header("authorization"), Some(token));

    let who = json!({"id": null, "name": "ann.jwt", "type": "jwt", "username": "ann"});
    for _ in 0..4 {
        assert_eq!(send(&server, with_token(token), 200).json(), who);
    }
    // a token of somebody else, none, and what only looks like one
    let bob = log_in(&server, "bob", "other").expect(200).json();
    let bob = bob["response"]["token"].as_str().unwrap();
    // in the middle: not all bits of the last character count
    let middle = token.len() / 2;
    let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
    let flipped = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
    for request in [
        with_token(bob),
        with_token(&flipped),
        with_token(""),
        Request::new("GET", "/who"),
        Request::new("GET", "/who").basic("ann", "s3cret"),
    ] {
        let response = send(&server, request, 401);
        assert_eq!(response.header("www-authenticate"), Some("JWT"));
        assert_eq!(details(&response), format!("Unauthorized; cid={}", response.cid()));
    }

    let log_out = |token: &str| {
        let request = Request::new("POST", "/zato/jwt/log-out").header("Authorization", &format!("Bearer {token}"));
        server.send(&request)
    };
    assert_eq!(log_out(token).expect(200).json(), json!({}));
    for response in [log_out(token), server.post("/zato/jwt/log-out", "")] {
        assert!(response.expect(400).json()["result"].is_string());
    }
    send(&server, with_token(token), 401);

    // a new password ends what the old one began
    let response = log_in(&server, "ann", "s3cret").expect(200).json();
    let token = response["response"]["token"].as_str().unwrap();
    send(&server, with_token(token), 200);
    let replaced = server.enmasse(
        &["--import", "--replace"],
        "security: [{name: ann.jwt, type: jwt, username: ann, password: n3w, ttl: 600}]",
    );
    assert_eq!(replaced.code, 0, "{}", replaced.stderr);
    send(&server, with_token(token), 401);
    log_in(&server, "ann", "n3w").expect(200);
    let log = server.log();
    assert!(!log.contains("s3cret") && !log.contains(token));
}

#[test]
fn wrong_log_ins_are_refused_and_slowed_down() {
    let server = server()
        .enmasse("security: [{name: ann.jwt, type: jwt, username: ann, password: s3cret}, {name: new, type: jwt, username: x}]")
        .start();
    server.get("/zato/jwt/log-in").expect(405);
    for body in [
        "",
        "[]",
        r#"{"username": "ann"}"#,
        r#"{"username": "ann", "password": 1}"#,
    ] {
        server.post("/zato/jwt/log-in", body).expect(400);
    }
    log_in(&server, "x", "").expect(401);
    for _ in 0..10 {
        let response = log_in(&server, "ann", "guess").expect(401);
        assert_eq!(response.header("www-authenticate"), Some("jwt"));
        assert_eq!(details(&response), format!("Unauthorized; cid={}", response.cid()));
    }
    let response = log_in(&server, "ann", "s3cret").expect(429);
    assert!(response.header("retry-after").unwrap().parse::<u32>().unwrap() <= 60);
}

#[test]
fn who_calls_too_often_is_told_when_to_come_back() {
    let server = server()
        .service("who.py", WHO)
        .config("[http]\ntrusted_proxies = [\"127.0.0.1\"]\n")
        .enmasse(
            "
security:
  - {name: shop, type: basic_auth, username: ann, password: p, is_rate_limit_active: true, rate_limit_def: '*=2/d'}
channel_rest:
  - name: lines
    url_path: /lines
    service: who.who
    data_format: json
    is_rate_limit_active: true
    rate_limit_type: APPROXIMATE
    rate_limit_def: |-
      10.0.0.1=*
      10.0.0.0/8=2/d
  - {name: user, url_path: /user, service: who.who, data_format: json, security_name: shop}
  - {name: free, url_path: /free, service: who.who, data_format: json}
  - name: unlimited
    url_path: /off
    service: who.who
    is_rate_limit_active: false
    rate_limit_def: [{from: 10.0.0.1, limit: 1, unit: day}]
service:
  - {name: who.who, is_rate_limit_active: true, rate_limit_def: '203.0.113.0/24=1/d'}
",
        )
        .start();
    let lines = |target: &str, address: &str, status| {
        let request = Request::new("GET", target).header("X-Forwarded-For", address);
        send(&server, request, status)
    };
    // the service's own line is only for others: whoever calls from elsewhere is refused by it, last of all
    assert_eq!(details(&lines("/free", "10.0.0.1", 403)), "Error 403 Forbidden");
    let unlimited = server.enmasse(
        &["--import", "--replace"],
        "service_limits: [{name: who.who, is_active: false, rate_limit_def: '*=*'}]",
    );
    assert_eq!(unlimited.code, 0, "{}", unlimited.stderr);

    // everybody of the network together
    lines("/lines", "10.0.0.2", 200);
    lines("/lines", "10.0.0.3", 200);
    let response = lines("/lines", "10.0.0.4", 429);
    assert_eq!(
        response.json(),
        json!({"result": "Error", "cid": response.cid(), "details": "Error 429 Too Many Requests"})
    );
    assert!(response.header("retry-after").unwrap().ends_with("00:00:00 GMT"));
    for _ in 0..4 {
        lines("/lines", "10.0.0.1", 200);
        lines("/off", "10.0.0.1", 200);
    }
    assert_eq!(details(&lines("/lines", "192.168.0.1", 403)), "Error 403 Forbidden");

    // wrong credentials do not count
    let user = |password| Request::new("GET", "/user").basic("ann", password);
    for _ in 0..4 {
        send(&server, user("wrong"), 401);
    }
    send(&server, user("p"), 200);
    send(&server, user("p"), 200);
    // a change of something else does not begin to count anew
    server.import("security: [{name: other, type: apikey, password: k}]");
    let response = send(&server, user("p"), 429);
    assert_eq!(response.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(response.header("x-ratelimit-remaining"), Some("0"));
}

#[test]
fn any_member_of_a_group_may_come_in() {
    let server = server()
        .service("who.py", WHO)
        .enmasse(
            "
security:
  - {name: ann, type: basic_auth, username: ann, password: p1}
  - {name: bob, type: basic_auth, username: bob, password: p2}
  - {name: key, type: apikey, password: k1, username: partner}
  - {name: stranger, type: basic_auth, username: eve, password: p3}
security_groups:
  - {name: staff, members: [ann, bob]}
  - {name: partners, members: [key]}
channel_rest:
  - {name: who, url_path: /who, service: who.who, data_format: json, security_groups: [staff, partners]}
",
        )
        .start();
    let who = || Request::new("GET", "/who");
    let bob = send(&server, who().basic("bob", "p2"), 200).json();
    assert_eq!(
        bob,
        json!({"id": null, "name": "bob", "type": "basic_auth", "username": "bob"})
    );
    let key = send(&server, who().header("X-API-Key", "k1"), 200).json();
    assert_eq!((&key["name"], &key["username"]), (&json!("key"), &json!("partner")));
    for request in [
        who(),
        who().basic("ann", "p2"),
        who().basic("eve", "p3"),
        who().header("X-API-Key", "p1"),
    ] {
        assert_eq!(
            details(&send(&server, request, 403)),
            "You are not allowed to access this resource"
        );
    }
    send(&server, who().basic("ann", "p1").header("X-API-Key", "k1"), 400);
    // a member cannot be taken away behind the group's back
    let unknown = server.import("channel_rest: [{name: b, url_path: /b, service: who.who, security_groups: [nobody]}]");
    assert_ne!(unknown.code, 0);
    let text = unknown.stderr + &unknown.stdout;
    assert!(text.contains("nobody"), "{text}");
}

#[test]
fn roles_say_who_may_do_what() {
    let server = server()
        .service("who.py", WHO)
        .enmasse(
            "
security:
  - {name: clerk, type: basic_auth, username: clerk, password: p1}
  - {name: boss, type: basic_auth, username: boss, password: p2}
  - {name: key, type: apikey, password: k1}
rbac_role:
  - {name: Clerk, parent_name: Root}
  - {name: Boss, parent: Clerk}
rbac_role_permission:
  - {name: a, role_name: Clerk, service_name: who.who, perm_name: Read}
  - {name: b, role: Boss, service: who.who, permission: Delete}
rbac_client_role:
  - {name: c, client_def: 'sec_def:::basic_auth:::clerk', role_name: Clerk}
  - {name: d, client_def: boss, role: Boss}
channel_rest:
  - {name: one, url_path: /one, service: who.who, data_format: json, security_name: clerk, has_rbac: true}
  - {name: any, url_path: /any, service: who.who, data_format: json, sec_use_rbac: true}
",
        )
        .start();
    let request =
        |method: &str, path: &str, name: &str, password: &str| Request::new(method, path).basic(name, password);
    send(&server, request("GET", "/one", "clerk", "p1"), 200);
    send(&server, request("GET", "/one", "boss", "p2"), 401);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let response = send(&server, request(method, "/one", "clerk", "p1"), 403);
        assert_eq!(details(&response), "You are not allowed to access this URL\n");
    }
    let who = send(&server, request("GET", "/any", "boss", "p2"), 200).json();
    assert_eq!((&who["name"], &who["type"]), (&json!("boss"), &json!("basic_auth")));
    assert_eq!(
        send(&server, request("GET", "/any", "clerk", "p1"), 200).json()["name"],
        "clerk"
    );
    send(&server, request("DELETE", "/any", "boss", "p2"), 200);
    for request in [
        request("DELETE", "/any", "clerk", "p1"),
        request("GET", "/any", "clerk", "p2"),
        Request::new("GET", "/any").header("X-API-Key", "k1"),
        Request::new("GET", "/any"),
    ] {
        let response = send(&server, request, 401);
        assert_eq!(details(&response), "You are not allowed to access this resource");
        assert_eq!(response.header("www-authenticate"), Some("zato"));
    }
}

#[test]
fn the_ping_with_credentials() {
    let server = server().start();
    let ping = || Request::new("GET", "/zato/ping.plain_http.basic_auth");
    send(&server, ping(), 401);
    server.import(
        "security: [{name: zato.ping.plain_http.basic_auth, type: basic_auth, username: zato.ping.plain_http.basic_auth,
                     realm: Zato ping, password: p}]",
    );
    let response = send(&server, ping(), 401);
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"Zato ping\""));
    let response = send(&server, ping().basic("zato.ping.plain_http.basic_auth", "p"), 200).json();
    assert_eq!(
        (&response["pong"], &response["zato_env"]["result"]),
        (&json!("zato"), &json!("ZATO_OK"))
    );
}

#[test]
fn the_pings_over_soap() {
    let server = server().start();
    assert_eq!(server.get("/zato-lb-alive").expect(200).json()["pong"], "zato");
    let basic = "zato.ping.soap.basic_auth";
    let wss = "zato.ping.soap.wss.clear_text";
    let envelope = |header: &str| {
        format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Header>{header}</s:Header><s:Body><ping/></s:Body></s:Envelope>"
        )
    };
    let ping = |name: &str, header: &str| Request::new("POST", &format!("/zato/{}", &name[5..])).body(envelope(header));
    for name in [basic, wss] {
        assert!(send(&server, ping(name, ""), 401).text().contains("SOAP-ENV:Fault"));
    }
    server.import(&format!(
        "security: [{{name: {basic}, type: basic_auth, username: {basic}, realm: Zato ping, password: p}},
                    {{name: {wss}, type: wss, username: {wss}, password: p, password_type: clear_text}}]"
    ));
    let namespace = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
    let token = format!(
        "<w:Security xmlns:w='{namespace}'><w:UsernameToken><w:Username>{wss}</w:Username><w:Password>p</w:Password></w:UsernameToken></w:Security>"
    );
    for request in [ping(basic, "").basic(basic, "p"), ping(wss, &token)] {
        let response = send(&server, request, 200);
        assert!(response.header("content-type").unwrap().starts_with("text/xml"));
        let text = response.text();
        assert!(
            text.starts_with("<soap:Envelope") && text.contains("<zato_env><cid>"),
            "{text}"
        );
        assert!(text.contains("<item><pong>zato</pong></item>"), "{text}");
    }
    send(&server, ping(basic, "").basic(basic, "wrong"), 401);
}
