#![doc = include_str!("docs.md")]

mod config;
mod error;
mod folder;
mod graph;
mod mailbox;
mod ping;
mod session;
mod sessions;

pub use config::{EmailImap, ImapMode, ServerType};
pub use mailbox::{Found, Mailbox, Mailboxes, Uids};
pub(crate) use ping::ping;
