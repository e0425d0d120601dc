//! The guards of channels: credentials, then roles, then limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use busbar_model::object::Object;
use busbar_model::{Cid, Error, Kind};
use busbar_runtime::Fault;
use busbar_runtime::inbound::{Admission, Asking, Entrance, Guard, Guards, Identity, Verdict, Visitor, builtin};

use crate::security::basic::with_basic;
use crate::security::definitions::{Check, Definition, Looked, State, unauthorized};
use crate::security::groups::{Found, Members, SecurityGroup, not_allowed};
use crate::security::limits::Limiter;
use crate::security::rbac::{Permission, Verbs};
use crate::security::table::Table;
use crate::security::throttle::too_often;

/// Makes the guards of one state of the configuration.
pub(crate) struct Making {
    pub(crate) table: Arc<Table>,
    pub(crate) state: Arc<State>,
}

/// Guards one channel.
struct Door(Arc<Rules>);

/// What a channel asks of its callers.
struct Rules {
    channel: String,
    access: Access,
    /// Whether those who come with wrong credentials again and again must wait.
    is_throttled: bool,
    state: Arc<State>,
    /// What the callers of each definition may do; `None`: everything.
    roles: Option<HashMap<String, Verbs>>,
    limits: Option<Limiter>,
}

enum Access {
    Open,
    /// There is a definition, but not any more.
    Closed,
    One(Arc<Definition>),
    Group(Members),
    /// Any of these.
    Delegated(Vec<Arc<Definition>>),
    /// The first one of a door of the management API, or any of those whose roles allow a service behind it.
    Management(Option<Arc<Definition>>, Vec<Arc<Definition>>),
}

/// What is known of a caller once its request's head has been read, for checks that end later.
#[derive(Clone)]
struct Caller {
    method: String,
    remote: IpAddr,
}

impl Guards for Making {
    fn of(&self, entrance: &Entrance<'_>) -> Result<Option<Arc<dyn Guard>>, Error> {
        let roles = (entrance.has_rbac || entrance.is_delegated).then(|| self.table.roles().allowed(entrance.service));
        let defined = |names: &mut dyn Iterator<Item = &str>| -> Vec<Arc<Definition>> {
            names.filter_map(|name| self.table.get(name).cloned()).collect()
        };
        let access = if entrance.is_management {
            let own = entrance.security.and_then(|name| self.table.get(name));
            let mut others = defined(&mut self.managers(entrance.service).into_iter());
            others.retain(|it| entrance.security != Some(&*it.name));
            Access::Management(own.cloned(), others)
        } else if entrance.is_delegated {
            Access::Delegated(defined(&mut roles.iter().flatten().map(|(name, _)| *name)))
        } else if !entrance.groups.is_empty() {
            Access::Group(self.members(entrance)?)
        } else {
            match entrance.security {
                None => Access::Open,
                Some(name) if self.table.is_only_sent(name) => {
                    let message = format!(
                        "channel `{}` wants bearer tokens of `{name}`, which does not say how those of callers are checked",
                        entrance.channel
                    );
                    let hint = format!("give `{name}` one of jwks_url, jwks_path, jwks and introspection_url");
                    return Err(Error::new(Kind::Config, message).with_hint(hint));
                }
                Some(name) => self
                    .table
                    .get(name)
                    .map_or(Access::Closed, |definition| Access::One(Arc::clone(definition))),
            }
        };
        let roles = roles.map(|roles| {
            let owned = roles.into_iter().map(|(name, verbs)| (name.to_owned(), verbs));
            owned.collect()
        });
        let limits = entrance.limits.and_then(|limits| {
            self.state
                .counters
                .limiter("channel.http", entrance.channel, true, limits)
        });
        if matches!(access, Access::Open) && limits.is_none() && roles.is_none() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Door(Arc::new(Rules {
            channel: entrance.channel.to_owned(),
            is_throttled: entrance.is_management || access.any_is_hashed(),
            state: Arc::clone(&self.state),
            access,
            roles,
            limits,
        })))))
    }
}

impl Making {
    /// The definitions whose roles allow a management service behind a door: this one, or any if the door is for all of them and whoever
    /// runs them looks again.
    fn managers(&self, service: &str) -> Vec<&str> {
        let roles = self.table.roles();
        match service {
            builtin::MANAGE | builtin::MANAGE_SOAP | builtin::MANAGE_INVOKER | builtin::INVOKE => {
                roles.managers().collect()
            }
            service => {
                let permission = Permission::of_service(service);
                let allowed = roles.allowed(service).into_iter();
                allowed
                    .filter_map(|(name, verbs)| verbs.hold(permission).then_some(name))
                    .collect()
            }
        }
    }

    fn members(&self, entrance: &Entrance<'_>) -> Result<Members, Error> {
        let channel = entrance.channel;
        let mut members = Members::default();
        for group in entrance.groups {
            let Some(names) = self.table.group(group) else {
                let message = format!("channel `{channel}` names the security group `{group}`, which does not exist");
                return Err(Error::new(Kind::NotFound, message).with_hint("create it first, or in the same import"));
            };
            for name in names {
                let Some(definition) = self.table.get(name) else {
                    continue;
                };
                if !members.add(definition) {
                    let message = format!(
                        "{} `{group}` has the member `{name}` of type `{}`",
                        SecurityGroup::KIND,
                        definition.identity.kind
                    );
                    return Err(Error::new(Kind::Config, message)
                        .with_hint("members are definitions of the types `basic_auth` and `apikey`"));
                }
            }
        }
        Ok(members)
    }
}

impl Access {
    /// Whether the password of any definition is stored as a hash.
    fn any_is_hashed(&self) -> bool {
        match self {
            Self::Open | Self::Closed => false,
            Self::One(definition) => definition.is_hashed(),
            Self::Group(members) => members.any_is_hashed(),
            Self::Delegated(definitions) => definitions.iter().any(|it| it.is_hashed()),
            Self::Management(own, others) => own.iter().chain(others).any(|it| it.is_hashed()),
        }
    }

    /// The user name of the credentials in a request's head, empty where they have none; `None`: it has no credentials.
    fn tried(&self, visitor: &Visitor<'_>) -> Option<String> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        if let Some(value) = (visitor.header)("authorization") {
            return Some(with_basic(value, |name, _| text(name)).unwrap_or_default());
        }
        if let Some(name) = (visitor.header)("x-zato-user") {
            return Some(text(name));
        }
        let definitions: &[Arc<Definition>] = match self {
            Self::Delegated(definitions) | Self::Management(_, definitions) => definitions,
            _ => &[],
        };
        let mut keys = definitions.iter().filter_map(|definition| match &definition.check {
            Check::ApiKey { header, .. } => (visitor.header)(header),
            _ => None,
        });
        keys.next().map(|_| String::new())
    }
}

impl Guard for Door {
    fn check(&self, visitor: &Visitor<'_>) -> Verdict {
        if self.0.is_throttled {
            self.throttled(visitor)
        } else {
            self.decide(visitor)
        }
    }
}

impl Door {
    /// Decides, unless the caller was wrong too often.
    fn throttled(&self, visitor: &Visitor<'_>) -> Verdict {
        let rules = &self.0;
        let tried = rules.access.tried(visitor);
        let has_tried = tried.is_some();
        let attempt = Attempt {
            rules: Arc::clone(rules),
            username: tried.unwrap_or_default(),
            remote: visitor.remote,
            cid: visitor.cid,
        };
        if has_tried
            && let Some(wait) = rules
                .state
                .throttle
                .wait(visitor.remote, &attempt.username, Instant::now())
        {
            return Verdict::Out(too_often(wait));
        }
        match self.decide(visitor) {
            // whoever sends none has tried none: clients ask like this for what they are to send
            Verdict::Out(fault) if has_tried => Verdict::Out(attempt.refused(fault)),
            Verdict::Wait(waiting) => Verdict::Wait(Box::pin(async move {
                waiting.await.map_err(|fault| attempt.refused(fault))
            })),
            Verdict::Body(look) => {
                // who tries is in the body, and has tried what came before from the same address
                let throttle = &rules.state.throttle;
                if let Some(wait) = throttle.wait(visitor.remote, &attempt.username, Instant::now()) {
                    return Verdict::Out(too_often(wait));
                }
                Verdict::Body(Box::new(move |body| {
                    let waiting = look(body);
                    Box::pin(async move { waiting.await.map_err(|fault| attempt.refused(fault)) })
                }))
            }
            verdict => verdict,
        }
    }

    fn decide(&self, visitor: &Visitor<'_>) -> Verdict {
        let rules = &self.0;
        let settle =
            |definition: &Definition, admission| rules.settle(definition, admission, visitor.method, visitor.remote);
        match &rules.access {
            Access::Open => verdict(rules.enter(visitor.remote).map(|()| None)),
            Access::Closed => Verdict::Out(unauthorized(visitor.cid)),
            Access::One(definition) => match definition.check(visitor) {
                Verdict::In(admission) => verdict(settle(definition, admission)),
                Verdict::Out(fault) => Verdict::Out(fault),
                later => Self::later(later, rules, definition, visitor),
            },
            Access::Group(members) => match members.find(visitor) {
                Found::Member(definition) => verdict(settle(definition, Some(Arc::clone(&definition.identity)))),
                Found::Nobody(fault) => Verdict::Out(fault),
                Found::Look(unknown) => Verdict::Wait(Box::pin(member(
                    Arc::clone(rules),
                    unknown,
                    visitor.method.to_owned(),
                    visitor.remote,
                ))),
            },
            Access::Delegated(definitions) => self.any(definitions, delegated_fault(), visitor),
            Access::Management(None, others) => self.any(others, unauthorized(visitor.cid), visitor),
            Access::Management(Some(own), others) => match own.check(visitor) {
                Verdict::In(admission) => verdict(settle(own, admission)),
                // most doors have no others
                Verdict::Out(refused) if others.is_empty() => Verdict::Out(refused),
                Verdict::Out(refused) => self.any(others, refused, visitor),
                later => Self::later(later, rules, own, visitor),
            },
        }
    }

    /// A check that ends later, and then goes on as if it had ended at once.
    fn later(verdict: Verdict, rules: &Arc<Rules>, definition: &Arc<Definition>, visitor: &Visitor<'_>) -> Verdict {
        let (rules, definition) = (Arc::clone(rules), Arc::clone(definition));
        let caller = Caller {
            method: visitor.method.to_owned(),
            remote: visitor.remote,
        };
        let settle = move |admission: Admission| rules.settle(&definition, admission, &caller.method, caller.remote);
        match verdict {
            Verdict::Wait(waiting) => Verdict::Wait(Box::pin(async move { waiting.await.and_then(settle) })),
            Verdict::Body(look) => Verdict::Body(Box::new(move |body| {
                let waiting = look(body);
                Box::pin(async move { waiting.await.and_then(settle) })
            })),
            known => known,
        }
    }

    /// The first definition whose credentials the request has and whose roles allow it.
    fn any(&self, definitions: &[Arc<Definition>], refused: Fault, visitor: &Visitor<'_>) -> Verdict {
        let rules = &self.0;
        let mut waiting = Vec::new();
        let mut looking = Vec::new();
        for definition in definitions {
            match definition.check(visitor) {
                Verdict::In(admission) => {
                    // one that is right but may not do this need not be the only one that is right
                    if rules.allow(definition, visitor.method) {
                        let admission = admission.or_else(|| Some(Arc::clone(&definition.identity)));
                        return verdict(rules.settle(definition, admission, visitor.method, visitor.remote));
                    }
                }
                Verdict::Out(_) => {}
                verdict => match Self::later(verdict, rules, definition, visitor) {
                    Verdict::Wait(future) => waiting.push((future, Arc::clone(&definition.identity))),
                    Verdict::Body(look) => looking.push((look, Arc::clone(&definition.identity))),
                    Verdict::In(_) | Verdict::Out(_) => {}
                },
            }
        }
        if looking.is_empty() && waiting.is_empty() {
            return Verdict::Out(refused);
        }
        if looking.is_empty() {
            return Verdict::Wait(Box::pin(first(waiting, refused)));
        }
        Verdict::Body(Box::new(move |body| {
            let looked = looking.into_iter().map(|(look, identity)| (look(body), identity));
            // bodies first: nobody else is asked about those
            Box::pin(first(looked.chain(waiting).collect(), refused))
        }))
    }
}

/// A caller who comes with credentials.
struct Attempt {
    rules: Arc<Rules>,
    username: String,
    remote: IpAddr,
    cid: Cid,
}

impl Attempt {
    /// Notes that they were wrong, if that is why the caller is refused.
    fn refused(&self, fault: Fault) -> Fault {
        let Self { rules, remote, cid, .. } = self;
        // groups do not say whether the credentials or the rights are missing
        if fault.status == 401 || fault.status == 403 && matches!(rules.access, Access::Group(_)) {
            tracing::info!(%cid, channel = %rules.channel, %remote, "credentials were refused by channel `{}`", rules.channel);
            rules.state.throttle.note(*remote, &self.username, Instant::now());
        }
        fault
    }
}

/// The member of a group whose password it is, of those that were to be looked at.
async fn member(
    rules: Arc<Rules>,
    unknown: Vec<(Arc<Definition>, Looked)>,
    method: String,
    remote: IpAddr,
) -> Result<Admission, Fault> {
    for (definition, looked) in unknown {
        if looked.settle().await? {
            return rules.settle(&definition, Some(Arc::clone(&definition.identity)), &method, remote);
        }
    }
    Err(not_allowed())
}

/// The first of several checks that lets the caller in, or else the refusal that says most.
async fn first(checks: Vec<(Asking, Arc<Identity>)>, refused: Fault) -> Result<Admission, Fault> {
    let mut last = refused;
    for (check, identity) in checks {
        match check.await {
            Ok(admission) => return Ok(admission.or(Some(identity))),
            Err(fault) => last = worse(last, fault),
        }
    }
    Err(last)
}

/// Of two refusals, the one that says most: a limit, or that nobody can tell now, says more than wrong credentials.
fn worse(last: Fault, fault: Fault) -> Fault {
    if matches!(fault.status, 429 | 503) { fault } else { last }
}

fn delegated_fault() -> Fault {
    Fault::new(401, "You are not allowed to access this resource").with_header("WWW-Authenticate", "zato")
}

fn verdict(result: Result<Admission, Fault>) -> Verdict {
    match result {
        Ok(admission) => Verdict::In(admission),
        Err(fault) => Verdict::Out(fault),
    }
}

impl Rules {
    fn allow(&self, definition: &Definition, method: &str) -> bool {
        match &self.roles {
            None => true,
            Some(roles) => roles.get(&definition.name).is_some_and(|verbs| verbs.allow(method)),
        }
    }

    /// The credentials are right: the rest.
    fn settle(
        &self,
        definition: &Definition,
        admission: Option<Arc<Identity>>,
        method: &str,
        remote: IpAddr,
    ) -> Result<Admission, Fault> {
        if !self.allow(definition, method) {
            return Err(forbidden());
        }
        if let Some(limits) = &definition.limits {
            limits.check(remote)?;
        }
        self.limit(remote)?;
        Ok(admission)
    }

    /// Somebody without credentials comes in.
    fn enter(&self, remote: IpAddr) -> Result<(), Fault> {
        if self.roles.is_some() {
            // nobody has no role
            return Err(forbidden());
        }
        self.limit(remote)
    }

    fn limit(&self, remote: IpAddr) -> Result<(), Fault> {
        self.limits.as_ref().map_or(Ok(()), |limits| limits.check(remote))
    }
}

/// The text that clients know, line feed included.
pub(crate) fn forbidden() -> Fault {
    Fault::new(403, "You are not allowed to access this URL\n")
}
