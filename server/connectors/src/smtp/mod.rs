#![doc = include_str!("docs.md")]

mod config;
mod error;
mod outgoing;
mod ping;

pub use config::{EmailSmtp, SmtpMode};
pub use outgoing::{SmtpConnection, SmtpConnections};
pub(crate) use ping::ping;
