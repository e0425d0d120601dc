//! Values on their way to the server: in the binary form, and as SQL.

use sqlx::encode::IsNull;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};
use sqlx::{Encode, Type};

use super::super::moment::{DAY, TO_2000};
use super::super::value::{Param, float_text, hex, span_text, uuid_text, write_to};
use super::PgKind;
use super::numeric::write_numeric;
use super::way::{Way, array_type};

/// What is wrong with some texts.
pub(super) const NO_NUL: &str = "PostgreSQL cannot store text with a NUL character in it";

/// A value on its way into the message.
pub(super) struct Argument<'a> {
    pub(super) value: &'a Param,
    pub(super) info: &'a PgTypeInfo,
    pub(super) kind: &'a PgKind,
    pub(super) way: &'a Way,
}

impl Type<Postgres> for Argument<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }
}

impl Encode<'_, Postgres> for Argument<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, sqlx::error::BoxDynError> {
        if *self.value == Param::Null {
            return Ok(IsNull::Yes);
        }
        let out: &mut Vec<u8> = buffer;
        if matches!(self.way, Way::Text(_)) {
            let text = self.value.to_text();
            no_nul(&text)?;
            out.extend(text.as_bytes());
        } else {
            write_binary(self.value, self.kind, out)?;
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.info.clone())
    }
}

fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err(NO_NUL.to_owned());
    }
    Ok(())
}

fn write_binary(value: &Param, kind: &PgKind, out: &mut Vec<u8>) -> Result<(), sqlx::error::BoxDynError> {
    use PgKind as K;
    let integer = |value: i64, out: &mut Vec<u8>| -> Result<(), sqlx::error::BoxDynError> {
        match kind {
            K::Int2 => out.extend(i16::try_from(value)?.to_be_bytes()),
            K::Int4 => out.extend(i32::try_from(value)?.to_be_bytes()),
            K::Oid => out.extend(u32::try_from(value)?.to_be_bytes()),
            K::Int8 => out.extend(value.to_be_bytes()),
            K::Float4 => out.extend((value as f32).to_be_bytes()),
            K::Float8 => out.extend((value as f64).to_be_bytes()),
            K::Numeric => write_numeric(&value.to_string(), out)?,
            K::Bool => out.push(u8::from(value != 0)),
            _ => return Err(unfit(kind)),
        }
        Ok(())
    };
    match (value, kind) {
        (Param::Bool(value), _) => integer((*value).into(), out)?,
        (Param::Int(value), _) => integer(*value, out)?,
        (Param::Float(value), K::Float4) => out.extend((*value as f32).to_be_bytes()),
        (Param::Float(value), K::Float8) => out.extend(value.to_be_bytes()),
        (Param::Float(value), K::Numeric) => write_numeric(&float_text(*value), out)?,
        (Param::Decimal(text), K::Numeric) => write_numeric(text, out)?,
        (Param::Text(text), K::Text) => {
            no_nul(text)?;
            out.extend(text.as_bytes());
        }
        (Param::Text(text) | Param::Json(text), K::Json) => out.extend(text.as_bytes()),
        (Param::Text(text) | Param::Json(text), K::Jsonb) => {
            out.push(1);
            out.extend(text.as_bytes());
        }
        (Param::List(_), K::Json | K::Jsonb) => {
            let mut text = String::new();
            value.write_json(&mut text);
            if *kind == K::Jsonb {
                out.push(1);
            }
            out.extend(text.as_bytes());
        }
        (Param::Bytes(bytes), K::Bytea) => out.extend(bytes),
        (Param::Date(date), K::Date) => out.extend(i32::try_from(date.days() - TO_2000)?.to_be_bytes()),
        (Param::Date(date), K::Timestamp) => out.extend(((date.days() - TO_2000) * DAY).to_be_bytes()),
        (Param::Time(time), K::Time) => out.extend(time.micros().to_be_bytes()),
        (Param::Time(time), K::TimeTz) => {
            out.extend(time.micros().to_be_bytes());
            out.extend((-time.offset.unwrap_or(0)).to_be_bytes());
        }
        (Param::DateTime(point), K::Timestamp) => out.extend((point.wall_micros() - TO_2000 * DAY).to_be_bytes()),
        (Param::DateTime(point), K::TimestampTz) => out.extend((point.utc_micros() - TO_2000 * DAY).to_be_bytes()),
        (Param::Span(span), K::Interval) => {
            out.extend(span.micros.to_be_bytes());
            out.extend(i32::try_from(span.days)?.to_be_bytes());
            out.extend(0_i32.to_be_bytes());
        }
        (Param::Uuid(uuid), K::Uuid) => out.extend(uuid),
        _ => return Err(format!("{} cannot be given where PostgreSQL expects {kind:?}", value.kind()).into()),
    }
    Ok(())
}

fn unfit(kind: &PgKind) -> sqlx::error::BoxDynError {
    format!("a number cannot be given where PostgreSQL expects {kind:?}").into()
}

/// Writes a value as SQL would have it. `are_typed`: lists of text say that they are, which fits nothing but text.
pub(super) fn write_literal(value: &Param, are_typed: bool, out: &mut String) {
    match value {
        Param::Null => out.push_str("NULL"),
        Param::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // a minus next to another one would begin a comment
        Param::Int(value) => write_to(out, format_args!(" {value}")),
        Param::Decimal(text)
            if text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) =>
        {
            write_to(out, format_args!(" {text}"));
        }
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
