//! Replies of Redis.

use bytes::Bytes;
use redis::Value;

use super::RedisFailure;

/// A reply. Inside arrays an error is an item like any other.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing there.
    Nil,
    /// A short text like `OK` or `PONG`.
    Status(String),
    /// A number.
    Int(i64),
    /// Bytes.
    Bulk(Bytes),
    /// A list.
    Array(Vec<Reply>),
    /// Pairs. Redis sends them as plain arrays unless RESP3 was asked for.
    Map(Vec<(Reply, Reply)>),
    /// A set. As for maps.
    Set(Vec<Reply>),
    /// A floating point number. As for maps.
    Double(f64),
    /// A truth value. As for maps.
    Bool(bool),
    /// An error inside a list.
    Error(RedisFailure),
}

impl Reply {
    /// The bytes of a text, of whichever kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Status(text) => Some(text.as_bytes()),
            Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn into_result(self) -> Result<Self, RedisFailure> {
        match self {
            Self::Error(failure) => Err(failure),
            reply => Ok(reply),
        }
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        let all = |values: Vec<Value>| values.into_iter().map(Self::from).collect();
        match value {
            Value::Nil => Self::Nil,
            Value::Int(number) => Self::Int(number),
            Value::BulkString(bytes) => Self::Bulk(bytes.into()),
            Value::Array(values) => Self::Array(all(values)),
            Value::SimpleString(text) => Self::Status(text),
            Value::Okay => Self::Status("OK".to_owned()),
            Value::Map(pairs) => Self::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.into(), value.into()))
                    .collect(),
            ),
            Value::Attribute { data, .. } => (*data).into(),
            Value::Set(values) => Self::Set(all(values)),
            Value::Double(number) => Self::Double(number),
            Value::Boolean(truth) => Self::Bool(truth),
            Value::VerbatimString { text, .. } => Self::Bulk(text.into()),
            Value::BigNumber(digits) => Self::Bulk(digits.into()),
            Value::Push { data, .. } => Self::Array(all(data)),
            Value::ServerError(error) => Self::Error(RedisFailure::reported(
                error.code(),
                error.details().unwrap_or_default(),
            )),
            // the library may learn new kinds of values; what they hold is not known then
            _ => Self::Nil,
        }
    }
}
