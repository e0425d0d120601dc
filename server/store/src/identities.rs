//! The numbers of objects and deployed services.

use std::collections::HashMap;

use busbar_model::Error;
use busbar_model::object::Object;
use busbar_model::service::ServiceSettings;

use crate::db::{Arg, Db, Transaction};
use crate::open::Store;

impl Store {
    /// The numbers of things of one kind, in the order of their names. Those that have none get one, all or none of them: services that are
    /// deployed have the kind of what is set for them, and so its number.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read, or written if there is a new one.
    pub async fn identify(&self, kind: &str, names: &[String]) -> Result<Vec<u64>, Error> {
        let rows = self
            .db
            .fetch_all("SELECT id, name FROM identity WHERE kind = ?", &[kind.into()])
            .await;
        let mut known = HashMap::new();
        for row in rows.map_err(|error| self.error(error))? {
            let name: String = row.get("name").map_err(|error| self.error(error))?;
            known.insert(name, row.count("id").map_err(|error| self.error(error))?);
        }
        if names.iter().any(|name| !known.contains_key(name)) {
            let mut transaction = self.write().await?;
            for name in names {
                if !known.contains_key(name) {
                    let id = self.identify_one(&mut transaction, kind, name).await?;
                    known.insert(name.clone(), id);
                }
            }
            self.commit(transaction).await?;
        }
        Ok(names.iter().map(|name| known[name]).collect())
    }

    /// The number of one of them, a new one if it has none.
    pub(crate) async fn identify_one(
        &self,
        transaction: &mut Transaction,
        kind: &str,
        name: &str,
    ) -> Result<u64, Error> {
        let sql = "SELECT id FROM identity WHERE kind = ? AND name = ?";
        let args = [kind.into(), name.into()];
        let find = transaction.fetch_first(sql, &args).await;
        if let Some(row) = find.map_err(|error| self.error(error))? {
            return row.count("id").map_err(|error| self.error(error));
        }
        self.execute(transaction, "INSERT INTO identity (kind, name) VALUES (?, ?)", &args)
            .await?;
        let made = transaction.fetch_first(sql, &args).await;
        let row = made.and_then(|row| row.ok_or(sqlx::Error::RowNotFound));
        row.and_then(|row| row.count("id")).map_err(|error| self.error(error))
    }

    /// Gives an object that was deleted and comes back the number `id` that it had. `None`: there was never such an object of this kind, or
    /// the number belongs to one that is there, which is called otherwise now. Else the version that the object had last.
    pub(crate) async fn identify_again(
        &self,
        transaction: &mut Transaction,
        kind: &str,
        name: &str,
        id: u64,
    ) -> Result<Option<u64>, Error> {
        if id == 0 || kind == ServiceSettings::KIND {
            return Ok(None);
        }
        let sql = "SELECT MAX(version) AS version FROM object_version WHERE object_id = ? AND kind = ? \
                   AND NOT EXISTS (SELECT 1 FROM identity WHERE identity.id = ?) HAVING COUNT(*) > 0";
        let args = [Arg::from(id), kind.into(), Arg::from(id)];
        let last = transaction.fetch_first(sql, &args).await;
        let Some(row) = last.map_err(|error| self.error(error))? else {
            return Ok(None);
        };
        let version = row.count("version").map_err(|error| self.error(error))?;
        self.put_identity(transaction, kind, name, id).await?;
        Ok(Some(version))
    }

    /// Gives an object a number that was another's, or its own, before.
    pub(crate) async fn put_identity(
        &self,
        transaction: &mut Transaction,
        kind: &str,
        name: &str,
        id: u64,
    ) -> Result<(), Error> {
        let sql = match &self.db {
            Db::Postgres(_) => "INSERT INTO identity (id, kind, name) OVERRIDING SYSTEM VALUE VALUES (?, ?, ?)",
            Db::Sqlite(_) | Db::MySql(_) => "INSERT INTO identity (id, kind, name) VALUES (?, ?, ?)",
        };
        self.execute(transaction, sql, &[Arg::from(id), kind.into(), name.into()])
            .await
    }

    /// Takes the number from an object that goes. A service keeps its own: it goes with its file and comes back with it.
    pub(crate) async fn forget_identity(
        &self,
        transaction: &mut Transaction,
        kind: &str,
        name: &str,
    ) -> Result<(), Error> {
        if kind == ServiceSettings::KIND {
            return Ok(());
        }
        let sql = "DELETE FROM identity WHERE kind = ? AND name = ?";
        self.execute(transaction, sql, &[kind.into(), name.into()]).await
    }
}
