//! Rows, whose values come as text.

use std::borrow::Cow;

use sqlx::mysql::{MySql, MySqlColumn, MySqlRow, MySqlTypeInfo};
use sqlx::{Column as _, Decode, Row as _, Type, TypeInfo, ValueRef};

use super::super::error::SqlFailure;
use super::super::moment::{Date, DateTime, Span, seconds};
use super::super::outcome::{Column, ColumnKind, Columns, unreadable};
use super::super::value::Cell;

/// How the values of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum MyKind {
    Int { is_unsigned: bool },
    Year,
    Float,
    Decimal,
    Date,
    DateTime,
    Time,
    Text,
    Bytes,
}

pub(super) fn columns(columns: &[MySqlColumn]) -> Columns {
    let columns = columns.iter().map(|column| {
        let (code, kind) = kind(column.type_info());
        Column {
            name: column.name().to_owned(),
            type_code: Some(code),
            kind: ColumnKind::MySql(kind),
        }
    });
    columns.collect()
}

/// The number of a type in the protocol, and how its values are read.
fn kind(info: &MySqlTypeInfo) -> (i64, MyKind) {
    let is_unsigned = <u64 as Type<MySql>>::compatible(info);
    let name = info.name();
    let int = MyKind::Int { is_unsigned };
    let text = || {
        // what is not of the collation `binary` is text
        if <str as Type<MySql>>::compatible(info) {
            MyKind::Text
        } else {
            MyKind::Bytes
        }
    };
    match name.split(' ').next().unwrap_or(name) {
        "BOOLEAN" | "TINYINT" => (1, int),
        "SMALLINT" => (2, int),
        "INT" => (3, int),
        "BIGINT" => (8, int),
        "MEDIUMINT" => (9, int),
        "FLOAT" => (4, MyKind::Float),
        "DOUBLE" => (5, MyKind::Float),
        "NULL" => (6, MyKind::Bytes),
        "TIMESTAMP" => (7, MyKind::DateTime),
        "DATE" => (10, MyKind::Date),
        "TIME" => (11, MyKind::Time),
        "DATETIME" => (12, MyKind::DateTime),
        "YEAR" => (13, MyKind::Year),
        "BIT" => (16, MyKind::Bytes),
        "JSON" => (245, MyKind::Text),
        "DECIMAL" => (246, MyKind::Decimal),
        "SET" => (254, MyKind::Text),
        "TINYBLOB" | "TINYTEXT" => (249, text()),
        "MEDIUMBLOB" | "MEDIUMTEXT" => (250, text()),
        "LONGBLOB" | "LONGTEXT" => (251, text()),
        "BLOB" | "TEXT" => (252, text()),
        "VARCHAR" | "VARBINARY" => (253, text()),
        "GEOMETRY" => (255, MyKind::Bytes),
        _ => (254, text()),
    }
}

/// Reads a value of a row.
pub(in super::super) fn cell<'r>(
    row: &'r MySqlRow,
    index: usize,
    column: &Column,
    kind: MyKind,
) -> Result<Cell<'r>, SqlFailure> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let bytes = <&[u8] as Decode<MySql>>::decode(value).map_err(|error| unreadable(column, &error.to_string()))?;
    if kind == MyKind::Bytes {
        return Ok(Cell::Bytes(Cow::Borrowed(bytes)));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable(column, "it is not UTF-8"))?;
    read(kind, text).ok_or_else(|| unreadable(column, "what the database sent for it is no value of its type"))
}

fn read(kind: MyKind, text: &str) -> Option<Cell<'_>> {
    let as_text = || Cell::Text(Cow::Borrowed(text));
    Some(match kind {
        MyKind::Int { is_unsigned: true } => Cell::UInt(text.parse().ok()?),
        MyKind::Int { .. } | MyKind::Year => Cell::Int(text.parse().ok()?),
        MyKind::Float => Cell::Float(text.parse().ok()?),
        // what is none in the calendar, of which the server has some, stays as it is
        MyKind::Date => Date::parse(text).map_or_else(as_text, Cell::Date),
        MyKind::DateTime => DateTime::parse(text).map_or_else(as_text, Cell::DateTime),
        MyKind::Time => {
            let (sign, clock) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
            let mut parts = clock.splitn(3, ':');
            let hours: i64 = parts.next()?.parse().ok()?;
            let minutes: i64 = parts.next()?.parse().ok()?;
            let (whole, fraction) = seconds(parts.next()?)?;
            Cell::Span(Span {
                days: 0,
                micros: sign * (((hours * 60 + minutes) * 60 + whole) * 1_000_000 + fraction),
            })
        }
        MyKind::Decimal => Cell::Decimal(Cow::Borrowed(text)),
        MyKind::Text => as_text(),
        MyKind::Bytes => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        assert_eq!(read(MyKind::Int { is_unsigned: false }, "-1"), Some(Cell::Int(-1)));
        let most = read(MyKind::Int { is_unsigned: true }, "18446744073709551615");
        assert_eq!(most, Some(Cell::UInt(u64::MAX)));
        let span = |micros| Some(Cell::Span(Span { days: 0, micros }));
        assert_eq!(read(MyKind::Time, "-23:00:00.5"), span(-82_800_500_000));
        assert_eq!(read(MyKind::Float, "x"), None);
    }

    #[test]
    fn dates_that_are_none_stay_text() {
        for text in ["0000-00-00", "2024-00-15", "2024-02-31"] {
            assert_eq!(read(MyKind::Date, text), Some(Cell::Text(text.into())));
            let point = format!("{text} 01:02:03");
            assert_eq!(read(MyKind::DateTime, &point), Some(Cell::Text(point.as_str().into())));
        }
    }
}
