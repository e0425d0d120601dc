//! Finds the placeholders of a statement, in all five styles of PEP 249, and leaves alone what stands in strings, names and comments.

use std::sync::Arc;

use super::error::{SqlFailure, SqlFailureClass};
use super::options::Engine;
use super::value::{Param, write_to};

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
    engine: Engine,
    /// What kind of statement it is.
    pub(super) verb: Verb,
    /// Whether more than one statement is in it.
    pub(super) is_script: bool,
    /// Whether rows may come of it even though it writes.
    pub(super) returns: bool,
}

impl Scanned {
    /// Cuts a statement. Without a style nothing is a placeholder and the text stays as it is.
    pub fn new(sql: &str, style: Option<Style>, engine: Engine) -> Result<Self, SqlFailure> {
        if sql.contains('\0') {
            let message = "the statement has a NUL character in it, which SQL cannot have";
            return Err(SqlFailure::new(SqlFailureClass::Programming, message));
        }
        let mut scanner = Scanner {
            sql,
            bytes: sql.as_bytes(),
            at: 0,
            style,
            engine,
            piece: String::with_capacity(sql.len()),
            copied: 0,
            pieces: Vec::new(),
            slots: Vec::new(),
            words: Words::default(),
        };
        scanner.run()?;
        let Scanner {
            piece,
            mut pieces,
            slots,
            words,
            ..
        } = scanner;
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
            engine,
            verb: words.verb(),
            is_script: words.is_script,
            returns: words.returns,
        })
    }

    /// A list in the place of `IN %s` is as many values in parentheses: the statement with that many placeholders, and the values. `None`:
    /// there is no such place.
    pub(super) fn spread(&self, values: &[Param]) -> Option<(Self, Vec<Param>)> {
        let is_list =
            |index: usize| matches!(values.get(index), Some(Param::List(_))) && follows_in(&self.pieces[index]);
        if !(0..self.slots.len()).any(is_list) {
            return None;
        }
        let mut pieces = vec![self.pieces[0].clone()];
        let mut slots = Vec::new();
        let mut spread = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let items = match &values[index] {
                Param::List(items) if is_list(index) => items.as_slice(),
                value => std::slice::from_ref(value),
            };
            let (open, close) = if is_list(index) { ("(", ")") } else { ("", "") };
            pieces.last_mut()?.push_str(open);
            for (place, item) in items.iter().enumerate() {
                slots.push(slot.clone());
                spread.push(item.clone());
                pieces.push(if place + 1 < items.len() {
                    ", ".to_owned()
                } else {
                    String::new()
                });
            }
            if items.is_empty() {
                // nothing is in an empty list
                pieces.last_mut()?.push_str("NULL");
            }
            let last = pieces.last_mut()?;
            last.push_str(close);
            last.push_str(&self.pieces[index + 1]);
        }
        let text = text_of(&pieces, self.engine);
        let scanned = Self {
            text,
            pieces,
            slots,
            ..self.clone()
        };
        Some((scanned, spread))
    }

    /// Whether it is one statement that has columns even if no row comes.
    pub(super) fn gives_rows(&self) -> bool {
        !self.is_script && (self.verb == Verb::Query || (self.verb == Verb::Change && self.returns))
    }
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
    let text = text.trim_end().as_bytes();
    match text.split_last_chunk::<2>() {
        Some((before, word)) => {
            word.eq_ignore_ascii_case(b"in")
                && before
                    .last()
                    .is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'.' | b'"' | b'`'))
        }
        None => false,
    }
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

/// What the words outside of strings say.
#[derive(Default)]
struct Words {
    first: String,
    ended: bool,
    is_script: bool,
    returns: bool,
}

impl Words {
    fn take(&mut self, word: &str) {
        if self.ended {
            self.is_script = true;
        }
        if self.first.is_empty() {
            self.first = word.to_ascii_uppercase();
        } else if word.eq_ignore_ascii_case("returning") {
            self.returns = true;
        }
    }

    fn verb(&self) -> Verb {
        match self.first.as_str() {
            "SELECT" | "VALUES" | "TABLE" | "WITH" => Verb::Query,
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "REPLACE" => Verb::Change,
            "CREATE" | "ALTER" | "DROP" | "TRUNCATE" | "RENAME" | "COMMENT" | "GRANT" | "REVOKE" | "REINDEX" | "DO" => {
                Verb::Define
            }
            "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "END" | "ABORT" | "SAVEPOINT" | "RELEASE" => Verb::Transaction,
            "PRAGMA" | "ATTACH" | "DETACH" | "VACUUM" => Verb::Outside,
            _ => Verb::Other,
        }
    }
}

struct Scanner<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
    style: Option<Style>,
    engine: Engine,
    piece: String,
    /// Up to where the text has gone into the piece.
    copied: usize,
    pieces: Vec<String>,
    slots: Vec<Slot>,
    words: Words,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), SqlFailure> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\'' => {
                    let has_escapes = self.engine == Engine::MySql || self.is_escape_string();
                    self.quoted(b'\'', has_escapes);
                }
                b'"' => self.quoted(b'"', self.engine == Engine::MySql),
                b'`' if self.engine != Engine::Postgres => self.quoted(b'`', false),
                b'[' if self.engine == Engine::Sqlite => self.quoted(b']', false),
                b'-' if self.next() == Some(b'-') => self.line(),
                b'#' if self.engine == Engine::MySql => self.line(),
                b'/' if self.next() == Some(b'*') => self.comment(),
                b'$' if self.engine == Engine::Postgres => self.dollar(),
                b';' => {
                    self.words.ended = !self.words.first.is_empty();
                    self.at += 1;
                }
                b'%' => self.percent()?,
                b'?' if self.style == Some(Style::Qmark) => {
                    if self.next() == Some(b'?') {
                        self.skip_one();
                    } else {
                        self.slot(Slot::Place(self.slots.len()), 1);
                    }
                }
                b':' => self.colon()?,
                byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                    let start = self.at;
                    self.word();
                    let word = &self.sql[start..self.at];
                    self.words.take(word);
                }
                byte if byte.is_ascii_whitespace() || byte == b'(' => self.at += 1,
                _ => {
                    if self.words.ended {
                        self.words.is_script = true;
                    }
                    self.at += 1;
                }
            }
        }
        self.copy();
        Ok(())
    }

    fn next(&self) -> Option<u8> {
        self.bytes.get(self.at + 1).copied()
    }

    /// Takes the text up to here over.
    fn copy(&mut self) {
        self.piece.push_str(&self.sql[self.copied..self.at]);
        self.copied = self.at;
    }

    /// Of two characters that stand for one, takes the first.
    fn skip_one(&mut self) {
        self.at += 1;
        self.copy();
        self.at += 1;
        self.copied = self.at;
    }

    /// A placeholder of that length.
    fn slot(&mut self, slot: Slot, length: usize) {
        self.copy();
        self.pieces.push(std::mem::take(&mut self.piece));
        self.slots.push(slot);
        self.at += length;
        self.copied = self.at;
    }

    fn word(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            // names may have dollar signs in them, which then open no string
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80) {
                break;
            }
            self.at += 1;
        }
    }

    /// Whether the quote here opens a string of the kind `E'...'`.
    fn is_escape_string(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map(|at| self.bytes[at]);
        matches!(before(1), Some(b'E' | b'e'))
            && !matches!(before(2), Some(byte) if byte.is_ascii_alphanumeric() || byte == b'_')
    }

    /// In strings, names and comments two percent signs are one as well: that is how callers have to write them.
    fn inside(&mut self) {
        if self.style == Some(Style::Pyformat) && self.bytes[self.at] == b'%' && self.next() == Some(b'%') {
            self.skip_one();
        } else {
            self.at += 1;
        }
    }

    fn quoted(&mut self, end: u8, has_escapes: bool) {
        if self.words.ended {
            self.words.is_script = true;
        }
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte == b'\\' && has_escapes {
                self.at = (self.at + 2).min(self.bytes.len());
            } else if byte == end {
                self.at += 1;
                if self.bytes.get(self.at) != Some(&end) {
                    return;
                }
                self.at += 1;
            } else {
                self.inside();
            }
        }
    }

    fn line(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
            self.inside();
        }
    }

    fn comment(&mut self) {
        let mut depth = 0;
        while self.at < self.bytes.len() {
            match (self.bytes[self.at], self.next()) {
                (b'/', Some(b'*')) if depth == 0 || self.engine == Engine::Postgres => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.inside(),
            }
        }
    }

    /// `$$text$$` and `$tag$text$tag$`; `$1` is left alone.
    fn dollar(&mut self) {
        let rest = &self.bytes[self.at + 1..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80)
            .count();
        let is_tag = rest.get(length) == Some(&b'$') && !rest.first().is_some_and(u8::is_ascii_digit);
        if !is_tag {
            self.at += 1;
            return;
        }
        let tag = &self.sql[self.at..self.at + length + 2];
        let end = self.sql[self.at + tag.len()..]
            .find(tag)
            .map_or(self.bytes.len(), |found| self.at + found + 2 * tag.len());
        self.at += tag.len();
        while self.at < end {
            self.inside();
        }
    }

    fn percent(&mut self) -> Result<(), SqlFailure> {
        if self.style != Some(Style::Pyformat) {
            self.at += 1;
            return Ok(());
        }
        match self.next() {
            Some(b'%') => self.skip_one(),
            Some(b's') => self.slot(Slot::Place(self.slots.len()), 2),
            Some(b'(') => {
                let rest = &self.sql[self.at + 2..];
                let Some((name, after)) = rest.split_once(')') else {
                    return Err(wrong("`%(` without `)s` after it"));
                };
                if !after.starts_with('s') {
                    return Err(wrong(&format!("`%({name})` without `s` after it")));
                }
                self.slot(Slot::Name(name.to_owned()), name.len() + 4);
            }
            // an operator; callers who mean one should double it, but nothing else can be meant here
            _ => self.at += 1,
        }
        Ok(())
    }

    fn colon(&mut self) -> Result<(), SqlFailure> {
        let start = self.at;
        if self.next() == Some(b':') {
            // a cast
            self.at += 2;
            return Ok(());
        }
        self.at += 1;
        let Some(style @ (Style::Numeric | Style::Named)) = self.style else {
            return Ok(());
        };
        self.word();
        let name = &self.sql[start + 1..self.at];
        let length = self.at - start;
        self.at = start;
        match (style, name.as_bytes().first()) {
            (Style::Numeric, Some(b'0'..=b'9')) => {
                let number = name.parse::<usize>().ok().filter(|number| *number > 0);
                let number =
                    number.ok_or_else(|| wrong(&format!("`:{name}` is no place of a value, they begin at 1")))?;
                self.slot(Slot::Place(number - 1), length);
            }
            (Style::Named, Some(first)) if !first.is_ascii_digit() => {
                self.slot(Slot::Name(name.to_owned()), length);
            }
            _ => self.at = start + length,
        }
        Ok(())
    }
}

fn wrong(message: &str) -> SqlFailure {
    SqlFailure::new(
        SqlFailureClass::Programming,
        format!("a placeholder of the statement cannot be read: {message}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(sql: &str, style: Style, engine: Engine) -> (String, usize) {
        let scanned = Scanned::new(sql, Some(style), engine).unwrap();
        (scanned.text.to_string(), scanned.slots.len())
    }

    #[test]
    fn all_styles_are_found() {
        for (sql, style, expected) in [
            ("a = %s AND b = %s", Style::Pyformat, "a = $1 AND b = $2"),
            ("a = %(x)s AND b = %(x)s", Style::Pyformat, "a = $1 AND b = $2"),
            ("a = ? AND b = ?", Style::Qmark, "a = $1 AND b = $2"),
            ("a = :2 AND b = :1", Style::Numeric, "a = $1 AND b = $2"),
            ("a = :x AND b = :y_1", Style::Named, "a = $1 AND b = $2"),
        ] {
            assert_eq!(text(sql, style, Engine::Postgres), (expected.to_owned(), 2), "{sql}");
        }
        assert_eq!(
            text("a ?? 'b' = ?", Style::Qmark, Engine::MySql),
            ("a ? 'b' = ?".to_owned(), 1)
        );
        let slots = Scanned::new(":2 :1", Some(Style::Numeric), Engine::Sqlite)
            .unwrap()
            .slots;
        assert_eq!(slots, [Slot::Place(1), Slot::Place(0)]);
    }

    #[test]
    fn strings_names_and_comments_are_left_alone() {
        for sql in [
            "'it''s ?' \"a?b\" -- ?\n /* ? /* ? */ ? */ $$ ? $$ $a$ ? $$ ? $a$ E'\\' ?'",
            "U&'?' $1",
        ] {
            assert_eq!(text(sql, Style::Qmark, Engine::Postgres), (sql.to_owned(), 0), "{sql}");
        }
        let sql = "'\\' ?' `a?` # ?\n \"\\\" ?\" /* ? */";
        assert_eq!(text(sql, Style::Qmark, Engine::MySql), (sql.to_owned(), 0));
        let sql = "[a?] `?` '\\' || ?";
        assert_eq!(text(sql, Style::Qmark, Engine::Sqlite), (sql.to_owned(), 1));
        assert_eq!(text("a::int = :x", Style::Named, Engine::Postgres).0, "a::int = $1");
    }

    #[test]
    fn doubled_percent_signs_are_one_everywhere() {
        let sql = "a LIKE 'x%%' AND 7 %% 2 = %s -- 100%%\n";
        let expected = "a LIKE 'x%' AND 7 % 2 = $1 -- 100%\n";
        assert_eq!(text(sql, Style::Pyformat, Engine::Postgres), (expected.to_owned(), 1));
        assert_eq!(&*Scanned::new(sql, None, Engine::Postgres).unwrap().text, sql);
    }

    #[test]
    fn wrong_placeholders_are_told() {
        for sql in ["%(x", "%(x)d", "%s %(x)s", "a\0b"] {
            assert!(
                Scanned::new(sql, Some(Style::Pyformat), Engine::Postgres).is_err(),
                "{sql}"
            );
        }
        assert!(Scanned::new(":0", Some(Style::Numeric), Engine::Postgres).is_err());
    }

    #[test]
    fn the_first_word_and_further_statements_are_seen() {
        for (sql, verb, is_script) in [
            ("  /* x */ (select 1) ", Verb::Query, false),
            ("-- x\nInsert into a values (1);", Verb::Change, false),
            ("CREATE TABLE a (b int); DROP TABLE a", Verb::Define, true),
            ("PRAGMA foreign_keys", Verb::Outside, false),
            ("; ;", Verb::Other, false),
            ("select ';' ; -- end", Verb::Query, false),
        ] {
            let scanned = Scanned::new(sql, None, Engine::Sqlite).unwrap();
            assert_eq!((scanned.verb, scanned.is_script), (verb, is_script), "{sql}");
        }
        assert!(
            Scanned::new("insert into a values (1) returning b", None, Engine::Sqlite)
                .unwrap()
                .returns
        );
    }

    #[test]
    fn a_list_after_in_is_spread() {
        let spread = |sql: &str, values: &[Param]| {
            let scanned = Scanned::new(sql, Some(Style::Pyformat), Engine::Postgres).unwrap();
            scanned
                .spread(values)
                .map(|(scanned, values)| (scanned.text.to_string(), values.len()))
        };
        let list = |count: i64| Param::List((0..count).map(Param::Int).collect());
        assert_eq!(
            spread(
                "a = %s AND b IN %s AND c NOT in %s OR d IN%s",
                &[Param::Null, list(2), list(1), list(0)]
            ),
            Some(("a = $1 AND b IN ($2, $3) AND c NOT in ($4) OR d IN(NULL)".to_owned(), 4))
        );
        assert_eq!(spread("a = ANY(%s)", &[list(2)]), None);
        assert_eq!(spread("a = b.in %s", &[list(2)]), None);
        assert_eq!(spread("a IN %s", &[Param::Int(1)]), None);
    }

    proptest! {
        #[test]
        fn anything_can_be_scanned(sql in "[a-z%s()?:;'\"`$/*# \\n\\[\\]\\\\-]{0,60}") {
            for engine in [Engine::Postgres, Engine::MySql, Engine::Sqlite] {
                for style in [None, Some(Style::Pyformat), Some(Style::Qmark), Some(Style::Numeric), Some(Style::Named)] {
                    if let Ok(scanned) = Scanned::new(&sql, style, engine) {
                        prop_assert_eq!(scanned.pieces.len(), scanned.slots.len() + 1);
                        if style.is_none() {
                            prop_assert_eq!(&*scanned.text, sql.as_str());
                        }
                    }
                }
            }
        }
    }
}
