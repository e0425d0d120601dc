//! What SQLite says, translated once into what busbar says.

use std::path::Path;

use busbar_model::{Error, Kind};
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

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

/// `path` could not be read or written: says why in the operator's terms.
pub fn translate(path: Option<&Path>, error: sqlx::Error) -> Error {
    let name = path.map_or_else(|| "(in memory)".to_owned(), |path| path.display().to_string());
    let primary = error.as_database_error().and_then(primary_code);
    let error = match primary {
        Some(code::BUSY | code::LOCKED) => Error::new(Kind::Unavailable, format!("the ODB `{name}` is locked"))
            .with_hint(
                "another process has it open for writing, maybe a second server in the same directory; stop that one",
            ),
        Some(code::CORRUPT) => Error::new(Kind::Config, format!("the ODB `{name}` is damaged"))
            .with_hint("put a backup in its place, or move it away and import the objects again with `busbar enmasse`")
            .with_source(error),
        Some(code::NOTADB) => Error::new(Kind::Config, format!("`{name}` is not an ODB"))
            .with_hint("this file belongs to something else; move it away or put a backup in its place"),
        Some(code::PERM | code::READONLY | code::CANTOPEN) => {
            Error::new(Kind::Config, format!("cannot open the ODB `{name}`"))
                .with_hint("the user that runs the server needs to read and write this file and its directory")
                .with_source(error)
        }
        Some(code::FULL) => Error::new(
            Kind::Internal,
            format!("cannot write the ODB `{name}`: the disk is full"),
        )
        .with_hint("make room; what was being stored was not stored"),
        Some(code::IOERR) => {
            Error::new(Kind::Internal, format!("cannot read or write the ODB `{name}`")).with_source(error)
        }
        _ if matches!(error, sqlx::Error::PoolTimedOut) => {
            Error::new(Kind::Unavailable, format!("the ODB `{name}` is busy")).with_source(error)
        }
        _ => Error::new(Kind::Internal, format!("an operation of the ODB `{name}` failed")).with_source(error),
    };
    // a lock goes away; nothing else in here does
    let temporary = error.kind() == Kind::Unavailable;
    error.with_temporary(temporary)
}

/// The schema of `path` could not be brought up to date.
pub fn translate_migration(path: Option<&Path>, error: MigrateError) -> Error {
    let name = path.map_or_else(|| "(in memory)".to_owned(), |path| path.display().to_string());
    match error {
        MigrateError::VersionMissing(version) => Error::new(
            Kind::Config,
            format!("the ODB `{name}` was written by a newer busbar (schema {version})"),
        )
        .with_hint("start it with that version of busbar, or put a backup from before the upgrade in its place"),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => translate(path, error),
        other => Error::new(
            Kind::Internal,
            format!("cannot bring the schema of the ODB `{name}` up to date"),
        )
        .with_source(other),
    }
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}
