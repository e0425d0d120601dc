//! The object type of OAuth 2 bearer tokens: those that outgoing connections send, and those that callers of channels bring.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::object::{FieldError, Object, Placement};

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenFormat {
    /// As a form, as the standard has it.
    #[default]
    Form,
    /// As JSON.
    Json,
}

/// OAuth 2 bearer tokens for outgoing connections, from an authorization server that takes a client's own credentials.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityBearerToken {
    /// Name of the client, as the authorization server knows it.
    #[schemars(length(min = 1), example = &"crm-client")]
    pub username: String,
    /// The client's secret.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Address from which tokens come.
    #[schemars(example = &"https://login.example.com/oauth2/token")]
    pub auth_server_url: String,
    /// Scopes that are asked for, with blanks or line ends between them.
    #[serde(default)]
    #[schemars(example = &"read write")]
    pub scopes: String,
    /// Field of the request that has the client's name.
    #[serde(default = "client_id")]
    pub client_id_field: String,
    /// Field of the request that has the client's secret.
    #[serde(default = "client_secret")]
    pub client_secret_field: String,
    /// What the request says for `grant_type`.
    #[serde(default = "client_credentials")]
    pub grant_type: String,
    /// Further fields of the request, as lines `name=value`.
    #[serde(default)]
    #[schemars(example = &"audience=https://crm.example.com")]
    pub extra_fields: String,
    /// How the request is written.
    #[serde(default)]
    pub data_format: TokenFormat,
    /// Whether the authorization server's TLS certificate is verified.
    #[serde(default = "yes")]
    pub tls_verify: bool,
    /// File with the certificate authorities to trust, in PEM; empty: those of Mozilla's list.
    #[serde(default)]
    pub tls_ca_path: String,
}

fn yes() -> bool {
    true
}

fn client_id() -> String {
    "client_id".to_owned()
}

fn client_secret() -> String {
    "client_secret".to_owned()
}

fn client_credentials() -> String {
    "client_credentials".to_owned()
}

impl fmt::Debug for SecurityBearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // neither the secret nor further fields, which may be secret too
        f.debug_struct("SecurityBearerToken")
            .field("username", &self.username)
            .field("auth_server_url", &self.auth_server_url)
            .finish_non_exhaustive()
    }
}

impl SecurityBearerToken {
    /// The further fields, name and value.
    pub fn extra(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extra_lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
    }

    fn extra_lines(&self) -> impl Iterator<Item = &str> {
        self.extra_fields.lines().map(str::trim).filter(|line| !line.is_empty())
    }
}

/// Fields that exports carry and that mean nothing here: ids of another database, OAuth 1.0, limits of channels.
const IGNORED: &[&str] = &[
    "type",
    "sec_type",
    "id",
    "cluster_id",
    "opaque1",
    "is_internal",
    "password_type",
    "proto_version",
    "sig_method",
    "max_nonce_log",
    "is_rate_limit_active",
    "rate_limit_def",
    "rate_limit_type",
    "rate_limit_check_parent_def",
];

impl Object for SecurityBearerToken {
    const KIND: &'static str = "security.bearer_token";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("bearer_token");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        for field in IGNORED {
            item.remove(*field);
        }
        for field in ["scopes", "extra_fields"] {
            if let Some(Value::Array(parts)) = item.get(field)
                && parts.iter().all(Value::is_string)
            {
                let lines: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                let text = lines.join("\n");
                item.insert(field.to_owned(), text.into());
            }
        }
        // an empty choice is the default
        for field in ["client_id_field", "client_secret_field", "grant_type", "data_format"] {
            if item.get(field).is_some_and(|value| value.as_str() == Some("")) {
                item.remove(field);
            }
        }
        item.retain(|_, value| !value.is_null());
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.username.is_empty() {
            return Err(FieldError::new("username", "must not be empty"));
        }
        for (field, value) in [
            ("client_id_field", &self.client_id_field),
            ("client_secret_field", &self.client_secret_field),
            ("grant_type", &self.grant_type),
        ] {
            if value.is_empty() {
                return Err(FieldError::new(field, "must not be empty"));
            }
        }
        if let Some(line) = self.extra_lines().position(|line| !line.contains('=')) {
            let message = format!("must be lines such as `name=value`, and line {} has no `=`", line + 1);
            return Err(FieldError::new("extra_fields", message));
        }
        if !is_address(&self.auth_server_url) {
            return Err(FieldError::new(
                "auth_server_url",
                "must be a whole address, such as `https://login.example.com/oauth2/token`",
            ));
        }
        Ok(())
    }
}

/// Whether a text is an address over HTTP with a host in it. What else is wrong with one is seen by whoever opens it.
fn is_address(text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        Some(text.split_at_checked(scheme.len())?).filter(|(start, _)| start.eq_ignore_ascii_case(scheme))
    });
    rest.is_some_and(|(_, rest)| {
        !rest.is_empty()
            && !rest.starts_with(['/', '?', '#', ':'])
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::ObjectType;

    fn import(mut item: Value) -> Result<SecurityBearerToken, FieldError> {
        let item = item.as_object_mut().unwrap();
        SecurityBearerToken::from_enmasse("security", item);
        let body = (ObjectType::of::<SecurityBearerToken>().normalise)(item)?;
        Ok(serde_json::from_value(Value::Object(body)).unwrap())
    }

    #[test]
    fn an_item_gets_its_defaults() {
        let tokens = import(json!({
            "type": "bearer_token", "username": "me", "password": "hunter2", "auth_server_url": "https://login/token",
            "scopes": ["a", "b"], "extra_fields": ["audience=x=y", " "], "data_format": "", "grant_type": null, "id": 7,
        }))
        .unwrap();
        assert_eq!(tokens.scopes, "a\nb");
        assert_eq!(tokens.extra().collect::<Vec<_>>(), [("audience", "x=y")]);
        assert_eq!(
            (tokens.client_id_field.as_str(), tokens.client_secret_field.as_str()),
            ("client_id", "client_secret")
        );
        assert_eq!(
            (tokens.grant_type.as_str(), tokens.data_format),
            ("client_credentials", TokenFormat::Form)
        );
        assert!(tokens.tls_verify && !format!("{tokens:?}").contains("hunter2"));
    }

    #[test]
    fn wrong_fields_are_named() {
        for (field, value) in [
            ("username", ""),
            ("auth_server_url", "login.example.com"),
            ("auth_server_url", "ftp://login.example.com/token"),
            ("extra_fields", "audience"),
            ("colour", "red"),
        ] {
            let mut item = json!({"username": "me", "auth_server_url": "https://login/token"});
            item[field] = json!(value);
            assert_eq!(import(item).unwrap_err().field, field, "{value}");
        }
    }
}
