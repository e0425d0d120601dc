//! The seam through which a change of the configured objects reaches whatever was built from them.

use busbar_model::Error;
use busbar_model::object::Snapshot;

/// Holds things that were built from configured objects: routes, pools, sockets.
///
/// A change is made in two steps, so that one that cannot be made leaves everything as it was: first every holder prepares, then, when
/// all of them could, every holder switches.
pub trait Configure: Send + Sync + 'static {
    /// Builds and checks what `snapshot` asks for beside what runs. Starts nothing and takes nothing down. Objects that did not change
    /// keep what they have (pools, sockets, queued messages).
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error>;
}

/// The second step: makes what was prepared the current state. Must not fail; what may fail later (a socket that cannot be bound, a
/// peer that is away) is retried in the background and shown in the object's status.
pub struct Switch(Box<dyn FnOnce() + Send>);

impl Switch {
    /// A switch that runs `action`.
    pub fn new(action: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(action))
    }

    /// Switches.
    pub fn commit(self) {
        (self.0)();
    }
}
