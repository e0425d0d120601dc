#![doc = include_str!("docs.md")]

mod config;
mod error;
mod outgoing;

pub use config::{EmailSmtp, SmtpMode};
pub use outgoing::{SmtpConnection, SmtpConnections};
