//! TLS.

use std::io::Write;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, Issuer, KeyPair, generate_simple_self_signed};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;

use super::*;
use crate::http::client_cert::SecurityTlsKeyCert;

/// A server with a certificate of its own for `name`, and that certificate in PEM.
fn server(name: &str) -> (Server, String) {
    server_for(name, Arc::new(NoClientAuth))
}

/// The same, for clients whose certificates this takes.
fn server_for(name: &str, clients: Arc<dyn ClientCertVerifier>) -> (Server, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = Server::raw(move |_, stream| {
        let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut reader = BufReader::new(StreamOwned::new(tls, stream));
        while read_request(&mut reader).is_some() {
            reader.get_mut().write_all(ok("secret").as_bytes()).unwrap();
        }
    });
    (server, cert.pem())
}

#[tokio::test]
async fn a_file_of_authorities_decides_whom_to_trust() {
    let (server, pem) = server("127.0.0.1");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    let url = format!("https://{}", server.address);
    let trusting = connection(&url, json!({"tls_ca_path": path}));
    for _ in 0..3 {
        assert_eq!(trusting.send(get()).await.unwrap().body, "secret");
    }
    assert_eq!(server.lines(), 1);

    let error = connection(&url, json!({})).send(get()).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Tls { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Tls);

    let careless = connection(&url, json!({"tls_verify": false}));
    assert_eq!(careless.send(get()).await.unwrap().body, "secret");
}

#[tokio::test]
async fn a_definition_of_authorities_does_the_same() {
    let (server, pem) = server("127.0.0.1");
    let url = format!("https://{}", server.address);
    let authority = |pem: &str| vec![security("security.tls_ca_cert", json!({"value": pem}))];
    let trusting = connection_with(&url, json!({"tls_ca_cert": "sec"}), authority(&pem));
    assert_eq!(trusting.send(get()).await.unwrap().body, "secret");
    let (_, other) = self::server("127.0.0.1");
    let wary = connection_with(&url, json!({"tls_ca_cert": "sec"}), authority(&other));
    assert_eq!(wary.send(get()).await.unwrap_err().kind(), Kind::Tls);
    let careless = connection_with(
        &url,
        json!({"tls_ca_cert": "sec", "tls_verify": false}),
        authority(&other),
    );
    assert_eq!(careless.send(get()).await.unwrap().body, "secret");
    // whoever is changed is asked again
    let connections = OutgoingConnections::new("server1");
    let with = |pem: &str, is_active: bool| {
        let mut records = authority(pem);
        records[0].is_active = is_active;
        let connection = json!({"host": url, "timeout": 5, "tls_ca_cert": "sec"});
        records.push(record::<OutgoingHttp>("CRM", &connection));
        connections.prepare(&Snapshot::new(1, records)).unwrap().commit();
        connections.get("CRM")
    };
    assert!(with(&other, true).unwrap().send(get()).await.is_err());
    assert!(with(&pem, true).unwrap().send(get()).await.is_ok());
    assert!(with(&pem, false).unwrap_err().chain().contains("switched off"));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (server, pem) = server("crm.example.com");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    let url = format!("https://{}", server.address);
    let error = connection(&url, json!({"tls_ca_path": path}))
        .send(get())
        .await
        .unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_tls_error() {
    let server = Server::raw(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let url = format!("https://{}", server.address);
    let error = connection(&url, json!({})).send(get()).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Tls { .. }), "{error:?}");
}

#[test]
fn a_file_that_holds_no_authorities_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for path in [directory.path().join("missing.pem"), empty] {
        let body = json!({"host": "https://a", "tls_ca_path": path});
        let record = record::<OutgoingHttp>("CRM", &body);
        let refused = OutgoingConnections::check(&[&record], &Snapshot::default());
        assert_eq!(refused[0].1.field, "tls_ca_path");
        let error = connections(vec![record]).get("CRM").unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.message().contains("`CRM`"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_is_presented_to_whoever_asks_for_one() {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_cert = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let client = client.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority_cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let (server, _) = server_for("127.0.0.1", verifier);
    let connect = |auth_data: String| {
        let security = record::<SecurityTlsKeyCert>("certificate", &json!({"auth_data": auth_data}));
        let body = json!({"host": format!("https://{}", server.address), "tls_verify": false, "security": "certificate", "timeout": 5});
        let connections = connections(vec![security, record::<OutgoingHttp>("CRM", &body)]);
        connections.get("CRM").unwrap()
    };
    let right = connect(format!("{}{}", client.pem(), key.serialize_pem()));
    assert_eq!(right.send(get()).await.unwrap().body, "secret");
    // one that nobody there knows, and none
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["client".to_owned()]).unwrap();
    let stranger = connect(format!("{}{}", cert.pem(), signing_key.serialize_pem()));
    assert!(stranger.send(get()).await.is_err());
    let none = connection(&format!("https://{}", server.address), json!({"tls_verify": false}));
    assert!(none.send(get()).await.is_err());
}
