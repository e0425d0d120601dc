//! Whether connections can be made of objects, by the code with which workers make theirs: what no worker could use is refused when somebody
//! asks for it.

use busbar_model::Error;
use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::object::{FieldError, Object, Record, Snapshot};

use crate::http::outgoing::OutgoingConnections;
use crate::http::outgoing_config::OutgoingHttp;
use crate::imap::{EmailImap, Mailbox};
use crate::redis::{OutgoingRedis, RedisClient};
use crate::smtp::{EmailSmtp, SmtpConnection};
use crate::sql::{self, OutgoingSql};

/// Why nothing can be made of an object.
#[derive(Debug)]
pub(crate) struct Unfit {
    /// The field because of which.
    field: &'static str,
    error: Error,
}

impl Unfit {
    /// `error`, because of a field.
    pub(crate) fn of(field: &'static str) -> impl Fn(Error) -> Self {
        move |error| Self { field, error }
    }
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        unfit.error
    }
}

impl From<Unfit> for FieldError {
    fn from(Unfit { field, error }: Unfit) -> Self {
        let message = match error.hint() {
            Some(hint) => format!("{}; {hint}", error.chain()),
            None => error.chain(),
        };
        Self::new(field, message)
    }
}

/// Those of `records` of which no connection can be made, and why. `snapshot` has the security definitions that they name. Objects of other
/// types are fit, and so is what is switched off. Must run within a tokio runtime; nothing is connected to.
pub fn check<'r>(records: impl IntoIterator<Item = &'r Record>, snapshot: &Snapshot) -> Vec<(&'r Record, FieldError)> {
    let mut http = Vec::new();
    let mut unfit = Vec::new();
    for record in records.into_iter().filter(|it| it.is_active) {
        if record.kind == OutgoingHttp::KIND {
            http.push(record);
        } else if let Err(error) = one(record) {
            unfit.push((record, error));
        }
    }
    if !http.is_empty() {
        unfit.append(&mut OutgoingConnections::check(&http, snapshot));
    }
    unfit
}

/// What stands for itself.
fn one(record: &Record) -> Result<(), FieldError> {
    let name = &record.name;
    match record.kind.as_str() {
        SecurityBearerToken::KIND => OutgoingConnections::check_source(record),
        OutgoingSql::KIND => sql::check(&record.parse()?),
        OutgoingRedis::KIND => {
            let config: OutgoingRedis = record.parse()?;
            RedisClient::new(config.redis_config()).map_err(Unfit::of("host"))?;
            Ok(())
        }
        EmailSmtp::KIND => {
            SmtpConnection::build(name, record.parse()?).map_err(Unfit::of("tls_ca_path"))?;
            Ok(())
        }
        EmailImap::KIND => {
            Mailbox::build(name, record.parse()?).map_err(Unfit::of("tls_ca_path"))?;
            Ok(())
        }
        _ => Ok(()),
    }
}
