//! Further Redis servers of a worker.

use std::sync::Arc;

use busbar_model::object::{Object, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::{Configure, Switch};

use super::{OutgoingRedis, RedisClient};
use crate::live::{Live, Make};

/// All further Redis servers of a worker. Calls that run go on with the client that they have when one is replaced.
#[derive(Default)]
pub struct RedisConnections {
    live: Live<RedisConnection>,
}

/// One of them.
pub struct RedisConnection {
    config: OutgoingRedis,
    client: RedisClient,
}

impl RedisConnection {
    /// Its configuration.
    pub fn config(&self) -> &OutgoingRedis {
        &self.config
    }

    /// Its client.
    pub fn client(&self) -> &RedisClient {
        &self.client
    }
}

impl RedisConnections {
    /// The connection of this name. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched off; else why it cannot be
    /// made.
    pub fn get(&self, name: &str) -> Result<Arc<RedisConnection>, Error> {
        self.live.get(name)
    }
}

impl Configure for RedisConnections {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        Ok(self.live.prepare(snapshot, |_| {}))
    }
}

impl Make for RedisConnection {
    type Config = OutgoingRedis;

    fn make(name: &str, config: OutgoingRedis) -> Result<Self, Error> {
        let client = RedisClient::new(config.redis_config()).map_err(|error| {
            let message = format!("cannot set {} `{name}` up: {}", OutgoingRedis::KIND, error.message());
            Error::new(Kind::Config, message).with_source(error)
        })?;
        Ok(Self { config, client })
    }
}
