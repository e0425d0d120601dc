//! Services about security definitions of all types, groups and roles (management.md 6.5).

use std::collections::BTreeMap;

use busbar_dispatch::security::Refused;
use busbar_model::object::{Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::inbound::builtin;
use serde_json::{Map, Value, json};

use super::{Row, object};
use crate::management::answer::Answer;
use crate::management::change::{Step, change};
use crate::management::crud::{has_words, page_of};
use crate::management::wire::{Numbers, security_type, to_elements};
use crate::management::{Call, Management};
use crate::objects::ObjectEdit;
use crate::registry::{Fields, SECURITY};

const GROUP: &str = "security_group";

pub const TABLE: &[Row] = &[
    ("zato.security.get-list", |management, call| {
        Box::pin(list(management, call))
    }),
    ("zato.security.get-by-id", |management, call| {
        Box::pin(get(management, call))
    }),
    (
        "zato.security.rbac.client-role.get-client-def-list",
        |management, call| Box::pin(client_definitions(management, call)),
    ),
    // Zato has them, and they do nothing there either
    ("zato.security.rbac.client-role.edit", |_, _| Box::pin(nothing())),
    ("zato.security.rbac.role-permission.edit", |_, _| Box::pin(nothing())),
    (builtin::LOG_IN, |management, call| Box::pin(log_in(management, call))),
    (builtin::LOG_OUT, |management, call| Box::pin(log_out(management, call))),
    ("zato.groups.get-member-list", |management, call| {
        Box::pin(members(management, call))
    }),
    ("zato.groups.get-member-count", |management, call| {
        Box::pin(member_counts(management, call))
    }),
    ("zato.groups.edit-member-list", |management, call| {
        Box::pin(edit_members(management, call))
    }),
];

async fn nothing() -> Result<Answer, Error> {
    Ok(Answer::Done)
}

async fn log_in(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let text = |name: &str| call.text(name).unwrap_or_default();
    let definitions = management.definitions();
    match definitions.open_session(text("username"), text("password"), call.head.remote, call.cid) {
        Ok(token) => Ok(Answer::One(object(json!({"token": token})))),
        Err(Refused::Credentials) => {
            let message = "the user name or the password is not right";
            Err(Error::new(Kind::Unauthorized, message))
        }
        Err(Refused::TooOften(wait)) => {
            let message = format!("too many wrong passwords; try again in {} s", wait.as_secs() + 1);
            Err(Error::new(Kind::TooManyRequests, message).with_retry_after(wait))
        }
    }
}

async fn log_out(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    if management.definitions().close_session(call.head) {
        Ok(Answer::Done)
    } else {
        let message = "no token was given, or it is not a valid one";
        Err(Error::new(Kind::BadRequest, message))
    }
}

fn definitions(snapshot: &Snapshot) -> impl Iterator<Item = &Record> {
    snapshot.iter().filter(|it| it.kind.starts_with(SECURITY))
}

/// Whether definitions of a kind are of this `sec_type`, as answers have it or as the kind does.
fn is_of(kind: &str, sec_type: &str) -> bool {
    security_type(kind) == sec_type || kind.strip_prefix(SECURITY) == Some(sec_type)
}

fn elements(management: &Management, call: &Call<'_>, record: &Record, numbers: &Numbers<'_>) -> Map<String, Value> {
    let object_type = management.changes().registry().get(&record.kind);
    let fields = object_type.map(Fields::of).unwrap_or_default();
    let mut values = to_elements(fields, &call.service.output, record, numbers);
    values.retain(|name, _| call.service.output.iter().any(|it| it.name == *name));
    values
}

async fn list(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let types: Vec<&str> = match call.input.get("sec_type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) if !one.is_empty() => vec![one],
        _ => Vec::new(),
    };
    let query = call.text("query").unwrap_or_default();
    let found: Vec<&Record> = definitions(&snapshot)
        .filter(|it| types.is_empty() || types.iter().any(|of| is_of(&it.kind, of)))
        .filter(|it| has_words(&it.name, query))
        .collect();
    page_of(&found, call, |it| elements(management, call, it, &numbers))
}

async fn get(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let id = call.input.get("id").and_then(Value::as_u64).unwrap_or_default();
    let record = numbers.record(SECURITY, id)?;
    Ok(Answer::One(elements(management, call, record, &numbers)))
}

async fn client_definitions(management: &Management, _call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let item = |record: &Record| object(json!({"client_def": record.name, "client_name": record.name}));
    Ok(Answer::Many(definitions(&snapshot).map(item).collect(), None))
}

fn group<'a>(call: &Call<'_>, numbers: &Numbers<'a>) -> Result<&'a Record, Error> {
    let id = call.input.get("group_id").and_then(Value::as_u64).unwrap_or_default();
    numbers.record(GROUP, id)
}

fn names(group: &Record) -> Vec<String> {
    let members = group.body.get("members").and_then(Value::as_array);
    let names = members.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

async fn members(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let group = group(call, &numbers)?;
    let member = |name: String| {
        let definition = numbers.security(&name)?;
        let sec_type = security_type(&definition.kind);
        Some(object(json!({
            "id": format!("{sec_type}-{}", definition.id),
            "name": name,
            "security_id": definition.id,
            "sec_type": sec_type,
            "username": definition.body.get("username"),
        })))
    };
    Ok(Answer::Many(
        names(group).into_iter().filter_map(member).collect(),
        None,
    ))
}

async fn member_counts(management: &Management, _call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let groups = snapshot.of_kind(GROUP);
    let counts: BTreeMap<u64, usize> = groups.map(|group| (group.id, names(group).len())).collect();
    Ok(Answer::One(
        counts
            .into_iter()
            .map(|(id, count)| (id.to_string(), count.into()))
            .collect(),
    ))
}

async fn edit_members(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let group = group(call, &numbers)?;
    let listed = ["member_id_list", "members"]
        .iter()
        .find_map(|name| call.input.get(*name)?.as_array());
    let mut given = Vec::new();
    for member in listed.into_iter().flatten() {
        let id = match member {
            Value::Number(id) => id.as_u64(),
            // a name comes first: names may look like ids with their type
            Value::String(text) if numbers.security(text).is_some() => None,
            Value::String(text) => text.rsplit(['-', '/']).next().and_then(|id| id.parse().ok()),
            _ => None,
        };
        let definition = match (id, member.as_str()) {
            (Some(id), _) => Some(numbers.record(SECURITY, id)?),
            (None, Some(name)) => numbers.security(name),
            (None, None) => None,
        };
        let definition = definition.ok_or_else(|| {
            Error::new(
                Kind::BadRequest,
                format!("field `member_id_list`: there is no security definition {member}"),
            )
        })?;
        given.push(definition.name.clone());
    }
    let mut members = names(group);
    match call.text("group_action") {
        Some("assign" | "add") => {
            given.retain(|name| !members.contains(name));
            members.append(&mut given);
        }
        Some("unassign" | "remove" | "delete") => members.retain(|name| !given.contains(name)),
        _ => {
            return Err(Error::new(
                Kind::BadRequest,
                "field `group_action`: must be `assign` or `unassign`",
            ));
        }
    }
    let edit = ObjectEdit {
        // the list was made from this version
        version: Some(group.version),
        fields: Map::from_iter([("members".to_owned(), members.into())]),
        ..ObjectEdit::default()
    };
    change(management, call, Step::Edit(group, edit)).await?;
    Ok(Answer::Done)
}
