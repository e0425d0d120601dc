//! The object type of a mailbox.

use std::fmt;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImapMode {
    /// Not at all.
    Plain,
    /// From the first byte on.
    #[default]
    Ssl,
    /// After the greeting; a server that cannot do it is refused.
    StartTls,
}

/// How a mailbox is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ServerType {
    /// Over IMAP.
    #[default]
    #[serde(rename = "generic-imap")]
    GenericImap,
    /// Over the API of Microsoft 365.
    #[serde(rename = "microsoft-365")]
    Microsoft365,
}

/// A mailbox: `self.email.imap['name'].conn.get()` gives its messages.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailImap {
    /// How it is reached.
    #[serde(default)]
    pub server_type: ServerType,
    /// Name or address of the server; required but for Microsoft 365.
    #[serde(default)]
    #[schemars(example = &"imap.example.com")]
    pub host: String,
    /// Port; 0: the usual one of the mode, 993 for `ssl` and 143 otherwise.
    #[serde(default)]
    pub port: u16,
    /// How the connection is encrypted.
    #[serde(default)]
    pub mode: ImapMode,
    /// User name; of Microsoft 365, the address that the mailbox belongs to.
    #[serde(default)]
    pub username: String,
    /// Password; of Microsoft 365, the client's secret.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Which messages `get` gives: a search of IMAP, such as `UNSEEN` or `ALL` or `SINCE 1-Jan-2026 FROM "anna"`.
    #[serde(default = "get_criteria")]
    #[schemars(length(min = 1), example = &"UNSEEN")]
    pub get_criteria: String,
    /// Of Microsoft 365: the tenant, by its id or domain.
    #[serde(default)]
    #[schemars(example = &"contoso.onmicrosoft.com")]
    pub tenant_id: String,
    /// Of Microsoft 365: id of the client, an application that may read and write mail.
    #[serde(default)]
    pub client_id: String,
    /// Of Microsoft 365, in place of `get_criteria`: a filter of its API; empty: every message.
    #[serde(default = "filter_criteria")]
    #[schemars(example = &"isRead ne true")]
    pub filter_criteria: String,
    /// Address of another API that answers like that of Microsoft 365, a national cloud's for example. Empty: the usual one.
    #[serde(default)]
    #[schemars(example = &"https://microsoftgraph.chinacloudapi.cn/v1.0")]
    pub api_url: String,
    /// Address from which its tokens come. Empty: the usual one of the tenant.
    #[serde(default)]
    #[schemars(example = &"https://login.partner.microsoftonline.cn/contoso/oauth2/v2.0/token")]
    pub token_url: String,
    /// Seconds that one step may take: connecting, a search, reading one message.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub timeout: f64,
    /// 0: nothing extra in the log; more: each step is mentioned, without what messages hold.
    #[serde(default)]
    pub debug_level: u32,
    /// Most sessions that one worker has open at a time.
    #[serde(default = "pool_size")]
    #[schemars(range(min = 1, max = 100))]
    pub pool_size: u32,
    /// Whether the server's TLS certificate is verified.
    #[serde(default = "fields::yes")]
    pub tls_verify: bool,
    /// File with the certificate authorities to trust instead of the usual ones, in PEM.
    #[serde(default)]
    pub tls_ca_path: String,
}

fn get_criteria() -> String {
    "UNSEEN".to_owned()
}

fn filter_criteria() -> String {
    "isRead ne true".to_owned()
}

fn timeout() -> f64 {
    30.0
}

fn pool_size() -> u32 {
    2
}

impl EmailImap {
    /// The port, filled in.
    pub fn port(&self) -> u16 {
        match (self.port, self.mode) {
            (0, ImapMode::Ssl) => 993,
            (0, ImapMode::Plain | ImapMode::StartTls) => 143,
            (port, _) => port,
        }
    }

    /// Where the API of Microsoft 365 is.
    pub(super) fn graph_url(&self) -> String {
        if self.api_url.is_empty() {
            return "https://graph.microsoft.com/v1.0".to_owned();
        }
        self.api_url.clone()
    }

    /// Where its tokens come from.
    pub(super) fn auth_server_url(&self) -> String {
        if self.token_url.is_empty() {
            return format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", self.tenant_id);
        }
        self.token_url.clone()
    }

    fn check_microsoft(&self) -> Result<(), FieldError> {
        for (field, value) in [
            ("tenant_id", &self.tenant_id),
            ("client_id", &self.client_id),
            ("username", &self.username),
        ] {
            if value.trim().is_empty() {
                return Err(FieldError::new(
                    field,
                    "must not be empty for a mailbox of Microsoft 365",
                ));
            }
        }
        if !self
            .tenant_id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        {
            return Err(FieldError::new("tenant_id", "must be an id or a domain"));
        }
        for (field, url) in [("api_url", &self.api_url), ("token_url", &self.token_url)] {
            let is_url = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
            if !url.is_empty() && !is_url {
                return Err(FieldError::new(field, "must be an address that begins with https://"));
            }
        }
        Ok(())
    }
}

// without the password
impl fmt::Debug for EmailImap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailImap")
            .field("server_type", &self.server_type)
            .field("host", &self.host)
            .field("port", &self.port())
            .field("mode", &self.mode)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Object for EmailImap {
    const KIND: &'static str = "email.imap";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["email_imap"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore(item, &["id", "cluster_id", "opaque1", "server_type_human"]);
        // an empty filter is every message
        fields::ignore_empty(item, &["server_type", "mode", "get_criteria"]);
        fields::ignore_nulls(item);
        fields::read_numbers(item, &["port", "timeout", "debug_level", "pool_size"]);
    }

    fn check(&self) -> Result<(), FieldError> {
        match self.server_type {
            ServerType::Microsoft365 => self.check_microsoft()?,
            ServerType::GenericImap if self.host.trim().is_empty() => {
                return Err(FieldError::new("host", "is required"));
            }
            ServerType::GenericImap => {}
        }
        if self.get_criteria.trim().is_empty() {
            return Err(FieldError::new(
                "get_criteria",
                "must not be empty: `ALL` is every message",
            ));
        }
        for (field, value) in [
            ("get_criteria", &self.get_criteria),
            ("username", &self.username),
            ("password", &self.password),
        ] {
            if value.contains(['\r', '\n', '\0']) {
                return Err(FieldError::new(field, "must be one line"));
            }
        }
        fields::check_timeout(self.timeout)?;
        if !(1..=100).contains(&self.pool_size) {
            return Err(FieldError::new("pool_size", "must be from 1 to 100"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    fn read(mut item: Value) -> Result<Map<String, Value>, FieldError> {
        let item = item.as_object_mut().unwrap();
        EmailImap::from_enmasse("email_imap", item);
        (ObjectType::of::<EmailImap>().normalise)(item)
    }

    #[test]
    fn exports_of_earlier_servers_are_read() {
        let body = read(json!({
            "id": 1, "cluster_id": 1, "host": "mail", "port": "143", "timeout": 10, "debug_level": "2", "mode": "plain",
            "get_criteria": "ALL", "username": null, "password": null, "server_type": "generic-imap", "tenant_id": "",
            "client_id": null, "filter_criteria": "isRead ne true",
        }))
        .unwrap();
        assert_eq!((&body["port"], &body["debug_level"]), (&json!(143), &json!(2)));
        let body = read(json!({
            "host": null, "server_type": "microsoft-365", "tenant_id": "t", "client_id": "c", "username": "a@b",
            "filter_criteria": "", "get_criteria": "", "mode": "",
        }))
        .unwrap();
        // every message, which is something else than the default
        assert_eq!(body["filter_criteria"], "");
        let body = read(json!({"host": "mail"})).unwrap();
        assert_eq!(
            (&body["mode"], &body["get_criteria"]),
            (&json!("ssl"), &json!("UNSEEN"))
        );
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_field() {
        for (item, field) in [
            (json!({"host": " "}), "host"),
            (json!({}), "host"),
            (json!({"host": "a", "get_criteria": " "}), "get_criteria"),
            (
                json!({"host": "a", "get_criteria": "ALL\r\nA1 DELETE x"}),
                "get_criteria",
            ),
            (json!({"host": "a", "timeout": 0}), "timeout"),
            (json!({"host": "a", "pool_size": 0}), "pool_size"),
            (json!({"host": "a", "server_type": "exchange"}), "server_type"),
            (
                json!({"server_type": "microsoft-365", "client_id": "c", "username": "u"}),
                "tenant_id",
            ),
            (
                json!({"server_type": "microsoft-365", "client_id": "c", "username": "u", "tenant_id": "a/b"}),
                "tenant_id",
            ),
            (
                json!({"server_type": "microsoft-365", "client_id": "c", "username": "u", "tenant_id": "t", "api_url": "x"}),
                "api_url",
            ),
        ] {
            assert_eq!(read(item.clone()).unwrap_err().field, field, "{item}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let config: EmailImap = serde_json::from_value(json!({"host": "a", "password": "hunter2"})).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.port(), 993);
    }
}
