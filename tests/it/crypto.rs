//! `self.crypto`, `self.server.encrypt`, and `/zato/crypto/`.

use std::os::unix::fs::PermissionsExt;

use busbar_testkit::process::kill;
use busbar_testkit::{Request, TestServer, wait_until};
use serde_json::{Value, json};

use crate::server;

const SERVICE: &str = "
from zato.server.service import Service
from zato.common.crypto.api import CryptoManager

class Encrypt(Service):
    def handle(self):
        self.response.payload = self.crypto.encrypt(self.request.payload)

class Decrypt(Service):
    def handle(self):
        self.response.payload = self.server.decrypt(self.request.payload)

class All(Service):
    def handle(self):
        crypto = self.crypto
        token = self.server.encrypt('zażółć')
        assert isinstance(token, str) and token.startswith('gAAAAA')
        assert crypto.decrypt(token) == crypto.decrypt(token.encode()) == 'zażółć'
        assert crypto.decrypt(crypto.encrypt(b'\\xff')) == b'\\xff'
        assert crypto.decrypt(crypto.encrypt('')) == ''
        for plain in 'hunter2', '', b'\\xff', None, 7:
            assert crypto.decrypt(plain) == plain
        for broken in token[:-6] + 'AAAA==', token[:20] + 'AAA' + token[23:]:
            try:
                crypto.decrypt(broken)
            except ValueError as e:
                assert 'key' in str(e), e
            else:
                raise AssertionError(broken)

        hashed = crypto.hash_secret('hunter2', 'zato.default')
        assert crypto.verify_hash('hunter2', hashed) and not crypto.verify_hash('hunter3', hashed, 'zato.default')

        assert len(CryptoManager.generate_key()) == 44
        assert isinstance(CryptoManager.generate_secret(), bytes) and isinstance(CryptoManager.generate_password(), bytes)
        assert isinstance(type(crypto).generate_password(to_str=True), str)
        for bits in 0, 1 << 30:
            try:
                CryptoManager.generate_secret(bits)
            except ValueError as e:
                assert 'bits' in str(e)
            else:
                raise AssertionError(bits)
        self.response.payload = 'fine'
";

#[test]
fn services_encrypt_hash_and_make_secrets() {
    let mut server = server()
        .service("my.py", SERVICE)
        .channel("/encrypt", "my.encrypt")
        .channel("/decrypt", "my.decrypt")
        .channel("/all", "my.all")
        .start();
    assert_eq!(server.get("/all").expect(200).text(), "fine");

    // only its owner reads the key, and it outlives workers and the server
    let key = server.directory().join("config/secret.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let token = server.post("/encrypt", "\"top secret\"").expect(200).text();
    let decrypted = |server: &TestServer| server.post("/decrypt", format!("\"{token}\"")).expect(200).text();
    assert_eq!(decrypted(&server), "top secret");
    let pid = server.worker_pids()[0];
    kill(pid);
    wait_until("another worker", || {
        server
            .worker_pids()
            .first()
            .is_some_and(|&other| other != pid)
            .then_some(())
    });
    assert_eq!(decrypted(&server), "top secret");
    server.stop();
    server.start();
    assert_eq!(decrypted(&server), "top secret");

    server.stop();
    std::fs::write(&key, "no key").unwrap();
    let output = server.run("start", &["--fg"]);
    assert!(
        output.code != 0 && output.stderr.contains("secret.key"),
        "{}",
        output.stderr
    );
}

#[test]
fn endpoints_are_for_pubapi() {
    let server = server().start();
    let ask = |path: &str, body: Value| {
        let request = Request::new("POST", &format!("/zato/crypto/{path}"));
        server.send(&request.basic("pubapi", server.password()).body(body.to_string()))
    };
    server
        .post("/zato/crypto/encrypt", r#"{"clear_text": "a"}"#)
        .expect(401);
    let encrypted = ask("encrypt", json!({"clear_text": "a"})).expect(200).json();
    assert_eq!(ask("decrypt", encrypted).expect(200).json(), json!({"clear_text": "a"}));
    ask("encrypt", json!({})).expect(400);
    let other = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    ask("decrypt", json!({"encrypted": other})).expect(400);

    let hashed = ask("hash-secret", json!({"clear_text": "a"})).expect(200).json();
    let verify = |given: &str, expected: &str| ask("verify-hash", json!({"given": given, "expected": expected}));
    let hash = hashed["hashed"].as_str().unwrap();
    assert_eq!(verify("a", hash).expect(200).json(), json!({"is_valid": true}));
    assert_eq!(verify("b", hash).expect(200).json(), json!({"is_valid": false}));
    verify("b", "a").expect(400);

    let secret = ask("generate-secret", json!({})).expect(200).json();
    assert_eq!(secret["secret"].as_str().unwrap().len(), 44);
    let password = ask("generate-password", json!({"bits": 48})).expect(200).json();
    assert_eq!(password["password"].as_str().unwrap().len(), 8);
    ask("generate-password", json!({"bits": 1})).expect(400);
    ask("generate-password", json!({"bits": -1})).expect(400);
}
