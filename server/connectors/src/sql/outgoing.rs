//! The databases of a worker, by name.

use std::sync::Arc;

use busbar_model::object::{FieldError, Object, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::handler::PoolNumbers;
use busbar_runtime::{Configure, Switch};

use super::config::OutgoingSql;
use super::options::SqlTarget;
use super::pool::{PoolLimits, PoolStats, SqlPool};
use crate::live::{Live, Make};

/// All databases of a worker.
#[derive(Default)]
pub struct SqlConnections {
    live: Live<SqlOutgoing>,
}

/// A database.
pub struct SqlOutgoing {
    config: OutgoingSql,
    pool: Option<Arc<SqlPool>>,
}

impl SqlOutgoing {
    /// Its configuration.
    pub fn config(&self) -> &OutgoingSql {
        &self.config
    }

    /// Its pool; `None`: SQLAlchemy's own driver speaks to it.
    pub fn pool(&self) -> Option<&Arc<SqlPool>> {
        self.pool.as_ref()
    }
}

impl SqlConnections {
    /// The database of this name. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched off; else why it cannot be used.
    pub fn get(&self, name: &str) -> Result<Arc<SqlOutgoing>, Error> {
        self.live.get(name)
    }

    /// Numbers of the pools of those that are switched on; of those that nobody has used yet too.
    pub fn pools(&self) -> Vec<PoolNumbers> {
        let mut pools = Vec::new();
        self.live.each(|record, made| {
            let (limits, stats) = match made {
                Some(connection) => match &connection.pool {
                    Some(pool) => (pool.limits().clone(), pool.stats()),
                    None => return,
                },
                None => match record.parse::<OutgoingSql>() {
                    Ok(config) if config.native().is_some() => (PoolLimits::of_config(&config), PoolStats::default()),
                    _ => return,
                },
            };
            pools.push(PoolNumbers {
                kind: OutgoingSql::KIND.to_owned(),
                name: record.name.clone(),
                limit: (limits.size + limits.overflow) as u64,
                in_use: stats.in_use,
                idle: stats.idle,
                waiting: stats.waiting,
                waited: stats.waited,
                timed_out: stats.timed_out,
                opened: stats.opened,
                closed: stats.closed,
            });
        });
        pools
    }

    /// Names of all databases, switched off or not.
    pub fn names(&self) -> Vec<String> {
        self.live.names()
    }
}

impl Make for SqlOutgoing {
    type Config = OutgoingSql;

    fn make(name: &str, config: OutgoingSql) -> Result<Self, Error> {
        let wrong = |error: FieldError| {
            Error::new(Kind::Config, format!("cannot read outgoing.sql `{name}`")).with_source(error)
        };
        let pool = match config.native() {
            Some(_) => {
                let target = SqlTarget::of_config(&config).map_err(wrong)?;
                Some(SqlPool::new(name, target, PoolLimits::of_config(&config)))
            }
            None => None,
        };
        Ok(Self { config, pool })
    }
}

/// Whether there can be a pool as an object says. Databases without connections of busbar's own are left to their drivers.
pub(crate) fn check(config: &OutgoingSql) -> Result<(), FieldError> {
    match config.native() {
        Some(_) => SqlTarget::of_config(config).map(|_| ()),
        None => Ok(()),
    }
}

impl Configure for SqlConnections {
    /// Pools whose object is the same stay as they are. Of others a new one is made; the old one lets those finish who use it.
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let retire = |connection: &SqlOutgoing| {
            if let Some(pool) = &connection.pool {
                pool.retire();
            }
        };
        Ok(self.live.prepare(snapshot, retire))
    }
}
