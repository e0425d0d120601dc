//! An object's own fields, which stay text until somebody looks at them: there are very many objects, and few are looked at.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, Serialize, Serializer, forward_to_deserialize_any};
use serde_json::value::RawValue;
use serde_json::{Map, Value, map};

use crate::object::FieldError;

/// The fields of an object: a JSON object. What was read from the ODB or a link is kept as the text that it was, which takes a fifth of the
/// memory, and becomes a map when it is used as one, once.
#[derive(Clone)]
pub struct Body {
    /// The fields as text; `None`: they may have become others since.
    text: Option<Arc<RawValue>>,
    /// The same as a map, since somebody looked; without a text there is one.
    fields: OnceLock<Box<Map<String, Value>>>,
}

impl Body {
    /// The fields that a text holds.
    ///
    /// # Errors
    ///
    /// It is not a JSON object.
    pub fn read(text: String) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Whole>(&text)?;
        RawValue::from_string(text).map(Self::of_text)
    }

    /// The fields of a value that serialises to a JSON object.
    pub(crate) fn of<T: Serialize>(object: &T) -> Self {
        let text = serde_json::value::to_raw_value(object).expect("an object serialises to JSON");
        assert!(
            text.get().starts_with('{'),
            "an object type serialises to a JSON object, not {text}"
        );
        Self::of_text(text)
    }

    fn of_text(text: Box<RawValue>) -> Self {
        Self {
            text: Some(text.into()),
            fields: OnceLock::new(),
        }
    }

    /// The fields, for whoever goes through those of many objects: they are not kept as a map afterwards.
    pub fn fields(&self) -> Cow<'_, Map<String, Value>> {
        match (self.fields.get(), &self.text) {
            (Some(fields), _) => Cow::Borrowed(fields),
            (None, Some(text)) => Cow::Owned(map_of(text)),
            (None, None) => Cow::Owned(Map::new()),
        }
    }

    /// The fields as text.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.text {
            Some(text) => Cow::Borrowed(text.get()),
            None => Cow::Owned(serde_json::to_string(&**self).expect("a JSON object serialises")),
        }
    }

    /// Parses a type's own fields.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, FieldError> {
        let parsed = self
            .text
            .as_ref()
            .and_then(|text| serde_json::from_str(text.get()).ok());
        // only where the fields are known by name it can be said which of them is wrong
        parsed.map_or_else(|| parse(&self.fields()), Ok)
    }
}

fn map_of(text: &RawValue) -> Map<String, Value> {
    serde_json::from_str(text.get()).expect("a text was read as a JSON object before it became a body")
}

impl From<Map<String, Value>> for Body {
    fn from(fields: Map<String, Value>) -> Self {
        Self {
            text: None,
            fields: OnceLock::from(Box::new(fields)),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Map::new().into()
    }
}

impl Deref for Body {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        self.fields.get_or_init(|| Box::new(self.fields().into_owned()))
    }
}

impl DerefMut for Body {
    fn deref_mut(&mut self) -> &mut Self::Target {
        if self.fields.get().is_none() {
            self.fields = OnceLock::from(Box::new(self.fields().into_owned()));
        }
        self.text = None;
        self.fields.get_mut().expect("it was put there just now")
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Arc<RawValue>, &Arc<RawValue>)| Arc::ptr_eq(one, other) || one.get() == other.get();
        self.text.as_ref().zip(other.text.as_ref()).is_some_and(same) || self.fields() == other.fields()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields().fmt(f)
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

/// Bodies in JSON that one busbar writes for another: texts stay what they are. For fields: `#[serde(with = "body::text")]`.
pub(crate) mod text {
    use super::{Body, Deserialize, Deserializer, RawValue, Serialize, Serializer, de};

    pub fn serialize<S: Serializer>(body: &&Body, serializer: S) -> Result<S::Ok, S::Error> {
        match &body.text {
            Some(text) => RawValue::serialize(text, serializer),
            None => body.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Body, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        serde_json::from_str::<super::Whole>(text.get()).map_err(de::Error::custom)?;
        Ok(Body::of_text(text))
    }
}

/// Whatever can be read as a JSON object, without making anything of it.
struct Whole;

/// Whatever can be read as JSON.
struct Any;

struct Walk;

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Walk).map(|Any| Self)
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_str<E>(self, _: &str) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any, A::Error> {
        while let Some(Any) = items.next_element()? {}
        Ok(Any)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Any, A::Error> {
        while let Some((Any, Any)) = fields.next_entry()? {}
        Ok(Any)
    }
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Body {
        Body::read(text.to_owned()).unwrap()
    }

    #[test]
    fn a_text_is_a_map_for_whoever_looks() {
        let text = r#"{"b": [1, {"a": null}], "a": "\u00e9", "c": 1.5}"#;
        let body = read(text);
        assert_eq!(body.text(), text);
        assert_eq!(body.fields()["a"], "é");
        assert!(body.fields.get().is_none(), "looking at all of many keeps none of them");
        assert_eq!(body["b"][0], 1);
        assert!(matches!(body.fields(), Cow::Borrowed(_)));
        // order is kept
        assert_eq!(body.keys().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(
            serde_json::to_value(&body).unwrap(),
            Value::Object(body.fields().into_owned())
        );
    }

    #[test]
    fn a_body_that_is_changed_is_another_text() {
        let mut body = read(r#"{"a":1}"#);
        let before = body.clone();
        body.insert("b".to_owned(), json!(2));
        assert_eq!(body.text(), r#"{"a":1,"b":2}"#);
        assert_eq!(before.text(), r#"{"a":1}"#);
        assert_ne!(body, before);
        body.shift_remove("b");
        assert_eq!(body, before);
        assert_eq!(Body::default().text(), "{}");
    }

    #[test]
    fn bodies_are_compared_by_what_they_say() {
        let body = read(r#"{"a": 1, "b": "x"}"#);
        assert_eq!(body, read(r#"{"b":"\u0078","a":1}"#));
        assert_ne!(body, read(r#"{"a": 1, "b": "y"}"#));
        let fields = json!({"a": 1, "b": "x"}).as_object().unwrap().clone();
        assert_eq!(body, Body::from(fields));
    }

    #[test]
    fn what_is_no_object_is_refused_before_anybody_looks() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        for text in [
            "",
            "1",
            "[]",
            "null",
            "{",
            "{}x",
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            &deep,
        ] {
            assert!(Body::read(text.to_owned()).is_err(), "{text}");
        }
    }
}
