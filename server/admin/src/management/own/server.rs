//! Services about this server (management.md 6.1 and 6.14). It is the only one of its cluster.

use std::time::{SystemTime, UNIX_EPOCH};

use busbar_model::{Error, Kind};
use serde_json::{Map, Value, json};

use super::service::SERVER_ID;
use super::{Row, object};
use crate::control::NodeStatus;
use crate::management::answer::Answer;
use crate::management::wire::CLUSTER_ID;
use crate::management::{Call, Management};

pub const TABLE: &[Row] = &[
    ("zato.info.get-info", |management, _| Box::pin(info(management))),
    ("zato.info.get-server-info", |management, _| {
        Box::pin(server_info(management))
    }),
    ("zato.info.get-worker-pids", |management, _| Box::pin(pids(management))),
    ("zato.server.get-list", |management, _| Box::pin(list(management))),
    ("zato.server.get-by-id", |management, call| {
        Box::pin(get(management, call))
    }),
    ("zato.server.edit", |management, call| Box::pin(edit(management, call))),
    ("zato.server.delete", |management, call| {
        Box::pin(delete(management, call))
    }),
    // which of the servers of a cluster runs its jobs was found out by these
    ("zato.server.cluster-wide-singleton-keep-alive", |_, _| {
        Box::pin(nothing())
    }),
    ("zato.server.ensure-cluster-wide-singleton", |_, _| Box::pin(nothing())),
    // every change is in effect on all workers when it has been made
    ("pub.zato.common.sync-objects", |_, _| Box::pin(nothing())),
    ("pub.zato.common.sync-objects-impl", |_, _| Box::pin(nothing())),
];

async fn nothing() -> Result<Answer, Error> {
    Ok(Answer::Done)
}

async fn described(management: &Management) -> Value {
    let status = management.parts().node.status().await;
    json!({
        "component": "SERVER",
        "name": status.name,
        "version": status.version,
        "address": status.address,
        "pid": status.pid,
        "uptime_secs": status.uptime_secs,
        "worker_pids": status.workers.iter().filter_map(|worker| worker.pid).collect::<Vec<_>>(),
        "redis": {"state": status.redis.state, "url": status.redis.url},
        "services": management.parts().services.list().iter().filter(|it| !it.is_internal).count(),
        "objects": management.changes().snapshot().records.len(),
    })
}

async fn info(management: &Management) -> Result<Answer, Error> {
    Ok(Answer::One(object(described(management).await)))
}

async fn server_info(management: &Management) -> Result<Answer, Error> {
    let info = described(management).await.to_string();
    Ok(Answer::One(object(json!({"info": info}))))
}

async fn pids(management: &Management) -> Result<Answer, Error> {
    let status = management.parts().node.status().await;
    let mut pids: Vec<u32> = status.workers.iter().filter_map(|worker| worker.pid).collect();
    if pids.is_empty() {
        // services run in the server's own process
        pids.push(status.pid);
    }
    Ok(Answer::One(object(json!({"pids": pids}))))
}

/// The server in the elements of these services.
fn elements(status: &NodeStatus) -> Map<String, Value> {
    let address = status
        .address
        .rsplit_once("//")
        .map_or(status.address.as_str(), |(_, rest)| rest);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64;
    let started = busbar_store::at_ms(now.saturating_sub(status.uptime_secs * 1_000));
    object(json!({
        "id": SERVER_ID,
        "cluster_id": CLUSTER_ID,
        "name": status.name,
        "host": host,
        "bind_host": host,
        "bind_port": port.parse::<u16>().ok(),
        "crypto_use_tls": status.address.starts_with("https"),
        "last_join_status": "accepted",
        "last_join_mod_date": started,
        "up_status": "running",
        "up_mod_date": started,
    }))
}

async fn list(management: &Management) -> Result<Answer, Error> {
    let status = management.parts().node.status().await;
    Ok(Answer::Many(vec![elements(&status)], None))
}

fn only(call: &Call<'_>) -> Result<(), Error> {
    match call.input.get("id").and_then(Value::as_u64) {
        Some(SERVER_ID) => Ok(()),
        _ => Err(Error::new(
            Kind::NotFound,
            format!("there is one server, and its id is {SERVER_ID}"),
        )),
    }
}

async fn get(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    only(call)?;
    Ok(Answer::One(elements(&management.parts().node.status().await)))
}

async fn edit(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    only(call)?;
    let status = management.parts().node.status().await;
    if call.text("name") != Some(&status.name) {
        return Err(Error::new(
            Kind::BadRequest,
            "field `name`: a server is called as its directory is; stop it and rename that",
        ));
    }
    Ok(Answer::One(elements(&status)))
}

async fn delete(_management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    only(call)?;
    Err(Error::new(Kind::Conflict, "a server cannot delete itself"))
}
