//! Connections: how they are opened, and one that a single user drives by itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use redis::{ConnectionAddr, ConnectionInfo};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Endpoint;
use super::command::pack;
use super::resp::Decoder;
use super::{RedisFailure, RedisFailureKind, Reply};

/// What connections run over.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static> Io for T {}

/// Opens a stream to Redis.
pub(super) async fn open(endpoint: &Endpoint, limit: Duration) -> Result<Box<dyn Io>, RedisFailure> {
    let opening = async {
        match endpoint.info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                let Some(tls) = &endpoint.tls else {
                    return Ok(Box::new(stream) as Box<dyn Io>);
                };
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
                Ok(Box::new(stream) as Box<dyn Io>)
            }
            ConnectionAddr::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?) as Box<dyn Io>),
            other => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("`{other}` is not spoken"),
            )),
        }
    };
    let what = || format!("cannot connect to Redis at `{}`", endpoint.info.addr());
    match timeout(limit, opening).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(match RedisFailure::from_io(&error, &what()) {
            failure if failure.kind() == RedisFailureKind::Connection => failure,
            failure => RedisFailure::new(RedisFailureKind::Connection, failure.message()),
        }),
        Err(_late) => Err(RedisFailure::new(
            RedisFailureKind::Timeout,
            format!("{}: it took too long", what()),
        )),
    }
}

/// The receiving half of a connection.
pub(super) struct Reader {
    stream: ReadHalf<Box<dyn Io>>,
    decoder: Decoder,
    input: BytesMut,
}

/// The sending half of a connection.
pub(super) struct Writer {
    stream: WriteHalf<Box<dyn Io>>,
}

/// The commands that log in and choose the database.
pub(super) fn login(info: &ConnectionInfo) -> Vec<Vec<Vec<u8>>> {
    let settings = info.redis_settings();
    let mut commands = Vec::new();
    if let Some(password) = settings.password() {
        let words = [Some("AUTH"), settings.username(), Some(password)];
        let words = words.into_iter().flatten().map(|word| word.as_bytes().to_vec());
        commands.push(words.collect());
    }
    if settings.db() != 0 {
        commands.push(vec![b"SELECT".to_vec(), settings.db().to_string().into_bytes()]);
    }
    commands
}

/// A connection with one user.
pub(super) struct Line {
    reader: Reader,
    writer: Writer,
    /// Replies are due that nobody has read: a call was given up or failed half-way.
    is_broken: bool,
    address: String,
}

impl Reader {
    /// Reads the next reply. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Reply, RedisFailure> {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(lost(&error)),
            }
            let read = self.stream.read_buf(&mut self.input).await;
            if read.map_err(|error| lost(&error))? == 0 {
                return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

impl Writer {
    /// Sends commands.
    pub(super) async fn send(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<(), RedisFailure> {
        let mut wire = Vec::new();
        for command in commands {
            pack(command, &mut wire);
        }
        let sent = async {
            self.stream.write_all(&wire).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| lost(&error))
    }
}

impl Line {
    /// Opens one and logs in.
    pub(super) async fn open(endpoint: &Endpoint, connect: Duration, response: Duration) -> Result<Self, RedisFailure> {
        let (reader, writer) = tokio::io::split(open(endpoint, connect).await?);
        let mut line = Self {
            reader: Reader {
                stream: reader,
                decoder: Decoder::default(),
                input: BytesMut::new(),
            },
            writer: Writer { stream: writer },
            is_broken: false,
            address: endpoint.info.addr().to_string(),
        };
        for reply in line.run(&login(&endpoint.info), Some(response)).await? {
            reply
                .into_result()
                .map_err(|failure| failure.of_login(endpoint.info.addr()))?;
        }
        Ok(line)
    }

    /// Sends commands at once and reads one reply for each.
    pub(super) async fn run(
        &mut self,
        commands: &[Vec<Vec<u8>>],
        limit: Option<Duration>,
    ) -> Result<Vec<Reply>, RedisFailure> {
        // until the last reply is read: giving this future up must not leave replies to the next user
        self.is_broken = true;
        let exchange = async {
            self.writer.send(commands).await?;
            let mut replies = Vec::with_capacity(commands.len());
            while replies.len() < commands.len() {
                replies.push(self.reader.next().await?);
            }
            Ok(replies)
        };
        let replies = match limit {
            Some(limit) => match timeout(limit, exchange).await {
                Ok(replies) => replies?,
                Err(_late) => {
                    return Err(RedisFailure::new(
                        RedisFailureKind::Timeout,
                        "no reply from Redis in time",
                    ));
                }
            },
            None => exchange.await?,
        };
        self.is_broken = false;
        Ok(replies)
    }

    /// Its halves, for one who sends while it waits for what comes.
    pub(super) fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    /// Whether it leads there.
    pub(super) fn leads_to(&self, endpoint: &Endpoint) -> bool {
        self.address == endpoint.info.addr().to_string()
    }

    /// Whether another user can have it.
    pub(super) fn is_clean(&self) -> bool {
        !self.is_broken && self.reader.input.is_empty()
    }
}

fn lost(error: &io::Error) -> RedisFailure {
    match RedisFailure::from_io(error, "connection to Redis lost") {
        failure if failure.kind() == RedisFailureKind::Timeout => {
            RedisFailure::new(RedisFailureKind::Connection, failure.message())
        }
        failure => failure,
    }
}
