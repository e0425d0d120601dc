//! The audit log of HTTP channels (management.md 6.2 and 6.17). What 2.0 has one switch and one depth for is kept for requests and answers
//! alike.

use std::collections::BTreeMap;

use busbar_model::audit::AuditEntry;
use busbar_model::object::Record;
use busbar_model::{Error, Kind};
use serde_json::{Map, Value, json};

use super::{Row, object};
use crate::management::answer::Answer;
use crate::management::change::{self, Step};
use crate::management::crud::page_of;
use crate::management::{Call, Management};
use crate::objects::ObjectEdit;

const CHANNEL: &str = "channel.http";
const MASKS: &str = "audit_mask";
const SWITCHES: [&str; 2] = ["is_audit_log_received_active", "is_audit_log_sent_active"];
const SIZES: [&str; 2] = ["max_bytes_per_message_received", "max_bytes_per_message_sent"];

/// How many calls a page of 2.0 holds unless the request says otherwise.
const BATCH_SIZE: u64 = 25;

pub const TABLE: &[Row] = &[
    ("zato.http-soap.get-audit-config", |management, call| {
        Box::pin(config(management, call))
    }),
    ("zato.http-soap.set-audit-config", |management, call| {
        Box::pin(set_config(management, call))
    }),
    ("zato.http-soap.set-audit-state", |management, call| {
        Box::pin(set_state(management, call))
    }),
    ("zato.http-soap.get-audit-replace-patterns", |management, call| {
        Box::pin(patterns(management, call))
    }),
    ("zato.http-soap.set-audit-replace-patterns", |management, call| {
        Box::pin(set_patterns(management, call))
    }),
    ("zato.http-soap.get-audit-item-list", |management, call| {
        Box::pin(items(management, call))
    }),
    ("zato.http-soap.get-audit-batch-info", |management, call| {
        Box::pin(batch(management, call))
    }),
    ("zato.http-soap.get-audit-item", |management, call| {
        Box::pin(item(management, call))
    }),
    ("zato.audit-log.event.get-list", |management, call| {
        Box::pin(events(management, call))
    }),
];

/// The channel whose id an element of the request holds.
async fn channel(management: &Management, call: &Call<'_>, element: &str) -> Result<Record, Error> {
    let id = call.input.get(element).and_then(Value::as_u64).unwrap_or_default();
    let snapshot = management.changes().snapshot();
    let mut channels = snapshot.of_kind(CHANNEL);
    channels
        .find(|it| it.id == id)
        .cloned()
        .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no HTTP channel with the id {id}")))
}

async fn change(management: &Management, call: &Call<'_>, fields: Map<String, Value>) -> Result<Answer, Error> {
    let channel = channel(management, call, "id").await?;
    let edit = ObjectEdit {
        fields,
        ..ObjectEdit::default()
    };
    change::change(management, call, Step::Edit(&channel, edit)).await?;
    Ok(Answer::Done)
}

async fn config(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let channel = channel(management, call, "id").await?;
    Ok(Answer::One(object(json!({
        "audit_enabled": channel.body.get(SWITCHES[0]),
        "audit_back_log": channel.body.get("max_len_messages_received"),
        "audit_max_payload": channel.body.get(SIZES[0]),
        "audit_repl_patt_type": "json-pointer",
    }))))
}

async fn set_config(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let size = call.input.get("audit_max_payload").cloned().unwrap_or_default();
    change(management, call, both(SIZES, &size)).await
}

async fn set_state(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let is_on = call.input.get("audit_enabled").cloned().unwrap_or_default();
    change(management, call, both(SWITCHES, &is_on)).await
}

fn both(fields: [&str; 2], value: &Value) -> Map<String, Value> {
    fields
        .into_iter()
        .map(|field| (field.to_owned(), value.clone()))
        .collect()
}

async fn patterns(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let channel = channel(management, call, "id").await?;
    Ok(Answer::One(object(json!({
        "patterns_json_pointer": channel.body.get(MASKS),
        "patterns_xpath": [],
    }))))
}

/// What is masked is named by the last part of a pointer or a path.
async fn set_patterns(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let given = call.input.get("pattern_list").and_then(Value::as_array);
    let names = given.into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<Value> = names
        .filter_map(|pattern| pattern.rsplit(['/', ':']).find(|part| !part.is_empty()))
        .map(Value::from)
        .collect();
    change(management, call, Map::from_iter([(MASKS.to_owned(), names.into())])).await
}

/// What is kept of one call: its request and its answer, as far as they are.
type Exchange = (Option<AuditEntry>, Option<AuditEntry>);

/// The calls of a channel that are kept, the newest first.
async fn exchanges(management: &Management, call: &Call<'_>) -> Result<Vec<(String, Exchange)>, Error> {
    let channel = channel(management, call, "conn_id").await?;
    let entries = management.parts().node.audit_log(&channel.name).unwrap_or_default();
    let query = call.text("query").unwrap_or_default().to_lowercase();
    let (start, stop) = (
        call.text("start").unwrap_or_default(),
        call.text("stop").unwrap_or_default(),
    );
    let mut found: BTreeMap<(u64, String), Exchange> = BTreeMap::new();
    let mut began: BTreeMap<String, u64> = BTreeMap::new();
    for entry in entries {
        let at = *began.entry(entry.cid.clone()).or_insert(entry.at_ms);
        let exchange = found.entry((at, entry.cid.clone())).or_default();
        if entry.direction == "received" {
            exchange.0 = Some(entry);
        } else {
            exchange.1 = Some(entry);
        }
    }
    let is_asked = |at: u64, exchange: &Exchange| {
        let at = busbar_store::at_ms(at);
        let has_query = |entry: &Option<AuditEntry>| {
            entry
                .as_ref()
                .is_some_and(|it| it.cid.to_lowercase().contains(&query) || it.body.to_lowercase().contains(&query))
        };
        (start.is_empty() || *at >= *start)
            && (stop.is_empty() || *at <= *stop)
            && (query.is_empty() || has_query(&exchange.0) || has_query(&exchange.1))
    };
    let newest_first = found.into_iter().rev();
    Ok(newest_first
        .filter(|((at, _), exchange)| is_asked(*at, exchange))
        .map(|((_, cid), exchange)| (cid, exchange))
        .collect())
}

fn exchange(cid: &str, (request, response): &Exchange) -> Map<String, Value> {
    let time = |entry: &Option<AuditEntry>| entry.as_ref().map(|it| busbar_store::at_ms(it.at_ms));
    let status = response.as_ref().map(|it| it.status);
    object(json!({
        "id": cid,
        "cid": cid,
        "req_time_utc": time(request),
        "resp_time_utc": time(response),
        "remote_addr": request.as_ref().or(response.as_ref()).map(|it| it.remote.clone()),
        "invoke_ok": status.map(|status| status < 400),
        "auth_ok": status.map(|status| status != 401 && status != 403),
    }))
}

fn batch_of(call: &Call<'_>) -> (usize, usize) {
    let number = |name: &str, default: u64| {
        call.input
            .get(name)
            .and_then(Value::as_u64)
            .filter(|it| *it > 0)
            .unwrap_or(default)
    };
    (
        number("current_batch", 1) as usize,
        number("batch_size", BATCH_SIZE) as usize,
    )
}

async fn items(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let (current, size) = batch_of(call);
    let found = exchanges(management, call).await?;
    let page = found.iter().skip((current - 1).saturating_mul(size)).take(size);
    Ok(Answer::Many(page.map(|(cid, it)| exchange(cid, it)).collect(), None))
}

async fn batch(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let (current, size) = batch_of(call);
    let total = exchanges(management, call).await?.len();
    let count = total.div_ceil(size);
    Ok(Answer::One(object(json!({
        "total_results": total,
        "num_batches": count,
        "has_previous": current > 1,
        "has_next": current < count,
        "next_batch_number": current.saturating_add(1),
        "previous_batch_number": current - 1,
    }))))
}

/// One call, whichever channel it came through: ids of kept calls are their correlation ids.
async fn item(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let cid = call.input.get("id").and_then(Value::as_str).unwrap_or_default();
    let snapshot = management.changes().snapshot();
    for channel in snapshot.of_kind(CHANNEL) {
        let entries = management.parts().node.audit_log(&channel.name).unwrap_or_default();
        let mut of_call = entries.into_iter().filter(|it| it.cid == cid).peekable();
        if of_call.peek().is_none() {
            continue;
        }
        let (received, sent): (Vec<_>, Vec<_>) = of_call.partition(|it| it.direction == "received");
        let pair = (received.into_iter().next(), sent.into_iter().next());
        let mut values = exchange(cid, &pair);
        for (prefix, entry) in [("req", &pair.0), ("resp", &pair.1)] {
            if let Some(entry) = entry {
                let headers: Vec<String> = entry
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                values.insert(format!("{prefix}_headers"), headers.join("\n").into());
                values.insert(format!("{prefix}_payload"), entry.body.clone().into());
            }
        }
        return Ok(Answer::One(values));
    }
    Err(Error::new(
        Kind::NotFound,
        format!("no call with the id `{cid}` is kept"),
    ))
}

async fn events(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let status = management.parts().node.status().await;
    let asked = call.input.get("object_id").and_then(Value::as_u64);
    let snapshot = management.changes().snapshot();
    let mut items = Vec::new();
    for channel in snapshot.of_kind(CHANNEL) {
        if asked.is_some_and(|id| id != channel.id) {
            continue;
        }
        for entry in management.parts().node.audit_log(&channel.name).unwrap_or_default() {
            items.push(object(json!({
                "server_name": status.name,
                "server_pid": status.pid,
                "type_": "http-soap",
                "object_id": channel.id,
                "direction": entry.direction,
                "timestamp": busbar_store::at_ms(entry.at_ms),
                "msg_id": entry.cid,
                "event_id": entry.cid,
                "conn_id": entry.remote,
                "data": entry.body,
                "data_len": entry.size_bytes,
            })));
        }
    }
    page_of(&items, call, Map::clone)
}
