//! Values as text, which is how plain statements give them.

use std::borrow::Cow;

use super::super::moment::{Date, DateTime, Span, Time, seconds};
use super::super::value::Cell;
use super::types::{MAX_DIMENSIONS, PgKind, Wrong, out_of_range, span, text, too_deep};

/// Reads the text form of a value.
pub(super) fn read_text<'a>(kind: &PgKind, bytes: &'a [u8]) -> Result<Cell<'a>, Wrong> {
    let text = text(bytes)?;
    let wrong = || Wrong::Owned(format!("`{text}` cannot be read"));
    Ok(match kind {
        PgKind::Bool => Cell::Bool(text == "t"),
        PgKind::Bytea => Cell::Bytes(Cow::Owned(read_bytea(text).ok_or_else(wrong)?)),
        PgKind::Text | PgKind::Other | PgKind::Void => Cell::Text(Cow::Borrowed(text)),
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 | PgKind::Oid => Cell::Int(text.parse().map_err(|_| wrong())?),
        PgKind::Float4 | PgKind::Float8 => Cell::Float(text.parse().map_err(|_| wrong())?),
        PgKind::Numeric => Cell::Decimal(Cow::Borrowed(text)),
        PgKind::Date => match text {
            "infinity" => Cell::Date(Date::MAX),
            "-infinity" => Cell::Date(Date::MIN),
            _ => Cell::Date(Date::parse(text).ok_or_else(|| not_read(text, "the date"))?),
        },
        PgKind::Time | PgKind::TimeTz => Cell::Time(Time::parse(text).ok_or_else(wrong)?),
        PgKind::Timestamp | PgKind::TimestampTz => {
            let utc = (*kind == PgKind::TimestampTz).then_some(0);
            let point = match text {
                "infinity" => Some(DateTime::max(utc)),
                "-infinity" => Some(DateTime::min(utc)),
                _ => DateTime::parse(text),
            };
            Cell::DateTime(point.ok_or_else(|| not_read(text, "the point in time"))?)
        }
        PgKind::Interval => Cell::Span(read_interval(text).ok_or_else(|| {
            Wrong::Owned(format!(
                "`{text}` is not written in the style `postgres`; set IntervalStyle to that before it is read"
            ))
        })?),
        PgKind::Uuid => Cell::Uuid(read_uuid(text).ok_or_else(wrong)?),
        PgKind::Json | PgKind::Jsonb => Cell::Json(Cow::Borrowed(bytes)),
        PgKind::Array(element) => {
            // bounds that do not begin at 1 stand before the array: [0:1]={1,2}
            let text = text
                .split_once('=')
                .filter(|_| text.starts_with('['))
                .map_or(text, |(_, array)| array);
            let mut rest = text.strip_prefix('{').ok_or_else(wrong)?;
            let cells = read_text_array(element, &mut rest, MAX_DIMENSIONS)?;
            Cell::List(cells)
        }
    })
}

fn not_read(text: &str, what: &str) -> Wrong {
    let year = text.split('-').next().unwrap_or_default();
    if year.len() >= 4 && year.bytes().all(|byte| byte.is_ascii_digit()) {
        return out_of_range(what);
    }
    format!("`{text}` is not written as ISO; set DateStyle to ISO before it is read").into()
}

/// Reads what follows an opening brace, up to and with the closing one. `depth`: so many braces may be open.
fn read_text_array<'a>(element: &PgKind, rest: &mut &'a str, depth: usize) -> Result<Vec<Cell<'a>>, Wrong> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    let short = || Wrong::Borrowed("the array ends too early");
    let mut cells = Vec::new();
    loop {
        match rest.as_bytes().first().ok_or_else(short)? {
            b'}' => {
                *rest = &rest[1..];
                return Ok(cells);
            }
            b',' => *rest = &rest[1..],
            b'{' => {
                *rest = &rest[1..];
                cells.push(Cell::List(read_text_array(element, rest, depth)?));
            }
            b'"' => {
                let mut value = String::new();
                let mut characters = rest[1..].char_indices();
                let end = loop {
                    match characters.next().ok_or_else(short)? {
                        (at, '"') => break at,
                        (_, '\\') => value.push(characters.next().ok_or_else(short)?.1),
                        (_, character) => value.push(character),
                    }
                };
                *rest = &rest[end + 2..];
                cells.push(owned(read_text(element, value.as_bytes())?));
            }
            _ => {
                let end = rest.find([',', '}']).ok_or_else(short)?;
                let (value, after) = rest.split_at(end);
                *rest = after;
                cells.push(if value == "NULL" {
                    Cell::Null
                } else {
                    read_text(element, value.as_bytes())?
                });
            }
        }
    }
}

/// The same, holding on to nothing.
fn owned<'a>(cell: Cell<'_>) -> Cell<'a> {
    match cell {
        Cell::Null => Cell::Null,
        Cell::Bool(value) => Cell::Bool(value),
        Cell::Int(value) => Cell::Int(value),
        Cell::UInt(value) => Cell::UInt(value),
        Cell::Float(value) => Cell::Float(value),
        Cell::Decimal(text) => Cell::Decimal(Cow::Owned(text.into_owned())),
        Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
        Cell::Bytes(bytes) => Cell::Bytes(Cow::Owned(bytes.into_owned())),
        Cell::Date(date) => Cell::Date(date),
        Cell::Time(time) => Cell::Time(time),
        Cell::DateTime(point) => Cell::DateTime(point),
        Cell::Span(span) => Cell::Span(span),
        Cell::Uuid(uuid) => Cell::Uuid(uuid),
        Cell::Json(json) => Cell::Json(Cow::Owned(json.into_owned())),
        Cell::List(cells) => Cell::List(cells.into_iter().map(owned).collect()),
    }
}

fn read_bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return unhex(hex.as_bytes());
    }
    // the old form: octal escapes
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next()? {
            b'\\' => out.push(b'\\'),
            first => {
                let digits = [first, bytes.next()?, bytes.next()?];
                let value = digits
                    .iter()
                    .try_fold(0_u32, |sum, digit| Some(sum * 8 + char::from(*digit).to_digit(8)?))?;
                out.push(u8::try_from(value).ok()?);
            }
        }
    }
    Some(out)
}

fn unhex(hex: &[u8]) -> Option<Vec<u8>> {
    hex.chunks(2)
        .map(|pair| {
            let digit = |index: usize| char::from(*pair.get(index)?).to_digit(16);
            u8::try_from(digit(0)? * 16 + digit(1)?).ok()
        })
        .collect()
}

fn read_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    unhex(&digits)?.try_into().ok()
}

/// `1 year 2 mons -3 days +04:05:06.789`
fn read_interval(text: &str) -> Option<Span> {
    let (mut months, mut days, mut micros) = (0, 0, 0);
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (sign, clock) = match word.as_bytes().first() {
                Some(b'-') => (-1, &word[1..]),
                Some(b'+') => (1, &word[1..]),
                _ => (1, word),
            };
            let mut parts = clock.splitn(3, ':');
            let hours: i64 = parts.next()?.parse().ok()?;
            let minutes: i64 = parts.next()?.parse().ok()?;
            let (whole, fraction) = seconds(parts.next().unwrap_or("0"))?;
            micros = sign * (((hours * 60 + minutes) * 60 + whole) * 1_000_000 + fraction);
            continue;
        }
        let number: i64 = word.parse().ok()?;
        match words.next()?.trim_end_matches('s') {
            "year" => months += number * 12,
            "mon" => months += number,
            "day" => days += number,
            _ => return None,
        }
    }
    Some(span(months, days, micros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn intervals_are_read(years in -5_i64..5, days in -40_i64..40, hours in 0_i64..100, minus in any::<bool>()) {
            let sign = if minus { "-" } else { "" };
            let read = read_interval(&format!("{years} years {days} days {sign}{hours:02}:03:04.5")).unwrap();
            let micros = (hours * 3600 + 184) * 1_000_000 + 500_000;
            prop_assert_eq!(read.days, years * 365 + days);
            prop_assert_eq!(read.micros, if minus { -micros } else { micros });
        }
    }

    #[test]
    fn arrays_are_read_from_text() {
        let kind = PgKind::Array(Box::new(PgKind::Text));
        let read = read_text(&kind, br#"{a,"b \"c\\",NULL,{d}}"#).unwrap();
        let word = |text: &'static str| Cell::Text(Cow::Borrowed(text));
        assert_eq!(
            read,
            Cell::List(vec![
                word("a"),
                word("b \"c\\"),
                Cell::Null,
                Cell::List(vec![word("d")])
            ])
        );
        assert_eq!(read_text(&kind, b"[0:0]={x}").unwrap(), Cell::List(vec![word("x")]));
        assert_eq!(read_text(&kind, b"{}").unwrap(), Cell::List(Vec::new()));
        assert!(read_text(&kind, b"{\"a").is_err());
    }

    #[test]
    fn bytes_are_read_from_text() {
        assert_eq!(read_bytea("\\x00ff").unwrap(), [0, 255]);
        assert_eq!(read_bytea("a\\\\\\001").unwrap(), [b'a', b'\\', 1]);
        assert!(read_bytea("\\9").is_none());
    }
}
