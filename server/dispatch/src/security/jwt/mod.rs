//! `security.jwt`: a user name and a password are changed for a token, and the token is sent with each request.
//!
//! * [`SecurityJwt`] - the object
//! * [`sessions`] - the tokens that are good now, and for how long
//! * [`token`] - what a token looks like
//! * [`log_in`] - the endpoints that give tokens and take them back

pub(crate) mod log_in;
pub(crate) mod sessions;
pub(crate) mod token;

use std::fmt;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::rate_limit::RateLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A user who logs in with a name and a password and is given a token.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityJwt {
    /// User name to log in with.
    #[schemars(length(min = 1), example = &"shop")]
    pub username: String,
    /// Password to log in with. Empty: none is set yet, and nobody can log in.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Seconds that a token is good for after it was given or last used.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 1))]
    pub ttl: u32,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
}

fn default_ttl() -> u32 {
    3600
}

impl Object for SecurityJwt {
    const KIND: &'static str = "security.jwt";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("jwt");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.username.is_empty() {
            return Err(FieldError::new("username", "must not be empty"));
        }
        if self.ttl == 0 {
            return Err(FieldError::new("ttl", "must be at least 1 second"));
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

impl fmt::Debug for SecurityJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no password in logs
        f.debug_struct("SecurityJwt")
            .field("username", &self.username)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
