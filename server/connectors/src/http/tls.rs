//! TLS on the inbound side: the server's certificate, and those of its clients.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use busbar_model::{Error, Kind};
use busbar_runtime::inbound::Certificate;
use ring::digest;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::http::settings::Tls;

/// HTTP/2's name where protocols are agreed on.
pub(crate) const HTTP2: &[u8] = b"h2";

/// What speaks TLS with clients.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Error> {
    let certificates = certificates(&tls.certificate, "certificate")?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| cannot("key", &tls.key).with_source(error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Internal, "cannot set up TLS").with_source(error))?
        .with_client_cert_verifier(verifier(tls, provider)?)
        .with_single_cert(certificates, key)
        .map_err(|error| cannot("certificate", &tls.certificate).with_source(error))?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn verifier(tls: &Tls, provider: Arc<rustls::crypto::CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let Some(path) = &tls.client_ca else {
        if tls.client_required {
            return Err(Error::new(
                Kind::Config,
                "setting `client_required` of `[http.tls]` needs `client_ca`",
            )
            .with_hint("name the file with the authorities whose certificates clients may present"));
        }
        return Ok(Arc::new(NoClientAuth));
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(path, "client_ca")? {
        roots
            .add(certificate)
            .map_err(|error| cannot("client_ca", path).with_source(error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if tls.client_required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let verifier = builder.build();
    verifier
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|error| cannot("client_ca", path).with_source(error))
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| cannot(what, path).with_source(error))
}

fn cannot(what: &str, path: &Path) -> Error {
    let message = format!("cannot use the {what} `{}` of `[http.tls]`", path.display());
    Error::new(Kind::Config, message)
}

/// What the client of a connection presented; its signatures were checked in the handshake.
pub(crate) fn certificate(connection: &rustls::ServerConnection) -> Option<Certificate> {
    let der = connection.peer_certificates()?.first()?;
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Some(Certificate(fields(&certificate, der))),
        Err(error) => {
            tracing::debug!(%error, "a client's certificate cannot be read: it counts as none");
            None
        }
    }
}

fn fields(certificate: &X509Certificate<'_>, der: &[u8]) -> Vec<(&'static str, String)> {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    let mut fields = vec![
        ("subject", subject.to_string()),
        ("issuer", issuer.to_string()),
        ("serial", hex(certificate.raw_serial())),
        ("fingerprint", hex(digest::digest(&digest::SHA256, der).as_ref())),
        ("fingerprint_sha256", hex(digest::digest(&digest::SHA256, der).as_ref())),
        (
            "fingerprint_sha1",
            hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
        ),
    ];
    add(&mut fields, "subject_cn", subject, X509Name::iter_common_name);
    add(&mut fields, "issuer_cn", issuer, X509Name::iter_common_name);
    add(&mut fields, "subject_o", subject, X509Name::iter_organization);
    add(&mut fields, "issuer_o", issuer, X509Name::iter_organization);
    add(&mut fields, "subject_ou", subject, X509Name::iter_organizational_unit);
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                GeneralName::DNSName(name) => fields.push(("san_dns", (*name).to_owned())),
                GeneralName::RFC822Name(name) => fields.push(("san_email", (*name).to_owned())),
                _ => {}
            }
        }
    }
    fields
}

fn add<'n, I: Iterator<Item = &'n AttributeTypeAndValue<'n>>>(
    fields: &mut Vec<(&'static str, String)>,
    field: &'static str,
    name: &'n X509Name<'n>,
    part: impl Fn(&'n X509Name<'n>) -> I,
) {
    for value in part(name) {
        if let Ok(value) = value.as_str() {
            fields.push((field, value.to_owned()));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
