//! The numbers of objects and deployed services.

use std::collections::HashMap;

use busbar_model::Error;
use busbar_model::object::Object;
use busbar_model::service::ServiceSettings;

use crate::db::Transaction;
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
