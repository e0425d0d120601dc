//! Certificates that clients present.

use std::path::Path;
use std::sync::Arc;

use busbar_connectors::http::{Audience, ChannelHttp, HttpServer, Routes, Tls};
use busbar_model::Error;
use busbar_model::object::{Object, Record, Snapshot};
use busbar_runtime::inbound::{Entrance, Gate, Guard, Guards, Verdict, Visitor};
use busbar_runtime::{Configure, Fault};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SerialNumber};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::setup::{Dispatcher, Fake, LIMIT, config};

/// Refuses everybody, and says what it saw.
struct Mirror;

impl Gate for Mirror {
    fn guards(&self, _: &Snapshot) -> Result<Arc<dyn Guards>, Error> {
        Ok(Arc::new(Self))
    }
}

impl Guards for Mirror {
    fn of(&self, _: &Entrance<'_>) -> Result<Option<Arc<dyn Guard>>, Error> {
        Ok(Some(Arc::new(Self)))
    }
}

impl Guard for Mirror {
    fn check(&self, visitor: &Visitor<'_>) -> Verdict {
        let fields = visitor.certificate.map(|certificate| {
            let fields = certificate.0.iter().map(|(name, value)| format!("{name}={value}"));
            fields.collect::<Vec<_>>().join(";")
        });
        Verdict::Out(Fault::new(401, fields.unwrap_or_else(|| "none".to_owned())))
    }
}

/// An authority, and what it signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

fn named(name: &str, organization: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = named(name, "CAs");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn client(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = named("shop", "Shops");
        // one made at random is sometimes a digit shorter
        params.serial_number = Some(SerialNumber::from_slice(&[0x4a; 20]));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (
            certificate.der().clone(),
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }
}

async fn start(directory: &Path, authority: &Authority, client_required: bool) -> (HttpServer, rustls::RootCertStore) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate: directory.join("cert.pem"),
        key: directory.join("key.pem"),
        client_ca: Some(directory.join("ca.pem")),
        client_required,
    };
    std::fs::write(&tls.certificate, own.cert.pem()).unwrap();
    std::fs::write(&tls.key, own.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join("ca.pem"), authority.certificate.pem()).unwrap();
    let mut config = config();
    config.tls = Some(tls);
    let routes = Routes::new(Arc::new(Mirror));
    let channel = Record {
        kind: ChannelHttp::KIND.to_owned(),
        name: "a".to_owned(),
        is_active: true,
        body: json!({"service": "echo", "url_path": "/a"})
            .as_object()
            .unwrap()
            .clone()
            .into(),
        version: 1,
        id: 0,
    };
    let snapshot = Snapshot::new(1, vec![channel]);
    routes.prepare(&snapshot).unwrap().commit();
    let server = HttpServer::bind(config).await.unwrap();
    let server = server.spawn(
        &routes,
        Audience::Clients,
        Arc::new(Dispatcher(Arc::new(Fake::default()))),
    );
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    (server, roots)
}

/// The body of an answer; an error if there is none.
async fn ask(
    server: &HttpServer,
    roots: &rustls::RootCertStore,
    client: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> std::io::Result<String> {
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone());
    let config = match client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
    };
    let asking = async {
        let stream = TcpStream::connect(server.local_address()).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream
            .write_all(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        Ok(body.to_owned())
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap()
}

#[tokio::test]
async fn guards_see_what_clients_present() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new("Shop CA"), Authority::new("Stranger"));
    let (server, roots) = start(directory.path(), &authority, false).await;
    let fields = ask(&server, &roots, Some(authority.client())).await.unwrap();
    for field in [
        "subject_cn=shop",
        "subject_o=Shops",
        "issuer_cn=Shop CA",
        "issuer_o=CAs",
        "san_dns=shop.example",
    ] {
        assert!(fields.split(';').any(|other| other == field), "{fields}");
    }
    let value = |field| fields.split(';').find_map(|other| other.strip_prefix(field)).unwrap();
    for (field, length) in [("fingerprint=", 64), ("fingerprint_sha1=", 40)] {
        assert_eq!(value(field).len(), length, "{field}{}", value(field));
    }
    assert_eq!(value("serial=").to_lowercase(), "4a".repeat(20));
    assert_eq!(ask(&server, &roots, None).await.unwrap(), "none");
    // signed by somebody whom the server does not know
    assert!(ask(&server, &roots, Some(stranger.client())).await.is_err());
}

#[tokio::test]
async fn a_server_may_insist_on_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("Shop CA");
    let (server, roots) = start(directory.path(), &authority, true).await;
    assert!(ask(&server, &roots, None).await.is_err());
    assert!(
        ask(&server, &roots, Some(authority.client()))
            .await
            .unwrap()
            .contains("subject_cn=shop")
    );

    let mut config = config();
    config.tls = Some(Tls {
        certificate: directory.path().join("cert.pem"),
        key: directory.path().join("key.pem"),
        client_ca: None,
        client_required: true,
    });
    let error = HttpServer::bind(config).await.map(|_| ()).unwrap_err();
    assert!(error.message().contains("client_ca"), "{error}");
}
