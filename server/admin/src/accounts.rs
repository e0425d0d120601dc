//! Passwords of security definitions: how one is changed, and what is kept of those that log in to manage the server.

use std::fmt;

use busbar_dispatch::security::{SecurityBasicAuth, hashed_password, is_hash};
use busbar_model::object::{Change, ChangeSet, Object, Record, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::crypto::verify_hash;
use busbar_runtime::inbound::builtin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Definitions whose users log in to manage the server, and nothing else sends them anywhere: hashes of their passwords are enough.
pub(crate) const ACCOUNTS: [&str; 4] = [
    builtin::PUBAPI,
    builtin::ADMIN_INVOKE,
    builtin::IDE_PUBLISHER,
    builtin::INTERNAL_INVOKE,
];

/// The field that holds the password.
const PASSWORD: &str = "password";

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Leaves of an account's password its hash, before it is stored. `old` is the account as it was: the same password keeps its hash, so
/// that whoever sets it again changes nothing.
///
/// # Errors
///
/// The password cannot be hashed.
pub fn keep_hash(record: &mut Record, old: Option<&Record>) -> Result<(), Error> {
    if record.kind != SecurityBasicAuth::KIND || !ACCOUNTS.contains(&&*record.name) {
        return Ok(());
    }
    let password = text(record);
    // none is set, or it comes from an export
    if password.is_empty() || is_hash(password) {
        return Ok(());
    }
    let kept = old.map(text).filter(|kept| is_hash(kept));
    let stored = match kept {
        Some(kept) if verify_hash(password.as_bytes(), kept)? => kept.to_owned(),
        _ => hashed_password(password)?,
    };
    record.body.insert(PASSWORD.to_owned(), Value::String(stored));
    Ok(())
}

/// Whether only a hash of a definition's password is kept.
pub fn has_hash(record: &Record) -> bool {
    let has_one = |password: &Value| password.as_str().is_some_and(is_hash);
    record.kind == SecurityBasicAuth::KIND && record.body.fields().get(PASSWORD).is_some_and(has_one)
}

/// The change that gives a security definition another password.
///
/// # Errors
///
/// [`Kind::NotFound`]: there is no such definition. [`Kind::BadRequest`]: its type has no password, or the new one is empty.
pub fn set_password(current: &Snapshot, name: &str, password: &Secret) -> Result<ChangeSet, Error> {
    let Some(old) = current.security(name) else {
        let message = format!("there is no security definition `{name}`");
        return Err(Error::new(Kind::NotFound, message).with_hint("names are those of `busbar enmasse --export`"));
    };
    if !old.body.contains_key(PASSWORD) {
        let message = format!("{} `{name}` has no password", old.kind);
        return Err(Error::new(Kind::BadRequest, message));
    }
    if password.0.is_empty() {
        return Err(Error::new(Kind::BadRequest, "a password must not be empty"));
    }
    let mut record = old.clone();
    record
        .body
        .insert(PASSWORD.to_owned(), Value::String(password.0.clone()));
    keep_hash(&mut record, Some(old))?;
    Ok(ChangeSet {
        changes: vec![Change::Put(record)],
    })
}

fn text(record: &Record) -> &str {
    record.body.get(PASSWORD).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn basic(name: &str, password: &str) -> Record {
        let body = json!({"username": name, "password": password, "realm": "R"});
        Record {
            kind: SecurityBasicAuth::KIND.to_owned(),
            name: name.to_owned(),
            is_active: true,
            body: body.as_object().cloned().unwrap().into(),
            version: 1,
            id: 1,
        }
    }

    #[test]
    fn of_accounts_the_hash_is_kept() {
        let mut first = basic("admin.invoke", "s3cret");
        keep_hash(&mut first, None).unwrap();
        assert!(is_hash(text(&first)) && verify_hash(b"s3cret", text(&first)).unwrap());
        let mut again = basic("admin.invoke", "s3cret");
        keep_hash(&mut again, Some(&first)).unwrap();
        assert_eq!(again, first);
        let mut other = basic("admin.invoke", "n3w");
        keep_hash(&mut other, Some(&first)).unwrap();
        assert!(verify_hash(b"n3w", text(&other)).unwrap());
        for untouched in [first.clone(), basic("ide_publisher", ""), basic("shop", "s3cret")] {
            let mut record = untouched.clone();
            keep_hash(&mut record, None).unwrap();
            assert_eq!(record, untouched);
        }
    }

    #[test]
    fn any_definition_is_given_another_password() {
        let mut no_password = basic("tls", "");
        no_password.body.remove(PASSWORD);
        let snapshot = Snapshot::new(3, vec![basic("pubapi", "old"), basic("shop", "old"), no_password]);
        let set = |name: &str, password: &str| set_password(&snapshot, name, &Secret(password.to_owned()));
        let changes = set("shop", "n3w").unwrap().changes;
        assert_eq!(changes, [Change::Put(basic("shop", "n3w"))]);
        let Change::Put(pubapi) = &set("pubapi", "n3w").unwrap().changes[0] else {
            panic!("nothing is deleted")
        };
        assert!(verify_hash(b"n3w", text(pubapi)).unwrap());
        assert_eq!(set("nobody", "n3w").unwrap_err().kind(), Kind::NotFound);
        assert_eq!(set("tls", "n3w").unwrap_err().kind(), Kind::BadRequest);
        assert_eq!(set("shop", "").unwrap_err().kind(), Kind::BadRequest);
        assert!(!format!("{:?}", Secret("s3cret".to_owned())).contains("s3cret"));
    }
}
