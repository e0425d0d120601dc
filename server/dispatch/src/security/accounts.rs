//! `security.tech_acc` and `security.tls_channel_sec`.

use std::fmt;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::rate_limit::RateLimits;
use busbar_runtime::inbound::Visitor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// A technical account: its name and a password in headers of their own, `X-Zato-User` and `X-Zato-Password`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityTechAccount {
    /// Password that callers send. Empty: none is set yet, and every caller is refused.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
}

impl Object for SecurityTechAccount {
    const KIND: &'static str = "security.tech_acc";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("tech_acc");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
    }

    fn check(&self) -> Result<(), FieldError> {
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

impl fmt::Debug for SecurityTechAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no password in logs
        f.debug_struct("SecurityTechAccount").finish_non_exhaustive()
    }
}

/// Whether a request has the headers of an account.
pub(crate) fn account_is_right(visitor: &Visitor<'_>, name: &str, password: &str) -> bool {
    let sent = |header| (visitor.header)(header).unwrap_or_default();
    let is_right = sent("x-zato-user").ct_eq(name.as_bytes()) & sent("x-zato-password").ct_eq(password.as_bytes());
    is_right.into()
}

/// What a caller's TLS certificate must say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityTlsChannel {
    /// Lines of `name=value`, all of which must match: `subject`, `issuer`, `subject_cn`, `issuer_cn`, `subject_o`, `subject_ou`,
    /// `serial`, `fingerprint` (SHA-256 in hexadecimal), `fingerprint_sha1`, `san_dns`, `san_email`.
    #[schemars(length(min = 1), example = &"subject_cn=shop\nissuer_cn=Shop CA")]
    pub value: String,
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

impl Object for SecurityTlsChannel {
    const KIND: &'static str = "security.tls_channel_sec";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("tls_channel_sec");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        for name in ["password", "password_type"] {
            item.remove(name);
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        match fields(&self.value) {
            Some(fields) if !fields.is_empty() => {}
            _ => {
                let message = "must have lines such as `subject_cn=shop`";
                return Err(FieldError::new("value", message));
            }
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

/// The names and values of a definition; `None`: a line is no `name=value`.
pub(crate) fn fields(value: &str) -> Option<Vec<(String, String)>> {
    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
    let field = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim().to_ascii_lowercase().replace('-', "_");
        // as the headers of a proxy are spelt
        let name = name
            .strip_prefix("http_x_zato_tls_")
            .or_else(|| name.strip_prefix("x_zato_tls_"))
            .unwrap_or(&name);
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| (name.to_owned(), value.trim().to_owned()))
    };
    lines.map(field).collect()
}

/// Whether a request's certificate has all these fields: the one of its connection, or the one that a trusted proxy tells of.
pub(crate) fn certificate_is_right(visitor: &Visitor<'_>, fields: &[(String, String)]) -> bool {
    fields.iter().all(|(name, value)| {
        if let Some(certificate) = visitor.certificate {
            let mut same = certificate.0.iter().filter(|(other, _)| other == name);
            return if name.starts_with("fingerprint") {
                same.any(|(_, other)| value.replace(':', "").eq_ignore_ascii_case(other))
            } else {
                same.any(|(_, other)| other == value)
            };
        }
        if !visitor.is_proxied {
            return false;
        }
        let header = format!("x-zato-tls-{}", name.replace('_', "-"));
        (visitor.header)(&header).is_some_and(|sent| sent.trim_ascii() == value.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use busbar_model::Cid;
    use busbar_runtime::inbound::Certificate;

    use super::*;

    fn is_right(value: &str, certificate: Option<&Certificate>, headers: &[(&str, &str)], is_proxied: bool) -> bool {
        let header = |name: &str| {
            let found = headers.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.as_bytes())
        };
        let visitor = Visitor {
            cid: Cid::new(),
            method: "GET",
            url: &String::new,
            query: "",
            remote: "127.0.0.1".parse().unwrap(),
            header: &header,
            certificate,
            is_proxied,
        };
        certificate_is_right(&visitor, &fields(value).unwrap())
    }

    #[test]
    fn all_fields_of_a_certificate_must_match() {
        let certificate = Certificate(vec![
            ("subject_cn", "shop".to_owned()),
            ("san_dns", "a.example".to_owned()),
            ("san_dns", "b.example".to_owned()),
            ("fingerprint", "ab01".to_owned()),
        ]);
        let is_right = |value| is_right(value, Some(&certificate), &[("x-zato-tls-issuer", "CA")], true);
        assert!(is_right("subject_cn=shop"));
        assert!(is_right(
            "HTTP_X_ZATO_TLS_SUBJECT_CN = shop\n\nsan-dns=b.example\nfingerprint=AB:01"
        ));
        assert!(!is_right("subject_cn=shop\nsan_dns=c.example"));
        // headers say nothing about a connection that has a certificate of its own
        assert!(!is_right("issuer=CA"));
    }

    #[test]
    fn headers_count_only_from_trusted_proxies() {
        let headers = [("x-zato-tls-subject-cn", "shop"), ("x-zato-tls-issuer", "CN=CA")];
        assert!(is_right("subject_cn=shop\nissuer=CN=CA", None, &headers, true));
        assert!(!is_right("subject_cn=shop\nissuer=CN=CA", None, &headers, false));
        assert!(!is_right("subject_cn=shop\nserial=1", None, &headers, true));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for value in ["", "\n", "a", "=b", "a b=c"] {
            let definition: SecurityTlsChannel = serde_json::from_value(serde_json::json!({ "value": value })).unwrap();
            assert_eq!(definition.check().unwrap_err().field, "value", "{value}");
        }
    }
}
