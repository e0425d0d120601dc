//! Services that do something else than what is done with objects of every type.

mod apispec;
mod audit;
mod bulk;
mod deploy;
mod everything;
mod ide;
mod invoke;
mod sample;
mod security;
mod server;
mod service;
mod stats;
mod wsdl;

use busbar_model::{Error, Kind};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::inbound::builtin;
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::management::answer::Answer;
use crate::management::{Call, Management, crud};

/// Runs a service.
pub type Own = for<'a> fn(&'a Management, &'a Call<'a>) -> BoxFuture<'a, Result<Answer, Error>>;

/// A service and what runs it.
type Row = (&'static str, Own);

const TABLES: &[&[Row]] = &[
    GENERAL,
    apispec::TABLE,
    audit::TABLE,
    bulk::TABLE,
    deploy::TABLE,
    everything::TABLE,
    ide::TABLE,
    invoke::TABLE,
    sample::TABLE,
    security::TABLE,
    server::TABLE,
    service::TABLE,
    stats::TABLE,
    wsdl::TABLE,
];

const GENERAL: &[Row] = &[
    ("zato.ping", |_, _| Box::pin(pong())),
    ("zato.ping2", |_, _| Box::pin(pong())),
    (builtin::PING, |_, _| Box::pin(pong())),
    ("zato.outgoing.sql.get-engine-list", |_, _| Box::pin(engines())),
    ("zato.outgoing.sql.auto-ping", |management, _| {
        Box::pin(ping_all(management))
    }),
];

/// What runs the service of a name, if it is one of these.
pub fn find(name: &str) -> Option<Own> {
    let mut rows = TABLES.iter().copied().flatten();
    rows.find(|(own, _)| *own == name).map(|(_, run)| *run)
}

pub use invoke::deployed;

/// Whether the body of a service's requests is nothing that can be read into values.
pub fn is_raw(name: &str) -> bool {
    name == builtin::DEPLOY
}

async fn pong() -> Result<Answer, Error> {
    Ok(Answer::One(object(json!({"pong": "zato"}))))
}

/// The databases that have connections of busbar's own; others go through their Python drivers.
async fn engines() -> Result<Answer, Error> {
    let engines = [
        ("postgresql", "PostgreSQL"),
        ("mysql", "MySQL and MariaDB"),
        ("sqlite", "SQLite"),
    ];
    let items = engines.map(|(id, name)| object(json!({"id": id, "name": name})));
    Ok(Answer::Many(items.into(), None))
}

/// Tries every SQL connection out; those that do not answer are in the log.
async fn ping_all(management: &Management) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    for record in snapshot.of_kind("outgoing.sql").filter(|it| it.is_active) {
        if let Err(error) = busbar_connectors::ping::ping(record, &snapshot, crud::PING_LIMIT).await {
            warn!(name = record.name, error = %error.chain(), "outgoing.sql `{}` does not answer a ping", record.name);
        }
    }
    Ok(Answer::Done)
}

/// Refuses those who manage by their roles what is about objects of all types at once.
fn check_administrator(call: &Call<'_>) -> Result<(), Error> {
    if !call.is_limited {
        return Ok(());
    }
    let message = "your roles do not allow you to do anything with objects of all types at once";
    Err(Error::new(Kind::Forbidden, message))
}

/// What is wrong with an element of a request.
fn wrong(element: &str, message: &str) -> Error {
    Error::new(Kind::BadRequest, format!("field `{element}`: {message}"))
}

/// A literal object as a map.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
