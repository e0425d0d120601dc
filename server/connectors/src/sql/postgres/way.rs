//! How values are given to parameters: as the types that the server has inferred, or in another way.

use super::super::error::SqlFailure;
use super::super::moment::Time;
use super::super::scan::Verb;
use super::super::value::Param;
use super::PgKind;

/// How a value is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// As the type that was inferred.
    Inferred,
    /// With a type of its own.
    As(&'static str),
}

impl Way {
    /// The number of the type that the value is said to have; 0: the server infers it.
    pub(super) fn oid(self) -> u32 {
        let Self::As(name) = self else {
            return 0;
        };
        let known = TYPES.iter().find(|(known, _)| *known == name);
        known.map_or(0, |(_, oid)| *oid)
    }
}

/// Numbers of the types that values have by themselves.
const TYPES: [(&str, u32); 28] = [
    ("bool", 16),
    ("bool[]", 1000),
    ("bytea", 17),
    ("bytea[]", 1001),
    ("date", 1082),
    ("date[]", 1182),
    ("float8", 701),
    ("float8[]", 1022),
    ("int4", 23),
    ("int4[]", 1007),
    ("int8", 20),
    ("int8[]", 1016),
    ("interval", 1186),
    ("interval[]", 1187),
    ("jsonb", 3802),
    ("jsonb[]", 3807),
    ("numeric", 1700),
    ("numeric[]", 1231),
    ("text[]", 1009),
    ("time", 1083),
    ("time[]", 1183),
    ("timestamp", 1114),
    ("timestamp[]", 1115),
    ("timestamptz", 1184),
    ("timestamptz[]", 1185),
    ("timetz", 1266),
    ("uuid", 2950),
    ("uuid[]", 2951),
];

/// The server cannot tell which types parameters have, or has no function for parameters without a type; or takes no parameter in that
/// place, but a literal: `interval %s`; or does not see that what is grouped or ordered by is what is selected, as two parameters are
/// never the same: `SELECT date_trunc(%s, at) ... GROUP BY date_trunc(%s, at)`.
pub(super) fn is_uncertain(failure: &SqlFailure) -> bool {
    matches!(
        failure.sqlstate(),
        Some("42P18" | "42P08" | "42725" | "42883" | "42804" | "42846" | "42601" | "42803" | "42P10")
    )
}

/// Functions would take a value of several types, or of any: `unnest(%s)`, `jsonb_build_object('a', %s)`.
pub(super) fn is_ambiguous(failure: &SqlFailure) -> bool {
    matches!(failure.sqlstate(), Some("42725" | "42804" | "42P18"))
}

/// How a value is given to a parameter of that type, in a statement of that kind.
pub(super) fn way(value: &Param, kind: &PgKind, verb: Verb) -> Way {
    use PgKind as K;
    // what a query gives may be of the type of a value; what is written has that of its column
    let is_query = verb == Verb::Query;
    match (value, kind) {
        // of functions that take several types the server has inferred one: `abs(%s)` is for integers, too, and `array_cat(%s, %s)`
        (Param::Int(_), K::Float8) if is_query => as_integer(value),
        (Param::Float(value), K::Float8) if is_query && is_exact(*value) => Way::As("numeric"),
        (Param::List(values), K::Array(element)) if is_query && **element == K::Text && !is_of_text(values) => {
            Way::As(array_type(values))
        }
        (Param::Null, _)
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
        (Param::List(values), K::Array(element)) if is_beyond(values, element) => Way::As(array_type(values)),
        // text is what a literal in quotes is: whatever the place needs
        (Param::Text(_), _) | (Param::List(_), K::Array(_) | K::Other) => Way::Inferred,
        (Param::List(values), _) => Way::As(array_type(values)),
        (Param::Bool(_), _) => Way::As("bool"),
        (Param::Int(_), _) => as_integer(value),
        (Param::Float(value), _) => Way::As(if is_exact(*value) { "numeric" } else { "float8" }),
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

/// Whether `numeric` has such a number, which has neither infinity nor a zero below zero.
fn is_exact(value: f64) -> bool {
    value.is_finite() && (value != 0.0 || value.is_sign_positive())
}

/// As the type that a literal of an integer has.
fn as_integer(value: &Param) -> Way {
    Way::As(match value {
        Param::Int(value) if i32::try_from(*value).is_ok() => "int4",
        _ => "int8",
    })
}

/// Whether some of the numbers do not fit an array of such integers.
fn is_beyond(values: &[Param], element: &PgKind) -> bool {
    match element {
        PgKind::Int2 | PgKind::Int4 => matches!(array_type(values), "int8[]" | "numeric[]" | "float8[]"),
        PgKind::Int8 => matches!(array_type(values), "numeric[]" | "float8[]"),
        _ => false,
    }
}

/// Whether an array of such values is one of text, or may be.
fn is_of_text(values: &[Param]) -> bool {
    array_type(values) == "text[]"
}

/// The type that an array of such values has by itself.
pub(super) fn array_type(values: &[Param]) -> &'static str {
    fn is_any(values: &[Param], fits: fn(&Param) -> bool) -> bool {
        values.iter().any(|value| match value {
            Param::List(values) => is_any(values, fits),
            value => fits(value),
        })
    }
    fn first(values: &[Param]) -> Option<&Param> {
        values.iter().find_map(|value| match value {
            Param::Null => None,
            Param::List(values) => first(values),
            value => Some(value),
        })
    }
    let is_any = |fits| is_any(values, fits);
    match first(values) {
        Some(Param::Bool(_)) => "bool[]",
        Some(Param::Int(_) | Param::Float(_) | Param::Decimal(_)) => {
            if is_any(|value| matches!(value, Param::Float(value) if !is_exact(*value))) {
                "float8[]"
            } else if is_any(|value| matches!(value, Param::Float(_) | Param::Decimal(_))) {
                "numeric[]"
            } else if is_any(|value| matches!(value, Param::Int(value) if i32::try_from(*value).is_err())) {
                "int8[]"
            } else {
                "int4[]"
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_types_that_the_server_knows() {
        for (value, kind) in [
            (Param::Int(5), PgKind::Text),
            (Param::Int(1 << 40), PgKind::Int4),
            (Param::List(vec![Param::Int(1)]), PgKind::Array(Box::new(PgKind::Text))),
            (Param::List(vec![Param::Uuid([0; 16])]), PgKind::Text),
            (Param::Json("{}".to_owned()), PgKind::Text),
            (Param::Float(0.5), PgKind::Int4),
            (
                Param::List(vec![Param::Int(1), Param::Float(0.5)]),
                PgKind::Array(Box::new(PgKind::Int8)),
            ),
            (
                Param::List(vec![Param::Int(1 << 40)]),
                PgKind::Array(Box::new(PgKind::Int4)),
            ),
        ] {
            let way = way(&value, &kind, Verb::Query);
            assert!(way != Way::Inferred && way.oid() > 0, "{value:?}: {way:?}");
        }
        assert_eq!(
            way(&Param::Text("5".to_owned()), &PgKind::Int4, Verb::Query),
            Way::Inferred
        );
        assert_eq!(way(&Param::Null, &PgKind::Other, Verb::Query).oid(), 0);
        let list = |numbers: [f64; 2]| numbers.map(Param::Float);
        assert_eq!(array_type(&list([0.5, 1.0])), "numeric[]");
        assert_eq!(array_type(&list([0.5, f64::NAN])), "float8[]");
        assert_eq!(array_type(&[Param::Int(1), Param::Int(1 << 40)]), "int8[]");
        assert_eq!(
            array_type(&[Param::Null, Param::Int(1), Param::Float(0.5)]),
            "numeric[]"
        );
        let inner = |value| Param::List(vec![Param::Null, Param::Int(value)]);
        assert_eq!(
            array_type(&[Param::List(Vec::new()), inner(1), inner(1 << 40)]),
            "int8[]"
        );
    }
}
