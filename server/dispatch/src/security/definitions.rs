//! Every security definition at one moment, ready to check requests.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard as Loaded};
use busbar_model::object::Snapshot;
use busbar_model::{Cid, Error};
use busbar_runtime::inbound::{Asking, Gate, Guards, Identity, Verdict, Visitor, builtin};
use busbar_runtime::peers::Peers;
use busbar_runtime::{Configure, Fault, Head, Switch};
use subtle::ConstantTimeEq;

use crate::security::accounts;
use crate::security::basic::{bearer_token, with_basic};
use crate::security::bearer::{Bearer, Bearers};
use crate::security::guard::Making;
use crate::security::jwt::log_in::Desk;
use crate::security::limits::{Counters, Limiter};
use crate::security::oauth::{self, SecurityOauth};
use crate::security::passwords::{Hashed, Password, Passwords};
use crate::security::rbac::Permission;
use crate::security::table::Table;
use crate::security::throttle::Throttle;
use crate::security::wss::nonces::Nonces;
use crate::security::wss::{self, Now, SecurityWss};
use crate::security::xpath::Xpath;

/// Checks credentials against the definitions that are configured.
#[derive(Clone, Default)]
pub struct Definitions {
    table: Arc<ArcSwap<Table>>,
    state: Arc<State>,
    /// What was prepared last, whether it came into effect or not.
    prepared: Arc<Mutex<Option<Arc<Making>>>>,
}

/// What outlives changes of the configuration.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) counters: Counters,
    pub(crate) desk: Desk,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(super) bearers: Bearers,
    pub(super) nonces: Nonces,
}

/// One definition.
pub(crate) struct Definition {
    pub(crate) name: String,
    /// Whom its callers are taken for.
    pub(crate) identity: Arc<Identity>,
    /// Whether it lets anybody in: it is switched on and its secret is set.
    pub(crate) is_usable: bool,
    pub(crate) check: Check,
    pub(crate) limits: Option<Limiter>,
    pub(super) state: Arc<State>,
}

pub(crate) enum Check {
    Basic {
        username: String,
        password: Password,
        challenge: String,
    },
    ApiKey {
        header: String,
        key: String,
    },
    Jwt(Jwt),
    Wss(Arc<SecurityWss>),
    TechAccount {
        password: String,
    },
    /// Fields of a certificate.
    Tls(Vec<(String, String)>),
    Bearer(Arc<Bearer>),
    Oauth(Arc<SecurityOauth>),
    Xpath(Arc<Xpath>),
}

/// What is known of Basic credentials.
pub(crate) enum Known {
    Right,
    Wrong,
    /// The user name is right; whether the password is, has to be looked at.
    Unknown(Looked),
}

/// A password that is to be looked at.
pub(crate) struct Looked {
    hashed: Arc<Hashed>,
    password: Vec<u8>,
}

impl Looked {
    /// Whether it is right.
    pub(crate) async fn settle(self) -> Result<bool, Fault> {
        self.hashed.look(self.password).await
    }
}

/// A definition whose callers have logged in.
pub(crate) struct Jwt {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) ttl: u32,
    pub(crate) version: u64,
}

impl Definitions {
    /// No definitions: whoever needs one is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same; what definitions must ask others, they ask through `peers`.
    pub fn with_peers(peers: Arc<dyn Peers>) -> Self {
        let state = State {
            bearers: Bearers::new(peers),
            ..State::default()
        };
        Self {
            state: Arc::new(state),
            ..Self::default()
        }
    }

    /// Whether those with the credentials of a definition may call a management service: `pubapi` and `admin.invoke` all of them, the
    /// definition of editors its own, others what their roles permit (management.md 6.5), but for what is about everything at once.
    /// [`Permission::of_service`] tells which permission a service takes.
    pub fn may_manage(&self, definition: &str, service: &str, permission: Permission) -> bool {
        let is_permitted = || self.table.load().roles().verbs(definition, service).hold(permission);
        is_administrator(definition)
            || definition == builtin::IDE_PUBLISHER && service == builtin::IDE_DEPLOY
            || !service.starts_with(builtin::WHOLE) && is_permitted()
    }

    /// Whether those with the credentials of a definition, who are limited ([`Definitions::is_limited`]), may have another service call this
    /// one for them; `is_management`: it belongs to the management, and is not one of users.
    pub fn may_have_called(&self, definition: &str, service: &str, is_management: bool) -> bool {
        if is_management {
            self.may_manage(definition, service, Permission::of_service(service))
        } else {
            self.may_invoke(definition, service, "POST")
        }
    }

    /// Whether whoever calls may do, and have done for them, what their roles allow and nothing else. So it is for those who come through a
    /// door of the management API, also when they have lost all roles since. Others are held to their roles if these allow a part of the
    /// management; if not, whoever made their channel let them call whatever its service calls.
    pub fn is_limited(&self, head: &Head<'_>) -> bool {
        let definition = head.security_name;
        !is_administrator(definition) && (head.is_held_to_roles || self.table.load().roles().manages(definition))
    }

    /// Whether somebody who came in through a door of the management API may call a service of users: `pubapi` any, others those that
    /// their roles permit, with this method.
    pub(crate) fn may_invoke(&self, definition: &str, service: &str, method: &str) -> bool {
        is_administrator(definition) || self.table.load().roles().verbs(definition, service).allow(method)
    }

    /// Counts a call of a service, or refuses it.
    pub(crate) fn limit_service(&self, service: &str, remote: impl FnOnce() -> IpAddr) -> Result<(), Fault> {
        match self.table.load().service_limits(service) {
            Some(limits) => limits.check(remote()),
            None => Ok(()),
        }
    }

    pub(crate) fn table(&self) -> Loaded<Arc<Table>> {
        self.table.load()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// What `snapshot` says, out of what was said before as far as that is the same: whoever asks for the same state of the configuration
    /// gets the same.
    fn making(&self, snapshot: &Snapshot) -> Result<Arc<Making>, Error> {
        // replaced as a whole
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let before = prepared.as_ref().map(|it| Arc::clone(&it.table)).unwrap_or_default();
        let table = Table::build(&before, snapshot, &self.state)?;
        if let Some(making) = prepared.as_ref().filter(|it| Arc::ptr_eq(&it.table, &table)) {
            return Ok(Arc::clone(making));
        }
        let making = Arc::new(Making {
            table,
            state: Arc::clone(&self.state),
        });
        *prepared = Some(Arc::clone(&making));
        Ok(making)
    }
}

impl Configure for Definitions {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let table = Arc::clone(&self.making(snapshot)?.table);
        let (current, state) = (Arc::clone(&self.table), Arc::clone(&self.state));
        Ok(Switch::new(move || {
            state.desk.sessions.sweep(|name, version| {
                let jwt = table.get(name).filter(|definition| definition.is_usable);
                jwt.and_then(|definition| definition.jwt())
                    .is_some_and(|jwt| jwt.version == version)
            });
            current.store(table);
            state.counters.sweep();
            state.bearers.sweep();
            state.passwords.sweep();
        }))
    }
}

impl Gate for Definitions {
    fn guards(&self, snapshot: &Snapshot) -> Result<Arc<dyn Guards>, Error> {
        Ok(self.making(snapshot)?)
    }
}

impl Definition {
    /// Whether a request has its credentials.
    pub(crate) fn check(&self, visitor: &Visitor<'_>) -> Verdict {
        let header = visitor.header;
        match &self.check {
            Check::Wss(config) if self.is_usable => {
                let (config, state, name) = (Arc::clone(config), Arc::clone(&self.state), self.name.clone());
                let look = move |body: &[u8]| wss::is_right(&config, &name, &state.nonces, body, Now::read());
                return self.look(look, visitor.cid);
            }
            Check::Xpath(xpath) if self.is_usable => {
                let xpath = Arc::clone(xpath);
                return self.look(move |body| xpath.is_right(body), visitor.cid);
            }
            Check::Oauth(config) if self.is_usable => return oauth::check(config, &self.name, &self.state, visitor),
            Check::Bearer(bearer) if self.is_usable => return bearer.check(header("authorization"), visitor.cid),
            Check::Basic { .. } => {
                let known = header("authorization").map_or(Known::Wrong, |value| self.basic(value));
                return match known {
                    Known::Right => Verdict::In(None),
                    Known::Wrong => Verdict::Out(self.refusal(visitor.cid)),
                    Known::Unknown(looked) => Verdict::Wait(wait(looked, self.refusal(visitor.cid))),
                };
            }
            _ => {}
        }
        let is_right = self.is_usable
            && match &self.check {
                Check::ApiKey { header: name, key } => {
                    header(name).is_some_and(|value| bool::from(value.ct_eq(key.as_bytes())))
                }
                Check::Jwt(jwt) => header("authorization")
                    .and_then(bearer_token)
                    .is_some_and(|token| self.state.desk.sessions.is_good(token, &self.name, jwt.version)),
                Check::Basic { .. } | Check::Wss(_) | Check::Bearer(_) | Check::Oauth(_) | Check::Xpath(_) => false,
                Check::TechAccount { password } => accounts::account_is_right(visitor, &self.name, password),
                Check::Tls(fields) => accounts::certificate_is_right(visitor, fields),
            };
        if is_right {
            // the name of an account is its user's, which its channel cannot tell
            let is_account = matches!(self.check, Check::TechAccount { .. });
            Verdict::In(is_account.then(|| Arc::clone(&self.identity)))
        } else {
            Verdict::Out(self.refusal(visitor.cid))
        }
    }

    /// Whether a request has its credentials is seen in its body.
    fn look(&self, is_right: impl FnOnce(&[u8]) -> bool + Send + 'static, cid: Cid) -> Verdict {
        let refusal = self.refusal(cid);
        Verdict::Body(Box::new(move |body| {
            let admission = if is_right(body) { Ok(None) } else { Err(refusal) };
            Box::pin(std::future::ready(admission))
        }))
    }

    /// What is known of a Basic header. A password that is stored as it is takes a time that depends on the lengths only. Whatever is
    /// not a well-formed header is wrong.
    pub(crate) fn basic(&self, value: &[u8]) -> Known {
        let Check::Basic { username, password, .. } = &self.check else {
            return Known::Wrong;
        };
        let known = with_basic(value, |user, secret| {
            let is_user = user.ct_eq(username.as_bytes());
            match password {
                Password::Text(text) => told(bool::from(is_user & secret.ct_eq(text.as_bytes()))),
                Password::Hashed(hashed) if is_user.into() => match hashed.knows(secret) {
                    Some(is_right) => told(is_right),
                    None => Known::Unknown(Looked {
                        hashed: Arc::clone(hashed),
                        password: secret.to_owned(),
                    }),
                },
                Password::Hashed(_) => Known::Wrong,
            }
        });
        known.filter(|_| self.is_usable).unwrap_or(Known::Wrong)
    }

    /// Whether its password is stored as a hash, so that each wrong one may cost a lot.
    pub(crate) fn is_hashed(&self) -> bool {
        matches!(
            self.check,
            Check::Basic {
                password: Password::Hashed(_),
                ..
            }
        )
    }

    pub(crate) fn jwt(&self) -> Option<&Jwt> {
        match &self.check {
            Check::Jwt(jwt) => Some(jwt),
            _ => None,
        }
    }

    /// What those are answered who do not have its credentials.
    pub(crate) fn refusal(&self, cid: Cid) -> Fault {
        let challenge = match &self.check {
            Check::Basic { challenge, .. } => challenge,
            Check::ApiKey { .. } => return Fault::new(401, "401 Unauthorized"),
            Check::Jwt(_) => "JWT",
            Check::Wss(_) => "zato-wss",
            Check::TechAccount { .. } => "zato-tech-acc",
            Check::Tls(_) => "zato-tls-channel-sec",
            Check::Bearer(bearer) => return bearer.refusal(cid),
            Check::Oauth(_) => return oauth::fault(cid),
            Check::Xpath(_) => "zato-xpath",
        };
        unauthorized(cid).with_header("WWW-Authenticate", challenge)
    }
}

/// Whether a definition is one of those whose users manage everything.
fn is_administrator(definition: &str) -> bool {
    matches!(
        definition,
        builtin::PUBAPI | builtin::ADMIN_INVOKE | builtin::INTERNAL_INVOKE
    )
}

fn told(is_right: bool) -> Known {
    if is_right { Known::Right } else { Known::Wrong }
}

fn wait(looked: Looked, refusal: Fault) -> Asking {
    Box::pin(async move { if looked.settle().await? { Ok(None) } else { Err(refusal) } })
}

pub(crate) fn unauthorized(cid: Cid) -> Fault {
    Fault::new(401, format!("Unauthorized; cid={cid}"))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use busbar_model::Kind;
    use busbar_model::object::{Object, Record};
    use busbar_runtime::inbound::Entrance;
    use serde_json::json;

    use super::*;
    use crate::security::{SecurityApiKey, SecurityBasicAuth};

    fn record(kind: &str, name: &str, body: serde_json::Value) -> Record {
        let body = body.as_object().cloned().unwrap().into();
        Record {
            kind: kind.to_owned(),
            name: name.to_owned(),
            is_active: true,
            body,
            version: 1,
            id: 0,
        }
    }

    fn snapshot() -> Snapshot {
        let basic = |name: &str, password: &str| {
            record(
                SecurityBasicAuth::KIND,
                name,
                json!({"username": "ann", "password": password, "realm": "The \"shop\""}),
            )
        };
        let mut off = basic("off", "s3:cret");
        off.is_active = false;
        Snapshot::new(
            1,
            vec![
                record(
                    SecurityApiKey::KIND,
                    "key",
                    json!({"header": "X-Key", "password": "k1"}),
                ),
                record(SecurityApiKey::KIND, "no key", json!({"header": "X-Key"})),
                basic("shop", "s3:cret"),
                basic("no password", ""),
                off,
            ],
        )
    }

    fn check(security: &str, headers: &[(&str, &str)]) -> Result<(), Fault> {
        let guards = Definitions::new().guards(&snapshot()).unwrap();
        let entrance = Entrance {
            security: Some(security),
            ..Entrance::default()
        };
        let guard = guards.of(&entrance).unwrap().unwrap();
        let header = |name: &str| {
            headers
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| value.as_bytes())
        };
        let visitor = Visitor {
            cid: Cid::new(),
            method: "GET",
            url: &String::new,
            query: "",
            remote: "127.0.0.1".parse().unwrap(),
            header: &header,
            certificate: None,
            is_proxied: false,
        };
        match guard.check(&visitor) {
            Verdict::In(admission) => {
                assert_eq!(admission, None);
                Ok(())
            }
            Verdict::Out(fault) => Err(fault),
            _ => panic!("these are known at once"),
        }
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    #[test]
    fn right_credentials_are_let_in() {
        assert_eq!(check("shop", &[("authorization", &basic("ann:s3:cret"))]), Ok(()));
        assert_eq!(
            check(
                "shop",
                &[("authorization", &basic("ann:s3:cret").replace("Basic", "bAsIc"))]
            ),
            Ok(())
        );
        assert_eq!(
            check("shop", &[("authorization", basic("ann:s3:cret").trim_end_matches('='))]),
            Ok(())
        );
        assert_eq!(check("key", &[("x-key", "k1")]), Ok(()));
    }

    #[test]
    fn wrong_or_malformed_credentials_are_refused() {
        let long = basic(&"x".repeat(1000));
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!",
            "Basic YW5u",
            "Bearer x",
            "basicYW5uOnMz",
            &basic("ann:"),
            &basic("ann:s3:cre"),
            &basic("bob:s3:cret"),
            &basic(":"),
            &basic("ann"),
            &long,
        ] {
            let fault = check("shop", &[("authorization", value)]).unwrap_err();
            assert_eq!(fault.status, 401, "{value}");
            assert!(
                fault
                    .details
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .starts_with("Unauthorized; cid="),
                "{value}"
            );
            let challenge = (
                "WWW-Authenticate".to_owned(),
                "Basic realm=\"The \\\"shop\\\"\"".to_owned(),
            );
            assert_eq!(fault.headers, [challenge], "{value}");
        }
        assert!(check("shop", &[]).is_err());
        for headers in [
            &[][..],
            &[("x-key", "")],
            &[("x-key", "k")],
            &[("x-key", "k11")],
            &[("x-api-key", "k1")],
        ] {
            assert_eq!(check("key", headers).unwrap_err(), Fault::new(401, "401 Unauthorized"));
        }
    }

    #[test]
    fn without_a_secret_nobody_is_let_in() {
        assert!(check("no password", &[("authorization", &basic("ann:"))]).is_err());
        assert!(check("no key", &[("x-key", "")]).is_err());
        assert!(check("off", &[("authorization", &basic("ann:s3:cret"))]).is_err());
        assert!(check("unknown", &[("authorization", &basic("ann:s3:cret"))]).is_err());
    }

    #[test]
    fn two_definitions_of_one_name_are_refused() {
        let twin = record(SecurityApiKey::KIND, "shop", json!({"password": "k"}));
        let snapshot = Snapshot::new(2, snapshot().iter().cloned().chain([twin]).collect());
        let error = Definitions::new().prepare(&snapshot).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
    }
}
