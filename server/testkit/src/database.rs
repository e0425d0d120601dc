//! Databases of real servers: `BUSBAR_TEST_POSTGRESQL` and `BUSBAR_TEST_MYSQL` are URLs of users that may create databases.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

/// A database of the test's own; it is removed with this value.
#[derive(Debug)]
pub struct Database {
    kind: Kind,
    /// URL of the server, up to the database's name.
    server: String,
    /// URL of the database that tests may connect to first.
    first: String,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgresql,
    Mysql,
}

impl Kind {
    /// URL of a database that tests may connect to first.
    fn url(self) -> String {
        let (variable, usual) = match self {
            Self::Postgresql => ("BUSBAR_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test"),
            Self::Mysql => ("BUSBAR_TEST_MYSQL", "mysql://root@127.0.0.1:3306/test"),
        };
        std::env::var(variable).unwrap_or_else(|_| usual.to_owned())
    }

    #[track_caller]
    fn port(self) -> u16 {
        let url = self.url();
        let port = url
            .rsplit_once('/')
            .and_then(|(server, _)| server.rsplit_once(':')?.1.parse().ok());
        port.unwrap_or_else(|| panic!("{url} names no port"))
    }
}

impl Database {
    /// One of the PostgreSQL server.
    #[track_caller]
    pub fn postgresql() -> Self {
        Self::create(Kind::Postgresql)
    }

    /// One of the MySQL or MariaDB server.
    #[track_caller]
    pub fn mysql() -> Self {
        Self::create(Kind::Mysql)
    }

    /// Port of the PostgreSQL server on this machine.
    #[track_caller]
    pub fn postgresql_port() -> u16 {
        Kind::Postgresql.port()
    }

    /// Port of the MySQL or MariaDB server on this machine.
    #[track_caller]
    pub fn mysql_port() -> u16 {
        Kind::Mysql.port()
    }

    #[track_caller]
    fn create(kind: Kind) -> Self {
        let first = kind.url();
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("busbar_test_{}_{number}", std::process::id());
        let server = first.rsplit_once('/').expect("a URL ends with the database's name").0;
        let server = server.to_owned();
        // one that a test left behind which was killed, and whose process id has come again
        run(kind, &first, &format!("DROP DATABASE IF EXISTS {name}"));
        run(kind, &first, &format!("CREATE DATABASE {name}"));
        Self {
            kind,
            server,
            first,
            name,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Its URL, by way of another port of this machine.
    ///
    /// # Panics
    ///
    /// If the server's URL names no port.
    pub fn url_through(&self, port: u16) -> String {
        let (user, _) = self.server.rsplit_once('@').expect("the URL names a user");
        format!("{user}@127.0.0.1:{port}/{}", self.name)
    }

    /// Where the server listens: host and port.
    ///
    /// # Panics
    ///
    /// If the server's URL does not name them.
    pub fn address(&self) -> String {
        let (_, address) = self.server.rsplit_once('@').expect("the URL names a user");
        address.to_owned()
    }

    /// Runs a statement in it.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        run(self.kind, &self.url(), sql);
    }

    /// Everything in it, as text; two of the same contents are the same.
    #[track_caller]
    pub fn dump(&self, table: &str) -> String {
        let sql = match self.kind {
            Kind::Postgresql => format!("SELECT COALESCE(string_agg(x::text, chr(10)), '') FROM {table} x"),
            Kind::Mysql => {
                let columns = self.text(&format!(
                    "SELECT CAST(GROUP_CONCAT(column_name) AS CHAR) FROM information_schema.columns \
                     WHERE table_schema = database() AND table_name = '{table}'"
                ));
                format!(
                    "SELECT CAST(COALESCE(GROUP_CONCAT(CONCAT_WS(',', {columns}) SEPARATOR '\\n'), '') AS CHAR) FROM {table}"
                )
            }
        };
        self.text(&sql)
    }

    /// The one text that a statement gives.
    #[track_caller]
    pub fn text(&self, sql: &str) -> String {
        let text = text(self.kind, &self.url(), sql);
        text.unwrap_or_else(|error| panic!("the database server of the tests: {error}"))
    }

    /// Ends every connection to it, as an administrator would.
    #[track_caller]
    pub fn end_connections(&self) {
        let name = &self.name;
        match self.kind {
            Kind::Postgresql => run(
                self.kind,
                &self.first,
                &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
            ),
            Kind::Mysql => {
                let ids = self.text(&format!(
                    "SELECT CAST(COALESCE(GROUP_CONCAT(id), '') AS CHAR) FROM information_schema.processlist \
                     WHERE db = '{name}' AND id <> connection_id()"
                ));
                for id in ids.split(',').filter(|id| !id.is_empty()) {
                    // one that has ended by itself meanwhile is what was wanted
                    attempt(self.kind, &self.first, &format!("KILL {id}")).ok();
                }
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // a transaction that nobody ended would hold the removal up
        self.end_connections();
        let force = match self.kind {
            Kind::Postgresql => " WITH (FORCE)",
            Kind::Mysql => "",
        };
        run(self.kind, &self.first, &format!("DROP DATABASE {}{force}", self.name));
    }
}

#[track_caller]
fn run(kind: Kind, url: &str, sql: &str) {
    attempt(kind, url, sql).unwrap_or_else(|error| panic!("the database server of the tests: {error}"));
}

/// The one text that a statement gives.
pub(crate) fn text(kind: Kind, url: &str, sql: &str) -> Result<String, sqlx::Error> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    apart(async move {
        Ok(match kind {
            Kind::Postgresql => {
                let mut connection = PgConnection::connect(&url).await?;
                sqlx::query_scalar(AssertSqlSafe(sql))
                    .fetch_one(&mut connection)
                    .await?
            }
            Kind::Mysql => {
                let mut connection = MySqlConnection::connect(&url).await?;
                connection
                    .execute("SET SESSION group_concat_max_len = 1000000000")
                    .await?;
                sqlx::query_scalar(AssertSqlSafe(sql))
                    .fetch_one(&mut connection)
                    .await?
            }
        })
    })
}

/// Runs a statement.
pub(crate) fn attempt(kind: Kind, url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    apart(async move {
        match kind {
            Kind::Postgresql => {
                let mut connection = PgConnection::connect(&url).await?;
                connection.execute(AssertSqlSafe(sql)).await?;
            }
            Kind::Mysql => {
                let mut connection = MySqlConnection::connect(&url).await?;
                connection.execute(AssertSqlSafe(sql)).await?;
            }
        }
        Ok(())
    })
}

/// Runs on a thread of its own: the test may be in a runtime already.
fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<T, sqlx::Error> {
    let done = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(work)
    });
    done.join().expect("the thread does not panic")
}
