//! Parameters of a request: path, query string, forms.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::percent_decode;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use busbar_runtime::Head;
use busbar_sio::multipart;

use crate::errors::VALIDATION;

/// A query string or form body as a dictionary. A repeated key is a list; values are UTF-8, bytes that are not become U+FFFD.
pub(crate) fn parse_query<'py>(py: Python<'py>, query: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let parsed = PyDict::new(py);
    for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let (name, value) = (decode(name), decode(value));
        match parsed.get_item(&name)? {
            None => parsed.set_item(name, value)?,
            Some(known) => match known.cast::<PyList>() {
                Ok(list) => list.append(value)?,
                Err(_) => parsed.set_item(name, PyList::new(py, [known, value.into_pyobject(py)?.into_any()])?)?,
            },
        }
    }
    Ok(parsed)
}

/// A form in several parts as a dictionary: files as bytes, other fields as text. A repeated name is a list.
pub(crate) fn parse_multipart<'py>(py: Python<'py>, content_type: &[u8], body: &Bytes) -> PyResult<Bound<'py, PyDict>> {
    let parts =
        multipart::parse(content_type, body).map_err(|error| VALIDATION.error(py, (py.None(), error.message)))?;
    let parsed = PyDict::new(py);
    for part in parts {
        let value = match std::str::from_utf8(&part.data) {
            Ok(text) if part.file_name.is_none() => PyString::new(py, text).into_any(),
            _ => PyBytes::new(py, &part.data).into_any(),
        };
        match parsed.get_item(&part.name)? {
            None => parsed.set_item(part.name, value)?,
            Some(known) => match known.cast::<PyList>() {
                Ok(list) => list.append(value)?,
                Err(_) => parsed.set_item(part.name, PyList::new(py, [known, value])?)?,
            },
        }
    }
    Ok(parsed)
}

/// What stood in the place of `{name}` in the channel's path.
pub(crate) fn path_params<'py>(py: Python<'py>, head: &Head<'_>) -> PyResult<Bound<'py, PyDict>> {
    let params = PyDict::new(py);
    for (name, value) in head.params() {
        params.set_item(name, value)?;
    }
    Ok(params)
}

/// Path and query parameters after the channel's rule for names that both have. `None`: there are no parameters at all.
pub(crate) fn channel_params<'py>(py: Python<'py>, head: &Head<'_>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let mut path = head.params().peekable();
    if head.query.is_empty() && path.peek().is_none() {
        return Ok(None);
    }
    let params = parse_query(py, head.query.as_bytes())?;
    for (name, value) in path {
        if head.path_over_query || !params.contains(name)? {
            params.set_item(name, value)?;
        }
    }
    Ok(Some(params))
}

fn decode(text: &[u8]) -> Cow<'_, str> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return String::from_utf8_lossy(text);
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let decoded: Vec<u8> = percent_decode(&spaced).collect();
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::attach;

    /// What a query string holds, as its standard has it: the values of each name, in their order.
    fn by_the_standard(query: &[u8]) -> HashMap<String, Vec<String>> {
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(query) {
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        all
    }

    fn parsed(query: &[u8]) -> HashMap<String, Vec<String>> {
        attach(|py| {
            let parsed = parse_query(py, query).unwrap();
            let values = |value: Bound<'_, PyAny>| match value.cast::<PyList>() {
                Ok(list) => list.extract().unwrap(),
                Err(_) => vec![value.extract().unwrap()],
            };
            let all = parsed.iter();
            all.map(|(name, value)| (name.extract().unwrap(), values(value)))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_query_string(query in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(parsed(&query), by_the_standard(&query));
        }

        #[test]
        fn query_strings_are_read_as_their_standard_says(query in "([ab&=+;%]|%[0-9a-fA-F]{2}|%[cC]3%[aA]9|\\PC){0,40}") {
            prop_assert_eq!(parsed(query.as_bytes()), by_the_standard(query.as_bytes()));
        }
    }

    #[test]
    fn query_strings_are_parsed() {
        attach(|py| {
            for (query, expected) in [
                ("a=1&b=2", "{'a': '1', 'b': '2'}"),
                ("a=1&a=2&a=3", "{'a': ['1', '2', '3']}"),
                ("a=&b&&c=x%20y+z", "{'a': '', 'b': '', 'c': 'x y z'}"),
                ("%C3%A9=%C3%A9%ff", "{'\u{e9}': '\u{e9}\u{fffd}'}"),
                ("a=b=c", "{'a': 'b=c'}"),
                ("", "{}"),
            ] {
                assert_eq!(
                    parse_query(py, query.as_bytes()).unwrap().to_string(),
                    expected,
                    "{query}"
                );
            }
        });
    }
}
