//! Which Redis, and how long to wait for it.

use std::fmt;
use std::time::Duration;

/// How to reach Redis.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// One of the forms of `docs/configuration.md`: `redis://[user:password@]host[:port][/db]`, `rediss://...`, `unix:///path/to/socket`,
    /// `redis+sentinel://...`, `redis+cluster://...`.
    pub url: String,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long the reply to a command may take.
    pub response_timeout: Duration,
    /// How long commands wait for a server that has gone away before they fail; counted once from the moment it went.
    pub patience: Duration,
    /// Most connections for commands that wait in Redis, sessions and subscriptions.
    pub dedicated_connections: usize,
}

impl RedisConfig {
    /// The usual limits, for the Redis at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(10),
            patience: Duration::from_millis(1500),
            dedicated_connections: 512,
        }
    }
}

// the URL may hold a password
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("patience", &self.patience)
            .field("dedicated_connections", &self.dedicated_connections)
            .finish_non_exhaustive()
    }
}
