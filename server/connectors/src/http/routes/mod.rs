//! Which channel a request belongs to (http.md 2).
//!
//! Our own channels come before internal ones; then literal paths before those with placeholders, longer paths before shorter ones,
//! channels that name a method, an accept value or a SOAP action before those that take any, and at last by name. The first one that
//! matches in full is it. Earlier servers went by name alone, so a channel that is now served by another one is warned of.

mod index;
mod internal;
mod management;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{ACCEPT, HeaderMap};
use http::{HeaderValue, Method};

use busbar_model::audit::AuditEntry;
use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::references::SECURITY;
use busbar_model::{ChannelType, Error, Kind};
use busbar_runtime::call::{ChannelFields, ChannelHead};
use busbar_runtime::inbound::{Entrance, Gate, Guard, Guards};
use busbar_runtime::queue::Queue;
use busbar_runtime::{Configure, HeadBuilder, Switch};

use crate::http::audit::AuditLog;
use crate::http::cache::ResponseCache;
use crate::http::config::{ANY_ACCEPT, ChannelHttp, ParamsPriority, UrlParamsPriority};
use crate::http::cors::CorsRules;
use crate::http::extra::{Extra, Shared};
use crate::http::pattern::Pattern;
use crate::http::respond::{Style, Styles};
use crate::http::routes::index::Index;
use crate::http::settings::{HttpConfig, OpenApiAccess};
use crate::http::soap;

/// The channels that are configured, and the built-in ones.
pub struct Routes {
    gate: Arc<dyn Gate>,
    clients: Arc<ArcSwap<RouteTable>>,
    administrators: Arc<ArcSwap<RouteTable>>,
    /// Clients find what administrators do.
    shares_management: AtomicBool,
    /// Pairs of channels that were warned of, so that not every change repeats it.
    warned: Arc<Mutex<HashSet<(String, String)>>>,
    styles: Styles,
    openapi: OpenApiAccess,
    shared: Arc<Shared>,
    /// What was prepared last, whether it came into effect or not.
    prepared: Mutex<Option<Prepared>>,
}

/// Channels, and what they were made of: of very many few change at a time.
struct Prepared {
    guards: Arc<dyn Guards>,
    shares_management: bool,
    /// The channels that are configured, by name.
    own: Vec<Own>,
    clients: Arc<RouteTable>,
    administrators: Arc<RouteTable>,
}

/// A channel that is configured, and its object.
type Own = (Arc<Record>, Arc<Route>);

/// For whom a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever calls services: the channels that are configured, and the built-in ones.
    Clients,
    /// Those who manage the server.
    Administrators,
}

/// All channels of an audience at one moment.
#[derive(Default)]
pub(crate) struct RouteTable {
    own: Arc<Scope>,
    internal: Arc<Scope>,
}

/// One channel, ready for requests.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) service: Arc<str>,
    /// How its callers are spoken to.
    pub(crate) style: Style,
    /// Who may come in; `None`: anybody.
    pub(crate) guard: Option<Arc<dyn Guard>>,
    pub(crate) timeout: Option<Duration>,
    /// What few channels have.
    pub(crate) extra: Option<Box<Extra>>,
    /// The packed part of the head that is the same for all its requests.
    pub(crate) head: ChannelHead,
    is_active: bool,
    path: String,
    pattern: Pattern,
    /// `None`: any.
    method: Option<Method>,
    /// `None`: any.
    accept: Option<String>,
    /// Takes requests with this SOAP action; `None`: any, and requests without one.
    soap_action: Option<String>,
}

/// What a request was found to be.
pub(crate) enum Found<'t> {
    /// A request for this channel.
    Route(&'t Arc<Route>),
    /// A request for a channel that is switched off.
    Inactive(&'t Arc<Route>),
    /// There are channels for the path, but for these methods.
    Method(String),
    /// There is no such channel.
    Nothing,
}

impl Routes {
    /// No channels at all, until something is configured. `gate` makes their guards.
    pub fn new(gate: Arc<dyn Gate>) -> Arc<Self> {
        Self::of(gate, Styles::default(), &HttpConfig::default())
    }

    /// The same, with what the server's settings say of answers.
    ///
    /// # Errors
    /// If a content type cannot be sent.
    pub fn build(gate: Arc<dyn Gate>, config: &HttpConfig) -> Result<Arc<Self>, Error> {
        Ok(Self::of(gate, Styles::build(config)?, config))
    }

    fn of(gate: Arc<dyn Gate>, styles: Styles, config: &HttpConfig) -> Arc<Self> {
        Arc::new(Self {
            gate,
            clients: Arc::default(),
            administrators: Arc::default(),
            shares_management: AtomicBool::new(false),
            warned: Arc::default(),
            styles,
            openapi: config.openapi,
            shared: Arc::new(Shared {
                cache: ResponseCache::new(config.cache_max_bytes),
                audit: AuditLog::default(),
                queue: Arc::default(),
            }),
            prepared: Mutex::default(),
        })
    }

    /// Where channels keep requests that they answer before the service runs. The first one counts.
    pub fn set_queue(&self, queue: Arc<dyn Queue>) {
        // a second one would be a defect of whoever puts the server together, and harmless
        let _ = self.shared.queue.set(queue);
    }

    /// Lets clients find the doors of the management API too, from the next change of the configuration on.
    pub fn share_management(&self) {
        self.shares_management.store(true, Ordering::Relaxed);
    }

    /// What a channel has kept of its messages, the oldest first; `None`: it keeps none.
    pub fn audit_log(&self, channel: &str) -> Option<Vec<AuditEntry>> {
        self.shared.audit.entries(channel)
    }

    /// The channels of an audience, now and whenever they change.
    pub(crate) fn of_audience(&self, audience: Audience) -> Arc<ArcSwap<RouteTable>> {
        Arc::clone(match audience {
            Audience::Clients => &self.clients,
            Audience::Administrators => &self.administrators,
        })
    }
}

impl Configure for Routes {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let guards = self.gate.guards(snapshot)?;
        let shares_management = self.shares_management.load(Ordering::Relaxed);
        // replaced as a whole
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let before = prepared.as_ref();
        // guards are made of what else channels are made of
        let before = before.filter(|it| it.shares_management == shares_management && Arc::ptr_eq(&it.guards, &guards));
        let own = self.own(before, snapshot, &*guards)?;
        let is_same = |before: &&Prepared| {
            let routes = before.own.iter().zip(&own);
            before.own.len() == own.len() && routes.into_iter().all(|((_, a), (_, b))| Arc::ptr_eq(a, b))
        };
        let scope = match before.filter(is_same) {
            Some(before) => Arc::clone(&before.clients.own),
            None => {
                refuse_twins(&own)?;
                Arc::new(Scope::new(own.iter().map(|(_, route)| Arc::clone(route)).collect())?)
            }
        };
        let (internal, administrators) = match before {
            Some(before) => (Arc::clone(&before.clients.internal), Arc::clone(&before.administrators)),
            None => self.built_in(snapshot, &*guards, shares_management)?,
        };
        let clients = Arc::new(RouteTable { own: scope, internal });
        let tables = [
            (Arc::clone(&self.clients), Arc::clone(&clients)),
            (Arc::clone(&self.administrators), Arc::clone(&administrators)),
        ];
        *prepared = Some(Prepared {
            guards,
            shares_management,
            own,
            clients,
            administrators,
        });
        let (warned, shared) = (Arc::clone(&self.warned), Arc::clone(&self.shared));
        Ok(Switch::new(move || {
            let own = &tables[0].1.own;
            if !Arc::ptr_eq(own, &tables[0].0.load().own) {
                warn_of_changed_order(own, &warned);
                let audited = own.audited();
                shared.audit.retain(|name| audited.contains(name));
            }
            for (current, table) in tables {
                current.store(table);
            }
        }))
    }
}

impl Routes {
    /// The channels that are configured, by name. Those whose objects are the same as before are the same.
    fn own(&self, before: Option<&Prepared>, snapshot: &Snapshot, guards: &dyn Guards) -> Result<Vec<Own>, Error> {
        let before = before.map(|it| it.own.as_slice()).unwrap_or_default();
        let route = |record: &Arc<Record>| {
            let index = before.binary_search_by(|(other, _)| other.name.cmp(&record.name)).ok();
            let same = index.map(|index| &before[index]);
            if let Some((_, route)) = same.filter(|(other, _)| other.is_as(record)) {
                return Ok((Arc::clone(record), Arc::clone(route)));
            }
            let channel = record.parse().map_err(|error| {
                Error::new(Kind::Config, format!("cannot use channel.http `{}`", record.name)).with_source(error)
            })?;
            let route = Route::build(record, channel, snapshot, guards, self)?;
            Ok((Arc::clone(record), Arc::new(route)))
        };
        snapshot.shared_of_kind(ChannelHttp::KIND).iter().map(route).collect()
    }

    /// The built-in channels of clients, and all of administrators.
    fn built_in(
        &self,
        snapshot: &Snapshot,
        guards: &dyn Guards,
        shares_management: bool,
    ) -> Result<(Arc<Scope>, Arc<RouteTable>), Error> {
        let build = |it: internal::Builtin<'_>| it.build(snapshot, guards, self);
        let everywhere = || internal::everywhere(self.openapi).into_iter();
        let mut internal = internal::routes(snapshot, guards, self)?;
        if shares_management {
            let doors = management::doors();
            internal.retain(|route| doors.iter().all(|door| door.path != route.path));
            internal.extend(doors.into_iter().map(build).collect::<Result<Vec<_>, _>>()?);
        }
        internal.extend(everywhere().map(build).collect::<Result<Vec<_>, _>>()?);
        let doors = everywhere().chain(management::doors()).map(build);
        let doors: Vec<Route> = doors.collect::<Result<_, _>>()?;
        let scope = |routes: Vec<Route>| Scope::new(routes.into_iter().map(Arc::new).collect()).map(Arc::new);
        let administrators = RouteTable {
            own: Arc::default(),
            internal: scope(doors)?,
        };
        Ok((scope(internal)?, Arc::new(administrators)))
    }
}

impl RouteTable {
    /// Finds the channel of a request, by its decoded path.
    pub(crate) fn find(&self, path: &str, method: &Method, headers: &HeaderMap) -> Found<'_> {
        let accept = headers.get(ACCEPT).map_or(ANY_ACCEPT.as_bytes(), HeaderValue::as_bytes);
        let is_for = |route: &Route| {
            route.method.as_ref().is_none_or(|other| other == method)
                && route.accept.as_ref().is_none_or(|other| other.as_bytes() == accept)
                && (route.soap_action.as_ref()).is_none_or(|action| soap::action(headers) == Some(action.as_bytes()))
        };
        match self.scopes().find_map(|scope| scope.first(path, is_for)) {
            Some(route) if route.is_active => Found::Route(route),
            Some(route) => Found::Inactive(route),
            None => self.other_methods(path, method),
        }
    }

    /// What the channels of a path are for, when none is for this method.
    fn other_methods(&self, path: &str, method: &Method) -> Found<'_> {
        let mut allowed = BTreeSet::new();
        for scope in self.scopes() {
            scope.each(path, |route| {
                allowed.extend(
                    route
                        .method
                        .as_ref()
                        .filter(|other| *other != method && route.is_active),
                );
            });
        }
        if allowed.is_empty() {
            return Found::Nothing;
        }
        let allowed: Vec<&str> = allowed.into_iter().map(Method::as_str).collect();
        Found::Method(allowed.join(", "))
    }

    /// The rules of the channel that a web page of another site wants to call, if it lets any call.
    pub(crate) fn cors(&self, path: &str, method: &Method) -> Option<&CorsRules> {
        let is_for = |route: &Route| {
            route.is_active && route.method.as_ref().is_none_or(|other| other == method) && route.cors().is_some()
        };
        self.scopes().find_map(|scope| scope.first(path, is_for))?.cors()
    }

    /// In the order in which they are asked.
    fn scopes(&self) -> impl Iterator<Item = &Scope> {
        [&*self.own, &*self.internal].into_iter()
    }
}

/// Channels of one kind, in the order in which they are tried; looked up without trying them all.
#[derive(Default)]
struct Scope {
    routes: Vec<Arc<Route>>,
    /// Indices into `routes`, ascending.
    literal: HashMap<String, Vec<usize>>,
    /// Of paths with placeholders, which stand behind all others.
    patterns: Index,
}

impl Scope {
    /// The channels that have an audit log.
    fn audited(&self) -> HashSet<&str> {
        let has_log = |route: &&Arc<Route>| route.extra.as_ref().is_some_and(|extra| extra.audit.is_some());
        self.routes.iter().filter(has_log).map(|route| &*route.name).collect()
    }

    fn new(mut routes: Vec<Arc<Route>>) -> Result<Self, Error> {
        routes.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let (mut literal, mut patterns) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
        for (index, route) in routes.iter().enumerate() {
            if route.pattern.is_literal() {
                literal.entry(route.path.clone()).or_default().push(index);
            } else {
                patterns.push((index, route.path.as_str()));
            }
        }
        Ok(Self {
            patterns: Index::new(&patterns)?,
            literal,
            routes,
        })
    }

    /// The first channel whose path matches and that is `wanted`.
    fn first(&self, path: &str, wanted: impl Fn(&Route) -> bool) -> Option<&Arc<Route>> {
        let mut literal = self.literal(path);
        if let Some(found) = literal.find(|index| wanted(&self.routes[*index])) {
            return Some(&self.routes[found]);
        }
        let mut first = self.routes.len();
        self.patterns.near(path, |near| {
            // what comes behind the one that was found need not be looked at
            let mut near = near.iter().take_while(|index| **index < first);
            let found = near.find(|index| wanted(&self.routes[**index]) && self.routes[**index].has_pattern_of(path));
            first = found.copied().unwrap_or(first);
        });
        self.routes.get(first)
    }

    /// Shows every channel whose path matches.
    fn each<'t>(&'t self, path: &str, mut show: impl FnMut(&'t Route)) {
        self.literal(path).for_each(|index| show(&self.routes[index]));
        self.patterns.near(path, |near| {
            let routes = near.iter().map(|index| &*self.routes[*index]);
            routes.filter(|route| route.has_pattern_of(path)).for_each(&mut show);
        });
    }

    /// Those that have this very path, in order.
    fn literal<'t>(&'t self, path: &str) -> impl Iterator<Item = usize> + use<'t> {
        self.literal.get(path).into_iter().flatten().copied()
    }
}

impl Route {
    fn build(
        record: &Record,
        channel: ChannelHttp,
        snapshot: &Snapshot,
        guards: &dyn Guards,
        routes: &Routes,
    ) -> Result<Self, Error> {
        let name = &record.name;
        let pattern = Pattern::parse(&channel.url_path, channel.match_slash).map_err(|error| {
            Error::new(Kind::Config, format!("cannot use the path of channel.http `{name}`")).with_source(error)
        })?;
        let method = match channel.method.as_str() {
            "" => None,
            method => Some(Method::from_bytes(method.as_bytes()).map_err(|error| {
                Error::new(Kind::Config, format!("cannot use the method of channel.http `{name}`")).with_source(error)
            })?),
        };
        let definition = match &channel.security {
            Some(security) => Some(Definition::find(snapshot, security).ok_or_else(|| {
                Error::new(
                    Kind::NotFound,
                    format!("channel.http `{name}` names the security definition `{security}`, which does not exist"),
                )
                .with_hint("create the definition first, or in the same import")
            })?),
            None => None,
        };
        let guard = guards.of(&Entrance {
            channel: name,
            service: &channel.service,
            security: channel.security.as_deref(),
            groups: &channel.security_groups,
            has_rbac: channel.has_rbac,
            is_delegated: channel.sec_use_rbac,
            is_management: false,
            limits: channel.is_rate_limit_active.then_some(&channel.rate_limit_def),
        })?;
        Ok(Self {
            head: channel_head(name, &channel, definition, false),
            guard,
            name: name.clone(),
            style: routes.styles.of(channel.data_format, channel.soap()),
            extra: Extra::build(record, &channel, &routes.shared),
            service: channel.service.into(),
            timeout: channel.timeout.map(|secs| Duration::from_secs(secs.into())),
            is_active: record.is_active,
            path: channel.url_path,
            pattern,
            method,
            accept: (channel.http_accept != ANY_ACCEPT).then_some(channel.http_accept),
            soap_action: (!channel.soap_action.is_empty()).then_some(channel.soap_action),
        })
    }

    /// What stood in the place of each placeholder.
    pub(crate) fn params<'r, 'p>(&'r self, path: &'p str) -> Vec<(&'r str, &'p str)> {
        if self.pattern.is_literal() {
            return Vec::new();
        }
        let mut params = Vec::with_capacity(self.pattern.names().len());
        let mut names = self.pattern.names().iter();
        self.pattern.captures(path, &mut |value| {
            if let Some(name) = names.next() {
                params.push((name.as_str(), value));
            }
        });
        params
    }

    /// What web pages of other sites may do with it.
    fn cors(&self) -> Option<&CorsRules> {
        self.extra.as_ref()?.cors.as_ref()
    }

    /// Whether it has placeholders, and a request's path is one that they can stand for.
    fn has_pattern_of(&self, path: &str) -> bool {
        self.pattern.captures(path, &mut |_| {})
    }

    /// Lower is tried first.
    fn rank(&self) -> impl Ord + '_ {
        let named = usize::from(self.method.is_some())
            + usize::from(self.accept.is_some())
            + usize::from(self.soap_action.is_some());
        (
            !self.pattern.is_literal(),
            Reverse(self.path.len()),
            Reverse(named),
            &self.name,
        )
    }

    /// Whether one request could be for both, as far as can be told without asking for all requests.
    fn overlaps(&self, other: &Self) -> bool {
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        if self.method.is_some() && other.method.is_some() && self.method != other.method
            || !agree(&self.accept, &other.accept)
            || !agree(&self.soap_action, &other.soap_action)
        {
            return false;
        }
        // a placeholder's own spelling is text that it would take
        self.path == other.path || other.has_pattern_of(&self.path) || self.has_pattern_of(&other.path)
    }
}

/// A security definition, as far as a channel tells its service.
struct Definition<'s> {
    name: &'s str,
    kind: &'s str,
    username: &'s str,
}

impl<'s> Definition<'s> {
    /// The types of definitions are the dispatcher's; their kinds and user names are spelt alike. Whoever brings a token is named by it.
    fn find(snapshot: &'s Snapshot, name: &str) -> Option<Self> {
        let record = snapshot.security(name)?;
        let username = record.body.get("username").and_then(|username| username.as_str());
        Some(Self {
            name: &record.name,
            kind: record.kind.strip_prefix(SECURITY)?,
            username: username.unwrap_or_default(),
        })
    }
}

fn channel_head(
    name: &str,
    channel: &ChannelHttp,
    definition: Option<Definition<'_>>,
    is_held_to_roles: bool,
) -> ChannelHead {
    let definition = definition.unwrap_or(Definition {
        name: "",
        kind: "",
        username: "",
    });
    HeadBuilder::channel(&ChannelFields {
        channel_type: Some(if channel.is_json_rpc() {
            ChannelType::JsonRpc
        } else {
            ChannelType::HttpSoap
        }),
        data_format: channel.data_format,
        merge_params: channel.merge_url_params_req,
        path_over_query: channel.url_params_pri == UrlParamsPriority::PathOverQs,
        body_over_params: channel.params_pri == ParamsPriority::MsgOverChannelParams,
        soap: channel.soap(),
        job_type: None,
        is_held_to_roles,
        channel: name,
        security_name: definition.name,
        security_type: definition.kind,
        username: definition.username,
        claims: "",
    })
}

/// Two channels that could not be told apart.
fn refuse_twins(routes: &[Own]) -> Result<(), Error> {
    let mut seen = HashMap::new();
    for (_, route) in routes {
        let key = (&route.path, &route.method, &route.accept, &route.soap_action);
        if let Some(other) = seen.insert(key, &route.name) {
            let message = format!(
                "channel.http `{}` has the path, method, accept value and SOAP action of channel.http `{other}`: `{}`",
                route.name, route.path
            );
            return Err(
                Error::new(Kind::Conflict, message).with_hint("change one of the four, or delete one of the channels")
            );
        }
    }
    Ok(())
}

/// Where our order and the order by name alone choose differently, people who move here should know.
fn warn_of_changed_order(scope: &Scope, warned: &Mutex<HashSet<(String, String)>>) {
    // the data is whole after every statement
    let mut warned = warned.lock().unwrap_or_else(PoisonError::into_inner);
    let mut current = HashSet::new();
    for (index, route) in scope.routes.iter().enumerate() {
        // one of two that overlap matches the other's path
        scope.patterns.near(&route.path, |near| {
            for &near in near {
                let (first, second) = (&scope.routes[index.min(near)], &scope.routes[index.max(near)]);
                if second.name < first.name && first.is_active && second.is_active && first.overlaps(second) {
                    current.insert((first.name.clone(), second.name.clone()));
                }
            }
        });
    }
    for (first, second) in current.difference(&warned) {
        tracing::warn!(
            channel = first,
            "channel `{first}` is tried before channel `{second}`: literal and longer paths come first; Zato 3.2 went by name and would \
             have chosen `{second}` for requests that match both"
        );
    }
    *warned = current;
}
