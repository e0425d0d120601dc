//! Further Redis servers of a worker.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use busbar_model::object::{Object, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::{Configure, Switch};

use super::{OutgoingRedis, RedisClient};

type Connections = HashMap<String, Option<Arc<RedisConnection>>>;

/// All further Redis servers of a worker. Calls that run go on with the client that they have when one is replaced.
#[derive(Default)]
pub struct RedisConnections {
    live: Arc<ArcSwap<Connections>>,
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
    /// The connection of this name. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched off.
    pub fn get(&self, name: &str) -> Result<Arc<RedisConnection>, Error> {
        match self.live.load().get(name) {
            Some(Some(connection)) => Ok(Arc::clone(connection)),
            Some(None) => Err(Error::new(
                Kind::Inactive,
                format!("{} `{name}` is inactive", OutgoingRedis::KIND),
            )),
            None => Err(Error::new(
                Kind::NotFound,
                format!("there is no {} `{name}`", OutgoingRedis::KIND),
            )),
        }
    }
}

impl Configure for RedisConnections {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let running = self.live.load();
        let mut next = Connections::new();
        for (record, config) in snapshot.of::<OutgoingRedis>() {
            let name = &record.name;
            let wrong = |error: Error| {
                let message = format!("cannot set {} `{name}` up: {}", OutgoingRedis::KIND, error.message());
                Error::new(Kind::Config, message).with_source(error)
            };
            let config = config.map_err(|error| {
                Error::new(Kind::Config, format!("cannot read {} `{name}`", OutgoingRedis::KIND)).with_source(error)
            })?;
            let same = running
                .get(name)
                .and_then(Option::as_ref)
                .filter(|it| it.config == config);
            let connection = match (record.is_active, same) {
                (false, _) => None,
                (true, Some(connection)) => Some(Arc::clone(connection)),
                (true, None) => {
                    let client = RedisClient::new(config.redis_config()).map_err(wrong)?;
                    Some(Arc::new(RedisConnection { config, client }))
                }
            };
            next.insert(name.clone(), connection);
        }
        let live = Arc::clone(&self.live);
        Ok(Switch::new(move || live.store(Arc::new(next))))
    }
}
