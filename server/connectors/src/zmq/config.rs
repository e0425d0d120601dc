//! The object type of an outgoing ZeroMQ connection.

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What kind of socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SocketType {
    /// Every message goes to one of the peers.
    #[serde(rename = "PUSH")]
    Push,
    /// Every message goes to all peers that subscribe to it.
    #[serde(rename = "PUB")]
    Pub,
}

/// Who waits for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SocketMethod {
    /// The peer has the address.
    #[default]
    #[serde(rename = "connect")]
    Connect,
    /// Busbar has the address.
    #[serde(rename = "bind")]
    Bind,
}

/// An outgoing ZeroMQ connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutgoingZmq {
    /// Address to connect to or to bind.
    #[schemars(length(min = 1), example = &"tcp://127.0.0.1:35101")]
    pub address: String,
    /// `PUSH` or `PUB`.
    pub socket_type: SocketType,
    /// `connect` or `bind`.
    #[serde(default)]
    pub socket_method: SocketMethod,
    /// Most messages that wait in the queue.
    #[serde(default = "high_water_mark")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub high_water_mark: u32,
    /// Most bytes that wait in the queue.
    #[serde(default = "max_queue_size")]
    #[schemars(range(min = 1))]
    pub max_queue_size: u64,
    /// Milliseconds for which queued messages are still delivered once the connection is removed or the server stops.
    #[serde(default = "linger")]
    #[schemars(range(max = 600_000))]
    pub linger: u32,
}

fn high_water_mark() -> u32 {
    100_000
}

fn max_queue_size() -> u64 {
    256 * 1024 * 1024
}

fn linger() -> u32 {
    5_000
}

impl Object for OutgoingZmq {
    const KIND: &'static str = "outgoing.zmq";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["outconn_zmq", "outgoing_zmq"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore(item, &["id", "cluster_id", "is_internal", "msg_source", "opaque1"]);
        fields::ignore_nulls(item);
        // exports of different ages do not agree on the case
        let recase = |field: &str, item: &mut Map<String, Value>, case: fn(&str) -> String| {
            if let Some(Value::String(text)) = item.get_mut(field) {
                *text = case(text.trim());
            }
        };
        recase("socket_type", item, str::to_ascii_uppercase);
        recase("socket_method", item, str::to_ascii_lowercase);
    }

    fn check(&self) -> Result<(), FieldError> {
        let Some((transport, rest)) = self.address.split_once("://") else {
            return Err(FieldError::new(
                "address",
                "must look like tcp://host:port or ipc://path",
            ));
        };
        match transport {
            "tcp" => check_tcp(rest, self.socket_method)?,
            "ipc" if !rest.is_empty() => {}
            _ => {
                return Err(FieldError::new(
                    "address",
                    "must begin with tcp:// or ipc:// and go on after it",
                ));
            }
        }
        if !(1..=10_000_000).contains(&self.high_water_mark) {
            return Err(FieldError::new("high_water_mark", "must be from 1 to 10000000"));
        }
        if self.max_queue_size == 0 {
            return Err(FieldError::new("max_queue_size", "must be at least 1 byte"));
        }
        if self.linger > 600_000 {
            return Err(FieldError::new("linger", "must be at most 600000 milliseconds"));
        }
        Ok(())
    }
}

fn check_tcp(rest: &str, method: SocketMethod) -> Result<(), FieldError> {
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
    // `*` and 0 let the system choose, which only the side that binds can
    let is_port = match method {
        SocketMethod::Bind => port == "*" || port.parse::<u16>().is_ok(),
        SocketMethod::Connect => port.parse::<u16>().is_ok_and(|port| port > 0),
    };
    let is_host = !host.is_empty() && (host != "*" || method == SocketMethod::Bind);
    if is_host && is_port && !host.contains(['/', ' ']) {
        Ok(())
    } else {
        Err(FieldError::new("address", "must look like tcp://host:port"))
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    fn normalise(mut item: Value) -> Result<Value, FieldError> {
        let item = item.as_object_mut().unwrap();
        OutgoingZmq::from_enmasse("outconn_zmq", item);
        (ObjectType::of::<OutgoingZmq>().normalise)(item).map(Value::Object)
    }

    #[test]
    fn old_exports_are_read() {
        let item = json!({"id": 3, "address": "tcp://127.0.0.1:35101", "socket_type": "push", "msg_source": null});
        let body = normalise(item).unwrap();
        assert_eq!(body["socket_type"], "PUSH");
        assert_eq!(body["socket_method"], "connect");
        assert_eq!(body["high_water_mark"], 100_000);
    }

    #[test]
    fn addresses_are_checked() {
        for (address, method, fits) in [
            ("tcp://127.0.0.1:35101", "connect", true),
            ("tcp://*:4444", "bind", true),
            ("tcp://*:*", "bind", true),
            ("tcp://[::1]:4444", "connect", true),
            ("ipc:///tmp/x", "connect", true),
            ("tcp://*:4444", "connect", false),
            ("tcp://a:0", "connect", false),
            ("tcp://a", "connect", false),
            ("tcp://a:99999", "bind", false),
            ("ipc://", "bind", false),
            ("inproc://x", "bind", false),
            ("127.0.0.1:1", "connect", false),
        ] {
            let item = json!({"address": address, "socket_type": "PUB", "socket_method": method});
            assert_eq!(normalise(item).is_ok(), fits, "{address} {method}");
        }
    }
}
