//! Items of enmasse files that become channels: today's, and those of every version before.

use busbar_model::fields;
use busbar_runtime::inbound::builtin;
use serde_json::{Map, Value};

/// Rewrites an item into the fields of a channel.
pub(super) fn read(key: &str, item: &mut Map<String, Value>) {
    fields::rename(item, &["service_name"], "service");
    fields::rename(item, &["security_name", "sec_def"], "security");
    if item.get("security").is_some_and(means_no_security) {
        item.insert("security".to_owned(), Value::Null);
    }
    if key == "channel_soap" && item.get("transport").is_none_or(is_nothing) {
        item.insert("transport".to_owned(), Value::from("soap"));
    }
    if key == "channel_json_rpc" {
        item.entry("service").or_insert_with(|| Value::from(builtin::JSON_RPC));
        item.insert("data_format".to_owned(), Value::from("json"));
    }
    // nulls and empty texts of old exports stand for the default
    for name in [
        "method",
        "http_accept",
        "data_format",
        "url_params_pri",
        "params_pri",
        "match_slash",
        "transport",
        "soap_action",
        "soap_version",
        "service_whitelist",
        "is_async",
        "content_encoding",
        "cache_type",
        "cache_expiry",
        "cors",
        "deprecation",
        "sunset",
        "is_audit_log_received_active",
        "is_audit_log_sent_active",
        "max_len_messages_received",
        "max_len_messages_sent",
        "max_bytes_per_message_received",
        "max_bytes_per_message_sent",
        "audit_mask",
        "security_groups",
        "has_rbac",
        "sec_use_rbac",
        "is_rate_limit_active",
        "rate_limit_def",
    ] {
        if item.get(name).is_some_and(is_nothing) {
            item.remove(name);
        }
    }
    audit_of_2_0(item);
    // 3.2 names a cache and leaves its type to it
    let has_cache = ["cache_id", "cache_name"]
        .iter()
        .any(|name| item.get(*name).is_some_and(|value| !is_nothing(value)));
    if has_cache && !item.contains_key("cache_type") {
        item.insert("cache_type".to_owned(), Value::from("builtin"));
    }
    if let Some(Value::String(method)) = item.get_mut("method") {
        method.make_ascii_uppercase();
    }
    if let Some(Value::String(format)) = item.get_mut("data_format") {
        match format.as_str() {
            "plain_xml" => "xml".clone_into(format),
            "none" => format.clear(),
            _ => {}
        }
    }
    // what says nothing here: ids of another database, settings that the same table keeps for outgoing connections
    if item.get("connection").and_then(Value::as_str) == Some("channel") {
        item.remove("connection");
    }
    fields::ignore(item, IGNORED);
    if item.get("transport").and_then(Value::as_str) == Some("soap") {
        item.entry("data_format").or_insert_with(|| Value::from("xml"));
    }
    if matches!(key, "channel_plain_http" | "channel_soap") {
        // 2.0 writes the default of outgoing connections here, and does not time channels
        item.remove("timeout");
    }
    // features that are switched off; those that are on stay, and are refused by their names
    item.retain(|name, value| !(SWITCHED.contains(&name.as_str()) && is_off(value)));
}

const IGNORED: &[&str] = &[
    "id",
    "cluster_id",
    "service_id",
    "security_id",
    "sec_type",
    "cache_id",
    "cache_name",
    "host",
    "ping_method",
    "pool_size",
    "serialization_type",
    "sec_tls_ca_cert_id",
    "tls_verify",
    "content_type",
    "audit_repl_patt_type",
    "rate_limit_type",
    "rate_limit_check_parent_def",
    "hl7_version",
    "json_path",
    "should_parse_on_input",
    "should_validate",
    "should_return_errors",
    "data_encoding",
    "wrapper_type",
];

/// Switches of features that channels do not have here.
const SWITCHED: &[&str] = &["is_internal", "is_wrapper"];

/// Whether a value says that a feature is not used.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        other => is_nothing(other),
    }
}

/// The audit log as 2.0 has it: one switch, one depth, one length for both directions.
fn audit_of_2_0(item: &mut Map<String, Value>) {
    for (old, new) in [
        (
            "audit_enabled",
            ["is_audit_log_received_active", "is_audit_log_sent_active"],
        ),
        ("audit_back_log", ["max_len_messages_received", "max_len_messages_sent"]),
        (
            "audit_max_payload",
            ["max_bytes_per_message_received", "max_bytes_per_message_sent"],
        ),
    ] {
        let value = item
            .remove(old)
            .filter(|value| !is_nothing(value) && value.as_f64() != Some(0.0));
        if let Some(value) = value {
            for name in new {
                item.entry(name).or_insert_with(|| value.clone());
            }
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_str().is_some_and(str::is_empty)
}

fn means_no_security(value: &Value) -> bool {
    is_nothing(value) || matches!(value.as_str(), Some("zato-no-security" | "ZATO_NONE"))
}

#[cfg(test)]
mod tests {
    use busbar_model::object::{FieldError, ObjectType};
    use busbar_model::{DataFormat, SoapVersion};
    use serde_json::json;

    use super::*;
    use crate::http::config::*;

    fn import(key: &str, item: Value) -> Result<ChannelHttp, FieldError> {
        let Value::Object(mut item) = item else {
            panic!("not an object")
        };
        let object_type = ObjectType::of::<ChannelHttp>();
        (object_type.from_enmasse)(key, &mut item);
        let body = (object_type.normalise)(&item)?;
        Ok(serde_json::from_value(Value::Object(body)).unwrap())
    }

    #[test]
    fn the_shortest_item_has_all_defaults() {
        let channel = import("channel_rest", json!({"service": "a.b", "url_path": "/a"})).unwrap();
        assert_eq!(channel.http_accept, "*/*");
        assert!(channel.merge_url_params_req && channel.match_slash);
        assert_eq!(
            (channel.method.as_str(), channel.data_format, channel.security),
            ("", DataFormat::None, None)
        );
    }

    #[test]
    fn an_item_of_2_0_is_read() {
        let channel = import(
            "channel_plain_http",
            json!({"is_internal": false, "url_path": "/orders", "connection": "channel", "transport": "plain_http",
                   "service": "orders.receive", "sec_def": "shop", "data_format": "json", "soap_action": "", "soap_version": null,
                   "method": null, "timeout": 10, "pool_size": 20, "has_rbac": false, "params_pri": "msg-over-channel-params"}),
        )
        .unwrap();
        assert_eq!(channel.security.as_deref(), Some("shop"));
        assert_eq!((channel.data_format, channel.timeout), (DataFormat::Json, None));
        assert_eq!(channel.params_pri, ParamsPriority::MsgOverChannelParams);
    }

    #[test]
    fn an_item_of_3_2_is_read() {
        let channel = import(
            "channel_rest",
            json!({"service_name": "a.b", "url_path": "/a/{id}", "security_name": "zato-no-security", "method": "get",
                   "data_format": "plain_xml", "cache_expiry": 0, "security_groups": [], "match_slash": "" , "timeout": 3}),
        )
        .unwrap();
        assert_eq!((channel.service.as_str(), channel.method.as_str()), ("a.b", "GET"));
        assert_eq!(
            (channel.security, channel.data_format, channel.timeout),
            (None, DataFormat::Xml, Some(3))
        );
    }

    #[test]
    fn a_soap_channel_of_2_0_is_read() {
        let item = json!({"service": "a.b", "url_path": "/a", "soap_action": "urn:a", "soap_version": "1.2", "data_format": null});
        let channel = import("channel_soap", item).unwrap();
        assert_eq!(
            (channel.transport, channel.data_format),
            (Transport::Soap, DataFormat::Xml)
        );
        assert_eq!(
            (channel.soap_action.as_str(), channel.soap_version),
            ("urn:a", SoapVersion::V12)
        );
        let item = json!({"service": "a.b", "url_path": "/a", "connection": "channel", "transport": "soap", "soap_version": null});
        let channel = import("channel_rest", item).unwrap();
        assert_eq!(
            (channel.transport, channel.soap_version),
            (Transport::Soap, SoapVersion::V11)
        );
    }

    #[test]
    fn caches_and_audit_logs_of_older_versions_are_read() {
        let item = json!({"service": "a.b", "url_path": "/a", "cache_id": 7, "cache_expiry": 30, "content_encoding": null,
                          "max_len_messages_sent": null, "is_audit_log_sent_active": true, "cache_name": "default"});
        let channel = import("channel_rest", item).unwrap();
        assert_eq!((channel.cache_type, channel.cache_expiry), (CacheType::Builtin, 30));
        assert_eq!(
            (channel.is_audit_log_sent_active, channel.max_len_messages_sent),
            (true, 50)
        );
        let item = json!({"service": "a.b", "url_path": "/a", "audit_enabled": true, "audit_back_log": 24, "audit_max_payload": 0});
        let channel = import("channel_plain_http", item).unwrap();
        assert!(channel.is_audit_log_received_active && channel.is_audit_log_sent_active);
        assert_eq!(
            (channel.max_len_messages_received, channel.max_bytes_per_message_sent),
            (24, 16384)
        );
    }

    #[test]
    fn what_is_not_there_yet_is_refused_by_its_name() {
        for (field, item) in [
            (
                "transport",
                json!({"service": "a", "url_path": "/a", "transport": "rest"}),
            ),
            (
                "data_format",
                json!({"service": "a", "url_path": "/a", "transport": "soap", "data_format": "json"}),
            ),
            (
                "soap_version",
                json!({"service": "a", "url_path": "/a", "transport": "soap", "soap_version": "1.3"}),
            ),
            (
                "transport",
                json!({"service": "a", "url_path": "/a", "soap_action": "urn:x"}),
            ),
            (
                "security_groups",
                json!({"service": "a", "url_path": "/a", "security_groups": ["g"], "security": "s"}),
            ),
            (
                "rate_limit_def",
                json!({"service": "a", "url_path": "/a", "is_rate_limit_active": true}),
            ),
            (
                "connection",
                json!({"service": "a", "url_path": "/a", "connection": "outgoing"}),
            ),
            (
                "data_format",
                json!({"service": "a", "url_path": "/a", "data_format": "hl7-v2"}),
            ),
            (
                "data_format",
                json!({"service": "a", "url_path": "/a", "data_format": "dict"}),
            ),
            ("method", json!({"service": "a", "url_path": "/a", "method": "FETCH"})),
            ("url_path", json!({"service": "a", "url_path": "a"})),
            ("url_path", json!({"service": "a", "url_path": "/{a}/{a}"})),
            ("service", json!({"url_path": "/a"})),
            ("timeout", json!({"service": "a", "url_path": "/a", "timeout": 0})),
        ] {
            assert_eq!(import("channel_rest", item.clone()).unwrap_err().field, field, "{item}");
        }
    }
}
