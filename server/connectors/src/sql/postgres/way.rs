//! How values are given to parameters: as the types that the server has inferred, or in another way.

use sqlx::TypeInfo;
use sqlx::postgres::PgTypeInfo;

use super::super::error::SqlFailure;
use super::super::moment::Time;
use super::super::scan::Verb;
use super::super::value::Param;
use super::PgKind;

/// How a value is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// As the type that was inferred.
    Inferred,
    /// With a type of its own.
    As(&'static str),
    /// As text that the server casts.
    Text(String),
}

/// The server cannot tell which types parameters have, or has no function for parameters without a type; or takes no parameter in that
/// place, but a literal: `interval %s`; or does not see that what is grouped or ordered by is what is selected, as two parameters are
/// never the same: `SELECT date_trunc(%s, at) ... GROUP BY date_trunc(%s, at)`.
pub(super) fn is_uncertain(failure: &SqlFailure) -> bool {
    matches!(
        failure.sqlstate(),
        Some("42P18" | "42P08" | "42725" | "42883" | "42804" | "42846" | "42601" | "42803" | "42P10")
    )
}

/// Several functions would take a value without a type: `unnest(%s)`.
pub(super) fn is_ambiguous(failure: &SqlFailure) -> bool {
    matches!(failure.sqlstate(), Some("42725" | "42804"))
}

/// How a value is given to a parameter of that type, in a statement of that kind.
pub(super) fn way(value: &Param, info: &PgTypeInfo, kind: &PgKind, verb: Verb) -> Way {
    use PgKind as K;
    let cast = || Way::Text(type_name(info).to_owned());
    // what a query gives may be of the type of a value; what is written has that of its column
    let is_query = verb == Verb::Query;
    match (value, kind) {
        // of functions that take several types the server has inferred one: `abs(%s)` is for integers, too, and `array_cat(%s, %s)`
        (Param::Int(_), K::Float8) if is_query => as_integer(value),
        (Param::List(values), K::Array(element)) if is_query && **element == K::Text && !is_of_text(values) => {
            Way::Text(array_type(values).to_owned())
        }
        (Param::Null, _)
        | (Param::Text(_), K::Text | K::Json | K::Jsonb)
        | (Param::Bool(_), K::Bool | K::Int2 | K::Int4 | K::Int8)
        | (Param::Float(_), K::Float4 | K::Float8 | K::Numeric)
        | (Param::Decimal(_), K::Numeric)
        | (Param::Bytes(_), K::Bytea)
        | (Param::Date(_), K::Date | K::Timestamp)
        | (Param::Time(Time { offset: None, .. }), K::Time)
        | (Param::Time(Time { offset: Some(_), .. }), K::TimeTz)
        | (Param::Span(_), K::Interval)
        | (Param::Uuid(_), K::Uuid)
        | (Param::Json(_) | Param::List(_), K::Json | K::Jsonb)
        | (Param::Int(_), K::Int8 | K::Numeric | K::Float4 | K::Float8) => Way::Inferred,
        (Param::Int(value), K::Int4) if i32::try_from(*value).is_ok() => Way::Inferred,
        (Param::Int(value), K::Int2) if i16::try_from(*value).is_ok() => Way::Inferred,
        (Param::Int(value), K::Oid) if u32::try_from(*value).is_ok() => Way::Inferred,
        (Param::DateTime(point), K::Timestamp) if point.time.offset.is_none() => Way::Inferred,
        (Param::DateTime(point), K::TimestampTz) if point.time.offset.is_some() => Way::Inferred,
        // text is what a literal in quotes is: whatever the place needs
        (Param::Text(_), _) | (Param::List(_), K::Array(_)) => cast(),
        (Param::List(values), _) => Way::Text(array_type(values).to_owned()),
        (Param::Bool(_), _) => Way::As("bool"),
        (Param::Int(_), _) => as_integer(value),
        (Param::Float(_), _) => Way::As("float8"),
        (Param::Decimal(_), _) => Way::As("numeric"),
        (Param::Bytes(_), _) => Way::As("bytea"),
        (Param::Date(_), _) => Way::As("date"),
        (Param::Time(time), _) => Way::As(if time.offset.is_some() { "timetz" } else { "time" }),
        (Param::DateTime(point), _) => Way::As(if point.time.offset.is_some() {
            "timestamptz"
        } else {
            "timestamp"
        }),
        (Param::Span(_), _) => Way::As("interval"),
        (Param::Uuid(_), _) => Way::As("uuid"),
        (Param::Json(_), _) => Way::As("jsonb"),
    }
}

/// As the type that a literal of an integer has.
fn as_integer(value: &Param) -> Way {
    Way::As(match value {
        Param::Int(value) if i32::try_from(*value).is_ok() => "int4",
        _ => "int8",
    })
}

/// Whether an array of such values is one of text, or may be.
fn is_of_text(values: &[Param]) -> bool {
    array_type(values) == "text[]"
}

/// The name of a type in a cast. Some of those that SQL itself has mean a length of one.
fn type_name(info: &PgTypeInfo) -> &str {
    match info.oid().map(|oid| oid.0) {
        Some(1002) => "\"char\"[]",
        Some(1014) => "bpchar[]",
        Some(1560) => "\"bit\"",
        Some(1561) => "\"bit\"[]",
        _ => info.name(),
    }
}

/// The type that an array of such values has by itself.
pub(super) fn array_type(values: &[Param]) -> &'static str {
    match values.iter().find(|value| **value != Param::Null) {
        Some(Param::List(values)) => array_type(values),
        Some(Param::Bool(_)) => "bool[]",
        Some(Param::Int(_))
            if values
                .iter()
                .all(|value| !matches!(value, Param::Int(value) if i32::try_from(*value).is_err())) =>
        {
            if values
                .iter()
                .any(|value| matches!(value, Param::Float(_) | Param::Decimal(_)))
            {
                "numeric[]"
            } else {
                "int4[]"
            }
        }
        Some(Param::Int(_)) => "int8[]",
        Some(Param::Float(_)) => "float8[]",
        Some(Param::Decimal(_)) => "numeric[]",
        Some(Param::Bytes(_)) => "bytea[]",
        Some(Param::Date(_)) => "date[]",
        Some(Param::Time(_)) => "time[]",
        Some(Param::DateTime(point)) if point.time.offset.is_some() => "timestamptz[]",
        Some(Param::DateTime(_)) => "timestamp[]",
        Some(Param::Span(_)) => "interval[]",
        Some(Param::Uuid(_)) => "uuid[]",
        Some(Param::Json(_)) => "jsonb[]",
        _ => "text[]",
    }
}
