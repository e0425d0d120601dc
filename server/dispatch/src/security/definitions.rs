//! Every security definition at one moment, ready to check requests.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;

use busbar_model::object::{FieldError, Record, Snapshot};
use busbar_model::{Cid, Error, Kind};
use busbar_runtime::inbound::Gate;
use busbar_runtime::{Configure, Fault, Switch};

use crate::security::{SecurityApiKey, SecurityBasicAuth};

/// Checks credentials against the definitions that are configured.
#[derive(Default, Clone)]
pub struct Definitions(Arc<ArcSwap<Table>>);

type Table = HashMap<String, Definition>;

struct Definition {
    /// Whether it lets anybody in: it is switched on and its secret is set.
    is_usable: bool,
    check: Check,
}

enum Check {
    Basic {
        username: String,
        password: String,
        challenge: String,
    },
    ApiKey {
        header: String,
        key: String,
    },
}

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Definitions {
    /// No definitions: whoever needs one is refused.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Configure for Definitions {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let mut table = Table::new();
        for (record, basic) in snapshot.of::<SecurityBasicAuth>() {
            let basic = basic.map_err(|error| unreadable(record, error))?;
            let definition = Definition {
                is_usable: record.is_active && !basic.password.is_empty(),
                check: Check::Basic {
                    challenge: format!(
                        "Basic realm=\"{}\"",
                        basic.realm.replace('\\', "\\\\").replace('"', "\\\"")
                    ),
                    username: basic.username,
                    password: basic.password,
                },
            };
            insert(&mut table, record, definition)?;
        }
        for (record, key) in snapshot.of::<SecurityApiKey>() {
            let key = key.map_err(|error| unreadable(record, error))?;
            let definition = Definition {
                is_usable: record.is_active && !key.password.is_empty(),
                check: Check::ApiKey {
                    header: key.header.to_ascii_lowercase(),
                    key: key.password,
                },
            };
            insert(&mut table, record, definition)?;
        }
        let current = Arc::clone(&self.0);
        Ok(Switch::new(move || current.store(Arc::new(table))))
    }
}

fn insert(table: &mut Table, record: &Record, definition: Definition) -> Result<(), Error> {
    if table.insert(record.name.clone(), definition).is_some() {
        return Err(Error::new(
            Kind::Conflict,
            format!("there are two security definitions named `{}`", record.name),
        )
        .with_hint("give one of them another name"));
    }
    Ok(())
}

fn unreadable(record: &Record, error: FieldError) -> Error {
    Error::new(Kind::Config, format!("cannot use {} `{}`", record.kind, record.name)).with_source(error)
}

impl Gate for Definitions {
    fn check<'h>(&self, security: &str, header: &dyn Fn(&str) -> Option<&'h [u8]>, cid: Cid) -> Result<(), Fault> {
        let table = self.0.load();
        let Some(definition) = table.get(security) else {
            // a definition that somebody removed must not open its channels
            tracing::debug!(%cid, security, "security definition `{security}` does not exist: its callers are refused");
            return Err(unauthorized(cid));
        };
        match &definition.check {
            Check::Basic {
                username,
                password,
                challenge,
            } => {
                let is_right = definition.is_usable
                    && header("authorization").is_some_and(|value| basic_is_right(value, username, password));
                if is_right {
                    Ok(())
                } else {
                    Err(unauthorized(cid).with_header("WWW-Authenticate", challenge))
                }
            }
            Check::ApiKey { header: name, key } => {
                let is_right =
                    definition.is_usable && header(name).is_some_and(|value| bool::from(value.ct_eq(key.as_bytes())));
                if is_right {
                    Ok(())
                } else {
                    Err(Fault::new(401, "401 Unauthorized"))
                }
            }
        }
    }
}

fn unauthorized(cid: Cid) -> Fault {
    Fault::new(401, format!("Unauthorized; cid={cid}"))
}

/// Compares in a time that depends on the lengths only. Whatever is not a well-formed header is wrong.
fn basic_is_right(value: &[u8], username: &str, password: &str) -> bool {
    let Some((scheme, encoded)) = value.split_at_checked(6) else {
        return false;
    };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let encoded = encoded.trim_ascii();
    // names and passwords fit the stack nearly always
    let mut stack = [0; 256];
    let heap;
    let decoded = match BASE64.decode_slice(encoded, &mut stack) {
        Ok(length) => &stack[..length],
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => match BASE64.decode(encoded) {
            Ok(decoded) => {
                heap = decoded;
                &heap[..]
            }
            Err(_) => return false,
        },
        Err(base64::DecodeSliceError::DecodeError(_)) => return false,
    };
    let Some(colon) = decoded.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let is_right = decoded[..colon].ct_eq(username.as_bytes()) & decoded[colon + 1..].ct_eq(password.as_bytes());
    is_right.into()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use busbar_model::object::Object;
    use serde_json::json;

    use super::*;

    fn record(kind: &str, name: &str, body: serde_json::Value) -> Record {
        let body = body.as_object().cloned().unwrap();
        Record {
            kind: kind.to_owned(),
            name: name.to_owned(),
            is_active: true,
            body,
            version: 1,
        }
    }

    fn snapshot() -> Snapshot {
        let basic = |name: &str, password: &str| {
            record(
                SecurityBasicAuth::KIND,
                name,
                json!({"username": "ann", "password": password, "realm": "The \"shop\""}),
            )
        };
        let mut off = basic("off", "s3:cret");
        off.is_active = false;
        Snapshot {
            revision: 1,
            records: vec![
                record(
                    SecurityApiKey::KIND,
                    "key",
                    json!({"header": "X-Key", "password": "k1"}),
                ),
                record(SecurityApiKey::KIND, "no key", json!({"header": "X-Key"})),
                basic("shop", "s3:cret"),
                basic("no password", ""),
                off,
            ],
        }
    }

    fn check(security: &str, headers: &[(&str, &str)]) -> Result<(), Fault> {
        let definitions = Definitions::new();
        definitions.prepare(&snapshot()).unwrap().commit();
        let header = |name: &str| {
            headers
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| value.as_bytes())
        };
        definitions.check(security, &header, Cid::new())
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    #[test]
    fn right_credentials_are_let_in() {
        assert_eq!(check("shop", &[("authorization", &basic("ann:s3:cret"))]), Ok(()));
        assert_eq!(
            check(
                "shop",
                &[("authorization", &basic("ann:s3:cret").replace("Basic", "bAsIc"))]
            ),
            Ok(())
        );
        assert_eq!(
            check("shop", &[("authorization", basic("ann:s3:cret").trim_end_matches('='))]),
            Ok(())
        );
        assert_eq!(check("key", &[("x-key", "k1")]), Ok(()));
    }

    #[test]
    fn wrong_or_malformed_credentials_are_refused() {
        let long = basic(&"x".repeat(1000));
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!",
            "Basic YW5u",
            "Bearer x",
            "basicYW5uOnMz",
            &basic("ann:"),
            &basic("ann:s3:cre"),
            &basic("bob:s3:cret"),
            &basic(":"),
            &basic("ann"),
            &long,
        ] {
            let fault = check("shop", &[("authorization", value)]).unwrap_err();
            assert_eq!(fault.status, 401, "{value}");
            assert!(
                fault
                    .details
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .starts_with("Unauthorized; cid="),
                "{value}"
            );
            let challenge = (
                "WWW-Authenticate".to_owned(),
                "Basic realm=\"The \\\"shop\\\"\"".to_owned(),
            );
            assert_eq!(fault.headers, [challenge], "{value}");
        }
        assert!(check("shop", &[]).is_err());
        for headers in [
            &[][..],
            &[("x-key", "")],
            &[("x-key", "k")],
            &[("x-key", "k11")],
            &[("x-api-key", "k1")],
        ] {
            assert_eq!(check("key", headers).unwrap_err(), Fault::new(401, "401 Unauthorized"));
        }
    }

    #[test]
    fn without_a_secret_nobody_is_let_in() {
        assert!(check("no password", &[("authorization", &basic("ann:"))]).is_err());
        assert!(check("no key", &[("x-key", "")]).is_err());
        assert!(check("off", &[("authorization", &basic("ann:s3:cret"))]).is_err());
        assert!(check("unknown", &[("authorization", &basic("ann:s3:cret"))]).is_err());
    }

    #[test]
    fn two_definitions_of_one_name_are_refused() {
        let mut snapshot = snapshot();
        snapshot
            .records
            .push(record(SecurityApiKey::KIND, "shop", json!({"password": "k"})));
        let error = Definitions::new().prepare(&snapshot).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
    }
}
