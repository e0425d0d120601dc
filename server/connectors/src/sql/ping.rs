//! Whether a database is there.

use std::time::Instant;

use busbar_model::object::Record;
use busbar_model::{Error, Kind};

use super::config::OutgoingSql;
use super::error::SqlFailure;
use super::link::Link;
use super::options::{Engine, SqlTarget};
use crate::ping::{Ping, config};

/// Logs in and runs a query. The time is that of the query alone.
pub(crate) async fn ping(record: &Record) -> Result<Ping, Error> {
    let config: OutgoingSql = config(record)?;
    if config.native().is_none() {
        let message = format!(
            "outgoing.sql `{}` has the engine `{}`, which only workers speak to, by way of SQLAlchemy",
            record.name, config.engine
        );
        let hint = format!("ping it from a service: self.outgoing.sql['{}'].ping()", record.name);
        return Err(Error::new(Kind::BadRequest, message).with_hint(hint));
    }
    let target = SqlTarget::of_config(&config).map_err(|error| {
        Error::new(Kind::Config, format!("cannot read outgoing.sql `{}`", record.name)).with_source(error)
    })?;
    let failed = |failure: SqlFailure| {
        Error::new(kind(&failure), format!("cannot ping outgoing.sql `{}`", record.name)).with_source(failure)
    };
    let started = Instant::now();
    let (mut link, server) = Link::open(&target).await.map_err(failed)?;
    let connected = started.elapsed();
    let asked = Instant::now();
    link.command("SELECT 1").await.map_err(failed)?;
    let elapsed = asked.elapsed();
    link.close().await;
    let product = match target.engine {
        Engine::Postgres => "PostgreSQL",
        Engine::MySql if server.version.contains("MariaDB") => "MariaDB",
        Engine::MySql => "MySQL",
        Engine::Sqlite => "SQLite",
    };
    let info = format!(
        "{product} {} at {} answered SELECT 1 in {:.4} s; logging in took {:.4} s",
        server.version,
        target.label(),
        elapsed.as_secs_f64(),
        connected.as_secs_f64(),
    );
    Ok(Ping { info, elapsed })
}

fn kind(failure: &SqlFailure) -> Kind {
    let is_refused = failure.sqlstate().is_some_and(|code| code.starts_with("28")) || failure.errno() == Some(1045);
    if is_refused {
        Kind::Unauthorized
    } else if failure.is_disconnect() {
        Kind::Connection
    } else {
        Kind::Internal
    }
}
