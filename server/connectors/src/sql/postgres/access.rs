//! What a server is reached with, and how a line to it is made and encrypted.

use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx_core::net::tls::{self, CertificateInput, TlsConfig};
use sqlx_core::net::{Socket, SocketIntoBox};
use tokio::net::{TcpStream, UnixStream};

use super::input::Ahead;

/// When a server is asked whether it is still there of which nothing was heard for so long, a long statement or not, and what ends the line
/// if it says nothing: the machine answers, not the server. Without this, whoever waits for the answer of a machine that went away after it got
/// the statement waits for two hours. Before it got it, the kernel gives up after a quarter of an hour.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// What a server is reached with.
#[derive(Clone)]
pub(in super::super) struct PgAccess {
    /// Where it is, and who comes.
    pub(in super::super) options: PgConnectOptions,
    /// What those hold, too, and do not tell.
    pub(in super::super) secrets: PgSecrets,
    /// What a session has by default: names of settings and their values.
    pub(in super::super) settings: Vec<(&'static str, String)>,
    /// Statements that are kept prepared. Where it is 0, values are written into statements.
    pub(in super::super) statements: usize,
}

/// How this side shows who it is, and whom it trusts.
#[derive(Clone)]
pub(in super::super) struct PgSecrets {
    pub(in super::super) password: String,
    pub(in super::super) authorities: Option<CertificateInput>,
    pub(in super::super) certificate: Option<CertificateInput>,
    pub(in super::super) key: Option<CertificateInput>,
}

impl PgSecrets {
    /// What PostgreSQL's own clients take where nothing else is said.
    pub(in super::super) fn of_environment() -> Self {
        let certificate = |name| std::env::var(name).ok().map(CertificateInput::from);
        Self {
            password: std::env::var("PGPASSWORD").unwrap_or_default(),
            authorities: certificate("PGSSLROOTCERT"),
            certificate: certificate("PGSSLCERT"),
            key: certificate("PGSSLKEY"),
        }
    }

    pub(in super::super) fn file(path: &str) -> Option<CertificateInput> {
        Some(CertificateInput::File(PathBuf::from(path)))
    }
}

impl PgAccess {
    /// Makes a line on which nothing was said yet, encrypted as the mode says.
    pub(super) async fn connect(&self) -> Result<Box<dyn Socket>, sqlx::Error> {
        let options = &self.options;
        let directory = options.get_socket().map(|directory| directory.display().to_string());
        let directory = directory.or_else(|| Some(options.get_host().to_owned()).filter(|host| host.starts_with('/')));
        match directory {
            Some(directory) => {
                let path = format!("{directory}/.s.PGSQL.{}", options.get_port());
                self.encrypt(UnixStream::connect(path).await?).await
            }
            None => {
                let stream = TcpStream::connect((options.get_host(), options.get_port())).await?;
                // what is written is written whole
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
                self.encrypt(stream).await
            }
        }
    }

    async fn encrypt<S: Socket>(&self, mut socket: S) -> Result<Box<dyn Socket>, sqlx::Error> {
        let Self { options, secrets, .. } = self;
        let mode = options.get_ssl_mode();
        // nobody is asked twice: `allow` would try without first, and hardly any server insists
        if matches!(mode, PgSslMode::Disable | PgSslMode::Allow) {
            return Ok(Box::new(socket));
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        socket.write(&request).await?;
        let mut answer = [0];
        socket.read(&mut &mut answer[..]).await?;
        match (answer[0], mode) {
            (b'S', _) => {}
            (b'N', PgSslMode::Prefer) => return Ok(Box::new(socket)),
            (b'N', _) => return Err(sqlx::Error::Tls("server does not support TLS".into())),
            _ => return Err(sqlx::Error::Protocol("no answer to the request for TLS".to_owned())),
        }
        let config = TlsConfig {
            accept_invalid_certs: !matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull),
            accept_invalid_hostnames: !matches!(mode, PgSslMode::VerifyFull),
            hostname: options.get_host(),
            root_cert_path: secrets.authorities.as_ref(),
            client_cert_path: secrets.certificate.as_ref(),
            client_key_path: secrets.key.as_ref(),
        };
        tls::handshake(Ahead::new(socket), config, SocketIntoBox).await
    }
}
