#![doc = include_str!("docs.md")]

mod address;
mod api;
mod bearer;
mod connect;
mod connection;
mod credentials;
mod decode;
mod double;
mod error;
mod message;
pub mod ntlm;
mod peers;
mod ping;
mod pool;
mod prepared;
mod redirect;
#[cfg(test)]
mod tests;
mod wss;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use busbar_model::object::{FieldError, Object, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::{Configure, Switch};

pub(crate) use self::api::{ApiClient, ApiConfig};
pub use self::bearer::TokenSource;
pub(crate) use self::connect::{Trust, tls as client_tls, tls_without_protocols};
pub use self::connection::{HttpConnection, MAX_REDIRECTS};
use self::credentials::Credentials;
pub use self::double::{Double, DoubledRequest};
pub use self::error::HttpFailure;
pub use self::message::{HttpRequest, HttpResponse};
pub use self::peers::HttpPeers;
pub(crate) use self::ping::ping;
use super::ca_cert::SecurityTlsCaCert;
use super::config::Transport;
use super::outgoing_config::OutgoingHttp;
use crate::check::Unfit;
use busbar_model::bearer_token::SecurityBearerToken;

/// All outgoing HTTP connections of a worker.
///
/// A change of the configuration replaces the connections that it changes, with their pools; the others keep their open lines, and
/// calls in flight end on the connection that they began with.
pub struct OutgoingConnections {
    component: String,
    live: Arc<ArcSwap<Connections>>,
    tokens: Arc<ArcSwap<TokenSources>>,
    double: OnceLock<Arc<dyn Double>>,
}

/// Connections by name; `None` for those which are switched off.
type Connections = HashMap<String, Option<Arc<HttpConnection>>>;
/// Where bearer tokens come from, by name of the definition; `None` for those which are switched off.
type TokenSources = HashMap<String, Option<Arc<TokenSource>>>;

impl OutgoingConnections {
    /// No connections yet. `component` names this server to back-ends, in the header `X-Zato-Component`.
    pub fn new(component: impl Into<String>) -> Self {
        Self {
            component: component.into(),
            live: Arc::default(),
            tokens: Arc::default(),
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

    /// Where the tokens of the security definition of this name come from, blanks around it aside. [`Kind::NotFound`] if there is none
    /// whose type is `bearer_token`, [`Kind::Inactive`] if it is switched off.
    pub fn tokens(&self, name: &str) -> Result<Arc<TokenSource>, Error> {
        let name = name.trim();
        match self.tokens.load().get(name) {
            Some(Some(source)) => Ok(Arc::clone(source)),
            Some(None) => Err(Error::new(
                Kind::Inactive,
                format!("security.bearer_token `{name}` is inactive"),
            )),
            None => Err(Error::new(
                Kind::NotFound,
                format!("there is no security.bearer_token `{name}` with an `auth_server_url`"),
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

impl OutgoingConnections {
    /// The sources of tokens that a snapshot has. Those which it does not change keep their tokens.
    fn token_sources(&self, snapshot: &Snapshot) -> Result<TokenSources, Error> {
        let running = self.tokens.load();
        let mut next = TokenSources::new();
        for (record, config) in snapshot.of::<SecurityBearerToken>() {
            let name = record.name.trim();
            let config = config.map_err(|error| {
                Error::new(Kind::Config, format!("cannot read security.bearer_token `{name}`")).with_source(error)
            })?;
            if !config.is_for_sending() {
                continue;
            }
            let source = if record.is_active {
                let same = running
                    .get(name)
                    .and_then(Option::as_ref)
                    .filter(|source| *source.config() == config);
                Some(match same {
                    Some(source) => Arc::clone(source),
                    None => Arc::new(TokenSource::build(
                        &format!("security.bearer_token `{name}`"),
                        config,
                        &self.component,
                        self.double.get(),
                    )?),
                })
            } else {
                None
            };
            next.insert(name.to_owned(), source);
        }
        Ok(next)
    }
}

impl Configure for OutgoingConnections {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let running = self.live.load();
        let mut next = Connections::new();
        let sources = self.token_sources(snapshot)?;
        for (record, config) in snapshot.of::<OutgoingHttp>() {
            let config = config.map_err(|error| {
                Error::new(Kind::Config, format!("cannot read outgoing.http `{}`", record.name)).with_source(error)
            })?;
            // looked up without the blanks around a name, so kept without them
            let name = record.name.trim();
            let connection = if record.is_active {
                let (credentials, authority) = definitions(snapshot, &sources, name, &config)?;
                let same = running.get(name).and_then(Option::as_ref).filter(|connection| {
                    *connection.config() == config
                        && connection.credentials == credentials
                        && connection.authority == authority
                });
                Some(match same {
                    Some(connection) => Arc::clone(connection),
                    None => {
                        let connection = HttpConnection::build(name, config, credentials, authority, &self.component)?;
                        Arc::new(connection.answered_by(self.double.get().cloned()))
                    }
                })
            } else {
                None
            };
            next.insert(name.to_owned(), connection);
        }
        let live = Arc::clone(&self.live);
        let tokens = Arc::clone(&self.tokens);
        Ok(Switch::new(move || {
            tokens.store(Arc::new(sources));
            live.store(Arc::new(next));
        }))
    }
}

impl OutgoingConnections {
    /// Whether tokens can be asked for as a definition says.
    pub(crate) fn check_source(record: &Record) -> Result<(), FieldError> {
        let config: SecurityBearerToken = record.parse()?;
        if config.is_for_sending() {
            let owner = format!("security.bearer_token `{}`", record.name);
            TokenSource::build(&owner, config, "", None).map_err(Unfit::of("auth_server_url"))?;
        }
        Ok(())
    }

    /// Those of `records` of which no connection can be made, and why.
    pub(crate) fn check<'r>(records: &[&'r Record], snapshot: &Snapshot) -> Vec<(&'r Record, FieldError)> {
        // what is wrong with a source of tokens is said of whoever sends them
        let (sources, wrong) = match Self::new("").token_sources(snapshot) {
            Ok(sources) => (sources, None),
            Err(error) => (TokenSources::new(), Some(error.chain())),
        };
        let check = |record: &Record| -> Result<(), FieldError> {
            let config: OutgoingHttp = record.parse()?;
            let name = record.name.trim();
            if let Some(wrong) = wrong.as_ref().filter(|_| !config.security.is_empty()) {
                return Err(FieldError::new("security", wrong.clone()));
            }
            let (credentials, authority) = definitions(snapshot, &sources, name, &config)?;
            HttpConnection::build(name, config, credentials, authority, "")?;
            Ok(())
        };
        let records = records.iter();
        records
            .filter_map(|record| Some((*record, check(record).err()?)))
            .collect()
    }
}

/// What the security definitions that a connection names say.
fn definitions(
    snapshot: &Snapshot,
    sources: &TokenSources,
    name: &str,
    config: &OutgoingHttp,
) -> Result<(Credentials, Option<SecurityTlsCaCert>), Unfit> {
    let credentials = Credentials::find(snapshot, sources, name, config).map_err(Unfit::of("security"))?;
    let authority = authority(snapshot, name, &config.tls_ca_cert).map_err(Unfit::of("tls_ca_cert"))?;
    Ok((credentials, authority))
}

/// The authorities of the definition `definition`, which the connection `name` trusts; empty: it names none.
fn authority(snapshot: &Snapshot, name: &str, definition: &str) -> Result<Option<SecurityTlsCaCert>, Error> {
    if definition.is_empty() {
        return Ok(None);
    }
    let wrong = |what: &str| {
        let message = format!("outgoing.http `{name}` trusts security.tls_ca_cert `{definition}`, which {what}");
        Error::new(Kind::Config, message)
    };
    let record = snapshot
        .get(SecurityTlsCaCert::KIND, definition)
        .ok_or_else(|| wrong("is not there"))?;
    if !record.is_active {
        return Err(wrong("is switched off"));
    }
    record
        .parse()
        .map(Some)
        .map_err(|error| wrong("cannot be read").with_source(error))
}

/// The object's kind, for those who log.
pub const KIND: &str = OutgoingHttp::KIND;
