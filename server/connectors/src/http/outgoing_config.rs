//! The object type of an outgoing HTTP connection.

use busbar_model::SoapVersion;
use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::config::Transport;

/// How bodies of an outgoing connection are written and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum OutgoingFormat {
    /// As they are: text, bytes, a form for a dict.
    #[default]
    #[serde(rename = "", alias = "none")]
    None,
    /// JSON.
    #[serde(rename = "json")]
    Json,
    /// XML.
    #[serde(rename = "xml")]
    Xml,
    /// A form, URL-encoded.
    #[serde(rename = "form", alias = "post")]
    Form,
}

impl OutgoingFormat {
    /// The name that configuration shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Form => "form",
        }
    }

    /// Content type of bodies when neither the call nor the connection names one.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::None => "text/plain",
            Self::Json => "application/json",
            Self::Xml => "application/xml",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// An outgoing HTTP connection: a REST or plain HTTP back-end that services call as `self.outgoing.rest['name']` or
/// `self.outgoing.plain_http['name']`. Every worker keeps a pool of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutgoingHttp {
    /// Scheme, host and port of the back-end.
    #[schemars(length(min = 1), example = &"https://crm.example.com:8443")]
    pub host: String,
    /// Path below it. Names in braces are filled from the call's `params`.
    #[serde(default = "root")]
    #[schemars(example = &"/customer/{cust_id}")]
    pub url_path: String,
    /// Method that the back-end expects; empty: whichever a service calls.
    #[serde(default)]
    pub method: String,
    /// How bodies are written and read.
    #[serde(default)]
    pub data_format: OutgoingFormat,
    /// Security definition whose credentials are sent: basic auth, an API key, a bearer token, NTLM, a TLS
    /// certificate, and for SOAP also WS-Security. Empty: none.
    #[serde(default)]
    #[schemars(extend("x-refers" = "security"))]
    pub security: String,
    /// Seconds that one call may take, connecting and redirects included.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub timeout: f64,
    /// Most connections that one worker has open at a time; calls beyond wait for a free one within their time limit.
    #[serde(default = "pool_size")]
    #[schemars(range(min = 1, max = 10000))]
    pub pool_size: u32,
    /// Method of a ping.
    #[serde(default = "ping_method")]
    pub ping_method: String,
    /// `soap`: bodies go in envelopes, and services find the connection as `self.outgoing.soap['name']`.
    #[serde(default)]
    pub transport: Transport,
    /// `SOAPAction` of SOAP requests.
    #[serde(default)]
    pub soap_action: String,
    /// Version of SOAP envelopes.
    #[serde(default)]
    pub soap_version: SoapVersion,
    /// Content type of request bodies; empty: what the data format says.
    #[serde(default)]
    pub content_type: String,
    /// Whether the back-end's TLS certificate is verified.
    #[serde(default = "fields::yes")]
    pub tls_verify: bool,
    /// File with the certificate authorities to trust, in PEM; empty: those of Mozilla's list.
    #[serde(default)]
    pub tls_ca_path: String,
    /// Security definition of type `tls_ca_cert` with the certificate authorities to trust, in place of a file.
    #[serde(default)]
    #[schemars(extend("x-refers" = "security"))]
    pub tls_ca_cert: String,
    /// Whether redirects are followed, at most 30 of them. A call can say otherwise.
    #[serde(default = "fields::yes")]
    pub follow_redirects: bool,
    /// Largest response body to accept, in bytes, after decompression.
    #[serde(default = "max_response_size")]
    #[schemars(range(min = 1))]
    pub max_response_size: u64,
    /// Counts up when the WSDL of a SOAP connection is to be read again, as `zato.http-soap.reload-wsdl` does.
    #[serde(default)]
    pub wsdl_revision: u32,
}

fn root() -> String {
    "/".to_owned()
}

fn timeout() -> f64 {
    10.0
}

fn pool_size() -> u32 {
    20
}

fn ping_method() -> String {
    "HEAD".to_owned()
}

fn max_response_size() -> u64 {
    64 * 1024 * 1024
}

/// Fields that exports carry and that mean nothing here: what the key implies, SOAP, caches, limits of channels.
const IGNORED: &[&str] = &[
    "id",
    "connection",
    "is_internal",
    "service",
    "service_name",
    "serialization_type",
    "merge_url_params_req",
    "url_params_pri",
    "params_pri",
    "has_rbac",
    "sec_use_rbac",
    "sec_type",
    "security_type",
    "security_id",
    "cache_id",
    "cache_name",
    "cache_type",
    "cache_expiry",
    "content_encoding",
    "http_accept",
    "match_slash",
    "data_encoding",
    "is_active_outgoing",
    "cluster_id",
    "opaque1",
];

impl Object for OutgoingHttp {
    const KIND: &'static str = "outgoing.http";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] =
        &["outgoing_rest", "outconn_plain_http", "outgoing_soap", "outconn_soap"];

    fn from_enmasse(key: &str, item: &mut Map<String, Value>) {
        fields::ignore(item, IGNORED);
        fields::ignore_empty(item, &["transport", "soap_version"]);
        if key.ends_with("_soap") {
            item.insert("transport".to_owned(), Value::from("soap"));
        }
        fields::rename(item, &["security_name", "sec_def"], "security");
        fields::rename(item, &["validate_tls", "sec_tls_verify"], "tls_verify");
        fields::rename(item, &["sec_tls_ca_cert_path", "ca_bundle"], "tls_ca_path");
        // an id in exports of 2.0: a name will do, a number says nothing here and is refused
        fields::rename(
            item,
            &["sec_tls_ca_cert_name", "sec_tls_ca_cert", "sec_tls_ca_cert_id"],
            "tls_ca_cert",
        );
        // how exports spell "nothing chosen"
        for field in ["security", "tls_ca_cert"] {
            if item
                .get(field)
                .and_then(Value::as_str)
                .is_some_and(|name| matches!(name, "zato-no-security" | "ZATO_NONE" | "ZATO_DEFAULT"))
            {
                item.remove(field);
            }
        }
        fields::ignore_nulls(item);
        fields::read_numbers(item, &["timeout", "pool_size", "max_response_size"]);
    }

    fn check(&self) -> Result<(), FieldError> {
        let host = self.host.to_ascii_lowercase();
        if !(host.starts_with("http://") || host.starts_with("https://")) {
            return Err(FieldError::new("host", "must begin with http:// or https://"));
        }
        fields::check_timeout(self.timeout)?;
        if !(1..=10_000).contains(&self.pool_size) {
            return Err(FieldError::new("pool_size", "must be from 1 to 10000"));
        }
        if self.max_response_size == 0 {
            return Err(FieldError::new("max_response_size", "must be at least 1 byte"));
        }
        for (field, method) in [("method", &self.method), ("ping_method", &self.ping_method)] {
            let is_empty = method.is_empty() && field == "method";
            if !is_empty && http::Method::from_bytes(method.as_bytes()).is_err() {
                return Err(FieldError::new(field, format!("`{method}` is not an HTTP method")));
            }
        }
        if !self.tls_ca_cert.is_empty() && !self.tls_ca_path.is_empty() {
            return Err(FieldError::new(
                "tls_ca_path",
                "cannot be beside `tls_ca_cert`: one of them says whom to trust",
            ));
        }
        if http::HeaderValue::from_str(&self.soap_action).is_err() {
            return Err(FieldError::new("soap_action", "holds characters that a header cannot"));
        }
        if http::HeaderValue::from_str(&self.content_type).is_err() {
            return Err(FieldError::new("content_type", "holds characters that a header cannot"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    fn normalise(key: &str, mut item: Value) -> Result<Value, FieldError> {
        let item = item.as_object_mut().unwrap();
        OutgoingHttp::from_enmasse(key, item);
        (ObjectType::of::<OutgoingHttp>().normalise)(item).map(Value::Object)
    }

    #[test]
    fn an_item_of_today_and_one_of_old_become_the_same() {
        let today = json!({"host": "http://127.0.0.1:9000", "url_path": "/customer/{id}", "security_name": "shop"});
        let old = json!({
            "host": "http://127.0.0.1:9000", "url_path": "/customer/{id}", "sec_def": "shop", "connection": "outgoing",
            "transport": "plain_http", "is_internal": false, "timeout": "10", "pool_size": 20, "ping_method": "HEAD",
            "data_format": null,
        });
        let today = normalise("outgoing_rest", today).unwrap();
        assert_eq!(today, normalise("outconn_plain_http", old).unwrap());
        assert_eq!(today["security"], "shop");
        assert_eq!(today["timeout"], 10.0);
    }

    #[test]
    fn no_security_is_spelt_in_many_ways() {
        for item in [
            json!({"sec_def": "zato-no-security"}),
            json!({"security_name": null}),
            json!({}),
        ] {
            let mut item = item;
            item["host"] = json!("https://a");
            assert_eq!(normalise("outgoing_rest", item).unwrap()["security"], "");
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        for (field, value) in [
            ("host", json!("crm.example.com")),
            ("timeout", json!(0)),
            ("pool_size", json!(0)),
            ("ping_method", json!("A B")),
            ("data_format", json!("yaml")),
            ("colour", json!("red")),
        ] {
            let mut item = json!({"host": "http://a"});
            item[field] = value;
            let error = normalise("outgoing_rest", item).unwrap_err();
            if field != "data_format" {
                assert_eq!(error.field, field, "{error}");
            }
        }
    }
}
