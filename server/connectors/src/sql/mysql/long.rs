//! Values that go beside a statement rather than in it.

use sqlx::encode::IsNull;
use sqlx::mysql::{MySql, MySqlArguments, MySqlTypeInfo};
use sqlx::{Arguments, Encode, Type};

use super::super::error::{SqlFailure, SqlFailureClass};
use super::super::value::Param;
use super::literal::{check_number, text_of};

/// Bytes of a value that are many. A server takes 16 MB at a time, unless it is told otherwise.
const LONG: usize = 1024 * 1024;

/// Whether the literal of a value would be much longer.
pub(super) fn is_long(value: &Param) -> bool {
    matches!(value, Param::Bytes(bytes) if bytes.len() > LONG)
}

/// Values that are stored, and not looked at in any other way.
pub(super) fn arguments(list: &[Param]) -> Result<MySqlArguments, SqlFailure> {
    let mut arguments = MySqlArguments::default();
    for value in list {
        check_number(value)?;
        if matches!(value, Param::List(_)) {
            let message = "a list cannot be given together with more than 1 MB of bytes; give each value a \
                placeholder of its own";
            return Err(SqlFailure::new(SqlFailureClass::NotSupported, message));
        }
        let added = arguments.add(Argument(value));
        added.map_err(|error| SqlFailure::new(SqlFailureClass::Data, error.to_string()))?;
    }
    Ok(arguments)
}

/// A value on its way into the message.
struct Argument<'a>(&'a Param);

impl Type<MySql> for Argument<'_> {
    fn type_info() -> MySqlTypeInfo {
        <str as Type<MySql>>::type_info()
    }
}

impl Encode<'_, MySql> for Argument<'_> {
    fn encode_by_ref(&self, out: &mut Vec<u8>) -> Result<IsNull, sqlx::error::BoxDynError> {
        match self.0 {
            Param::Null => return Ok(IsNull::Yes),
            Param::Bool(value) => out.extend(i64::from(*value).to_le_bytes()),
            Param::Int(value) => out.extend(value.to_le_bytes()),
            Param::Float(value) => out.extend(value.to_le_bytes()),
            Param::Bytes(bytes) => return <&[u8] as Encode<MySql>>::encode_by_ref(&bytes.as_slice(), out),
            other => return <&str as Encode<MySql>>::encode_by_ref(&text_of(other).as_str(), out),
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<MySqlTypeInfo> {
        Some(match self.0 {
            Param::Bool(_) | Param::Int(_) => <i64 as Type<MySql>>::type_info(),
            Param::Float(_) => <f64 as Type<MySql>>::type_info(),
            Param::Bytes(_) => <[u8] as Type<MySql>>::type_info(),
            _ => <str as Type<MySql>>::type_info(),
        })
    }
}
