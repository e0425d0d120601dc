//! Values as SQL of MySQL has them.

use std::borrow::Cow;

use super::super::error::{SqlFailure, SqlFailureClass};
use super::super::moment::{Span, Time};
use super::super::value::{Param, has_digits_only, uuid_text, write_hex, write_to};

/// Sets of characters that leave UTF-8 as it is.
const PLAIN: [&str; 2] = ["utf8mb4", "binary"];
/// Digits that an exact number is written out with.
const MAX_DIGITS: usize = 1000;

/// How strings are written, which the session decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// A backslash takes the meaning of what follows.
    Escaped,
    /// A backslash means nothing: NO_BACKSLASH_ESCAPES.
    Doubled,
    /// The server takes what it gets for something else than UTF-8, or nobody knows: only what is the same everywhere is in quotes.
    Digits,
}

impl Quoting {
    /// By the session's `sql_mode` and `character_set_client`.
    pub(super) fn of(mode: &str, charset: &str) -> Self {
        if !PLAIN.contains(&charset) {
            Self::Digits
        } else if mode.contains("NO_BACKSLASH_ESCAPES") {
            Self::Doubled
        } else {
            Self::Escaped
        }
    }

    pub(super) fn write(self, text: &str, out: &mut String) {
        if self == Self::Digits && (!text.is_ascii() || text.contains('\\')) {
            out.push_str("_utf8mb4 x'");
            write_hex(text.as_bytes(), out);
            out.push('\'');
            return;
        }
        out.push('\'');
        let mut rest = text;
        while let Some(at) = rest.find(['\'', '\\']) {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            let special = &after[..1];
            out.push_str(special);
            if special == "'" || self == Self::Escaped {
                out.push_str(special);
            }
            rest = &after[1..];
        }
        out.push_str(rest);
        out.push('\'');
    }
}

/// A statement with its values in it.
pub(super) fn with_values(pieces: &[String], values: &[Param], quoting: Quoting) -> Result<String, SqlFailure> {
    let mut out = String::with_capacity(pieces.iter().map(String::len).sum::<usize>() + 16 * values.len());
    write_with_values(pieces, values, quoting, &mut out)?;
    Ok(out)
}

/// Writes what stands between values, and those.
pub(super) fn write_with_values(
    pieces: &[String],
    values: &[Param],
    quoting: Quoting,
    out: &mut String,
) -> Result<(), SqlFailure> {
    for (index, piece) in pieces.iter().enumerate() {
        if let Some(value) = index.checked_sub(1).and_then(|index| values.get(index)) {
            write_literal(value, quoting, out)?;
        }
        out.push_str(piece);
    }
    Ok(())
}

fn write_literal(value: &Param, quoting: Quoting, out: &mut String) -> Result<(), SqlFailure> {
    check_number(value)?;
    match value {
        Param::Null => out.push_str("NULL"),
        Param::Bool(value) => out.push(if *value { '1' } else { '0' }),
        // without a space: two minuses are a comment only if one follows
        Param::Int(value) => write_to(out, format_args!("{value}")),
        Param::Float(value) => {
            let digits = format!("{value:?}");
            // without an exponent it would be an exact number
            let exponent = if digits.contains('e') { "" } else { "e0" };
            write_to(out, format_args!("{digits}{exponent}"));
        }
        Param::Decimal(text) => out.push_str(&written_out(text)),
        Param::Bytes(bytes) => {
            out.push_str("_binary x'");
            write_hex(bytes, out);
            out.push('\'');
        }
        Param::Text(text) | Param::Json(text) => quoting.write(text, out),
        Param::List(items) if items.is_empty() => out.push_str("(NULL)"),
        Param::List(items) => {
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "(" } else { ", " });
                write_literal(item, quoting, out)?;
            }
            out.push(')');
        }
        other => quoting.write(&text_of(other), out),
    }
    Ok(())
}

/// An exact number without an exponent, with which it would be a floating-point number: `1.5E+3` is `1500`.
fn written_out(text: &str) -> Cow<'_, str> {
    let parts = || {
        let (digits, exponent) = text.split_once(['e', 'E'])?;
        let exponent: i32 = exponent.parse().ok()?;
        let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
        let digits = format!("{whole}{fraction}");
        let before = usize::try_from(point.unsigned_abs())
            .ok()
            .filter(|count| *count <= MAX_DIGITS)?;
        Some(if point <= 0 {
            format!("{sign}0.{}{digits}", "0".repeat(before))
        } else if before >= digits.len() {
            format!("{sign}{digits}{}", "0".repeat(before - digits.len()))
        } else {
            format!("{sign}{}.{}", &digits[..before], &digits[before..])
        })
    };
    parts().map_or(Cow::Borrowed(text), Cow::Owned)
}

/// What stands in quotes.
pub(super) fn text_of(value: &Param) -> String {
    match value {
        Param::Span(span) => clock(*span),
        // clocks on walls: MySQL has no zones
        Param::DateTime(point) => {
            let mut point = *point;
            point.time.offset = None;
            point.to_string()
        }
        Param::Time(time) => Time { offset: None, ..*time }.to_string(),
        Param::Uuid(uuid) => uuid_text(uuid),
        other => other.to_text(),
    }
}

/// Refuses what is no number to the server, which would store zero.
pub(super) fn check_number(value: &Param) -> Result<(), SqlFailure> {
    let text = match value {
        Param::Float(value) if !value.is_finite() => value.to_string(),
        Param::Decimal(text) if !has_digits_only(text) => text.clone(),
        _ => return Ok(()),
    };
    let message = format!("MySQL and MariaDB have no number {text}; give None, which is NULL, in its place");
    Err(SqlFailure::new(SqlFailureClass::Data, message))
}

/// A span as MySQL's TIME: `-838:59:59`, and the fraction if it has one.
fn clock(span: Span) -> String {
    let total = span.total_micros();
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    let seconds = total / 1_000_000;
    let (hours, minutes, seconds, micros) = (seconds / 3600, seconds / 60 % 60, seconds % 60, total % 1_000_000);
    let whole = format!("{sign}{hours:02}:{minutes:02}:{seconds:02}");
    if micros == 0 {
        whole
    } else {
        format!("{whole}.{micros:06}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(value: &Param, quoting: Quoting) -> String {
        let mut out = String::new();
        write_literal(value, quoting, &mut out).unwrap();
        out
    }

    #[test]
    fn no_text_gets_out_of_its_quotes() {
        let text = Param::Text(r"a\' OR 1=1 -- 😀".to_owned());
        assert_eq!(literal(&text, Quoting::Escaped), r"'a\\'' OR 1=1 -- 😀'");
        assert_eq!(literal(&text, Quoting::Doubled), r"'a\'' OR 1=1 -- 😀'");
        assert_eq!(literal(&Param::Text("'\\".to_owned()), Quoting::Escaped), r"'''\\'");
        let anywhere = |text: &str| literal(&Param::Text(text.to_owned()), Quoting::Digits);
        assert_eq!(anywhere("it's"), "'it''s'");
        assert_eq!(anywhere("\\"), "_utf8mb4 x'5c'");
        assert_eq!(anywhere("ż"), "_utf8mb4 x'c5bc'");
    }

    #[test]
    fn sessions_say_how_strings_are_written() {
        assert_eq!(Quoting::of("STRICT_TRANS_TABLES", "utf8mb4"), Quoting::Escaped);
        assert_eq!(Quoting::of("ANSI,NO_BACKSLASH_ESCAPES", "utf8mb4"), Quoting::Doubled);
        // half of a character of gbk may be a backslash, and latin1 takes each byte for one
        for charset in ["gbk", "latin1"] {
            assert_eq!(Quoting::of("", charset), Quoting::Digits);
        }
    }

    #[test]
    fn numbers_are_of_their_kind() {
        let all = |value: Param| literal(&value, Quoting::Escaped);
        assert_eq!(all(Param::Int(-5)), "-5");
        assert_eq!(all(Param::Float(1.5)), "1.5e0");
        assert_eq!(all(Param::Float(1e300)), "1e300");
        assert_eq!(all(Param::Decimal("1.50".to_owned())), "1.50");
        for (text, expected) in [
            ("1E+3", "1000"),
            ("-1.50E+1", "-15.0"),
            ("1.5E-7", "0.00000015"),
            ("-2E-1", "-0.2"),
            ("1.25E+2", "125"),
            ("0E-3", "0.000"),
            ("1E+99999", "1E+99999"),
        ] {
            assert_eq!(all(Param::Decimal(text.to_owned())), expected);
        }
        assert_eq!(all(Param::Bytes(vec![0, 39])), "_binary x'0027'");
        let pair = |a, b| Param::List(vec![Param::Int(a), Param::Int(b)]);
        assert_eq!(all(Param::List(vec![pair(1, 2), pair(3, 4)])), "((1, 2), (3, 4))");
        assert_eq!(all(Param::List(Vec::new())), "(NULL)");
        let mut out = String::new();
        for text in ["NaN", "1;drop"] {
            assert!(write_literal(&Param::Decimal(text.to_owned()), Quoting::Escaped, &mut out).is_err());
        }
        assert!(write_literal(&Param::Float(f64::NAN), Quoting::Escaped, &mut out).is_err());
    }

    #[test]
    fn spans_are_clocks_that_may_run_backwards() {
        let span = |days, micros| clock(Span { days, micros });
        assert_eq!(span(-1, 3_600_000_000), "-23:00:00");
        assert_eq!(span(1, 500_000), "24:00:00.500000");
    }
}
