//! Credentials in the message itself, in headers of their own, and in the client's certificate.

use std::time::{SystemTime, UNIX_EPOCH};

use busbar_testkit::provider::oauth_signature;
use busbar_testkit::{Request, TestServer};

use crate::server;

/// Tells who called, as text.
const WHO: &str = "
from zato.server.service import Service

class Who(Service):
    def handle(self):
        self.response.payload = '<who>{0.name},{0.type},{0.username}</who>'.format(self.channel.security)
";

const OBJECTS: &str = "
security:
  - {name: clear, type: wss, username: ann, password: s3cret, password_type: clear_text}
  - name: strict
    type: wss
    username: bob
    password: s3cret
    password_type: clear_text
    reject_empty_nonce_creat: true
    reject_stale_tokens: true
    reject_expiry_limit: 3600
    nonce_freshness_time: 3600
  - {name: account, type: tech_acc, password: p}
  - name: certificate
    type: tls_channel_sec
    username: shop
    value: |-
      subject_cn=shop
      issuer=CN=Shop CA
channel_soap:
  - {name: soap, url_path: /soap, service: who.who, sec_def: clear, transport: soap, data_format: xml}
channel_rest:
  - {name: xml, url_path: /xml, service: who.who, data_format: xml, security_name: strict}
  - {name: account, url_path: /account, service: who.who, security_name: account}
  - {name: tls, url_path: /tls, service: who.who, security_name: certificate}
";

fn message(username: &str, password: &str, rest: &str) -> String {
    let namespace = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity";
    format!(
        "<soapenv:Envelope xmlns:soapenv='http://schemas.xmlsoap.org/soap/envelope/'><soapenv:Header>
         <wsse:Security xmlns:wsse='{namespace}-secext-1.0.xsd' xmlns:wsu='{namespace}-utility-1.0.xsd'><wsse:UsernameToken>
         <wsse:Username>{username}</wsse:Username>
         <wsse:Password Type='http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText'
         >{password}</wsse:Password>{rest}</wsse:UsernameToken></wsse:Security></soapenv:Header>
         <soapenv:Body><request/></soapenv:Body></soapenv:Envelope>"
    )
}

fn start() -> TestServer {
    server()
        .service("who.py", WHO)
        .config("[http]\ntrusted_proxies = [\"127.0.0.1\"]\n")
        .enmasse(OBJECTS)
        .start()
}

#[test]
fn a_username_token_is_looked_for_in_the_message() {
    let server = start();
    let response = server.post("/soap", message("ann", "s3cret", "")).expect(200);
    assert!(response.text().contains("clear,wss,ann"), "{}", response.text());
    for body in [
        message("ann", "wrong", ""),
        message("bob", "s3cret", ""),
        "<a/>".to_owned(),
        String::new(),
    ] {
        let response = server.post("/soap", body).expect(401);
        assert_eq!(response.header("www-authenticate"), Some("zato-wss"));
        assert!(response.text().contains("Unauthorized"), "{}", response.text());
    }

    // no nonce; one from long ago
    let strict = |rest: &str| server.post("/xml", message("bob", "s3cret", rest));
    strict("").expect(401);
    let long_ago = "<wsse:Nonce>MQ==</wsse:Nonce><wsu:Created>2020-01-01T00:00:00Z</wsu:Created>";
    strict(long_ago).expect(401);
    assert!(!server.log().contains("s3cret"));
}

#[test]
fn a_nonce_is_good_once() {
    let server = start();
    server.enmasse(
        &["--import", "--replace"],
        "security: [{name: clear, type: wss, username: ann, password: s3cret, reject_empty_nonce_creat: true}]",
    );
    let send = |nonce: &str| {
        let rest = format!("<wsse:Nonce>{nonce}</wsse:Nonce><wsu:Created>2020-01-01T00:00:00Z</wsu:Created>");
        server.post("/soap", message("ann", "s3cret", &rest))
    };
    send("MQ==").expect(200);
    send("MQ==").expect(401);
    send("Mg==").expect(200);
}

#[test]
fn accounts_and_certificates_come_in_headers() {
    let server = start();
    let account = |user: &str, password: &str| {
        let request = Request::new("GET", "/account").header("X-Zato-User", user);
        server.send(&request.header("X-Zato-Password", password))
    };
    assert_eq!(
        account("account", "p").expect(200).text(),
        "<who>account,tech_acc,account</who>"
    );
    for (user, password) in [("account", "q"), ("other", "p"), ("", "")] {
        let response = account(user, password).expect(401);
        assert_eq!(response.header("www-authenticate"), Some("zato-tech-acc"));
    }

    // a proxy that is trusted says what its client presented
    let tls = |name: &str| {
        let request = Request::new("GET", "/tls").header("X-Zato-TLS-Subject-CN", name);
        server.send(&request.header("X-Zato-TLS-Issuer", "CN=Shop CA"))
    };
    assert_eq!(
        tls("shop").expect(200).text(),
        "<who>certificate,tls_channel_sec,shop</who>"
    );
    let response = tls("other").expect(401);
    assert_eq!(response.header("www-authenticate"), Some("zato-tls-channel-sec"));
    let missing = server.import("security: [{name: none, type: tls_channel_sec, value: ''}]");
    assert!(missing.stderr.contains("value"), "{}", missing.stderr);
}

#[test]
fn names_and_passwords_are_found_by_xpath() {
    let server = server()
        .service("who.py", WHO)
        .enmasse(
            "
def_sec:
  - {name: login, type: xpath_sec, username: ann, password: s3cret, username_expr: '//s:login/user', password_expr: '//login/@password'}
channel_plain_http:
  - {name: xml, url_path: /xml, service: who.who, data_format: xml, sec_def: login}
",
        )
        .start();
    let send = |body: &str| server.send(&Request::new("POST", "/xml").body(body));
    let right = "<order><login password='s3cret'><user>ann</user></login></order>";
    assert_eq!(send(right).expect(200).text(), "<who>login,xpath_sec,ann</who>");
    for body in [
        &right.replace("s3cret", "s3"),
        &right.replace("ann", "bob"),
        "<order/>",
        "{}",
        "",
    ] {
        let refused = send(body).expect(401);
        assert_eq!(refused.header("www-authenticate"), Some("zato-xpath"));
    }
}

#[test]
fn requests_are_signed_as_oauth_1_has_it() {
    let server = server()
        .service("who.py", WHO)
        .enmasse(
            "
def_sec:
  - {name: signed, type: oauth, username: key, password: s3cret, proto_version: oauth_version_10, sig_method: HMAC-SHA1, max_nonce_log: 500}
channel_plain_http:
  - {name: signed, url_path: /signed, service: who.who, sec_def: signed}
",
        )
        .start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let header = |nonce: &str, base_end: &str| {
        let base = format!(
            "POST&http%3A%2F%2Flocalhost%2Fsigned&{base_end}oauth_consumer_key%3Dkey%26oauth_nonce%3D{nonce}%26oauth_signature_method%3DHMAC-SHA1%26\
             oauth_timestamp%3D{now}%26x%3D1"
        );
        let signature = oauth_signature("s3cret&", &base)
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        format!(
            "OAuth realm=\"x\", oauth_consumer_key=\"key\", oauth_nonce=\"{nonce}\", oauth_signature_method=\"HMAC-SHA1\", \
             oauth_timestamp=\"{now}\", oauth_signature=\"{signature}\""
        )
    };
    let send = |authorization: &str, target: &str| {
        let request = Request::new("POST", target).header("Authorization", authorization);
        server.send(&request)
    };
    let first = header("1", "");
    assert_eq!(
        send(&first, "/signed?x=1").expect(200).text(),
        "<who>signed,oauth,key</who>"
    );
    // fields of forms are signed too
    let form = Request::new("POST", "/signed?x=1").header("Content-Type", "application/x-www-form-urlencoded");
    let form = form
        .body("a=b+c")
        .header("Authorization", &header("2", "a%3Db%2520c%26"));
    server.send(&form).expect(200);
    for (response, what) in [
        (send(&first, "/signed?x=1"), "The OAuth signature is not right"),
        (
            send(&header("3", ""), "/signed?x=2"),
            "The OAuth signature is not right",
        ),
        (
            send("OAuth oauth_nonce=\"1\"", "/signed"),
            "parameters are not all there",
        ),
        (send("Basic YTpi", "/signed"), "No OAuth header"),
        (server.post("/signed", ""), "No OAuth header"),
    ] {
        let response = response.expect(401);
        assert_eq!(response.header("www-authenticate"), Some("OAuth"));
        assert!(response.text().contains(what), "{what}: {}", response.text());
    }
}

#[test]
fn bearer_tokens_of_3_2_go_by_the_name_of_oauth() {
    let server = server()
        .enmasse(
            "
security:
  - {name: tokens, type: oauth, username: me, password: null, auth_server_url: 'https://login.example.com/token', scopes: read, data_format: form,
     client_id_field: client_id, client_secret_field: client_secret, grant_type: client_credentials, extra_fields: null}
outgoing_rest:
  - {name: CRM, host: 'https://crm.example.com', security_name: tokens}
",
        )
        .start();
    let exported = server.enmasse(&["--export"], "").stdout;
    assert!(exported.contains("bearer_token"), "{exported}");
}
