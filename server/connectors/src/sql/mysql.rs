//! MySQL and MariaDB: plain statements without values, prepared ones with them.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::encode::IsNull;
use sqlx::mysql::{MySql, MySqlArguments, MySqlColumn, MySqlConnection, MySqlRow, MySqlTypeInfo, MySqlValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, Connection, Decode, Either, Encode, Executor, Row as _, SqlSafeStr, Type, TypeInfo,
    ValueRef,
};

use super::error::{SqlFailure, SqlFailureClass};
use super::many::Rows;
use super::moment::{Date, DateTime, Span, Time, seconds};
use super::outcome::{Column, ColumnKind, Columns, Outlet, RowKind, unreadable};
use super::postgres::widen;
use super::scan::{Scanned, Verb};
use super::value::{Cell, Param, float_text};

/// A connection.
pub(super) struct MyLink {
    pub(super) connection: MySqlConnection,
    pub(super) backend: u64,
    /// The type of exact numbers, which sqlx has no name for without a library of such numbers: as the server said it.
    decimal: MySqlTypeInfo,
    /// Whether each statement is committed by itself, as the server was told.
    autocommit: Option<bool>,
    /// The isolation level that the server was told.
    isolation: Option<&'static str>,
    is_mariadb: bool,
}

/// How the values of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MyKind {
    Int { bytes: u8, is_unsigned: bool },
    Year,
    Float,
    Double,
    Decimal,
    Date,
    DateTime,
    Time,
    Text,
    Bytes,
}

impl MyLink {
    /// Takes a fresh connection over; gives the server's version too.
    pub(super) async fn new(mut connection: MySqlConnection) -> Result<(Self, String), SqlFailure> {
        let sql = "SELECT CONNECTION_ID(), VERSION(), CAST(1 AS DECIMAL(10,2))";
        let row = connection.fetch_one(sqlx::raw_sql(sql)).await?;
        let number = |index: usize| -> Result<&str, SqlFailure> {
            let value = row.try_get_raw(index)?;
            <&str as Decode<MySql>>::decode(value).map_err(|error| SqlFailure::lost(error.to_string()))
        };
        let backend = number(0)?.parse().unwrap_or(0);
        let version = number(1)?.to_owned();
        let decimal = row.column(2).type_info().clone();
        let link = Self {
            connection,
            backend,
            decimal,
            autocommit: None,
            isolation: None,
            is_mariadb: version.contains("MariaDB"),
        };
        Ok((link, version))
    }

    /// Runs a statement that has no values and gives nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        Ok(())
    }

    /// Says how the transactions that follow are to be, unless the server knows.
    pub(super) async fn tell(&mut self, autocommit: bool, isolation: Option<&'static str>) -> Result<(), SqlFailure> {
        if self.autocommit != Some(autocommit) {
            self.command(&format!("SET autocommit = {}", u8::from(autocommit)))
                .await?;
            self.autocommit = Some(autocommit);
        }
        if self.isolation != isolation {
            let sql = match isolation {
                Some(level) => format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}"),
                // MariaDB has the one name, MySQL the other
                None if self.is_mariadb => "SET SESSION tx_isolation = @@GLOBAL.tx_isolation".to_owned(),
                None => "SET SESSION transaction_isolation = @@GLOBAL.transaction_isolation".to_owned(),
            };
            self.command(&sql).await?;
            self.isolation = isolation;
        }
        Ok(())
    }

    /// Runs a statement with each of the lists of values.
    pub(super) async fn run(
        &mut self,
        scanned: &Scanned,
        lists: &[Vec<Param>],
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let rows = if lists.len() > 1 { Rows::of(scanned) } else { None };
        let mut left = lists;
        while !left.is_empty() {
            let count = if rows.is_some() { Rows::fit(left) } else { 1 };
            let (together, behind) = left.split_at(count);
            left = behind;
            let text = match &rows {
                Some(rows) if count > 1 => rows.text(count).into(),
                _ => scanned.text.clone(),
            };
            let sql = AssertSqlSafe(text).into_sql_str();
            let is_prepared = !together[0].is_empty();
            let mut stream = if is_prepared {
                let mut arguments = MySqlArguments::default();
                for value in together.iter().flatten() {
                    let decimal = &self.decimal;
                    sqlx::Arguments::add(&mut arguments, Argument { value, decimal })
                        .map_err(|error| SqlFailure::new(SqlFailureClass::Data, error.to_string()))?;
                }
                (&mut self.connection).fetch_many(sqlx::query_with::<MySql, _>(sql, arguments))
            } else {
                (&mut self.connection).fetch_many(sqlx::raw_sql(sql))
            };
            let mut is_open = false;
            let mut is_empty = true;
            while let Some(item) = stream.try_next().await? {
                match item {
                    Either::Right(row) => {
                        if !is_open {
                            outlet.begin_set(Some(Arc::new(columns(row.columns())))).await?;
                            is_open = true;
                            is_empty = false;
                        }
                        outlet.row(RowKind::MySql(row, is_prepared)).await?;
                    }
                    Either::Left(done) => {
                        if !is_open {
                            outlet.begin_set(None).await?;
                        }
                        let last_id = i64::try_from(done.last_insert_id()).ok().filter(|id| *id != 0);
                        outlet.end_set(done.rows_affected(), last_id);
                        is_open = false;
                    }
                }
            }
            drop(stream);
            let may_give = scanned.gives_rows() || (scanned.verb == Verb::Other && !scanned.is_script);
            if is_empty && may_give {
                // no row came, so nobody has said which columns there are
                let columns = self.describe(scanned).await;
                outlet.set_columns(columns);
            }
        }
        Ok(())
    }

    async fn describe(&mut self, scanned: &Scanned) -> Option<Arc<Columns>> {
        let sql = AssertSqlSafe(scanned.text.clone()).into_sql_str();
        let statement = (&mut self.connection).prepare(sql).await.ok()?;
        let columns = columns(sqlx::Statement::columns(&statement));
        (!columns.is_empty()).then(|| Arc::new(columns))
    }

    pub(super) async fn ping(&mut self) -> Result<(), SqlFailure> {
        Ok(self.connection.ping().await?)
    }
}

fn columns(columns: &[MySqlColumn]) -> Columns {
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
    let int = |bytes| MyKind::Int { bytes, is_unsigned };
    let text = || {
        // what is not of the collation `binary` is text
        if <str as Type<MySql>>::compatible(info) {
            MyKind::Text
        } else {
            MyKind::Bytes
        }
    };
    match name.split(' ').next().unwrap_or(name) {
        "BOOLEAN" | "TINYINT" => (1, int(1)),
        "SMALLINT" => (2, int(2)),
        "INT" => (3, int(4)),
        "BIGINT" => (8, int(8)),
        "MEDIUMINT" => (9, int(4)),
        "FLOAT" => (4, MyKind::Float),
        "DOUBLE" => (5, MyKind::Double),
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

/// A value on its way into the message.
struct Argument<'a> {
    value: &'a Param,
    decimal: &'a MySqlTypeInfo,
}

impl Type<MySql> for Argument<'_> {
    fn type_info() -> MySqlTypeInfo {
        <str as Type<MySql>>::type_info()
    }
}

impl Encode<'_, MySql> for Argument<'_> {
    fn encode_by_ref(&self, out: &mut Vec<u8>) -> Result<IsNull, sqlx::error::BoxDynError> {
        match self.value {
            Param::Null => return Ok(IsNull::Yes),
            Param::Bool(value) => out.extend(i64::from(*value).to_le_bytes()),
            Param::Int(value) => out.extend(value.to_le_bytes()),
            Param::Float(value) if !value.is_finite() => return Err(no_number(&float_text(*value))),
            Param::Decimal(text) if !text.bytes().all(is_of_number) => return Err(no_number(text)),
            Param::Float(value) => out.extend(value.to_le_bytes()),
            Param::Bytes(bytes) => return <&[u8] as Encode<MySql>>::encode_by_ref(&bytes.as_slice(), out),
            Param::Text(text) | Param::Json(text) | Param::Decimal(text) => {
                return <&str as Encode<MySql>>::encode_by_ref(&text.as_str(), out);
            }
            Param::Span(span) => return <&str as Encode<MySql>>::encode_by_ref(&clock(*span).as_str(), out),
            // clocks on walls: MySQL has no zones
            Param::DateTime(point) => {
                let mut point = *point;
                point.time.offset = None;
                return <&str as Encode<MySql>>::encode_by_ref(&point.to_string().as_str(), out);
            }
            Param::Time(time) => {
                let time = Time { offset: None, ..*time };
                return <&str as Encode<MySql>>::encode_by_ref(&time.to_string().as_str(), out);
            }
            Param::List(_) => return Err("MySQL has no arrays; give each value a placeholder of its own".into()),
            other => return <&str as Encode<MySql>>::encode_by_ref(&other.to_text().as_str(), out),
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<MySqlTypeInfo> {
        Some(match self.value {
            Param::Bool(_) | Param::Int(_) => <i64 as Type<MySql>>::type_info(),
            Param::Float(_) => <f64 as Type<MySql>>::type_info(),
            Param::Bytes(_) => <[u8] as Type<MySql>>::type_info(),
            Param::Decimal(_) => self.decimal.clone(),
            _ => <str as Type<MySql>>::type_info(),
        })
    }
}

/// What exact numbers are written with.
fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')
}

/// The server would store zero.
fn no_number(text: &str) -> sqlx::error::BoxDynError {
    format!("MySQL and MariaDB have no number {text}; give None, which is NULL, in its place").into()
}

/// A span as MySQL's TIME: `-838:59:59.000000`.
fn clock(span: Span) -> String {
    let total = span.total_micros();
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    let seconds = total / 1_000_000;
    format!(
        "{sign}{:02}:{:02}:{:02}.{:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        total % 1_000_000
    )
}

fn raw(value: MySqlValueRef<'_>) -> Result<&[u8], sqlx::error::BoxDynError> {
    <&[u8] as Decode<MySql>>::decode(value)
}

/// Reads a value of a row.
pub(super) fn cell<'r>(
    row: &'r MySqlRow,
    index: usize,
    column: &Column,
    kind: MyKind,
    is_binary: bool,
) -> Result<Cell<'r>, SqlFailure> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let bytes = raw(value).map_err(|error| unreadable(column, &error.to_string()))?;
    let read = match kind {
        MyKind::Bytes => Some(Cell::Bytes(Cow::Borrowed(bytes))),
        MyKind::Text | MyKind::Decimal => {
            let text = std::str::from_utf8(bytes).map_err(|_| unreadable(column, "it is not UTF-8"))?;
            Some(match kind {
                MyKind::Text => Cell::Text(Cow::Borrowed(text)),
                _ => Cell::Decimal(Cow::Borrowed(text)),
            })
        }
        _ if is_binary => read_binary(kind, bytes),
        _ => std::str::from_utf8(bytes).ok().and_then(|text| read_text(kind, text)),
    };
    read.ok_or_else(|| unreadable(column, "what the database sent for it is no value of its type"))
}

fn read_text<'r>(kind: MyKind, text: &str) -> Option<Cell<'r>> {
    Some(match kind {
        MyKind::Int { is_unsigned: true, .. } => Cell::UInt(text.parse().ok()?),
        MyKind::Int { .. } | MyKind::Year => Cell::Int(text.parse().ok()?),
        MyKind::Float | MyKind::Double => Cell::Float(text.parse().ok()?),
        // dates of zeros are no dates
        MyKind::Date if text.starts_with("0000-00") => Cell::Null,
        MyKind::DateTime if text.starts_with("0000-00") => Cell::Null,
        MyKind::Date => Cell::Date(Date::parse(text)?),
        MyKind::DateTime => Cell::DateTime(DateTime::parse(text)?),
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
        MyKind::Decimal | MyKind::Text | MyKind::Bytes => return None,
    })
}

fn read_binary<'r>(kind: MyKind, bytes: &[u8]) -> Option<Cell<'r>> {
    let word = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some(match kind {
        MyKind::Int {
            bytes: width,
            is_unsigned,
        } => {
            let width = usize::from(width);
            let mut wide = [0; 8];
            wide[..width].copy_from_slice(bytes.get(..width)?);
            let value = u64::from_le_bytes(wide);
            if is_unsigned {
                Cell::UInt(value)
            } else {
                let shift = 64 - 8 * width as u32;
                Cell::Int(((value << shift) as i64) >> shift)
            }
        }
        MyKind::Year => Cell::Int(word(0)?.into()),
        MyKind::Float => Cell::Float(widen(f32::from_le_bytes(bytes.try_into().ok()?))),
        MyKind::Double => Cell::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        MyKind::Date | MyKind::DateTime => {
            // a length, and as much as is not zero
            let length = *bytes.first()?;
            if length < 4 {
                return Some(Cell::Null);
            }
            let date = Date {
                year: word(1)?.into(),
                month: *bytes.get(3)?,
                day: *bytes.get(4)?,
            };
            if date.year == 0 || date.month == 0 || date.day == 0 {
                return Some(Cell::Null);
            }
            if kind == MyKind::Date {
                return Some(Cell::Date(date));
            }
            let mut time = Time::MIDNIGHT;
            if length >= 7 {
                (time.hour, time.minute, time.second) = (*bytes.get(5)?, *bytes.get(6)?, *bytes.get(7)?);
            }
            if length >= 11 {
                time.micro = long(8)?;
            }
            Cell::DateTime(DateTime { date, time })
        }
        MyKind::Time => {
            let length = *bytes.first()?;
            let mut span = Span { days: 0, micros: 0 };
            if length >= 8 {
                let sign = if *bytes.get(1)? == 1 { -1 } else { 1 };
                let hours = i64::from(long(2)?) * 24 + i64::from(*bytes.get(6)?);
                let whole = (hours * 60 + i64::from(*bytes.get(7)?)) * 60 + i64::from(*bytes.get(8)?);
                let micros = if length >= 12 { i64::from(long(9)?) } else { 0 };
                span.micros = sign * (whole * 1_000_000 + micros);
            }
            Cell::Span(span)
        }
        MyKind::Decimal | MyKind::Text | MyKind::Bytes => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_clocks_that_may_run_backwards() {
        let span = Span {
            days: -1,
            micros: 3_600_000_000,
        };
        assert_eq!(clock(span), "-23:00:00.000000");
        let read = read_text(MyKind::Time, "-23:00:00.5");
        assert_eq!(
            read,
            Some(Cell::Span(Span {
                days: 0,
                micros: -82_800_500_000
            }))
        );
    }

    #[test]
    fn both_forms_of_a_value_are_read() {
        let tiny = MyKind::Int {
            bytes: 1,
            is_unsigned: false,
        };
        assert_eq!(read_binary(tiny, &[0xFF]), Some(Cell::Int(-1)));
        assert_eq!(read_text(tiny, "-1"), Some(Cell::Int(-1)));
        let big = MyKind::Int {
            bytes: 8,
            is_unsigned: true,
        };
        assert_eq!(read_binary(big, &[0xFF; 8]), Some(Cell::UInt(u64::MAX)));
        assert_eq!(read_text(MyKind::Date, "0000-00-00"), Some(Cell::Null));
        let point = read_binary(MyKind::DateTime, &[11, 0xE8, 7, 2, 29, 13, 14, 15, 1, 0, 0, 0]).unwrap();
        assert_eq!(Some(point), read_text(MyKind::DateTime, "2024-02-29 13:14:15.000001"));
        let time = read_binary(MyKind::Time, &[8, 1, 1, 0, 0, 0, 2, 3, 4]).unwrap();
        assert_eq!(Some(time), read_text(MyKind::Time, "-26:03:04"));
        assert_eq!(read_binary(MyKind::Double, &[0]), None);
    }
}
