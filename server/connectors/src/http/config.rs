//! `channel.http`: a URL under which a service can be called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::rate_limit::RateLimits;
use busbar_model::{DataFormat, SoapVersion};
use busbar_runtime::inbound::builtin;

use crate::http::cors::Cors;
use crate::http::items;
use crate::http::pattern::Pattern;
use crate::http::retirement;

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
    #[schemars(extend("x-refers" = "service", "x-given" = [builtin::JSON_RPC]))]
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
    #[schemars(extend("x-refers" = "security"))]
    pub security: Option<String>,
    /// Security groups: the credentials of any member do. Not together with `security`.
    #[serde(default)]
    #[schemars(extend("x-refers" = "security_group"))]
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
    #[schemars(extend("x-refers" = "service"))]
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
    /// Since when it should not be used any more, or from when on: a date, or a time with its zone. Answers say so in `Deprecation`.
    #[serde(default)]
    #[schemars(example = &"2026-03-01")]
    pub deprecation: Option<String>,
    /// When it will be gone. Answers say so in `Sunset`.
    #[serde(default)]
    #[schemars(example = &"2026-09-01T00:00:00Z")]
    pub sunset: Option<String>,
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
            deprecation: None,
            sunset: None,
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
        items::read(key, item);
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
        retirement::check(self)?;
        if let Some(cors) = &self.cors {
            cors.check()?;
        }
        self.rate_limit_def.check(self.is_rate_limit_active)?;
        if self.security.as_deref() == Some("") {
            return Err(FieldError::new(
                "security",
                "must name a definition, or be null for none",
            ));
        }
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
}
