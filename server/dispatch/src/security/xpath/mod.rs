//! `security.xpath_sec`: a user name and a password somewhere in the XML that callers send.
//!
//! * [`SecurityXpath`] - the object
//! * [`expression`] - the expressions that say where

mod expression;

use std::fmt;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::rate_limit::RateLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use self::expression::Expression;

/// A user name and a password that XPath expressions find in the body of a request.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityXpath {
    /// User name that callers send.
    #[schemars(length(min = 1), example = &"shop")]
    pub username: String,
    /// Password that callers send. Empty: none is set yet, and every caller is refused, unless there is no `password_expr`.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Where the user name is.
    #[schemars(length(min = 1), example = &"//login/user")]
    pub username_expr: String,
    /// Where the password is; empty: the user name alone does.
    #[serde(default)]
    #[schemars(example = &"//login/@password")]
    pub password_expr: String,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
}

impl Object for SecurityXpath {
    const KIND: &'static str = "security.xpath_sec";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("xpath_sec");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        item.remove("password_type");
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.username.is_empty() {
            return Err(FieldError::new("username", "must not be empty"));
        }
        for (field, text) in [
            ("username_expr", &self.username_expr),
            ("password_expr", &self.password_expr),
        ] {
            if (field == "username_expr" || !text.is_empty())
                && let Err(message) = Expression::parse(text)
            {
                return Err(FieldError::new(field, format!("cannot be used: {message}")));
            }
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

impl fmt::Debug for SecurityXpath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no password in logs
        f.debug_struct("SecurityXpath")
            .field("username", &self.username)
            .field("username_expr", &self.username_expr)
            .finish_non_exhaustive()
    }
}

impl SecurityXpath {
    /// Whether its password is set, if it asks for one.
    pub(crate) fn is_set(&self) -> bool {
        self.password_expr.is_empty() || !self.password.is_empty()
    }
}

/// A definition, ready to look at bodies.
pub(crate) struct Xpath {
    username: (Expression, String),
    password: Option<(Expression, String)>,
}

impl Xpath {
    pub(crate) fn build(config: &SecurityXpath) -> Result<Self, FieldError> {
        let parse =
            |field: &str, text: &str| Expression::parse(text).map_err(|message| FieldError::new(field, message));
        let username = (parse("username_expr", &config.username_expr)?, config.username.clone());
        let password = match config.password_expr.as_str() {
            "" => None,
            text => Some((parse("password_expr", text)?, config.password.clone())),
        };
        Ok(Self { username, password })
    }

    /// Whether a body has the user name and the password where they should be.
    pub(crate) fn is_right(&self, body: &[u8]) -> bool {
        let is_there = |(expression, expected): &(Expression, String)| {
            let found = expression.find(body);
            found.is_some_and(|found| bool::from(found.as_bytes().ct_eq(expected.as_bytes())))
        };
        is_there(&self.username) && self.password.as_ref().is_none_or(is_there)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: Value) -> SecurityXpath {
        let mut all = json!({"username": "ann", "password": "s<3", "username_expr": "//user", "password_expr": "//user/@password"});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn names_and_passwords_are_compared() {
        let is_right = |fields: Value, body: &str| {
            let config = read(fields);
            config.is_set() && Xpath::build(&config).unwrap().is_right(body.as_bytes())
        };
        let right = "<a><user password='s&lt;3'>ann</user></a>";
        assert!(is_right(json!({}), right));
        assert!(is_right(
            json!({"password_expr": "", "password": ""}),
            "<user>ann</user>"
        ));
        assert!(
            !is_right(json!({"password": ""}), "<user password=''>ann</user>"),
            "no password is set"
        );
        for body in [
            "<user password='s&lt;3'>bob</user>",
            "<user password='s&lt;'>ann</user>",
            "<user>ann</user>",
            "<a/>",
            "",
            "{}",
        ] {
            assert!(!is_right(json!({}), body), "{body}");
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        for (field, value) in [
            ("username", ""),
            ("username_expr", ""),
            ("username_expr", "count(//a)"),
            ("password_expr", "//a["),
        ] {
            assert_eq!(read(json!({field: value})).check().unwrap_err().field, field, "{value}");
        }
        assert!(read(json!({"password_expr": ""})).check().is_ok());
    }
}
