//! The three databases behind one door: SQL that all of them understand, with `?` for arguments.
//!
//! What is common to them is enough for everything but the schema: numbers are `BIGINT`, text is text, sources are bytes; rows are read
//! before they are inserted or updated, because each has its own word for doing both at once.

use std::time::Duration;

use futures_util::{Stream, TryStreamExt};
use sqlx::mysql::{MySql, MySqlPool, MySqlRow};
use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Row as _, Type};

/// How long the database may take with one statement. Beyond, it counts as lost.
const STATEMENT_LIMIT: Duration = Duration::from_secs(60);

/// Connections to one of them.
#[derive(Debug)]
pub enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// A transaction; dropped without [`Transaction::commit`] it leaves nothing.
pub enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
    MySql(sqlx::Transaction<'static, MySql>),
}

/// A row that was read.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    MySql(MySqlRow),
}

/// An argument of a statement.
#[derive(Debug, Clone, Copy)]
pub enum Arg<'a> {
    Number(i64),
    NumberOrNull(Option<i64>),
    Text(&'a str),
    TextOrNull(Option<&'a str>),
    Bytes(&'a [u8]),
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<u64> for Arg<'_> {
    fn from(value: u64) -> Self {
        Self::Number(value as i64)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

/// What a column can hold, in all three.
pub trait Cell:
    for<'r> Decode<'r, Sqlite>
    + Type<Sqlite>
    + for<'r> Decode<'r, Postgres>
    + Type<Postgres>
    + for<'r> Decode<'r, MySql>
    + Type<MySql>
{
}

impl<T> Cell for T where
    T: for<'r> Decode<'r, Sqlite>
        + Type<Sqlite>
        + for<'r> Decode<'r, Postgres>
        + Type<Postgres>
        + for<'r> Decode<'r, MySql>
        + Type<MySql>
{
}

impl Row {
    /// The value of a column.
    pub fn get<T: Cell>(&self, column: &str) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
            Self::MySql(row) => row.try_get(column),
        }
    }

    /// A number that is never negative.
    pub fn count(&self, column: &str) -> Result<u64, sqlx::Error> {
        self.get::<i64>(column).map(|value| value as u64)
    }
}

/// A statement with its arguments, for whichever database it is.
macro_rules! query {
    ($sql:expr, $args:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for arg in $args {
            query = match *arg {
                Arg::Number(value) => query.bind(value),
                Arg::NumberOrNull(value) => query.bind(value),
                Arg::Text(value) => query.bind(value),
                Arg::TextOrNull(value) => query.bind(value),
                Arg::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Db {
    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => pool.begin().await.map(Transaction::Sqlite),
            Self::Postgres(pool) => pool.begin().await.map(Transaction::Postgres),
            Self::MySql(pool) => pool.begin().await.map(Transaction::MySql),
        }
    }

    /// Runs one statement and reads what it gives.
    pub async fn fetch_all(&self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => {
                let rows = limited(query!(sql.to_owned(), args).fetch_all(pool)).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(pool) => {
                let rows = limited(query!(numbered(sql), args).fetch_all(pool)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::MySql(pool) => {
                let rows = limited(query!(sql.to_owned(), args).fetch_all(pool)).await?;
                Ok(rows.into_iter().map(Row::MySql).collect())
            }
        }
    }

    /// Runs one statement and gives its rows to `take` as they come, so many at once, fewer at the end. It should not take long: the
    /// database waits for whoever reads.
    pub async fn each(
        &self,
        sql: &str,
        args: &[Arg<'_>],
        at_once: usize,
        mut take: impl FnMut(Vec<Row>),
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(pool) => {
                let rows = query!(sql.to_owned(), args).fetch(pool).map_ok(Row::Sqlite);
                limited(chunks(rows, at_once, &mut take)).await
            }
            Self::Postgres(pool) => {
                let rows = query!(numbered(sql), args).fetch(pool).map_ok(Row::Postgres);
                limited(chunks(rows, at_once, &mut take)).await
            }
            Self::MySql(pool) => {
                let rows = query!(sql.to_owned(), args).fetch(pool).map_ok(Row::MySql);
                limited(chunks(rows, at_once, &mut take)).await
            }
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
            Self::MySql(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    /// Runs a statement.
    pub async fn execute(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(it) => limited(query!(sql.to_owned(), args).execute(&mut **it))
                .await
                .map(|_| ()),
            Self::Postgres(it) => limited(query!(numbered(sql), args).execute(&mut **it))
                .await
                .map(|_| ()),
            Self::MySql(it) => limited(query!(sql.to_owned(), args).execute(&mut **it))
                .await
                .map(|_| ()),
        }
    }

    /// Runs a statement and reads what it gives.
    pub async fn fetch_all(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(it) => {
                let rows = limited(query!(sql.to_owned(), args).fetch_all(&mut **it)).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(it) => {
                let rows = limited(query!(numbered(sql), args).fetch_all(&mut **it)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::MySql(it) => {
                let rows = limited(query!(sql.to_owned(), args).fetch_all(&mut **it)).await?;
                Ok(rows.into_iter().map(Row::MySql).collect())
            }
        }
    }

    /// The first row, if there is one.
    pub async fn fetch_first(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.fetch_all(sql, args).await?.into_iter().next())
    }

    /// Makes everything stay.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(it) => limited(it.commit()).await,
            Self::Postgres(it) => limited(it.commit()).await,
            Self::MySql(it) => limited(it.commit()).await,
        }
    }
}

async fn chunks(
    mut rows: impl Stream<Item = Result<Row, sqlx::Error>> + Unpin,
    at_once: usize,
    take: &mut impl FnMut(Vec<Row>),
) -> Result<(), sqlx::Error> {
    let mut chunk = Vec::new();
    while let Some(row) = rows.try_next().await? {
        chunk.push(row);
        if chunk.len() == at_once {
            take(std::mem::take(&mut chunk));
        }
    }
    if !chunk.is_empty() {
        take(chunk);
    }
    Ok(())
}

async fn limited<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(STATEMENT_LIMIT, work).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", STATEMENT_LIMIT.as_secs());
        Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message).into())
    })
}

/// PostgreSQL numbers its arguments: `$1`, `$2`. None of the statements has a question mark that is not an argument.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        text.push_str(&format!("${}{part}", index + 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn arguments_are_numbered() {
        assert_eq!(
            numbered("SELECT a FROM b WHERE c = ? AND d = ?"),
            "SELECT a FROM b WHERE c = $1 AND d = $2"
        );
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }
}
