//! The guards of channels: credentials, then roles, then limits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use busbar_model::object::Object;
use busbar_model::{Error, Kind};
use busbar_runtime::Fault;
use busbar_runtime::inbound::{Admission, Asking, Entrance, Guard, Guards, Identity, Verdict, Visitor};

use crate::security::definitions::{Definition, State, unauthorized};
use crate::security::groups::{Members, SecurityGroup};
use crate::security::limits::Limiter;
use crate::security::rbac::Verbs;
use crate::security::table::Table;

/// Makes the guards of one state of the configuration.
pub(crate) struct Making {
    pub(crate) table: Table,
    pub(crate) state: Arc<State>,
}

/// Guards one channel.
struct Door(Arc<Rules>);

/// What a channel asks of its callers.
struct Rules {
    access: Access,
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
}

/// What is known of a caller once its request's head has been read, for checks that end later.
#[derive(Clone)]
struct Caller {
    method: String,
    remote: IpAddr,
}

impl Guards for Making {
    fn of(&self, entrance: &Entrance<'_>) -> Result<Option<Arc<dyn Guard>>, Error> {
        let all = self.table.all();
        let verbs = |definition: &Definition| self.table.roles.verbs(&definition.name, entrance.service);
        let access = if entrance.is_delegated {
            let allowed = all.filter(|definition| !verbs(definition).is_empty());
            Access::Delegated(allowed.map(Arc::clone).collect())
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
        let roles = (entrance.has_rbac || entrance.is_delegated).then(|| {
            let all = self.table.all();
            all.map(|definition| (definition.name.clone(), verbs(definition)))
                .collect()
        });
        let limits = entrance.limits.and_then(|limits| {
            self.state
                .counters
                .limiter("channel.http", entrance.channel, true, limits)
        });
        if matches!(access, Access::Open) && limits.is_none() && roles.is_none() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Door(Arc::new(Rules { access, roles, limits })))))
    }
}

impl Making {
    fn members(&self, entrance: &Entrance<'_>) -> Result<Members, Error> {
        let channel = entrance.channel;
        let mut members = Members::default();
        for group in entrance.groups {
            let Some(names) = self.table.groups.get(group) else {
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

impl Guard for Door {
    fn check(&self, visitor: &Visitor<'_>) -> Verdict {
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
            Access::Group(members) => verdict(
                members
                    .find(visitor)
                    .and_then(|definition| settle(definition, Some(Arc::clone(&definition.identity)))),
            ),
            Access::Delegated(definitions) => self.any(definitions, visitor),
        }
    }
}

impl Door {
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
    fn any(&self, definitions: &[Arc<Definition>], visitor: &Visitor<'_>) -> Verdict {
        let rules = &self.0;
        let refused = delegated_fault();
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
