//! The one road for a change of the configured objects, whichever door it came through.
//!
//! Check and normalise every record, let every holder prepare beside what runs, store in one transaction, switch. Whatever fails
//! before the switch leaves everything as it was, in the ODB and in the running server.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use busbar_model::object::{Change, ChangeSet, Record, Reference, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use busbar_runtime::{Configure, Handler, Switch};
use busbar_store::{Rotated, Store, put_version};
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use crate::problem::{Code, Problem, Problems};
use crate::registry::{Registry, SECURITY};

/// Longest name of an object, in characters.
const NAME_MAX: usize = 200;

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
    fn of(record: &Record) -> Self {
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
                    record.body = body;
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
        let (set, snapshot, applied) = self.check(current, set)?;
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

    /// Normalises and checks `set`; gives back its steps that change something, what all objects are after them, and what that does.
    fn check(&self, current: &Snapshot, set: ChangeSet) -> Result<(ChangeSet, Snapshot, Applied), Problems> {
        let mut problems = Problems::default();
        let old: BTreeMap<ObjectName, Record> = by_name(&current.records);
        let mut new = old.clone();
        let mut put = BTreeSet::new();
        let mut effective = Vec::new();
        for change in set.changes {
            match change {
                Change::Put(record) => match self.normalise(record) {
                    Ok(mut record) => {
                        let name = ObjectName::of(&record);
                        put.insert(name.clone());
                        if let Some(version) = put_version(new.get(&name), &record) {
                            record.version = version;
                            effective.push(Change::Put(record.clone()));
                            new.insert(name, record);
                        }
                    }
                    Err(problem) => problems.push(problem),
                },
                Change::Delete { kind, name } => {
                    if new
                        .remove(&ObjectName {
                            kind: kind.clone(),
                            name: name.clone(),
                        })
                        .is_some()
                    {
                        effective.push(Change::Delete { kind, name });
                    }
                }
            }
        }
        let mut applied = Applied::default();
        for name in put.iter().filter(|name| new.contains_key(name)) {
            let list = match old.get(name) {
                None => &mut applied.created,
                Some(before) if put_version(Some(before), &new[name]).is_none() => &mut applied.unchanged,
                Some(_) => &mut applied.changed,
            };
            list.push(name.clone());
        }
        applied.deleted = old.keys().filter(|name| !new.contains_key(name)).cloned().collect();
        applied.revision = current.revision + u64::from(!effective.is_empty());
        check_security_names(&new, &put, &mut problems);
        self.check_references(&old, &new, &put, &mut problems, &mut applied.warnings);
        let snapshot = Snapshot {
            revision: applied.revision,
            records: new.into_values().collect(),
        };
        problems.or((ChangeSet { changes: effective }, snapshot, applied))
    }

    fn normalise(&self, record: Record) -> Result<Record, Problem> {
        let name = ObjectName::of(&record);
        let Some(object_type) = self.registry.get(&record.kind) else {
            let known: Vec<_> = self.registry.iter().map(|it| it.kind).collect();
            let message = format!(
                "there is no object type `{}`; there are {}",
                record.kind,
                known.join(", ")
            );
            return Err(Problem::new(Code::E26, message).with_object(name));
        };
        if let Err(message) = check_name(&record.name) {
            return Err(Problem::new(Code::E22, message).with_object(name).with_field("name"));
        }
        match (object_type.normalise)(&record.body) {
            Ok(body) => Ok(Record { body, ..record }),
            Err(error) => Err(Problem::of_field(error).with_object(name)),
        }
    }

    fn check_references(
        &self,
        old: &BTreeMap<ObjectName, Record>,
        new: &BTreeMap<ObjectName, Record>,
        put: &BTreeSet<ObjectName>,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) {
        let definitions = |records: &BTreeMap<ObjectName, Record>| -> BTreeSet<String> {
            records
                .keys()
                .filter(|it| it.kind.starts_with(SECURITY))
                .map(|it| it.name.clone())
                .collect()
        };
        let (before, after) = (definitions(old), definitions(new));
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, record) in new {
            let Some(object_type) = self.registry.get(&record.kind) else {
                continue;
            };
            let is_put = put.contains(name);
            for reference in (object_type.references)(&record.body) {
                match reference {
                    Reference::Security(definition) if after.contains(&definition) => {}
                    Reference::Security(definition) if is_put => {
                        problems.push(Problem::no_security(&definition).with_object(name));
                    }
                    Reference::Security(definition) if before.contains(&definition) => {
                        users.entry(definition).or_default().push(name.to_string());
                    }
                    // it was missing before this change
                    Reference::Security(_) => {}
                    Reference::Service(service) if is_put && !(self.services)(&service) => {
                        warnings.push(format!("{name}: service `{service}` is not deployed yet"));
                    }
                    Reference::Service(_) => {}
                }
            }
        }
        for (definition, users) in users {
            let message = format!("cannot be deleted, it is used by {}", users.join(", "));
            problems
                .push(Problem::new(Code::E24, message).with_object(format_args!("security definition `{definition}`")));
        }
    }
}

/// What can be a name.
///
/// # Errors
///
/// In words, what is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("must not be empty".to_owned())
    } else if name.chars().count() > NAME_MAX {
        Err(format!("must not be longer than {NAME_MAX} characters"))
    } else if name.chars().any(char::is_control) {
        Err("must not contain control characters".to_owned())
    } else if name.trim() != name {
        Err("must not begin or end with blanks".to_owned())
    } else {
        Ok(())
    }
}

/// `snapshot` with the revision and versions that the store gave. They are what was expected, unless the ODB holds an object which was
/// left out of the running state and has now been replaced.
fn counted_as(snapshot: Arc<Snapshot>, stored: &Snapshot) -> Snapshot {
    let mut snapshot = Arc::unwrap_or_clone(snapshot);
    snapshot.revision = stored.revision;
    let versions: BTreeMap<_, _> = stored
        .records
        .iter()
        .map(|it| ((&it.kind, &it.name), it.version))
        .collect();
    for record in &mut snapshot.records {
        record.version = versions
            .get(&(&record.kind, &record.name))
            .copied()
            .unwrap_or(record.version);
    }
    snapshot
}

fn by_name(records: &[Record]) -> BTreeMap<ObjectName, Record> {
    records.iter().map(|it| (ObjectName::of(it), it.clone())).collect()
}

/// Channels name a security definition without saying of which type, so one name must mean one definition.
fn check_security_names(new: &BTreeMap<ObjectName, Record>, put: &BTreeSet<ObjectName>, problems: &mut Problems) {
    let mut seen: BTreeMap<&str, &ObjectName> = BTreeMap::new();
    for name in new.keys().filter(|it| it.kind.starts_with(SECURITY)) {
        let Some(other) = seen.insert(&name.name, name) else {
            continue;
        };
        let (mine, theirs) = if put.contains(name) {
            (name, other)
        } else {
            (other, name)
        };
        if put.contains(mine) {
            let message = format!(
                "there is a {} of this name; security definitions share one set of names",
                theirs.kind
            );
            problems.push(Problem::new(Code::E25, message).with_object(mine));
        }
    }
}
