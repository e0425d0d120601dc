//! What can be called: the services of the current generation and of those just before it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use busbar_runtime::ServiceHandle;

use crate::sync::lock;
use crate::turn::Work;

/// How many deployments a service outlives that replaced it.
const GENERATIONS: u64 = 2;
/// How long it can be called at least after it was replaced. A call may have been routed just before, and wait in a queue.
const KEEP: Duration = Duration::from_secs(10);

/// Services by handle. Read with every call, written with every deployment.
#[derive(Default)]
pub(super) struct Handles {
    live: ArcSwap<HashMap<ServiceHandle, Entry>>,
    writing: Mutex<u64>,
}

#[derive(Clone)]
struct Entry {
    module: String,
    work: Arc<dyn Work>,
    /// When it was replaced, by how many commits counted here.
    replaced: Option<(u64, Instant)>,
}

impl Handles {
    /// What to call.
    pub fn get(&self, handle: ServiceHandle) -> Option<Arc<dyn Work>> {
        self.live.load().get(&handle).map(|entry| entry.work.clone())
    }

    /// Adds `services` (handle, stem of the module, what to call). Those that the modules `stems` had before count as replaced, and are
    /// forgotten some generations later: calls that run keep theirs as long as they need it.
    pub fn commit(
        &self,
        stems: &HashSet<&str>,
        services: impl Iterator<Item = (ServiceHandle, String, Arc<dyn Work>)>,
    ) {
        let mut commits = lock(&self.writing);
        *commits += 1;
        let now = Instant::now();
        let mut entries = (**self.live.load()).clone();
        for entry in entries.values_mut() {
            if entry.replaced.is_none() && stems.contains(entry.module.as_str()) {
                entry.replaced = Some((*commits, now));
            }
        }
        entries.retain(|_, entry| {
            entry
                .replaced
                .is_none_or(|(commit, when)| *commits - commit < GENERATIONS || now - when < KEEP)
        });
        entries.extend(services.map(|(handle, module, work)| {
            (
                handle,
                Entry {
                    module,
                    work,
                    replaced: None,
                },
            )
        }));
        self.live.store(Arc::new(entries));
    }

    /// Forgets all that was replaced, however recently.
    #[cfg(test)]
    pub fn forget_old(&self) {
        let mut entries = (**self.live.load()).clone();
        entries.retain(|_, entry| entry.replaced.is_none());
        self.live.store(Arc::new(entries));
    }

    /// How many can be called.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.live.load().len()
    }
}
