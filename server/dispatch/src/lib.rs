//! What happens to a request between its channel and the worker that runs it, and how services come and go.
//!
//! * [`security`] - security definitions, and the gate that checks credentials against them
//! * [`table`] - the services that can be called now
//! * [`dispatcher`] - from a request to a call, and the endpoints that the hub answers itself
//! * [`cache`] - the built-in cache
//! * [`delivery`] - messages out of the durable queue become calls
//! * [`deploy`] - deployments: source files become services
//! * [`sample`] - calls of which everything is kept
//! * [`slow`] - calls that took long
//! * [`statistics`] - how often services are called and how long they take
//! * [`minutes`] - the same by minute, kept in the ODB
//! * [`openapi`] - what can be called, described for its callers

pub mod cache;
mod calls;
pub mod delivery;
pub mod deploy;
pub mod dispatcher;
pub mod filter;
mod invoker;
mod metrics;
pub mod minutes;
pub mod openapi;
mod ping;
mod query;
pub mod sample;
pub mod security;
pub mod slow;
pub mod statistics;
pub mod table;

pub use cache::Cache;
pub use delivery::Delivery;
pub use deploy::Deployer;
pub use dispatcher::Dispatcher;
pub use filter::NameFilter;
pub use minutes::Minutes;
pub use openapi::OpenApi;
pub use security::Definitions;
pub use slow::SlowCalls;
pub use statistics::ServiceStatistics;
pub use table::ServiceTable;
