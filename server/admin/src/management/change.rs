//! Changes of one object, on behalf of whoever calls a management service.

use busbar_model::object::Record;
use busbar_model::{Error, Kind};
use serde_json::{Map, Value};

use crate::accounts::ACCOUNTS;
use crate::changes::ObjectName;
use crate::management::{Call, Management};
use crate::objects::{NewObject, ObjectEdit};
use crate::registry::SECURITY;

const CHANNEL: &str = "channel.http";

/// What is done with an object.
pub enum Step<'a> {
    /// It is made.
    Create(NewObject),
    /// It is changed.
    Edit(&'a Record, ObjectEdit),
    /// It is deleted, if it has this version; `None`: whatever it has.
    Delete(&'a Record, Option<u64>),
}

/// Makes a change in the name of the caller.
///
/// # Errors
///
/// What is wrong with it, or the caller's roles do not allow it. Then nothing was changed.
pub async fn change(management: &Management, call: &Call<'_>, step: Step<'_>) -> Result<(), Error> {
    if call.is_limited {
        check_limits(management, call, &step)?;
    }
    let objects = management.objects();
    match step {
        Step::Create(object) => objects.create(object, &call.caller).await.map(drop),
        Step::Edit(record, edit) => objects
            .edit(&ObjectName::of(record), edit, &call.caller)
            .await
            .map(drop),
        Step::Delete(record, version) => {
            let name = ObjectName::of(record);
            objects.delete(&name, version, &call.caller).await.map(drop)
        }
    }
    .map_err(Error::from)
}

/// Refuses those who manage by their roles whatever would give them more than these allow: a channel to a service that they may not
/// call, or the accounts that manage everything.
fn check_limits(management: &Management, call: &Call<'_>, step: &Step<'_>) -> Result<(), Error> {
    let none = Map::new();
    let (before, name, fields) = match step {
        Step::Create(object) => (None, Some(&object.name), &object.fields),
        Step::Edit(record, edit) => (Some(*record), edit.name.as_ref(), &edit.fields),
        Step::Delete(record, _) => (Some(*record), None, &none),
    };
    let kind = match step {
        Step::Create(object) => &object.kind,
        Step::Edit(record, _) | Step::Delete(record, _) => &record.kind,
    };
    let mut names = before.map(|it| &it.name).into_iter().chain(name);
    if kind.starts_with(SECURITY)
        && let Some(name) = names.find(|name| ACCOUNTS.contains(&name.as_str()))
    {
        let message = format!("your roles do not allow you to change the account `{name}`");
        return Err(Error::new(Kind::Forbidden, message));
    }
    if kind != CHANNEL {
        return Ok(());
    }
    let field = |name: &str| fields.get(name).or_else(|| before?.body.get(name));
    let service = field("service").and_then(Value::as_str);
    let listed = field("service_whitelist")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for service in service.into_iter().chain(listed.filter_map(Value::as_str)) {
        // a pattern may stand for any service
        let is_management = management.find(service).is_some() || service.contains('*');
        if !call.may_have_called(management, service, is_management) {
            let message = format!("your roles do not allow you to have the service `{service}` called");
            return Err(Error::new(Kind::Forbidden, message));
        }
    }
    Ok(())
}
