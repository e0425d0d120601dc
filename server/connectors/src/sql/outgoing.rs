//! The databases of a worker, by name.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use busbar_model::object::{FieldError, Object, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::handler::PoolNumbers;
use busbar_runtime::{Configure, Switch};

use super::config::OutgoingSql;
use super::options::SqlTarget;
use super::pool::{PoolLimits, SqlPool};

type Connections = HashMap<String, Option<Arc<SqlOutgoing>>>;

/// All databases of a worker.
#[derive(Default)]
pub struct SqlConnections {
    live: Arc<ArcSwap<Connections>>,
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
    /// The database of this name. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched off.
    pub fn get(&self, name: &str) -> Result<Arc<SqlOutgoing>, Error> {
        match self.live.load().get(name) {
            Some(Some(connection)) => Ok(Arc::clone(connection)),
            Some(None) => Err(Error::new(Kind::Inactive, format!("outgoing.sql `{name}` is inactive"))),
            None => Err(Error::new(Kind::NotFound, format!("there is no outgoing.sql `{name}`"))),
        }
    }

    /// Numbers of the pools of those that are switched on.
    pub fn pools(&self) -> Vec<PoolNumbers> {
        let live = self.live.load();
        let pools = live.values().flatten().filter_map(|it| it.pool.as_ref());
        let numbers = pools.map(|pool| {
            let stats = pool.stats();
            PoolNumbers {
                kind: OutgoingSql::KIND.to_owned(),
                name: pool.name().to_owned(),
                limit: (pool.limits().size + pool.limits().overflow) as u64,
                in_use: stats.in_use,
                idle: stats.idle,
                waiting: stats.waiting,
                waited: stats.waited,
                timed_out: stats.timed_out,
                opened: stats.opened,
                closed: stats.closed,
            }
        });
        numbers.collect()
    }

    /// Names of all databases, switched off or not.
    pub fn names(&self) -> Vec<String> {
        self.live.load().keys().cloned().collect()
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
        let running = self.live.load();
        let mut next = Connections::new();
        for (record, config) in snapshot.of::<OutgoingSql>() {
            let name = &record.name;
            let wrong = |error: FieldError| {
                Error::new(Kind::Config, format!("cannot read outgoing.sql `{name}`")).with_source(error)
            };
            let config = config.map_err(wrong)?;
            let same = running
                .get(name)
                .and_then(Option::as_ref)
                .filter(|it| it.config == config);
            let connection = match (record.is_active, same) {
                (false, _) => None,
                (true, Some(connection)) => Some(Arc::clone(connection)),
                (true, None) => {
                    let pool = match config.native() {
                        Some(_) => {
                            let target = SqlTarget::of_config(&config).map_err(wrong)?;
                            Some(SqlPool::new(name, target, PoolLimits::of_config(&config)))
                        }
                        None => None,
                    };
                    Some(Arc::new(SqlOutgoing { config, pool }))
                }
            };
            next.insert(name.clone(), connection);
        }
        let live = Arc::clone(&self.live);
        let runtime = tokio::runtime::Handle::try_current().ok();
        Ok(Switch::new(move || {
            let before = live.swap(Arc::new(next));
            let after = live.load();
            // closing connections needs the runtime that they were opened on
            let _runtime = runtime.as_ref().map(tokio::runtime::Handle::enter);
            for (name, old) in before.iter() {
                let Some(old) = old else {
                    continue;
                };
                let stays = after
                    .get(name)
                    .and_then(Option::as_ref)
                    .is_some_and(|new| Arc::ptr_eq(new, old));
                if let (false, Some(pool)) = (stays, &old.pool) {
                    pool.retire();
                }
            }
        }))
    }
}
