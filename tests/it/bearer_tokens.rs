//! Bearer tokens that outgoing connections send, and `self.security`.

use std::sync::atomic::{AtomicUsize, Ordering};

use busbar_testkit::{Answer, Backend};
use serde_json::{Value, json};

use crate::server;

const SERVICES: &str = "
from zato.server.service import RESTAdapter, Service

class Call(Service):
    def handle(self):
        crm, open = self.rest['CRM'], self.rest['Open']
        seen = [crm.get().text, crm.post('x').text, crm.get(headers={'authorization': 'mine'}).text]
        seen.append(self.security.get_bearer_token_by_name('Tokens'))
        seen.append(self.security.get_bearer_token_by_id('Tokens', 'other'))
        seen.append(open.rest_call(method='GET', sec_def_name='Tokens', auth_scopes='other'))
        seen.append(crm.rest_call(method='GET', auth_scopes='other'))
        seen.append(open.rest_call(method='GET', sec_def_name='Tokens', headers={'authorization': 'mine'}))
        seen.append(open.rest_call(method='GET'))
        self.response.payload = seen

class Adapter(RESTAdapter):
    conn_name = 'Open'
    def get_sec_def_name(self):
        return 'Tokens'
    def get_auth_scopes(self):
        return 'other'

class Refused(Service):
    def handle(self):
        strict = self.rest['Strict']
        self.response.payload = [strict.get().text, strict.rest_call(method='GET', auth_scopes='other'), self.rest['CRM'].get().text]

class Fails(Service):
    def handle(self):
        from zato.common.exception import ConnectionException, Inactive, ZatoException
        token = self.security.get_bearer_token_by_name
        rest_call = self.rest['Open'].rest_call
        for call, expected in (
            (lambda: token('Wrong'), ZatoException),
            (lambda: self.rest['Wrong'].get(), ZatoException),
            (lambda: rest_call(sec_def_name='Wrong'), ZatoException),
            (lambda: token('Gone'), ConnectionException),
            (lambda: token('Off'), Inactive),
            (lambda: token('No'), KeyError),
            (lambda: rest_call(auth_scopes='a'), ValueError),
        ):
            try: call()
            except expected as e: assert 'hunter' not in str(e), e
            else: assert False, expected
        token('Wrong')
";

#[test]
fn tokens_are_sent_replaced_and_kept_secret() {
    let given = AtomicUsize::new(0);
    let login = Backend::new(move |request| {
        let form = request.text();
        if !form.contains("client_secret=hunter2") {
            return Answer::respond(401, &[], format!("wrong: {form}").as_bytes());
        }
        let kind = if form.contains("scope=other") { "other" } else { "own" };
        let number = given.fetch_add(1, Ordering::SeqCst);
        Answer::json(&json!({"access_token": format!("{kind}-{number}"), "expires_in": 3600}))
    });
    let crm = Backend::new(|request| {
        let sent = request.header("authorization").unwrap_or("none");
        // the first tokens are withdrawn
        if request.target == "/strict" && matches!(sent, "Bearer own-0" | "Bearer other-1") {
            return Answer::respond(401, &[], b"");
        }
        Answer::text("text/plain", sent)
    });
    let gone = busbar_testkit::backend::Refusing::new();
    let definition = |name: &str, password: &str, host: &str| {
        json!({"name": name, "type": "bearer_token", "username": "me", "password": password, "scopes": "a\nb",
            "auth_server_url": format!("{host}/token"), "extra_fields": "audience=crm", "is_active": name != "Off"})
    };
    let connection = |name: &str, security: Option<&str>| json!({"name": name, "host": crm.url(), "url_path": if name == "Strict" { "/strict" } else { "/" }, "security_name": security});
    let objects = json!({
        "security": [
            definition("Tokens", "hunter2", &login.url()), definition("Wrong", "hunter3", &login.url()),
            definition("Gone", "hunter2", &gone.url()), definition("Off", "hunter2", &login.url()),
        ],
        "outgoing_rest": [connection("CRM", Some("Tokens")), connection("Wrong", Some("Wrong")), connection("Strict", Some("Tokens")), connection("Open", None)],
    });
    let server = server()
        .service("call.py", SERVICES)
        .enmasse(&objects.to_string())
        .start();

    let seen = server.invoke("call.call", "").expect(200).json();
    let seen: Vec<&str> = seen.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(
        seen,
        [
            "Bearer own-0",
            "Bearer own-0",
            "mine",
            "own-0",
            "other-1",
            "Bearer other-1",
            "Bearer other-1",
            "mine",
            "none"
        ]
    );
    assert_eq!(server.invoke("call.adapter", "").expect(200).text(), "Bearer other-1");
    let forms: Vec<String> = login
        .received()
        .iter()
        .map(busbar_testkit::backend::Received::text)
        .collect();
    let form = |scope: &str| {
        format!("grant_type=client_credentials&client_id=me&client_secret=hunter2&scope={scope}&audience=crm")
    };
    assert_eq!(forms, [form("a+b"), form("other")]);

    let renewed = json!(["Bearer own-2", "Bearer other-3", "Bearer own-2"]);
    assert_eq!(server.invoke("call.refused", "").expect(200).json(), renewed);

    server.invoke("call.fails", "").expect(500);
    let log = server.wait_log(&["no token of security.bearer_token `Wrong`: the authorization server answered 401"]);
    for secret in ["hunter", "own-0", "other-1"] {
        assert!(!log.contains(secret), "`{secret}` is in the log");
    }
}
