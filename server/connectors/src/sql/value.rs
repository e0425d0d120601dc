//! Values on their way to a database, and on their way back.

use std::borrow::Cow;
use std::fmt::Write;

use super::moment::{Date, DateTime, Span, Time};

/// A value that a statement is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// NULL of any type.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An exact number, as `decimal.Decimal` writes it; also integers of more than 64 bits.
    Decimal(String),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A point in time.
    DateTime(DateTime),
    /// A span of time.
    Span(Span),
    /// A UUID.
    Uuid([u8; 16]),
    /// JSON text that stands for an object.
    Json(String),
    /// A list: an array of the database, or JSON.
    List(Vec<Param>),
}

/// A value of a row, read from its wire bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer without a sign.
    UInt(u64),
    /// A floating-point number.
    Float(f64),
    /// An exact number, as `decimal.Decimal` reads it.
    Decimal(Cow<'a, str>),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A point in time.
    DateTime(DateTime),
    /// A span of time.
    Span(Span),
    /// A UUID.
    Uuid([u8; 16]),
    /// JSON text.
    Json(Cow<'a, [u8]>),
    /// An array.
    List(Vec<Cell<'a>>),
}

impl Cell<'_> {
    /// The same, borrowed from nowhere.
    pub(super) fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(value),
            Self::Int(value) => Cell::Int(value),
            Self::UInt(value) => Cell::UInt(value),
            Self::Float(value) => Cell::Float(value),
            Self::Decimal(text) => Cell::Decimal(text.into_owned().into()),
            Self::Text(text) => Cell::Text(text.into_owned().into()),
            Self::Bytes(bytes) => Cell::Bytes(bytes.into_owned().into()),
            Self::Date(date) => Cell::Date(date),
            Self::Time(time) => Cell::Time(time),
            Self::DateTime(point) => Cell::DateTime(point),
            Self::Span(span) => Cell::Span(span),
            Self::Uuid(uuid) => Cell::Uuid(uuid),
            Self::Json(text) => Cell::Json(text.into_owned().into()),
            Self::List(cells) => Cell::List(cells.into_iter().map(Cell::into_owned).collect()),
        }
    }
}

impl Param {
    /// Writes it as JSON.
    pub(super) fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => write_to(out, format_args!("{value}")),
            Self::Decimal(text) | Self::Json(text) => out.push_str(text),
            // JSON has no word for what is no number
            Self::Float(value) if !value.is_finite() => out.push_str("null"),
            Self::Float(value) => write_to(out, format_args!("{value:?}")),
            Self::List(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write_json(out);
                }
                out.push(']');
            }
            other => {
                let text = serde_json::Value::String(other.to_text());
                write_to(out, format_args!("{text}"));
            }
        }
    }

    /// As the database would read it from text.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => if *value { "true" } else { "false" }.to_owned(),
            Self::Int(value) => value.to_string(),
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) => text.clone(),
            Self::Float(value) => float_text(*value),
            Self::Bytes(bytes) => format!("\\x{}", hex(bytes)),
            Self::Date(date) => date.to_string(),
            Self::Time(time) => time.to_string(),
            Self::DateTime(point) => point.to_string(),
            Self::Span(span) => span_text(*span),
            Self::Uuid(uuid) => uuid_text(uuid),
            Self::List(values) => {
                let mut out = String::new();
                write_array(values, &mut out);
                out
            }
        }
    }
}

/// Writes into a string, which cannot fail.
pub(super) fn write_to(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

/// As PostgreSQL and Python read it.
pub(super) fn float_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// `3 days -0.000001 seconds`
pub(super) fn span_text(span: Span) -> String {
    // in one of the styles that PostgreSQL has for them, a minus goes for all that follows without a sign
    let sign = if span.micros < 0 { "-" } else { "+" };
    let micros = span.micros.unsigned_abs();
    format!(
        "{} days {sign}{}.{:06} seconds",
        span.days,
        micros / 1_000_000,
        micros % 1_000_000
    )
}

pub(super) fn uuid_text(uuid: &[u8; 16]) -> String {
    let text = hex(uuid);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    write_hex(bytes, &mut out);
    out
}

/// Writes bytes as two digits each.
pub(super) fn write_hex(bytes: &[u8], out: &mut String) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}

/// Whether the text of an exact number is written as SQL has them: with digits, and not as `NaN` or whatever else.
pub(super) fn has_digits_only(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
}

/// An array as PostgreSQL reads it from text: `{1,"a b",NULL}`.
fn write_array(values: &[Param], out: &mut String) {
    out.push('{');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match value {
            Param::Null => out.push_str("NULL"),
            Param::List(values) => write_array(values, out),
            other => {
                out.push('"');
                for character in other.to_text().chars() {
                    if matches!(character, '"' | '\\') {
                        out.push('\\');
                    }
                    out.push(character);
                }
                out.push('"');
            }
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_json_are_written() {
        let list = Param::List(vec![
            Param::Int(1),
            Param::Null,
            Param::Text("a\"b\\".to_owned()),
            Param::List(vec![Param::Bool(true)]),
        ]);
        assert_eq!(list.to_text(), r#"{"1",NULL,"a\"b\\",{"true"}}"#);
        let mut json = String::new();
        list.write_json(&mut json);
        assert_eq!(json, r#"[1,null,"a\"b\\",[true]]"#);
    }

    #[test]
    fn spans_and_uuids_are_written() {
        let span = Span { days: -1, micros: -5 };
        assert_eq!(span_text(span), "-1 days -0.000005 seconds");
        assert_eq!(uuid_text(&[0xAB; 16]), "abababab-abab-abab-abab-abababababab");
        assert_eq!(float_text(f64::NEG_INFINITY), "-Infinity");
    }
}
