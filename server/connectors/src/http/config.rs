//! `channel.http`: a URL under which a service can be called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement, Reference};
use busbar_model::rate_limit::RateLimits;
use busbar_model::{DataFormat, SoapVersion};
use busbar_runtime::inbound::builtin;

use crate::http::cors::Cors;
use crate::http::pattern::Pattern;

/// Every method that a channel can be bound to and that the server takes at all (http.md 2, step 0).
pub const METHODS: [&str; 7] = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"];

/// The accept text that takes any request.
pub const ANY_ACCEPT: &str = "*/*";

/// An HTTP channel: requests for its URL path go to its service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelHttp {
    /// Name of the service that is called. It may be deployed later; until then callers get 404.
    #[schemars(length(min = 1), example = "tutorial.first-service")]
    pub service: String,
    /// Path that requests must have, compared whole and case-sensitively. A name in braces stands for any text of at least one
    /// character: `/customers/{cust_id}/orders`.
    #[schemars(length(min = 1), example = "/customers/{cust_id}")]
    pub url_path: String,
    /// Method that requests must have; empty: any.
    #[serde(default)]
    #[schemars(example = &"POST")]
    pub method: String,
    /// `Accept` header that requests must have, as exact text; `*/*`: any.
    #[serde(default = "any_accept")]
    pub http_accept: String,
    /// How bodies are read and written: `json`, `xml`, `csv`, `form` (an HTML form in, JSON out; `post` if the request need not say that
    /// it is one), or empty for raw bytes.
    #[serde(default)]
    pub data_format: DataFormat,
    /// Security definition that callers must satisfy; none: the channel is open to everyone.
    #[serde(default)]
    pub security: Option<String>,
    /// Security groups: the credentials of any member do. Not together with `security`.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// The caller's roles must allow the method for this service.
    #[serde(default)]
    pub has_rbac: bool,
    /// The credentials of any definition do whose roles allow the method for this service. Not together with `security`.
    #[serde(default)]
    pub sec_use_rbac: bool,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often the channel may be called, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
    /// Path and query parameters are merged into the service's input.
    #[serde(default = "fields::yes")]
    pub merge_url_params_req: bool,
    /// Which of a path and a query parameter of one name wins.
    #[serde(default)]
    pub url_params_pri: UrlParamsPriority,
    /// Which of a parameter and a value in the body of one name wins.
    #[serde(default)]
    pub params_pri: ParamsPriority,
    /// A name in braces may stand for text with slashes in it.
    #[serde(default = "fields::yes")]
    pub match_slash: bool,
    /// Seconds that a call may take before its caller gets 504; none: what the service or the server says.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout: Option<u32>,
    /// Protocol spoken over HTTP.
    #[serde(default)]
    pub transport: Transport,
    /// `SOAPAction` that requests of a SOAP channel must have; empty: any.
    #[serde(default)]
    #[schemars(example = &"urn:get-customer")]
    pub soap_action: String,
    /// Version of the envelopes of a SOAP channel.
    #[serde(default)]
    pub soap_version: SoapVersion,
    /// Services that a JSON-RPC channel may call. Its `service` is `pub.zato.channel.json-rpc.gateway`.
    #[serde(default)]
    pub service_whitelist: Vec<String>,
    /// Requests are answered with 202 and their cid as soon as they are stored; the service runs afterwards, again if it fails.
    #[serde(default)]
    pub is_async: bool,
    /// `gzip`: answers are compressed for clients that accept it.
    #[serde(default)]
    pub content_encoding: ContentEncoding,
    /// `builtin`: answers are kept, and given to further requests with the same method, path, query and body, without calling the service.
    #[serde(default)]
    pub cache_type: CacheType,
    /// Seconds that an answer is kept; 0: until room is needed for others.
    #[serde(default)]
    pub cache_expiry: u32,
    /// Web pages of other sites that may call; none: only pages of this one.
    #[serde(default)]
    pub cors: Option<Cors>,
    /// The last requests are kept for `busbar audit-log`.
    #[serde(default)]
    pub is_audit_log_received_active: bool,
    /// The last answers are kept for `busbar audit-log`.
    #[serde(default)]
    pub is_audit_log_sent_active: bool,
    /// How many requests are kept.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_len_messages_received: u32,
    /// How many answers are kept.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_len_messages_sent: u32,
    /// How many bytes of a request's body are kept.
    #[serde(default = "sixteen_kilobytes")]
    pub max_bytes_per_message_received: u32,
    /// How many bytes of an answer's body are kept.
    #[serde(default = "sixteen_kilobytes")]
    pub max_bytes_per_message_sent: u32,
    /// Names of further fields that hold secrets, which are not kept; `*` stands for any text.
    #[serde(default)]
    pub audit_mask: Vec<String>,
}

impl Default for ChannelHttp {
    fn default() -> Self {
        Self {
            service: String::new(),
            url_path: String::new(),
            method: String::new(),
            http_accept: any_accept(),
            data_format: DataFormat::None,
            security: None,
            security_groups: Vec::new(),
            has_rbac: false,
            sec_use_rbac: false,
            is_rate_limit_active: false,
            rate_limit_def: RateLimits::default(),
            merge_url_params_req: true,
            url_params_pri: UrlParamsPriority::default(),
            params_pri: ParamsPriority::default(),
            match_slash: true,
            timeout: None,
            transport: Transport::default(),
            soap_action: String::new(),
            soap_version: SoapVersion::default(),
            service_whitelist: Vec::new(),
            is_async: false,
            content_encoding: ContentEncoding::default(),
            cache_type: CacheType::default(),
            cache_expiry: 0,
            cors: None,
            is_audit_log_received_active: false,
            is_audit_log_sent_active: false,
            max_len_messages_received: fifty(),
            max_len_messages_sent: fifty(),
            max_bytes_per_message_received: sixteen_kilobytes(),
            max_bytes_per_message_sent: sixteen_kilobytes(),
            audit_mask: Vec::new(),
        }
    }
}

/// Which of a path and a query parameter of one name wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UrlParamsPriority {
    /// The query parameter.
    #[default]
    QsOverPath,
    /// The path parameter.
    PathOverQs,
}

/// Which of a parameter and a value in the body of one name wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParamsPriority {
    /// The parameter.
    #[default]
    ChannelParamsOverMsg,
    /// The value in the body.
    MsgOverChannelParams,
}

/// Protocol spoken over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Bodies without an envelope.
    #[default]
    PlainHttp,
    /// Bodies in SOAP envelopes.
    Soap,
}

/// How answers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ContentEncoding {
    /// They are not.
    #[default]
    #[serde(rename = "")]
    None,
    /// With gzip.
    #[serde(rename = "gzip")]
    Gzip,
}

/// Where answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CacheType {
    /// They are not.
    #[default]
    #[serde(rename = "")]
    None,
    /// In the hub's memory.
    #[serde(rename = "builtin")]
    Builtin,
}

fn fifty() -> u32 {
    50
}

fn sixteen_kilobytes() -> u32 {
    16 * 1024
}

fn any_accept() -> String {
    ANY_ACCEPT.to_owned()
}

impl ChannelHttp {
    /// Whether it speaks JSON-RPC.
    pub fn is_json_rpc(&self) -> bool {
        self.service == builtin::JSON_RPC
    }

    /// The version of SOAP that it speaks, if it does.
    pub fn soap(&self) -> Option<SoapVersion> {
        (self.transport == Transport::Soap).then_some(self.soap_version)
    }
}

impl Object for ChannelHttp {
    const KIND: &'static str = "channel.http";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] =
        &["channel_rest", "channel_plain_http", "channel_soap", "channel_json_rpc"];

    fn from_enmasse(key: &str, item: &mut Map<String, Value>) {
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

    fn check(&self) -> Result<(), FieldError> {
        if self.service.is_empty() {
            return Err(FieldError::new("service", "must name a service"));
        }
        if let Err(error) = Pattern::parse(&self.url_path, self.match_slash) {
            return Err(FieldError::new("url_path", error.to_string()));
        }
        if !self.method.is_empty() && !METHODS.contains(&self.method.as_str()) {
            let methods = METHODS.join(", ");
            return Err(FieldError::new(
                "method",
                format!("must be empty or one of {methods}, not `{}`", self.method),
            ));
        }
        if self.http_accept.is_empty() {
            return Err(FieldError::new(
                "http_accept",
                "must not be empty; `*/*` takes any request",
            ));
        }
        if self.data_format == DataFormat::Dict {
            return Err(FieldError::new(
                "data_format",
                "must be `json`, `xml`, `csv`, `form`, `post` or empty, not `dict`",
            ));
        }
        if self.is_json_rpc() {
            if self.data_format != DataFormat::Json || self.transport != Transport::PlainHttp {
                return Err(FieldError::new(
                    "service",
                    "needs the data format `json` and the transport `plain_http`",
                ));
            }
            if self.is_async {
                return Err(FieldError::new(
                    "is_async",
                    "is not for JSON-RPC channels, whose notifications are not answered anyway",
                ));
            }
        } else if !self.service_whitelist.is_empty() {
            return Err(FieldError::new(
                "service_whitelist",
                format!(
                    "is for JSON-RPC channels only, whose service is `{}`",
                    builtin::JSON_RPC
                ),
            ));
        }
        match self.transport {
            Transport::Soap if self.data_format != DataFormat::Xml => {
                return Err(FieldError::new(
                    "data_format",
                    format!("must be `xml` on SOAP channels, not `{}`", self.data_format.as_str()),
                ));
            }
            Transport::PlainHttp if !self.soap_action.is_empty() => {
                return Err(FieldError::new(
                    "transport",
                    "must be `soap` for a channel with a `soap_action`",
                ));
            }
            _ => {}
        }
        for (field, count) in [
            ("max_len_messages_received", self.max_len_messages_received),
            ("max_len_messages_sent", self.max_len_messages_sent),
        ] {
            if !(1..=1000).contains(&count) {
                return Err(FieldError::new(field, "must be from 1 to 1000"));
            }
        }
        if let Some(cors) = &self.cors {
            cors.check()?;
        }
        self.rate_limit_def.check(self.is_rate_limit_active)?;
        let is_named = self.security.is_some();
        for (name, is_used) in [
            ("security_groups", !self.security_groups.is_empty()),
            ("sec_use_rbac", self.sec_use_rbac),
        ] {
            if is_named && is_used {
                return Err(FieldError::new(name, "cannot be used together with `security`"));
            }
        }
        if self.timeout == Some(0) {
            return Err(FieldError::new("timeout", "must be at least 1 second"));
        }
        Ok(())
    }

    fn references(&self) -> Vec<Reference> {
        let security = self.security.iter().cloned().map(Reference::Security);
        let services = if self.is_json_rpc() {
            self.service_whitelist.clone()
        } else {
            vec![self.service.clone()]
        };
        security.chain(services.into_iter().map(Reference::Service)).collect()
    }
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
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

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
        assert_eq!(
            channel.references(),
            [
                Reference::Security("shop".to_owned()),
                Reference::Service("orders.receive".to_owned())
            ]
        );
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
