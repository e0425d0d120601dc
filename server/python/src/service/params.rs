//! Parameters of a request: path, query string, forms.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::percent_decode;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use busbar_runtime::Head;
use busbar_sio::multipart;

use crate::errors::VALIDATION;

/// A query string as a dictionary. A repeated key is a list; values are UTF-8, bytes that are not become U+FFFD.
pub(crate) fn parse_query<'py>(py: Python<'py>, query: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    parse_pairs(py, query, false)
}

/// The body of a form as a dictionary. A repeated key is a list; what is not UTF-8 is refused with status 400.
pub(crate) fn parse_form<'py>(py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    parse_pairs(py, body, true)
}

fn parse_pairs<'py>(py: Python<'py>, pairs: &[u8], is_strict: bool) -> PyResult<Bound<'py, PyDict>> {
    let parsed = PyDict::new(py);
    for pair in pairs.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let (name, is_name_utf8) = decode(name);
        let (value, is_value_utf8) = decode(value);
        if is_strict && !(is_name_utf8 && is_value_utf8) {
            return Err(not_utf8(py, &name));
        }
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

/// The error about a field of a form.
fn not_utf8(py: Python<'_>, name: &str) -> PyErr {
    let message = format!("invalid form: field `{name}` is not UTF-8");
    VALIDATION.error(py, (py.None(), message))
}

/// A form in several parts as a dictionary: files as bytes, other fields as text. A repeated name is a list. Text that is not UTF-8 is
/// refused with status 400; a part that says that it is no text may hold anything.
pub(crate) fn parse_multipart<'py>(py: Python<'py>, content_type: &[u8], body: &Bytes) -> PyResult<Bound<'py, PyDict>> {
    let parts =
        multipart::parse(content_type, body).map_err(|error| VALIDATION.error(py, (py.None(), error.message)))?;
    let parsed = PyDict::new(py);
    for part in parts {
        let value = match std::str::from_utf8(&part.data) {
            Ok(text) if part.file_name.is_none() => PyString::new(py, text).into_any(),
            Err(_) if part.is_text() => return Err(not_utf8(py, &part.name)),
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

/// The text that is escaped, and whether all of it is UTF-8.
fn decode(text: &[u8]) -> (Cow<'_, str>, bool) {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        let text = String::from_utf8_lossy(text);
        let is_utf8 = matches!(text, Cow::Borrowed(_));
        return (text, is_utf8);
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    match String::from_utf8(percent_decode(&spaced).collect()) {
        Ok(text) => (Cow::Owned(text), true),
        Err(error) => {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            (Cow::Owned(text), false)
        }
    }
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
    fn forms_that_are_not_utf8_are_refused() {
        attach(|py| {
            assert_eq!(parse_form(py, b"a=%C3%A9").unwrap().to_string(), "{'a': '\u{e9}'}");
            for body in [&b"a=1&b=\xff"[..], b"a=1&b=%ff", b"b=+\xff"] {
                let error = parse_form(py, body).unwrap_err().to_string();
                assert!(error.contains("invalid form: field `b` is not UTF-8"), "{error}");
            }
            assert!(parse_form(py, b"%ff=1").is_err() && parse_form(py, b"\xff").is_err());
        });
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
