//! Whether values as text are written in the way in which they are read here.
//!
//! Sessions can have dates, intervals and floating-point numbers written in several styles, and a role or a database may begin with any of
//! them. Only the binary form is always the same. So what may have set a style is noted from its words, and before values are asked for as
//! text again the server is asked which style it has by then.

use sqlx::{Executor, Row as _};

use super::super::error::SqlFailure;
use super::super::scan::{Scanned, Verb};
use super::{PgKind, PgLink};

/// What a new connection is asked: its number, the server's version, and whether the styles are those that are read here; all as text.
pub(in super::super) const INTRODUCTION: &str = "SELECT pg_backend_pid()::text, current_setting('server_version'), \
    (current_setting('DateStyle') LIKE 'ISO%' AND current_setting('IntervalStyle') = 'postgres' \
    AND current_setting('extra_float_digits')::int >= 2)::text";

impl PgLink {
    /// Whether values as text can be read. Asks the server, which must not be in a transaction, if that is not known.
    pub(super) async fn has_known_styles(&mut self) -> Result<bool, SqlFailure> {
        if !self.has_known_styles {
            let row = (&mut self.connection).fetch_one(sqlx::raw_sql(INTRODUCTION)).await?;
            self.has_known_styles = row.try_get::<&str, _>(2)? == "true";
        }
        Ok(self.has_known_styles)
    }
}

impl PgKind {
    /// Whether the text of a value depends on the session.
    pub(super) fn has_styles(&self) -> bool {
        match self {
            Self::Float4 | Self::Float8 | Self::Date | Self::Timestamp | Self::TimestampTz | Self::Interval => true,
            Self::Array(element) => element.has_styles(),
            _ => false,
        }
    }
}

/// Whether what a statement gives can also come in the binary form.
pub(super) fn has_binary_form(scanned: &Scanned) -> bool {
    let is_fetch = || {
        let word = scanned.text.trim_start().get(..5);
        word.is_some_and(|word| word.eq_ignore_ascii_case("fetch"))
    };
    !scanned.is_script && (matches!(scanned.verb, Verb::Query | Verb::Change) || is_fetch())
}
