//! Bearer tokens on channels: an identity provider signs them, changes its keys, and goes away.

use std::time::Duration;

use busbar_testkit::provider::{mac_token, unsigned_token};
use busbar_testkit::{Answer, Provider, Request, Response, SigningKey, TestServer, wait_until};
use serde_json::{Value, json};

use crate::server;

const WHO: &str = "
from zato.server.service import Service

class Who(Service):
    def handle(self):
        security = self.channel.security
        self.logger.info('who was called')
        self.response.payload = {'who': security.to_dict(), 'claims': security.claims}
";

fn claims(changed: Value) -> Value {
    let mut claims = json!({"sub": "ann", "iss": "https://login/", "aud": ["shop", "api"], "exp": 4_000_000_000_u64, "scope": "read"});
    claims
        .as_object_mut()
        .unwrap()
        .extend(changed.as_object().unwrap().clone());
    claims
}

fn send(server: &TestServer, path: &str, token: &str) -> Response {
    server.send(&Request::new("GET", path).header("Authorization", &format!("Bearer {token}")))
}

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").unwrap_or_default()
}

#[test]
fn signed_tokens_are_checked_by_the_providers_keys() {
    let (one, two) = (SigningKey::new("1", "RS256"), SigningKey::new("2", "ES256"));
    let provider = Provider::new(&[&one]);
    let objects = json!({
        "security": [{"name": "staff", "type": "bearer_token", "jwks_url": provider.keys_url(), "jwks_refresh_interval": 1,
            "issuer": "https://login/", "audience": "api", "required_scopes": "read"}],
        "channel_rest": [{"name": "who", "url_path": "/who", "service": "who.who", "data_format": "json", "security_name": "staff"}],
    });
    let server = server().service("who.py", WHO).enmasse(&objects.to_string()).start();

    let right = one.sign(&claims(json!({"roles": ["clerk"]})));
    let seen = send(&server, "/who", &right).expect(200).json();
    assert_eq!(
        seen,
        json!({"who": {"id": null, "name": "staff", "type": "oauth", "username": "ann"}, "claims": claims(json!({"roles": ["clerk"]}))})
    );
    assert_eq!(provider.received().len(), 1);

    let none = server.get("/who").expect(401);
    assert_eq!(challenge(&none), "Bearer realm=\"busbar\"");
    assert_eq!(none.json()["details"], format!("Unauthorized; cid={}", none.cid()));
    let header = json!({"alg": "HS256", "kid": "1"});
    for (token, what) in [
        (
            one.sign(&claims(json!({"exp": 1_000_000_000}))),
            "The token has expired",
        ),
        (
            one.sign(&claims(json!({"aud": "other"}))),
            "The token is for another audience",
        ),
        (
            one.sign(&claims(json!({"iss": "https://evil/"}))),
            "The token is from another issuer",
        ),
        (unsigned_token(&claims(json!({}))), "The token cannot be read"),
        (
            mac_token(&header, &claims(json!({})), one.jwk().to_string().as_bytes()),
            "The token cannot be read",
        ),
        (
            SigningKey::new("1", "ES256").sign(&claims(json!({}))),
            "The token's signature is not right",
        ),
    ] {
        let response = send(&server, "/who", &token).expect(401);
        assert_eq!(response.json()["result"], "Error");
        assert!(
            challenge(&response).ends_with(&format!(", error=\"invalid_token\", error_description=\"{what}\"")),
            "{what}"
        );
    }
    let response = send(&server, "/who", &one.sign(&claims(json!({"scope": "write"})))).expect(403);
    assert_eq!(
        challenge(&response),
        "Bearer realm=\"busbar\", error=\"insufficient_scope\", scope=\"read\""
    );

    // keys change
    provider.show(&[&two]);
    let rotated = two.sign(&claims(json!({})));
    wait_until("the new key to be known", || {
        (send(&server, "/who", &rotated).status == 200).then_some(())
    });
    send(&server, "/who", &right).expect(401);

    // the provider goes away: what is known stays good, what is not cannot be told
    provider.fail(Some(Answer::Close));
    send(&server, "/who", &rotated).expect(200);
    let unknown = SigningKey::new("3", "ES256").sign(&claims(json!({})));
    wait_until("the provider to be missed", || {
        (send(&server, "/who", &unknown).status == 503).then_some(())
    });
    send(&server, "/who", &rotated).expect(200);
    let log = server.log();
    assert!(!log.contains(&rotated) && !log.contains(&right));
    assert!(log.contains("cannot look up the keys of security.bearer_token `staff`"));
}

#[test]
fn providers_are_asked_about_tokens() {
    let provider = Provider::new(&[]);
    provider.say(
        "good",
        json!({"active": true, "sub": "ann", "aud": "api", "scope": "read"}),
    );
    provider.say("other", json!({"active": true, "sub": "bob", "aud": "shop"}));
    let objects = json!({
        "security": [{"name": "staff", "type": "bearer_token", "introspection_url": provider.introspection_url(),
            "username": "me", "password": "s3:cret", "audience": "api"}],
        "channel_rest": [
            {"name": "who", "url_path": "/who", "service": "who.who", "data_format": "json", "security_name": "staff"},
            {"name": "xml", "url_path": "/xml", "service": "who.who", "data_format": "xml", "security_name": "staff"},
        ],
    });
    let server = server().service("who.py", WHO).enmasse(&objects.to_string()).start();

    // a provider that is down at first, or slow, is nobody's fault
    for answer in [
        Answer::Close,
        Answer::respond(500, &[], b"good"),
        Answer::text("application/json", "no"),
    ] {
        provider.fail(Some(answer));
        let response = send(&server, "/who", "good").expect(503);
        assert_eq!((response.header("retry-after"), challenge(&response)), (Some("5"), ""));
    }
    provider.fail(Some(Answer::After(
        Duration::from_millis(300),
        Box::new(Answer::json(&json!({"active": false}))),
    )));
    send(&server, "/who", "slow").expect(401);
    provider.fail(None);

    let before = provider.received().len();
    for _ in 0..3 {
        let seen = send(&server, "/who", "good").expect(200).json();
        assert_eq!(
            (&seen["who"]["username"], &seen["claims"]["scope"]),
            (&json!("ann"), &json!("read"))
        );
    }
    assert_eq!(provider.received().len(), before + 1);
    assert_eq!(
        provider.received()[before].text(),
        "token=good&token_type_hint=access_token"
    );
    assert!(challenge(&send(&server, "/who", "other").expect(401)).contains("another audience"));
    let refused = send(&server, "/xml", "unknown").expect(401);
    assert!(challenge(&refused).contains("error=\"invalid_token\""));
    assert!(
        refused.header("content-type").unwrap().starts_with("application/xml"),
        "{refused:?}"
    );
    let log = server.log();
    assert_eq!(log.matches("who was called").count(), 3);
    assert!(!log.contains("s3:cret") && !log.contains("s3%3Acret"));
}

#[test]
fn definitions_that_cannot_check_are_told_at_once() {
    let server = server().service("who.py", WHO).start();
    let import = |security: Value| {
        let channel = json!({"name": "who", "url_path": "/who", "service": "who.who", "security_name": "staff"});
        server.enmasse(
            &["--import"],
            &json!({"security": [security], "channel_rest": [channel]}).to_string(),
        )
    };
    let staff = |fields: Value| {
        let mut staff = json!({"name": "staff", "type": "bearer_token"});
        staff
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        staff
    };
    for (security, expected) in [
        (
            staff(json!({"username": "me", "auth_server_url": "https://login/token"})),
            "does not say how those of callers are checked",
        ),
        (
            staff(json!({"jwks": {"keys": []}})),
            "have none that signatures can be checked with",
        ),
        (staff(json!({"jwks_path": "/nonexistent/keys"})), "/nonexistent/keys"),
        (
            staff(
                json!({"jwks_url": "https://login/keys", "introspection_url": "https://login/ask", "username": "me"}),
            ),
            "in one way",
        ),
    ] {
        let output = import(security);
        assert!(
            output.code != 0 && format!("{}{}", output.stdout, output.stderr).contains(expected),
            "{expected}: {output:?}"
        );
    }
    server.get("/who").expect(404);
}
