//! Types of PostgreSQL, and their values in the binary form, which is what prepared statements are asked for.

use std::borrow::Cow;

use super::super::moment::{DAY, Date, DateTime, Span, TO_2000, Time};
use super::super::value::Cell;
use super::numeric::read_numeric;

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
    /// Whether it is text in any form, or made of such.
    pub(super) fn is_other(&self) -> bool {
        match self {
            Self::Other => true,
            Self::Array(element) => element.is_other(),
            _ => false,
        }
    }

    /// Whether it is a point in time that has a zone, or made of such.
    pub(super) fn has_zone(&self) -> bool {
        match self {
            Self::TimestampTz => true,
            Self::Array(element) => element.has_zone(),
            _ => false,
        }
    }

    /// The kind of a type that every server has.
    pub(super) fn of_oid(oid: u32) -> Option<Self> {
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
            // addresses of networks, which have no form of their own here
            651 | 1040 | 1041 => Self::Array(Box::new(Self::Other)),
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

pub(super) fn cut<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Wrong> {
    bytes
        .try_into()
        .map_err(|_| Wrong::Borrowed("its length on the wire is wrong"))
}

pub(super) fn out_of_range(what: &str) -> Wrong {
    format!("{what} is outside of what Python has, the years 1 to 9999").into()
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
        PgKind::Numeric => {
            let mut text = String::new();
            read_numeric(bytes, &mut text)?;
            Cell::Decimal(Cow::Owned(text))
        }
        PgKind::Date => Cell::Date(date(bytes)?),
        PgKind::Time => Cell::Time(time(i64::from_be_bytes(cut(bytes)?))?),
        PgKind::TimeTz => {
            let micros = i64::from_be_bytes(cut(bytes.get(..8).unwrap_or_default())?);
            // counted westwards
            let west = i32::from_be_bytes(cut(&bytes[8..])?);
            Cell::Time(time(micros)?.at(-west))
        }
        PgKind::Timestamp => Cell::DateTime(point(bytes, None)?),
        PgKind::TimestampTz => Cell::DateTime(point(bytes, Some(0))?),
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

pub(super) fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|_| Wrong::Borrowed("it is not UTF-8"))
}

/// The shortest text of the narrow number, read as a wide one: 0.1 stays 0.1.
fn widen(value: f32) -> f64 {
    if value.is_finite() {
        value.to_string().parse().unwrap_or(f64::from(value))
    } else {
        f64::from(value)
    }
}

fn time(micros: i64) -> Result<Time, Wrong> {
    Time::from_micros(micros).ok_or(Wrong::Borrowed("it is no time of day"))
}

#[inline]
pub(super) fn date(bytes: &[u8]) -> Result<Date, Wrong> {
    match i32::from_be_bytes(cut(bytes)?) {
        i32::MAX => Ok(Date::MAX),
        i32::MIN => Ok(Date::MIN),
        days => Date::from_days(i64::from(days) + TO_2000).ok_or_else(|| out_of_range("the date")),
    }
}

#[inline]
pub(super) fn point(bytes: &[u8], offset: Option<i32>) -> Result<DateTime, Wrong> {
    let micros = i64::from_be_bytes(cut(bytes)?);
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
pub(super) fn span(months: i64, days: i64, micros: i64) -> Span {
    Span {
        days: months / 12 * 365 + months % 12 * 30 + days,
        micros,
    }
}

fn read_binary_array<'a>(element: &PgKind, bytes: &'a [u8]) -> Result<Cell<'a>, Wrong> {
    let mut reader = Reader(bytes);
    let dimensions = reader.int()?;
    let _has_nulls = reader.int()?;
    let _element = reader.int()?;
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        if lengths.len() == MAX_DIMENSIONS {
            return Err(too_deep());
        }
        lengths.push(usize::try_from(reader.int()?).unwrap_or(0));
        let _lower_bound = reader.int()?;
    }
    if lengths.is_empty() {
        return Ok(Cell::List(Vec::new()));
    }
    // each element has a length of four bytes
    let all = lengths.iter().try_fold(1_usize, |all, length| all.checked_mul(*length));
    if all.is_none_or(|all| all == 0 || all > reader.0.len() / 4) {
        return Err("its length on the wire is wrong".into());
    }
    reader.dimension(element, &lengths)
}

/// Dimensions that an array can have.
pub(super) const MAX_DIMENSIONS: usize = 6;

#[cold]
pub(super) fn too_deep() -> Wrong {
    format!("the array has more than {MAX_DIMENSIONS} dimensions").into()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::text::read_text;
    use super::*;

    proptest! {
        #[test]
        fn nothing_on_the_wire_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for kind in [PgKind::Numeric, PgKind::Interval, PgKind::TimestampTz, PgKind::TimeTz, PgKind::Jsonb, PgKind::Uuid,
                PgKind::Date, PgKind::Array(Box::new(PgKind::Text)), PgKind::Bytea] {
                let _ = read_binary(&kind, &bytes);
                let _ = read_text(&kind, &bytes);
            }
        }
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
    fn arrays_are_no_larger_than_what_came() {
        let array = |lengths: &[i32], rest: &[i32]| {
            let head = [lengths.len() as i32, 0, 23];
            let lengths = lengths.iter().flat_map(|length| [*length, 1]);
            let words = head.into_iter().chain(lengths).chain(rest.iter().copied());
            let bytes: Vec<u8> = words.flat_map(i32::to_be_bytes).collect();
            read_binary(&PgKind::Array(Box::new(PgKind::Int4)), &bytes).map(Cell::into_owned)
        };
        let five = || Cell::List(vec![Cell::Int(5)]);
        assert_eq!(array(&[1], &[4, 5]).unwrap(), five());
        assert_eq!(array(&[1, 1], &[4, 5]).unwrap(), Cell::List(vec![five()]));
        for (lengths, rest) in [
            (&[1; 7][..], &[4, 5][..]),
            (&[200_000_000, 0], &[]),
            (&[3], &[4, 5]),
            (&[1 << 30; 6], &[]),
        ] {
            assert!(array(lengths, rest).is_err(), "{lengths:?}");
        }
        let text = |depth: usize| "{".repeat(depth) + &"}".repeat(depth);
        let kind = PgKind::Array(Box::new(PgKind::Int4));
        assert!(read_text(&kind, text(MAX_DIMENSIONS).as_bytes()).is_ok());
        assert!(read_text(&kind, text(100_000).as_bytes()).is_err());
    }
}
