//! Takes secrets out of what is kept of messages: by the names of fields, wherever they stand.

use busbar_model::wildcard;
use serde_json::Value;

/// What stands in the place of a secret.
const MASK: &str = "******";

/// Names that stand for secrets everywhere.
const SECRETS: [&str; 8] = [
    "*password*",
    "*passwd*",
    "*secret*",
    "*token*",
    "*passphrase*",
    "*api*key*",
    "auth_data",
    "*credential*",
];

/// Headers that carry credentials.
const HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// Larger bodies are not looked through for secrets, and so not kept.
const MAX_MASKED: usize = 1 << 20;

/// Which names stand for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(Vec<String>);

impl Mask {
    /// The usual ones, and more: names in which `*` stands for any text. Case does not count.
    pub fn new(more: &[String]) -> Self {
        let usual = SECRETS.iter().map(|name| (*name).to_owned());
        Self(usual.chain(more.iter().map(|name| name.to_lowercase())).collect())
    }

    /// Whether a name stands for a secret.
    fn hides(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.0.iter().any(|pattern| wildcard::matches(pattern, &name, None))
    }

    /// The value of a header.
    pub fn header(&self, name: &str, value: String) -> String {
        if HEADERS.contains(&name) || self.hides(name) {
            MASK.to_owned()
        } else {
            value
        }
    }

    /// A query string or form.
    pub fn form(&self, text: &str) -> String {
        let pairs = text.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if self.hides(&percent_encoding::percent_decode_str(name).decode_utf8_lossy()) => {
                format!("{name}={MASK}")
            }
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    /// As much of a body as is to be kept, `max` bytes at most.
    pub fn kept(&self, content_type: &[u8], body: &[u8], max: usize) -> String {
        if body.len() > MAX_MASKED {
            return format!("({} bytes, too many to be kept)", body.len());
        }
        let mut text = self.body(content_type, body);
        if text.len() > max {
            let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
        }
        text
    }

    /// A body: JSON, XML and forms are looked through; what looks like one of them and is not is left out, as secrets could be in it.
    pub fn body(&self, content_type: &[u8], body: &[u8]) -> String {
        let unknown = || format!("({} bytes that cannot be looked through for secrets)", body.len());
        let starts =
            |name: &[u8]| content_type.len() >= name.len() && content_type[..name.len()].eq_ignore_ascii_case(name);
        if starts(b"multipart/") {
            return unknown();
        }
        let Ok(text) = std::str::from_utf8(body) else {
            return unknown();
        };
        match text.trim_start_matches('\u{feff}').trim_start().as_bytes().first() {
            Some(b'{' | b'[') => match serde_json::from_str::<Value>(text) {
                Ok(mut value) => {
                    self.json(&mut value);
                    value.to_string()
                }
                Err(_) => unknown(),
            },
            Some(b'<') => {
                crate::xml::replace_secrets(text, &|name| self.hides(name), MASK).unwrap_or_else(|_| unknown())
            }
            _ if starts(b"application/x-www-form-urlencoded") => self.form(text),
            _ => text.to_owned(),
        }
    }

    fn json(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if self.hides(name) {
                        *field = Value::from(MASK);
                    } else {
                        self.json(field);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mask = Mask::new(&["PIN".to_owned()]);
        for (content_type, body, expected) in [
            (
                "",
                r#"{"a":[{"userPassword":{"x":1},"pin":7}]}"#,
                r#"{"a":[{"userPassword":"******","pin":"******"}]}"#,
            ),
            (
                "",
                "{\"password\":",
                "(12 bytes that cannot be looked through for secrets)",
            ),
            (
                "",
                "<r><pin>1<x/></pin><a API-key='1' b='2'>t &amp; u</a></r>",
                "<r><pin>******</pin><a API-key=\"******\" b=\"2\">t &amp; u</a></r>",
            ),
            ("", "<r><pin>1", "(9 bytes that cannot be looked through for secrets)"),
            (
                "application/x-www-form-urlencoded; a=b",
                "a=1&my%5Ftoken=2&pin=",
                "a=1&my%5Ftoken=******&pin=******",
            ),
            ("text/plain", "a=1&pin=2", "a=1&pin=2"),
            (
                "Multipart/form-data",
                "x",
                "(1 bytes that cannot be looked through for secrets)",
            ),
        ] {
            assert_eq!(mask.body(content_type.as_bytes(), body.as_bytes()), expected, "{body}");
        }
    }
}
