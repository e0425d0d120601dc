//! `security.basic_auth` and `security.apikey`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::rate_limit::RateLimits;

/// Header of an API key, unless its definition names another.
pub const DEFAULT_API_KEY_HEADER: &str = "X-API-Key";

/// A user name and a password, for HTTP Basic authentication of callers and of outgoing connections.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityBasicAuth {
    /// User name that callers send. No colon in it: what follows one is the password.
    #[schemars(length(min = 1), example = &"shop")]
    pub username: String,
    /// Password that callers send. Empty: none is set yet, and every caller is refused.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Realm that refused callers are shown.
    #[serde(default = "default_realm")]
    pub realm: String,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
}

fn default_realm() -> String {
    "busbar".to_owned()
}

/// A key that callers send in a header.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityApiKey {
    /// Header that holds the key.
    #[serde(default = "default_header")]
    #[schemars(length(min = 1), example = &"X-API-Key")]
    pub header: String,
    /// The key. Empty: none is set yet, and every caller is refused.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Name that services see as the caller's.
    #[serde(default)]
    pub username: String,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
}

fn default_header() -> String {
    DEFAULT_API_KEY_HEADER.to_owned()
}

impl Object for SecurityBasicAuth {
    const KIND: &'static str = "security.basic_auth";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("basic_auth");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        item.remove("password_type");
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.username.is_empty() {
            return Err(FieldError::new("username", "must not be empty"));
        }
        if self.username.contains(':') {
            return Err(FieldError::new(
                "username",
                "must not contain a colon: Basic authentication ends user names there",
            ));
        }
        if self.realm.chars().any(char::is_control) {
            return Err(FieldError::new("realm", "must not contain control characters"));
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

impl Object for SecurityApiKey {
    const KIND: &'static str = "security.apikey";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("apikey");

    fn from_enmasse(key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        item.remove("password_type");
        // 2.0 keeps the header's name in the user name; later files do so where it looks like one
        if !item.contains_key("header")
            && let Some(username) = item.get("username").and_then(Value::as_str)
            && is_token(username)
            && (key == "def_sec" || username.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-")))
        {
            item.insert("header".to_owned(), Value::String(username.to_owned()));
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        if !is_token(&self.header) {
            return Err(FieldError::new(
                "header",
                format!("must be a header's name, not `{}`", self.header),
            ));
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

/// Whether a text can be a header's name.
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

impl fmt::Debug for SecurityBasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no password in logs
        f.debug_struct("SecurityBasicAuth")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SecurityApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityApiKey")
            .field("header", &self.header)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    fn import<T: Object>(key: &str, item: Value) -> Result<T, FieldError> {
        let Value::Object(mut item) = item else {
            panic!("not an object")
        };
        (ObjectType::of::<T>().from_enmasse)(key, &mut item);
        let body = (ObjectType::of::<T>().normalise)(&item)?;
        Ok(serde_json::from_value(Value::Object(body)).unwrap())
    }

    #[test]
    fn basic_auth_is_read() {
        let item =
            json!({"type": "basic_auth", "username": "shop", "password": "s3", "realm": "Shop", "is_internal": false});
        let basic: SecurityBasicAuth = import("def_sec", item).unwrap();
        assert_eq!(
            (basic.username.as_str(), basic.password.as_str(), basic.realm.as_str()),
            ("shop", "s3", "Shop")
        );
        assert!(!format!("{basic:?}").contains("s3"));
        let basic: SecurityBasicAuth = import("security", json!({"username": "shop", "password": null})).unwrap();
        assert_eq!((basic.password.as_str(), basic.realm.as_str()), ("", "busbar"));
        assert_eq!(
            import::<SecurityBasicAuth>("security", json!({"username": "a:b"}))
                .unwrap_err()
                .field,
            "username"
        );
        assert_eq!(
            import::<SecurityBasicAuth>("security", json!({})).unwrap_err().field,
            "username"
        );
    }

    #[test]
    fn api_keys_are_read() {
        let header = |key, item| import::<SecurityApiKey>(key, item).unwrap().header;
        assert_eq!(
            header("security", json!({"type": "apikey", "password": "k"})),
            "X-API-Key"
        );
        assert_eq!(
            header("security", json!({"username": "partner", "password": "k"})),
            "X-API-Key"
        );
        assert_eq!(
            header("security", json!({"username": "X-Partner", "password": "k"})),
            "X-Partner"
        );
        assert_eq!(
            header("def_sec", json!({"username": "Partner-Key", "password": "k"})),
            "Partner-Key"
        );
        assert_eq!(
            header("security", json!({"header": "X-K", "username": "X-Partner"})),
            "X-K"
        );
        assert_eq!(
            import::<SecurityApiKey>("security", json!({"header": "a b"}))
                .unwrap_err()
                .field,
            "header"
        );
    }
}
