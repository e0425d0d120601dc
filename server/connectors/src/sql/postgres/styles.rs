//! Whether values as text are written in the way in which they are read here, and in which zone points in time are.
//!
//! Sessions can have dates, intervals and floating-point numbers written in several styles, and a role or a database may begin with any of
//! them. Only the binary form is always the same; but it has no zone, where the text of a point in time has that of the session. And what
//! stands in a statement as `'03/04/2024'` is read when that is prepared, in the style and the zone that the session has by then. So what
//! may have set a style or a zone is noted from its words. To the end of its transaction nothing that was prepared is used; after that the
//! server is asked which it has by then.

use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, Row as _};

use super::super::error::SqlFailure;
use super::super::scan::{Scanned, Verb};
use super::super::value::Param;
use super::home::sets_after;
use super::{PgKind, PgLink, Prepared};

/// What a new connection is asked: its number, the server's version, whether the styles are those that are read here, the zone and the
/// styles; all as text.
pub(super) const INTRODUCTION: &str = "SELECT pg_backend_pid()::text, current_setting('server_version'), \
    (current_setting('DateStyle') LIKE 'ISO%' AND current_setting('IntervalStyle') = 'postgres' \
    AND current_setting('extra_float_digits')::int >= 2)::text, current_setting('TimeZone'), \
    current_setting('DateStyle') || ' ' || current_setting('IntervalStyle')";

/// Zones that are UTC at any time. There are further names; with those points in time come as text, which is all that differs.
const UTC: [&str; 7] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "UCT", "Zulu", "Universal"];

/// What is known of how a session reads and writes values as text.
pub(super) struct Styles {
    /// Whether it writes them as they are read here.
    are_read: bool,
    /// Whether points in time are in UTC.
    is_utc: bool,
    /// The zone and the styles in which statements were prepared.
    names: [String; 2],
    /// It is only known for the transaction in which the server was asked, which may have set them for itself.
    is_passing: bool,
    /// They may have been set since.
    has_moved: bool,
    /// Nobody knows whether that was before the transaction that is open.
    is_unsure: bool,
    /// They may have been set by the transaction that is open.
    inside: Option<Inside>,
}

/// What a transaction may have set.
#[derive(Clone, Copy)]
struct Inside {
    /// Not for itself alone.
    stays: bool,
    /// Whether values are written as they are read here. `None`: the server has to be asked.
    are_read: Option<bool>,
}

impl Styles {
    /// As a server that is in no transaction has answered the introduction.
    pub(super) fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let zone: String = row.try_get(3)?;
        Ok(Self {
            are_read: row.try_get::<&str, _>(2)? == "true",
            is_utc: UTC.contains(&&*zone),
            names: [zone, row.try_get(4)?],
            is_passing: false,
            has_moved: false,
            is_unsure: false,
            inside: None,
        })
    }

    /// Whether what was prepared can be run.
    pub(super) fn allow_prepared(&self) -> bool {
        self.inside.is_none()
    }

    /// Something may have set the zone, or also a style.
    fn moved(&mut self, in_transaction: bool, stays: bool, has_style: bool) {
        if !in_transaction {
            self.has_moved = true;
            self.is_unsure = true;
            return;
        }
        let before = self.inside.unwrap_or(Inside {
            stays: false,
            are_read: (!self.has_moved).then_some(self.are_read),
        });
        self.inside = Some(Inside {
            stays: before.stays || stays,
            are_read: before.are_read.filter(|_| !has_style),
        });
    }

    /// The transaction was rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.inside = None;
        self.has_moved |= self.is_passing;
        self.is_unsure = false;
    }

    /// The transaction was committed.
    pub(super) fn committed(&mut self) {
        let stays = self.inside.take().is_some_and(|inside| inside.stays);
        self.has_moved |= stays || self.is_passing;
        self.is_unsure = false;
    }

    /// What was done since a savepoint was rolled back.
    fn partly_rolled_back(&mut self) {
        if let Some(inside) = &mut self.inside {
            inside.are_read = None;
        }
        self.has_moved |= self.is_passing;
    }

    /// A statement may have ended a transaction.
    fn may_have_ended(&mut self, scanned: &Scanned) {
        let mut words = scanned.text.split_ascii_whitespace().map(str::to_ascii_uppercase);
        let first = words.next().unwrap_or_default();
        match (scanned.is_script, scanned.verb, first.as_str()) {
            (false, Verb::Transaction, "SAVEPOINT" | "RELEASE") => {}
            (false, Verb::Transaction, "ROLLBACK") if words.any(|word| word == "TO") => self.partly_rolled_back(),
            (true, ..) | (_, Verb::Transaction, _) | (_, _, "PREPARE") => {
                self.has_moved |= self.inside.take().is_some() || self.is_passing;
                self.is_unsure = true;
            }
            _ => {}
        }
    }
}

impl PgLink {
    /// Notes what a statement may set, or end.
    pub(super) fn note_settings(&mut self, scanned: &Scanned, lists: &[Vec<Param>], in_transaction: bool) {
        let sets = scanned.sets;
        let configures = sets.configures && configures(&scanned.text, lists);
        let has_style = sets.styles || configures;
        if has_style || sets.zone {
            let mut words = scanned.text.split_ascii_whitespace();
            let mut is_next = |word: &str| words.next().is_some_and(|next| next.eq_ignore_ascii_case(word));
            let is_local = !scanned.is_script && is_next("SET") && is_next("LOCAL");
            self.styles.moved(in_transaction, !is_local, has_style);
        }
        self.styles.may_have_ended(scanned);
    }

    /// Finds out, before a statement that may be prepared, which zone and styles the session has, if that is not known. `is_outside`: no
    /// transaction is open.
    pub(super) async fn settle(&mut self, scanned: &Scanned, is_outside: bool) -> Result<(), SqlFailure> {
        let has_to = self.styles.has_moved && self.styles.inside.is_none() && self.prepares;
        if !has_to || !has_binary_form(scanned) {
            return Ok(());
        }
        let styles = Styles {
            is_passing: !is_outside && self.styles.is_unsure,
            ..self.ask_for_styles().await?
        };
        let before = std::mem::replace(&mut self.styles, styles);
        if before.names != self.styles.names {
            // what it says may be read in another way by now
            self.drop_plans();
            self.connection.clear_cached_statements().await?;
        }
        Ok(())
    }

    /// Gives settings back what they are to be, if a statement has reset them.
    pub(super) async fn restore_settings(&mut self, scanned: &Scanned) -> Result<(), SqlFailure> {
        if !scanned.sets.resets {
            return Ok(());
        }
        let sql = sets_after(&scanned.text, &self.settings);
        if sql.is_empty() {
            Ok(())
        } else {
            self.command(&sql).await
        }
    }

    /// Whether values as text can be read, once the session has settled.
    pub(super) async fn reads_text(&mut self) -> Result<bool, SqlFailure> {
        let Some(inside) = self.styles.inside else {
            return Ok(self.styles.are_read);
        };
        let are_read = match inside.are_read {
            Some(are_read) => are_read,
            None => self.ask_for_styles().await?.are_read,
        };
        self.styles.inside = Some(Inside {
            are_read: Some(are_read),
            ..inside
        });
        Ok(are_read)
    }

    /// Whether what a statement gives has to come as text, which is what has the zone of the session.
    pub(super) fn needs_text(&self, prepared: &Prepared) -> bool {
        prepared.has_zones && !self.styles.is_utc && self.styles.are_read
    }

    async fn ask_for_styles(&mut self) -> Result<Styles, SqlFailure> {
        let row = (&mut self.connection).fetch_one(sqlx::raw_sql(INTRODUCTION)).await?;
        Ok(Styles::of(&row)?)
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

    /// Whether the text of a value has the zone of the session in it.
    pub(super) fn has_zone(&self) -> bool {
        match self {
            Self::TimestampTz => true,
            Self::Array(element) => element.has_zone(),
            _ => false,
        }
    }
}

/// Whether a statement that sets settings by names that are values, as `set_config` takes them, may set one of the server's own. Those of
/// users have a dot in their names.
fn configures(text: &str, lists: &[Vec<Param>]) -> bool {
    let text = text.to_ascii_lowercase();
    let mut calls = text.split("set_config").skip(1).peekable();
    // rows of pg_settings can be written to as well
    if calls.peek().is_none() || text.contains("pg_settings") {
        return true;
    }
    !calls.all(|call| {
        let Some(name) = call.trim_start().strip_prefix('(').map(str::trim_start) else {
            return false;
        };
        if let Some(place) = name.strip_prefix('$') {
            let digits = place.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(place.len());
            let index = place[..digits].parse::<usize>().unwrap_or(0).checked_sub(1);
            let is_users = |list: &Vec<Param>| {
                let value = index.and_then(|index| list.get(index));
                matches!(value, Some(Param::Text(name)) if name.contains('.'))
            };
            // what follows may be `|| 'zone'`
            return has_ended(&place[digits..]) && !lists.is_empty() && lists.iter().all(is_users);
        }
        let literal = name.strip_prefix('\'').and_then(|name| name.split_once('\''));
        literal.is_some_and(|(name, rest)| name.contains('.') && has_ended(rest))
    })
}

/// Whether the next argument follows, after a cast at most.
fn has_ended(rest: &str) -> bool {
    let rest = rest.trim_start();
    let rest = ["::text", "::varchar"]
        .iter()
        .find_map(|cast| rest.strip_prefix(cast))
        .unwrap_or(rest);
    rest.trim_start().starts_with(',')
}

/// Whether what a statement gives can also come in the binary form.
pub(super) fn has_binary_form(scanned: &Scanned) -> bool {
    let is_fetch = || {
        let word = scanned.text.trim_start().get(..5);
        word.is_some_and(|word| word.eq_ignore_ascii_case("fetch"))
    };
    !scanned.is_script && (matches!(scanned.verb, Verb::Query | Verb::Change) || is_fetch())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_users_are_none_of_the_servers() {
        let text = |text: &str| Param::Text(text.to_owned());
        for (sql, list, is_so) in [
            ("SELECT set_config('app.tenant', '5', true)", vec![], false),
            (
                "select SET_CONFIG( $1::VARCHAR , $2, true)",
                vec![text("app.a"), text("b")],
                false,
            ),
            (
                "SELECT set_config($1, $2, true)",
                vec![text("TimeZone"), text("UTC")],
                true,
            ),
            ("SELECT set_config($1 || 'e', '', true)", vec![text("a.b")], true),
            ("SELECT set_config('TimeZone', 'UTC', true)", vec![], true),
            (
                "SELECT set_config('a.b', '', true), set_config('timezone', '', true)",
                vec![],
                true,
            ),
            ("SELECT set_config(name, setting, true) FROM pg_settings", vec![], true),
            (
                "UPDATE pg_settings SET setting = 'UTC' WHERE name = 'TimeZone'",
                vec![],
                true,
            ),
        ] {
            assert_eq!(configures(sql, &[list]), is_so, "{sql}");
        }
    }
}
