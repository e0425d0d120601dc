//! Reading an object's fields, with errors that name the field.

use std::cell::Cell;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value, map};

use crate::object::FieldError;

/// Parses a type's own fields. serde says what is wrong with a value but not where it stands: the field that was being read is noted
/// on the way.
pub(crate) fn parse<T: DeserializeOwned>(body: &Map<String, Value>) -> Result<T, FieldError> {
    let reading = Cell::new("");
    T::deserialize(Fields {
        body,
        reading: &reading,
    })
    .map_err(|error| {
        let message = error.to_string();
        // a field that is not there is noticed after the last one that is
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split('`').next());
        let field = missing.unwrap_or_else(|| reading.get());
        FieldError {
            field: if field.is_empty() { "(object)" } else { field }.to_owned(),
            message,
        }
    })
}

struct Fields<'de, 'r> {
    body: &'de Map<String, Value>,
    reading: &'r Cell<&'de str>,
}

impl<'de> Deserializer<'de> for Fields<'de, '_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(Noted {
            fields: self.body.iter(),
            value: &Value::Null,
            reading: self.reading,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Noted<'de, 'r> {
    fields: map::Iter<'de>,
    /// Of the field whose name was read.
    value: &'de Value,
    reading: &'r Cell<&'de str>,
}

impl<'de> MapAccess<'de> for Noted<'de, '_> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        let Some((name, value)) = self.fields.next() else {
            return Ok(None);
        };
        self.reading.set(name);
        self.value = value;
        seed.deserialize(name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        seed.deserialize(self.value)
    }
}
