//! What databases say, translated once into what busbar says.

use std::io::ErrorKind;

use busbar_model::{Error, Kind};
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::sqlite::SqliteError;

/// Primary result codes of SQLite, the low byte of what it reports (<https://sqlite.org/rescode.html>).
mod code {
    pub const PERM: i32 = 3;
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const READONLY: i32 = 8;
    pub const IOERR: i32 = 10;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const NOTADB: i32 = 26;
}

/// What is wrong, in terms that all databases share.
enum Trouble {
    Locked,
    Away,
    Refused,
    NoDatabase,
    Forbidden,
    Damaged,
    NotAnOdb,
    CannotOpen,
    Full,
    Io,
    TooLarge,
    Other,
}

/// The ODB `name` could not be read or written: says why in the operator's terms.
pub fn translate(name: &str, error: sqlx::Error) -> Error {
    let error = match trouble(&error) {
        Trouble::Locked => Error::new(Kind::Unavailable, format!("the ODB `{name}` is locked")).with_hint(
            "another process writes to it for long, maybe a second server in the same directory; try again, or stop that one",
        ),
        Trouble::Away => Error::new(Kind::Unavailable, format!("the ODB `{name}` cannot be reached"))
            .with_hint("a server that runs goes on as it is; nothing can be changed until the database is back")
            .with_source(error),
        Trouble::Refused => Error::new(Kind::Config, format!("the ODB `{name}` refuses the user or the password"))
            .with_hint("correct `url` of `[odb]` in config/server.toml, or the variable that it names")
            .with_source(error),
        Trouble::NoDatabase => Error::new(Kind::Config, format!("the database of the ODB `{name}` does not exist"))
            .with_hint("create it, empty and with a user of its own; busbar makes the tables")
            .with_source(error),
        Trouble::Forbidden => Error::new(Kind::Config, format!("the ODB `{name}` does not let its user do that"))
            .with_hint("the user needs to create, alter, read and write tables in this database")
            .with_source(error),
        Trouble::Damaged => Error::new(Kind::Config, format!("the ODB `{name}` is damaged"))
            .with_hint("put a backup in its place, or move it away and import the objects again with `busbar enmasse`")
            .with_source(error),
        Trouble::NotAnOdb => Error::new(Kind::Config, format!("`{name}` is not an ODB"))
            .with_hint("this file belongs to something else; move it away or put a backup in its place"),
        Trouble::CannotOpen => Error::new(Kind::Config, format!("cannot open the ODB `{name}`"))
            .with_hint("the user that runs the server needs to read and write this file and its directory")
            .with_source(error),
        Trouble::Full => Error::new(
            Kind::Internal,
            format!("cannot write the ODB `{name}`: the disk is full"),
        )
        .with_hint("make room; what was being stored was not stored"),
        Trouble::TooLarge => Error::new(Kind::Config, format!("the ODB `{name}` does not take anything so large"))
            .with_hint("raise `max_allowed_packet` of the database server")
            .with_source(error),
        Trouble::Io => Error::new(Kind::Internal, format!("cannot read or write the ODB `{name}`")).with_source(error),
        Trouble::Other => Error::new(Kind::Internal, format!("an operation of the ODB `{name}` failed")).with_source(error),
    };
    // a lock goes away, and a server comes back; nothing else in here does
    let temporary = error.kind() == Kind::Unavailable;
    error.with_temporary(temporary)
}

fn trouble(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Database(error) => {
            if let Some(error) = error.try_downcast_ref::<SqliteError>() {
                of_sqlite(error)
            } else if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                of_mysql(error.number())
            } else {
                of_sqlstate(error.code().as_deref().unwrap_or_default())
            }
        }
        sqlx::Error::Io(error) if error.kind() == ErrorKind::PermissionDenied => Trouble::CannotOpen,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => Trouble::Away,
        _ => Trouble::Other,
    }
}

fn of_sqlite(error: &SqliteError) -> Trouble {
    let code = error
        .code()
        .and_then(|code| code.parse::<i32>().ok())
        .unwrap_or_default();
    match code & 0xff {
        code::BUSY | code::LOCKED => Trouble::Locked,
        code::CORRUPT => Trouble::Damaged,
        code::NOTADB => Trouble::NotAnOdb,
        code::PERM | code::READONLY | code::CANTOPEN => Trouble::CannotOpen,
        code::FULL => Trouble::Full,
        code::IOERR => Trouble::Io,
        _ => Trouble::Other,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_sqlstate(state: &str) -> Trouble {
    match state {
        // deadlock, lock not available, serialisation failure
        "40P01" | "55P03" | "40001" => Trouble::Locked,
        // shut down by the administrator, crashed, still starting; too many connections
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25006" => Trouble::Away,
        "28000" | "28P01" => Trouble::Refused,
        "3D000" => Trouble::NoDatabase,
        "42501" => Trouble::Forbidden,
        "53100" => Trouble::Full,
        "XX001" | "XX002" => Trouble::Damaged,
        state if state.starts_with("08") => Trouble::Away,
        _ => Trouble::Other,
    }
}

/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>
fn of_mysql(number: u16) -> Trouble {
    match number {
        // lock wait timeout, deadlock, record has changed since it was read
        1205 | 1213 | 1020 => Trouble::Locked,
        // too many connections, shutting down, read only, killed
        1040 | 1053 | 1290 | 1836 | 1927 | 3024 | 3168 | 4031 => Trouble::Away,
        1045 | 1698 => Trouble::Refused,
        1049 => Trouble::NoDatabase,
        1044 | 1142 | 1227 => Trouble::Forbidden,
        1021 | 1114 => Trouble::Full,
        1153 => Trouble::TooLarge,
        _ => Trouble::Other,
    }
}

/// The schema of `name` could not be brought up to date, or back.
pub fn translate_migration(name: &str, error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => Error::new(
            Kind::Config,
            format!("the ODB `{name}` was written by a newer busbar (schema {version})"),
        )
        .with_hint("start it with that version of busbar, take it back with that version's `busbar odb rollback`, or put a backup from before the upgrade in its place"),
        MigrateError::Dirty(version) => Error::new(
            Kind::Config,
            format!("step {version} of the schema of the ODB `{name}` was cut off"),
        )
        .with_hint("put a backup from before the upgrade in its place"),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => translate(name, error),
        other => Error::new(
            Kind::Internal,
            format!("cannot bring the schema of the ODB `{name}` up to date"),
        )
        .with_source(other),
    }
}
