//! Goes through a statement, byte by byte.

use super::words::Words;
use super::{Slot, Style};
use crate::sql::error::{SqlFailure, SqlFailureClass};
use crate::sql::options::Engine;

/// A statement while it is cut.
pub(super) struct Scanner<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Within a comment that is run.
    is_run: bool,
    /// One more than the last place that a placeholder stands for.
    places: usize,
    style: Option<Style>,
    engine: Engine,
    pub(super) piece: String,
    /// Up to where the text has gone into the piece.
    copied: usize,
    pub(super) pieces: Vec<String>,
    pub(super) slots: Vec<Slot>,
    /// Of those, the ones that stand in strings.
    pub(super) inside: Vec<usize>,
    pub(super) words: Words,
}

impl<'a> Scanner<'a> {
    /// Cuts a statement to its end.
    pub(super) fn cut(sql: &'a str, style: Option<Style>, engine: Engine) -> Result<Self, SqlFailure> {
        let mut scanner = Self {
            sql,
            bytes: sql.as_bytes(),
            at: 0,
            is_run: false,
            places: 0,
            style,
            engine,
            piece: String::with_capacity(sql.len()),
            copied: 0,
            pieces: Vec::new(),
            slots: Vec::new(),
            inside: Vec::new(),
            words: Words::default(),
        };
        scanner.run()?;
        Ok(scanner)
    }

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
                b'-' if self.next() == Some(b'-') && self.is_remark() => self.line(),
                b'#' if self.engine == Engine::MySql => self.line(),
                b'/' if self.engine == Engine::MySql && self.rest().starts_with("/*!") => self.run_comment(3),
                b'/' if self.engine == Engine::MySql && self.rest().starts_with("/*M!") => self.run_comment(4),
                b'*' if self.is_run && self.next() == Some(b'/') => {
                    self.is_run = false;
                    self.at += 2;
                }
                b'/' if self.next() == Some(b'*') => self.comment(),
                b'$' if self.engine == Engine::Postgres => self.dollar(),
                b';' => {
                    self.words.end();
                    self.at += 1;
                }
                b'%' => self.percent()?,
                b'?' if self.style == Some(Style::Qmark) => {
                    if self.next() == Some(b'?') {
                        self.skip_one();
                    } else if self.engine == Engine::Sqlite && self.next().is_some_and(|next| next.is_ascii_digit()) {
                        self.numbered()?;
                    } else {
                        self.slot(Slot::Place(self.places), 1);
                    }
                }
                b':' => self.colon()?,
                byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                    let start = self.at;
                    self.word();
                    let word = &self.sql[start..self.at];
                    self.words.take(word);
                }
                byte if byte.is_ascii_whitespace() => self.at += 1,
                b'(' => {
                    self.words.open();
                    self.at += 1;
                }
                byte => {
                    self.words.sign(byte);
                    self.at += 1;
                }
            }
        }
        self.copy();
        Ok(())
    }

    fn rest(&self) -> &str {
        self.sql.get(self.at..).unwrap_or_default()
    }

    /// The beginning of a comment that is run, by versions from a number on.
    fn run_comment(&mut self, length: usize) {
        self.is_run = true;
        self.at += length;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// Whether the two signs here begin a comment. With MySQL they may be two signs: `5--1`.
    fn is_remark(&self) -> bool {
        let after = self.bytes.get(self.at + 2);
        self.engine != Engine::MySql || after.is_none_or(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
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
        if let Slot::Place(place) = slot {
            self.places = self.places.max(place + 1);
        }
        self.slots.push(slot);
        self.words.sign(b'?');
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
        if end == b'\'' {
            self.words.string();
        } else {
            self.words.name();
        }
        self.at += 1;
        let start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte == b'\\' && has_escapes {
                // what callers write for a percent sign is two of them here, too
                let is_percent = self.style == Some(Style::Pyformat) && self.next() == Some(b'%');
                self.at = (self.at + if is_percent { 1 } else { 2 }).min(self.bytes.len());
            } else if byte == end {
                self.at += 1;
                if self.bytes.get(self.at) != Some(&end) {
                    let content = &self.sql[start..self.at - 1];
                    if end == b'\'' {
                        self.words.content(content);
                    } else {
                        self.words.quoted_name(content);
                    }
                    return;
                }
                self.at += 1;
            } else if end == b'\'' && byte == b'%' && self.engine != Engine::Sqlite && self.is_placeholder() {
                // drivers that write values into statements do so here, too: `interval '%s days'`
                self.inside.push(self.slots.len());
                self.placeholder();
            } else {
                self.inside();
            }
        }
    }

    /// Whether the percent sign here begins a placeholder.
    fn is_placeholder(&self) -> bool {
        let rest = &self.sql[self.at + 1..];
        let is_named = || {
            let (name, after) = rest.split_once(')')?;
            // a string may end before there is a parenthesis
            (name.starts_with('(') && !name.contains('\'') && after.starts_with('s')).then_some(())
        };
        self.style == Some(Style::Pyformat) && (rest.starts_with('s') || is_named().is_some())
    }

    /// The placeholder that begins here.
    fn placeholder(&mut self) {
        match self.sql[self.at + 2..].split_once(')') {
            Some((name, _)) if self.next() == Some(b'(') => {
                self.slot(Slot::Name(name.to_owned()), name.len() + 4);
            }
            _ => self.slot(Slot::Place(self.slots.len()), 2),
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
        let start = self.at;
        while self.at < end {
            self.inside();
        }
        self.words.content(&self.sql[start..self.at]);
    }

    /// `?1` of SQLite.
    fn numbered(&mut self) -> Result<(), SqlFailure> {
        let digits = self.rest()[1..].bytes().take_while(u8::is_ascii_digit).count();
        let place = place(&self.rest()[..=digits])?;
        self.slot(Slot::Place(place), 1 + digits);
        Ok(())
    }

    fn percent(&mut self) -> Result<(), SqlFailure> {
        if self.style != Some(Style::Pyformat) {
            self.at += 1;
            return Ok(());
        }
        match self.next() {
            Some(b'%') => self.skip_one(),
            _ if self.is_placeholder() => self.placeholder(),
            Some(b'(') => {
                return Err(match self.sql[self.at + 2..].split_once(')') {
                    Some((name, _)) => wrong(&format!("`%({name})` without `s` after it")),
                    None => wrong("`%(` without `)s` after it"),
                });
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
                let place = place(&self.rest()[..length])?;
                self.slot(Slot::Place(place), length);
            }
            (Style::Named, Some(first)) if !first.is_ascii_digit() => {
                self.slot(Slot::Name(name.to_owned()), length);
            }
            _ => self.at = start + length,
        }
        Ok(())
    }
}

/// What `:1` or `?1` stands for.
fn place(placeholder: &str) -> Result<usize, SqlFailure> {
    let number = placeholder[1..]
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1));
    number.ok_or_else(|| wrong(&format!("`{placeholder}` is no place of a value, they begin at 1")))
}

fn wrong(message: &str) -> SqlFailure {
    SqlFailure::new(
        SqlFailureClass::Programming,
        format!("a placeholder of the statement cannot be read: {message}"),
    )
}
