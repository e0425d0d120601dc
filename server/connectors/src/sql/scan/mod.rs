//! Finds the placeholders of a statement, in all five styles of PEP 249, and leaves alone what stands in strings, names and comments.

mod scanner;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use super::error::{SqlFailure, SqlFailureClass};
use super::options::Engine;
use super::value::{Param, write_to};
use scanner::Scanner;

/// How placeholders are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// `%(name)s` and `%s`; `%%` is a percent sign.
    Pyformat,
    /// `?`; `??` is a question mark.
    Qmark,
    /// `:1`
    Numeric,
    /// `:name`
    Named,
}

impl Style {
    /// The style of that name; `format` is part of `pyformat`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "pyformat" | "format" => Some(Self::Pyformat),
            "qmark" => Some(Self::Qmark),
            "numeric" => Some(Self::Numeric),
            "named" => Some(Self::Named),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pyformat => "pyformat",
            Self::Qmark => "qmark",
            Self::Numeric => "numeric",
            Self::Named => "named",
        }
    }
}

/// Which value a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// The value at that place of a sequence, from 0.
    Place(usize),
    /// The value of that name.
    Name(String),
}

/// What kind of statement it is, as far as a driver has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads: SELECT, VALUES, TABLE, WITH...
    Query,
    /// Writes: INSERT, UPDATE, DELETE, MERGE, REPLACE.
    Change,
    /// Changes tables and the like: CREATE, ALTER, DROP...
    Define,
    /// Begins or ends transactions.
    Transaction,
    /// Sets a savepoint, goes back to one, or forgets one: within a transaction.
    Savepoint,
    /// May not run within a transaction, or must not begin one: PRAGMA, ATTACH, VACUUM...
    Outside,
    /// Anything else.
    Other,
}

/// A statement, cut at its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// With the placeholders that the database knows.
    pub(super) text: Arc<str>,
    /// What stands between the placeholders; one more than those.
    pub(super) pieces: Vec<String>,
    /// The placeholders.
    pub slots: Vec<Slot>,
    /// Of those, the ones that stand in strings: their values are written there.
    inside: Vec<usize>,
    engine: Engine,
    /// What kind of statement it is.
    pub(super) verb: Verb,
    /// Whether more than one statement is in it.
    pub(super) is_script: bool,
    /// Whether rows may come of it even though it writes.
    pub(super) returns: bool,
    /// Whether it may change something.
    pub(super) writes: bool,
    /// Whether it may end a transaction with a commit.
    pub(super) commits: bool,
    /// Whether it is a COPY of PostgreSQL whose rows are sent or taken by the client.
    pub(super) copies: bool,
    /// Whether it may have the server forget what was prepared.
    pub(super) forgets: bool,
    /// Whether names may mean other tables after it.
    pub(super) moves: bool,
    /// Whether it sets settings by names that are values.
    pub(super) configures: bool,
    /// Its first word, in capitals; `SET STATEMENT` where that is what begins.
    pub(super) first: Arc<str>,
    /// Whether strings may have to be written otherwise after it, with MySQL.
    pub(super) changes_quoting: bool,
    /// Whether a word in a string stands for the moment at which it is read, which for what is prepared is long ago.
    pub(super) has_moments: bool,
}

impl Scanned {
    /// Cuts a statement. Without a style nothing is a placeholder and the text stays as it is.
    pub fn new(sql: &str, style: Option<Style>, engine: Engine) -> Result<Self, SqlFailure> {
        if sql.contains('\0') {
            let message = "the statement has a NUL character in it, which SQL cannot have";
            return Err(SqlFailure::new(SqlFailureClass::Programming, message));
        }
        let Scanner {
            piece,
            mut pieces,
            slots,
            inside,
            words,
            ..
        } = Scanner::cut(sql, style, engine)?;
        pieces.push(piece);
        let text = text_of(&pieces, engine);
        let names = slots.iter().filter(|slot| matches!(slot, Slot::Name(_))).count();
        if names != 0 && names != slots.len() {
            let message = "placeholders with names and without them cannot be mixed in one statement";
            return Err(SqlFailure::new(SqlFailureClass::Programming, message));
        }
        Ok(Self {
            text,
            pieces,
            slots,
            inside,
            engine,
            verb: words.verb(),
            is_script: words.is_script,
            returns: words.returns,
            writes: words.writes(),
            commits: words.commits(engine),
            copies: words.copies,
            forgets: words.forgets,
            moves: words.moves,
            configures: words.configures,
            changes_quoting: words.changes_quoting(),
            first: words.first().into(),
            has_moments: words.has_moments,
        })
    }

    /// Whether a placeholder stands in a string.
    pub(super) fn has_inside(&self) -> bool {
        !self.inside.is_empty()
    }

    /// The statement with numbers in strings written there, and with as many placeholders as the lists have values that stand in the places
    /// of `IN %s`; and the values. `None`: there are no such places.
    pub(super) fn spread(&self, values: &[Param]) -> Result<Option<(Self, Vec<Param>)>, SqlFailure> {
        let is_list =
            |index: usize| matches!(values.get(index), Some(Param::List(_))) && follows_in(&self.pieces[index]);
        if !self.has_inside() && !(0..self.slots.len()).any(is_list) {
            return Ok(None);
        }
        let mut pieces = vec![self.pieces[0].clone()];
        let mut slots = Vec::new();
        let mut spread = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let mut last = pieces.pop().unwrap_or_default();
            if self.inside.contains(&index) {
                write_inside(&values[index], &mut last)?;
                last.push_str(&self.pieces[index + 1]);
                pieces.push(last);
                continue;
            }
            let items = match &values[index] {
                Param::List(items) if is_list(index) => items.as_slice(),
                value => std::slice::from_ref(value),
            };
            let (open, close) = if is_list(index) { ("(", ")") } else { ("", "") };
            last.push_str(open);
            let has_rows = is_list(index) && follows_row_in(&self.pieces[index]);
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    last.push_str(", ");
                }
                let (cells, open, close) = match item {
                    Param::List(cells) if has_rows && !cells.is_empty() => (cells.as_slice(), "(", ")"),
                    value => (std::slice::from_ref(value), "", ""),
                };
                last.push_str(open);
                for (place, cell) in cells.iter().enumerate() {
                    if place > 0 {
                        last.push_str(", ");
                    }
                    pieces.push(std::mem::take(&mut last));
                    slots.push(slot.clone());
                    spread.push(cell.clone());
                }
                last.push_str(close);
            }
            if items.is_empty() {
                // nothing is in an empty list
                last.push_str("NULL");
            }
            last.push_str(close);
            last.push_str(&self.pieces[index + 1]);
            pieces.push(last);
        }
        let text = text_of(&pieces, self.engine);
        let scanned = Self {
            text,
            pieces,
            slots,
            inside: Vec::new(),
            ..self.clone()
        };
        Ok(Some((scanned, spread)))
    }

    /// Whether it is one statement that has columns even if no row comes.
    pub(super) fn gives_rows(&self) -> bool {
        !self.is_script && (self.verb == Verb::Query || (self.verb == Verb::Change && self.returns))
    }
}

/// Writes a value into a string. Only numbers cannot end it.
fn write_inside(value: &Param, out: &mut String) -> Result<(), SqlFailure> {
    match value {
        Param::Int(value) => write_to(out, format_args!("{value}")),
        Param::Float(value) if value.is_finite() => write_to(out, format_args!("{value:?}")),
        Param::Decimal(digits)
            if digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'E')) =>
        {
            out.push_str(digits);
        }
        _ => {
            let message = "a placeholder stands in a string, where only a number can be written";
            let hint = "Let the placeholder stand for the whole string: LIKE %s with '%' in the value, and not LIKE '%%%s%%'. Where a \
                percent sign itself is meant, write %%.";
            return Err(SqlFailure::new(SqlFailureClass::Programming, message).hinted(hint));
        }
    }
    Ok(())
}

/// The statement with the placeholders of its database.
fn text_of(pieces: &[String], engine: Engine) -> Arc<str> {
    let text = match engine {
        Engine::Postgres => join(pieces, |out, index| write_to(out, format_args!("${}", index + 1))),
        Engine::MySql | Engine::Sqlite => join(pieces, |out, _| out.push('?')),
    };
    text.into()
}

/// Whether the text ends in the word IN.
fn follows_in(text: &str) -> bool {
    before_in(text).is_some()
}

/// Whether it ends in that word behind a row: `(a, b) NOT IN`. What stands in parentheses behind a name is no row, but what a function is given.
fn follows_row_in(text: &str) -> bool {
    let before = before_in(text).unwrap_or_default().trim_end();
    let before = match before.len().checked_sub(3).and_then(|at| before.split_at_checked(at)) {
        Some((before, word)) if word.eq_ignore_ascii_case("not") => before.trim_end(),
        _ => before,
    };
    let mut depth = 0;
    for (at, character) in before.char_indices().rev() {
        match character {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let before = before[..at].trim_end();
            let is_name = before.ends_with(|last: char| last.is_alphanumeric() || matches!(last, '_' | '"' | '`'));
            let word = before.rsplit(|character: char| !character.is_alphanumeric()).next();
            let leads = [
                "where", "and", "or", "not", "on", "select", "when", "having", "row", "by",
            ];
            return character == '('
                && (!is_name || word.is_some_and(|word| leads.iter().any(|lead| word.eq_ignore_ascii_case(lead))));
        }
    }
    false
}

/// What stands before the word IN at the end of a text.
fn before_in(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let (before, word) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let is_word = before
        .as_bytes()
        .last()
        .is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'.' | b'"' | b'`'));
    (word.eq_ignore_ascii_case("in") && is_word).then_some(before)
}

/// The pieces with something between them.
pub(super) fn join(pieces: &[String], mut between: impl FnMut(&mut String, usize)) -> String {
    let mut out = String::with_capacity(pieces.iter().map(|piece| piece.len() + 4).sum());
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            between(&mut out, index - 1);
        }
        out.push_str(piece);
    }
    out
}
