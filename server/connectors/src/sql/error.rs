//! What can go wrong with a database, in the classes of PEP 249.

use std::fmt;

use busbar_model::{Error, Kind};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

use super::postgres::severity_and_message;

/// A statement, or a connection, that failed.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlFailure(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    class: SqlFailureClass,
    message: String,
    sqlstate: Option<String>,
    errno: Option<i64>,
    detail: Option<String>,
    hint: Option<String>,
    constraint: Option<String>,
    table: Option<String>,
    column: Option<String>,
    is_disconnect: bool,
    is_retriable: bool,
    is_outcome_unknown: bool,
}

/// The class of PEP 249 that a failure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SqlFailureClass {
    /// The driver was used in a way that it cannot be used in.
    Interface,
    /// Something of the database, without a closer class.
    Database,
    /// A value is out of range, of a wrong type, or has no form in Python.
    Data,
    /// The database is away, busy, full, or refused the connection.
    Operational,
    /// A constraint was violated.
    Integrity,
    /// The database is in a state that it should not be in.
    Internal,
    /// The SQL is wrong, or names what is not there.
    Programming,
    /// The database cannot do that.
    NotSupported,
    /// The call's deadline has passed, or its caller has left.
    Cancelled,
}

impl SqlFailureClass {
    /// The name of the exception.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interface => "InterfaceError",
            Self::Database => "DatabaseError",
            Self::Data => "DataError",
            Self::Operational | Self::Cancelled => "OperationalError",
            Self::Integrity => "IntegrityError",
            Self::Internal => "InternalError",
            Self::Programming => "ProgrammingError",
            Self::NotSupported => "NotSupportedError",
        }
    }

    /// The class of a SQLSTATE, as psycopg2 has them.
    fn of_sqlstate(code: &str) -> Self {
        match code.get(..2).unwrap_or_default() {
            "0A" => Self::NotSupported,
            "20" | "21" | "3D" | "3F" | "42" | "44" => Self::Programming,
            "22" => Self::Data,
            "23" => Self::Integrity,
            "24" | "25" | "2B" | "2D" | "2F" | "38" | "39" | "3B" | "F0" | "P0" | "XX" => Self::Internal,
            "08" | "26" | "27" | "28" | "34" | "40" | "53" | "54" | "55" | "57" | "58" | "HV" => Self::Operational,
            _ => Self::Database,
        }
    }

    /// The class of an error number of MySQL or MariaDB, as PyMySQL has them.
    fn of_errno(number: u16) -> Self {
        match number {
            1007 | 1064 | 1102 | 1103 | 1110 | 1111 | 1112 | 1113 | 1146 | 1149 | 1179 => Self::Programming,
            1171 | 1230 | 1263 | 1264 | 1265 | 1366 | 1367 | 1406 | 1441 => Self::Data,
            1048 | 1062 | 1215 | 1216 | 1217 | 1451 | 1452 | 1557 | 1586 | 3819 | 4025 => Self::Integrity,
            1196 | 1235 | 1286 | 1289 | 1295 => Self::NotSupported,
            number if number < 1000 => Self::Internal,
            _ => Self::Operational,
        }
    }

    /// The class of an extended result code of SQLite, as Python's `sqlite3` has them.
    fn of_sqlite(code: i64) -> Self {
        match code & 0xFF {
            2 | 12 => Self::Internal,
            18 => Self::Data,
            19 | 20 => Self::Integrity,
            21 | 25 => Self::Programming,
            1 | 3..=10 | 13..=17 => Self::Operational,
            _ => Self::Database,
        }
    }
}

impl SqlFailure {
    /// A failure of that class.
    pub fn new(class: SqlFailureClass, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            class,
            message: message.into(),
            sqlstate: None,
            errno: None,
            detail: None,
            hint: None,
            constraint: None,
            table: None,
            column: None,
            is_disconnect: false,
            is_retriable: false,
            is_outcome_unknown: false,
        }))
    }

    /// The connection is of no use any more.
    pub(super) fn lost(message: impl Into<String>) -> Self {
        let mut failure = Self::new(SqlFailureClass::Operational, message);
        failure.0.is_disconnect = true;
        failure
    }

    /// Says that the connection is of no use any more.
    pub(super) fn disconnected(mut self) -> Self {
        self.0.is_disconnect = true;
        self
    }

    /// Says what to do about it.
    pub(super) fn hinted(mut self, hint: &str) -> Self {
        self.0.message.push_str(&format!("\nHINT:  {hint}"));
        self.0.hint = Some(hint.to_owned());
        self
    }

    /// Says that trying again may help.
    pub(super) fn retriable(mut self) -> Self {
        self.0.is_retriable = true;
        self
    }

    /// Says that the connection was lost, or given up, while the database was to commit: nobody here knows whether it did. It must not be
    /// repeated without asking the database first.
    pub(super) fn outcome_unknown(mut self) -> Self {
        self.0.is_disconnect = true;
        self.0
            .message
            .push_str("; it is not known whether the database has committed, look before you repeat it");
        self.0.is_outcome_unknown = true;
        self.0.is_retriable = false;
        self
    }

    /// The same with the number and the SQLSTATE that clients give it, if it is of a connection that was lost and has none.
    pub(super) fn numbered(mut self, (number, state): (i64, &str)) -> Self {
        if self.0.is_disconnect && self.0.errno.is_none() {
            self.0.errno = Some(number);
            self.0.sqlstate = Some(state.to_owned());
        }
        self
    }

    /// The same with words before its message.
    pub(super) fn within(mut self, words: &str) -> Self {
        self.0.message = format!("{words}: {}", self.0.message);
        self
    }

    /// The class of PEP 249.
    pub fn class(&self) -> SqlFailureClass {
        self.0.class
    }

    /// What is wrong, with the database's own detail and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// SQLSTATE, where the database has one.
    pub fn sqlstate(&self) -> Option<&str> {
        self.0.sqlstate.as_deref()
    }

    /// The number of MySQL, the extended result code of SQLite.
    pub fn errno(&self) -> Option<i64> {
        self.0.errno
    }

    /// What else PostgreSQL says: detail, hint, constraint, table, column.
    pub fn details(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("detail", self.0.detail.as_deref()),
            ("hint", self.0.hint.as_deref()),
            ("constraint", self.0.constraint.as_deref()),
            ("table", self.0.table.as_deref()),
            ("column", self.0.column.as_deref()),
        ]
    }

    /// Whether the connection is of no use any more.
    pub fn is_disconnect(&self) -> bool {
        self.0.is_disconnect
    }

    /// Whether the whole transaction may succeed when it is tried again.
    pub fn is_retriable(&self) -> bool {
        self.0.is_retriable
    }

    /// Whether the connection was lost at a moment at which the database may have committed, or may not.
    pub fn is_outcome_unknown(&self) -> bool {
        self.0.is_outcome_unknown
    }

    /// A failure that PostgreSQL reported.
    pub(super) fn of_postgres(error: &ErrorResponseBody) -> Self {
        let mut failure = Self::new(SqlFailureClass::Database, "");
        let mut fields = error.fields();
        while let Ok(Some(field)) = fields.next() {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => failure.0.sqlstate = Some(text),
                b'M' => failure.0.message = text,
                b'D' => failure.0.detail = Some(text),
                b'H' => failure.0.hint = Some(text),
                b'n' => failure.0.constraint = Some(text),
                b't' => failure.0.table = Some(text),
                b'c' => failure.0.column = Some(text),
                _ => {}
            }
        }
        let inner = &mut *failure.0;
        for (label, text) in [("DETAIL", &inner.detail), ("HINT", &inner.hint)] {
            if let Some(text) = text {
                inner.message.push_str(&format!("\n{label}:  {text}"));
            }
        }
        let code = inner.sqlstate.as_deref().unwrap_or_default();
        // functions of users can raise anything, after which the server reads on
        let ends_session = severity_and_message(error.fields()).0 != "ERROR";
        inner.class = SqlFailureClass::of_sqlstate(code);
        // the administrator, a crash, a shutdown; and lost connections
        inner.is_disconnect =
            ends_session && (code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "57P04" | "57P05"));
        inner.is_retriable = matches!(code, "40001" | "40P01" | "57P03" | "53300");
        failure
    }

    /// A failure that MySQL or MariaDB reported.
    fn of_mysql(error: &MySqlDatabaseError) -> Self {
        let number = error.number();
        let mut failure = Self::new(SqlFailureClass::of_errno(number), error.message());
        failure.0.sqlstate = error.code().map(str::to_owned);
        failure.0.errno = Some(i64::from(number));
        failure.0.is_disconnect = matches!(number, 1053 | 1927 | 2006 | 2013 | 2055 | 4031);
        failure.0.is_retriable = matches!(number, 1020 | 1040 | 1205 | 1213);
        failure
    }

    /// A failure that SQLite reported.
    fn of_sqlite(error: &dyn DatabaseError) -> Self {
        let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(1);
        let mut failure = Self::new(SqlFailureClass::of_sqlite(code), error.message());
        failure.0.errno = Some(code);
        failure.0.is_retriable = matches!(code & 0xFF, 5 | 6);
        failure
    }
}

impl From<sqlx::Error> for SqlFailure {
    fn from(error: sqlx::Error) -> Self {
        use SqlFailureClass as C;
        match error {
            sqlx::Error::Database(error) => {
                if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                    Self::of_mysql(error)
                } else {
                    Self::of_sqlite(&*error)
                }
            }
            sqlx::Error::Io(error) => Self::lost(format!("connection to the database lost: {error}")),
            sqlx::Error::Tls(error) => Self::lost(format!("TLS with the database failed: {error}")),
            sqlx::Error::WorkerCrashed => Self::lost("the thread of the database connection has ended"),
            // what comes after it on the line cannot be understood either
            sqlx::Error::Protocol(text) => {
                let mut failure = Self::new(C::Internal, format!("what the database sent cannot be read: {text}"));
                failure.0.is_disconnect = true;
                failure
            }
            sqlx::Error::Configuration(error) => Self::new(C::Interface, error.to_string()),
            sqlx::Error::Encode(error) | sqlx::Error::Decode(error) => Self::new(C::Data, error.to_string()),
            other => Self::new(C::Database, other.to_string()),
        }
    }
}

impl From<Error> for SqlFailure {
    fn from(error: Error) -> Self {
        let class = match error.kind() {
            Kind::Cancelled => SqlFailureClass::Cancelled,
            Kind::Internal => SqlFailureClass::Internal,
            _ => SqlFailureClass::Operational,
        };
        Self::new(class, error.chain())
    }
}

impl fmt::Debug for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for SqlFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_usual_drivers() {
        use SqlFailureClass as C;
        for (code, class) in [
            ("23505", C::Integrity),
            ("40P01", C::Operational),
            ("42P01", C::Programming),
            ("22012", C::Data),
            ("0A000", C::NotSupported),
            ("99999", C::Database),
            ("", C::Database),
        ] {
            assert_eq!(C::of_sqlstate(code), class, "{code}");
        }
        assert_eq!(C::of_errno(1062), C::Integrity);
        assert_eq!(C::of_errno(1213), C::Operational);
        assert_eq!(C::of_errno(1146), C::Programming);
        assert_eq!(C::of_sqlite(2067), C::Integrity);
        assert_eq!(C::of_sqlite(5), C::Operational);
    }
}
