//! The object type of OAuth 2 bearer tokens: those that outgoing connections send, and those that callers of channels bring.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields;
use crate::object::{FieldError, Object, Placement};
use crate::rate_limit::RateLimits;

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

/// How a client says who it is when it asks for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// In fields of the request.
    #[default]
    Form,
    /// By HTTP Basic authentication.
    Basic,
}

/// Algorithms of signatures that tokens of callers may have.
pub const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// OAuth 2 bearer tokens: those that outgoing connections send, from an authorization server that takes a client's own credentials, and
/// those that callers of channels bring, checked with the keys of whoever signs them, or by asking.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityBearerToken {
    /// Name of the client, as the authorization server knows it.
    #[serde(default)]
    #[schemars(example = &"crm-client")]
    pub username: String,
    /// The client's secret.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Address from which tokens for outgoing connections come.
    #[serde(default)]
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
    /// How the client says who it is: in the form, or by HTTP Basic.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// Address of the keys with which tokens of callers are signed, a JWK set.
    #[serde(default)]
    #[schemars(example = &"https://login.example.com/.well-known/jwks.json")]
    pub jwks_url: String,
    /// File with these keys, in place of an address.
    #[serde(default)]
    #[schemars(example = &"/etc/busbar/keys.json")]
    pub jwks_path: String,
    /// The keys themselves, the text of a JWK set.
    #[serde(default)]
    #[schemars(example = &r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "..."}]}"#)]
    pub jwks: String,
    /// Seconds that must pass before the keys are looked up again because of a token whose key is not among them.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub jwks_refresh_interval: u32,
    /// Address that says whether a token of a caller is good (RFC 7662), asked with `username` and `password`.
    #[serde(default)]
    #[schemars(example = &"https://login.example.com/oauth2/introspect")]
    pub introspection_url: String,
    /// Seconds for which it is not asked about the same good token again; 0: it is asked each time.
    #[serde(default = "thirty")]
    pub introspection_cache: u32,
    /// What `iss` of tokens must be; empty: anything.
    #[serde(default)]
    #[schemars(example = &"https://login.example.com/")]
    pub issuer: String,
    /// Whom tokens may be for, with line ends between: one of these must be in `aud`. Empty: anybody.
    #[serde(default)]
    #[schemars(example = &"https://api.example.com")]
    pub audience: String,
    /// Algorithms that signatures may have, with blanks between; empty: any of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
    /// that the key is for.
    #[serde(default)]
    #[schemars(example = &"RS256 ES256")]
    pub algorithms: String,
    /// Seconds by which clocks may differ.
    #[serde(default = "thirty")]
    #[schemars(range(max = 3600))]
    pub leeway: u32,
    /// Scopes that tokens of callers must have, all of them, with blanks or line ends between.
    #[serde(default)]
    #[schemars(example = &"orders.read")]
    pub required_scopes: String,
    /// What else tokens of callers must say, as lines `name=value`. Of a list, it must be in it; dots lead into objects.
    #[serde(default)]
    #[schemars(example = &"realm_access.roles=clerk")]
    pub required_claims: String,
    /// Claim that services see as the caller's user name.
    #[serde(default = "sub")]
    pub username_claim: String,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
    /// Whether the authorization server's TLS certificate is verified.
    #[serde(default = "fields::yes")]
    pub tls_verify: bool,
    /// File with the certificate authorities to trust, in PEM; empty: those of Mozilla's list.
    #[serde(default)]
    pub tls_ca_path: String,
}

/// Fields by which bearer tokens are known from OAuth 1.0, under whose name Zato has had them since 3.2.
const OWN_FIELDS: [&str; 8] = [
    "auth_server_url",
    "client_id_field",
    "client_secret_field",
    "grant_type",
    "jwks_url",
    "jwks_path",
    "jwks",
    "introspection_url",
];

/// Whether fields of what may be bearer tokens or OAuth 1.0 are those of bearer tokens. Empty ones say nothing.
pub fn are_fields(fields: &Map<String, Value>) -> bool {
    let says_something = |value: &Value| !value.is_null() && value != "";
    OWN_FIELDS
        .iter()
        .any(|field| fields.get(*field).is_some_and(says_something))
}

fn ten() -> u32 {
    10
}

fn thirty() -> u32 {
    30
}

fn sub() -> String {
    "sub".to_owned()
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
        pairs(&self.extra_fields)
    }

    /// What tokens of callers must say, name and value.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.required_claims)
    }

    /// Whether it says where tokens to send come from.
    pub fn is_for_sending(&self) -> bool {
        !self.auth_server_url.is_empty()
    }

    /// Whether it says how the tokens of callers are checked.
    pub fn is_for_callers(&self) -> bool {
        self.ways_to_check().next().is_some()
    }

    /// The fields that say how tokens of callers are checked.
    fn ways_to_check(&self) -> impl Iterator<Item = &'static str> {
        [
            ("jwks_url", &self.jwks_url),
            ("jwks_path", &self.jwks_path),
            ("jwks", &self.jwks),
            ("introspection_url", &self.introspection_url),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name)
    }
}

/// Lines that are not empty.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Lines of `name=value`.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    lines(text)
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

impl Object for SecurityBearerToken {
    const KIND: &'static str = "security.bearer_token";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("bearer_token");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        // of OAuth 1.0
        fields::ignore(item, &["password_type", "proto_version", "sig_method", "max_nonce_log"]);
        if let Some(keys @ Value::Object(_)) = item.get("jwks") {
            let text = keys.to_string();
            item.insert("jwks".to_owned(), text.into());
        }
        for field in [
            "scopes",
            "extra_fields",
            "audience",
            "algorithms",
            "required_scopes",
            "required_claims",
        ] {
            if let Some(Value::Array(parts)) = item.get(field)
                && parts.iter().all(Value::is_string)
            {
                let lines: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                let text = lines.join("\n");
                item.insert(field.to_owned(), text.into());
            }
        }
        // an empty choice is the default
        fields::ignore_empty(
            item,
            &["client_id_field", "client_secret_field", "grant_type", "data_format"],
        );
    }

    fn check(&self) -> Result<(), FieldError> {
        let ways: Vec<_> = self.ways_to_check().collect();
        if let [_, second, ..] = ways[..] {
            let message = format!(
                "cannot be beside `{}`: tokens of callers are checked in one way",
                ways[0]
            );
            return Err(FieldError::new(second, message));
        }
        if ways.is_empty() && !self.is_for_sending() {
            let message = "must be an address such as `https://login.example.com/oauth2/token`, unless `jwks_url`, `jwks_path`, `jwks` or \
                           `introspection_url` says how tokens of callers are checked";
            return Err(FieldError::new("auth_server_url", message));
        }
        for (field, url) in [
            ("auth_server_url", &self.auth_server_url),
            ("jwks_url", &self.jwks_url),
            ("introspection_url", &self.introspection_url),
        ] {
            if !url.is_empty() && !is_address(url) {
                let message = "must be a whole address, such as `https://login.example.com/oauth2/token`";
                return Err(FieldError::new(field, message));
            }
        }
        if self.username.is_empty() && (self.is_for_sending() || !self.introspection_url.is_empty()) {
            return Err(FieldError::new("username", "must not be empty"));
        }
        for (field, value) in [
            ("client_id_field", &self.client_id_field),
            ("client_secret_field", &self.client_secret_field),
            ("grant_type", &self.grant_type),
            ("username_claim", &self.username_claim),
        ] {
            if value.is_empty() {
                return Err(FieldError::new(field, "must not be empty"));
            }
        }
        for (field, text) in [
            ("extra_fields", &self.extra_fields),
            ("required_claims", &self.required_claims),
        ] {
            if let Some(line) = lines(text).position(|line| !line.contains('=')) {
                let message = format!("must be lines such as `name=value`, and line {} has no `=`", line + 1);
                return Err(FieldError::new(field, message));
            }
        }
        // as the standard has them: challenges show them in quotes
        let is_scope = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        if !self
            .required_scopes
            .split_whitespace()
            .all(|scope| scope.chars().all(is_scope))
        {
            let message = "must be scopes: ASCII characters without quotes and backslashes";
            return Err(FieldError::new("required_scopes", message));
        }
        let mut algorithms = self.algorithms.split_whitespace();
        if let Some(unknown) = algorithms.find(|name| !ALGORITHMS.contains(name)) {
            let message = format!("has `{unknown}`; there are {}", ALGORITHMS.join(", "));
            return Err(FieldError::new("algorithms", message));
        }
        if self.jwks_refresh_interval == 0 {
            return Err(FieldError::new("jwks_refresh_interval", "must be at least 1 second"));
        }
        if self.leeway > 3600 {
            return Err(FieldError::new("leeway", "must be at most 3600 seconds"));
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
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
            ("required_claims", "a=b\nrole"),
            ("jwks_url", "login.example.com/keys"),
            ("algorithms", "RS256 none"),
            ("algorithms", "HS256"),
            ("required_scopes", "a \"b"),
            ("username_claim", ""),
            ("colour", "red"),
        ] {
            let mut item = json!({"username": "me", "auth_server_url": "https://login/token"});
            item[field] = json!(value);
            assert_eq!(import(item).unwrap_err().field, field, "{value}");
        }
        for (field, item) in [
            ("auth_server_url", json!({"username": "me"})),
            ("username", json!({"introspection_url": "https://login/introspect"})),
            (
                "introspection_url",
                json!({"username": "me", "jwks": "{}", "introspection_url": "https://login/introspect"}),
            ),
            (
                "jwks_refresh_interval",
                json!({"jwks": "{}", "jwks_refresh_interval": 0}),
            ),
            ("leeway", json!({"jwks": "{}", "leeway": 3601})),
        ] {
            assert_eq!(import(item.clone()).unwrap_err().field, field, "{item}");
        }
    }

    #[test]
    fn tokens_are_told_from_signatures_by_their_fields() {
        for (fields, expected) in [
            (json!({"auth_server_url": "https://login/token"}), true),
            (json!({"jwks": {"keys": []}}), true),
            (
                json!({"client_id_field": "", "grant_type": null, "sig_method": "HMAC-SHA1"}),
                false,
            ),
            (json!({}), false),
        ] {
            assert_eq!(are_fields(fields.as_object().unwrap()), expected, "{fields}");
        }
    }

    #[test]
    fn what_callers_bring_needs_no_client() {
        let tokens = import(
            json!({"jwks": {"keys": []}, "audience": ["a", "b"], "required_claims": ["role=clerk", "a.b = c=d"]}),
        )
        .unwrap();
        assert_eq!(
            (tokens.jwks.as_str(), tokens.audience.as_str()),
            (r#"{"keys":[]}"#, "a\nb")
        );
        assert_eq!(tokens.claims().collect::<Vec<_>>(), [("role", "clerk"), ("a.b", "c=d")]);
        assert!(tokens.is_for_callers() && !tokens.is_for_sending());
    }
}
