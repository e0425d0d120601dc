//! What happens to the secrets of all that is stored, the history included.

use busbar_model::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{info, warn};

use super::keys::Key;
use super::{Place, damaged, open, parts, seal};
use crate::db::{Arg, Transaction};
use crate::objects::parse_body;
use crate::open::Store;

/// The setting that names the key which secrets are encrypted with.
const SECRET_KEY: &str = "secret_key";
/// The setting that lists the fields which were encrypted.
const SECRET_FIELDS: &str = "secret_fields";

/// How many versions are read at a time.
const PAGE: i64 = 500;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// Id of the key that secrets are encrypted with now.
    pub key: String,
    /// Id of the one before.
    pub old_key: String,
    /// How many secrets were encrypted anew, those of the history included.
    pub secrets: usize,
    /// Why the old key could not be removed, if so: it is not needed any more.
    pub warning: Option<String>,
}

impl Store {
    /// Finds the key, and encrypts what should be and is not: all of it when busbar begins to encrypt, later the fields that have become
    /// secret.
    pub(crate) async fn prepare_secrets(&self) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        let key = match self.setting(&mut transaction, SECRET_KEY).await? {
            // read even if it is known: whoever can read the file should not find out later
            Some(id) => {
                self.secrets.read_keys()?;
                self.secrets.key(&id)?
            }
            None => {
                let key = self.first_key()?;
                self.put_setting(&mut transaction, SECRET_KEY, key.id()).await?;
                key
            }
        };
        let listed = self.secrets.listed();
        if self.setting(&mut transaction, SECRET_FIELDS).await?.as_ref() == Some(&listed) {
            return self.commit(transaction).await;
        }
        let encrypted = self
            .rewrite(&mut transaction, &mut |place, value| {
                let is_clear = self.secrets.is_secret(place) && !value.is_null() && parts(value).is_none();
                Ok(is_clear.then(|| seal(&key, place, value)))
            })
            .await?;
        self.commit(transaction).await?;
        if encrypted > 0 {
            self.scrub().await?;
            info!(
                count = encrypted,
                key = key.id(),
                "{encrypted} secret(s) in the ODB were encrypted"
            );
        }
        // last: a start that was cut off before looks again
        let mut transaction = self.write().await?;
        self.put_setting(&mut transaction, SECRET_FIELDS, &listed).await?;
        self.commit(transaction).await
    }

    /// The key of an ODB that has none yet.
    fn first_key(&self) -> Result<Key, Error> {
        if let Some(key) = self.secrets.read_keys()?.into_iter().next() {
            return Ok(key);
        }
        self.secrets.source.write(&[Key::generate()])?;
        let keys = self.secrets.read_keys()?;
        Ok(keys.into_iter().next().expect("a key was just written"))
    }

    /// The key to encrypt with in this transaction.
    pub(crate) async fn current_key(&self, transaction: &mut Transaction) -> Result<Key, Error> {
        let id = self.setting(transaction, SECRET_KEY).await?.unwrap_or_default();
        self.secrets.key(&id)
    }

    /// Encrypts every secret anew, those of the history included, with the first key of the environment variable, or with a new one that is
    /// written into the file. The old key stays in the file until everything is done, so that nothing is lost whenever this is cut off.
    ///
    /// # Errors
    ///
    /// When the ODB or the file cannot be written; `BadRequest` if the keys come from the environment and there is no other one to go over
    /// to. Then everything is as it was.
    pub async fn rotate_secrets(&self) -> Result<Rotated, Error> {
        let mut transaction = self.write().await?;
        let old_id = self.setting(&mut transaction, SECRET_KEY).await?.unwrap_or_default();
        let mut keys = self.secrets.read_keys()?;
        // a first key that is not in use was put there for this, maybe by a rotation that was cut off
        if keys.first().is_none_or(|key| key.id() == old_id) {
            self.secrets.source.can_make_keys()?;
            keys.insert(0, Key::generate());
            self.secrets.source.write(&keys)?;
            keys = self.secrets.read_keys()?;
        }
        let new = keys[0].clone();
        let secrets = self
            .rewrite(&mut transaction, &mut |place, value| {
                let Some((id, data)) = parts(value) else {
                    return Ok(None);
                };
                let opened = self.secrets.key(id).and_then(|key| {
                    let plain = open(&key, place, &data);
                    plain.ok_or_else(|| damaged(place, id))
                });
                match opened {
                    Ok(plain) => Ok(Some(seal(&new, place, &plain))),
                    Err(error) if self.secrets.is_secret(place) => Err(error),
                    // some text that looks like one
                    Err(_) => Ok(None),
                }
            })
            .await?;
        self.put_setting(&mut transaction, SECRET_KEY, new.id()).await?;
        self.commit(transaction).await?;
        info!(
            count = secrets,
            key = new.id(),
            old_key = old_id,
            "secrets were encrypted with a new key"
        );
        let warning = self.forget_other_keys(&new).await.err().map(|error| error.chain());
        if let Some(error) = &warning {
            warn!(error, "the old key is not needed any more and could not be removed");
        }
        Ok(Rotated {
            key: new.id().to_owned(),
            old_key: old_id,
            secrets,
            warning,
        })
    }

    async fn forget_other_keys(&self, key: &Key) -> Result<(), Error> {
        self.scrub().await?;
        if self.secrets.file().is_some() {
            self.secrets.source.write(std::slice::from_ref(key))?;
            self.secrets.read_keys()?;
        }
        Ok(())
    }

    /// Makes every secret what it is: for a schema that knows nothing of encryption.
    pub(crate) async fn decrypt_all(&self) -> Result<usize, Error> {
        let mut transaction = self.write().await?;
        self.secrets.read_keys()?;
        let count = self
            .rewrite(&mut transaction, &mut |place, value| {
                let Some((id, data)) = parts(value) else {
                    return Ok(None);
                };
                let opened = self.secrets.key(id).map(|key| open(&key, place, &data));
                match opened {
                    Ok(Some(plain)) => Ok(Some(plain)),
                    Ok(None) if self.secrets.is_secret(place) => Err(damaged(place, id)),
                    Err(error) if self.secrets.is_secret(place) => Err(error),
                    Ok(None) | Err(_) => Ok(None),
                }
            })
            .await?;
        // should it end here, the next start encrypts everything again
        self.forget_setting(&mut transaction, SECRET_FIELDS).await?;
        self.commit(transaction).await?;
        Ok(count)
    }

    /// Id of the key that secrets are encrypted with, if any is.
    pub(crate) async fn secret_key_id(&self) -> Result<Option<String>, Error> {
        let rows = self
            .db
            .fetch_all("SELECT value FROM setting WHERE name = ?", &[SECRET_KEY.into()])
            .await;
        let rows = rows.map_err(|error| self.error(error))?;
        rows.first()
            .map(|row| row.get("value").map_err(|error| self.error(error)))
            .transpose()
    }

    /// Gives every field of every object, as it is and as it was, to `change`, which may give back another value for it. How many it did.
    async fn rewrite(&self, transaction: &mut Transaction, change: &mut Change<'_>) -> Result<usize, Error> {
        let mut count = 0;
        let rows = transaction.fetch_all("SELECT kind, name, body FROM object", &[]).await;
        for row in rows.map_err(|error| self.error(error))? {
            let get = |column| row.get::<String>(column).map_err(|error| self.error(error));
            let (kind, name) = (get("kind")?, get("name")?);
            let (body, changed) = changed(&kind, &name, &get("body")?, change)?;
            if changed > 0 {
                count += changed;
                let args = [Arg::from(&body), Arg::from(&kind), Arg::from(&name)];
                self.execute(
                    transaction,
                    "UPDATE object SET body = ? WHERE kind = ? AND name = ?",
                    &args,
                )
                .await?;
            }
        }
        let mut last = 0;
        loop {
            let sql =
                "SELECT id, kind, name, body FROM object_version WHERE id > ? AND body IS NOT NULL ORDER BY id LIMIT ?";
            let rows = transaction.fetch_all(sql, &[Arg::from(last), PAGE.into()]).await;
            let rows = rows.map_err(|error| self.error(error))?;
            for row in &rows {
                let get = |column| row.get::<String>(column).map_err(|error| self.error(error));
                last = row.get::<i64>("id").map_err(|error| self.error(error))?;
                let (body, changed) = changed(&get("kind")?, &get("name")?, &get("body")?, change)?;
                if changed > 0 {
                    count += changed;
                    let args = [Arg::from(&body), Arg::from(last)];
                    self.execute(transaction, "UPDATE object_version SET body = ? WHERE id = ?", &args)
                        .await?;
                }
            }
            if (rows.len() as i64) < PAGE {
                return Ok(count);
            }
        }
    }

    async fn setting(&self, transaction: &mut Transaction, name: &str) -> Result<Option<String>, Error> {
        let row = transaction
            .fetch_first("SELECT value FROM setting WHERE name = ?", &[name.into()])
            .await;
        let row = row.map_err(|error| self.error(error))?;
        row.map(|row| row.get("value").map_err(|error| self.error(error)))
            .transpose()
    }

    async fn put_setting(&self, transaction: &mut Transaction, name: &str, value: &str) -> Result<(), Error> {
        self.forget_setting(transaction, name).await?;
        let sql = "INSERT INTO setting (name, value) VALUES (?, ?)";
        self.execute(transaction, sql, &[name.into(), value.into()]).await
    }

    async fn forget_setting(&self, transaction: &mut Transaction, name: &str) -> Result<(), Error> {
        self.execute(transaction, "DELETE FROM setting WHERE name = ?", &[name.into()])
            .await
    }
}

/// Gives another value for a field, or none.
type Change<'a> = dyn FnMut(Place<'_>, &Value) -> Result<Option<Value>, Error> + Send + 'a;

/// The text of a body after `change`, and how many fields are different.
fn changed(kind: &str, name: &str, text: &str, change: &mut Change<'_>) -> Result<(String, usize), Error> {
    let mut body: Map<String, Value> = parse_body(kind, name, text)?;
    let mut count = 0;
    for (field, value) in &mut body {
        if let Some(new) = change(Place { kind, name, field }, value)? {
            *value = new;
            count += 1;
        }
    }
    let text = serde_json::to_string(&body).expect("a JSON object serialises");
    Ok((text, count))
}
