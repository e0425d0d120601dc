//! What is configured, made ready out of a snapshot.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::object::{FieldError, Record, Snapshot};
use busbar_model::rate_limit::RateLimits;
use busbar_model::service::ServiceSettings;
use busbar_model::{Error, Kind};
use busbar_runtime::inbound::Identity;

use crate::security::accounts::{self, SecurityTechAccount, SecurityTlsChannel};
use crate::security::definitions::{Check, Definition, Jwt, State};
use crate::security::groups::SecurityGroup;
use crate::security::jwt::SecurityJwt;
use crate::security::limits::Limiter;
use crate::security::oauth::SecurityOauth;
use crate::security::rbac::Roles;
use crate::security::wss::SecurityWss;
use crate::security::xpath::{SecurityXpath, Xpath};
use crate::security::{SecurityApiKey, SecurityBasicAuth};

/// What is configured at one moment.
#[derive(Default)]
pub(crate) struct Table {
    /// By name, so that those which are tried one after the other are tried in an order.
    definitions: BTreeMap<String, Arc<Definition>>,
    /// Members of groups; none of a group that is switched off.
    pub(crate) groups: HashMap<String, Vec<String>>,
    pub(crate) roles: Roles,
    /// Definitions of bearer tokens that do not say how those of callers are checked.
    only_sent: HashSet<String>,
    services: HashMap<String, Limiter>,
}

impl Table {
    pub(crate) fn build(snapshot: &Snapshot, state: &Arc<State>) -> Result<Self, Error> {
        let mut building = Building {
            table: Self::default(),
            state,
        };
        for (record, basic) in snapshot.of::<SecurityBasicAuth>() {
            let basic = basic.map_err(|error| unreadable(record, error))?;
            let limits = (basic.is_rate_limit_active, &basic.rate_limit_def);
            let is_set = !basic.password.is_empty();
            let check = Check::Basic {
                challenge: challenge(&basic.realm),
                username: basic.username.clone(),
                password: state.passwords.get(basic.password),
            };
            building.add(record, &basic.username, is_set, limits, check)?;
        }
        for (record, key) in snapshot.of::<SecurityApiKey>() {
            let key = key.map_err(|error| unreadable(record, error))?;
            let limits = (key.is_rate_limit_active, &key.rate_limit_def);
            let is_set = !key.password.is_empty();
            let check = Check::ApiKey {
                header: key.header.to_ascii_lowercase(),
                key: key.password,
            };
            building.add(record, &key.username, is_set, limits, check)?;
        }
        for (record, jwt) in snapshot.of::<SecurityJwt>() {
            let jwt = jwt.map_err(|error| unreadable(record, error))?;
            let limits = (jwt.is_rate_limit_active, &jwt.rate_limit_def);
            let is_set = !jwt.password.is_empty();
            let check = Check::Jwt(Jwt {
                username: jwt.username.clone(),
                password: jwt.password,
                ttl: jwt.ttl,
                version: record.version,
            });
            building.add(record, &jwt.username, is_set, limits, check)?;
        }
        for (record, wss) in snapshot.of::<SecurityWss>() {
            let wss = wss.map_err(|error| unreadable(record, error))?;
            let limits = (wss.is_rate_limit_active, &wss.rate_limit_def);
            let check = Check::Wss(Arc::new(wss.clone()));
            building.add(record, &wss.username, !wss.password.is_empty(), limits, check)?;
        }
        for (record, account) in snapshot.of::<SecurityTechAccount>() {
            let account = account.map_err(|error| unreadable(record, error))?;
            let limits = (account.is_rate_limit_active, &account.rate_limit_def);
            let is_set = !account.password.is_empty();
            let check = Check::TechAccount {
                password: account.password,
            };
            building.add(record, &record.name, is_set, limits, check)?;
        }
        for (record, tls) in snapshot.of::<SecurityTlsChannel>() {
            let tls = tls.map_err(|error| unreadable(record, error))?;
            let limits = (tls.is_rate_limit_active, &tls.rate_limit_def);
            let fields = accounts::fields(&tls.value).unwrap_or_default();
            let is_set = !fields.is_empty();
            building.add(record, &tls.username, is_set, limits, Check::Tls(fields))?;
        }
        for (record, oauth) in snapshot.of::<SecurityOauth>() {
            let oauth = oauth.map_err(|error| unreadable(record, error))?;
            let limits = (oauth.is_rate_limit_active, &oauth.rate_limit_def);
            let check = Check::Oauth(Arc::new(oauth.clone()));
            building.add(record, &oauth.username, !oauth.password.is_empty(), limits, check)?;
        }
        for (record, xpath) in snapshot.of::<SecurityXpath>() {
            let xpath = xpath.map_err(|error| unreadable(record, error))?;
            let limits = (xpath.is_rate_limit_active, &xpath.rate_limit_def);
            let check = Xpath::build(&xpath).map_err(|error| unreadable(record, error))?;
            building.add(
                record,
                &xpath.username,
                xpath.is_set(),
                limits,
                Check::Xpath(Arc::new(check)),
            )?;
        }
        for (record, tokens) in snapshot.of::<SecurityBearerToken>() {
            let tokens = tokens.map_err(|error| unreadable(record, error))?;
            if !tokens.is_for_callers() {
                building.table.only_sent.insert(record.name.clone());
                continue;
            }
            let limits = (tokens.is_rate_limit_active, &tokens.rate_limit_def);
            let bearer = state.bearers.get(&record.name, tokens.clone())?;
            building.add(record, &tokens.username, true, limits, Check::Bearer(bearer))?;
        }
        let mut table = building.table;
        for (record, group) in snapshot.of::<SecurityGroup>() {
            let group = group.map_err(|error| unreadable(record, error))?;
            let members = if record.is_active { group.members } else { Vec::new() };
            table.groups.insert(record.name.clone(), members);
        }
        for (record, service) in snapshot.of::<ServiceSettings>() {
            let service = service.map_err(|error| unreadable(record, error))?;
            let limits = &service.rate_limit_def;
            let limiter = state
                .counters
                .limiter(&record.kind, &record.name, service.is_rate_limit_active, limits);
            if let Some(limiter) = limiter {
                table.services.insert(record.name.clone(), limiter);
            }
        }
        table.roles = Roles::build(snapshot)?;
        Ok(table)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(name)
    }

    /// Whether a definition is one whose tokens are sent, and not checked.
    pub(crate) fn is_only_sent(&self, name: &str) -> bool {
        self.only_sent.contains(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values()
    }

    /// How often a service may be called, if that is limited.
    pub(crate) fn service_limits(&self, service: &str) -> Option<&Limiter> {
        self.services.get(service)
    }

    /// The definitions that callers log in with.
    pub(crate) fn jwt(&self) -> impl Iterator<Item = (&Definition, &Jwt)> {
        self.all()
            .filter_map(|definition| Some((&**definition, definition.jwt()?)))
    }
}

struct Building<'s> {
    table: Table,
    state: &'s Arc<State>,
}

impl Building<'_> {
    fn add(
        &mut self,
        record: &Record,
        username: &str,
        is_set: bool,
        (is_limited, limits): (bool, &RateLimits),
        check: Check,
    ) -> Result<(), Error> {
        let name = record.name.clone();
        let kind = record.kind.strip_prefix("security.").unwrap_or(&record.kind);
        let definition = Definition {
            identity: Arc::new(Identity {
                name: name.clone(),
                kind: kind.to_owned(),
                username: username.to_owned(),
                claims: String::new(),
            }),
            is_usable: record.is_active && is_set,
            check,
            limits: self.state.counters.limiter(&record.kind, &name, is_limited, limits),
            state: Arc::clone(self.state),
            name: name.clone(),
        };
        if self.table.definitions.insert(name, Arc::new(definition)).is_some() {
            let message = format!("there are two security definitions named `{}`", record.name);
            return Err(Error::new(Kind::Conflict, message).with_hint("give one of them another name"));
        }
        Ok(())
    }
}

pub(crate) fn unreadable(record: &Record, error: FieldError) -> Error {
    Error::new(Kind::Config, format!("cannot use {} `{}`", record.kind, record.name)).with_source(error)
}

fn challenge(realm: &str) -> String {
    format!("Basic realm=\"{}\"", realm.replace('\\', "\\\\").replace('"', "\\\""))
}
