//! Secrets of objects: encrypted before they reach the database, with ChaCha20-Poly1305.
//!
//! Which fields are secret the object types say. Each value is encrypted by itself, with a random nonce, and bound to where it stands: moved
//! to another object or field it cannot be read. What is stored is `$chacha20-poly1305$<key id>$<base64 of nonce and ciphertext>`.
//!
//! * [`Secrets`] - the fields and the keys
//! * `keys` - where keys come from
//! * `stored` - what happens to all that is stored: encrypted when it is not yet, encrypted anew when the key changes

mod keys;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use busbar_model::{Error, Kind};
use ring::aead::{Aad, NONCE_LEN, Nonce};
use ring::rand::{SecureRandom, SystemRandom};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub(crate) use self::keys::Key;
pub use self::keys::new_key;
use self::keys::{BASE64, Source};
pub use self::stored::Rotated;
use base64::Engine;

/// What an encrypted value begins with.
const MARK: &str = "$chacha20-poly1305$";

/// Which fields are secret, and the keys that they are encrypted with.
#[derive(Debug)]
pub struct Secrets {
    /// Names of secret fields, by kind.
    fields: BTreeMap<String, BTreeSet<String>>,
    source: Source,
    keys: RwLock<Vec<Key>>,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    kind: &'a str,
    name: &'a str,
    field: &'a str,
}

impl Secrets {
    /// Keys in a file that only its owner can read, made when there is none and nothing is encrypted yet. `fields` are kinds with the names
    /// of their secret fields.
    pub fn in_file(path: &Path, fields: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::new(Source::File(path.to_owned()), fields)
    }

    /// Keys in the environment variable `name`, which says `text`.
    pub fn in_variable(name: &'static str, text: String, fields: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::new(Source::Variable { name, text }, fields)
    }

    /// Nothing is secret: for what is forgotten with the process.
    pub fn none() -> Self {
        Self::new(Source::Process(Key::generate()), [])
    }

    fn new(source: Source, fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut by_kind: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (kind, field) in fields {
            by_kind.entry(kind).or_default().insert(field);
        }
        Self {
            fields: by_kind,
            source,
            keys: RwLock::default(),
        }
    }

    /// The file that holds the keys, if one does.
    fn file(&self) -> Option<&PathBuf> {
        match &self.source {
            Source::File(path) => Some(path),
            _ => None,
        }
    }

    /// The fields as text, to tell whether they are others than they were.
    fn listed(&self) -> String {
        let lines = self
            .fields
            .iter()
            .flat_map(|(kind, fields)| fields.iter().map(move |field| format!("{kind}.{field}")));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn is_secret(&self, place: Place<'_>) -> bool {
        self.fields
            .get(place.kind)
            .is_some_and(|fields| fields.contains(place.field))
    }

    /// Fails if there is no key of this id.
    pub(crate) fn check_key(&self, id: &str) -> Result<(), Error> {
        self.key(id).map(drop)
    }

    /// The key of this id. One that is not known may have been put into the file meanwhile.
    fn key(&self, id: &str) -> Result<Key, Error> {
        let find = |keys: &[Key]| keys.iter().find(|key| key.id() == id).cloned();
        let known = find(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        match known {
            Some(key) => Ok(key),
            None => find(&self.read_keys()?).ok_or_else(|| self.source.lacks(id)),
        }
    }

    /// Reads the keys again, the one to encrypt with first.
    fn read_keys(&self) -> Result<Vec<Key>, Error> {
        let keys = self.source.read()?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        Ok(keys)
    }

    /// `body` as it is stored.
    pub(crate) fn seal(&self, key: &Key, kind: &str, name: &str, body: &Map<String, Value>) -> Map<String, Value> {
        let mut sealed = body.clone();
        for (field, value) in &mut sealed {
            let place = Place { kind, name, field };
            if self.is_secret(place) && !value.is_null() {
                *value = seal(key, place, value);
            }
        }
        sealed
    }

    /// Makes a body's text what it was before it was stored.
    ///
    /// # Errors
    ///
    /// A secret cannot be decrypted. What is not JSON is left as it is.
    pub(crate) fn open(&self, kind: &str, name: &str, text: String) -> Result<String, Error> {
        let Some(fields) = self.fields.get(kind).filter(|_| text.contains(MARK)) else {
            return Ok(text);
        };
        let Ok(Members(members)) = serde_json::from_str(&text) else {
            return Ok(text);
        };
        let mut opened = String::with_capacity(text.len());
        let mut end = 0;
        for (field, value) in members.iter().filter(|(field, _)| fields.contains(field)) {
            let place = Place { kind, name, field };
            let sealed: Value = serde_json::from_str(value.get()).unwrap_or_default();
            if let Some((id, data)) = parts(&sealed) {
                let plain = open(&self.key(id)?, place, &data).ok_or_else(|| damaged(place, id))?;
                let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
                opened.push_str(&text[end..start]);
                opened.push_str(&plain.to_string());
                end = start + value.get().len();
            }
        }
        opened.push_str(&text[end..]);
        Ok(opened)
    }
}

/// The members of a JSON object, their values as they are written there.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some(member) = members.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}

/// Encrypts a value, whatever its type.
fn seal(key: &Key, place: Place<'_>, value: &Value) -> Value {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new()
        .fill(&mut nonce)
        .expect("the operating system has a source of randomness");
    let mut data = serde_json::to_vec(value).expect("a JSON value serialises");
    key.cipher()
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place.bound(), &mut data)
        .expect("no secret has the 256 GB that are too much");
    let text = BASE64.encode([&nonce[..], &data].concat());
    Value::String(format!("{MARK}{}${text}", key.id()))
}

/// Key id and bytes of an encrypted value; `None`: it is not one.
fn parts(value: &Value) -> Option<(&str, Vec<u8>)> {
    let (id, text) = value.as_str()?.strip_prefix(MARK)?.split_once('$')?;
    let data = BASE64.decode(text).ok()?;
    (data.len() > NONCE_LEN).then_some((id, data))
}

/// Decrypts a value; `None`: it is of another place, or was changed.
fn open(key: &Key, place: Place<'_>, data: &[u8]) -> Option<Value> {
    let (nonce, sealed) = data.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let plain = key.cipher().open_in_place(nonce, place.bound(), &mut sealed).ok()?;
    serde_json::from_slice(plain).ok()
}

fn damaged(place: Place<'_>, id: &str) -> Error {
    let Place { kind, name, field } = place;
    Error::new(
        Kind::Config,
        format!("the secret `{field}` of {kind} `{name}` cannot be decrypted with key {id}"),
    )
    .with_hint("it was changed in the ODB by something else than busbar; put a backup in its place")
}

impl Place<'_> {
    /// What an encrypted value is bound to. No kind, name or field has a NUL in it.
    fn bound(&self) -> Aad<Vec<u8>> {
        Aad::from([self.kind, self.name, self.field].join("\0").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets() -> Secrets {
        let fields = [("security.basic_auth", "password"), ("outgoing.zmq", "secret_key")];
        Secrets::new(
            Source::Process(Key::generate()),
            fields.map(|(kind, field)| (kind.to_owned(), field.to_owned())),
        )
    }

    fn key(secrets: &Secrets) -> Key {
        secrets.read_keys().unwrap()[0].clone()
    }

    fn body(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn opened(
        secrets: &Secrets,
        kind: &str,
        name: &str,
        body: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        let text = serde_json::to_string(body).unwrap();
        let opened = secrets.open(kind, name, text)?;
        Ok(serde_json::from_str(&opened).unwrap())
    }

    #[test]
    fn secrets_of_any_type_come_back_and_the_rest_stays_as_it_is() {
        let secrets = secrets();
        let key = key(&secrets);
        for value in [
            json!("hunter2"),
            json!(""),
            json!("żółw"),
            json!(12),
            json!(["a"]),
            json!(MARK),
        ] {
            let plain = body(json!({"username": "ann", "password": value, "other": null}));
            let sealed = secrets.seal(&key, "security.basic_auth", "shop", &plain);
            let text = sealed["password"].as_str().unwrap();
            assert!(text.starts_with(&format!("{MARK}{}$", key.id())), "{text}");
            assert!(!text.contains("hunter2"));
            assert_eq!(sealed["username"], "ann");
            assert_eq!(opened(&secrets, "security.basic_auth", "shop", &sealed).unwrap(), plain);
        }
        let unset = body(json!({"password": null}));
        assert_eq!(secrets.seal(&key, "security.basic_auth", "shop", &unset), unset);
        let other = body(json!({"password": "text"}));
        assert_eq!(secrets.seal(&key, "channel.http", "shop", &other), other);
    }

    #[test]
    fn what_only_looks_like_a_secret_or_is_no_object_stays_as_it_is() {
        let secrets = secrets();
        secrets.read_keys().unwrap();
        for text in [
            r#"{"password": "$chacha20-poly1305$", "realm": {"password": "$chacha20-poly1305$x$AAAAAAAAAAAAAAAAAAAA"}}"#,
            r#"["$chacha20-poly1305$x$AAAAAAAAAAAAAAAAAAAA"]"#,
            "$chacha20-poly1305$",
        ] {
            let opened = secrets.open("security.basic_auth", "shop", text.to_owned());
            assert_eq!(opened.unwrap(), text);
        }
    }

    #[test]
    fn the_same_secret_is_never_stored_the_same() {
        let secrets = secrets();
        let key = key(&secrets);
        let plain = body(json!({"password": "hunter2"}));
        let sealed = || secrets.seal(&key, "security.basic_auth", "shop", &plain);
        assert_ne!(sealed(), sealed());
    }

    #[test]
    fn a_secret_is_bound_to_its_place_and_to_its_bytes() {
        let secrets = secrets();
        let key = key(&secrets);
        let plain = body(json!({"password": "hunter2"}));
        let sealed = secrets.seal(&key, "security.basic_auth", "shop", &plain);
        let error = opened(&secrets, "security.basic_auth", "shop2", &sealed).unwrap_err();
        assert!(error.message().contains("`password`"), "{error}");
        let moved = body(json!({"secret_key": sealed["password"]}));
        assert!(opened(&secrets, "outgoing.zmq", "shop", &moved).is_err());
        let text = sealed["password"].as_str().unwrap();
        let start = text.rfind('$').unwrap() + 1;
        for position in start..text.len() - 1 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = body(json!({"password": String::from_utf8(bytes).unwrap()}));
            let result = opened(&secrets, "security.basic_auth", "shop", &changed);
            assert!(result.is_err(), "{position}");
        }
    }

    #[test]
    fn a_secret_of_another_key_names_that_key() {
        let (one, other) = (secrets(), secrets());
        let plain = body(json!({"password": "hunter2"}));
        let key = key(&one);
        let sealed = one.seal(&key, "security.basic_auth", "shop", &plain);
        let error = opened(&other, "security.basic_auth", "shop", &sealed).unwrap_err();
        assert!(error.message().contains(key.id()), "{error}");
        assert!(!format!("{other:?}{key:?}").contains("secret: ["));
    }
}
