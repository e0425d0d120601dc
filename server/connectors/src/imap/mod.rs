#![doc = include_str!("docs.md")]

mod config;
mod error;
mod folder;
mod mailbox;
mod session;

pub use config::{EmailImap, ImapMode};
pub use mailbox::{Found, Mailbox, Mailboxes, Uids};
