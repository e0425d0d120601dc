//! What happens to a request between its channel and the worker that runs it, and how services come and go.
//!
//! * [`table`] - the services that can be called now
//! * [`deploy`] - deployments: source files become services

pub mod deploy;
pub mod table;

pub use deploy::Deployer;
pub use table::ServiceTable;
