//! Which database, and how to reach it: from a URL or from an object.

use std::fmt;
use std::time::Duration;

use busbar_model::object::FieldError;
use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;

use super::config::OutgoingSql;
use super::error::{SqlFailure, SqlFailureClass};
use super::postgres::{PgAccess, PgSecrets};

/// Statements that a connection keeps prepared, unless it is told otherwise.
const STATEMENT_CACHE: usize = 500;
/// Rows that SQLite's thread reads ahead.
const SQLITE_READ_AHEAD: usize = 1024;

/// A kind of database that busbar speaks to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
}

impl Engine {
    /// The engine of a name such as `postgresql+psycopg2`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().split('+').next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "postgresql" | "postgres" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::MySql),
            "sqlite" => Some(Self::Sqlite),
            _ => None,
        }
    }

    /// Its name: `postgresql`, `mysql` or `sqlite`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }
}

/// What sqlx connects with.
#[derive(Clone)]
pub(super) enum Driver {
    Postgres(Box<PgAccess>),
    MySql(Box<MySqlConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

/// A database and how to reach it.
#[derive(Clone)]
pub struct SqlTarget {
    pub(super) engine: Engine,
    pub(super) driver: Driver,
    pub(super) connect_timeout: Duration,
    pub(super) statement_timeout: Option<Duration>,
    /// What messages call it; without the password.
    label: String,
}

/// The parts of a URL or of an object.
struct Parts {
    engine: Engine,
    host: String,
    port: u16,
    database: String,
    username: String,
    password: String,
    options: Vec<(String, String)>,
}

impl SqlTarget {
    /// From a URL as SQLAlchemy has them, and options beside those in it.
    ///
    /// # Errors
    /// Of class [`SqlFailureClass::Interface`]: what is wrong with it, without the password.
    pub fn of_url(url: &str, options: &[(String, String)]) -> Result<Self, SqlFailure> {
        let wrong = |message: String| {
            let message = format!("cannot use the URL of the database: {message}");
            SqlFailure::new(SqlFailureClass::Interface, message)
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("it has no `://` in it".to_owned()))?;
        let engine = Engine::parse(scheme)
            .ok_or_else(|| wrong(format!("engine `{scheme}` is not one of postgresql, mysql and sqlite")))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/') {
            Some(slash) => (&rest[..slash], &rest[slash + 1..]),
            None => (rest, ""),
        };
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, password) = user.split_once(':').unwrap_or((user, ""));
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (host, ""),
        };
        let port = if port.is_empty() {
            0
        } else {
            port.parse().map_err(|_| wrong(format!("`{port}` is no port")))?
        };
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(|text| text.into_owned())
                .map_err(|_| wrong("what is percent-encoded in it is not UTF-8".to_owned()))
        };
        let mut parts = Parts {
            engine,
            host: decode(host.trim_start_matches('[').trim_end_matches(']'))?,
            port,
            database: if engine == Engine::Sqlite {
                path.to_owned()
            } else {
                decode(path)?
            },
            username: decode(username)?,
            password: decode(password)?,
            options: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            parts.options.push((decode(key)?, decode(&value.replace('+', " "))?));
        }
        parts.options.extend_from_slice(options);
        // a socket is a directory in the place of a host
        if let Some(at) = parts.options.iter().position(|(key, _)| key == "host") {
            parts.host = parts.options.remove(at).1;
        }
        Self::build(parts).map_err(|error| wrong(format!("{}: {}", error.field, error.message)))
    }

    /// From an object.
    pub(super) fn of_config(config: &OutgoingSql) -> Result<Self, FieldError> {
        let engine = config
            .native()
            .ok_or_else(|| FieldError::new("engine", "is not one of postgresql, mysql and sqlite"))?;
        if engine == Engine::Sqlite && config.db_name.is_empty() {
            return Err(FieldError::new("db_name", "must be the path of the database's file"));
        }
        let mut options = Vec::new();
        for (key, text) in [
            ("ssl_mode", &config.ssl_mode),
            ("ssl_ca", &config.ssl_ca),
            ("ssl_cert", &config.ssl_cert),
            ("ssl_key", &config.ssl_key),
        ] {
            if !text.is_empty() {
                options.push((key.to_owned(), text.clone()));
            }
        }
        options.push(("connect_timeout".to_owned(), config.connect_timeout.to_string()));
        if config.statement_timeout > 0.0 {
            options.push(("statement_timeout".to_owned(), config.statement_timeout.to_string()));
        }
        let own = options.len();
        options.extend(config.extra()?);
        let known: Vec<_> = options[own..].iter().map(|(key, _)| key.clone()).collect();
        Self::build(Parts {
            engine,
            host: config.host.clone(),
            port: config.port,
            database: config.db_name.clone(),
            username: config.username.clone(),
            password: config.password.clone(),
            options,
        })
        .map_err(|error| {
            // what stands in `extra` is a line of it
            if known.contains(&error.field) {
                FieldError::new("extra", format!("`{}` {}", error.field, error.message))
            } else {
                error
            }
        })
    }

    fn build(parts: Parts) -> Result<Self, FieldError> {
        let mut settings = Settings {
            cache: STATEMENT_CACHE,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: None,
        };
        let label = parts.label();
        let engine = parts.engine;
        let driver = match engine {
            Engine::Postgres => postgres(parts, &mut settings)?,
            Engine::MySql => mysql(parts, &mut settings)?,
            Engine::Sqlite => sqlite(parts, &mut settings)?,
        };
        Ok(Self {
            engine,
            driver,
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.statement_timeout,
            label,
        })
    }

    /// Kind of database.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What messages call it: `postgresql://user@host:5432/database`.
    pub fn label(&self) -> &str {
        &self.label
    }
}

// without the password
impl fmt::Debug for SqlTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlTarget").field(&self.label).finish()
    }
}

impl Parts {
    fn label(&self) -> String {
        let mut label = format!("{}://", self.engine.name());
        if !self.username.is_empty() {
            label.push_str(&self.username);
            label.push('@');
        }
        label.push_str(&self.host);
        if self.port != 0 {
            label.push_str(&format!(":{}", self.port));
        }
        label.push('/');
        label.push_str(&self.database);
        label
    }
}

/// What all engines have.
struct Settings {
    /// Statements that are kept prepared.
    cache: usize,
    connect_timeout: Duration,
    statement_timeout: Option<Duration>,
}

impl Settings {
    /// Takes an option that all engines have; gives any other back.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, FieldError> {
        match key {
            "connect_timeout" => self.connect_timeout = duration(key, value)?,
            "statement_timeout" => self.statement_timeout = Some(duration(key, value)?),
            "statement_cache" => {
                let number = value.parse().ok().filter(|number| (0..=100_000).contains(number));
                self.cache = number.ok_or_else(|| FieldError::new(key, "must be a number from 0 to 100000"))?;
            }
            // settings of SQLAlchemy's pool and engine, which exports may have: the pool is busbar's own
            "echo" | "echo_pool" | "pool_pre_ping" | "pool_recycle" | "pool_timeout" | "pool_use_lifo" | "encoding" => {
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn duration(key: &str, value: &str) -> Result<Duration, FieldError> {
    let seconds = value
        .parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| FieldError::new(key, "must be more than 0 and at most 86400 seconds"))
}

fn unknown(key: &str, engine: Engine) -> FieldError {
    FieldError::new(key, format!("is no option of {} connections", engine.name()))
}

fn no_such_mode() -> FieldError {
    FieldError::new(
        "ssl_mode",
        "must be disable, allow, prefer, require, verify-ca or verify-full",
    )
}

fn postgres(parts: Parts, settings: &mut Settings) -> Result<Driver, FieldError> {
    let mut options = PgConnectOptions::new_without_pgpass();
    let mut secrets = PgSecrets::of_environment();
    options = match parts.host.as_str() {
        "" => options.host("localhost"),
        host if host.starts_with('/') => options.socket(host),
        host => options.host(host),
    };
    options = options.port(if parts.port == 0 { 5432 } else { parts.port });
    if !parts.username.is_empty() {
        options = options.username(&parts.username);
    }
    if !parts.password.is_empty() {
        options = options.password(&parts.password);
        secrets.password = parts.password;
    }
    if !parts.database.is_empty() {
        options = options.database(&parts.database);
    }
    let mut name = "busbar".to_owned();
    let mut own = Vec::new();
    for (key, value) in &parts.options {
        if settings.take(key, value)? {
            continue;
        }
        options = match key.as_str() {
            "ssl_mode" | "sslmode" => options.ssl_mode(match value.as_str() {
                "disable" => PgSslMode::Disable,
                "allow" => PgSslMode::Allow,
                "prefer" => PgSslMode::Prefer,
                "require" => PgSslMode::Require,
                "verify-ca" => PgSslMode::VerifyCa,
                "verify-full" => PgSslMode::VerifyFull,
                _ => return Err(no_such_mode()),
            }),
            "ssl_ca" | "sslrootcert" => {
                secrets.authorities = PgSecrets::file(value);
                options.ssl_root_cert(value)
            }
            "ssl_cert" | "sslcert" => {
                secrets.certificate = PgSecrets::file(value);
                options.ssl_client_cert(value)
            }
            "ssl_key" | "sslkey" => {
                secrets.key = PgSecrets::file(value);
                options.ssl_client_key(value)
            }
            "application_name" => {
                name.clone_from(value);
                options
            }
            "timezone" => {
                own.push(("TimeZone", value.clone()));
                options
            }
            "search_path" => {
                let names: Vec<_> = value.split(',').map(|name| identifier(name.trim())).collect();
                own.push(("search_path", names.join(", ")));
                options
            }
            "client_encoding" => options,
            _ => return Err(unknown(key, Engine::Postgres)),
        };
    }
    if let Some(limit) = settings.statement_timeout {
        let milliseconds = limit.as_millis().max(1).to_string();
        own.push(("statement_timeout", milliseconds));
    }
    Ok(Driver::Postgres(Box::new(PgAccess {
        options: options.application_name(&name),
        secrets,
        settings: own,
        statements: settings.cache,
    })))
}

/// A name as SQL has it: in quotes, unless it needs none.
fn identifier(name: &str) -> String {
    let is_plain = |(index, byte): (usize, u8)| {
        matches!(byte, b'a'..=b'z' | b'_') || (index > 0 && matches!(byte, b'0'..=b'9' | b'$'))
    };
    if !name.is_empty() && name.bytes().enumerate().all(is_plain) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn mysql(parts: Parts, settings: &mut Settings) -> Result<Driver, FieldError> {
    // what the server is set to stays as it is, as with the usual drivers
    let mut options = MySqlConnectOptions::new()
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None);
    options = match parts.host.as_str() {
        "" => options.host("localhost"),
        host if host.starts_with('/') => options.socket(host),
        host => options.host(host),
    };
    options = options.port(if parts.port == 0 { 3306 } else { parts.port });
    if !parts.username.is_empty() {
        options = options.username(&parts.username);
    }
    if !parts.password.is_empty() {
        options = options.password(&parts.password);
    }
    if !parts.database.is_empty() {
        options = options.database(&parts.database);
    }
    for (key, value) in &parts.options {
        if settings.take(key, value)? {
            continue;
        }
        options = match key.as_str() {
            "ssl_mode" => options.ssl_mode(match value.as_str() {
                "disable" => MySqlSslMode::Disabled,
                "allow" | "prefer" => MySqlSslMode::Preferred,
                "require" => MySqlSslMode::Required,
                "verify-ca" => MySqlSslMode::VerifyCa,
                "verify-full" => MySqlSslMode::VerifyIdentity,
                _ => return Err(no_such_mode()),
            }),
            "ssl_ca" => options.ssl_ca(value),
            "ssl_cert" => options.ssl_client_cert(value),
            "ssl_key" => options.ssl_client_key(value),
            "unix_socket" => options.socket(value),
            "timezone" => options.timezone(Some(value.clone())),
            // texts are UTF-8 on the line whatever tables have; only names that mean just that are taken
            "charset" if matches!(value.as_str(), "utf8mb4" | "utf8" | "utf8mb3") => options,
            "charset" => return Err(FieldError::new(key, "must be utf8mb4 or utf8")),
            "use_unicode" | "binary_prefix" | "local_infile" => options,
            _ => return Err(unknown(key, Engine::MySql)),
        };
    }
    let options = options
        .statement_cache_capacity(settings.cache.max(1))
        .disable_statement_logging();
    Ok(Driver::MySql(Box::new(options)))
}

fn sqlite(parts: Parts, settings: &mut Settings) -> Result<Driver, FieldError> {
    let path = if parts.database.is_empty() {
        ":memory:"
    } else {
        &parts.database
    };
    let mut options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        // as SQLite itself has it; services turn it on themselves
        .foreign_keys(false);
    for (key, value) in &parts.options {
        if settings.take(key, value)? {
            continue;
        }
        options = match key.as_str() {
            "busy_timeout" | "timeout" => options.busy_timeout(duration(key, value)?),
            "foreign_keys" => match value.to_ascii_lowercase().as_str() {
                "on" | "true" | "1" => options.foreign_keys(true),
                "off" | "false" | "0" => options,
                _ => return Err(FieldError::new(key, "must be on or off")),
            },
            "mode" if value == "ro" => options.read_only(true).create_if_missing(false),
            "mode" if value == "rw" => options.create_if_missing(false),
            "mode" if value == "rwc" => options,
            "mode" => return Err(FieldError::new(key, "must be ro, rw or rwc")),
            "check_same_thread" | "cached_statements" | "uri" | "ssl_mode" => options,
            _ => return Err(unknown(key, Engine::Sqlite)),
        };
    }
    let options = options
        .statement_cache_capacity(settings.cache.max(1))
        .row_buffer_size(SQLITE_READ_AHEAD)
        .disable_statement_logging();
    Ok(Driver::Sqlite(Box::new(options)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_of_sqlalchemy() {
        for (url, label) in [
            (
                "postgresql+psycopg2://me:p%40ss@db.example:5433/crm",
                "postgresql://me@db.example:5433/crm",
            ),
            (
                "mysql://root@127.0.0.1/test?charset=utf8mb4&ssl_mode=disable",
                "mysql://root@127.0.0.1/test",
            ),
            ("mariadb+pymysql://db", "mysql://db/"),
            ("sqlite:////tmp/a.db", "sqlite:///tmp/a.db"),
            ("sqlite:///a.db?timeout=3", "sqlite:///a.db"),
            ("sqlite://", "sqlite:///"),
        ] {
            let target = SqlTarget::of_url(url, &[]).unwrap();
            let label = if url.starts_with("sqlite:////") {
                "sqlite:////tmp/a.db"
            } else {
                label
            };
            assert_eq!(target.label(), label, "{url}");
            assert!(!format!("{target:?}").contains("p@ss"));
        }
        let options = [("statement_timeout", "1.5"), ("search_path", "crm, $user, Old \"1\"")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let target = SqlTarget::of_url("postgresql://db/x", &options).unwrap();
        let Driver::Postgres(access) = &target.driver else {
            panic!("a URL of PostgreSQL is one of PostgreSQL");
        };
        let settings = [
            ("search_path", "crm, \"$user\", \"Old \"\"1\"\"\"".to_owned()),
            ("statement_timeout", "1500".to_owned()),
        ];
        assert_eq!(access.settings, settings);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_password() {
        for (url, words) in [
            ("crm", "no `://`"),
            ("oracle://db", "engine `oracle`"),
            ("mysql://me:hunter2@db:port/x", "`port` is no port"),
            (
                "mysql://me:hunter2@db/x?nonsense=1",
                "nonsense: is no option of mysql connections",
            ),
            (
                "postgresql://db/x?connect_timeout=soon",
                "connect_timeout: must be more than 0",
            ),
        ] {
            let failure = SqlTarget::of_url(url, &[]).unwrap_err();
            assert_eq!(failure.class(), SqlFailureClass::Interface);
            let message = failure.message();
            assert!(message.contains(words) && !message.contains("hunter2"), "{message}");
        }
    }
}
