//! One connection to a database, of whichever kind.

use std::sync::atomic::Ordering;

use sqlx::mysql::MySqlConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::time::timeout;

use super::error::{SqlFailure, SqlFailureClass};
use super::mysql::{MyLink, UNREACHABLE};
use super::options::{Driver, Engine, SqlTarget};
use super::outcome::Outlet;
use super::postgres::PgLink;
use super::scan::Scanned;
use super::sqlite::LiteLink;
use super::value::Param;

/// An open connection.
pub(super) enum Link {
    Postgres(Box<PgLink>),
    MySql(Box<MyLink>),
    Sqlite(Box<LiteLink>),
}

/// What a server is called, and what it calls a connection.
#[derive(Debug, Clone, Default)]
pub struct ServerInfo {
    /// Its version as it says it.
    pub version: String,
    /// The number by which it knows the connection; SQLite has none.
    pub backend: Option<u64>,
}

impl Link {
    /// Opens a connection and sets it up.
    pub(super) async fn open(target: &SqlTarget) -> Result<(Self, ServerInfo), SqlFailure> {
        let words = format!("cannot connect to {}", target.label());
        let opened = timeout(target.connect_timeout, Self::establish(target)).await;
        let opened = match opened {
            Ok(opened) => opened.map_err(|failure| failure.within(&words)),
            Err(_) => {
                let seconds = target.connect_timeout.as_secs_f64();
                Err(SqlFailure::lost(format!("{words}: no answer within {seconds} s")))
            }
        };
        opened.map_err(|failure| match target.engine {
            Engine::MySql => failure.numbered(UNREACHABLE),
            Engine::Postgres | Engine::Sqlite => failure,
        })
    }

    async fn establish(target: &SqlTarget) -> Result<(Self, ServerInfo), SqlFailure> {
        Ok(match &target.driver {
            Driver::Postgres(access) => {
                let link = PgLink::open(access).await?;
                let info = ServerInfo {
                    version: link.version().to_owned(),
                    backend: u64::try_from(link.backend()).ok(),
                };
                (Self::Postgres(Box::new(link)), info)
            }
            Driver::MySql(options) => {
                let connection: MySqlConnection = options.connect().await?;
                let (mut link, version) = MyLink::new(connection).await?;
                if let Some(limit) = target.statement_timeout {
                    // MariaDB counts seconds, MySQL milliseconds
                    let sql = if version.contains("MariaDB") {
                        format!("SET max_statement_time = {}", limit.as_secs_f64())
                    } else {
                        format!("SET max_execution_time = {}", limit.as_millis().max(1))
                    };
                    link.command(&sql).await?;
                }
                let info = ServerInfo {
                    version,
                    backend: Some(link.backend),
                };
                (Self::MySql(Box::new(link)), info)
            }
            Driver::Sqlite(options) => {
                let connection: SqliteConnection = options.connect().await?;
                let (link, version) = LiteLink::new(connection, target.statement_timeout).await?;
                let info = ServerInfo { version, backend: None };
                (Self::Sqlite(Box::new(link)), info)
            }
        })
    }

    /// Runs a statement that has no values and gives nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        match self {
            Self::Postgres(link) => link.command(sql).await,
            Self::MySql(link) => link.command(sql).await,
            Self::Sqlite(link) => link.command(sql).await,
        }
    }

    /// Runs a statement with each of the lists of values. `begin` is what has to be run before it; `began` is told when it was.
    pub(super) async fn run(
        &mut self,
        scanned: &Scanned,
        lists: &[Vec<Param>],
        begin: Option<&str>,
        began: &mut bool,
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        match self {
            Self::Postgres(link) => link.run(scanned, lists, begin, began, outlet).await,
            Self::MySql(link) => {
                // the server begins a transaction by itself, because it is told not to commit by itself
                *began = begin.is_some();
                link.run(scanned, lists, outlet).await
            }
            Self::Sqlite(link) => {
                if let Some(begin) = begin {
                    link.command(begin).await?;
                    *began = true;
                }
                link.run(scanned, lists, outlet).await
            }
        }
    }

    /// Whether a transaction is open, where users may begin and end some without anybody noticing: SQLite.
    pub(super) async fn is_in_transaction(&mut self) -> Option<bool> {
        match self {
            Self::Postgres(_) | Self::MySql(_) => None,
            Self::Sqlite(link) => link.is_in_transaction().await,
        }
    }

    /// Says how the transactions that follow are to be, where that is no part of opening one and was not said yet.
    pub(super) async fn tell(&mut self, autocommit: bool, isolation: Option<&'static str>) -> Result<(), SqlFailure> {
        match self {
            Self::Postgres(_) => Ok(()),
            Self::MySql(link) => link.tell(autocommit, isolation).await,
            Self::Sqlite(link) => link.tell(isolation).await,
        }
    }

    /// Asks whether the other side is there.
    pub(super) async fn ping(&mut self) -> Result<(), SqlFailure> {
        match self {
            Self::Postgres(link) => link.ping().await,
            Self::MySql(link) => link.ping().await,
            Self::Sqlite(link) => Ok(link.connection.ping().await?),
        }
    }

    /// Says good-bye.
    pub(super) async fn close(self) {
        // it is gone either way
        match self {
            Self::Postgres(link) => drop(link.close().await),
            Self::MySql(link) => drop(link.connection.close().await),
            Self::Sqlite(link) => drop(link.connection.close().await),
        }
    }

    /// Ends a statement that was cut off in the middle, on the server too: it would go on there until it tries to answer.
    pub(super) async fn cut_off(self, target: &SqlTarget) -> Result<(), SqlFailure> {
        let ended = timeout(target.connect_timeout, async {
            match (self, &target.driver) {
                (Self::Postgres(link), Driver::Postgres(access)) => link.cut_off(access).await,
                (Self::MySql(link), Driver::MySql(options)) => {
                    let sql = format!("KILL {}", link.backend);
                    let mut other: MySqlConnection = options.connect().await?;
                    (&mut other).execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
                    Ok(other.close().await?)
                }
                (Self::Sqlite(link), _) => {
                    link.stop.store(true, Ordering::Relaxed);
                    Ok(())
                }
                // a connection is of the kind of its target
                _ => Ok(()),
            }
        });
        let late = || SqlFailure::new(SqlFailureClass::Operational, "no answer in time");
        ended.await.unwrap_or_else(|_| Err(late()))
    }

    /// What opens a transaction.
    pub(super) fn begin(
        engine: Engine,
        isolation: Option<&str>,
        read_only: Option<bool>,
        deferrable: Option<bool>,
    ) -> String {
        let mut sql = "BEGIN".to_owned();
        if engine == Engine::Postgres {
            if let Some(level) = isolation {
                sql.push_str(" ISOLATION LEVEL ");
                sql.push_str(level);
            }
            if let Some(read_only) = read_only {
                sql.push_str(if read_only { " READ ONLY" } else { " READ WRITE" });
            }
            if let Some(deferrable) = deferrable {
                sql.push_str(if deferrable { " DEFERRABLE" } else { " NOT DEFERRABLE" });
            }
        }
        sql
    }
}
