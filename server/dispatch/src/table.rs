//! The table of services that can be called now.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use busbar_model::service::ServiceInfo;
use busbar_runtime::ServiceHandle;

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
}

/// All services at one moment, by name.
pub type Services = HashMap<Arc<str>, Arc<Entry>>;

/// The current table. Reading it takes no lock; a deployment swaps it as a whole.
#[derive(Debug, Default)]
pub struct ServiceTable(ArcSwap<Services>);

impl ServiceTable {
    /// An empty table.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The service of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.0.load().get(name).cloned()
    }

    /// The table as it is now. Not to be kept: it holds the slot that it was read through.
    pub fn load(&self) -> Guard<Arc<Services>> {
        self.0.load()
    }

    /// Makes another table the current one.
    pub(crate) fn swap(&self, services: Services) {
        self.0.store(Arc::new(services));
    }
}
