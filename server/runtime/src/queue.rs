//! The seam of the durable queue: messages for services, which are kept until a service has returned.
//!
//! Whoever has a message [`Queue::put`]s it; the queue hands it to [`Deliver`], again if that did not work, and keeps what never works
//! apart, as a dead letter.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::{ChannelType, Cid, DataFormat, Error, Kind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::call::{ChannelFields, HeadBuilder, RequestFields};
use crate::handler::BoxFuture;
use crate::hub_port::HubRequest;

/// A call of a service that nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its own correlation id: two messages never share one.
    pub cid: Cid,
    /// Name of the service.
    pub service: String,
    /// What its service is told about it: see [`crate::call::Head`].
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
    /// When it becomes useless; `None`: never.
    pub expires: Option<SystemTime>,
}

impl Message {
    /// A message that a service of this server leaves for another one. The body is an [`Envelope`], or holds more than it, as Python
    /// writes it. What comes from outside must never be stored so: the envelope says what else is called.
    pub fn of_service(cid: Cid, service: String, envelope: Bytes, expires: Option<SystemTime>) -> Self {
        let channel = HeadBuilder::channel(&ChannelFields {
            channel_type: Some(ChannelType::InvokeAsync),
            data_format: DataFormat::Dict,
            channel: &service,
            ..ChannelFields::default()
        });
        Self {
            cid,
            head: HeadBuilder::request(&channel, RequestFields::default()).finish([].into_iter(), [].into_iter()),
            body: envelope,
            expires,
            service,
        }
    }

    /// What a worker asks of the hub to have the message stored.
    pub const KIND: &'static str = "queue";

    /// As a request to the hub.
    pub fn into_request(self) -> HubRequest {
        let expires = self.expires.map_or(0, |expires| {
            expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
        });
        HubRequest {
            kind: Self::KIND.to_owned(),
            name: self.service,
            operation: "put".to_owned(),
            parts: vec![
                Bytes::copy_from_slice(self.cid.as_bytes()),
                self.head,
                self.body,
                Bytes::copy_from_slice(&expires.to_le_bytes()),
            ],
        }
    }

    /// The other way.
    pub fn from_request(request: HubRequest) -> Result<Self, Error> {
        let wrong = || Error::new(Kind::Protocol, "a request for the queue does not hold a message");
        if request.operation != "put" {
            return Err(wrong());
        }
        let [cid, head, body, expires]: [Bytes; 4] = request.parts.try_into().map_err(|_| wrong())?;
        let expires = u64::from_le_bytes(expires[..].try_into().map_err(|_| wrong())?);
        Ok(Self {
            cid: Cid::from_bytes(&cid).ok_or_else(wrong)?,
            service: request.name,
            head,
            body,
            expires: (expires > 0).then(|| UNIX_EPOCH + Duration::from_millis(expires)),
        })
    }
}

/// The body of a message that one service leaves for another, as far as the hub reads it: when the other one is its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// What the service is called with; for one of the hub's own a text, its request.
    pub payload: Box<RawValue>,
    /// Name of the service that calls, if the hub's own is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// What the service sees as its channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The correlation id that the caller gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// The correlation id of the call that this is the callback of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// What is handed on to callbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environ: Option<Box<RawValue>>,
    /// Services that are called with the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callback: Vec<String>,
}

impl Envelope {
    /// What the channel of a callback is called.
    pub const CALLBACK_CHANNEL: &'static str = "invoke-async-callback";
}

/// What came of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// The service returned. The message is forgotten.
    Done,
    /// It did not, and may the next time: a failure, a dead worker, a full queue.
    Again(String),
    /// It did not and never will: the message itself is wrong.
    Never(String),
}

/// Runs messages.
pub trait Deliver: Send + Sync + 'static {
    /// Runs one. Dropping the future cancels the call.
    fn deliver(&self, message: Message) -> BoxFuture<'static, Delivered>;
}

/// The queue.
pub trait Queue: Send + Sync + 'static {
    /// Stores a message; ready once it is safe from the death of every process. Never waits for long.
    fn put(&self, message: Message) -> BoxFuture<'static, Result<(), Error>>;

    /// How it is.
    fn status(&self) -> BoxFuture<'_, Result<QueueStatus, Error>>;

    /// Dead letters, the oldest first, at most `limit`.
    fn dead(&self, limit: usize) -> BoxFuture<'_, Result<Vec<DeadLetter>, Error>>;

    /// Puts dead letters back into the queue: those of these ids, or all. Says how many there were.
    fn replay(&self, ids: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>>;

    /// Throws dead letters away: those of these ids, or all. Says how many there were.
    fn forget(&self, ids: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>>;
}

/// How a queue is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Messages that no service has returned from yet.
    pub waiting: u64,
    /// Of these, those that are being run by this server, or wait to be run again.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
}

/// A message that was given up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// What to replay it by.
    pub id: String,
    /// Correlation id, to find it in the log.
    pub cid: String,
    /// Name of the service.
    pub service: String,
    /// Why it was given up.
    pub reason: String,
    /// How often it was delivered.
    pub deliveries: u64,
    /// When it was given up, in milliseconds since 1970.
    pub at_ms: u64,
    /// Size of the body.
    pub size_bytes: usize,
    /// How the body begins.
    pub excerpt: String,
}

/// How a queue treats its messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Messages that this server runs at the same time, at most.
    pub concurrency: usize,
    /// Seconds that a service may take with a message, unless it says otherwise itself.
    pub deadline_secs: u64,
    /// After so many deliveries a message becomes a dead letter.
    pub max_deliveries: u64,
    /// Seconds until a message that failed is run again; doubles each time, to a minute at most.
    pub retry_secs: f64,
    /// Messages that the queue holds at most. Then whoever puts one gets an error.
    pub max_messages: u64,
    /// Dead letters that are kept at most. Beyond, the oldest are thrown away.
    pub max_dead: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            deadline_secs: 3600,
            max_deliveries: 8,
            retry_secs: 1.0,
            max_messages: 1_000_000,
            max_dead: 100_000,
        }
    }
}

impl QueueConfig {
    /// How long to wait after so many deliveries.
    pub fn pause(&self, deliveries: u64) -> Duration {
        const LONGEST: f64 = 60.0;
        let doubled = self.retry_secs.max(0.0) * 2f64.powi(deliveries.saturating_sub(1).min(30) as i32);
        Duration::from_secs_f64(if doubled.is_finite() {
            doubled.min(LONGEST)
        } else {
            LONGEST
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cross_to_the_hub() {
        let message = Message {
            cid: Cid::new(),
            service: "a.b".to_owned(),
            head: Bytes::from_static(&[1]),
            body: Bytes::from_static(b"x"),
            expires: Some(UNIX_EPOCH + Duration::from_millis(7)),
        };
        assert_eq!(Message::from_request(message.clone().into_request()).unwrap(), message);
        let mut cut = message.into_request();
        cut.parts.pop();
        assert!(Message::from_request(cut).is_err());
    }

    #[test]
    fn pauses_double_to_a_minute() {
        let config = QueueConfig::default();
        let pauses: Vec<u64> = (1..9).map(|count| config.pause(count).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        for odd in [f64::NAN, f64::INFINITY, -1.0] {
            let config = QueueConfig {
                retry_secs: odd,
                ..QueueConfig::default()
            };
            assert!(config.pause(3).as_secs() <= 60);
        }
    }
}
