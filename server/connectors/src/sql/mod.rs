#![doc = include_str!("docs.md")]

mod batch;
mod config;
mod error;
mod link;
mod moment;
mod mysql;
mod options;
mod outcome;
mod outgoing;
mod ping;
mod pool;
mod postgres;
mod scan;
mod session;
mod sqlite;
mod value;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::batch::{Batch, Row};
pub use self::config::OutgoingSql;
pub use self::error::{SqlFailure, SqlFailureClass};
pub use self::link::ServerInfo;
pub use self::moment::{Date, DateTime, Span, Time};
pub use self::options::{Engine, SqlTarget};
pub use self::outcome::{Column, Columns, Outcome, Summary};
pub(crate) use self::outgoing::check;
pub use self::outgoing::{SqlConnections, SqlOutgoing};
pub(crate) use self::ping::ping;
pub use self::pool::{PoolLimits, PoolStats, SqlPool};
pub use self::scan::{Scanned, Slot, Style};
pub use self::session::{SqlRequest, SqlSession};
pub use self::value::{Cell, Param};

/// What a mutex guards; whoever panicked before has left it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
