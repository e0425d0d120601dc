//! MySQL and MariaDB: values are written into statements, which is what their usual drivers do.
//!
//! Statements of theirs can be prepared, too. But what the server then takes values for is not what the same values are as literals (NULL
//! is a text, `VALUES (?)` has no type), many statements cannot be prepared at all (`SHOW TABLES LIKE ?`), and those that are keep the
//! `sql_mode` that they were prepared with. So only long bytes go that way, of which a literal is twice as long.

mod literal;
mod long;
mod many;
mod read;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::TryStreamExt;
use sqlx::mysql::{MySql, MySqlConnection, MySqlQueryResult};
use sqlx::{AssertSqlSafe, Connection, Decode, Either, Executor, Row as _, SqlSafeStr};

use super::error::{SqlFailure, SqlFailureClass};
use super::outcome::{Columns, Outlet, RowKind};
use super::scan::{Scanned, Verb};
use super::value::Param;
use literal::{Quoting, with_values};
use long::{arguments, is_long};
use many::Rows;
use read::columns;
pub(super) use read::{MyKind, cell};

/// What is asked of a fresh connection.
const HELLO: &str = "SELECT @@sql_mode, @@GLOBAL.sql_mode, @@character_set_client, CONNECTION_ID(), VERSION()";
/// sqlx has the server take `count (*)` for `count(*)`, which makes reserved words of the names of functions: this takes it back.
const NO_SPACES: &str =
    "SET sql_mode = TRIM(BOTH ',' FROM REPLACE(CONCAT(',', @@sql_mode, ','), ',IGNORE_SPACE,', ','))";
/// Statements that gave no rows, of which is kept which columns they have. They stay prepared as well, and are closed all at once: whoever
/// comes after a close waits for 40 ms until the server has acknowledged it.
const DESCRIBED: usize = 400;
/// Counts changes of tables that went through this process: the columns may be others since.
static DEFINITIONS: AtomicU64 = AtomicU64::new(0);
/// What statements begin with that give rows and are no queries. Others are not prepared to ask for columns: to prepare `SET @a = ?` sets.
const SHOWS: [&str; 5] = ["SHOW", "DESC", "DESCRIBE", "EXPLAIN", "HELP"];
/// What those begin with that may give rows: whether they have the server says afterwards.
const MAY_SHOW: [&str; 4] = ["EXECUTE", "HANDLER", "SET STATEMENT", "XA"];
/// What may be other than it was on a fresh connection.
const HOW_TO_QUOTE: &str = "SELECT @@sql_mode, @@character_set_client";
/// The number and the SQLSTATE that clients give connections that are lost in the middle of something, and before it, and those that could
/// not be made.
pub(super) const LOST: (i64, &str) = (2013, "HY000");
pub(super) const GONE: (i64, &str) = (2006, "HY000");
pub(super) const UNREACHABLE: (i64, &str) = (2003, "HY000");

/// A connection.
pub(super) struct MyLink {
    pub(super) connection: MySqlConnection,
    pub(super) backend: u64,
    quoting: Quoting,
    /// The columns that statements had which gave no rows; `None`: they have none.
    described: HashMap<Arc<str>, Option<Arc<Columns>>>,
    /// How many changes of tables there had been.
    definitions: u64,
    /// Statements that are prepared.
    prepared: usize,
    /// Whether each statement is committed by itself, as the server was told.
    autocommit: Option<bool>,
    /// The isolation level that the server was told.
    isolation: Option<&'static str>,
    is_mariadb: bool,
}

impl MyLink {
    /// Takes a fresh connection over; gives the server's version too.
    pub(super) async fn new(mut connection: MySqlConnection) -> Result<(Self, String), SqlFailure> {
        let [mode, mode_of_all, charset, backend, version] = texts(&mut connection, HELLO).await?;
        let has_spaces = |mode: &str| mode.split(',').any(|mode| mode == "IGNORE_SPACE");
        if has_spaces(&mode) && !has_spaces(&mode_of_all) {
            connection.execute(sqlx::raw_sql(NO_SPACES)).await?;
        }
        let link = Self {
            connection,
            backend: backend.parse().unwrap_or(0),
            quoting: Quoting::of(&mode, &charset),
            described: HashMap::new(),
            definitions: DEFINITIONS.load(Ordering::Relaxed),
            prepared: 0,
            autocommit: None,
            isolation: None,
            is_mariadb: version.contains("MariaDB"),
        };
        Ok((link, version))
    }

    /// Runs a statement that has no values and gives nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        let ran = self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        ran.map(drop).map_err(failure)
    }

    /// Says how the transactions that follow are to be, unless the server knows.
    pub(super) async fn tell(&mut self, autocommit: bool, isolation: Option<&'static str>) -> Result<(), SqlFailure> {
        if self.autocommit != Some(autocommit) {
            self.command(&format!("SET autocommit = {}", u8::from(autocommit)))
                .await?;
            self.autocommit = Some(autocommit);
        }
        if self.isolation != isolation {
            let sql = match isolation {
                Some(level) => format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}"),
                // MariaDB has the one name, MySQL the other
                None if self.is_mariadb => "SET SESSION tx_isolation = @@GLOBAL.tx_isolation".to_owned(),
                None => "SET SESSION transaction_isolation = @@GLOBAL.transaction_isolation".to_owned(),
            };
            self.command(&sql).await?;
            self.isolation = isolation;
        }
        Ok(())
    }

    /// Runs a statement with each of the lists of values.
    pub(super) async fn run(
        &mut self,
        scanned: &Scanned,
        lists: &[Vec<Param>],
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        if scanned.changes_quoting {
            // already for what comes after it in the same text
            self.quoting = Quoting::Digits;
        }
        let ran = self.run_each(scanned, lists, outlet).await;
        let ran = ran.map_err(|failure| failure.numbered(LOST));
        if scanned.verb == Verb::Define || scanned.is_script || &*scanned.first == "USE" {
            DEFINITIONS.fetch_add(1, Ordering::Relaxed);
        }
        if scanned.changes_quoting {
            // also where a part of it has failed
            let [mode, charset] = match texts(&mut self.connection, HOW_TO_QUOTE).await {
                Ok(texts) => texts,
                Err(failure) => return ran.and(Err(failure.numbered(LOST))),
            };
            self.quoting = Quoting::of(&mode, &charset);
        }
        ran
    }

    async fn run_each(
        &mut self,
        scanned: &Scanned,
        lists: &[Vec<Param>],
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let rows = if lists.len() > 1 { Rows::of(scanned) } else { None };
        let mut left = lists;
        while let [list, ..] = left {
            let may_be_long = scanned.verb == Verb::Change && !scanned.returns && !scanned.is_script;
            if may_be_long && self.quoting != Quoting::Digits && list.iter().any(is_long) {
                self.run_long(scanned, list, outlet).await?;
                left = &left[1..];
                continue;
            }
            let (text, count) = match &rows {
                Some(rows) => rows.text(left, self.quoting)?,
                None => (with_values(&scanned.pieces, list, self.quoting)?, 1),
            };
            self.run_text(text, scanned, outlet).await?;
            left = &left[count..];
        }
        Ok(())
    }

    /// Runs a statement that has its values in it.
    async fn run_text(&mut self, text: String, scanned: &Scanned, outlet: &mut Outlet) -> Result<(), SqlFailure> {
        let calls = &*scanned.first == "CALL" && !scanned.is_script;
        let text = Arc::new(text);
        let sql = AssertSqlSafe(text.clone()).into_sql_str();
        let mut stream = (&mut self.connection).fetch_many(sqlx::raw_sql(sql));
        let mut is_open = false;
        let mut is_empty = true;
        // of a result without rows nobody says that it is one
        let mut pending: Option<MySqlQueryResult> = None;
        while let Some(item) = stream.try_next().await? {
            if let Some(done) = pending.take() {
                // what a procedure says of itself comes last: this was a result
                outlet.begin_set(Some(Arc::new(Columns::new()))).await?;
                end(&done, outlet);
            }
            match item {
                Either::Right(row) => {
                    if !is_open {
                        outlet.begin_set(Some(Arc::new(columns(row.columns())))).await?;
                        is_open = true;
                        is_empty = false;
                    }
                    outlet.row(RowKind::MySql(row)).await?;
                }
                Either::Left(done) if is_open => {
                    end(&done, outlet);
                    is_open = false;
                }
                Either::Left(done) if calls => pending = Some(done),
                Either::Left(done) => {
                    outlet.begin_set(None).await?;
                    end(&done, outlet);
                }
            }
        }
        drop(stream);
        if let Some(done) = pending {
            outlet.begin_set(None).await?;
            end(&done, outlet);
        }
        if is_empty && !scanned.is_script {
            // no row came, so nobody has said which columns there are, or whether there are any
            if scanned.gives_rows() || SHOWS.contains(&&*scanned.first) {
                outlet.set_columns(self.describe(scanned, &text).await);
            } else if MAY_SHOW.contains(&&*scanned.first) {
                let [count] = texts(&mut self.connection, "SELECT ROW_COUNT()").await?;
                outlet.set_columns((count == "-1").then(Arc::default));
            }
        }
        Ok(())
    }

    /// Runs a statement that changes rows, with values that are long.
    async fn run_long(&mut self, scanned: &Scanned, list: &[Param], outlet: &mut Outlet) -> Result<(), SqlFailure> {
        let sql = AssertSqlSafe(scanned.text.clone()).into_sql_str();
        let query = sqlx::query_with::<MySql, _>(sql, arguments(list)?);
        let done = (&mut self.connection).execute(query).await?;
        outlet.begin_set(None).await?;
        end(&done, outlet);
        Ok(())
    }

    /// The columns of a statement that gave no rows, which its text with values in it stands for where no other can be prepared; `None`: it
    /// has put elsewhere what it found.
    async fn describe(&mut self, scanned: &Scanned, text: &Arc<String>) -> Option<Arc<Columns>> {
        let definitions = DEFINITIONS.load(Ordering::Relaxed);
        if self.definitions != definitions || self.prepared >= DESCRIBED {
            self.described.clear();
            self.definitions = definitions;
        }
        if self.prepared >= DESCRIBED {
            self.prepared = 0;
            self.connection.clear_cached_statements().await.ok()?;
        }
        if let Some(known) = self.described.get(&scanned.text) {
            return known.clone();
        }
        for text in [&*scanned.text, text.as_str()] {
            // sqlx remembers what was prepared by its text
            let text = format!("{text} /* {definitions} */");
            let sql = AssertSqlSafe(text).into_sql_str();
            let Ok(statement) = (&mut self.connection).prepare(sql).await else {
                continue;
            };
            self.prepared += 1;
            let columns = columns(sqlx::Statement::columns(&statement));
            let columns = (scanned.verb != Verb::Query || !columns.is_empty()).then(|| Arc::new(columns));
            self.described.insert(scanned.text.clone(), columns.clone());
            return columns;
        }
        Some(Arc::default())
    }

    pub(super) async fn ping(&mut self) -> Result<(), SqlFailure> {
        self.connection.ping().await.map_err(failure)
    }
}

fn failure(error: sqlx::Error) -> SqlFailure {
    SqlFailure::from(error).numbered(LOST)
}

fn end(done: &MySqlQueryResult, outlet: &mut Outlet) {
    let last_id = i64::try_from(done.last_insert_id()).ok().filter(|id| *id != 0);
    outlet.end_set(done.rows_affected(), last_id);
}

/// The texts of the first row that comes of statements.
async fn texts<const N: usize>(connection: &mut MySqlConnection, sql: &'static str) -> Result<[String; N], SqlFailure> {
    let row = connection.fetch_one(sqlx::raw_sql(sql)).await?;
    let mut texts = [const { String::new() }; N];
    for (index, text) in texts.iter_mut().enumerate() {
        let value = row.try_get_raw(index)?;
        let read = <&str as Decode<MySql>>::decode(value);
        read.map_err(|error| SqlFailure::new(SqlFailureClass::Internal, error.to_string()))?
            .clone_into(text);
    }
    Ok(texts)
}
