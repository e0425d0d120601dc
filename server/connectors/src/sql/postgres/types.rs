//! Types of PostgreSQL, and their values on the wire: binary from prepared statements, text from plain ones.

use std::borrow::Cow;

use sqlx::TypeInfo;
use sqlx::postgres::{PgTypeInfo, PgTypeKind};

use super::super::moment::{DAY, Date, DateTime, Span, TO_2000, Time, seconds};
use super::super::value::Cell;

/// What sqlx calls types of which it knows nothing but the number.
const UNRESOLVED: &str = "?";

/// A type whose values can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum PgKind {
    Bool,
    Bytea,
    Text,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Array(Box<PgKind>),
    Void,
    /// Its binary form is not known here; its text is text.
    Other,
}

impl PgKind {
    /// The kind of a type.
    pub(super) fn of(info: &PgTypeInfo) -> Self {
        let known = info.oid().and_then(|oid| Self::of_oid(oid.0));
        known.unwrap_or_else(|| {
            // a type that is known by its number only: what it is cannot be asked
            if info.name() == UNRESOLVED {
                return Self::Other;
            }
            match info.kind() {
                PgTypeKind::Enum(_) => Self::Text,
                PgTypeKind::Domain(base) => Self::of(base),
                PgTypeKind::Array(element) => match Self::of(element) {
                    Self::Other => Self::Other,
                    element => Self::Array(Box::new(element)),
                },
                _ if info.name().eq_ignore_ascii_case("citext") => Self::Text,
                _ => Self::Other,
            }
        })
    }

    /// The kind of a type that every server has.
    fn of_oid(oid: u32) -> Option<Self> {
        Some(match oid {
            16 => Self::Bool,
            17 => Self::Bytea,
            // "char", name, text, xml, unknown, bpchar, varchar, cstring
            18 | 19 | 25 | 142 | 705 | 1042 | 1043 | 2275 => Self::Text,
            20 => Self::Int8,
            21 => Self::Int2,
            23 => Self::Int4,
            26 => Self::Oid,
            114 => Self::Json,
            700 => Self::Float4,
            701 => Self::Float8,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1186 => Self::Interval,
            1266 => Self::TimeTz,
            1700 => Self::Numeric,
            2278 => Self::Void,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => {
                let element = match oid {
                    143 => 142,
                    199 => 114,
                    1000 => 16,
                    1001 => 17,
                    1002 => 18,
                    1003 => 19,
                    1005 => 21,
                    1007 => 23,
                    1009 => 25,
                    1014 => 1042,
                    1015 => 1043,
                    1016 => 20,
                    1021 => 700,
                    1022 => 701,
                    1028 => 26,
                    1115 => 1114,
                    1182 => 1082,
                    1183 => 1083,
                    1185 => 1184,
                    1187 => 1186,
                    1231 => 1700,
                    1270 => 1266,
                    2951 => 2950,
                    3807 => 3802,
                    _ => return None,
                };
                Self::Array(Box::new(Self::of_oid(element)?))
            }
        })
    }
}

/// What is wrong with a value.
pub(super) type Wrong = Cow<'static, str>;

fn cut<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Wrong> {
    bytes
        .try_into()
        .map_err(|_| Wrong::Borrowed("its length on the wire is wrong"))
}

fn out_of_range(what: &str) -> Wrong {
    format!("{what} is outside of what Python has, the years 1 to 9999").into()
}

/// Reads the binary form of a value, if it is of one of the usual types and nothing is wrong with it.
#[inline(always)]
pub(super) fn read_common<'a>(kind: &PgKind, bytes: &'a [u8]) -> Option<Cell<'a>> {
    Some(match kind {
        PgKind::Int4 => Cell::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        PgKind::Int8 => Cell::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        PgKind::Float8 => Cell::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
        PgKind::Bool => Cell::Bool(bytes == [1]),
        PgKind::Text if bytes != [0] => Cell::Text(Cow::Borrowed(std::str::from_utf8(bytes).ok()?)),
        _ => return None,
    })
}

/// Reads the binary form of a value.
pub(super) fn read_binary<'a>(kind: &PgKind, bytes: &'a [u8]) -> Result<Cell<'a>, Wrong> {
    Ok(match kind {
        PgKind::Bool => Cell::Bool(bytes.first() == Some(&1)),
        PgKind::Bytea => Cell::Bytes(Cow::Borrowed(bytes)),
        // the type "char" writes nothing as a byte of zero, which texts cannot have
        PgKind::Text if bytes == [0] => Cell::Text(Cow::Borrowed("")),
        PgKind::Text => Cell::Text(Cow::Borrowed(text(bytes)?)),
        PgKind::Int2 => Cell::Int(i16::from_be_bytes(cut(bytes)?).into()),
        PgKind::Int4 => Cell::Int(i32::from_be_bytes(cut(bytes)?).into()),
        PgKind::Int8 => Cell::Int(i64::from_be_bytes(cut(bytes)?)),
        PgKind::Oid => Cell::Int(u32::from_be_bytes(cut(bytes)?).into()),
        PgKind::Float4 => Cell::Float(widen(f32::from_be_bytes(cut(bytes)?))),
        PgKind::Float8 => Cell::Float(f64::from_be_bytes(cut(bytes)?)),
        PgKind::Numeric => Cell::Decimal(Cow::Owned(read_numeric(bytes)?)),
        PgKind::Date => match i32::from_be_bytes(cut(bytes)?) {
            i32::MAX => Cell::Date(Date::MAX),
            i32::MIN => Cell::Date(Date::MIN),
            days => Cell::Date(Date::from_days(i64::from(days) + TO_2000).ok_or_else(|| out_of_range("the date"))?),
        },
        PgKind::Time => Cell::Time(time(i64::from_be_bytes(cut(bytes)?))?),
        PgKind::TimeTz => {
            let micros = i64::from_be_bytes(cut(bytes.get(..8).unwrap_or_default())?);
            // counted westwards
            let west = i32::from_be_bytes(cut(&bytes[8..])?);
            Cell::Time(time(micros)?.at(-west))
        }
        PgKind::Timestamp => Cell::DateTime(point(i64::from_be_bytes(cut(bytes)?), None)?),
        PgKind::TimestampTz => Cell::DateTime(point(i64::from_be_bytes(cut(bytes)?), Some(0))?),
        PgKind::Interval => {
            let bytes: [u8; 16] = cut(bytes)?;
            let micros = i64::from_be_bytes(cut(&bytes[..8])?);
            let days = i32::from_be_bytes(cut(&bytes[8..12])?);
            let months = i32::from_be_bytes(cut(&bytes[12..])?);
            Cell::Span(span(i64::from(months), i64::from(days), micros))
        }
        PgKind::Uuid => Cell::Uuid(cut(bytes)?),
        PgKind::Json => Cell::Json(Cow::Borrowed(bytes)),
        PgKind::Jsonb => match bytes.split_first() {
            Some((1, json)) => Cell::Json(Cow::Borrowed(json)),
            _ => return Err("it is jsonb of a version that is not known".into()),
        },
        PgKind::Array(element) => read_binary_array(element, bytes)?,
        PgKind::Void => Cell::Text(Cow::Borrowed("")),
        PgKind::Other => Cell::Bytes(Cow::Borrowed(bytes)),
    })
}

fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|_| Wrong::Borrowed("it is not UTF-8"))
}

/// The shortest text of the narrow number, read as a wide one: 0.1 stays 0.1.
pub(in super::super) fn widen(value: f32) -> f64 {
    if value.is_finite() {
        value.to_string().parse().unwrap_or(f64::from(value))
    } else {
        f64::from(value)
    }
}

fn time(micros: i64) -> Result<Time, Wrong> {
    Time::from_micros(micros).ok_or(Wrong::Borrowed("it is no time of day"))
}

fn point(micros: i64, offset: Option<i32>) -> Result<DateTime, Wrong> {
    match micros {
        i64::MAX => return Ok(DateTime::max(offset)),
        i64::MIN => return Ok(DateTime::min(offset)),
        _ => {}
    }
    let point = micros.checked_add(TO_2000 * DAY).and_then(DateTime::from_micros);
    let mut point = point.ok_or_else(|| out_of_range("the point in time"))?;
    point.time.offset = offset;
    Ok(point)
}

/// Python has no months and years: they are 30 and 365 days, as with psycopg2.
fn span(months: i64, days: i64, micros: i64) -> Span {
    Span {
        days: months / 12 * 365 + months % 12 * 30 + days,
        micros,
    }
}

/// Reads an exact number: groups of four digits, where the point stands among them, and how many digits are behind it.
fn read_numeric(bytes: &[u8]) -> Result<String, Wrong> {
    let short = || Wrong::Borrowed("its length on the wire is wrong");
    let word = |index: usize| -> Result<[u8; 2], Wrong> { cut(bytes.get(index * 2..index * 2 + 2).ok_or_else(short)?) };
    let count = i16::from_be_bytes(word(0)?);
    let weight = i64::from(i16::from_be_bytes(word(1)?));
    let sign = u16::from_be_bytes(word(2)?);
    let scale = usize::from(u16::from_be_bytes(word(3)?));
    match sign {
        0x0000 | 0x4000 => {}
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        0xF000 => return Ok("-Infinity".to_owned()),
        _ => return Err("its sign is not known".into()),
    }
    let group = |place: i64| -> Result<u16, Wrong> {
        if (0..i64::from(count)).contains(&place) {
            word(4 + place as usize).map(u16::from_be_bytes)
        } else {
            Ok(0)
        }
    };
    let mut out = String::with_capacity(count.max(0) as usize * 4 + scale + 3);
    if sign == 0x4000 {
        out.push('-');
    }
    let start = out.len();
    for place in 0..=weight {
        let group = group(place)?;
        if out.len() > start {
            push_digits(group, 4, &mut out);
        } else if group != 0 {
            push_digits(
                group,
                1 + usize::from(group > 9) + usize::from(group > 99) + usize::from(group > 999),
                &mut out,
            );
        }
    }
    if out.len() == start {
        out.push('0');
    }
    if scale > 0 {
        out.push('.');
        let end = out.len() + scale;
        let mut place = weight + 1;
        while out.len() < end {
            // before the first group that is stored there are only zeros
            push_digits(group(place)?, 4, &mut out);
            place += 1;
        }
        out.truncate(end);
    }
    Ok(out)
}

/// The last digits of a group of up to four.
fn push_digits(group: u16, count: usize, out: &mut String) {
    for divisor in &[1000, 100, 10, 1][4 - count..] {
        out.push(char::from(b'0' + (group / divisor % 10) as u8));
    }
}

/// Writes an exact number as `Decimal` spells it, with an exponent or without.
pub(super) fn write_numeric(text: &str, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let wrong = || Wrong::Owned(format!("`{text}` is no number"));
    let (is_negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let head = |out: &mut Vec<u8>, words: [u16; 4]| words.iter().for_each(|word| out.extend(word.to_be_bytes()));
    if digits.eq_ignore_ascii_case("infinity") || digits.eq_ignore_ascii_case("inf") {
        head(out, [0, 0, if is_negative { 0xF000 } else { 0xD000 }, 0]);
        return Ok(());
    }
    if digits.eq_ignore_ascii_case("nan") || digits.eq_ignore_ascii_case("snan") {
        head(out, [0, 0, 0xC000, 0]);
        return Ok(());
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| wrong())?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    // the point stands after so many of the digits
    let point = whole.len() as i64 + exponent;
    let scale = (fraction.len() as i64 - exponent).max(0);
    if point > 131_072 || scale > 16_383 {
        return Err(format!(
            "the number has more digits than numeric can have: {} before, {scale} behind",
            point.max(0)
        )
        .into());
    }
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let digit = |place: i64| {
        usize::try_from(place)
            .ok()
            .and_then(|place| all.get(place))
            .copied()
            .unwrap_or(0)
    };
    // groups of four, counted from the point
    let first = -point.div_euclid(4) - i64::from(point.rem_euclid(4) != 0);
    let last = (scale + 3) / 4;
    let mut groups: Vec<u16> = (first..last)
        .map(|group| (0..4).fold(0, |sum, index| sum * 10 + u16::from(digit(point + group * 4 + index))))
        .collect();
    let mut weight = -first - 1;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= leading as i64;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let count = i16::try_from(groups.len()).map_err(|_| wrong())?;
    let weight = i16::try_from(weight).map_err(|_| wrong())?;
    let sign = if is_negative && !groups.is_empty() { 0x4000 } else { 0 };
    head(out, [count as u16, weight as u16, sign, scale as u16]);
    groups.iter().for_each(|group| out.extend(group.to_be_bytes()));
    Ok(())
}

fn read_binary_array<'a>(element: &PgKind, bytes: &'a [u8]) -> Result<Cell<'a>, Wrong> {
    let mut reader = Reader(bytes);
    let dimensions = reader.int()?;
    let _has_nulls = reader.int()?;
    let _element = reader.int()?;
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(reader.int()?.max(0) as usize);
        let _lower_bound = reader.int()?;
    }
    if lengths.is_empty() {
        return Ok(Cell::List(Vec::new()));
    }
    reader.dimension(element, &lengths)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Wrong::Borrowed("its length on the wire is wrong"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn int(&mut self) -> Result<i32, Wrong> {
        Ok(i32::from_be_bytes(cut(self.take(4)?)?))
    }

    fn dimension(&mut self, element: &PgKind, lengths: &[usize]) -> Result<Cell<'a>, Wrong> {
        let mut cells = Vec::new();
        for _ in 0..lengths[0] {
            cells.push(if lengths.len() > 1 {
                self.dimension(element, &lengths[1..])?
            } else {
                match self.int()? {
                    -1 => Cell::Null,
                    length => read_binary(element, self.take(length.max(0) as usize)?)?,
                }
            });
        }
        Ok(Cell::List(cells))
    }
}

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
            _ => Cell::Date(Date::parse(text).ok_or_else(|| out_of_range("the date"))?),
        },
        PgKind::Time | PgKind::TimeTz => Cell::Time(Time::parse(text).ok_or_else(wrong)?),
        PgKind::Timestamp | PgKind::TimestampTz => {
            let offset = (*kind == PgKind::TimestampTz).then_some(0);
            let point = match text {
                "infinity" => Some(DateTime::max(offset)),
                "-infinity" => Some(DateTime::min(offset)),
                _ => {
                    DateTime::parse(text).and_then(|point| if offset.is_some() { point.in_utc() } else { Some(point) })
                }
            };
            Cell::DateTime(point.ok_or_else(|| out_of_range("the point in time"))?)
        }
        PgKind::Interval => Cell::Span(read_interval(text).ok_or_else(wrong)?),
        PgKind::Uuid => Cell::Uuid(read_uuid(text).ok_or_else(wrong)?),
        PgKind::Json | PgKind::Jsonb => Cell::Json(Cow::Borrowed(bytes)),
        PgKind::Array(element) => {
            // bounds that do not begin at 1 stand before the array: [0:1]={1,2}
            let text = text
                .split_once('=')
                .filter(|_| text.starts_with('['))
                .map_or(text, |(_, array)| array);
            let mut rest = text.strip_prefix('{').ok_or_else(wrong)?;
            let cells = read_text_array(element, &mut rest)?;
            Cell::List(cells)
        }
    })
}

/// Reads what follows an opening brace, up to and with the closing one.
fn read_text_array<'a>(element: &PgKind, rest: &mut &'a str) -> Result<Vec<Cell<'a>>, Wrong> {
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
                cells.push(Cell::List(read_text_array(element, rest)?));
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

    fn numeric(text: &str) -> String {
        let mut wire = Vec::new();
        write_numeric(text, &mut wire).unwrap();
        read_numeric(&wire).unwrap()
    }

    #[test]
    fn exact_numbers_keep_every_digit() {
        for (text, expected) in [
            ("0", "0"),
            ("0.00", "0.00"),
            ("-0.0001", "-0.0001"),
            ("12345.6789", "12345.6789"),
            ("10000", "10000"),
            ("100000000.00000001", "100000000.00000001"),
            ("1E+5", "100000"),
            ("1.5E-7", "0.00000015"),
            ("0E-3", "0.000"),
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
            (
                "99999999999999999999999999999999.99",
                "99999999999999999999999999999999.99",
            ),
        ] {
            assert_eq!(numeric(text), expected, "{text}");
        }
        for text in ["", "1,5", "1E", "0x1", "1E+200000", "1E-20000"] {
            assert!(write_numeric(text, &mut Vec::new()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn exact_numbers_there_and_back(whole in "0|[1-9][0-9]{0,30}", fraction in "[0-9]{0,30}", minus in any::<bool>()) {
            let mut text = if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") };
            let is_zero = !text.contains(|digit: char| ('1'..='9').contains(&digit));
            if minus && !is_zero {
                text.insert(0, '-');
            }
            prop_assert_eq!(numeric(&text), text);
        }

        #[test]
        fn nothing_on_the_wire_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for kind in [PgKind::Numeric, PgKind::Interval, PgKind::TimestampTz, PgKind::TimeTz, PgKind::Jsonb, PgKind::Uuid,
                PgKind::Date, PgKind::Array(Box::new(PgKind::Text)), PgKind::Bytea] {
                let _ = read_binary(&kind, &bytes);
                let _ = read_text(&kind, &bytes);
            }
        }

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
    fn infinity_is_the_end_of_time() {
        assert_eq!(
            read_binary(&PgKind::Date, &i32::MAX.to_be_bytes()).unwrap(),
            Cell::Date(Date::MAX)
        );
        let min = Cell::DateTime(DateTime::min(Some(0)));
        assert_eq!(read_binary(&PgKind::TimestampTz, &i64::MIN.to_be_bytes()).unwrap(), min);
        assert!(read_binary(&PgKind::Date, &2_932_900_i32.to_be_bytes()).is_err());
    }

    #[test]
    fn bytes_are_read_from_text() {
        assert_eq!(read_bytea("\\x00ff").unwrap(), [0, 255]);
        assert_eq!(read_bytea("a\\\\\\001").unwrap(), [b'a', b'\\', 1]);
        assert!(read_bytea("\\9").is_none());
    }
}
