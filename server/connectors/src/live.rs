//! The connections of one type, by name, each made when somebody first asks for it: of very many few are used.
//!
//! Whether it can be made was checked when the object was stored ([`crate::check`]).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::Switch;
use tokio::runtime::Handle;

/// What is made of an object.
pub(crate) trait Make: Sized + Send + Sync + 'static {
    /// The object's type.
    type Config: Object;

    /// Connects to nothing yet. Runs within the runtime that workers have for connections.
    fn make(name: &str, config: Self::Config) -> Result<Self, Error>;
}

/// All connections of a type. One that a change leaves as it is stays; calls that run go on with the one that they have.
pub(crate) struct Live<C> {
    slots: Arc<ArcSwap<Slots<C>>>,
}

struct Slots<C> {
    /// The objects, as they are in the snapshot.
    of: Box<[Arc<Record>]>,
    by_name: HashMap<String, Arc<Slot<C>>>,
}

/// A connection, made or not.
struct Slot<C> {
    record: Arc<Record>,
    made: OnceLock<Arc<C>>,
    /// What it is made on.
    runtime: Option<Handle>,
}

// not derived: there are none at first, whatever they are
impl<C> Default for Live<C> {
    fn default() -> Self {
        let none = Slots {
            of: Box::default(),
            by_name: HashMap::new(),
        };
        Self {
            slots: Arc::new(ArcSwap::from_pointee(none)),
        }
    }
}

impl<C: Make> Live<C> {
    /// The connection of this name. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched off.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<C>, Error> {
        let kind = C::Config::KIND;
        match self.slots.load().by_name.get(name) {
            Some(slot) if slot.record.is_active => slot.get(),
            Some(_) => Err(Error::new(Kind::Inactive, format!("{kind} `{name}` is inactive"))),
            None => Err(Error::new(Kind::NotFound, format!("there is no {kind} `{name}`"))),
        }
    }

    /// Names of all, switched off or not.
    pub(crate) fn names(&self) -> Vec<String> {
        self.slots.load().by_name.keys().cloned().collect()
    }

    /// Shows those that are switched on, as objects and, if they were made, as they are.
    pub(crate) fn each(&self, mut show: impl FnMut(&Record, Option<&Arc<C>>)) {
        let slots = self.slots.load();
        for slot in slots.by_name.values().filter(|slot| slot.record.is_active) {
            show(&slot.record, slot.made.get());
        }
    }

    /// What makes the objects of a snapshot those that connections are made of. `retire` is given each connection that goes.
    pub(crate) fn prepare(&self, snapshot: &Snapshot, retire: impl Fn(&C) + Send + 'static) -> Switch {
        let running = self.slots.load();
        let of = snapshot.shared_of_kind(C::Config::KIND);
        // most changes are of other types
        if are_same(&running.of, of) {
            return Switch::new(|| {});
        }
        let runtime = Handle::try_current().ok();
        let slot = |record: &Arc<Record>| {
            let same = running
                .by_name
                .get(&record.name)
                .filter(|slot| is_same(&slot.record, record));
            let slot = same.cloned().unwrap_or_else(|| {
                Arc::new(Slot {
                    record: Arc::clone(record),
                    made: OnceLock::new(),
                    runtime: runtime.clone(),
                })
            });
            (record.name.clone(), slot)
        };
        let next = Slots {
            by_name: of.iter().map(slot).collect(),
            of: of.into(),
        };
        let slots = Arc::clone(&self.slots);
        Switch::new(move || {
            let before = slots.swap(Arc::new(next));
            let after = slots.load();
            // closing connections needs the runtime that they were opened on
            let _runtime = runtime.as_ref().map(Handle::enter);
            for (name, old) in &before.by_name {
                let stays = after.by_name.get(name).is_some_and(|new| Arc::ptr_eq(new, old));
                if let (false, Some(connection)) = (stays, old.made.get()) {
                    retire(connection);
                }
            }
        })
    }
}

/// Whether these are the very same objects.
pub(crate) fn are_same(some: &[Arc<Record>], others: &[Arc<Record>]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| Arc::ptr_eq(one, other))
}

/// Whether a connection made of one object would be the same as one made of the other.
pub(crate) fn is_same(one: &Arc<Record>, other: &Arc<Record>) -> bool {
    Arc::ptr_eq(one, other) || one.is_active == other.is_active && one.kind == other.kind && one.body == other.body
}

impl<C: Make> Slot<C> {
    fn get(&self) -> Result<Arc<C>, Error> {
        if let Some(made) = self.made.get() {
            return Ok(Arc::clone(made));
        }
        let name = &self.record.name;
        let config = self.record.parse().map_err(|error| {
            Error::new(Kind::Config, format!("cannot read {} `{name}`", C::Config::KIND)).with_source(error)
        })?;
        // pools are tied to the runtime on which they were made
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        let made = Arc::new(C::make(name, config)?);
        // somebody else may have been faster
        Ok(Arc::clone(self.made.get_or_init(|| made)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::smtp::{EmailSmtp, SmtpConnection};

    fn snapshot(objects: &[(&str, bool, &str)]) -> Snapshot {
        let record = |(name, is_active, host): &(&str, bool, &str)| Record {
            kind: EmailSmtp::KIND.to_owned(),
            name: (*name).to_owned(),
            is_active: *is_active,
            body: json!({"host": host, "mode": "plain"})
                .as_object()
                .unwrap()
                .clone()
                .into(),
            version: 1,
            id: 0,
        };
        Snapshot::new(1, objects.iter().map(record).collect())
    }

    #[tokio::test]
    async fn what_a_change_leaves_as_it_is_stays_and_what_it_does_not_goes() {
        let live = Live::<SmtpConnection>::default();
        let retired = Arc::new(std::sync::Mutex::new(Vec::new()));
        let change = |objects: &[(&str, bool, &str)]| {
            let retired = Arc::clone(&retired);
            let note = move |it: &SmtpConnection| retired.lock().unwrap().push(it.config().host.clone());
            live.prepare(&snapshot(objects), note).commit();
        };
        change(&[
            ("a", true, "one"),
            ("b", true, "two"),
            ("c", true, "three"),
            ("off", false, "x"),
        ]);
        let kept = live.get("a").unwrap();
        assert!(Arc::ptr_eq(&kept, &live.get("a").unwrap()));
        live.get("b").unwrap();
        assert_eq!(live.get("off").err().unwrap().kind(), Kind::Inactive);
        assert_eq!(live.get("d").err().unwrap().kind(), Kind::NotFound);
        change(&[("a", true, "one"), ("b", true, "other"), ("off", true, "x")]);
        assert!(Arc::ptr_eq(&kept, &live.get("a").unwrap()));
        assert_eq!(live.get("b").unwrap().config().host, "other");
        assert!(live.get("off").is_ok());
        // `c` was never made
        assert_eq!(*retired.lock().unwrap(), ["two"]);
        let mut made = Vec::new();
        live.each(|record, connection| made.push((record.name.clone(), connection.is_some())));
        made.sort();
        assert_eq!(made, [("a".into(), true), ("b".into(), true), ("off".into(), true)]);
        let mut names = live.names();
        names.sort();
        assert_eq!(names, ["a", "b", "off"]);
    }

    #[test]
    fn what_cannot_be_made_is_told_when_it_is_asked_for() {
        let live = Live::<SmtpConnection>::default();
        let mut wrong = snapshot(&[("a", true, "one")]);
        wrong
            .get_mut(EmailSmtp::KIND, "a")
            .unwrap()
            .body
            .insert("port".to_owned(), "x".into());
        live.prepare(&wrong, |_| {}).commit();
        let error = live.get("a").err().unwrap();
        assert!(
            error.chain().contains("cannot read email.smtp `a`"),
            "{}",
            error.chain()
        );
    }
}
