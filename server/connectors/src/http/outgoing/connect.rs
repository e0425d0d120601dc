//! Opens lines: name, TCP, TLS.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use busbar_model::{Error, Kind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::HttpFailure;
use crate::http::ca_cert::SecurityTlsCaCert;
use crate::http::client_cert::SecurityTlsKeyCert;

/// How long one address of a host may take before the next one is tried beside it (RFC 8305 suggests 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Whom a line leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a URL that has a host.
    pub(super) fn of(url: &Url) -> Self {
        Self {
            https: url.scheme() == "https",
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
        }
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the port is the one that the scheme has by itself.
    pub(super) fn has_default_port(&self) -> bool {
        self.port == if self.https { 443 } else { 80 }
    }

    /// Host without the brackets of an IPv6 address.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Opens a line.
pub(super) async fn connect(origin: &Origin, tls: &Arc<ClientConfig>) -> Result<Stream, HttpFailure> {
    let resolve = |source| HttpFailure::Resolve {
        host: origin.host.clone(),
        source,
    };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((origin.bare_host(), origin.port))
        .await
        .map_err(resolve)?
        .collect();
    let tcp = connect_first(&addresses).await.map_err(|source| HttpFailure::Connect {
        address: origin.to_string(),
        source,
    })?;
    // a request is written whole: waiting for more to send would only delay it; without the option it works all the same
    let _ = tcp.set_nodelay(true);
    if !origin.https {
        return Ok(Stream::new(Transport::Plain(tcp)));
    }
    let failed = |source| HttpFailure::Tls {
        host: origin.host.clone(),
        source,
    };
    let name = ServerName::try_from(origin.bare_host().to_owned()).map_err(|error| failed(io::Error::other(error)))?;
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(name, tcp)
        .await
        .map_err(failed)?;
    Ok(Stream::new(Transport::Tls(Box::new(stream))))
}

/// Tries the addresses in order, a next one as soon as one fails or is slow; the first line that stands wins.
async fn connect_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut trying: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>> = Vec::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        let next = waiting.next();
        match next {
            Some(&address) => trying.push(Box::pin(TcpStream::connect(address))),
            None if trying.is_empty() => return Err(failed),
            None => {}
        }
        let first = poll_fn(|cx| {
            for index in 0..trying.len() {
                if let Poll::Ready(result) = trying[index].as_mut().poll(cx) {
                    drop(trying.swap_remove(index));
                    return Poll::Ready(result);
                }
            }
            Poll::Pending
        });
        let result = if waiting.len() == 0 {
            first.await
        } else {
            match tokio::time::timeout(NEXT_ADDRESS_AFTER, first).await {
                Ok(result) => result,
                Err(_slow) => continue,
            }
        };
        match result {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
}

/// An open line, which is not read from before something was written to it: there are servers that answer as soon as they are
/// connected to (`503` when they have too many lines), and hyper takes an answer that is there before its request for a defect.
pub(super) struct Stream {
    transport: Transport,
    was_written: bool,
    reader: Option<Waker>,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn new(transport: Transport) -> Self {
        Self {
            transport,
            was_written: false,
            reader: None,
        }
    }

    /// The TCP stream below.
    pub(super) fn tcp(&self) -> &TcpStream {
        match &self.transport {
            Transport::Plain(tcp) => tcp,
            Transport::Tls(tls) => tls.get_ref().0,
        }
    }

    fn written(&mut self) {
        self.was_written = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !stream.was_written {
            stream.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match &mut stream.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        stream.written();
        match &mut stream.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        stream.written();
        match &mut stream.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// Whom a connection trusts.
#[derive(Clone, Copy)]
pub(crate) enum Trust<'t> {
    /// Whatever the other side shows.
    Anybody,
    /// The authorities of Mozilla's list, or those of a file unless its path is empty.
    Path(&'t str),
    /// Those of a definition.
    Definition(&'t SecurityTlsCaCert),
}

impl<'t> Trust<'t> {
    /// What `tls_verify` and `tls_ca_path` say.
    pub(crate) fn new(verify: bool, ca_path: &'t str) -> Self {
        if verify { Self::Path(ca_path) } else { Self::Anybody }
    }
}

/// TLS of one connection: whom to trust, and what to present. Fails if the file of authorities cannot be read or holds none.
pub(crate) fn tls(trust: Trust<'_>, own: Option<&SecurityTlsKeyCert>) -> Result<Arc<ClientConfig>, Error> {
    // most connections are like this, and a list of authorities with its cache of sessions takes 50 KB
    static ORDINARY: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if own.is_some() || !matches!(trust, Trust::Path("")) {
        return make(trust, own);
    }
    let config = ORDINARY.get().cloned().map_or_else(|| make(trust, own), Ok)?;
    Ok(Arc::clone(ORDINARY.get_or_init(|| config)))
}

fn make(trust: Trust<'_>, own: Option<&SecurityTlsKeyCert>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Internal, "cannot set TLS up").with_source(error))?;
    let builder = match trust {
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
        Trust::Path("") => builder.with_root_certificates(mozilla()),
        Trust::Path(path) => {
            let certificates = certificates(Path::new(path))?;
            let verifier = Trusted::new(certificates, provider).map_err(|error| refused(Path::new(path), error))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::Definition(definition) => {
            let verifier = definition
                .read()
                .and_then(|certificates| Trusted::new(certificates, provider))
                .map_err(|error| {
                    Error::new(
                        Kind::Config,
                        format!("cannot take certificate authorities from its text: {error}"),
                    )
                })?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (chain, key) = own.read()?;
            let failed = |error| {
                Error::new(Kind::Config, "the TLS certificate and its key do not go together").with_source(error)
            };
            builder.with_client_auth_cert(chain, key).map_err(failed)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same for protocols that are not HTTP.
pub(crate) fn tls_without_protocols(trust: Trust<'_>) -> Result<Arc<ClientConfig>, Error> {
    let mut config = Arc::unwrap_or_clone(tls(trust, None)?);
    config.alpn_protocols.clear();
    Ok(Arc::new(config))
}

fn mozilla() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

fn refused(path: &Path, reason: impl fmt::Display) -> Error {
    let path = path.display();
    Error::new(
        Kind::Config,
        format!("cannot take certificate authorities from `{path}`: {reason}"),
    )
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| refused(path, "it cannot be read").with_source(error))?
        .collect::<Result<_, _>>()
        .map_err(|error| refused(path, "it is not PEM").with_source(error))?;
    if certificates.is_empty() {
        return Err(refused(path, "it holds no certificate"));
    }
    Ok(certificates)
}

/// Trusts the certificates of a file: as authorities, and a server that shows one of them itself. The latter is what `openssl req -x509`
/// makes and intranets are full of; for rustls a certificate is either an authority's or a server's.
#[derive(Debug)]
struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl Trusted {
    fn new(certificates: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| format!("a certificate is not valid: {error}"))?;
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            certificates,
            authorities,
        })
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self
            .authorities
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // errors about dates, purposes and signatures have names of their own; among the others is an authority shown as a server
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.certificates.iter().any(|known| known == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Takes any certificate, for `tls_verify: false`. Signatures are still checked, so the other side holds the key of what it shows.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
