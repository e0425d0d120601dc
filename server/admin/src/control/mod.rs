//! What the command line asks of a running server, and what it is answered: one request, one response, each a line of JSON to whoever
//! carries them.
//!
//! [`Control`] answers. What it needs of the parts of a server it asks through [`Node`], [`Services`] and [`Deployments`]; of a server
//! that deploys and dispatches by itself the last two are [`Running`].

mod answer;
mod past;
mod running;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use std::path::Path;
use std::sync::Arc;

use busbar_dispatch::sample::Sample;
use busbar_dispatch::statistics::Usage;
use busbar_model::audit::AuditEntry;
use busbar_model::slow::SlowCall;
use busbar_model::{DataFormat, Error, Kind};
use busbar_runtime::handler::{BoxFuture, DeployError, PoolNumbers};
use busbar_runtime::queue::{DeadLetter, Message, Queue, QueueStatus};
use busbar_store::{Revision, Rotated, StoredFailure, StoredSource};
use serde::{Deserialize, Serialize};

use crate::accounts::Secret;
use crate::changes::{Applied, Moment, ObjectName, PastVersion, RestorePlan};
use crate::enmasse::{Document, ExportOptions, ImportOptions, Plan};
use crate::objects::{NewObject, ObjectEdit, ObjectView};
use crate::problem::Problem;
use crate::statistics::{Choice, Statistics, Summary};

pub use answer::{Control, check_file_name};
pub use running::Running;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// How the server is.
    Status,
    /// Which services there are.
    ServiceList {
        /// The built-in ones too.
        #[serde(default)]
        internal: bool,
    },
    /// Run a service.
    ServiceInvoke(Invoke),
    /// What a channel has kept of its messages.
    AuditLog {
        /// Name of the channel.
        channel: String,
    },
    /// Which calls took long.
    ServiceSlow {
        /// Of which service; `None`: of all.
        name: Option<String>,
    },
    /// What services took.
    ServiceStats {
        /// From when on: seconds since 1970.
        start: u64,
        /// Before when.
        stop: u64,
        /// Which are told of.
        choice: Choice,
    },
    /// Switch a service on or off.
    ServiceSwitch {
        /// Its name.
        name: String,
        /// Whether it is to be called.
        is_active: bool,
    },
    /// Deploy a file, as if it had been copied into the pickup directory.
    HotDeploy {
        /// Its path in the pickup directory.
        file_name: String,
        /// What is in it.
        text: Payload,
    },
    /// Deploy files together: those that can be deployed are, in one generation.
    Deploy {
        /// The files.
        files: Vec<SourceFile>,
    },
    /// Which objects of a kind there are.
    ObjectList {
        /// The kind.
        kind: String,
        /// Words that names must hold; empty: all objects.
        #[serde(default)]
        query: String,
    },
    /// One object.
    ObjectGet(ObjectName),
    /// Make an object.
    ObjectCreate(NewObject),
    /// Change an object.
    ObjectEdit {
        /// Which.
        object: ObjectName,
        /// What becomes different.
        edit: ObjectEdit,
    },
    /// Delete an object.
    ObjectDelete {
        /// Which.
        object: ObjectName,
        /// The version that it must still have; `None`: any.
        #[serde(default)]
        version: Option<u64>,
    },
    /// Ask the other side of a connection whether it is there.
    ObjectPing(ObjectName),
    /// Make the objects of a document.
    EnmasseImport {
        /// The items.
        document: Document,
        /// How.
        #[serde(default)]
        options: ImportOptions,
    },
    /// What an import would do.
    EnmassePlan {
        /// The items.
        document: Document,
        /// How they would be imported.
        #[serde(default)]
        options: ImportOptions,
    },
    /// How the durable queue is.
    QueueStatus,
    /// Its dead letters, the oldest first.
    QueueDead {
        /// How many at most.
        limit: usize,
    },
    /// Put dead letters back into the queue.
    QueueReplay {
        /// Which; `None`: all.
        ids: Option<Vec<String>>,
    },
    /// Throw dead letters away.
    QueueForget {
        /// Which; `None`: all.
        ids: Option<Vec<String>>,
    },
    /// Give a security definition another password.
    PasswordSet {
        /// Its name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// Encrypt all stored secrets with another key.
    SecretsRotate,
    /// What an object was, and who changed it.
    History {
        /// Which object.
        object: ObjectName,
        /// How many versions at most.
        limit: u32,
    },
    /// The last changes of the objects.
    Revisions {
        /// Those before this number; `None`: the last ones.
        #[serde(default)]
        before: Option<u64>,
        /// How many at most.
        limit: u32,
    },
    /// Write the objects down as they were.
    ExportAt {
        /// When.
        at: Moment,
        /// Which, and how.
        #[serde(default)]
        options: ExportOptions,
    },
    /// Give an object the fields of one of its versions.
    RollBack {
        /// Which object.
        object: ObjectName,
        /// The number of the version.
        version: u64,
    },
    /// Make all objects what they were.
    Restore {
        /// When.
        at: Moment,
        /// [`RestorePlan::id`] of the plan that somebody agreed to. What deletes needs it.
        #[serde(default)]
        confirm: Option<String>,
        /// Only say what would be different.
        #[serde(default)]
        rehearse: bool,
    },
    /// What a module ran.
    SourceHistory {
        /// Its name.
        module: String,
    },
    /// Deploy what a module ran before.
    SourceRollBack {
        /// Its name.
        module: String,
        /// With which deployment that came; `None`: the one before what runs.
        #[serde(default)]
        generation: Option<u64>,
    },
    /// Write the objects down.
    EnmasseExport {
        /// Which, and how.
        #[serde(default)]
        options: ExportOptions,
    },
}

/// What is answered. Each request has its own answer; any can fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "data", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::ServiceList`], sorted by name.
    Services(Vec<ServiceEntry>),
    /// To [`Request::ServiceInvoke`], whatever the service answered.
    Invoked(Invoked),
    /// To [`Request::AuditLog`], the oldest first.
    AuditLog(Vec<AuditEntry>),
    /// To [`Request::ServiceSlow`], the newest first.
    SlowCalls(Vec<SlowCall>),
    /// To [`Request::ServiceStats`].
    Stats(Summary),
    /// To [`Request::ServiceSwitch`].
    Switched {
        /// Whether it was otherwise before.
        changed: bool,
    },
    /// To [`Request::HotDeploy`] and [`Request::SourceRollBack`].
    Deployed(Deployed),
    /// To [`Request::Deploy`].
    DeployedFiles(DeployedFiles),
    /// To [`Request::ObjectList`], by name.
    Objects(Vec<ObjectView>),
    /// To [`Request::ObjectGet`], [`Request::ObjectCreate`] and [`Request::ObjectEdit`]: the object as it is now.
    Object(ObjectView),
    /// To [`Request::ObjectDelete`].
    ObjectDeleted(Applied),
    /// To [`Request::ObjectPing`]: the other side is there.
    Pinged(Pinged),
    /// To [`Request::EnmasseImport`].
    Imported(Applied),
    /// To [`Request::EnmassePlan`].
    Planned(Plan),
    /// To [`Request::EnmasseExport`] and [`Request::ExportAt`].
    Exported {
        /// The file's text.
        text: String,
    },
    /// To [`Request::QueueStatus`].
    Queue(QueueStatus),
    /// To [`Request::QueueDead`].
    DeadLetters(Vec<DeadLetter>),
    /// To [`Request::QueueReplay`] and [`Request::QueueForget`].
    QueueChanged {
        /// How many dead letters there were.
        count: usize,
    },
    /// To [`Request::PasswordSet`].
    PasswordSet,
    /// To [`Request::History`], newest first.
    History(Vec<PastVersion>),
    /// To [`Request::Revisions`], newest first.
    Revisions(Vec<Revision>),
    /// To [`Request::RollBack`] and [`Request::Restore`].
    Restored(Applied),
    /// To [`Request::Restore`] that was to be rehearsed.
    RestorePlanned(RestorePlan),
    /// To [`Request::SourceHistory`], newest first.
    Sources(Vec<SourceVersion>),
    /// To [`Request::SecretsRotate`].
    SecretsRotated(Rotated),
    /// To any.
    Failed(Failure),
}

/// A call of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Invoke {
    /// Which service.
    pub name: String,
    /// Body of the request.
    #[serde(default)]
    pub payload: Payload,
    /// How the body is to be read.
    #[serde(default)]
    pub data_format: DataFormat,
    /// Headers that the service sees.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// How long to wait, in seconds; `None`: as long as the service may take.
    #[serde(default)]
    pub timeout_secs: Option<u32>,
    /// What the service is told of the channel that it is called through; `None`: that it is called by its name.
    #[serde(default)]
    pub channel: Option<Channel>,
    /// Who calls, for the history of objects. Never read off a request: whoever carries that knows.
    #[serde(skip)]
    pub caller: String,
}

/// A channel that somebody who calls a service through `zato.service.invoke` wants it to see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// What it is called: `self.channel`.
    pub name: String,
    /// `plain_http`, `soap` or nothing: `self.transport`. XML that comes by `soap` stands in an envelope.
    pub transport: String,
}

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invoked {
    /// Correlation id, to find it in the log.
    pub cid: String,
    /// HTTP status; 400 and up if it failed.
    pub status: u16,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Payload,
}

/// Bytes that are text nearly always, and are text in JSON when they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Repr", into = "Repr")]
pub struct Payload(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Repr {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Payload> for Repr {
    fn from(payload: Payload) -> Self {
        String::from_utf8(payload.0).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }
}

impl From<Repr> for Payload {
    fn from(repr: Repr) -> Self {
        match repr {
            Repr::Text(text) => Self(text.into_bytes()),
            Repr::Bytes(bytes) => Self(bytes),
        }
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What its process says of itself.
    #[serde(flatten)]
    pub node: NodeStatus,
    /// How many services are deployed.
    pub services: usize,
    /// How many objects are configured.
    pub objects: usize,
    /// Number of the last change of the objects.
    pub revision: u64,
    /// Files that could not be deployed and have not been since, the last failure first.
    pub failures: Vec<StoredFailure>,
}

/// What a server's process says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Name of the server: of its directory.
    pub name: String,
    /// Version of busbar.
    pub version: String,
    /// Process id of the hub.
    pub pid: u32,
    /// Seconds since it was ready.
    pub uptime_secs: u64,
    /// Where it answers HTTP: `127.0.0.1:11223`.
    pub address: String,
    /// Where it answers administrators; empty: nowhere.
    #[serde(default)]
    pub admin_address: String,
    /// Its workers; empty if it runs services in its own process.
    pub workers: Vec<WorkerStatus>,
    /// Its Redis.
    pub redis: RedisStatus,
    /// Pools of connections that services use, added up over its workers.
    #[serde(default)]
    pub pools: Vec<PoolNumbers>,
}

/// How a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its number, from 1; the one that replaces it gets the same.
    pub number: u32,
    /// Its process; `None` while there is none.
    pub pid: Option<u32>,
    /// `ready`, `starting`, `deaf`, `backing off`...
    pub state: String,
    /// Calls that run on it or wait for it.
    pub calls: u32,
    /// How many times it was replaced since the server started.
    pub restarts: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}

/// How the server's Redis is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RedisStatus {
    /// `ready`, `starting`, `away`...
    pub state: String,
    /// Where it is, without its password.
    pub url: String,
    /// Whether the server started it.
    pub is_private: bool,
}

/// A deployed service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// Name by which it is called.
    pub name: String,
    /// `<module>.<Class>`.
    pub impl_name: String,
    /// Stem of the file that it came from.
    pub module: String,
    /// The deployment that it came with.
    pub generation: u64,
    /// Whether it can be called.
    pub is_active: bool,
    /// Whether it is part of busbar rather than of what users deploy.
    #[serde(default)]
    pub is_internal: bool,
    /// First line of its docstring.
    pub summary: String,
    /// How often it was called through the hub since the server started, and how long that took.
    #[serde(default)]
    pub usage: Usage,
}

/// A deployment that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deployed {
    /// Its number.
    pub generation: u64,
    /// The services that are answered by it.
    pub services: Vec<String>,
}

/// What came of a ping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pinged {
    /// What was done and what came back, without secrets.
    pub info: String,
    /// How long the other side took to answer.
    pub response_ms: f64,
}

/// A source file that is to be deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path in the pickup directory.
    pub file_name: String,
    /// What is in it.
    pub text: Payload,
}

/// What came of files that were deployed together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DeployedFiles {
    /// Number of the deployment; `None`: all of them were what is deployed already, or none could be.
    pub generation: Option<u64>,
    /// The files that are served now, in the order in which they were sent.
    pub deployed: Vec<DeployedFile>,
    /// Those that could not be deployed; what was served of them before still is.
    pub failed: Vec<FailedFile>,
}

/// A file that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedFile {
    /// Its path in the pickup directory.
    pub file_name: String,
    /// Its services.
    pub services: Vec<String>,
    /// Whether it was deployed like this already.
    pub is_unchanged: bool,
}

/// A file that could not be deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    /// Its path in the pickup directory.
    pub file_name: String,
    /// What is wrong with it.
    pub message: String,
    /// Python's traceback, if there is one.
    pub traceback: String,
}

/// A text that a module ran, or runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceVersion {
    /// The deployment that it came with.
    pub generation: u64,
    /// Where its file lay.
    pub path: String,
    /// How many bytes it has.
    pub size: usize,
    /// When it was deployed, RFC 3339 in UTC.
    pub deployed_at: String,
    /// Who deployed it: a user, or the door it came through with the user there; `None`: nobody knows any more.
    #[serde(default)]
    pub deployed_by: Option<String>,
}

/// Something that was asked for and could not be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: Kind,
    /// What could not be done.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// A Python traceback, if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceback: String,
    /// What is wrong with a change, one by one; the message has it all as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Exit code for the command, as in Zato's table.
    pub exit_code: u8,
}

/// Exit codes of commands, those that scripts know from Zato.
pub mod exit_code {
    /// It worked.
    pub const OK: u8 = 0;
    /// A file is missing.
    pub const FILE_MISSING: u8 = 2;
    /// What was given cannot be accepted.
    pub const INVALID_INPUT: u8 = 15;
    /// Something failed.
    pub const FAILED: u8 = 16;
    /// The server took too long.
    pub const SERVER_TIMEOUT: u8 = 28;
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let exit_code = match error.kind() {
            Kind::BadRequest
            | Kind::NotFound
            | Kind::Inactive
            | Kind::Conflict
            | Kind::TooLarge
            | Kind::Config
            | Kind::Service => exit_code::INVALID_INPUT,
            Kind::Timeout => exit_code::SERVER_TIMEOUT,
            _ => exit_code::FAILED,
        };
        Self {
            kind: error.kind(),
            message: error.chain(),
            hint: error.hint().map(str::to_owned),
            traceback: String::new(),
            problems: Vec::new(),
            exit_code,
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        Self {
            kind: Kind::Service,
            message: error.to_string(),
            hint: Some("what ran before still runs; correct the file and deploy it again".to_owned()),
            traceback: error.traceback,
            problems: Vec::new(),
            exit_code: exit_code::INVALID_INPUT,
        }
    }
}

/// The process: asked for what only it knows.
pub trait Node: Send + Sync + 'static {
    /// How it is, now.
    fn status(&self) -> BoxFuture<'_, NodeStatus>;

    /// What a channel has kept of its messages, the oldest first; `None`: it keeps none.
    fn audit_log(&self, channel: &str) -> Option<Vec<AuditEntry>>;

    /// Calls that took long, of a service or of all, the newest first.
    fn slow_calls(&self, service: Option<&str>) -> Vec<SlowCall>;
}

/// The deployed services.
pub trait Services: Send + Sync + 'static {
    /// All of them, in any order.
    fn list(&self) -> Vec<ServiceEntry>;

    /// The last call of one that was kept, if any was.
    fn sample(&self, service: &str) -> Option<Sample>;

    /// Calls one and waits for its answer; a service that fails is an answer too.
    fn invoke(&self, invoke: Invoke) -> BoxFuture<'_, Result<Invoked, Error>>;

    /// The same call as a message for the queue, which never expires. What the service could not use is refused.
    fn message(&self, invoke: Invoke) -> Result<Message, Error>;
}

/// Hot deployment.
pub trait Deployments: Send + Sync + 'static {
    /// Deploys one file and waits until it is what answers, or is refused. `who` does, for its history.
    fn deploy(&self, file_name: String, text: Vec<u8>, who: &str) -> BoxFuture<'_, Result<Deployed, Failure>>;

    /// Deploys files together, in one generation, and waits; one that cannot be deployed does not keep the others from it.
    fn deploy_all(&self, files: Vec<SourceFile>, who: &str) -> BoxFuture<'_, Result<DeployedFiles, Failure>>;

    /// What a module ran, newest first, what it runs among it.
    fn history(&self, module: String) -> BoxFuture<'_, Result<Vec<StoredSource>, Error>>;

    /// Deploys what a module ran before, into the same place, as if somebody had copied it there: what came with a deployment, or with the
    /// one before what runs.
    fn roll_back(&self, module: String, generation: Option<u64>, who: &str)
    -> BoxFuture<'_, Result<Deployed, Failure>>;

    /// Files that could not be deployed, and have not been since.
    fn failures(&self) -> Vec<StoredFailure>;

    /// The file that a module runs, as it was deployed; `None`: there is none, or it is a part of busbar.
    fn source(&self, module: String) -> BoxFuture<'_, Result<Option<StoredSource>, Error>>;

    /// Takes a module out: its services are gone, and so is its file in the pickup directory.
    fn remove(&self, module: String) -> BoxFuture<'_, Result<(), Error>>;

    /// Where the files lie.
    fn pickup_dir(&self) -> &Path;

    /// Deploys what is in one file of the pickup directory as another one of it, and takes the first one out. Both or nothing.
    fn rename(&self, from: String, to: String, who: &str) -> BoxFuture<'_, Result<Deployed, Failure>>;
}

/// The parts of a server that [`Control`] asks.
#[derive(Clone)]
pub struct Parts {
    /// See [`Node`].
    pub node: Arc<dyn Node>,
    /// See [`Services`].
    pub services: Arc<dyn Services>,
    /// See [`Deployments`].
    pub deployments: Arc<dyn Deployments>,
    /// The durable queue.
    pub queue: Arc<dyn Queue>,
    /// See [`Statistics`].
    pub statistics: Arc<dyn Statistics>,
}
