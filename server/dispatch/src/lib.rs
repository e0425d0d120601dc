//! What happens to a request between its channel and the worker that runs it, and how services come and go.
//!
//! * [`security`] - security definitions, and the gate that checks credentials against them
//! * [`table`] - the services that can be called now
//! * [`deploy`] - deployments: source files become services

pub mod deploy;
pub mod security;
pub mod table;

pub use deploy::Deployer;
pub use table::ServiceTable;
