//! Object types for tests, in the shape of the real ones, and a server's parts that only take notes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use busbar_model::object::{Change, ChangeSet, FieldError, Object, ObjectType, Placement, Record, Snapshot};
use busbar_model::service::{ServiceInfo, ServiceSettings};
use busbar_model::{Cid, Error, Kind};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment};
use busbar_runtime::{Call, Configure, Fault, Handler, Outcome, ReplyTo, Switch};
use busbar_store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::changes::Changes;
use crate::registry::Registry;

pub const TYPES: &[ObjectType] = &[
    ObjectType::of::<Basic>(),
    ObjectType::of::<Key>(),
    ObjectType::of::<Channel>(),
    ObjectType::of::<Outgoing>(),
    ObjectType::of::<Zmq>(),
    ObjectType::of::<ServiceSettings>(),
];

pub const REGISTRY: Registry = Registry::new(TYPES);

/// A security definition with a secret that must be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// User.
    pub username: String,
    /// Password.
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Realm.
    #[serde(default)]
    pub realm: String,
}

impl Object for Basic {
    const KIND: &'static str = "security.basic_auth";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("basic_auth");
}

/// A security definition with a secret that need not be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Header.
    #[serde(default = "header")]
    pub header: String,
    /// Value of the header.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub api_key: Option<String>,
}

fn header() -> String {
    "X-API-Key".to_owned()
}

impl Object for Key {
    const KIND: &'static str = "security.api_key";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("apikey");
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Service.
    #[schemars(extend("x-refers" = "service"))]
    pub service: String,
    /// Path.
    pub url_path: String,
    /// Definition.
    #[serde(default)]
    #[schemars(extend("x-refers" = "security"))]
    pub security: Option<String>,
    /// Something with a default that is not null.
    #[serde(default = "any")]
    pub http_accept: Option<String>,
    /// Flag.
    #[serde(default = "yes")]
    pub merge_url_params_req: bool,
    /// Seconds.
    #[serde(default)]
    pub timeout: Option<u32>,
    /// Of busbar itself.
    #[serde(default)]
    pub is_internal: bool,
}

fn yes() -> bool {
    true
}

fn any() -> Option<String> {
    Some("*/*".to_owned())
}

impl Object for Channel {
    const KIND: &'static str = "channel.http";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["channel_rest", "channel_plain_http"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        rename(item, "service_name", "service");
        rename(item, "sec_def", "security");
        rename(item, "security_name", "security");
        if item.get("security").and_then(Value::as_str) == Some("zato-no-security") {
            item.remove("security");
        }
        for name in ["connection", "transport", "data_format", "soap_action"] {
            item.remove(name);
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.url_path.starts_with('/') {
            Ok(())
        } else {
            Err(FieldError::new("url_path", "must begin with `/`"))
        }
    }
}

/// An outgoing connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outgoing {
    /// Host.
    pub host: String,
    /// Path.
    #[serde(default)]
    pub url_path: String,
    /// Seconds.
    #[serde(default = "timeout")]
    pub timeout: f64,
    /// Definition.
    #[serde(default)]
    #[schemars(extend("x-refers" = "security"))]
    pub security: String,
}

fn timeout() -> f64 {
    10.0
}

impl Object for Outgoing {
    const KIND: &'static str = "outgoing.http";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["outgoing_rest", "outconn_plain_http"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        rename(item, "security_name", "security");
    }
}

/// How a socket is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SocketType {
    /// To one.
    #[default]
    Push,
    /// To all.
    Pub,
}

/// An outgoing ZeroMQ connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zmq {
    /// Address.
    pub address: String,
    /// Type.
    #[serde(default)]
    pub socket_type: SocketType,
}

impl Object for Zmq {
    const KIND: &'static str = "outgoing.zmq";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["outconn_zmq"];
}

fn rename(item: &mut Map<String, Value>, old: &str, new: &str) {
    if let Some(value) = item.remove(old) {
        item.entry(new).or_insert(value);
    }
}

/// Prepares and switches, and can be told to fail.
#[derive(Default)]
pub struct Notes {
    pub fail: AtomicBool,
    pub prepared: Mutex<Vec<u64>>,
    pub committed: Arc<Mutex<Vec<u64>>>,
}

impl Configure for Notes {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        self.prepared.lock().unwrap().push(snapshot.revision);
        if self.fail.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Config, "cannot build the route of channel.http `a`"));
        }
        let (committed, revision) = (self.committed.clone(), snapshot.revision);
        Ok(Switch::new(move || committed.lock().unwrap().push(revision)))
    }
}

/// Takes over configurations, and can be told to fail.
#[derive(Default)]
pub struct Host {
    pub fail: AtomicBool,
    pub configured: Mutex<Vec<Arc<Snapshot>>>,
}

impl Handler for Host {
    fn submit(&self, _call: Call, reply: ReplyTo) {
        reply.send(Outcome::Fault(Fault::new(500, "not here")));
    }

    fn cancel(&self, _cid: Cid) {}

    fn prepare(&self, deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        let result = deployment
            .sources
            .iter()
            .map(|source| match source.text.starts_with(b"raise") {
                true => Err(DeployError {
                    module: source.module.clone(),
                    message: "no".into(),
                    traceback: String::new(),
                    worker_lost: false,
                }),
                false => Ok(ServiceInfo {
                    name: format!("{}.run", source.module),
                    impl_name: format!("{}.Run", source.module),
                    module: source.module.clone(),
                    http_methods: Vec::new(),
                    sio: None,
                    summary: String::new(),
                    deadline_secs: None,
                    has_request_hash: false,
                }),
            });
        let result = result.collect();
        Box::pin(async { result })
    }

    fn commit(&self, _commit: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn abort(&self, _generation: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn configure(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Result<(), Error>> {
        self.configured.lock().unwrap().push(snapshot);
        let fail = self.fail.load(Ordering::Relaxed);
        Box::pin(async move {
            if fail {
                Err(Error::new(Kind::WorkerLost, "worker 1 is gone"))
            } else {
                Ok(())
            }
        })
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A running server's road for changes.
pub struct Bench {
    pub store: Arc<Store>,
    pub changes: Arc<Changes>,
    pub first: Arc<Notes>,
    pub second: Arc<Notes>,
    pub host: Arc<Host>,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with_store(Store::in_memory().await.unwrap()).await
    }

    pub async fn with_store(store: Arc<Store>) -> Self {
        let (first, second, host) = (Arc::<Notes>::default(), Arc::<Notes>::default(), Arc::<Host>::default());
        let changes = Changes::new(
            store.clone(),
            REGISTRY,
            vec![first.clone(), second.clone()],
            host.clone(),
            |service| service.starts_with("known."),
        );
        changes.start().await.unwrap();
        Self {
            store,
            changes,
            first,
            second,
            host,
        }
    }

    pub fn committed(&self) -> Vec<u64> {
        assert_eq!(
            *self.first.committed.lock().unwrap(),
            *self.second.committed.lock().unwrap()
        );
        self.first.committed.lock().unwrap().clone()
    }
}

pub fn put(kind: &str, name: &str, body: Value) -> Change {
    let Value::Object(body) = body else {
        panic!("not an object")
    };
    Change::Put(Record {
        kind: kind.to_owned(),
        name: name.to_owned(),
        is_active: true,
        body: body.into(),
        version: 0,
        id: 0,
    })
}

pub fn delete(kind: &str, name: &str) -> Change {
    Change::Delete {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

pub fn set(changes: impl IntoIterator<Item = Change>) -> ChangeSet {
    ChangeSet {
        changes: changes.into_iter().collect(),
    }
}
