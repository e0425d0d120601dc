//! The one road for a change of the configured objects, whichever door it came through.
//!
//! Check and normalise every record, let every holder prepare beside what runs, store in one transaction, switch. Whatever fails
//! before the switch leaves everything as it was, in the ODB and in the running server.

mod check;
mod past;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use busbar_model::object::{ChangeSet, Object, Record, Snapshot};
use busbar_model::service::ServiceSettings;
use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use busbar_runtime::{Configure, Handler, Switch};
use busbar_store::{Backup, Rotated, Store, Stored};
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use crate::changes::check::{Checked, check};
use crate::problem::{Problem, Problems};
use crate::registry::Registry;

pub use crate::changes::check::check_name;
pub use crate::changes::past::{FieldChange, Moment, PastVersion, RestorePlan};

/// How often an ODB that went away is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Fewer objects than this are not worth a thread.
const SHARE_MIN: usize = 1_000;

/// Makes changes, one at a time.
pub struct Changes {
    store: Arc<Store>,
    registry: Registry,
    configurables: Vec<Arc<dyn Configure>>,
    handler: Arc<dyn Handler>,
    services: Box<ServiceExists>,
    /// Held while a change is being made.
    turn: tokio::sync::Mutex<()>,
    current: RwLock<Arc<Snapshot>>,
    /// Numbers of services that were asked for: a service keeps its own.
    service_ids: RwLock<HashMap<String, u64>>,
    /// Whether the ODB went away in the middle of a change and is being looked for.
    is_away: AtomicBool,
}

/// Tells whether a service of this name is deployed.
pub type ServiceExists = dyn Fn(&str) -> bool + Send + Sync;

/// An object, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl ObjectName {
    /// That of a record.
    pub fn of(record: &Record) -> Self {
        Self {
            kind: record.kind.clone(),
            name: record.name.clone(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

/// An object that has another name now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// Its kind.
    pub kind: String,
    /// Its name before.
    pub name: String,
    /// Its name now.
    pub new_name: String,
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Number of the change; of the last one, if this one changed nothing.
    pub revision: u64,
    /// Objects that were not there.
    pub created: Vec<ObjectName>,
    /// Objects that are different now.
    pub changed: Vec<ObjectName>,
    /// Objects that are gone.
    pub deleted: Vec<ObjectName>,
    /// Objects that have another name.
    #[serde(default)]
    pub renamed: Vec<Renamed>,
    /// Objects that were put as they are already.
    pub unchanged: Vec<ObjectName>,
    /// What works but may not be meant, a line each.
    pub warnings: Vec<String>,
}

/// A change that was not made. Everything is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It is wrong.
    #[error("{0}")]
    Refused(Problems),
    /// It may be right but could not be made.
    #[error("{0}")]
    Failed(Error),
}

impl From<Problems> for ChangeError {
    fn from(problems: Problems) -> Self {
        Self::Refused(problems)
    }
}

impl From<Problem> for ChangeError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.into())
    }
}

impl From<Error> for ChangeError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(problems) => Self::from(&problems),
            ChangeError::Failed(error) => error,
        }
    }
}

/// A change that was checked and prepared, and not made yet.
struct Prepared {
    /// Its steps, normalised; those that change nothing are left out.
    set: ChangeSet,
    snapshot: Arc<Snapshot>,
    switches: Vec<Switch>,
    applied: Applied,
}

impl Changes {
    /// Makes changes to `store` and tells `configurables` first, in this order, then `handler`. `services` tells whether a service is
    /// deployed. Nothing happens before [`Changes::start`].
    pub fn new(
        store: Arc<Store>,
        registry: Registry,
        configurables: Vec<Arc<dyn Configure>>,
        handler: Arc<dyn Handler>,
        services: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            registry,
            configurables,
            handler,
            services: Box::new(services),
            turn: tokio::sync::Mutex::default(),
            current: RwLock::default(),
            service_ids: RwLock::default(),
            is_away: AtomicBool::default(),
        })
    }

    /// Puts what is stored into effect, before anything runs. A stored object that this version of busbar does not understand is left
    /// alone in the ODB and logged, the others work.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read, a holder cannot prepare, or the handler does not take over.
    pub async fn start(self: &Arc<Self>) -> Result<Arc<Snapshot>, Error> {
        let _turn = self.turn.lock().await;
        let snapshot = self.read().await?;
        // nothing is in effect that would have to stay if one of them cannot
        let workers = self.handler.configure(snapshot.clone());
        let (configured, switches) = tokio::join!(workers, self.prepare_apart(&snapshot));
        self.switch(&snapshot, switches?);
        configured?;
        Ok(snapshot)
    }

    /// Puts what is stored into effect again, when somebody else changed it.
    async fn load(self: &Arc<Self>) -> Result<Arc<Snapshot>, Error> {
        let snapshot = self.read().await?;
        let switches = self.prepare_apart(&snapshot).await?;
        self.switch(&snapshot, switches);
        self.handler.configure(snapshot.clone()).await?;
        Ok(snapshot)
    }

    /// What is stored, as far as it is understood.
    async fn read(&self) -> Result<Arc<Snapshot>, Error> {
        let mut snapshot = self.store.snapshot().await?;
        let (registry, records) = (self.registry, std::mem::take(&mut snapshot.records));
        snapshot.records = apart(move || understood(registry, records)).await?;
        Ok(Arc::new(snapshot))
    }

    /// All objects as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current
            .read()
            .expect("nothing panics while it holds this lock")
            .clone()
    }

    /// Whether a service of this name is deployed.
    pub fn has_service(&self, name: &str) -> bool {
        (self.services)(name)
    }

    /// The object types.
    pub fn registry(&self) -> Registry {
        self.registry
    }

    /// Makes `set` in the name of `who`, all or nothing. Bodies of records need not be normalised.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; then everything is as it was.
    pub async fn apply(self: &Arc<Self>, set: ChangeSet, who: &str) -> Result<Applied, ChangeError> {
        self.transact(who, |_| Ok(set)).await
    }

    /// As [`Changes::apply`], with a set that `make` derives from the objects as they are when its turn comes.
    ///
    /// Once begun it is carried through, even if the caller stops waiting: a change is never stored without being in effect.
    ///
    /// # Errors
    ///
    /// [`ChangeError`], `make`'s own among them; then everything is as it was.
    pub async fn transact<F>(self: &Arc<Self>, who: &str, make: F) -> Result<Applied, ChangeError>
    where
        F: FnOnce(&Snapshot) -> Result<ChangeSet, ChangeError> + Send + 'static,
    {
        let (this, who) = (self.clone(), who.to_owned());
        let task = tokio::spawn(async move { this.make(make, &who).await });
        task.await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Internal, "a change of the objects broke off")
                .with_source(error)
                .into())
        })
    }

    /// Goes as far as one can without changing anything: what [`Changes::transact`] would do or say.
    ///
    /// # Errors
    ///
    /// As [`Changes::transact`], but for what only storing can bring up.
    pub async fn rehearse<F>(&self, make: F) -> Result<Applied, ChangeError>
    where
        F: FnOnce(&Snapshot) -> Result<ChangeSet, ChangeError> + Send,
    {
        let _turn = self.turn.lock().await;
        let current = self.snapshot();
        Ok(self.prepare_change(&current, make(&current)?)?.applied)
    }

    /// The numbers of deployed services, in the order of their names; those that have none yet get one. What is set for a service has the
    /// same, as [`Record::id`].
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read, or written if there is a new one.
    pub async fn service_ids(&self, names: &[String]) -> Result<Vec<u64>, Error> {
        let known = |ids: &HashMap<String, u64>| names.iter().map(|name| ids.get(name).copied()).collect();
        let kept: Option<Vec<u64>> = known(
            &self
                .service_ids
                .read()
                .expect("nothing panics while it holds this lock"),
        );
        if let Some(ids) = kept {
            return Ok(ids);
        }
        let ids = self.store.identify(ServiceSettings::KIND, names).await?;
        let new = names.iter().cloned().zip(ids.iter().copied());
        let mut kept = self
            .service_ids
            .write()
            .expect("nothing panics while it holds this lock");
        kept.extend(new);
        Ok(ids)
    }

    /// Encrypts all stored secrets with another key, see [`Store::rotate_secrets`]. No change is made meanwhile, and none is needed: what
    /// runs has its secrets.
    ///
    /// # Errors
    ///
    /// As there; then everything is as it was.
    pub async fn rotate_secrets(&self) -> Result<Rotated, Error> {
        let _turn = self.turn.lock().await;
        self.store.rotate_secrets().await
    }

    /// All objects and deployed files, see [`Store::backup`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn backup(&self) -> Result<Backup, Error> {
        self.store.backup().await
    }

    async fn make<F>(self: &Arc<Self>, make: F, who: &str) -> Result<Applied, ChangeError>
    where
        F: FnOnce(&Snapshot) -> Result<ChangeSet, ChangeError> + Send + 'static,
    {
        let _turn = self.turn.lock().await;
        let current = self.snapshot();
        let Prepared {
            set,
            snapshot,
            switches,
            mut applied,
        } = {
            let (this, current) = (self.clone(), current.clone());
            apart(move || this.prepare_change(&current, make(&current)?)).await??
        };
        if set.changes.is_empty() {
            return Ok(applied);
        }
        let stored = match self.store.apply_at(current.revision, &set, who).await {
            Ok(stored) => stored,
            Err(error) => {
                match error.kind() {
                    Kind::Conflict => {
                        if let Err(error) = self.load().await {
                            error!(error = %error.chain(), "cannot take over what somebody else changed in the ODB");
                        }
                    }
                    Kind::Unavailable => self.look_when_it_is_back(),
                    _ => {}
                }
                return Err(error.into());
            }
        };
        let snapshot = Arc::new(counted_as(snapshot, &stored));
        applied.revision = snapshot.revision;
        self.switch(&snapshot, switches);
        info!(
            revision = snapshot.revision,
            who,
            created = applied.created.len(),
            changed = applied.changed.len(),
            deleted = applied.deleted.len(),
            "objects changed"
        );
        if let Err(error) = self.handler.configure(snapshot).await {
            // it is stored and the hub has switched: workers that did not take over get it when they are replaced
            error!(error = %error.chain(), "a worker did not take over the change of the objects");
            applied
                .warnings
                .push(format!("a worker did not take over the change: {}", error.chain()));
        }
        Ok(applied)
    }

    /// A connection that was lost at the very end of a change does not say whether that was stored: what is stored comes into effect as
    /// soon as it can be read.
    fn look_when_it_is_back(self: &Arc<Self>) {
        if self.is_away.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        task::spawn("odb-return", TaskKind::Once, async move {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                let stored = match this.store.snapshot().await {
                    Err(error) if error.kind() == Kind::Unavailable => continue,
                    stored => stored,
                };
                let _turn = this.turn.lock().await;
                this.is_away.store(false, Ordering::Release);
                let taken_over = match stored {
                    Ok(stored) if stored.revision == this.snapshot().revision => Ok(()),
                    Ok(_) => this.load().await.map(|_| ()),
                    Err(error) => Err(error),
                };
                match taken_over {
                    Ok(()) => info!("the ODB is back"),
                    Err(error) => error!(error = %error.chain(), "cannot take over what is in the ODB"),
                }
                return;
            }
        });
    }

    fn prepare_change(&self, current: &Snapshot, set: ChangeSet) -> Result<Prepared, ChangeError> {
        let Checked { set, snapshot, applied } = check(self.registry, &*self.services, current, set)?;
        let snapshot = Arc::new(snapshot);
        // what changes nothing needs no switch
        let switches = if set.changes.is_empty() {
            Vec::new()
        } else {
            self.prepare(&snapshot)?
        };
        Ok(Prepared {
            set,
            snapshot,
            switches,
            applied,
        })
    }

    async fn prepare_apart(self: &Arc<Self>, snapshot: &Arc<Snapshot>) -> Result<Vec<Switch>, Error> {
        let (this, snapshot) = (self.clone(), snapshot.clone());
        apart(move || this.prepare(&snapshot)).await?
    }

    fn prepare(&self, snapshot: &Snapshot) -> Result<Vec<Switch>, Error> {
        self.configurables.iter().map(|it| it.prepare(snapshot)).collect()
    }

    fn switch(&self, snapshot: &Arc<Snapshot>, switches: Vec<Switch>) {
        for switch in switches {
            switch.commit();
        }
        *self.current.write().expect("nothing panics while it holds this lock") = snapshot.clone();
    }
}

/// Runs what computes for long, where there are very many objects, beside the threads that everything else needs.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(Kind::Internal, "a change of the objects broke off").with_source(error))
}

/// Those of `records` that this busbar understands, normalised and in the same order; what is wrong with the others is logged.
fn understood(registry: Registry, mut records: Vec<Arc<Record>>) -> Vec<Arc<Record>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = records.len().div_ceil(threads).max(SHARE_MIN);
    std::thread::scope(|scope| {
        let mut shares = Vec::new();
        while records.len() > share {
            let rest = records.split_off(records.len() - share);
            shares.push(scope.spawn(move || understood_here(registry, rest)));
        }
        let mut all = understood_here(registry, records);
        for share in shares.into_iter().rev() {
            all.append(&mut share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}

fn understood_here(registry: Registry, mut records: Vec<Arc<Record>>) -> Vec<Arc<Record>> {
    records.retain_mut(|record| match registry.get(&record.kind) {
        None => {
            error!(kind = %record.kind, name = %record.name, "{} `{}` is of a type that this busbar does not have", record.kind, record.name);
            false
        }
        Some(object_type) => match (object_type.normalise_body)(&record.body) {
            Ok(body) => {
                Arc::make_mut(record).body = body;
                true
            }
            Err(error) => {
                error!(kind = %record.kind, name = %record.name, %error, "{} `{}` is left out: {error}", record.kind, record.name);
                false
            }
        },
    });
    records
}

/// `snapshot` with the revision, versions and ids that the store gave. The first two are what was expected, unless the ODB holds an object
/// which was left out of the running state and has now been replaced.
fn counted_as(snapshot: Arc<Snapshot>, stored: &Stored) -> Snapshot {
    let mut snapshot = Arc::unwrap_or_clone(snapshot);
    snapshot.revision = stored.revision;
    for given in &stored.objects {
        let is_counted = |it: &Record| it.version == given.version && it.id == given.id;
        if snapshot.get(&given.kind, &given.name).is_some_and(is_counted) {
            continue;
        }
        if let Some(record) = snapshot.get_mut(&given.kind, &given.name) {
            record.version = given.version;
            record.id = given.id;
        }
    }
    snapshot
}
