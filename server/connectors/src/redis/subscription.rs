//! Receives what others publish.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::time::timeout;

use super::command::upper;
use super::line::{Line, Reader, Writer};
use super::{RedisFailure, RedisFailureKind, Reply};

/// A connection that receives what is published to the channels and patterns it subscribes to. Messages that nobody takes wait in
/// the socket, so a slow reader costs no memory here; Redis drops a reader that is too slow for it.
///
/// One may subscribe to more while another waits for what comes.
pub struct RedisSubscription {
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
    _permit: OwnedSemaphorePermit,
}

/// What kind of push it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushKind {
    /// A message to a channel.
    Message,
    /// A message to a channel that fits a pattern.
    PatternMessage,
    /// A message to a channel that one node of a cluster keeps.
    ShardMessage,
    /// A channel was subscribed to.
    Subscribe,
    /// A channel was given up.
    Unsubscribe,
    /// A pattern was subscribed to.
    PatternSubscribe,
    /// A pattern was given up.
    PatternUnsubscribe,
    /// A channel of a node was subscribed to.
    ShardSubscribe,
    /// A channel of a node was given up.
    ShardUnsubscribe,
    /// The answer to a ping.
    Pong,
}

impl PushKind {
    /// The name that redis-py shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::PatternMessage => "pmessage",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::PatternSubscribe => "psubscribe",
            Self::PatternUnsubscribe => "punsubscribe",
            Self::ShardMessage => "smessage",
            Self::ShardSubscribe => "ssubscribe",
            Self::ShardUnsubscribe => "sunsubscribe",
            Self::Pong => "pong",
        }
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisPush {
    /// What it is.
    pub kind: PushKind,
    /// The pattern, of a message to one.
    pub pattern: Option<Bytes>,
    /// The channel, or the pattern of a confirmation. Empty if all were given up and there were none.
    pub channel: Bytes,
    /// The message; empty for confirmations.
    pub data: Bytes,
    /// How many channels and patterns are subscribed to after a confirmation.
    pub count: i64,
    /// Everything was given up, and there was nothing.
    pub is_nothing: bool,
}

impl RedisSubscription {
    pub(super) fn new(line: Line, permit: OwnedSemaphorePermit) -> Self {
        let (reader, writer) = line.split();
        Self {
            reader: Mutex::new(reader),
            writer: Mutex::new(writer),
            _permit: permit,
        }
    }

    /// Subscribes to channels. Confirmations come through [`RedisSubscription::next`].
    pub async fn subscribe(&self, channels: &[Vec<u8>]) -> Result<(), RedisFailure> {
        self.send_with("SUBSCRIBE", channels).await
    }

    /// Gives channels up; all of them if none is named.
    pub async fn unsubscribe(&self, channels: &[Vec<u8>]) -> Result<(), RedisFailure> {
        self.send_with("UNSUBSCRIBE", channels).await
    }

    /// Subscribes to all channels that fit a pattern.
    pub async fn psubscribe(&self, patterns: &[Vec<u8>]) -> Result<(), RedisFailure> {
        self.send_with("PSUBSCRIBE", patterns).await
    }

    /// Gives patterns up; all of them if none is named.
    pub async fn punsubscribe(&self, patterns: &[Vec<u8>]) -> Result<(), RedisFailure> {
        self.send_with("PUNSUBSCRIBE", patterns).await
    }

    /// Asks for a [`PushKind::Pong`].
    pub async fn ping(&self) -> Result<(), RedisFailure> {
        self.send_with("PING", &[]).await
    }

    async fn send_with(&self, name: &str, words: &[Vec<u8>]) -> Result<(), RedisFailure> {
        let mut command = vec![name.as_bytes().to_vec()];
        command.extend_from_slice(words);
        self.send(&command).await
    }

    /// Sends `SUBSCRIBE`, `SSUBSCRIBE`, their opposites and `PING`; nothing else makes sense here.
    pub async fn send(&self, command: &[Vec<u8>]) -> Result<(), RedisFailure> {
        let name = command.first().map(|name| upper(name)).unwrap_or_default();
        let is_known = matches!(
            name.as_slice(),
            b"SUBSCRIBE" | b"UNSUBSCRIBE" | b"PSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SSUBSCRIBE" | b"SUNSUBSCRIBE" | b"PING"
        );
        if !is_known {
            return Err(RedisFailure::new(
                RedisFailureKind::Data,
                "a subscription only receives",
            ));
        }
        self.writer.lock().await.send(&[command.to_vec()]).await
    }

    /// Waits for what comes next; `None` if nothing did within `limit` (`None`: no limit). Loses nothing when it is given up.
    pub async fn next(&self, limit: Option<Duration>) -> Result<Option<RedisPush>, RedisFailure> {
        let reply = match limit {
            None => self.reader.lock().await.next().await?,
            Some(limit) => match timeout(limit, async { self.reader.lock().await.next().await }).await {
                Ok(reply) => reply?,
                Err(_late) => return Ok(None),
            },
        };
        push(reply.into_result()?).map(Some)
    }
}

fn push(reply: Reply) -> Result<RedisPush, RedisFailure> {
    let unknown = || RedisFailure::new(RedisFailureKind::InvalidResponse, "not a message of a subscription");
    let items = match reply {
        // a ping is answered in this way when nothing is subscribed to
        Reply::Status(_) => {
            return Ok(RedisPush {
                kind: PushKind::Pong,
                pattern: None,
                channel: Bytes::new(),
                data: Bytes::new(),
                count: 0,
                is_nothing: false,
            });
        }
        Reply::Array(items) => items,
        _ => return Err(unknown()),
    };
    let is_nothing = matches!(items.get(1), Some(Reply::Nil));
    let mut items = items.into_iter();
    let mut bytes = || match items.next() {
        Some(Reply::Bulk(bytes)) => Some(bytes),
        Some(Reply::Nil) => Some(Bytes::new()),
        Some(Reply::Int(number)) => Some(Bytes::from(number.to_string())),
        _ => None,
    };
    let name = bytes().ok_or_else(unknown)?;
    let kind = match &name[..] {
        b"message" => PushKind::Message,
        b"pmessage" => PushKind::PatternMessage,
        b"subscribe" => PushKind::Subscribe,
        b"unsubscribe" => PushKind::Unsubscribe,
        b"psubscribe" => PushKind::PatternSubscribe,
        b"punsubscribe" => PushKind::PatternUnsubscribe,
        b"smessage" => PushKind::ShardMessage,
        b"ssubscribe" => PushKind::ShardSubscribe,
        b"sunsubscribe" => PushKind::ShardUnsubscribe,
        b"pong" => PushKind::Pong,
        _ => return Err(unknown()),
    };
    let pattern = if kind == PushKind::PatternMessage {
        Some(bytes().ok_or_else(unknown)?)
    } else {
        None
    };
    let channel = if kind == PushKind::Pong {
        Bytes::new()
    } else {
        bytes().ok_or_else(unknown)?
    };
    let data = bytes().ok_or_else(unknown)?;
    match kind {
        PushKind::Message | PushKind::PatternMessage | PushKind::ShardMessage | PushKind::Pong => Ok(RedisPush {
            kind,
            pattern,
            channel,
            data,
            count: 0,
            is_nothing: false,
        }),
        _ => {
            let count = std::str::from_utf8(&data)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(unknown)?;
            Ok(RedisPush {
                kind,
                pattern,
                channel,
                data: Bytes::new(),
                count,
                is_nothing,
            })
        }
    }
}
