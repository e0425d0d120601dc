//! Query strings.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde_json::{Map, Value};

/// The parameters of a raw query string, decoded, in order. A name without `=` has an empty value.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Whether a parameter of this name is there.
pub(crate) fn has_name(query: &str, name: &str) -> bool {
    pairs(query).any(|(other, _)| other == name)
}

/// The parameters as an object: text, or a list of texts where a name is repeated.
pub(crate) fn to_object(query: &str) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in pairs(query) {
        let value = Value::String(value.into_owned());
        match object.get_mut(&*name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                object.insert(name.into_owned(), value);
            }
        }
    }
    object
}

/// `+` is a blank; what is not UTF-8 is replaced, as Python's own parser does.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('+', " ");
    Cow::Owned(percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        /// What clients encode comes out as it was, in its order.
        #[test]
        fn parameters_survive(expected in proptest::collection::vec(("\\PC{1,8}", "\\PC{0,8}"), 0..6)) {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let query: Vec<String> = expected.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
            let query = query.join("&");
            let read: Vec<(String, String)> = pairs(&query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(&read, &expected);
            for (name, _) in &expected {
                prop_assert!(has_name(&query, name));
                prop_assert!(to_object(&query).contains_key(name));
            }
        }

        /// Whatever comes, nothing panics.
        #[test]
        fn nothing_panics(query in "[a-c=&%+0-9é]{0,40}") {
            let _ = to_object(&query);
        }
    }

    #[test]
    fn queries_are_read() {
        let object = |query| Value::Object(to_object(query));
        assert_eq!(object(""), json!({}));
        assert_eq!(
            object("a=1&b=&c&a=2&&a=3"),
            json!({"a": ["1", "2", "3"], "b": "", "c": ""})
        );
        assert_eq!(
            object("na%20me=a+b%2B%c5%bc&x=%ff%"),
            json!({"na me": "a b+ż", "x": "\u{fffd}%"})
        );
        assert!(has_name("a=1&b%5F=2", "b_"));
        assert!(!has_name("a=b", "b"));
    }
}
