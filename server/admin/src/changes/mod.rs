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

    /// Puts what is stored into effect: at the start, and again when another node changed it. A stored object that this version of
    /// busbar does not understand is left alone in the ODB and logged, the others work.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read, a holder cannot prepare, or the handler does not take over.
    pub async fn start(&self) -> Result<Arc<Snapshot>, Error> {
        let _turn = self.turn.lock().await;
        self.load().await
    }

    async fn load(&self) -> Result<Arc<Snapshot>, Error> {
        let mut snapshot = self.store.snapshot().await?;
        snapshot.records.retain_mut(|record| match self.registry.get(&record.kind) {
            None => {
                error!(kind = %record.kind, name = %record.name, "{} `{}` is of a type that this busbar does not have", record.kind, record.name);
                false
            }
            Some(object_type) => match (object_type.normalise)(&record.body) {
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
        let snapshot = Arc::new(snapshot);
        let switches = self.prepare(&snapshot)?;
        self.switch(&snapshot, switches);
        self.handler.configure(snapshot.clone()).await?;
        Ok(snapshot)
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
        F: FnOnce(&Snapshot) -> Result<ChangeSet, ChangeError>,
    {
        let _turn = self.turn.lock().await;
        let current = self.snapshot();
        let Prepared {
            set,
            snapshot,
            switches,
            mut applied,
        } = self.prepare_change(&current, make(&current)?)?;
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

/// `snapshot` with the revision, versions and ids that the store gave. The first two are what was expected, unless the ODB holds an object
/// which was left out of the running state and has now been replaced.
fn counted_as(snapshot: Arc<Snapshot>, stored: &Stored) -> Snapshot {
    let mut snapshot = Arc::unwrap_or_clone(snapshot);
    snapshot.revision = stored.revision;
    for given in &stored.objects {
        if let Some(record) = snapshot.get_mut(&given.kind, &given.name) {
            record.version = given.version;
            record.id = given.id;
        }
    }
    snapshot
}
