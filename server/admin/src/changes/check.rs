//! Whether a change is right, and what all objects are after it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use busbar_model::object::{Change, ChangeSet, Object, ObjectType, Record, Snapshot};
use busbar_model::references::{Reference, Target};
use busbar_model::service::ServiceSettings;
use busbar_store::put_version;

use crate::accounts::{has_hash, keep_hash};
use crate::changes::{Applied, ObjectName, Renamed, ServiceExists};
use crate::problem::{Code, Problem, Problems};
use crate::registry::{Registry, SECURITY};

/// How the kinds of objects begin that send the credentials of a definition, rather than ask for them.
const OUTGOING: &str = "outgoing.";

/// Longest name of an object, in characters.
const NAME_MAX: usize = 200;

/// A change that is right.
pub(super) struct Checked {
    /// Its steps, normalised; those that change nothing are left out.
    pub set: ChangeSet,
    /// All objects after it.
    pub snapshot: Snapshot,
    /// What it does.
    pub applied: Applied,
}

/// Normalises and checks `set`, which is made from `current`.
pub(super) fn check(
    registry: Registry,
    services: &ServiceExists,
    current: &Snapshot,
    set: ChangeSet,
) -> Result<Checked, Problems> {
    let mut draft = Draft {
        registry,
        current,
        touched: BTreeMap::new(),
        put: BTreeSet::new(),
        origins: BTreeMap::new(),
        effective: Vec::new(),
    };
    let mut problems = Problems::default();
    for change in set.changes {
        if let Err(problem) = draft.make(change) {
            problems.push(problem);
        }
    }
    draft.check_security_names(&mut problems);
    let mut applied = draft.applied();
    draft.check_references(services, &mut problems, &mut applied.warnings);
    draft.check_senders(&mut problems);
    let snapshot = Snapshot {
        revision: applied.revision,
        records: draft.shared().cloned().collect(),
    };
    // whatever is wrong already may be why no connection can be made
    if problems.0.is_empty() {
        draft.check_connections(&snapshot, &mut problems);
    }
    problems.or(Checked {
        set: ChangeSet {
            changes: draft.effective,
        },
        snapshot,
        applied,
    })
}

/// All objects in the middle of a change.
struct Draft<'a> {
    registry: Registry,
    current: &'a Snapshot,
    /// Those that are not what they were; `None`: there is none of this name any more.
    touched: BTreeMap<ObjectName, Option<Arc<Record>>>,
    /// Those that were put, also as they are.
    put: BTreeSet<ObjectName>,
    /// What those that were renamed were called before the change.
    origins: BTreeMap<ObjectName, ObjectName>,
    effective: Vec<Change>,
}

impl<'a> Draft<'a> {
    fn make(&mut self, change: Change) -> Result<(), Problem> {
        match change {
            Change::Put(record) => self.put(record),
            Change::Delete { kind, name } => {
                self.delete(ObjectName { kind, name });
                Ok(())
            }
            Change::Rename { kind, name, new_name } => {
                let object = ObjectName { kind, name };
                self.rename(&object, new_name)
                    .map_err(|problem| problem.with_object(object))
            }
            Change::Expect { kind, name, version } => self.expect(&ObjectName { kind, name }, version),
        }
    }

    fn put(&mut self, record: Record) -> Result<(), Problem> {
        let mut record = normalise(self.registry, record)?;
        let name = ObjectName::of(&record);
        if let Err(error) = keep_hash(&mut record, self.get(&name)) {
            let problem = Problem::new(Code::E22, error.message()).with_object(&name);
            return Err(problem.with_field("password"));
        }
        self.put.insert(name.clone());
        let before = self.get(&name);
        if let Some(version) = put_version(before, &record) {
            record.version = version;
            // of one that was deleted and comes back the number that it had
            record.id = before.map_or(record.id, |it| it.id);
            self.effective.push(Change::Put(record.clone()));
            self.touched.insert(name, Some(Arc::new(record)));
        }
        Ok(())
    }

    fn delete(&mut self, object: ObjectName) {
        if self.get(&object).is_some() {
            self.effective.push(Change::Delete {
                kind: object.kind.clone(),
                name: object.name.clone(),
            });
            self.origins.remove(&object);
            self.touched.insert(object, None);
        }
    }

    fn rename(&mut self, object: &ObjectName, new_name: String) -> Result<(), Problem> {
        object_type(self.registry, &object.kind)?;
        if object.kind == ServiceSettings::KIND {
            let message = "cannot be renamed: a service is called what its class says";
            return Err(Problem::new(Code::E22, message).with_field("name"));
        }
        check_name(&new_name).map_err(|message| Problem::new(Code::E22, message).with_field("name"))?;
        let Some(record) = self.get(object) else {
            return Err(Problem::new(Code::E27, "cannot be renamed: there is none"));
        };
        if new_name == object.name {
            return Ok(());
        }
        let new = ObjectName {
            kind: object.kind.clone(),
            name: new_name.clone(),
        };
        if self.get(&new).is_some() {
            let message = format!("cannot be renamed: there is a {new}");
            return Err(Problem::new(Code::E25, message).with_field("name"));
        }
        let mut record = record.clone();
        record.name.clone_from(&new_name);
        record.version += 1;
        self.effective.push(Change::Rename {
            kind: object.kind.clone(),
            name: object.name.clone(),
            new_name,
        });
        self.touched.insert(object.clone(), None);
        self.touched.insert(new.clone(), Some(Arc::new(record)));
        let origin = self.origins.remove(object).unwrap_or_else(|| object.clone());
        if origin != new && self.before(&origin).is_some() {
            self.origins.insert(new.clone(), origin);
        }
        if self.put.remove(object) {
            self.put.insert(new.clone());
        }
        self.follow(object, &new);
        Ok(())
    }

    /// Lets whoever names `old` name `new`.
    fn follow(&mut self, old: &ObjectName, new: &ObjectName) {
        let target = Target::of_kind(&old.kind);
        let renamed = |record: &Record| {
            let object_type = self.registry.get(&record.kind)?;
            let names = (object_type.marks)();
            if names.iter().all(|mark| mark.target != target) {
                return None;
            }
            let named = object_type.all_references(&record.body);
            if named.iter().all(|it| it.target != target || it.name != old.name) {
                return None;
            }
            let mut record = record.clone();
            object_type
                .rename(&mut record.body, &target, &old.name, &new.name)
                .then_some(record)
        };
        let followers: Vec<Record> = self.records().filter_map(renamed).collect();
        for mut record in followers {
            record.version += 1;
            self.effective.push(Change::Put(record.clone()));
            self.touched.insert(ObjectName::of(&record), Some(Arc::new(record)));
        }
    }

    fn expect(&self, object: &ObjectName, version: u64) -> Result<(), Problem> {
        let now = self.get(object).map_or(0, |it| it.version);
        if now == version {
            return Ok(());
        }
        let message = match (version, now) {
            (0, now) => format!("exists already, in version {now}"),
            (version, 0) => format!("was in version {version} when this change was made, and is gone"),
            (version, now) => format!("was in version {version} when this change was made, and is in version {now}"),
        };
        Err(Problem::new(Code::E28, message).with_object(object))
    }

    /// An object as it is by now.
    fn get(&self, object: &ObjectName) -> Option<&Record> {
        match self.touched.get(object) {
            Some(record) => record.as_deref(),
            None => self.before(object),
        }
    }

    /// An object as it was before the change.
    fn before(&self, object: &ObjectName) -> Option<&'a Record> {
        self.current.get(&object.kind, &object.name)
    }

    /// The security definition of this name as it is by now.
    fn security(&self, name: &str) -> Option<&Record> {
        let mut types = self.registry.iter().filter(|it| it.kind.starts_with(SECURITY));
        types.find_map(|it| {
            self.get(&ObjectName {
                kind: it.kind.to_owned(),
                name: name.to_owned(),
            })
        })
    }

    /// Whether there is an object by now that is named like this, as [`named`] has it.
    fn is_there(&self, group: &str, name: &str) -> bool {
        if group == SECURITY {
            return self.security(name).is_some();
        }
        let object = ObjectName {
            kind: group.to_owned(),
            name: name.to_owned(),
        };
        self.get(&object).is_some()
    }

    /// All objects as they are by now, by kind and name.
    fn records(&self) -> impl Iterator<Item = &Record> {
        self.shared().map(|it| &**it)
    }

    /// The same, for the snapshot after the change.
    fn shared(&self) -> impl Iterator<Item = &Arc<Record>> {
        let mut touched = self.touched.iter().peekable();
        let mut untouched = self.current.records.iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let next = touched.peek().map(|(name, _)| (name.kind.as_str(), name.name.as_str()));
                let other = untouched.peek().map(|it| it.key());
                match (next, other) {
                    (None, None) => return None,
                    (None, Some(_)) => return untouched.next(),
                    (Some(next), Some(other)) if other < next => return untouched.next(),
                    (Some(next), other) => {
                        if other == Some(next) {
                            untouched.next();
                        }
                        if let Some((_, Some(record))) = touched.next() {
                            return Some(record);
                        }
                    }
                }
            }
        })
    }

    fn applied(&self) -> Applied {
        let mut applied = Applied {
            revision: self.current.revision + u64::from(!self.effective.is_empty()),
            ..Applied::default()
        };
        for (name, record) in &self.touched {
            let origin = self.origins.get(name);
            if let Some(origin) = origin {
                applied.renamed.push(Renamed {
                    kind: name.kind.clone(),
                    name: origin.name.clone(),
                    new_name: name.name.clone(),
                });
            }
            let before = self
                .before(origin.unwrap_or(name))
                .filter(|_| origin.is_some() || !self.has_left(name));
            match (before, record) {
                (None, Some(_)) => applied.created.push(name.clone()),
                (Some(_), None) => applied.deleted.push(name.clone()),
                (Some(before), Some(record)) if put_version(Some(before), record).is_some() => {
                    applied.changed.push(name.clone());
                }
                (Some(_), Some(_)) if self.put.contains(name) => applied.unchanged.push(name.clone()),
                _ => {}
            }
        }
        let untouched = self.put.iter().filter(|name| !self.touched.contains_key(name));
        applied.unchanged.extend(untouched.cloned());
        applied.unchanged.sort();
        applied
    }

    /// Whether what was called so is called otherwise now.
    fn has_left(&self, name: &ObjectName) -> bool {
        self.origins.values().any(|origin| origin == name)
    }

    /// Channels name a security definition without saying of which type, so one name must mean one definition.
    fn check_security_names(&self, problems: &mut Problems) {
        let is_new = |name: &ObjectName| matches!(self.touched.get(name), Some(Some(_)));
        if !self
            .touched
            .keys()
            .any(|name| name.kind.starts_with(SECURITY) && is_new(name))
        {
            return;
        }
        let mut seen: BTreeMap<&str, &Record> = BTreeMap::new();
        for record in self.records().filter(|it| it.kind.starts_with(SECURITY)) {
            let Some(other) = seen.insert(&record.name, record) else {
                continue;
            };
            let (mine, theirs) = if is_new(&ObjectName::of(record)) {
                (record, other)
            } else {
                (other, record)
            };
            if is_new(&ObjectName::of(mine)) {
                let message = format!(
                    "there is a {} of this name; security definitions share one set of names",
                    theirs.kind
                );
                problems.push(Problem::new(Code::E25, message).with_object(ObjectName::of(mine)));
            }
        }
    }

    /// What was put must name what is there; what goes must not be named by what stays as it is.
    fn check_references(&self, services: &ServiceExists, problems: &mut Problems, warnings: &mut Vec<String>) {
        let is_there = |it: &Reference| group(&it.target).is_some_and(|group| self.is_there(group, &it.name));
        let references = |record: &Record| {
            let object_type = self.registry.get(&record.kind);
            object_type.map(|it| it.references(&record.body)).unwrap_or_default()
        };
        for (name, record) in self.put.iter().filter_map(|name| Some((name, self.get(name)?))) {
            for reference in references(record) {
                match reference.target {
                    // whether any service has a name like this says nothing about a slip
                    Target::Service if reference.name.contains('*') => {}
                    Target::Service if !services(&reference.name) => {
                        warnings.push(format!("{name}: service `{}` is not deployed yet", reference.name));
                    }
                    Target::Service => {}
                    _ if is_there(&reference) => {}
                    _ => {
                        let problem = Problem::missing(&reference.target, &reference.name);
                        problems.push(problem.with_object(name).with_field(reference.field));
                    }
                }
            }
        }
        let gone = self.touched.iter().filter(|(_, record)| record.is_none());
        let gone: HashSet<(&str, &str)> = gone
            .map(|(name, _)| named(&name.kind, &name.name))
            .filter(|(group, name)| !self.is_there(group, name))
            .collect();
        if gone.is_empty() {
            return;
        }
        // most types name nothing of the kind, and need not be looked at
        let groups: HashSet<&str> = gone.iter().map(|(group, _)| *group).collect();
        let may_name = |object_type: &&ObjectType| {
            let marks = (object_type.marks)();
            let mut groups_of = marks.iter().filter_map(|mark| group(&mark.target));
            groups_of.any(|group| groups.contains(group))
        };
        let naming: HashSet<&str> = self.registry.iter().filter(may_name).map(|it| it.kind).collect();
        // one that was missing before this change is not its fault
        let mut users: BTreeMap<(Target, String), Vec<String>> = BTreeMap::new();
        for record in self.records().filter(|it| naming.contains(it.kind.as_str())) {
            let name = ObjectName::of(record);
            if self.put.contains(&name) {
                continue;
            }
            let object_type = self.registry.get(&record.kind);
            let references = object_type.map(|it| it.all_references(&record.body));
            for reference in references.into_iter().flatten() {
                if group(&reference.target).is_some_and(|group| gone.contains(&(group, &reference.name))) {
                    let users = users.entry((reference.target, reference.name)).or_default();
                    users.push(name.to_string());
                }
            }
        }
        for ((target, name), mut users) in users {
            users.dedup();
            let message = format!("cannot be deleted, it is used by {}", users.join(", "));
            problems.push(Problem::new(Code::E24, message).with_object(format_args!("{target} `{name}`")));
        }
    }

    /// Workers must be able to make connections of what is different, and of what names a security definition that is.
    fn check_connections(&self, snapshot: &Snapshot, problems: &mut Problems) {
        let touched = self.touched.keys().filter_map(|it| snapshot.get(&it.kind, &it.name));
        let definitions = self.touched.keys().filter(|it| it.kind.starts_with(SECURITY));
        let definitions: HashSet<&str> = definitions.map(|it| it.name.as_str()).collect();
        let names_one = |record: &Record| {
            let object_type = self.registry.get(&record.kind);
            let references = object_type.map(|it| it.references(&record.body)).unwrap_or_default();
            let mut references = references.into_iter();
            references.any(|it| it.target == Target::Security && definitions.contains(&*it.name))
        };
        // without a definition that is different nobody has to be asked
        let all = snapshot.iter().filter(|_| !definitions.is_empty());
        let others = all.filter(|it| sends(it) && names_one(it) && !self.touched.contains_key(&ObjectName::of(it)));
        for (record, error) in busbar_connectors::check::check(touched.chain(others), snapshot) {
            problems.push(Problem::of_field(error).with_object(ObjectName::of(record)));
        }
    }

    /// Whoever sends the password of a definition must find it, not a hash of it.
    fn check_senders(&self, problems: &mut Problems) {
        let put = || self.put.iter().filter_map(|name| self.get(name));
        let senders: Vec<&Record> = if put().any(has_hash) {
            self.records().filter(|it| sends(it)).collect()
        } else {
            put().filter(|it| sends(it)).collect()
        };
        let is_hashed = |name: &str| self.security(name).is_some_and(has_hash);
        for record in senders {
            let Some(object_type) = self.registry.get(&record.kind) else {
                continue;
            };
            let references = object_type.references(&record.body).into_iter();
            for reference in references.filter(|it| it.target == Target::Security && is_hashed(&it.name)) {
                let message = format!(
                    "cannot send the password of `{}`, of which only a hash is kept; make a definition of its own for it",
                    reference.name
                );
                let problem = Problem::new(Code::E22, message).with_object(ObjectName::of(record));
                problems.push(problem.with_field(reference.field));
            }
        }
    }
}

/// Whether objects of its type send credentials.
fn sends(record: &Record) -> bool {
    record.kind.starts_with(OUTGOING)
}

/// What an object is named by: all kinds of security definitions share one set of names.
fn named<'o>(kind: &'o str, name: &'o str) -> (&'o str, &'o str) {
    let group = if kind.starts_with(SECURITY) { SECURITY } else { kind };
    (group, name)
}

/// The set of names that a target's is in, as [`named`] has it; services are not objects.
fn group(target: &Target) -> Option<&str> {
    match target {
        Target::Security => Some(SECURITY),
        Target::Kind(kind) => Some(kind),
        Target::Service => None,
    }
}

fn object_type(registry: Registry, kind: &str) -> Result<&'static ObjectType, Problem> {
    registry.get(kind).ok_or_else(|| {
        let known: Vec<_> = registry.iter().map(|it| it.kind).collect();
        let message = format!("there is no object type `{kind}`; there are {}", known.join(", "));
        Problem::new(Code::E26, message)
    })
}

fn normalise(registry: Registry, record: Record) -> Result<Record, Problem> {
    let name = ObjectName::of(&record);
    let checked = || {
        let object_type = object_type(registry, &record.kind)?;
        check_name(&record.name).map_err(|message| Problem::new(Code::E22, message).with_field("name"))?;
        (object_type.normalise_body)(&record.body).map_err(Problem::of_field)
    };
    match checked() {
        Ok(body) => Ok(Record { body, ..record }),
        Err(problem) => Err(problem.with_object(name)),
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
