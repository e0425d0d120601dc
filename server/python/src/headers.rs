//! HTTP headers as services read them.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyString};

/// HTTP headers: a read-only dictionary whose keys are found in any case. A header that came several times is one text, its values
/// joined by a comma.
#[pyclass(frozen, mapping, module = "_busbar")]
#[derive(Debug, Default)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Headers in the order received. Values that are not UTF-8 are read as Latin-1, which every byte is.
    pub(crate) fn new<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut joined: Vec<(String, String)> = Vec::new();
        for (name, value) in headers {
            let value = match std::str::from_utf8(value) {
                Ok(text) => text.to_owned(),
                Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
            };
            match joined.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some((_, known)) => {
                    known.push_str(", ");
                    known.push_str(&value);
                }
                None => joined.push((name.to_owned(), value)),
            }
        }
        Self(joined)
    }

    /// A header's value, by its name in any case.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Names and values.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[pymethods]
impl Headers {
    fn __getitem__(&self, name: &str) -> PyResult<&str> {
        self.value(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        name.cast::<PyString>()
            .is_ok_and(|name| name.to_str().is_ok_and(|name| self.value(name).is_some()))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py)?.try_iter()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let lower = |pairs: &[(String, String)]| {
            let mut pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect();
            pairs.sort();
            pairs
        };
        if let Ok(other) = other.cast::<Self>() {
            return Ok(lower(&self.0) == lower(&other.get().0));
        }
        let Ok(other) = other.cast::<PyDict>() else {
            return Ok(false);
        };
        let pairs = other
            .iter()
            .map(|(name, value)| Ok((name.extract()?, value.extract()?)))
            .collect::<PyResult<Vec<_>>>();
        let Ok(pairs) = pairs else { return Ok(false) };
        Ok(lower(&self.0) == lower(&pairs))
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.copy(py)?.repr()
    }

    /// A header's value, or the default.
    #[pyo3(signature = (name, default = None))]
    fn get<'py>(&self, py: Python<'py>, name: &str, default: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
        self.value(name)
            .map(|value| PyString::new(py, value).into_any())
            .or(default)
    }

    /// The names.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.iter().map(|(name, _)| name))
    }

    /// The values.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.iter().map(|(_, value)| value))
    }

    /// Names and values.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.iter().map(|(name, value)| (name, value)))
    }

    /// A plain dictionary of them.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in &self.0 {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::attach;

    #[test]
    fn headers_are_found_in_any_case() {
        attach(|py| {
            let pairs: [(&str, &[u8]); 4] = [
                ("Content-Type", b"a/b"),
                ("X", "\u{e9}".as_bytes()),
                ("x", b"2"),
                ("Latin", b"\xe9"),
            ];
            let headers = Bound::new(py, Headers::new(pairs.into_iter())).unwrap();
            let scope = PyDict::new(py);
            scope.set_item("h", headers).unwrap();
            let code = c"
assert h['content-type'] == 'a/b' == h.get('CONTENT-TYPE') and h['x'] == 'é, 2' and h['latin'] == 'é'
assert 'X' in h and 'none' not in h and 5 not in h and h.get('none') is None and h.get('none', 1) == 1
assert len(h) == 3 and list(h) == ['Content-Type', 'X', 'Latin'] == h.keys() and dict(h)['X'] == h.values()[1]
assert h == {'content-type': 'a/b', 'x': 'é, 2', 'LATIN': 'é'} and h != {} and h != 5 and h.copy() == dict(h.items())
try: h['none']
except KeyError: pass
else: assert False
";
            py.run(code, Some(&scope), None).unwrap();
        });
    }
}
