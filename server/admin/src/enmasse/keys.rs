//! Top-level keys: what each was called, and those that there are not.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::enmasse::read::Item;
use crate::problem::{Code, Problem, Problems};
use crate::registry::Registry;

/// 2.0 may have all of HTTP under one key, told apart by `connection` and `transport`.
pub(super) const HTTP_SOAP: &str = "http_soap";

/// Top-level keys that Zato has and busbar has not yet, so that the message can say so.
pub(super) const NOT_YET: &[&str] = &[
    "channel_amqp",
    "channel_ftp",
    "channel_jms_wmq",
    "channel_stomp",
    "channel_wsx",
    "channel_zmq",
    "cloud_aws_s3",
    "def_amqp",
    "def_cassandra",
    "def_cloud_openstack_swift",
    "def_jms_wmq",
    "def_namespace",
    "definition_amqp",
    "definition_cassandra",
    "definition_jms_wmq",
    "elastic_search",
    "json_pointer",
    "notif_cloud_openstack_swift",
    "notif_sql",
    "outconn_amqp",
    "outconn_ftp",
    "outconn_jms_wmq",
    "outconn_odoo",
    "outconn_sap",
    "outconn_stomp",
    "outgoing_ldap",
    "outgoing_wsx",
    "pubsub_endpoint",
    "pubsub_subscription",
    "pubsub_topic",
    "query_cassandra",
    "scheduler",
    "search_es",
    "search_solr",
    "sms_twilio",
    "sso_user",
    "web_socket",
    "xpath",
    "zato_cache_builtin",
    "zato_cache_memcached",
    "zato_generic_connection",
    "zato_generic_rest_wrapper",
];

/// The key under which an item stands today.
pub(super) fn todays(item: &Item) -> &str {
    if item.key != HTTP_SOAP {
        return &item.key;
    }
    let is = |field: &str, value: &str| item.fields.get(field).and_then(Value::as_str) == Some(value);
    match (is("connection", "outgoing"), is("transport", "soap")) {
        (false, false) => "channel_plain_http",
        (false, true) => "channel_soap",
        (true, false) => "outconn_plain_http",
        (true, true) => "outconn_soap",
    }
}

/// The types of a key, whatever else it is called.
pub(super) fn kinds(registry: Registry, key: &str) -> BTreeSet<&'static str> {
    let keys = if key == HTTP_SOAP {
        &["channel_plain_http", "outconn_plain_http"][..]
    } else {
        &[key][..]
    };
    let types = keys.iter().flat_map(|key| registry.of_key(key));
    types.map(|it| it.kind).collect()
}

/// The types of keys that somebody asks for; `None`: nobody asks for any.
///
/// # Errors
///
/// A key that there is not.
pub(super) fn kinds_of(registry: Registry, keys: &[String]) -> Result<Option<BTreeSet<&'static str>>, Problems> {
    let mut all = BTreeSet::new();
    for key in keys {
        let kinds = kinds(registry, key);
        if kinds.is_empty() {
            let message = format!("there is no key `{key}`; there are {}", registry.keys().join(", "));
            return Err(Problem::new(Code::E10, message).into());
        }
        all.extend(kinds);
    }
    Ok((!keys.is_empty()).then_some(all))
}
