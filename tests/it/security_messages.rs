//! Credentials in the message itself, in headers of their own, and in the client's certificate.

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
