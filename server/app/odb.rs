//! The server's own database: where it is, the keys of its secrets, and what a new one holds from the start.

use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use busbar_dispatch::security::{RbacPermission, RbacRole, SecurityBasicAuth, hashed_password};
use busbar_model::object::{Change, ChangeSet, Object, Record};
use busbar_model::{Error, Kind};
use busbar_runtime::crypto::random_secret;
use busbar_runtime::inbound::builtin;
use busbar_store::{Location, Secrets, Store};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::config::Config;
use crate::directory::Directory;
use crate::registry;

/// Holds the keys of the database's secrets where there is no place for a file.
pub const KEY_VARIABLE: &str = "BUSBAR_ODB_KEY";

/// Where the database of a server is.
pub fn location(directory: &Directory, config: &Config) -> Result<Location, Error> {
    if config.odb.url.is_empty() {
        return Ok(Location::file(&directory.odb()));
    }
    let url = expand(&config.odb.url, |name| std::env::var(name).ok())?;
    Location::parse(&url, directory.path())
}

/// The keys, and which fields of objects are secret.
pub fn secrets(directory: &Directory) -> Secrets {
    let fields = registry::TYPES.iter().flat_map(|object_type| {
        let fields = object_type.secrets();
        fields.into_iter().map(|field| (object_type.kind.to_owned(), field))
    });
    match std::env::var(KEY_VARIABLE) {
        Ok(text) if !text.trim().is_empty() => Secrets::in_variable(KEY_VARIABLE, text, fields),
        _ => Secrets::in_file(&directory.odb_key(), fields),
    }
}

/// Opens the database of a server.
pub async fn open(directory: &Directory, config: &Config) -> Result<Arc<Store>, Error> {
    Store::open(&location(directory, config)?, secrets(directory)).await
}

/// Environment variables that are of the hub alone.
pub fn variables(config: &Config) -> Vec<String> {
    let named = references(&config.odb.url).map(|(_, name)| name.to_owned());
    named.chain([KEY_VARIABLE.to_owned()]).collect()
}

/// Every `${NAME}` in a text, with the name in it.
fn references(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("${").filter_map(|(start, _)| {
        let end = start + text[start..].find('}')?;
        Some((&text[start..=end], &text[start + 2..end]))
    })
}

/// Puts variables in. One that is the whole URL is a URL; within one it is a part of it, whatever its characters.
fn expand(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, Error> {
    let mut expanded = url.to_owned();
    for (reference, name) in references(url) {
        let value = variable(name).ok_or_else(|| {
            Error::new(
                Kind::Config,
                format!("`url` of `[odb]` names the environment variable `{name}`, which is not set"),
            )
            .with_hint("set it where the server is started")
        })?;
        if reference == url {
            return Ok(value);
        }
        expanded = expanded.replace(reference, &utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string());
    }
    Ok(expanded)
}

/// Runs what a command does with the database.
pub fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(work).map_err(|error| Exit::from(error).into())
}

/// A user that is there from the start.
struct Account {
    /// Name of the definition.
    name: &'static str,
    username: &'static str,
    realm: &'static str,
    /// Whether it gets a password; without one it lets nobody in until somebody sets one.
    has_password: bool,
}

/// The users of the doors that guard themselves (management.md 2).
const ACCOUNTS: [Account; 4] = [
    Account {
        name: builtin::PUBAPI,
        username: "pubapi",
        realm: "Zato public API",
        has_password: true,
    },
    Account {
        name: builtin::ADMIN_INVOKE,
        username: "admin.invoke",
        realm: "Zato admin invoke",
        has_password: true,
    },
    Account {
        name: builtin::IDE_PUBLISHER,
        username: "ide_publisher",
        realm: "Zato IDE",
        has_password: false,
    },
    Account {
        name: builtin::INTERNAL_INVOKE,
        username: "zato.internal.invoke.user",
        realm: "Zato internal invoke",
        has_password: false,
    },
];

/// A password that nobody had before.
pub fn random_password() -> String {
    URL_SAFE_NO_PAD.encode(random_secret(144))
}

/// Creates the database and what is in it from the start: users, and the role and the permissions that roles are made of
/// (management.md 6.5). Gives back users and their passwords; of users that other servers of that database have already, the password
/// is `None`.
pub fn create(directory: &Directory, config: &Config) -> anyhow::Result<Vec<(&'static str, Option<String>)>> {
    let seed = |kind: &str, name: &str, body: Value| Record {
        kind: kind.to_owned(),
        name: name.to_owned(),
        is_active: true,
        body: body.as_object().cloned().unwrap_or_default().into(),
        version: 0,
        id: 0,
    };
    let mut seeds = vec![seed(RbacRole::KIND, "Root", json!({"parent": null}))];
    seeds.extend(["Create", "Read", "Update", "Delete"].map(|name| seed(RbacPermission::KIND, name, json!({}))));
    let mut passwords = Vec::new();
    for account in &ACCOUNTS {
        let password = account.has_password.then(random_password);
        let stored = match &password {
            Some(password) => hashed_password(password).map_err(Exit::from)?,
            None => String::new(),
        };
        let Account {
            name, username, realm, ..
        } = account;
        let body = json!({"username": username, "password": stored, "realm": realm, "is_rate_limit_active": false, "rate_limit_def": ""});
        seeds.push(seed(SecurityBasicAuth::KIND, name, body));
        if password.is_some() {
            passwords.push((*name, password));
        }
    }
    block_on(async {
        let store = open(directory, config).await?;
        let snapshot = store.snapshot().await?;
        let is_there = |it: &Record| snapshot.get(&it.kind, &it.name).is_some();
        for (name, password) in &mut passwords {
            if is_there(&seed(SecurityBasicAuth::KIND, name, Value::Null)) {
                *password = None;
            }
        }
        seeds.retain(|it| !is_there(it));
        let changes = seeds.into_iter().map(Change::Put).collect();
        store
            .apply_at(snapshot.revision, &ChangeSet { changes }, "quickstart")
            .await?;
        store.close().await;
        Ok(passwords)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str) -> Result<String, Error> {
        expand(url, |name| match name {
            "PASSWORD" => Some("p@ss/w:rd%${x}".to_owned()),
            "URL" => Some("mysql://a:b@c/d".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_put_into_urls() {
        let whole = with("postgresql://bus:${PASSWORD}@db/odb").unwrap();
        assert_eq!(whole, "postgresql://bus:p%40ss%2Fw%3Ard%25%24%7Bx%7D@db/odb");
        assert_eq!(with("${URL}").unwrap(), "mysql://a:b@c/d");
        assert_eq!(with("mysql://a@c/$d{").unwrap(), "mysql://a@c/$d{");
        let error = with("mysql://${NOBODY}@c/d").unwrap_err();
        assert!(error.message().contains("`NOBODY`"), "{error}");
    }

    #[test]
    fn the_settings_of_the_page_are_read() {
        let page = include_str!("../../docs/odb.md");
        let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let config: Config = toml::from_str(block.unwrap()).unwrap();
        let url = expand(&config.odb.url, |_| Some("s3cret".to_owned())).unwrap();
        let location = Location::parse(&url, std::path::Path::new("/")).unwrap();
        assert_eq!(location.to_string(), "postgresql://busbar@db.example.com:5432/busbar");
    }

    #[test]
    fn the_hub_keeps_its_variables_to_itself() {
        let mut config = Config::default();
        config.odb.url = "mysql://${USER_NAME}:${PASSWORD}@db/odb".to_owned();
        assert_eq!(variables(&config), ["USER_NAME", "PASSWORD", KEY_VARIABLE]);
    }
}
