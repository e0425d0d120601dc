//! Many objects: whatever is made of all of them takes a time that grows as they do. Where each of them was looked for among all others,
//! this would run for hours, and be ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use busbar_connectors::http::outgoing::OutgoingConnections;
use busbar_connectors::http::{HttpConfig, Routes};
use busbar_dispatch::{Definitions, Dispatcher, ServiceTable};
use busbar_model::difference::Difference;
use busbar_model::object::{Record, Snapshot};
use busbar_runtime::Configure;
use serde_json::{Value, json};

use crate::openapi::Description;
use crate::registry::enmasse::NoHost;

const MANY: usize = 10_000;

fn record(kind: &str, name: String, body: &Value) -> Record {
    Record {
        kind: kind.to_owned(),
        name,
        is_active: true,
        body: body.as_object().cloned().unwrap().into(),
        version: 1,
        id: 0,
    }
}

/// [`MANY`] objects of each of these types; each names others.
fn objects() -> Vec<Record> {
    let of_number = |number: usize| {
        let security = format!("security {number}");
        let basic = json!({"username": security, "password": "s3cret", "realm": "R"});
        let members = [security.clone(), format!("security {}", (number + 1) % MANY)];
        let mut channel = json!({"service": "a.b", "url_path": format!("/api/{number}")});
        match number % 4 {
            0 => channel["security_groups"] = json!([format!("group {number}")]),
            1 => channel["has_rbac"] = true.into(),
            2 => channel["sec_use_rbac"] = true.into(),
            _ => channel["url_path"] = format!("/api/{number}/{{id}}").into(),
        }
        if !number.is_multiple_of(4) {
            channel["security"] = security.clone().into();
        }
        channel["is_audit_log_received_active"] = number.is_multiple_of(3).into();
        let outgoing = json!({"host": "https://example.com", "security": security});
        [
            record("channel.http", format!("channel {number}"), &channel),
            record("outgoing.http", format!("outgoing {number}"), &outgoing),
            record(
                "security_group",
                format!("group {number}"),
                &json!({"members": members}),
            ),
            record("security.basic_auth", security, &basic),
        ]
    };
    (0..MANY).flat_map(of_number).collect()
}

#[tokio::test]
async fn what_is_made_of_many_objects_is_made_at_once() {
    let objects = objects();
    let snapshot = Snapshot::new(1, objects.clone());
    let definitions = Definitions::new();
    let routes = Routes::new(Arc::new(definitions.clone()));
    let deadline = Duration::from_secs(1);
    let dispatcher = Dispatcher::new(ServiceTable::new(), definitions.clone(), Arc::new(NoHost), deadline);
    let description = Description::new(dispatcher.openapi().clone(), "server1", &HttpConfig::default());
    let outgoing = OutgoingConnections::new("server1");
    let holders: [&dyn Configure; 4] = [&definitions, &*routes, &description, &outgoing];
    for holder in holders {
        holder.prepare(&snapshot).unwrap().commit();
    }
    assert!(routes.audit_log("channel 3").is_some() && routes.audit_log("channel 4").is_none());
    let connection = outgoing.get("outgoing 77").unwrap();
    assert_eq!(connection.basic_auth(), Some(("security 77", "s3cret")));

    // each is found, and one that changes is the only one that is sent on
    let by_key: HashMap<_, _> = objects.iter().map(|it| (it.key(), it)).collect();
    for record in &objects {
        assert_eq!(snapshot.get(&record.kind, &record.name), Some(by_key[&record.key()]));
        let security = snapshot.security(&record.name).map(|it| it.kind.as_str());
        assert_eq!(
            security.is_some(),
            record.kind == "security.basic_auth",
            "{}",
            record.name
        );
    }
    let mut later = snapshot.clone();
    later.revision = 2;
    later.get_mut("outgoing.http", "outgoing 5").unwrap().is_active = false;
    let difference = Difference::between(&snapshot, &later);
    assert_eq!(difference.put.len(), 1);
    assert_eq!(difference.applied_to(&snapshot), Some(later));
}
