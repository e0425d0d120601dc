//! Encrypted lines to PostgreSQL and MariaDB: what each `ssl_mode` trusts, and certificates of clients.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use busbar_connectors::sql::{Scanned, SqlRequest, SqlSession, SqlTarget};
use busbar_testkit::OwnServer;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Certificate and key, in PEM, for a server or a client of that name.
    fn sign(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        (pem, key.serialize_pem())
    }
}

/// A server, with the users `crm`, who must use TLS, and `certified`, who must present a certificate.
fn start(engine: &str) -> OwnServer {
    let authority = Authority::new("authority");
    let (certificate, key) = authority.sign("localhost");
    let (own_certificate, own_key) = authority.sign("certified");
    let hba = "host all postgres 127.0.0.1/32 trust\nhostssl all crm all trust\nhostssl all certified all cert\n";
    let files = [
        ("ca.pem", authority.pem.as_str()),
        ("server.pem", &certificate),
        ("server.key", &key),
        ("own.pem", &own_certificate),
        ("own.key", &own_key),
        ("other.pem", &Authority::new("other").pem),
        ("pg_hba.conf", hba),
    ];
    if engine == "postgresql" {
        let options = [
            "ssl=on",
            "ssl_cert_file=server.pem",
            "ssl_key_file=server.key",
            "ssl_ca_file=ca.pem",
            "timezone=Europe/Warsaw",
        ];
        let server = OwnServer::postgresql(&files, &options);
        server.execute("CREATE ROLE crm LOGIN; CREATE ROLE certified LOGIN");
        server
    } else {
        let options = [
            "ssl-cert=server.pem",
            "ssl-key=server.key",
            "ssl-ca=ca.pem",
            "skip-name-resolve",
        ];
        let server = OwnServer::mariadb(&files, &options);
        server.execute("CREATE USER crm REQUIRE SSL");
        server.execute("CREATE USER certified REQUIRE X509");
        server
    }
}

/// Logs in; gives what was said against it.
async fn log_in(
    server: &OwnServer,
    engine: &str,
    user: &str,
    host: &str,
    options: &[(&str, &str)],
) -> Result<(), String> {
    let database = if engine == "postgresql" { "postgres" } else { "" };
    let url = format!("{engine}://{user}@{host}:{}/{database}", server.port());
    let with_path = |(key, value): &(&str, &str)| {
        let value = match *value {
            file if file.contains('.') => server.path(file).display().to_string(),
            value => value.to_owned(),
        };
        ((*key).to_owned(), value)
    };
    let options: Vec<_> = options.iter().map(with_path).collect();
    let target = SqlTarget::of_url(&url, &options).unwrap();
    let session = SqlSession::open(target).await.map_err(|failure| failure.to_string())?;
    session.ping().await.unwrap();
    if engine == "postgresql" {
        run(
            &session,
            "SELECT 1 / (current_setting('TimeZone') = 'Europe/Warsaw')::int",
        )
        .await;
    }
    session.close().await;
    Ok(())
}

async fn run(session: &SqlSession, sql: &str) {
    let request = SqlRequest {
        scanned: Arc::new(Scanned::new(sql, None, session.engine()).unwrap()),
        lists: vec![Vec::new()],
        is_many: false,
    };
    session.execute(request).await.unwrap();
}

async fn modes(engine: &str) {
    let server = start(engine);
    let own = ("ssl_ca", "ca.pem");
    let other = ("ssl_ca", "other.pem");
    let mode = |mode: &'static str| ("ssl_mode", mode);
    for (host, options) in [
        ("127.0.0.1", &[mode("prefer")][..]),
        ("127.0.0.1", &[mode("require")]),
        ("127.0.0.1", &[mode("verify-ca"), own]),
        ("localhost", &[mode("verify-full"), own]),
    ] {
        let answer = log_in(&server, engine, "crm", host, options).await;
        assert_eq!(answer, Ok(()), "{engine} {host} {options:?}");
    }
    for (host, options, words) in [
        ("127.0.0.1", &[mode("verify-ca")][..], "certificate"),
        ("127.0.0.1", &[mode("verify-ca"), other], "certificate"),
        ("localhost", &[mode("verify-full"), other], "certificate"),
        ("127.0.0.1", &[mode("verify-full"), own], "certificate"),
        ("127.0.0.1", &[mode("disable")], "crm"),
    ] {
        let refusal = log_in(&server, engine, "crm", host, options).await.unwrap_err();
        assert!(refusal.contains(words), "{engine} {host} {options:?}: {refusal}");
        assert!(refusal.starts_with("cannot connect to "), "{refusal}");
    }
    let certificate = [mode("verify-ca"), own, ("ssl_cert", "own.pem"), ("ssl_key", "own.key")];
    let answer = log_in(&server, engine, "certified", "127.0.0.1", &certificate).await;
    assert_eq!(answer, Ok(()), "{engine}");
    let refusal = log_in(&server, engine, "certified", "127.0.0.1", &certificate[..2]).await;
    assert!(refusal.is_err(), "{engine}");
}

#[tokio::test]
async fn modes_of_postgresql() {
    modes("postgresql").await;
}

#[tokio::test]
async fn modes_of_mariadb() {
    modes("mysql").await;
}
