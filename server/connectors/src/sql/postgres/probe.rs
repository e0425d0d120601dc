//! Asks a server what it gives to the sessions of clients that ask for nothing.
//!
//! sqlx has its sessions begin in UTC and with the month before the day, and the server then tells nobody what it would have given. It
//! says so to a client that names neither, while that logs in. So somebody logs in here, listens, and leaves. The line is made and
//! encrypted by what makes those of sqlx, so that it is trusted, or not, exactly as they are.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx_core::net::tls::{self, CertificateInput, TlsConfig};
use sqlx_core::net::{self, BufferedSocket, Socket, SocketIntoBox, WithSocket};
use tokio::time::timeout;

use super::super::error::{SqlFailure, SqlFailureClass};
use super::home::Home;

/// How long the server may take to see the last of a session.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// What a server is reached with.
#[derive(Clone)]
pub(in super::super) struct PgAccess {
    /// What sqlx connects with.
    pub(in super::super) options: PgConnectOptions,
    /// What sqlx was given as well, and does not tell.
    pub(in super::super) secrets: PgSecrets,
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
    /// What sqlx takes where nothing else is said.
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

/// Logs in, and out again. By then the server has given the place of the session to others.
pub(super) async fn ask(access: &PgAccess) -> Result<Home, SqlFailure> {
    let options = &access.options;
    let directory = options.get_socket().map(|directory| directory.display().to_string());
    let directory = directory.or_else(|| Some(options.get_host().to_owned()).filter(|host| host.starts_with('/')));
    let socket = match directory {
        Some(directory) => {
            let path = format!("{directory}/.s.PGSQL.{}", options.get_port());
            net::connect_uds(path, Encrypt(access)).await??
        }
        None => net::connect_tcp(options.get_host(), options.get_port(), Encrypt(access)).await??,
    };
    let mut line = Line(BufferedSocket::new(socket));
    let home = line.log_in(access).await?;
    if line
        .send(|out| {
            frontend::terminate(out);
            Ok(())
        })
        .await
        .is_ok()
    {
        // the server ends the line when all else of the session has ended
        let end = async { while line.receive().await.is_ok() {} };
        let _ = timeout(LEAVE_LIMIT, end).await;
    }
    Ok(home)
}

/// Encrypts a line as the mode says, before anything else is sent.
struct Encrypt<'a>(&'a PgAccess);

impl WithSocket for Encrypt<'_> {
    type Output = Result<Box<dyn Socket>, sqlx::Error>;

    async fn with_socket<S: Socket>(self, mut socket: S) -> Self::Output {
        let Self(PgAccess { options, secrets }) = self;
        let mode = options.get_ssl_mode();
        // to sqlx both are the same
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
        tls::handshake(socket, config, SocketIntoBox).await
    }
}

/// A line on which the protocol is spoken.
struct Line(BufferedSocket<Box<dyn Socket>>);

impl Line {
    async fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), SqlFailure> {
        let mut out = BytesMut::new();
        write(&mut out).map_err(unspeakable)?;
        self.0.write(&out[..])?;
        self.0.flush().await.map_err(sqlx::Error::Io)?;
        Ok(())
    }

    async fn receive(&mut self) -> Result<Message, SqlFailure> {
        let message = self.0.try_read(|buffer| match Message::parse(buffer) {
            Ok(Some(message)) => Ok(ControlFlow::Break(message)),
            Ok(None) => Ok(ControlFlow::Continue(buffer.len() + 1)),
            Err(error) => Err(sqlx::Error::Protocol(error.to_string())),
        });
        Ok(message.await?)
    }

    /// Logs in, and takes what the server says until it waits for statements.
    async fn log_in(&mut self, access: &PgAccess) -> Result<Home, SqlFailure> {
        let PgAccess { options, secrets } = access;
        let (user, password) = (options.get_username(), secrets.password.as_bytes());
        let parameters = [
            Some(("user", user)),
            options.get_database().map(|name| ("database", name)),
            Some(("client_encoding", "UTF8")),
            options.get_application_name().map(|name| ("application_name", name)),
            options.get_options().map(|options| ("options", options)),
        ];
        self.send(|out| frontend::startup_message(parameters.into_iter().flatten(), out))
            .await?;
        let mut scram = None;
        let (mut zone, mut style) = (None, None);
        loop {
            match self.receive().await? {
                Message::AuthenticationCleartextPassword => {
                    self.send(|out| frontend::password_message(password, out)).await?;
                }
                Message::AuthenticationMd5Password(asked) => {
                    let hash = md5_hash(user.as_bytes(), password, asked.salt());
                    self.send(|out| frontend::password_message(hash.as_bytes(), out))
                        .await?;
                }
                Message::AuthenticationSasl(_) => {
                    let talk = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
                    self.send(|out| frontend::sasl_initial_response(SCRAM_SHA_256, talk.message(), out))
                        .await?;
                }
                Message::AuthenticationSaslContinue(said) => {
                    let talk = scram.as_mut().ok_or_else(out_of_turn)?;
                    talk.update(said.data()).map_err(unspeakable)?;
                    self.send(|out| frontend::sasl_response(talk.message(), out)).await?;
                }
                Message::AuthenticationSaslFinal(said) => {
                    // the server has shown that it knows the password too
                    let mut talk = scram.take().ok_or_else(out_of_turn)?;
                    talk.finish(said.data()).map_err(unspeakable)?;
                }
                Message::AuthenticationOk if scram.is_none() => {}
                Message::ParameterStatus(status) => {
                    let value = status.value().map_err(unspeakable)?;
                    match status.name().map_err(unspeakable)? {
                        "TimeZone" => zone = Some(value.to_owned()),
                        "DateStyle" => style = Some(value.to_owned()),
                        _ => {}
                    }
                }
                Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
                Message::ErrorResponse(error) => return Err(refused(&error)),
                Message::ReadyForQuery(_) => break,
                _ => return Err(out_of_turn()),
            }
        }
        let home = zone.zip(style).map(|(zone, style)| Home::new(zone, &style));
        home.ok_or_else(|| {
            let message = "it says neither TimeZone nor DateStyle when somebody logs in";
            SqlFailure::new(SqlFailureClass::NotSupported, message)
        })
    }
}

fn unspeakable(error: io::Error) -> SqlFailure {
    sqlx::Error::Protocol(error.to_string()).into()
}

fn out_of_turn() -> SqlFailure {
    sqlx::Error::Protocol("a message that is none of a log-in".to_owned()).into()
}

fn refused(error: &ErrorResponseBody) -> SqlFailure {
    let (mut code, mut message) = (String::new(), String::new());
    let mut fields = error.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = value(),
            b'M' => message = value(),
            _ => {}
        }
    }
    SqlFailure::refused(&code, &message)
}
