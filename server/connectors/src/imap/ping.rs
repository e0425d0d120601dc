//! Whether a mailbox is there.

use std::time::Instant;

use busbar_model::Error;
use busbar_model::object::Record;

use super::config::{EmailImap, ServerType};
use super::mailbox::Mailbox;
use crate::ping::{Ping, config};

/// Logs in and sends `NOOP`. The time includes both.
pub(crate) async fn ping(record: &Record) -> Result<Ping, Error> {
    let config: EmailImap = config(record)?;
    let mailbox = Mailbox::build(&record.name, config)?;
    let started = Instant::now();
    mailbox.try_out().await?;
    let elapsed = started.elapsed();
    let config = mailbox.config();
    let info = match config.server_type {
        ServerType::GenericImap => format!(
            "IMAP server {}:{} let `{}` in and answered NOOP in {:.4} s, connecting included",
            config.host,
            config.port(),
            config.username,
            elapsed.as_secs_f64()
        ),
        ServerType::Microsoft365 => format!(
            "Microsoft 365 gave a token for tenant `{}` and showed the inbox of `{}` in {:.4} s",
            config.tenant_id,
            config.username,
            elapsed.as_secs_f64()
        ),
    };
    Ok(Ping { info, elapsed })
}
