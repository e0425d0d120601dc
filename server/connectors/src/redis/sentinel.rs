//! The master of a service that Sentinels watch over.
//!
//! Asked for over connections of our own rather than with the library's client, which has its own TLS and no limits of time.

use std::sync::{Arc, Mutex, PoisonError};

use redis::RedisConnectionInfo;
use rustls::ClientConfig;

use super::address::{Endpoint, info};
use super::line::Line;
use super::{RedisConfig, RedisFailure, RedisFailureKind, Reply};

/// The Sentinels, and the master that they named last.
pub(super) struct Sentinels {
    pub(super) sentinels: Vec<Endpoint>,
    pub(super) service: String,
    /// How to log in to the master.
    pub(super) settings: RedisConnectionInfo,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) known: Mutex<Option<Endpoint>>,
}

impl Sentinels {
    /// The master. The first Sentinel that answers with a server which says itself that it is one is right.
    pub(super) async fn master(&self, config: &RedisConfig) -> Result<Endpoint, RedisFailure> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(known);
        }
        let mut reasons = Vec::new();
        for sentinel in &self.sentinels {
            match self.ask(sentinel, config).await {
                Ok(master) => {
                    *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(master.clone());
                    return Ok(master);
                }
                Err(failure) => reasons.push(format!("`{sentinel:?}`: {}", failure.message())),
            }
        }
        let message = format!(
            "no Sentinel leads to the master of `{}`; {}",
            self.service,
            reasons.join("; ")
        );
        Err(RedisFailure::new(RedisFailureKind::Connection, message))
    }

    /// Has the Sentinels asked again.
    pub(super) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn ask(&self, sentinel: &Endpoint, config: &RedisConfig) -> Result<Endpoint, RedisFailure> {
        let name = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.service];
        let unknown = |message: &str| RedisFailure::new(RedisFailureKind::Connection, message);
        let Reply::Array(address) = run(sentinel, &name, config).await? else {
            return Err(unknown("it does not know the service"));
        };
        let text = |reply: &Reply| {
            reply
                .as_bytes()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let (host, port) = match &address[..] {
            [host, port] => (text(host), text(port).and_then(|port| port.parse().ok())),
            _ => (None, None),
        };
        let (Some(host), Some(port)) = (host, port) else {
            return Err(unknown("it answered with no address"));
        };
        let master = Endpoint {
            info: info(host, port, &self.settings).map_err(|error| unknown(error.message()))?,
            tls: self.tls.clone(),
        };
        // in the middle of a failover Sentinels name the old one for a moment
        match run(&master, &["ROLE"], config).await? {
            Reply::Array(role) if role.first().and_then(Reply::as_bytes) == Some(b"master") => Ok(master),
            _ => Err(unknown(&format!("`{master:?}` is not the master any more"))),
        }
    }
}

async fn run(endpoint: &Endpoint, words: &[&str], config: &RedisConfig) -> Result<Reply, RedisFailure> {
    let mut line = Line::open(endpoint, config.connect_timeout, config.response_timeout).await?;
    let command = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let mut replies = line.run(&[command], Some(config.response_timeout)).await?;
    replies.pop().unwrap_or(Reply::Nil).into_result()
}
