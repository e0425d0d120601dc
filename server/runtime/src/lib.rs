//! What everything above stands on: the seams between the parts of busbar, and what runs and supervises them.
//!
//! * [`call`] - one call of a service and its outcome, and how they are packed for the link
//! * [`configure`] - the seam through which configuration changes arrive
//! * [`crypto`] - the server's key, hashes of passwords, random values
//! * [`handler`] - the seam between the hub and whatever runs `handle()`: in process or worker processes
//! * [`inbound`] - the seam between channels and the dispatcher
//! * [`hub_port`] - the seam through which a worker reaches what lives in the hub
//! * [`native`] - the seam between the dispatcher and services that the hub runs itself
//! * [`peers`] - the seam through which the hub asks other servers
//! * [`queue`] - the seam of the durable queue
//! * [`link`] - frames between the hub and a worker process
//! * [`stream`] - answers that come piece by piece
//! * [`task`] - named tasks
//! * [`workers`] - worker processes, behind the `Handler` seam

pub mod call;
pub mod configure;
pub mod crypto;
pub mod handler;
pub mod hub_port;
pub mod inbound;
pub mod link;
pub mod native;
pub mod peers;
pub mod queue;
pub mod stream;
pub mod task;
pub mod workers;

pub use call::{Call, Fault, Head, HeadBuilder, Outcome, Reply, ServiceHandle};
pub use configure::{Configure, Switch};
pub use handler::{Handler, ReplyTo};
pub use hub_port::{HubPort, HubRequest};
