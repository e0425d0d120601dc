//! SQLite: values by their storage class, as Python's `sqlite3` gives them.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteColumn, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, Decode, Either, Executor, Row as _, SqlSafeStr, TypeInfo, ValueRef};

use super::error::{SqlFailure, SqlFailureClass};
use super::lock;
use super::outcome::{Column, ColumnKind, Columns, Outlet, RowKind, unreadable};
use super::scan::{Scanned, Verb};
use super::value::{Cell, Param};

/// Steps of SQLite's machine between two looks at whether a statement was given up.
const LOOK_EVERY: i32 = 10_000;

/// A connection.
pub(super) struct LiteLink {
    pub(super) connection: SqliteConnection,
    /// Ends the statement that runs.
    pub(super) stop: Arc<AtomicBool>,
    limit: Option<Duration>,
    deadline: Arc<Mutex<Option<Instant>>>,
    isolation: Option<&'static str>,
}

impl LiteLink {
    /// Takes a fresh connection over; gives the library's version too.
    pub(super) async fn new(
        mut connection: SqliteConnection,
        limit: Option<Duration>,
    ) -> Result<(Self, String), SqlFailure> {
        let stop = Arc::new(AtomicBool::new(false));
        let row = (&mut connection)
            .fetch_one(sqlx::raw_sql("SELECT sqlite_version()"))
            .await?;
        let version = <String as Decode<Sqlite>>::decode(row.try_get_raw(0)?)
            .map_err(|error| SqlFailure::new(SqlFailureClass::Internal, error.to_string()))?;
        let mut handle = connection.lock_handle().await?;
        let deadline = Arc::new(Mutex::new(None));
        let (stopped, until) = (stop.clone(), deadline.clone());
        handle.set_progress_handler(LOOK_EVERY, move || {
            !stopped.load(Ordering::Relaxed) && lock(&until).is_none_or(|until| Instant::now() < until)
        });
        drop(handle);
        let link = Self {
            connection,
            stop,
            limit,
            deadline,
            isolation: None,
        };
        Ok((link, version))
    }

    /// Says how the transactions that follow are to be, unless SQLite knows.
    pub(super) async fn tell(&mut self, isolation: Option<&'static str>) -> Result<(), SqlFailure> {
        if self.isolation != isolation {
            let dirty = u8::from(isolation == Some("READ UNCOMMITTED"));
            self.command(&format!("PRAGMA read_uncommitted = {dirty}")).await?;
            self.isolation = isolation;
        }
        Ok(())
    }

    /// Runs a statement that has no values and gives nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        *lock(&self.deadline) = None;
        (&mut self.connection)
            .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
            .await?;
        Ok(())
    }

    /// Whether a transaction is open. `None`: nobody can tell.
    pub(super) async fn is_in_transaction(&mut self) -> Option<bool> {
        // a function of the library tells as well, but none of Rust's
        match self.command("BEGIN").await {
            Ok(()) => self.command("ROLLBACK").await.ok().map(|()| false),
            Err(failure) => failure.message().contains("within a transaction").then_some(true),
        }
    }

    /// Runs a statement with each of the lists of values.
    pub(super) async fn run(
        &mut self,
        scanned: &Scanned,
        lists: &[Vec<Param>],
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        for list in lists {
            *lock(&self.deadline) = self.limit.map(|limit| Instant::now() + limit);
            let mut arguments = SqliteArguments::default();
            for value in list {
                bind(value, &mut arguments)
                    .map_err(|error| SqlFailure::new(SqlFailureClass::Data, error.to_string()))?;
            }
            let sql = AssertSqlSafe(scanned.text.clone()).into_sql_str();
            let mut stream = (&mut self.connection).fetch_many(sqlx::query_with::<Sqlite, _>(sql, arguments));
            let mut is_open = false;
            while let Some(item) = stream.try_next().await.map_err(failure)? {
                match item {
                    Either::Right(row) => {
                        if !is_open {
                            outlet.begin_set(Some(Arc::new(columns(row.columns())))).await?;
                            is_open = true;
                        }
                        outlet.row(RowKind::Sqlite(row)).await?;
                    }
                    Either::Left(done) => {
                        if !is_open {
                            outlet.begin_set(None).await?;
                        }
                        // what does not write leaves the number of the statement before
                        let affected = if scanned.verb == Verb::Change {
                            done.rows_affected()
                        } else {
                            0
                        };
                        outlet.end_set(affected, Some(done.last_insert_rowid()).filter(|id| *id != 0));
                        is_open = false;
                    }
                }
            }
            drop(stream);
            let may_give = scanned.gives_rows() || matches!(scanned.verb, Verb::Outside | Verb::Other);
            if !outlet.has_columns() && may_give && !scanned.is_script {
                let columns = self.describe(scanned).await;
                outlet.set_columns(columns);
            }
        }
        Ok(())
    }

    /// The columns of a statement that gave no rows.
    async fn describe(&mut self, scanned: &Scanned) -> Option<Arc<Columns>> {
        let sql = AssertSqlSafe(scanned.text.clone()).into_sql_str();
        let statement = (&mut self.connection).prepare(sql).await.ok()?;
        let columns = columns(sqlx::Statement::columns(&statement));
        (!columns.is_empty()).then(|| Arc::new(columns))
    }
}

/// What went wrong in a statement.
fn failure(error: sqlx::Error) -> SqlFailure {
    match error {
        // the names of placeholders are looked at when values are given
        sqlx::Error::Protocol(text) if text.contains("parameter format") => {
            let message = "the statement has placeholders with names: give the values in a dictionary, and the connection the \
                paramstyle qmark or named";
            SqlFailure::new(SqlFailureClass::Programming, message)
        }
        other => other.into(),
    }
}

/// Whether a statement failed because no transaction is open.
pub(super) fn is_outside(failure: &SqlFailure) -> bool {
    failure.message().contains("no transaction is active")
}

fn columns(columns: &[SqliteColumn]) -> Columns {
    let columns = columns.iter().map(|column| Column {
        name: column.name().to_owned(),
        type_code: None,
        kind: ColumnKind::Sqlite,
    });
    columns.collect()
}

fn bind(value: &Param, arguments: &mut SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
    use sqlx::Arguments;
    match value {
        Param::Null => arguments.add(Option::<i64>::None),
        Param::Bool(value) => arguments.add(i64::from(*value)),
        Param::Int(value) => arguments.add(*value),
        Param::Float(value) => arguments.add(*value),
        Param::Bytes(bytes) => arguments.add(bytes.clone()),
        Param::List(_) => Err("SQLite has no arrays; give each value a placeholder of its own".into()),
        Param::Decimal(text) if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
            match text.parse::<i64>() {
                Ok(number) => arguments.add(number),
                Err(_) => Err(format!("the integer {text} is too large for SQLite, which has 64 bits").into()),
            }
        }
        other => arguments.add(other.to_text()),
    }
}

/// Reads a value of a row.
pub(super) fn cell<'r>(row: &'r SqliteRow, index: usize, column: &Column) -> Result<Cell<'r>, SqlFailure> {
    cell_of(row, index).map_err(|error| unreadable(column, &error.to_string()))
}

fn cell_of(row: &SqliteRow, index: usize) -> Result<Cell<'_>, sqlx::error::BoxDynError> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let class = value.type_info();
    Ok(match class.name() {
        "INTEGER" => Cell::Int(<i64 as Decode<Sqlite>>::decode(value)?),
        "REAL" => Cell::Float(<f64 as Decode<Sqlite>>::decode(value)?),
        "BLOB" => Cell::Bytes(Cow::Borrowed(<&[u8] as Decode<Sqlite>>::decode(value)?)),
        _ => Cell::Text(Cow::Borrowed(<&str as Decode<Sqlite>>::decode(value)?)),
    })
}
