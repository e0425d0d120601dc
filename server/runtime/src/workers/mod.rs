//! Worker processes: how they are started, watched, replaced, and brought to the state of the others.
//!
//! * [`pool`] - the pool: which worker takes a call, and what all of them must know
//! * [`process`] - one process from its start to its end

pub mod pool;
pub mod process;
mod slot;

pub use pool::{PoolConfig, WorkerPool, WorkerStatus};
pub use process::WorkerCommand;
