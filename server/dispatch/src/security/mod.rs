//! Who may call: security definitions, and the check of a request's credentials against them.
//!
//! * [`SecurityBasicAuth`], [`SecurityApiKey`] - the objects
//! * [`Definitions`] - what runs: every definition at one moment

mod config;
mod definitions;

pub use config::{DEFAULT_API_KEY_HEADER, SecurityApiKey, SecurityBasicAuth};
pub use definitions::Definitions;
