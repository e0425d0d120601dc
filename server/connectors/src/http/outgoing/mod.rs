#![doc = include_str!("docs.md")]

mod address;
mod connect;
mod connection;
mod decode;
mod double;
mod error;
mod message;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::{Configure, Switch};
use serde_json::Value;

use self::connection::Credentials;
pub use self::connection::{HttpConnection, MAX_REDIRECTS};
pub use self::double::{Double, DoubledRequest};
pub use self::error::HttpFailure;
pub use self::message::{HttpRequest, HttpResponse};
use super::config::Transport;
use super::outgoing_config::OutgoingHttp;

/// All outgoing HTTP connections of a worker.
///
/// A change of the configuration replaces the connections that it changes, with their pools; the others keep their open lines, and
/// calls in flight end on the connection that they began with.
pub struct OutgoingConnections {
    component: String,
    live: Arc<ArcSwap<Connections>>,
    double: OnceLock<Arc<dyn Double>>,
}

/// Connections by name; `None` for those which are switched off.
type Connections = HashMap<String, Option<Arc<HttpConnection>>>;

impl OutgoingConnections {
    /// No connections yet. `component` names this server to back-ends, in the header `X-Zato-Component`.
    pub fn new(component: impl Into<String>) -> Self {
        Self {
            component: component.into(),
            live: Arc::default(),
            double: OnceLock::new(),
        }
    }

    /// From now on no connection that is built opens a line: `double` answers. For tests of services; the first one counts.
    pub fn answer_with(&self, double: Arc<dyn Double>) {
        self.double.get_or_init(|| double);
    }

    /// The connection of this name, blanks around it aside. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched
    /// off.
    pub fn get(&self, name: &str) -> Result<Arc<HttpConnection>, Error> {
        let name = name.trim();
        match self.live.load().get(name) {
            Some(Some(connection)) => Ok(Arc::clone(connection)),
            Some(None) => Err(Error::new(
                Kind::Inactive,
                format!("outgoing.http `{name}` is inactive"),
            )),
            None => Err(Error::new(
                Kind::NotFound,
                format!("there is no outgoing.http `{name}`"),
            )),
        }
    }

    /// Names of all connections of a transport, sorted; inactive ones included, whatever theirs is.
    pub fn names(&self, transport: Transport) -> Vec<String> {
        let live = self.live.load();
        let of_transport = |connection: &Option<Arc<HttpConnection>>| {
            connection.as_ref().is_none_or(|it| it.config().transport == transport)
        };
        let mut names: Vec<String> = live
            .iter()
            .filter(|(_, connection)| of_transport(connection))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }
}

impl Configure for OutgoingConnections {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let running = self.live.load();
        let mut next = Connections::new();
        for (record, config) in snapshot.of::<OutgoingHttp>() {
            let config = config.map_err(|error| {
                Error::new(Kind::Config, format!("cannot read outgoing.http `{}`", record.name)).with_source(error)
            })?;
            // looked up without the blanks around a name, so kept without them
            let name = record.name.trim();
            let connection = if record.is_active {
                let credentials = credentials(snapshot, name, &config.security)?;
                let same = running
                    .get(name)
                    .and_then(Option::as_ref)
                    .filter(|connection| *connection.config() == config && connection.credentials == credentials);
                Some(match same {
                    Some(connection) => Arc::clone(connection),
                    None => {
                        let connection = HttpConnection::build(name, config, credentials, &self.component)?;
                        Arc::new(connection.answered_by(self.double.get().cloned()))
                    }
                })
            } else {
                None
            };
            next.insert(name.to_owned(), connection);
        }
        let live = Arc::clone(&self.live);
        Ok(Switch::new(move || live.store(Arc::new(next))))
    }
}

/// What the security definition `security` lets the connection `name` send.
fn credentials(snapshot: &Snapshot, name: &str, security: &str) -> Result<Credentials, Error> {
    if security.is_empty() {
        return Ok(Credentials::None);
    }
    let is_definition = |record: &&Record| record.name == security && record.kind.starts_with("security.");
    let Some(record) = snapshot.records.iter().find(is_definition) else {
        let message = format!("outgoing.http `{name}` needs security definition `{security}`, which is not there");
        return Err(Error::new(Kind::Config, message));
    };
    if !record.is_active {
        return Ok(Credentials::Inactive(security.to_owned()));
    }
    let field = |name: &str| {
        record
            .body
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match record.kind.as_str() {
        "security.basic_auth" => Ok(Credentials::Basic {
            username: field("username"),
            password: field("password"),
        }),
        "security.apikey" => Ok(Credentials::ApiKey {
            header: field("header"),
            key: field("password"),
        }),
        other => {
            let message =
                format!("outgoing.http `{name}` cannot use security definition `{security}` of type `{other}`");
            Err(Error::new(Kind::Config, message).with_hint("use one of type `basic_auth` or `apikey`"))
        }
    }
}

/// The object's kind, for those who log.
pub const KIND: &str = OutgoingHttp::KIND;
