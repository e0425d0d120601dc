//! What all calls of one process share.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use busbar_connectors::http::outgoing::OutgoingConnections;
use busbar_connectors::imap::Mailboxes;
use busbar_connectors::redis::{RedisClient, RedisConfig, RedisConnections};
use busbar_connectors::smtp::SmtpConnections;
use busbar_connectors::sql::SqlConnections;
use busbar_model::object::Snapshot;
use busbar_model::service;
use busbar_model::{Error, Kind};
use busbar_runtime::crypto::ServerKey;
use busbar_runtime::{Configure, HubPort, Switch};

use crate::faces;
use crate::host::HostConfig;
use crate::service::ServiceClass;
use crate::sync::lock;

/// The environment that was shared last.
static PROCESS: Mutex<Weak<Environment>> = Mutex::new(Weak::new());

/// Services of the current generation by name: what `self.invoke` finds.
pub type ServiceNames = HashMap<String, Arc<ServiceClass>>;

/// What faces reach from any call: services, connectors, the hub.
pub struct Environment {
    /// Services of the current generation. Swapped as a whole when a deployment is committed.
    pub services: ArcSwap<ServiceNames>,
    /// Outgoing HTTP connections.
    pub outgoing_http: Arc<OutgoingConnections>,
    /// Mail servers.
    pub smtp: SmtpConnections,
    /// Mailboxes.
    pub imap: Mailboxes,
    /// Databases.
    pub sql: SqlConnections,
    /// The key-value database. `None`: there is none.
    pub redis: Option<RedisClient>,
    /// Further Redis servers.
    pub outgoing_redis: RedisConnections,
    /// What lives in the hub.
    pub hub: Arc<dyn HubPort>,
    /// The runtime on which connectors of this process do their I/O.
    pub runtime: tokio::runtime::Handle,
    /// Names of services that are switched off.
    pub inactive: ArcSwap<HashSet<String>>,
    /// From when on calls of services are slow, where that is set for them.
    pub slow_thresholds: ArcSwap<HashMap<String, Duration>>,
    /// All configured objects.
    pub snapshot: ArcSwap<Snapshot>,
    /// Files that users keep for their services.
    pub(crate) files: ArcSwap<faces::Files>,
    /// The server's key.
    pub key: ServerKey,
    /// Whether secrets in declared input reach services encrypted.
    pub encrypts_secrets: bool,
    /// Name of this server: `self.server.name`.
    pub server_name: String,
    /// Its directory; empty if it has none.
    pub directory: PathBuf,
    /// Whether faults of services carry their traceback.
    pub return_tracebacks: bool,
    /// What callers are told of exceptions that services did not handle, unless they see their arguments.
    pub default_error_message: String,
    /// Whether callers are not told messages of `BadRequest`, unless it was raised with `needs_msg`.
    pub hide_messages: bool,
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
            smtp: SmtpConnections::default(),
            imap: Mailboxes::default(),
            sql: SqlConnections::default(),
            redis: config
                .redis_url
                .as_ref()
                .map(|url| RedisClient::new(RedisConfig::new(url)))
                .transpose()?,
            outgoing_redis: RedisConnections::default(),
            hub,
            runtime,
            inactive: ArcSwap::default(),
            slow_thresholds: ArcSwap::default(),
            snapshot: ArcSwap::default(),
            files: ArcSwap::default(),
            key: match &config.secret_key_file {
                Some(path) => read_key(path)?,
                None => ServerKey::generate(),
            },
            encrypts_secrets: config.encrypt_secrets,
            server_name: config.server_name.clone(),
            directory: config.directory.clone(),
            return_tracebacks: config.return_tracebacks,
            default_error_message: config.default_error_message.clone(),
            hide_messages: config.hide_messages,
        })
    }

    /// Lets code that no service called find this environment: [`Environment::of_process`].
    pub(crate) fn share(self: &Arc<Self>) {
        *lock(&PROCESS) = Arc::downgrade(self);
    }

    /// The environment of the server in this process.
    pub(crate) fn of_process() -> Option<Arc<Self>> {
        lock(&PROCESS).upgrade()
    }

    /// What secrets in declared input are encrypted with, if they are.
    pub(crate) fn secrets_key(&self) -> Option<&ServerKey> {
        self.encrypts_secrets.then_some(&self.key)
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
        let switches = [
            self.outgoing_http.prepare(&snapshot)?,
            self.smtp.prepare(&snapshot)?,
            self.imap.prepare(&snapshot)?,
            self.sql.prepare(&snapshot)?,
            self.outgoing_redis.prepare(&snapshot)?,
        ];
        switches.into_iter().for_each(Switch::commit);
        self.inactive.store(Arc::new(service::inactive(&snapshot)));
        self.slow_thresholds
            .store(Arc::new(service::slow_thresholds(&snapshot)));
        self.snapshot.store(snapshot);
        Ok(())
    }
}

fn read_key(path: &Path) -> Result<ServerKey, Error> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(Kind::Config, format!("cannot read the server's key in `{shown}`")).with_source(error)
    })?;
    ServerKey::parse(&text)
        .map_err(|error| Error::new(Kind::Config, format!("there is no key in `{shown}`")).with_source(error))
}
