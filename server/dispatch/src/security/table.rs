//! What is configured, made ready out of a snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::object::{FieldError, Object, Record, Snapshot};
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
use crate::security::rbac::{RbacClientRole, RbacPermission, RbacRole, RbacRolePermission, Roles};
use crate::security::wss::SecurityWss;
use crate::security::xpath::{SecurityXpath, Xpath};
use crate::security::{SecurityApiKey, SecurityBasicAuth};

/// What is configured at one moment.
#[derive(Default)]
pub(crate) struct Table {
    definitions: Section<ByName>,
    groups: Section<HashMap<String, Vec<String>>>,
    roles: Section<Roles>,
    services: Section<HashMap<String, Limiter>>,
}

/// The definitions.
#[derive(Default)]
struct ByName {
    all: HashMap<String, Made>,
    /// Those that callers log in with: tried one after the other, so in an order.
    jwt: BTreeMap<String, Arc<Definition>>,
    /// Those of bearer tokens that do not say how tokens of callers are checked.
    only_sent: HashMap<String, Arc<Record>>,
}

/// A definition, and the object that it is made of.
struct Made {
    record: Arc<Record>,
    definition: Arc<Definition>,
}

/// Something that is made of objects. As long as these are the same, so is it: a change is of few objects among very many.
struct Section<T> {
    of: Arc<[Arc<Record>]>,
    made: Arc<T>,
}

impl<T: Default> Default for Section<T> {
    fn default() -> Self {
        Self {
            of: Arc::default(),
            made: Arc::default(),
        }
    }
}

impl<T> Clone for Section<T> {
    fn clone(&self) -> Self {
        Self {
            of: Arc::clone(&self.of),
            made: Arc::clone(&self.made),
        }
    }
}

impl<T> Section<T> {
    /// What `make` makes of these objects, or what was made of the same.
    fn renew(&self, of: &[&[Arc<Record>]], make: impl FnOnce(&T) -> Result<T, Error>) -> Result<Self, Error> {
        let records = || of.iter().copied().flatten();
        let pairs = || self.of.iter().zip(records());
        let is_long_as = self.of.len() == records().count();
        if is_long_as && pairs().all(|(a, b)| Arc::ptr_eq(a, b)) {
            return Ok(self.clone());
        }
        let is_same = is_long_as && pairs().all(|(a, b)| a.is_as(b));
        Ok(Self {
            of: records().cloned().collect(),
            made: match is_same {
                true => Arc::clone(&self.made),
                false => Arc::new(make(&self.made)?),
            },
        })
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.made, &other.made)
    }
}

impl Table {
    /// What `snapshot` says. What is the same as in the table `before`, which is given back if all is, is taken from there.
    pub(crate) fn build(before: &Arc<Self>, snapshot: &Snapshot, state: &Arc<State>) -> Result<Arc<Self>, Error> {
        let of = |kind| snapshot.shared_of_kind(kind);
        let definitions = [snapshot.shared_definitions()];
        let roles = [
            of(RbacClientRole::KIND),
            of(RbacPermission::KIND),
            of(RbacRole::KIND),
            of(RbacRolePermission::KIND),
        ];
        let table = Self {
            definitions: before
                .definitions
                .renew(&definitions, |before| ByName::build(before, snapshot, state))?,
            groups: before.groups.renew(&[of(SecurityGroup::KIND)], |_| groups(snapshot))?,
            roles: before.roles.renew(&roles, |_| Roles::build(snapshot))?,
            services: before
                .services
                .renew(&[of(ServiceSettings::KIND)], |_| services(snapshot, state))?,
        };
        let is_same = table.definitions.is(&before.definitions)
            && table.groups.is(&before.groups)
            && table.roles.is(&before.roles)
            && table.services.is(&before.services);
        Ok(if is_same { Arc::clone(before) } else { Arc::new(table) })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.made.all.get(name).map(|it| &it.definition)
    }

    /// Whether a definition is one whose tokens are sent, and not checked.
    pub(crate) fn is_only_sent(&self, name: &str) -> bool {
        self.definitions.made.only_sent.contains_key(name)
    }

    /// Members of a group, none if it is switched off; `None`: there is no such group.
    pub(crate) fn group(&self, name: &str) -> Option<&[String]> {
        self.groups.made.get(name).map(Vec::as_slice)
    }

    pub(crate) fn roles(&self) -> &Roles {
        &self.roles.made
    }

    /// How often a service may be called, if that is limited.
    pub(crate) fn service_limits(&self, service: &str) -> Option<&Limiter> {
        self.services.made.get(service)
    }

    /// The definitions that callers log in with.
    pub(crate) fn jwt(&self) -> impl Iterator<Item = (&Definition, &Jwt)> {
        let definitions = self.definitions.made.jwt.values();
        definitions.filter_map(|definition| Some((&**definition, definition.jwt()?)))
    }
}

fn groups(snapshot: &Snapshot) -> Result<HashMap<String, Vec<String>>, Error> {
    let groups = snapshot.of::<SecurityGroup>().map(|(record, group)| {
        let group = group.map_err(|error| unreadable(record, error))?;
        let members = if record.is_active { group.members } else { Vec::new() };
        Ok((record.name.clone(), members))
    });
    groups.collect()
}

fn services(snapshot: &Snapshot, state: &State) -> Result<HashMap<String, Limiter>, Error> {
    let mut services = HashMap::new();
    for (record, service) in snapshot.of::<ServiceSettings>() {
        let service = service.map_err(|error| unreadable(record, error))?;
        let limits = &service.rate_limit_def;
        let limiter = state
            .counters
            .limiter(&record.kind, &record.name, service.is_rate_limit_active, limits);
        if let Some(limiter) = limiter {
            services.insert(record.name.clone(), limiter);
        }
    }
    Ok(services)
}

/// What a definition's object says.
struct Said {
    username: String,
    /// Whether there is a secret that callers can have.
    is_set: bool,
    is_limited: bool,
    limits: RateLimits,
    check: Check,
}

struct Building<'s> {
    snapshot: &'s Snapshot,
    before: &'s ByName,
    state: &'s Arc<State>,
    by_name: ByName,
}

impl ByName {
    fn build(before: &Self, snapshot: &Snapshot, state: &Arc<State>) -> Result<Self, Error> {
        let mut building = Building {
            snapshot,
            before,
            state,
            by_name: Self::default(),
        };
        building.each(|_, basic: SecurityBasicAuth| {
            Ok(Some(Said {
                is_set: !basic.password.is_empty(),
                check: Check::Basic {
                    challenge: challenge(&basic.realm),
                    username: basic.username.clone(),
                    password: state.passwords.get(basic.password),
                },
                username: basic.username,
                is_limited: basic.is_rate_limit_active,
                limits: basic.rate_limit_def,
            }))
        })?;
        building.each(|_, key: SecurityApiKey| {
            Ok(Some(Said {
                is_set: !key.password.is_empty(),
                check: Check::ApiKey {
                    header: key.header.to_ascii_lowercase(),
                    key: key.password,
                },
                username: key.username,
                is_limited: key.is_rate_limit_active,
                limits: key.rate_limit_def,
            }))
        })?;
        building.each(|record, jwt: SecurityJwt| {
            Ok(Some(Said {
                is_set: !jwt.password.is_empty(),
                check: Check::Jwt(Jwt {
                    username: jwt.username.clone(),
                    password: jwt.password,
                    ttl: jwt.ttl,
                    version: record.version,
                }),
                username: jwt.username,
                is_limited: jwt.is_rate_limit_active,
                limits: jwt.rate_limit_def,
            }))
        })?;
        building.each(|_, wss: SecurityWss| {
            Ok(Some(Said {
                is_set: !wss.password.is_empty(),
                username: wss.username.clone(),
                is_limited: wss.is_rate_limit_active,
                limits: wss.rate_limit_def.clone(),
                check: Check::Wss(Arc::new(wss)),
            }))
        })?;
        building.each(|record, account: SecurityTechAccount| {
            Ok(Some(Said {
                is_set: !account.password.is_empty(),
                check: Check::TechAccount {
                    password: account.password,
                },
                username: record.name.clone(),
                is_limited: account.is_rate_limit_active,
                limits: account.rate_limit_def,
            }))
        })?;
        building.each(|_, tls: SecurityTlsChannel| {
            let fields = accounts::fields(&tls.value).unwrap_or_default();
            Ok(Some(Said {
                is_set: !fields.is_empty(),
                check: Check::Tls(fields),
                username: tls.username,
                is_limited: tls.is_rate_limit_active,
                limits: tls.rate_limit_def,
            }))
        })?;
        building.each(|_, oauth: SecurityOauth| {
            Ok(Some(Said {
                is_set: !oauth.password.is_empty(),
                username: oauth.username.clone(),
                is_limited: oauth.is_rate_limit_active,
                limits: oauth.rate_limit_def.clone(),
                check: Check::Oauth(Arc::new(oauth)),
            }))
        })?;
        building.each(|record, xpath: SecurityXpath| {
            let check = Xpath::build(&xpath).map_err(|error| unreadable(record, error))?;
            Ok(Some(Said {
                is_set: xpath.is_set(),
                check: Check::Xpath(Arc::new(check)),
                username: xpath.username,
                is_limited: xpath.is_rate_limit_active,
                limits: xpath.rate_limit_def,
            }))
        })?;
        building.each(|record, tokens: SecurityBearerToken| {
            if !tokens.is_for_callers() {
                return Ok(None);
            }
            Ok(Some(Said {
                username: tokens.username.clone(),
                is_set: true,
                is_limited: tokens.is_rate_limit_active,
                limits: tokens.rate_limit_def.clone(),
                check: Check::Bearer(state.bearers.get(&record.name, tokens)?),
            }))
        })?;
        Ok(building.by_name)
    }
}

impl Building<'_> {
    /// Adds the definitions of a type. What is made of an object that is the same as before is the same too; `None` is made of one that is
    /// for no callers.
    fn each<T: Object>(&mut self, make: impl Fn(&Record, T) -> Result<Option<Said>, Error>) -> Result<(), Error> {
        for record in self.snapshot.shared_of_kind(T::KIND) {
            let name = &record.name;
            let before = self.before.all.get(name);
            if let Some(made) = before.filter(|it| it.record.is_as(record)) {
                self.add(record, Arc::clone(&made.definition))?;
                continue;
            }
            let before = self.before.only_sent.get(name);
            if before.is_some_and(|it| it.is_as(record)) {
                self.by_name.only_sent.insert(name.clone(), Arc::clone(record));
                continue;
            }
            let config = record.parse().map_err(|error| unreadable(record, error))?;
            match make(record, config)? {
                Some(said) => {
                    let definition = self.definition(record, said);
                    self.add(record, Arc::new(definition))?;
                }
                None => drop(self.by_name.only_sent.insert(name.clone(), Arc::clone(record))),
            }
        }
        Ok(())
    }

    fn definition(&self, record: &Record, said: Said) -> Definition {
        let kind = record.kind.strip_prefix("security.").unwrap_or(&record.kind);
        let counters = &self.state.counters;
        Definition {
            identity: Arc::new(Identity {
                name: record.name.clone(),
                kind: kind.to_owned(),
                username: said.username,
                claims: String::new(),
            }),
            is_usable: record.is_active && said.is_set,
            check: said.check,
            limits: counters.limiter(&record.kind, &record.name, said.is_limited, &said.limits),
            state: Arc::clone(self.state),
            name: record.name.clone(),
        }
    }

    fn add(&mut self, record: &Arc<Record>, definition: Arc<Definition>) -> Result<(), Error> {
        let name = record.name.clone();
        if definition.jwt().is_some() {
            self.by_name.jwt.insert(name.clone(), Arc::clone(&definition));
        }
        let made = Made {
            record: Arc::clone(record),
            definition,
        };
        if self.by_name.all.insert(name, made).is_some() {
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
