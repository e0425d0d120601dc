//! The seam between the hub and whatever runs `handle()`.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use busbar_model::object::Snapshot;
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::call::{Call, Outcome, ServiceHandle};

/// A future that a trait object can give back.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs calls and holds generations of services: the Python host in process, or a pool of worker processes.
///
/// Calls are the hot path and are handed over without waiting. Everything else is rare, and is answered when it is true everywhere.
pub trait Handler: Send + Sync + 'static {
    /// Runs one call and answers it exactly once through `reply`, whatever happens. Never waits: with its queue full it answers 503
    /// with `Retry-After`.
    fn submit(&self, call: Call, reply: ReplyTo);

    /// The caller has left or the deadline has passed: stop the call if it runs, forget it if it does not. It is still answered, but
    /// nobody listens.
    fn cancel(&self, cid: Cid);

    /// Imports a deployment beside what runs, and changes nothing else. On success the services wait for [`Handler::commit`] or
    /// [`Handler::abort`]; on failure nothing is left of it.
    fn prepare(&self, deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>>;

    /// Makes a prepared deployment the current one: its handles can be called, `self.invoke` finds its services. Calls in flight finish
    /// on the code they started with.
    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>>;

    /// Forgets a prepared deployment.
    fn abort(&self, generation: u64) -> BoxFuture<'_, ()>;

    /// Takes over a new state of the configured objects; connectors that live in workers are rebuilt where they changed.
    fn configure(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Result<(), Error>>;

    /// Takes over a new state of the files that users keep for their services.
    fn files(&self, files: Arc<UserFiles>) -> BoxFuture<'_, Result<(), Error>> {
        let _ = files;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Numbers of the pools of connections that services use, those of all workers that answer soon added up; sorted by kind and name.
    fn pools(&self) -> BoxFuture<'_, Vec<PoolNumbers>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Waits for the calls in flight, then stops. Whoever calls this bounds the wait.
    fn drain(&self) -> BoxFuture<'_, ()>;
}

/// Numbers of a pool of connections, for people who look after the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolNumbers {
    /// Kind of the object that it belongs to: `outgoing.sql`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Most connections that may be open, overflow included.
    pub limit: u64,
    /// Connections in use.
    pub in_use: u64,
    /// Connections that wait for a user.
    pub idle: u64,
    /// Calls that wait for a connection now.
    pub waiting: u64,
    /// Calls that had to wait, since the pool was made.
    pub waited: u64,
    /// Calls that waited in vain.
    pub timed_out: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that were closed, or lost.
    pub closed: u64,
}

impl PoolNumbers {
    /// The numbers of several workers, those of one object added up.
    pub fn add_up(all: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut sums: BTreeMap<(String, String), Self> = BTreeMap::new();
        for one in all {
            let sum = sums.entry((one.kind.clone(), one.name.clone())).or_default();
            *sum = Self {
                limit: sum.limit + one.limit,
                in_use: sum.in_use + one.in_use,
                idle: sum.idle + one.idle,
                waiting: sum.waiting + one.waiting,
                waited: sum.waited + one.waited,
                timed_out: sum.timed_out + one.timed_out,
                opened: sum.opened + one.opened,
                closed: sum.closed + one.closed,
                kind: one.kind,
                name: one.name,
            };
        }
        sums.into_values().collect()
    }
}

/// Files that users keep for their services: `self.user_config` and `self.static_config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserFiles {
    /// What configuration files say, by their names without the endings, as they nest: file, section, key.
    pub config: Map<String, Value>,
    /// Static files' text, as they nest: directories, name.
    pub statics: Map<String, Value>,
}

/// Where the outcome of a call goes.
pub enum ReplyTo {
    /// To a task that waits for it.
    Task(oneshot::Sender<Outcome>),
    /// Into a sink that many calls share, under a number.
    Sink {
        /// Who takes it.
        sink: Arc<dyn ReplySink>,
        /// Number of the call with that sink.
        id: u64,
    },
}

impl ReplyTo {
    /// A reply that a task can wait for. The receiver fails only if the handler broke its promise to answer.
    pub fn task() -> (Self, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        (Self::Task(sender), receiver)
    }

    /// Answers. May wait for whoever reads the answers, so no lock must be held that others need meanwhile.
    pub fn send(self, outcome: Outcome) {
        match self {
            // an error here says that the caller has left
            Self::Task(sender) => drop(sender.send(outcome)),
            Self::Sink { sink, id } => {
                if sink.reply(id, outcome) {
                    sink.flush();
                }
            }
        }
    }
}

/// Takes the outcomes of many calls.
pub trait ReplySink: Send + Sync {
    /// Takes one without waiting. May keep it back until [`ReplySink::flush`]; true if that is due because much is kept back.
    fn reply(&self, id: u64, outcome: Outcome) -> bool;

    /// Sends what was kept back, and waits until it has left. Handler threads call it, detached from the interpreter, when they are
    /// about to do something else than the next call.
    fn flush(&self);

    /// Sends as much of what was kept back as leaves without waiting; false if some is left.
    fn try_flush(&self) -> bool;
}

/// Source files to import together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deployment {
    /// Counts up with every attempt; never reused.
    pub generation: u64,
    /// The files that changed. Modules that import one of them, and are not among them, are imported anew as well.
    pub sources: Vec<Source>,
    /// Modules of busbar's own package whose services are deployed: built-in services. They are imported under their names, once in the
    /// life of a process.
    #[serde(default)]
    pub builtin: Vec<String>,
    /// Stems of modules to forget.
    #[serde(default)]
    pub removed: Vec<String>,
    /// The attempt before was of some of the same files, and failed. What it imported without fault is taken as it is, not run again: what a
    /// module does when it is imported, such as to start a thread, it does once.
    #[serde(default)]
    pub again: bool,
}

/// One source file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    /// File name without its ending: the module's name, and the module part of its services' names.
    pub module: String,
    /// Where it lies, for `__file__` and tracebacks.
    pub path: String,
    /// Its text. Python decodes it, encoding declarations and all.
    #[serde(with = "source_text")]
    pub text: Vec<u8>,
    /// Who deploys it, for its history; `None`: nobody in particular. Workers are not told.
    #[serde(skip)]
    pub deployed_by: Option<String>,
}

/// What makes a prepared deployment current.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Commit {
    /// [`Deployment::generation`].
    pub generation: u64,
    /// Every service of the modules that were imported, by `<module>.<Class>`, with its new handle. Services that those modules had before
    /// and that are not listed exist no longer. Of several services with one name the one with the highest handle is called.
    pub services: Vec<(String, ServiceHandle)>,
}

/// A deployment that cannot become current.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("cannot deploy `{module}`: {message}")]
pub struct DeployError {
    /// Stem of the file that failed; empty if it is not about one file.
    pub module: String,
    /// What is wrong, in a line.
    pub message: String,
    /// The Python traceback; empty if there is none.
    #[serde(default)]
    pub traceback: String,
    /// The worker that imported it died, of the files or of something else.
    #[serde(skip)]
    pub worker_lost: bool,
}

mod source_text {
    //! Keeps source text, which may be in any encoding, intact in JSON frames.
    use serde::{Deserialize, Deserializer, Serializer};

    // sources are text nearly always: as text they stay readable in a captured frame
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(bytes),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Repr {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Repr::deserialize(deserializer)? {
            Repr::Text(text) => text.into_bytes(),
            Repr::Bytes(bytes) => bytes,
        })
    }
}
