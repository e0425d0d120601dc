//! Asking the other side of a connection whether it is there: what `zato.*.ping` and `busbar TYPE ping` show. Runs in the hub, over a
//! connection of its own, with the settings that the object has; nothing of it stays behind.

use std::time::Duration;

use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::{Error, Kind};
use tokio::time::timeout;

use crate::http::outgoing_config::OutgoingHttp;
use crate::imap::EmailImap;
use crate::redis::OutgoingRedis;
use crate::smtp::EmailSmtp;
use crate::sql::OutgoingSql;
use crate::zmq::OutgoingZmq;
use crate::{http, imap, redis, smtp, sql, zmq};

/// What came of a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// What was done and what came back, as text for people, of one line or more. Without secrets.
    pub info: String,
    /// How long the other side took to answer.
    pub elapsed: Duration,
}

impl Ping {
    /// How long the other side took to answer, in seconds with 4 decimals (management.md 6.8).
    pub fn response_time(&self) -> String {
        format!("{:.4}", self.elapsed.as_secs_f64())
    }
}

/// Whether objects of this kind have another side that can be asked.
pub fn can_ping(kind: &str) -> bool {
    [
        OutgoingSql::KIND,
        OutgoingRedis::KIND,
        OutgoingHttp::KIND,
        EmailSmtp::KIND,
        EmailImap::KIND,
        OutgoingZmq::KIND,
    ]
    .contains(&kind)
}

/// Asks the other side of `record` whether it is there, for at most `limit`. `snapshot` has the security definition that it names. Must
/// run within a tokio runtime.
///
/// # Errors
/// [`Kind::BadRequest`] if objects of this kind cannot be asked, [`Kind::Inactive`] if it is switched off, [`Kind::Timeout`] if there was no
/// answer in time; else what was wrong with the other side, or the way to it, as far as it is known: [`Kind::Connection`],
/// [`Kind::Unauthorized`], [`Kind::Tls`], [`Kind::Protocol`].
pub async fn ping(record: &Record, snapshot: &Snapshot, limit: Duration) -> Result<Ping, Error> {
    let label = format!("{} `{}`", record.kind, record.name);
    if !can_ping(&record.kind) {
        return Err(Error::new(
            Kind::BadRequest,
            format!("{label} has nobody at its other end to ping"),
        ));
    }
    if !record.is_active {
        return Err(Error::new(Kind::Inactive, format!("{label} is inactive")).with_hint("switch it on first"));
    }
    let asked = async {
        match record.kind.as_str() {
            OutgoingSql::KIND => sql::ping(record).await,
            OutgoingRedis::KIND => redis::ping(record).await,
            OutgoingHttp::KIND => http::outgoing::ping(record, snapshot).await,
            EmailSmtp::KIND => smtp::ping(record).await,
            EmailImap::KIND => imap::ping(record).await,
            _ => zmq::ping(record).await,
        }
    };
    match timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_late) => {
            let seconds = limit.as_secs_f64();
            Err(Error::new(
                Kind::Timeout,
                format!("{label} did not answer a ping within {seconds} s"),
            ))
        }
    }
}

/// The typed fields of an object.
pub(crate) fn config<T: Object>(record: &Record) -> Result<T, Error> {
    record.parse::<T>().map_err(|error| {
        Error::new(Kind::Config, format!("cannot read {} `{}`", record.kind, record.name)).with_source(error)
    })
}
