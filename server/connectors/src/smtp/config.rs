//! The object type of an SMTP connection.

use std::fmt;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpMode {
    /// Not at all.
    Plain,
    /// From the first byte on.
    Ssl,
    /// After the greeting; a server that cannot do it is refused.
    #[default]
    StartTls,
}

/// A server that sends e-mail: `self.email.smtp['name'].conn.send(message)`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailSmtp {
    /// Name or address of the server.
    #[schemars(length(min = 1), example = &"smtp.example.com")]
    pub host: String,
    /// Port; 0: the usual one of the mode, 25, 465 or 587.
    #[serde(default)]
    pub port: u16,
    /// How the connection is encrypted.
    #[serde(default)]
    pub mode: SmtpMode,
    /// User name; empty: none is sent.
    #[serde(default)]
    pub username: String,
    /// Password.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Seconds that sending a message may take.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub timeout: f64,
    /// Whether every message is mentioned in the log, without its content.
    #[serde(default)]
    pub is_debug: bool,
    /// Address that a ping names; kept for exports.
    #[serde(default)]
    pub ping_address: String,
    /// Most connections that one worker has open at a time.
    #[serde(default = "pool_size")]
    #[schemars(range(min = 1, max = 1000))]
    pub pool_size: u32,
    /// Whether the server's TLS certificate is verified.
    #[serde(default = "fields::yes")]
    pub tls_verify: bool,
    /// File with further certificate authorities to trust, in PEM.
    #[serde(default)]
    pub tls_ca_path: String,
}

fn timeout() -> f64 {
    60.0
}

fn pool_size() -> u32 {
    4
}

impl EmailSmtp {
    /// The port, filled in.
    pub fn port(&self) -> u16 {
        match (self.port, self.mode) {
            (0, SmtpMode::Plain) => 25,
            (0, SmtpMode::Ssl) => 465,
            (0, SmtpMode::StartTls) => 587,
            (port, _) => port,
        }
    }
}

// without the password
impl fmt::Debug for EmailSmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailSmtp")
            .field("host", &self.host)
            .field("port", &self.port())
            .field("mode", &self.mode)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Object for EmailSmtp {
    const KIND: &'static str = "email.smtp";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["email_smtp"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore(item, &["id", "cluster_id", "opaque1"]);
        fields::ignore_nulls(item);
        fields::read_numbers(item, &["port", "timeout", "pool_size"]);
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.host.trim().is_empty() {
            return Err(FieldError::new("host", "must not be empty"));
        }
        fields::check_timeout(self.timeout)?;
        if !(1..=1000).contains(&self.pool_size) {
            return Err(FieldError::new("pool_size", "must be from 1 to 1000"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_export_of_earlier_servers_is_read() {
        let mut item = json!({
            "id": 1, "cluster_id": 1, "host": "mail", "port": "25", "timeout": 10, "is_debug": false, "mode": "plain",
            "ping_address": "a@b", "username": null, "password": null,
        });
        let item = item.as_object_mut().unwrap();
        EmailSmtp::from_enmasse("email_smtp", item);
        let body = (ObjectType::of::<EmailSmtp>().normalise)(item).unwrap();
        assert_eq!((&body["port"], &body["mode"]), (&json!(25), &json!("plain")));
        let mut other = json!({"host": "", "mode": "starttls"});
        let refused = (ObjectType::of::<EmailSmtp>().normalise)(other.as_object_mut().unwrap());
        assert_eq!(refused.unwrap_err().field, "host");
    }

    #[test]
    fn passwords_are_not_shown() {
        let config: EmailSmtp = serde_json::from_value(json!({"host": "a", "password": "hunter2"})).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.port(), 587);
    }
}
