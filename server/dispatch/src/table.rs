//! The table of services that can be called now.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use busbar_model::Error;
use busbar_model::object::Snapshot;
use busbar_model::service::{self, ServiceInfo};
use busbar_runtime::{Configure, ServiceHandle, Switch};
use busbar_store::Tally;

use crate::statistics::ServiceStatistics;

/// One service of one generation.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What calls of it carry.
    pub handle: ServiceHandle,
    /// What it declares.
    pub info: ServiceInfo,
    /// The deployment that brought it; 0 for built-in services.
    pub generation: u64,
    /// Whether it is part of busbar rather than of what users deploy.
    pub is_builtin: bool,
    /// Its calls, those of former generations too.
    pub statistics: Arc<ServiceStatistics>,
}

/// All services at one moment, by name.
pub type Services = HashMap<Arc<str>, Arc<Entry>>;

/// Names of services that are switched off, deployed or not.
pub(crate) type Inactive = HashSet<String>;

/// The current table. Reading it takes no lock; a deployment swaps it as a whole.
#[derive(Debug, Default)]
pub struct ServiceTable {
    services: ArcSwap<Services>,
    inactive: Arc<ArcSwap<Inactive>>,
    /// Every how many calls of which services one is kept.
    sampled: Arc<ArcSwap<HashMap<String, u32>>>,
    /// The calls of services that there are, and of those that went and had some since [`ServiceTable::take_tallies`].
    statistics: Mutex<HashMap<String, Arc<ServiceStatistics>>>,
}

impl ServiceTable {
    /// An empty table.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The service of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.services.load().get(name).cloned()
    }

    /// Whether the service of this name may be called, if there is one.
    pub fn is_active(&self, name: &str) -> bool {
        !self.inactive.load().contains(name)
    }

    /// Every how many calls of the service of this name one is kept, if any is.
    pub(crate) fn sample_frequency(&self, name: &str) -> Option<u32> {
        self.sampled.load().get(name).copied()
    }

    /// The table as it is now. Not to be kept: it holds the slot that it was read through.
    pub fn load(&self) -> Guard<Arc<Services>> {
        self.services.load()
    }

    /// What is switched off now. Not to be kept either.
    pub(crate) fn load_inactive(&self) -> Guard<Arc<Inactive>> {
        self.inactive.load()
    }

    /// What counts the calls of the service of this name, of all its generations.
    pub(crate) fn statistics(&self, name: &str) -> Arc<ServiceStatistics> {
        let mut statistics = self.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(statistics.entry(name.to_owned()).or_default())
    }

    /// The calls since it was asked last, of services that had any.
    pub(crate) fn take_tallies(&self) -> Vec<(String, Tally)> {
        let mut statistics = self.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tallies = Vec::new();
        statistics.retain(|name, statistics| {
            // whoever has it may still count: looked at before
            let is_served = Arc::strong_count(statistics) > 1;
            tallies.extend(statistics.take().map(|tally| (name.clone(), tally)));
            is_served
        });
        tallies
    }

    /// Makes another table the current one.
    pub(crate) fn swap(&self, services: Services) {
        self.services.store(Arc::new(services));
    }
}

impl Configure for ServiceTable {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let inactive = (self.inactive.clone(), Arc::new(service::inactive(snapshot)));
        let sampled = (self.sampled.clone(), Arc::new(service::sample_frequencies(snapshot)));
        Ok(Switch::new(move || {
            inactive.0.store(inactive.1);
            sampled.0.store(sampled.1);
        }))
    }
}
