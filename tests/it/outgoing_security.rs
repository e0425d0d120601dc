//! Credentials of outgoing connections other than headers: WS-Security in envelopes, and lines that are logged in with NTLM.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_testkit::{Answer, Backend};
use serde_json::json;

use crate::server;

const SERVICES: &str = "
from xml.sax.saxutils import escape
from zato.server.service import Service

class Who(Service):
    def handle(self):
        who = self.channel.security
        self.response.payload = '<who>%s,%s</who>' % (who.name, escape(who.username))

class Call(Service):
    def handle(self):
        envelope = '<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header><h/></s:Header><s:Body><a/></s:Body></s:Envelope>'
        seen = []
        for name in 'Clear', 'Digest':
            conn = self.outgoing.soap[name].conn
            seen += [str(conn.send(self.cid, body).data) for body in ('<a/>', envelope)]
        assert self.outgoing.soap['Wrong'].conn.send(self.cid, '<a/>').status_code == 401
        self.response.payload = seen

class Ntlm(Service):
    def handle(self):
        conn = self.outgoing.rest['Files'].conn
        self.response.payload = [conn.post(self.cid, 'one').text, conn.post(self.cid, 'two').text, conn.get(self.cid).text]
";

/// A server that calls itself: its own SOAP channels say whether its tokens are right.
#[test]
fn envelopes_carry_tokens() {
    let server = server().service("calls.py", SERVICES).start();
    let definition = |name: &str, form: &str, strict: bool| {
        json!({"name": name, "type": "wss", "username": "ann<", "password": "s&3", "password_type": form,
            "reject_empty_nonce_creat": strict, "reject_stale_tokens": strict})
    };
    let channel = |name: &str, security: &str| {
        json!({"name": name, "url_path": format!("/{name}"), "service": "calls.who", "transport": "soap", "data_format": "xml",
            "security_name": security})
    };
    let host = format!("http://{}", server.address());
    let outgoing = |name: &str, channel: &str, security: &str| json!({"name": name, "host": host, "url_path": format!("/{channel}"), "security_name": security, "data_format": "xml"});
    let objects = json!({
        "security": [definition("clear", "clear_text", true), definition("digest", "digest", true)],
        "channel_soap": [channel("clear-in", "clear"), channel("digest-in", "digest")],
        "outgoing_soap": [
            outgoing("Clear", "clear-in", "clear"),
            outgoing("Digest", "digest-in", "digest"),
            outgoing("Wrong", "digest-in", "clear"),
        ],
    });
    assert_eq!(server.import(&objects.to_string()).code, 0);
    let seen = server.invoke("calls.call", "").expect(200).json();
    assert_eq!(seen, json!(["clear,ann<", "clear,ann<", "digest,ann<", "digest,ann<"]));
    assert!(!server.log().contains("s&3"));

    // what no worker could make a connection of is refused
    let rest = json!({"outgoing_rest": [outgoing("Rest", "clear-in", "clear")]});
    let refused = server.import(&rest.to_string());
    assert_eq!(refused.code, 15, "{}", refused.stderr);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("field `security`") && said.contains("`Rest`"), "{said}");
}

/// What the n-th field of the last message of a log-in says.
fn field(message: &[u8], index: usize) -> String {
    let at = 12 + 8 * index;
    let number = |at: usize| usize::from(u16::from_le_bytes([message[at], message[at + 1]]));
    let text = &message[number(at + 4)..][..number(at)];
    let units: Vec<u16> = text
        .chunks(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16(&units).unwrap()
}

#[test]
fn lines_are_logged_in() {
    let backend = Backend::new(|request| {
        let said = request.header("authorization").unwrap_or_default();
        let message = said.strip_prefix("NTLM ").map(|text| STANDARD.decode(text).unwrap());
        match message {
            Some(message) if message[8] == 1 => {
                let mut challenge = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x80\0".to_vec();
                challenge.extend([7; 8]);
                challenge.extend([0; 8]);
                challenge.extend([4, 0, 4, 0, 48, 0, 0, 0, 0, 0, 0, 0]);
                let header = format!("NTLM {}", STANDARD.encode(challenge));
                Answer::respond(401, &[("WWW-Authenticate", &header)], b"")
            }
            Some(message) => Answer::text("text/plain", &format!("{}/{}", field(&message, 2), field(&message, 3))),
            None => Answer::text("text/plain", &format!("known {}", request.text())),
        }
    });
    let server = server()
        .workers(1)
        .service("calls.py", SERVICES)
        .enmasse(&format!(
            "
security:
  - {{name: account, type: ntlm, username: 'CORP\\ann', password: s3cret}}
outgoing_rest:
  - {{name: Files, host: '{}', url_path: /, security_name: account}}
",
            backend.url()
        ))
        .start();
    let seen = server.invoke("calls.ntlm", "").expect(200).json();
    assert_eq!(seen, json!(["CORP/ann", "known two", "known "]));
    let received = backend.received();
    assert_eq!(
        received.iter().map(|it| it.connection).max(),
        Some(0),
        "one line did it all"
    );
    let bodies: Vec<String> = received.iter().map(|it| it.text()).collect();
    assert_eq!(bodies, ["", "one", "two", ""], "nothing is sent twice");
    let exported = server.run("enmasse", &["--export"]);
    assert!(
        exported.stdout.contains("ntlm") && !exported.stdout.contains("s3cret"),
        "{exported:?}"
    );
    assert!(!server.log().contains("s3cret"));
}

#[test]
fn authorities_are_objects_too() {
    let server = server().start();
    let import = |yaml: &str| server.import(yaml);
    let refused = import("outgoing_rest: [{name: A, host: 'https://a', tls_ca_cert: Own CA}]");
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("Own CA"), "{refused:?}");
    let refused = import("tls_ca_cert: [{name: Own CA, value: '-----BEGIN CERTIFICATE-----'}]");
    assert!(refused.code != 0 && refused.stderr.contains("value"), "{refused:?}");
    let certificate = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=ca",
        ])
        .args(["-keyout", "/dev/null"])
        .output()
        .unwrap();
    let objects = json!({
        "tls_ca_cert": [{"name": "Own CA", "value": String::from_utf8(certificate.stdout).unwrap()}],
        "outgoing_rest": [{"name": "A", "host": "https://a", "sec_tls_ca_cert_name": "Own CA"}],
    });
    let imported = import(&objects.to_string());
    assert_eq!(imported.code, 0, "{imported:?}");
    let exported = server.run("enmasse", &["--export"]);
    assert!(exported.stdout.contains("tls_ca_cert: Own CA"), "{exported:?}");
}
