//! Where an ODB is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use busbar_model::{Error, Kind};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// Where an ODB is. Shown without its password.
#[derive(Clone)]
pub struct Location {
    pub(crate) at: At,
    shown: String,
}

#[derive(Clone)]
pub(crate) enum At {
    Memory,
    File(PathBuf),
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

impl Location {
    /// A SQLite file.
    pub fn file(path: &Path) -> Self {
        Self {
            at: At::File(path.to_owned()),
            shown: path.display().to_string(),
        }
    }

    pub(crate) fn memory() -> Self {
        Self {
            at: At::Memory,
            shown: "(in memory)".to_owned(),
        }
    }

    /// Reads `postgresql://user:password@host:port/database`, `mysql://` or `mariadb://` likewise, or `sqlite:path`, a path that starts in
    /// `directory` unless it is absolute.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: it is none of these, or names no database.
    pub fn parse(url: &str, directory: &Path) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once(':').unwrap_or_default();
        match scheme {
            "sqlite" => Ok(Self::file(&directory.join(rest.strip_prefix("//").unwrap_or(rest)))),
            "postgresql" | "postgres" => {
                let options = PgConnectOptions::from_str(url).map_err(unreadable)?;
                let database = options.get_database().ok_or_else(no_database)?;
                let shown = shown(
                    "postgresql",
                    options.get_username(),
                    options.get_host(),
                    options.get_port(),
                    database,
                );
                let options = options.application_name("busbar");
                let at = At::Postgres(Box::new(options));
                Ok(Self { at, shown })
            }
            "mysql" | "mariadb" => {
                let options = MySqlConnectOptions::from_str(&format!("mysql:{rest}")).map_err(unreadable)?;
                let database = options.get_database().ok_or_else(no_database)?;
                let shown = shown(
                    "mysql",
                    options.get_username(),
                    options.get_host(),
                    options.get_port(),
                    database,
                );
                // names that differ in case or accents are different names, whatever the server's default is
                let options = options.charset("utf8mb4").collation("utf8mb4_bin");
                let at = At::MySql(Box::new(options));
                Ok(Self { at, shown })
            }
            // the text is not repeated: it may hold a password
            _ => Err(Error::new(Kind::Config, "the ODB's URL is of no database that busbar knows").with_hint(FORMS)),
        }
    }
}

/// What a URL looks like.
const FORMS: &str =
    "write postgresql://user:password@host:5432/database, mysql://user:password@host:3306/database or sqlite:path";

fn shown(scheme: &str, user: &str, host: &str, port: u16, database: &str) -> String {
    format!("{scheme}://{user}@{host}:{port}/{database}")
}

fn unreadable(error: sqlx::Error) -> Error {
    Error::new(Kind::Config, "the ODB's URL cannot be read")
        .with_hint("a password in it needs %40 for @, %2F for /, %3A for :, %25 for %")
        .with_source(error)
}

fn no_database() -> Error {
    Error::new(Kind::Config, "the ODB's URL names no database").with_hint(FORMS)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Location, Error> {
        Location::parse(url, Path::new("/srv/server1"))
    }

    #[test]
    fn urls_are_shown_without_their_passwords() {
        for (url, expected) in [
            (
                "postgresql://bus:s3%40cret@db.example.com/odb",
                "postgresql://bus@db.example.com:5432/odb",
            ),
            (
                "postgres://bus:s3cret@db:6543/odb?sslmode=require",
                "postgresql://bus@db:6543/odb",
            ),
            ("mysql://bus:s3cret@db/odb", "mysql://bus@db:3306/odb"),
            ("mariadb://bus:s3cret@db:3307/odb", "mysql://bus@db:3307/odb"),
            ("sqlite:data/odb.sqlite", "/srv/server1/data/odb.sqlite"),
            ("sqlite:///var/odb.sqlite", "/var/odb.sqlite"),
        ] {
            let location = parse(url).unwrap();
            assert_eq!(location.to_string(), expected);
            assert!(!format!("{location:?}").contains("s3"));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_repeated() {
        for url in [
            "",
            "s3cret",
            "oracle://bus:s3cret@db/odb",
            "mysql://bus:s3cret@db",
            "mysql://bus:s3cret@db:port/odb",
            "postgresql://bus:s3cret@db:port/odb",
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{url}");
            assert!(
                error.hint().is_some() && !error.chain().contains("s3cret"),
                "{}",
                error.chain()
            );
        }
    }
}
