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
use crate::live::{are_same, is_same};
use busbar_model::bearer_token::SecurityBearerToken;

/// All outgoing HTTP connections of a worker, each made when somebody first asks for it: of very many few are used.
///
/// A change of the configuration replaces the connections that it changes, with their pools; the others keep their open lines, and
/// calls in flight end on the connection that they began with.
pub struct OutgoingConnections {
    component: String,
    live: Arc<ArcSwap<Connections>>,
    double: OnceLock<Arc<dyn Double>>,
}

/// What there is at one moment.
#[derive(Default)]
struct Connections {
    /// The objects, as they are in the snapshot, and the definitions.
    of: [Box<[Arc<Record>]>; 2],
    by_name: HashMap<String, Arc<Slot>>,
    /// Where bearer tokens come from, by name of the definition.
    tokens: HashMap<String, Arc<TokenSlot>>,
}

/// A connection, made or not.
struct Slot {
    record: Arc<Record>,
    config: Arc<OutgoingHttp>,
    names: Named,
    made: OnceLock<Arc<HttpConnection>>,
    /// What stood in this place, for the case that it is the same after all.
    before: Option<Arc<HttpConnection>>,
}

/// The definitions that a connection names.
struct Named {
    security: Option<Arc<Record>>,
    /// Of a definition of bearer tokens.
    tokens: Option<Arc<TokenSlot>>,
    authority: Option<Arc<Record>>,
}

/// Where the tokens of a definition come from, made or not.
struct TokenSlot {
    record: Arc<Record>,
    made: OnceLock<Arc<TokenSource>>,
}

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
    /// off; else why it cannot be made.
    pub fn get(&self, name: &str) -> Result<Arc<HttpConnection>, Error> {
        let name = name.trim();
        match self.live.load().by_name.get(name) {
            Some(slot) if slot.record.is_active => self.connection(name, slot),
            Some(_) => Err(Error::new(
                Kind::Inactive,
                format!("outgoing.http `{name}` is inactive"),
            )),
            None => Err(Error::new(
                Kind::NotFound,
                format!("there is no outgoing.http `{name}`"),
            )),
        }
    }

    fn connection(&self, name: &str, slot: &Slot) -> Result<Arc<HttpConnection>, Error> {
        if let Some(made) = slot.made.get() {
            return Ok(Arc::clone(made));
        }
        let (credentials, authority) = slot
            .names
            .read(name, &slot.config, &self.component, self.double.get())?;
        let same = slot.before.as_ref().filter(|connection| {
            *connection.config() == *slot.config
                && connection.credentials == credentials
                && connection.authority == authority
        });
        let made = match same {
            Some(connection) => Arc::clone(connection),
            None => {
                let config = OutgoingHttp::clone(&slot.config);
                let connection = HttpConnection::build(name, config, credentials, authority, &self.component)?;
                Arc::new(connection.answered_by(self.double.get().cloned()))
            }
        };
        // somebody else may have been faster
        Ok(Arc::clone(slot.made.get_or_init(|| made)))
    }

    /// Where the tokens of the security definition of this name come from, blanks around it aside. [`Kind::NotFound`] if there is none
    /// whose type is `bearer_token`, [`Kind::Inactive`] if it is switched off.
    pub fn tokens(&self, name: &str) -> Result<Arc<TokenSource>, Error> {
        let name = name.trim();
        let live = self.live.load();
        let slot = live.tokens.get(name);
        let source = match slot {
            Some(slot) => slot.get(&self.component, self.double.get())?,
            None => None,
        };
        match source {
            Some(_) if slot.is_some_and(|slot| !slot.record.is_active) => Err(Error::new(
                Kind::Inactive,
                format!("security.bearer_token `{name}` is inactive"),
            )),
            Some(source) => Ok(source),
            None => Err(Error::new(
                Kind::NotFound,
                format!("there is no security.bearer_token `{name}` with an `auth_server_url`"),
            )),
        }
    }

    /// Names of all connections of a transport, sorted; inactive ones included, whatever theirs is.
    pub fn names(&self, transport: Transport) -> Vec<String> {
        let live = self.live.load();
        let slots = live.by_name.iter();
        let mut names: Vec<String> = slots
            .filter(|(_, slot)| !slot.record.is_active || slot.config.transport == transport)
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }
}

impl Configure for OutgoingConnections {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let running = self.live.load();
        let of = [
            snapshot.shared_of_kind(OutgoingHttp::KIND),
            snapshot.shared_definitions(),
        ];
        // most changes are of other types
        if running.of.iter().zip(of).all(|(before, now)| are_same(before, now)) {
            return Ok(Switch::new(|| {}));
        }
        let tokens = |record: &Arc<Record>| {
            // looked up without the blanks around a name, so kept without them
            let name = record.name.trim().to_owned();
            let same = running.tokens.get(&name).filter(|slot| is_same(&slot.record, record));
            let slot = same.cloned().unwrap_or_else(|| TokenSlot::of(record));
            (name, slot)
        };
        let tokens: HashMap<_, _> = snapshot
            .shared_of_kind(SecurityBearerToken::KIND)
            .iter()
            .map(tokens)
            .collect();
        let mut by_name = HashMap::new();
        for record in snapshot.shared_of_kind(OutgoingHttp::KIND) {
            let name = record.name.trim();
            let before = running.by_name.get(name);
            let config = match before.filter(|slot| is_same(&slot.record, record)) {
                Some(slot) => Arc::clone(&slot.config),
                None => Arc::new(record.parse().map_err(|error| {
                    Error::new(Kind::Config, format!("cannot read outgoing.http `{name}`")).with_source(error)
                })?),
            };
            let names = Named::find(snapshot, &config, |record| {
                let slot = tokens.get(record.name.trim()).cloned();
                slot.unwrap_or_else(|| TokenSlot::of(record))
            });
            let same = before.filter(|slot| is_same(&slot.record, record) && slot.names.are(&names));
            let slot = same.cloned().unwrap_or_else(|| {
                Arc::new(Slot {
                    record: Arc::clone(record),
                    config,
                    names,
                    made: OnceLock::new(),
                    before: before.and_then(|slot| slot.made.get().cloned()),
                })
            });
            by_name.insert(name.to_owned(), slot);
        }
        let next = Arc::new(Connections {
            of: of.map(Into::into),
            by_name,
            tokens,
        });
        let live = Arc::clone(&self.live);
        Ok(Switch::new(move || live.store(next)))
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
        let check = |record: &Record| -> Result<(), FieldError> {
            build(record.name.trim(), record.parse()?, snapshot, "")?;
            Ok(())
        };
        let records = records.iter();
        records
            .filter_map(|record| Some((*record, check(record).err()?)))
            .collect()
    }
}

/// A connection that nobody shares. `snapshot` has the definitions that it names.
fn build(name: &str, config: OutgoingHttp, snapshot: &Snapshot, component: &str) -> Result<HttpConnection, Unfit> {
    let (credentials, authority) =
        Named::find(snapshot, &config, TokenSlot::of).read(name, &config, component, None)?;
    HttpConnection::build(name, config, credentials, authority, component)
}

impl Named {
    /// What is there of what a connection names. `tokens` gives the slot of a definition of bearer tokens.
    fn find(snapshot: &Snapshot, config: &OutgoingHttp, tokens: impl FnOnce(&Arc<Record>) -> Arc<TokenSlot>) -> Self {
        let named = |name: &str| !name.is_empty();
        let security = Some(&*config.security).filter(|it| named(it));
        let security = security.and_then(|name| snapshot.shared_security(name));
        let authority = Some(&*config.tls_ca_cert).filter(|it| named(it));
        Self {
            tokens: security.filter(|it| it.kind == SecurityBearerToken::KIND).map(tokens),
            security: security.cloned(),
            authority: authority
                .and_then(|name| snapshot.shared(SecurityTlsCaCert::KIND, name))
                .cloned(),
        }
    }

    /// Whether they are the same.
    fn are(&self, other: &Self) -> bool {
        let same = |one: &Option<Arc<Record>>, other: &Option<Arc<Record>>| match (one, other) {
            (Some(one), Some(other)) => is_same(one, other),
            (None, None) => true,
            _ => false,
        };
        let tokens = self.tokens.as_ref().map(Arc::as_ptr) == other.tokens.as_ref().map(Arc::as_ptr);
        tokens && same(&self.security, &other.security) && same(&self.authority, &other.authority)
    }

    /// What they say.
    fn read(
        &self,
        name: &str,
        config: &OutgoingHttp,
        component: &str,
        double: Option<&Arc<dyn Double>>,
    ) -> Result<(Credentials, Option<SecurityTlsCaCert>), Unfit> {
        let tokens = || match &self.tokens {
            Some(slot) => slot.get(component, double),
            None => Ok(None),
        };
        let credentials =
            Credentials::find(self.security.as_deref(), tokens, name, config).map_err(Unfit::of("security"))?;
        let authority =
            authority(self.authority.as_deref(), name, &config.tls_ca_cert).map_err(Unfit::of("tls_ca_cert"))?;
        Ok((credentials, authority))
    }
}

impl TokenSlot {
    fn of(record: &Arc<Record>) -> Arc<Self> {
        Arc::new(Self {
            record: Arc::clone(record),
            made: OnceLock::new(),
        })
    }

    /// Where tokens come from; `None`: the definition says only how those of callers are checked.
    fn get(&self, component: &str, double: Option<&Arc<dyn Double>>) -> Result<Option<Arc<TokenSource>>, Error> {
        if let Some(made) = self.made.get() {
            return Ok(Some(Arc::clone(made)));
        }
        let name = self.record.name.trim();
        let config: SecurityBearerToken = self.record.parse().map_err(|error| {
            Error::new(Kind::Config, format!("cannot read security.bearer_token `{name}`")).with_source(error)
        })?;
        if !config.is_for_sending() {
            return Ok(None);
        }
        let source = TokenSource::build(&format!("security.bearer_token `{name}`"), config, component, double)?;
        // somebody else may have been faster: there is one set of tokens
        Ok(Some(Arc::clone(self.made.get_or_init(|| Arc::new(source)))))
    }
}

/// The authorities of the definition `definition`, which the connection `name` trusts; empty: it names none.
fn authority(record: Option<&Record>, name: &str, definition: &str) -> Result<Option<SecurityTlsCaCert>, Error> {
    if definition.is_empty() {
        return Ok(None);
    }
    let wrong = |what: &str| {
        let message = format!("outgoing.http `{name}` trusts security.tls_ca_cert `{definition}`, which {what}");
        Error::new(Kind::Config, message)
    };
    let record = record.ok_or_else(|| wrong("is not there"))?;
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
