//! Who may call: security definitions, groups, roles and limits, and the guards that channels get out of them.
//!
//! * [`Definitions`] - what runs: everything that is configured, at one moment
//! * [`table`] - how it is made ready
//! * [`guard`] - what stands before a channel
//! * [`limits`] - rate limits at work
//! * [`SecurityBasicAuth`], [`SecurityApiKey`], [`SecurityJwt`], [`SecurityWss`], [`SecurityTechAccount`], [`SecurityTlsChannel`],
//!   [`SecurityOauth`], [`SecurityXpath`] - credentials
//! * [`bearer`] - OAuth 2 tokens of callers, which are objects of [`busbar_model::bearer_token`]
//! * [`SecurityGroup`] - several definitions for one channel
//! * [`rbac`] - roles
//! * [`passwords`] - passwords that are stored as hashes
//! * [`throttle`] - wrong credentials, again and again

mod accounts;
mod basic;
mod bearer;
mod config;
mod definitions;
mod groups;
mod guard;
mod jwt;
mod limits;
mod oauth;
mod passwords;
mod rbac;
mod table;
mod throttle;
mod wss;
mod xpath;

pub use accounts::{SecurityTechAccount, SecurityTlsChannel};
pub(crate) use basic::bearer_token;
pub use config::{DEFAULT_API_KEY_HEADER, SecurityApiKey, SecurityBasicAuth};
pub use definitions::Definitions;
pub use groups::SecurityGroup;
pub(crate) use guard::forbidden;
pub use jwt::SecurityJwt;
pub use jwt::log_in::Refused;
pub(crate) use jwt::log_in::remote_ip;
pub use oauth::SecurityOauth;
pub use passwords::{hashed_password, is_hash};
pub use rbac::{Permission, RbacClientRole, RbacPermission, RbacRole, RbacRolePermission};
pub use wss::SecurityWss;
pub use xpath::SecurityXpath;
