//! Reading an object's fields, with errors that name the field.

use std::cell::RefCell;

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::object::FieldError;

/// Parses a type's own fields. serde says what is wrong with a value but not where it stands: the field that was being read is noted
/// on the way.
pub(crate) fn parse<T: DeserializeOwned>(body: &Map<String, Value>) -> Result<T, FieldError> {
    let reading = RefCell::new(String::new());
    T::deserialize(Fields {
        body,
        reading: &reading,
    })
    .map_err(|error| {
        let message = error.to_string();
        // a field that is not there is noticed after the last one that is
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split('`').next())
            .map(str::to_owned);
        let field = missing.unwrap_or_else(|| reading.take());
        FieldError {
            field: if field.is_empty() { "(object)".to_owned() } else { field },
            message,
        }
    })
}

struct Fields<'a> {
    body: &'a Map<String, Value>,
    reading: &'a RefCell<String>,
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let fields = self.body.iter().map(|(name, value)| (name.as_str(), value.clone()));
        visitor.visit_map(Noted {
            fields: MapDeserializer::new(fields),
            reading: self.reading,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Noted<'a, M> {
    fields: M,
    reading: &'a RefCell<String>,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Noted<'_, M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        self.fields.next_key_seed(NotedKey {
            seed,
            reading: self.reading,
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, M::Error> {
        self.fields.next_value_seed(seed)
    }
}

struct NotedKey<'a, K> {
    seed: K,
    reading: &'a RefCell<String>,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for NotedKey<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        let name = <String as serde::Deserialize>::deserialize(deserializer)?;
        self.reading.replace(name.clone());
        self.seed.deserialize(serde::de::value::StringDeserializer::new(name))
    }
}
