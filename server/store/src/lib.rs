//! The ODB: what a server must not forget, in one SQLite file in its directory.
//!
//! Objects and their versions, the deployed source files with what they were before, the counters that never go back, and the
//! deployments that failed. Nothing else in busbar speaks SQL to the ODB.
//!
//! * `open` - opening the file, and what is said of one that cannot be opened
//! * `objects` - objects: [`Store::snapshot`], [`Store::apply`]
//! * `sources` - deployed files: [`Store::put_sources`], [`Store::current_sources`]
//! * `migrations` - the schema's steps, embedded
//! * [`diff`](fn@diff) - what leads from one snapshot to another
//! * [`now`] - the time as the ODB writes it

mod diff;
mod error;
mod migrations;
mod objects;
mod open;
mod sources;
mod time;

pub use crate::diff::{diff, put_version};
pub use crate::objects::ObjectVersion;
pub use crate::open::Store;
pub use crate::sources::{StoredFailure, StoredSource};
pub use crate::time::now;
