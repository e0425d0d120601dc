//! The doors through which a server is configured and looked at, and the one road behind them.
//!
//! * `agreement` - plans that somebody has to agree to before anything is deleted
//! * `built_in` - what a server has from the start, and never loses by the way
//! * [`changes`] - checks a change set, prepares whoever is concerned, stores it and switches, or leaves everything as it was
//! * [`control`] - what the command line asks of a running server
//! * [`enmasse`] - many objects from and to one file
//! * [`management`] - the services of the management API
//! * [`objects`] - what can be done with one object
//! * [`problem`] - what is wrong with a change, all of it at once
//! * [`registry`] - the object types, for code that works with all of them
//! * [`statistics`] - what services took in a period

pub mod accounts;
mod agreement;
mod built_in;
pub mod changes;
pub mod control;
pub mod enmasse;
pub mod management;
pub mod objects;
pub mod problem;
pub mod registry;
#[cfg(test)]
mod samples;
pub mod statistics;

pub use changes::{Applied, ChangeError, Changes, ObjectName};
pub use management::Management;
pub use objects::Objects;
pub use problem::{Code, Problem, Problems};
pub use registry::Registry;
