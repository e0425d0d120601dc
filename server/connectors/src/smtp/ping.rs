//! Whether a mail server is there.

use std::time::Instant;

use busbar_model::Error;
use busbar_model::object::Record;

use super::{EmailSmtp, SmtpConnection};
use crate::ping::{Ping, config};

/// Greets the server, logs in if there is a user name, and sends `NOOP`. The time includes all of that.
pub(crate) async fn ping(record: &Record) -> Result<Ping, Error> {
    let config: EmailSmtp = config(record)?;
    let place = format!("{}:{}", config.host, config.port());
    let login = if config.username.is_empty() {
        String::new()
    } else {
        format!("let `{}` in and ", config.username)
    };
    let connection = SmtpConnection::build(&record.name, config)?;
    let started = Instant::now();
    connection.ping().await?;
    let elapsed = started.elapsed();
    let info = format!(
        "SMTP server {place} {login}answered NOOP in {:.4} s, connecting included",
        elapsed.as_secs_f64()
    );
    Ok(Ping { info, elapsed })
}
