//! Services that tell of services (management.md 6.3).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::service::ServiceSettings;
use busbar_model::slow::SlowCall;
use busbar_model::{Error, Kind};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::{Row, object};
use crate::control::ServiceEntry;
use crate::management::answer::Answer;
use crate::management::change::{Step, change};
use crate::management::crud::{has_words, page_of};
use crate::management::wire::Numbers;
use crate::management::{Call, Management};
use crate::objects::{NewObject, ObjectEdit};

/// Number of the one server there is.
pub const SERVER_ID: u64 = 1;

/// Milliseconds from which on a call is slow where nothing else is set (management.md 6.3).
const SLOW_THRESHOLD: u64 = 99_999;

pub const TABLE: &[Row] = &[
    ("zato.service.get-list", |management, call| {
        Box::pin(list(management, call))
    }),
    ("zato.service.get-by-name", |management, call| {
        Box::pin(get(management, call))
    }),
    ("zato.service.get-by-id", |management, call| {
        Box::pin(get(management, call))
    }),
    ("zato.service.edit", |management, call| Box::pin(edit(management, call))),
    ("zato.service.delete", |management, call| {
        Box::pin(delete(management, call))
    }),
    ("zato.service.is-deployed", |management, call| {
        Box::pin(is_deployed(management, call))
    }),
    ("zato.service.get-channel-list", |management, call| {
        Box::pin(channels(management, call))
    }),
    ("zato.service.get-deployment-info-list", |management, call| {
        Box::pin(deployments(management, call))
    }),
    ("zato.service.get-source-info", |management, call| {
        Box::pin(source(management, call))
    }),
    ("zato.service.get-stats-table", |management, call| {
        Box::pin(stats_table(management, call))
    }),
    ("zato.service.get-service-stats", |management, call| {
        Box::pin(stats_table(management, call))
    }),
    ("zato.service.slow-response.get-list", |management, call| {
        Box::pin(slow_list(management, call))
    }),
    ("zato.service.slow-response.get", |management, call| {
        Box::pin(slow_one(management, call))
    }),
];

fn services(management: &Management) -> Vec<ServiceEntry> {
    let mut services = management.parts().services.list();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services
}

fn settings<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Record> {
    snapshot.get(ServiceSettings::KIND, name)
}

/// A service, in the elements of these services.
fn elements(call: &Call<'_>, service: &ServiceEntry, snapshot: &Snapshot, numbers: &Numbers<'_>) -> Map<String, Value> {
    let settings = settings(snapshot, &service.name).map(|it| &it.body);
    let set = |field: &str| settings.and_then(|it| it.get(field)).cloned();
    let threshold = set("slow_threshold").filter(|it| *it != 0);
    let usage = &service.usage;
    let values = object(json!({
        "id": numbers.service(&service.name),
        "name": service.name,
        "is_active": service.is_active,
        "impl_name": service.impl_name,
        "is_internal": service.is_internal,
        "may_be_deleted": !service.is_internal,
        "slow_threshold": threshold.unwrap_or_else(|| SLOW_THRESHOLD.into()),
        "usage": usage.count,
        "time_last": ms(usage.last_us),
        "time_min_all_time": ms(usage.min_us),
        "time_max_all_time": ms(usage.max_us),
        "time_mean_all_time": ms(usage.mean_us),
        "last_duration": ms(usage.last_us),
        "last_timestamp": (usage.count > 0).then(|| busbar_store::at_ms(usage.last_at_ms)),
        "usage_min": ms(usage.min_us),
        "usage_max": ms(usage.max_us),
        "usage_mean": ms(usage.mean_us),
        "is_json_schema_enabled": false,
        "needs_json_schema_err_details": false,
        "is_rate_limit_active": set("is_rate_limit_active").unwrap_or(Value::Bool(false)),
        "rate_limit_def": set("rate_limit_def"),
    }));
    let is_declared = |name: &String| call.service.output.iter().any(|it| it.name == *name);
    values.into_iter().filter(|(name, _)| is_declared(name)).collect()
}

/// Milliseconds, whole ones, as these services have always given them.
fn ms(micros: u64) -> u64 {
    (micros + 500) / 1_000
}

async fn list(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    // 1.1 and 2.0 list nothing without a filter, 3.2 has no such element
    let filter = match call.text("name_filter") {
        Some("") => return page_of::<ServiceEntry>(&[], call, |_| Map::new()),
        Some("*") | None => "",
        Some(filter) => filter,
    };
    let query = call.text("query").unwrap_or_default();
    let mut found = services(management);
    found.retain(|service| has_words(&service.name, filter) && has_words(&service.name, query));
    page_of(&found, call, |service| elements(call, service, &snapshot, &numbers))
}

/// The service that a request means by its name or its id.
async fn find(management: &Management, call: &Call<'_>) -> Result<ServiceEntry, Error> {
    let name = match (call.text("name"), call.input.get("id").and_then(Value::as_u64)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(id)) => {
            let snapshot = management.changes().snapshot();
            let numbers = management.numbers(&snapshot).await?;
            let name = numbers.service_name(id).map(str::to_owned);
            name.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no service with the id {id}")))?
        }
        (None, None) => return Err(Error::new(Kind::BadRequest, "Element missing: id")),
    };
    named(management, &name)
}

/// The service of a name.
pub(super) fn named(management: &Management, name: &str) -> Result<ServiceEntry, Error> {
    let mut services = services(management).into_iter();
    services
        .find(|service| service.name == name)
        .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no service `{name}`")))
}

/// What is set for a service.
pub(super) fn setting(management: &Management, service: &str, field: &str) -> Option<Value> {
    let snapshot = management.changes().snapshot();
    settings(&snapshot, service)?.body.get(field).cloned()
}

async fn get(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = find(management, call).await?;
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    Ok(Answer::One(elements(call, &service, &snapshot, &numbers)))
}

async fn edit(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = find(management, call).await?;
    let mut fields = Map::new();
    for field in ["slow_threshold", "is_rate_limit_active", "rate_limit_def"] {
        if let Some(value) = call.input.get(field) {
            fields.insert(field.to_owned(), value.clone());
        }
    }
    if fields.get("slow_threshold") == Some(&SLOW_THRESHOLD.into()) {
        fields.insert("slow_threshold".to_owned(), 0.into());
    }
    let is_active = call.input.get("is_active").and_then(Value::as_bool);
    change_settings(management, call, &service.name, is_active, fields).await?;
    get(management, call).await
}

/// Sets something for a service.
pub(super) async fn change_settings(
    management: &Management,
    call: &Call<'_>,
    service: &str,
    is_active: Option<bool>,
    fields: Map<String, Value>,
) -> Result<(), Error> {
    let snapshot = management.changes().snapshot();
    let step = match settings(&snapshot, service) {
        Some(record) => {
            let edit = ObjectEdit {
                is_active,
                fields,
                ..ObjectEdit::default()
            };
            Step::Edit(record, edit)
        }
        None => Step::Create(NewObject {
            kind: ServiceSettings::KIND.to_owned(),
            name: service.to_owned(),
            is_active: is_active.unwrap_or(true),
            fields,
        }),
    };
    change(management, call, step).await
}

async fn delete(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = find(management, call).await?;
    if service.is_internal {
        return Err(Error::new(
            Kind::Conflict,
            format!("service `{}` is a part of busbar and cannot be deleted", service.name),
        ));
    }
    let all = services(management);
    let others: Vec<&str> = all
        .iter()
        .filter(|it| it.module == service.module && it.name != service.name)
        .map(|it| it.name.as_str())
        .collect();
    if !others.is_empty() {
        let message = format!(
            "its file has other services too, which would go with it: {}",
            others.join(", ")
        );
        return Err(Error::new(Kind::Conflict, message).with_hint("deploy the file without the service"));
    }
    management.parts().deployments.remove(service.module).await?;
    Ok(Answer::Done)
}

async fn is_deployed(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let name = call.text("name").unwrap_or_default();
    let is_deployed = services(management).iter().any(|service| service.name == name);
    Ok(Answer::One(object(json!({"is_deployed": is_deployed}))))
}

async fn channels(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = find(management, call).await?;
    let transport = call.text("channel_type").unwrap_or_default();
    let snapshot = management.changes().snapshot();
    let kind = format!("channel.{}", transport.replace('-', "_"));
    let is_asked = |record: &&Record| {
        let is = |field: &str, value: &str| record.body.get(field).is_some_and(|it| it == value);
        let is_of_type = match record.kind.as_str() {
            "channel.http" => is("transport", transport),
            other => other == kind,
        };
        is_of_type && is("service", &service.name)
    };
    let channel = |record: &Record| object(json!({"id": record.id, "name": record.name}));
    Ok(Answer::Many(
        snapshot.iter().filter(is_asked).map(channel).collect(),
        None,
    ))
}

async fn deployments(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let asked = match call.input.get("id") {
        Some(Value::Number(_)) => Some(find(management, call).await?.name),
        _ => None,
    };
    let with_internal = call.input.get("include_internal").is_some_and(|it| *it == true);
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let server = management.parts().node.status().await.name;
    let mut items = Vec::new();
    for service in services(management) {
        let is_asked = match &asked {
            Some(name) => *name == service.name,
            None => with_internal || !service.is_internal,
        };
        if !is_asked {
            continue;
        }
        let source = management.parts().deployments.source(service.module.clone()).await?;
        let path = source.as_ref().map(|it| it.path.clone());
        let file_name = path
            .as_deref()
            .and_then(|path| path.rsplit('/').next())
            .map(str::to_owned);
        let details = json!({
            "name": service.impl_name,
            "fs_location": path,
            "timestamp": source.as_ref().map(|it| it.deployed_at.clone()),
            "deployed_by": source.as_ref().and_then(|it| it.deployed_by.clone()),
            "generation": service.generation,
        });
        items.push(object(json!({
            "server_id": SERVER_ID,
            "server_name": server,
            "details": details.to_string(),
            "service_id": numbers.service(&service.name),
            "service_name": service.name,
            "fs_location": path,
            "file_name": file_name,
        })));
    }
    Ok(Answer::Many(items, None))
}

async fn source(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = find(management, call).await?;
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let source = management.parts().deployments.source(service.module.clone()).await?;
    let mut answer = object(json!({
        "service_id": numbers.service(&service.name),
        "server_name": management.parts().node.status().await.name,
    }));
    if let Some(source) = source {
        let hash: String = digest(&SHA256, &source.text)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        answer.extend(object(json!({
            "source": STANDARD.encode(&source.text),
            "source_path": source.path,
            "source_hash": hash,
            "source_hash_method": "SHA-256",
        })));
    }
    Ok(Answer::One(answer))
}

/// Who is called how often, and how long that takes: times in milliseconds, shares in percent.
async fn stats_table(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let called: Vec<ServiceEntry> = services(management)
        .into_iter()
        .filter(|it| it.usage.count > 0)
        .collect();
    let all_calls: u64 = called.iter().map(|it| it.usage.count).sum();
    let all_micros: u64 = called.iter().map(|it| it.usage.total_us).sum();
    let share = |part: u64, all: u64| match all {
        0 => 0.0,
        _ => (part as f64 / all as f64 * 10_000.0).round() / 100.0,
    };
    let millis = |micros: u64| micros as f64 / 1_000.0;
    let row = |service: &ServiceEntry| {
        let usage = &service.usage;
        object(json!({
            "name": service.name,
            "item_max": millis(usage.max_us),
            "item_min": millis(usage.min_us),
            "item_mean": millis(usage.mean_us),
            "item_total_time": millis(usage.total_us),
            "item_usage_share": share(usage.count, all_calls),
            "item_time_share": share(usage.total_us, all_micros),
            "item_total_usage": usage.count,
            "item_total_time_human": format!("{:.1?}", Duration::from_micros(usage.total_us)),
            "item_total_usage_human": usage.count.to_string(),
        }))
    };
    page_of(&called, call, row)
}

fn slow(call: &SlowCall) -> Map<String, Value> {
    let at = |ms: u64| busbar_store::at_ms(ms);
    object(json!({
        "cid": call.cid,
        "req_ts": at(call.at_ms),
        "resp_ts": at(call.at_ms + call.duration_ms),
        "proc_time": call.duration_ms,
    }))
}

async fn slow_list(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    if let Some(name) = call.text("name") {
        named(management, name)?;
    }
    let calls = management.parts().node.slow_calls(call.text("name"));
    page_of(&calls, call, slow)
}

async fn slow_one(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let cid = call.text("cid").unwrap_or_default();
    let calls = management.parts().node.slow_calls(call.text("name"));
    let found = calls.iter().find(|it| it.cid == cid);
    found
        .map(|found| Answer::One(slow(found)))
        .ok_or_else(|| Error::new(Kind::NotFound, format!("no slow call with the cid `{cid}` is kept")))
}
