//! Values on their way to the server: as what they are, and as SQL.

use std::error::Error;

use bytes::BytesMut;
use postgres_protocol::IsNull;

use super::super::value::{Param, float_text, has_digits_only, hex, span_text, uuid_text, write_to};
use super::PgKind;
use super::way::array_type;

/// What is wrong with some texts.
pub(super) const NO_NUL: &str = "PostgreSQL cannot store text with a NUL character in it";

/// Whether the value goes in the binary form: bytes do, of which any other form is twice as long.
pub(super) fn is_binary(value: &Param) -> bool {
    matches!(value, Param::Bytes(_))
}

/// Writes a value into a message, for a parameter of that kind.
pub(super) fn write_value(
    value: &Param,
    kind: &PgKind,
    out: &mut BytesMut,
) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
    let mut digits = String::new();
    let text = match value {
        Param::Null => return Ok(IsNull::Yes),
        Param::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            return Ok(IsNull::No);
        }
        // there is one of them only, which is quiet
        Param::Decimal(text) if text.to_ascii_lowercase().contains("nan") => "NaN",
        Param::Text(text) | Param::Json(text) | Param::Decimal(text) => {
            if text.contains('\0') {
                return Err(NO_NUL.into());
            }
            text
        }
        Param::Bool(value) if *kind != PgKind::Bool => {
            if *value {
                "1"
            } else {
                "0"
            }
        }
        Param::Int(value) => {
            write_to(&mut digits, format_args!("{value}"));
            &digits
        }
        Param::List(_) if matches!(kind, PgKind::Json | PgKind::Jsonb) => {
            value.write_json(&mut digits);
            &digits
        }
        _ => {
            digits = value.to_text();
            &digits
        }
    };
    out.extend_from_slice(text.as_bytes());
    Ok(IsNull::No)
}

/// Writes a value as SQL would have it. `are_typed`: lists of text say that they are, which fits nothing but text.
pub(super) fn write_literal(value: &Param, are_typed: bool, out: &mut String) {
    match value {
        Param::Null => out.push_str("NULL"),
        Param::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // a minus next to another one would begin a comment
        Param::Int(value) => write_to(out, format_args!(" {value}")),
        Param::Decimal(text) if has_digits_only(text) => write_to(out, format_args!(" {text}")),
        Param::Decimal(text) => write_quoted(text, "::numeric", out),
        Param::Float(value) if value.is_finite() => write_to(out, format_args!(" {value:?}")),
        Param::Float(value) => write_quoted(&float_text(*value), "::float8", out),
        Param::Text(text) | Param::Json(text) => write_quoted(text, "", out),
        Param::Bytes(bytes) => write_quoted(&format!("\\x{}", hex(bytes)), "::bytea", out),
        Param::Date(date) => write_quoted(&date.to_string(), "::date", out),
        Param::Time(time) => {
            let cast = if time.offset.is_some() { "::timetz" } else { "::time" };
            write_quoted(&time.to_string(), cast, out);
        }
        Param::DateTime(point) => {
            let cast = if point.time.offset.is_some() {
                "::timestamptz"
            } else {
                "::timestamp"
            };
            write_quoted(&point.to_string(), cast, out);
        }
        Param::Span(span) => write_quoted(&span_text(*span), "::interval", out),
        Param::Uuid(uuid) => write_quoted(&uuid_text(uuid), "::uuid", out),
        // an empty one has no type of its own
        Param::List(values) if values.is_empty() => out.push_str("'{}'"),
        Param::List(values) => {
            let text = value.to_text();
            let cast = format!("::{}", array_type(values));
            write_quoted(&text, if cast == "::text[]" && !are_typed { "" } else { &cast }, out);
        }
    }
}

/// A string in SQL, whatever `standard_conforming_strings` says.
pub(super) fn write_quoted(text: &str, cast: &str, out: &mut String) {
    out.push(' ');
    if text.contains('\\') {
        out.push('E');
    }
    out.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            out.push(character);
        }
        out.push(character);
    }
    out.push('\'');
    out.push_str(cast);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_break_out() {
        let write = |value: &Param| {
            let mut out = String::new();
            write_literal(value, false, &mut out);
            out
        };
        assert_eq!(write(&Param::Text("a'b".to_owned())), " 'a''b'");
        assert_eq!(write(&Param::Text("a\\'b".to_owned())), " E'a\\\\''b'");
        assert_eq!(write(&Param::Int(-5)), " -5");
        assert_eq!(write(&Param::Decimal("1;drop".to_owned())), " '1;drop'::numeric");
        assert_eq!(write(&Param::Bytes(vec![0, 255])), " E'\\\\x00ff'::bytea");
        assert_eq!(write(&Param::List(vec![Param::Int(1)])), " '{\"1\"}'::int4[]");
    }
}
