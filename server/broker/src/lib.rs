//! Redis, as busbar runs it and keeps messages in it.
//!
//! * [`about`] - what a Redis says of itself
//! * [`private`] - the server that a hub starts for itself when no `[redis] url` is set
//! * [`line`] - the broker's own connection
//! * [`queue`] - messages for services, in a stream

pub mod about;
mod line;
pub mod private;
pub mod queue;

pub use private::{PrivateRedis, RedisConfig, RedisProcess};
pub use queue::{QueueHandle, RedisQueue};
