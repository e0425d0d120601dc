//! What a new server's database holds from the start.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use busbar_dispatch::security::SecurityBasicAuth;
use busbar_model::object::{Change, ChangeSet, Object, Record};
use busbar_store::Store;
use serde_json::json;

use crate::cli::Exit;
use crate::directory::Directory;

/// Name and user name of the definition that guards `/zato/api/invoke/` (http.md 9).
pub const PUBAPI: &str = "pubapi";

/// Creates the database and the user that may invoke services; gives back the password.
pub fn create(directory: &Directory) -> anyhow::Result<String> {
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("cannot get random bytes for a password: {error}"))?;
    let password = URL_SAFE_NO_PAD.encode(random);
    let body = json!({"username": PUBAPI, "password": password, "realm": "busbar"});
    let record = Record {
        kind: SecurityBasicAuth::KIND.to_owned(),
        name: PUBAPI.to_owned(),
        is_active: true,
        body: body.as_object().cloned().unwrap_or_default(),
        version: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime
        .block_on(async {
            let store = Store::open(&directory.odb()).await?;
            store
                .apply(
                    &ChangeSet {
                        changes: vec![Change::Put(record)],
                    },
                    "quickstart",
                )
                .await?;
            store.close().await;
            Ok(password)
        })
        .map_err(|error: busbar_model::Error| Exit::from(error).into())
}
