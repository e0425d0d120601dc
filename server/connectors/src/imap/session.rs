//! A line to a mail server that is logged in, with one folder open at a time.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_imap::Client;
use async_imap::error::{Error as ImapError, ParseError};
use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response, Status};
use busbar_model::{Error, Kind};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::imap::config::{EmailImap, ImapMode};
use crate::imap::error::{failed, said};
use crate::imap::folder;

/// How many messages one command names: servers bound the length of a line, the strictest to 8,000 bytes.
const UIDS_AT_ONCE: usize = 500;

type Line = BufStream<Box<dyn Stream>>;

/// What a session goes over: TCP, or TLS on top of it.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug> Stream for T {}

/// An open folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opened {
    name: String,
    validity: u32,
}

/// A session. One that a command failed on, or that a caller left in the middle of one, must not be used again.
pub(super) struct Session {
    inner: async_imap::Session<Line>,
    opened: Option<Opened>,
    can_move: bool,
    can_expunge_some: bool,
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(name: &str, config: &EmailImap, tls: &Arc<ClientConfig>) -> Result<Self, Error> {
        let mut client = connect(name, config, tls).await?;
        if config.mode == ImapMode::StartTls {
            let answer = client.run_command_and_check_ok("STARTTLS", None).await;
            answer.map_err(|error| failed(name, "STARTTLS", error))?;
            // what was read beyond the answer came unencrypted: it is not taken along
            let stream = secure(name, config, tls, client.into_inner().into_inner()).await?;
            client = Client::new(BufStream::new(stream));
        }
        let (mut inner, capabilities) = client
            .login_with_capabilities(&config.username, &config.password)
            .await
            .map_err(|(error, _client)| match error {
                ImapError::No(answer) => Error::new(
                    Kind::Unauthorized,
                    format!(
                        "email.imap `{name}` did not let `{}` in: {}",
                        config.username,
                        said(&answer)
                    ),
                ),
                error => failed(name, "logging in", error),
            })?;
        let capabilities = match capabilities {
            Some(capabilities) => capabilities,
            None => inner
                .capabilities()
                .await
                .map_err(|error| failed(name, "asking what the server can do", error))?,
        };
        Ok(Self {
            inner,
            opened: None,
            can_move: capabilities.has_str("MOVE"),
            can_expunge_some: capabilities.has_str("UIDPLUS"),
        })
    }

    /// Whether the server is still there; it also tells what changed in the open folder.
    pub(super) async fn is_alive(&mut self) -> Result<(), ImapError> {
        self.command("NOOP", |_| {}).await
    }

    /// Opens a folder, unless it is open: which numbering of messages is valid in it.
    pub(super) async fn select(&mut self, name: &str) -> Result<u32, ImapError> {
        if let Some(opened) = self.opened.as_ref().filter(|it| it.name == name) {
            return Ok(opened.validity);
        }
        self.opened = None;
        let mailbox = self.inner.select(folder::encode(name)).await?;
        // a server without numbers that last has always the same
        let validity = mailbox.uid_validity.unwrap_or_default();
        self.opened = Some(Opened {
            name: name.to_owned(),
            validity,
        });
        Ok(validity)
    }

    /// Numbers of the messages that a search finds, in their order.
    pub(super) async fn search(&mut self, criteria: &str) -> Result<Vec<u32>, ImapError> {
        let charset = if criteria.is_ascii() { "" } else { "CHARSET UTF-8 " };
        let mut uids = Vec::new();
        let found = |answer: &Response<'_>| {
            if let Response::MailboxData(MailboxDatum::Search(some)) = answer {
                uids.extend_from_slice(some);
            }
        };
        self.command(&format!("UID SEARCH {charset}{criteria}"), found).await?;
        uids.sort_unstable();
        Ok(uids)
    }

    /// A whole message, without marking it as seen; `None` if it is not there any more.
    pub(super) async fn fetch(&mut self, uid: u32) -> Result<Option<Vec<u8>>, ImapError> {
        let mut message = None;
        let found = |answer: &Response<'_>| {
            if let Response::Fetch(_, attributes) = answer
                && attributes
                    .iter()
                    .any(|it| matches!(it, AttributeValue::Uid(of) if *of == uid))
            {
                let body = attributes.iter().find_map(|it| match it {
                    AttributeValue::BodySection {
                        section: None, data, ..
                    } => data.as_deref(),
                    _ => None,
                });
                message = body.map(<[u8]>::to_vec).or(message.take());
            }
        };
        self.command(&format!("UID FETCH {uid} (UID BODY.PEEK[])"), found)
            .await?;
        Ok(message)
    }

    /// Adds a flag to messages. Those that are not there any more are passed over.
    pub(super) async fn flag(&mut self, uids: &[u32], flag: &str) -> Result<(), ImapError> {
        for some in sets(uids) {
            self.command(&format!("UID STORE {some} +FLAGS.SILENT ({flag})"), |_| {})
                .await?;
        }
        Ok(())
    }

    /// Deletes messages for good.
    pub(super) async fn delete(&mut self, uids: &[u32]) -> Result<(), ImapError> {
        self.flag(uids, "\\Deleted").await?;
        if self.can_expunge_some {
            for some in sets(uids) {
                self.command(&format!("UID EXPUNGE {some}"), |_| {}).await?;
            }
        } else if !uids.is_empty() {
            // old servers can only throw away everything that is marked
            self.command("EXPUNGE", |_| {}).await?;
        }
        Ok(())
    }

    /// Moves messages to another folder.
    pub(super) async fn move_to(&mut self, uids: &[u32], folder: &str) -> Result<(), ImapError> {
        let folder = quoted(&folder::encode(folder));
        let command = if self.can_move { "MOVE" } else { "COPY" };
        for some in sets(uids) {
            self.command(&format!("UID {command} {some} {folder}"), |_| {}).await?;
        }
        if !self.can_move {
            self.delete(uids).await?;
        }
        Ok(())
    }

    /// Runs a command to its end, and shows what the server answers meanwhile. The library's own commands take a line that breaks off, and
    /// a refusal, for an empty answer.
    async fn command(&mut self, command: &str, mut each: impl FnMut(&Response<'_>)) -> Result<(), ImapError> {
        let tag = self.inner.run_command(command).await?;
        loop {
            let answer = self.inner.read_response().await?.ok_or(ImapError::ConnectionLost)?;
            match answer.parsed() {
                Response::Done {
                    tag: of,
                    status,
                    outcome,
                } if *of == tag => {
                    let said = || outcome.information.as_deref().unwrap_or("no reason given").to_owned();
                    return match status {
                        Status::Ok => Ok(()),
                        Status::No => Err(ImapError::No(said())),
                        _ => Err(ImapError::Bad(said())),
                    };
                }
                answer => each(answer),
            }
        }
    }
}

/// A name as an argument of a command.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Sets of numbers as commands name them: `1,2,5`.
fn sets(uids: &[u32]) -> impl Iterator<Item = String> {
    uids.chunks(UIDS_AT_ONCE).map(|some| {
        let texts: Vec<String> = some.iter().map(u32::to_string).collect();
        texts.join(",")
    })
}

/// Connects, and reads the greeting.
async fn connect(name: &str, config: &EmailImap, tls: &Arc<ClientConfig>) -> Result<Client<Line>, Error> {
    let address = (config.host.as_str(), config.port());
    let tcp = TcpStream::connect(address).await.map_err(|error| {
        let message = format!(
            "email.imap `{name}` cannot be reached at {}:{}",
            config.host,
            config.port()
        );
        Error::new(Kind::Connection, message).with_source(error)
    })?;
    // commands are written whole: waiting for more to send would only delay them; without the option it works all the same
    let _ = tcp.set_nodelay(true);
    let stream: Box<dyn Stream> = match config.mode {
        ImapMode::Ssl => secure(name, config, tls, Box::new(tcp)).await?,
        ImapMode::Plain | ImapMode::StartTls => Box::new(tcp),
    };
    let mut client = Client::new(BufStream::new(stream));
    greeting(&mut client)
        .await
        .map_err(|error| failed(name, "reading its greeting", error))?;
    Ok(client)
}

async fn greeting(client: &mut Client<Line>) -> Result<(), ImapError> {
    let greeting = client.read_response().await?.ok_or(ImapError::ConnectionLost)?;
    match greeting.parsed() {
        Response::Data { status: Status::Ok, .. } => Ok(()),
        Response::Data { outcome, .. } => Err(ImapError::No(
            outcome.information.as_deref().unwrap_or("no reason given").to_owned(),
        )),
        other => Err(ImapError::Parse(ParseError::Unexpected(format!("{other:?}")))),
    }
}

/// TLS over a stream.
async fn secure(
    name: &str,
    config: &EmailImap,
    tls: &Arc<ClientConfig>,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Error> {
    let wrong = |error: io::Error| {
        Error::new(
            Kind::Tls,
            format!("email.imap `{name}`: TLS with `{}` failed", config.host),
        )
        .with_source(error)
    };
    let host = config.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server = ServerName::try_from(host).map_err(|error| wrong(io::Error::other(error)))?;
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(server, stream)
        .await
        .map_err(wrong)?;
    Ok(Box::new(stream))
}
