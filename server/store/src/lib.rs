//! The ODB: what a server must not forget, in one SQLite file in its directory, or in a PostgreSQL or MySQL database.
//!
//! Objects and their versions, the deployed source files with what they were before, the counters that never go back, the deployments that
//! failed, and what services took. Nothing else in busbar speaks SQL to the ODB.
//!
//! * [`Location`] - where an ODB is
//! * `open` - opening it; `error` - what is said of one that cannot be opened
//! * `db` - the three databases behind one door
//! * `secrets` - what is encrypted before it is stored
//! * `identities` - numbers of objects and services: [`Store::identify`]
//! * `objects` - objects: [`Store::snapshot`], [`Store::apply`]
//! * `history` - what objects were: [`Store::history`], [`Store::revisions`], [`Store::snapshot_at`]
//! * `sources` - deployed files: [`Store::put_sources`], [`Store::current_sources`]
//! * [`Backup`] - all of it in one file: [`Store::backup`], [`Store::restore`]
//! * `schema` - the schema's steps, forward and back
//! * [`diff`](fn@diff) - what leads from one snapshot to another
//! * `tallies` - what services took: [`Store::add_tallies`], [`Store::tallies`]
//! * [`now`], [`moment`] - the time as the ODB writes it; [`now_secs`] - in seconds since 1970

mod backup;
mod db;
mod diff;
mod error;
mod history;
mod identities;
mod location;
mod objects;
mod open;
mod schema;
mod secrets;
mod sources;
mod tallies;
#[cfg(test)]
mod tests;
mod time;

pub use crate::backup::Backup;
pub use crate::diff::{diff, put_version};
pub use crate::history::{ObjectVersion, Revision, Touched};
pub use crate::location::Location;
pub use crate::objects::{Stored, StoredObject};
pub use crate::open::Store;
pub use crate::schema::{RolledBack, Schema};
pub use crate::secrets::{Rotated, Secrets, new_key};
pub use crate::sources::{StoredFailure, StoredSource};
pub use crate::tallies::{DAY, HOUR, MINUTE, Period, Retention, ServiceTally, Tally};
pub use crate::time::{at_ms, moment, now, now_secs, utc_secs};
