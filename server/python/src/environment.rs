//! What all calls of one process share.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use busbar_connectors::http::outgoing::OutgoingConnections;
use busbar_connectors::redis::{RedisClient, RedisConfig};
use busbar_model::Error;
use busbar_model::object::Snapshot;
use busbar_runtime::{Configure, HubPort};

use crate::host::HostConfig;
use crate::service::ServiceClass;

/// Services of the current generation by name: what `self.invoke` finds.
pub type ServiceNames = HashMap<String, Arc<ServiceClass>>;

/// What faces reach from any call: services, connectors, the hub.
pub struct Environment {
    /// Services of the current generation. Swapped as a whole when a deployment is committed.
    pub services: ArcSwap<ServiceNames>,
    /// Outgoing HTTP connections.
    pub outgoing_http: Arc<OutgoingConnections>,
    /// The key-value database. `None`: there is none.
    pub redis: Option<RedisClient>,
    /// What lives in the hub.
    pub hub: Arc<dyn HubPort>,
    /// The runtime on which connectors of this process do their I/O.
    pub runtime: tokio::runtime::Handle,
    /// All configured objects.
    pub snapshot: ArcSwap<Snapshot>,
    /// Name of this server: `self.server.name`.
    pub server_name: String,
    /// Whether faults of services carry their traceback.
    pub return_tracebacks: bool,
}

impl Environment {
    /// An environment without services and objects.
    pub(crate) fn build(
        config: &HostConfig,
        hub: Arc<dyn HubPort>,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, Error> {
        Ok(Self {
            services: ArcSwap::default(),
            outgoing_http: Arc::new(OutgoingConnections::new(&config.server_name)),
            redis: config
                .redis_url
                .as_ref()
                .map(|url| RedisClient::new(RedisConfig::new(url)))
                .transpose()?,
            hub,
            runtime,
            snapshot: ArcSwap::default(),
            server_name: config.server_name.clone(),
            return_tracebacks: config.return_tracebacks,
        })
    }

    /// An environment with the default settings.
    #[cfg(test)]
    pub(crate) fn for_tests(runtime: tokio::runtime::Handle, hub: Arc<dyn HubPort>) -> Self {
        Self::build(&HostConfig::default(), hub, runtime).expect("the default settings are right")
    }

    /// Takes over a new state of the configured objects. If something cannot be built from it, nothing changes.
    pub(crate) fn configure(&self, snapshot: Arc<Snapshot>) -> Result<(), Error> {
        // pools are tied to the runtime on which they were built
        let _runtime = self.runtime.enter();
        let switch = self.outgoing_http.prepare(&snapshot)?;
        switch.commit();
        self.snapshot.store(snapshot);
        Ok(())
    }
}
