//! Python values as bytes that outlive their process, and back: what JSON can carry as JSON, and what it cannot, but is plain data all the
//! same (dates, `Decimal`, bytes...), in a form of its own, so that it comes back as it was.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::json;

/// Key of a dictionary that stands for something which JSON has no word for: `python/busbar/kept.py`.
const MARK: &str = "$busbar";
/// Deepest nesting that is looked into here.
const MAX_DEPTH: usize = 100;

/// Writes a value. A `TypeError` names the type of what is no plain data.
pub(crate) fn pack(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if is_plain(value) {
        return json::write(value);
    }
    static TO_PLAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let plain = TO_PLAIN
        .import(value.py(), "busbar.kept", "to_plain")?
        .call1((value,))?;
    json::write(&plain)
}

/// Reads what [`pack`] wrote.
pub(crate) fn unpack<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let value =
        json::read(py, text).map_err(|error| PyValueError::new_err(format!("cannot read what was kept: {error}")))?;
    let may_be_marked = text.windows(MARK.len()).any(|window| window == MARK.as_bytes());
    if !may_be_marked {
        return Ok(value);
    }
    static FROM_PLAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FROM_PLAIN.import(py, "busbar.kept", "from_plain")?.call1((value,))
}

/// Whether JSON can carry the value just as it is.
pub(crate) fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    is_plain_within(value, MAX_DEPTH)
}

fn is_plain_within(value: &Bound<'_, PyAny>, depth: usize) -> bool {
    if value.is_none()
        || value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyBool>()
    {
        return true;
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return number.value().is_finite();
    }
    if depth == 0 {
        return false;
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return list.iter().all(|item| is_plain_within(&item, depth - 1));
    }
    value.cast_exact::<PyDict>().is_ok_and(|dict| {
        dict.iter().all(|(key, item)| {
            key.cast_exact::<PyString>()
                .is_ok_and(|key| key.to_str().is_ok_and(|key| key != MARK))
                && is_plain_within(&item, depth - 1)
        })
    })
}

#[cfg(test)]
mod tests {
    use pyo3::types::PyAnyMethods;

    use super::*;
    use crate::testing::attach;

    #[test]
    fn plain_data_comes_back_as_it_was() {
        attach(|py| {
            for code in [
                c"None",
                c"{'a': [1, 2.5, True, None, 'é', 10**30], '': {}}",
                c"{'$busbar': 1}",
                c"{1: 'a', None: 'b', (1, 2): 'c'}",
                c"(1, [2, (3,)], {4}, frozenset([5]))",
                c"b'\\x00\\xff'",
                c"bytearray(b'x')",
                c"__import__('decimal').Decimal('1.10')",
                c"__import__('uuid').UUID(int=7)",
                c"__import__('datetime').datetime(2026, 1, 2, 3, 4, 5, 6)",
                c"__import__('datetime').datetime(2026, 1, 2, tzinfo=__import__('datetime').timezone.utc)",
                c"__import__('datetime').date(2026, 1, 2)",
                c"__import__('datetime').time(1, 2, 3)",
                c"__import__('datetime').timedelta(days=-1, microseconds=5)",
                c"float('inf')",
            ] {
                let value = py.eval(code, None, None).unwrap();
                let packed = pack(&value).unwrap();
                let back = unpack(py, &packed).unwrap();
                assert!(back.eq(&value).unwrap(), "{code:?}: {back}");
                assert!(back.get_type().is(value.get_type()), "{code:?}: {back}");
            }
            let bunch = py.eval(c"__import__('bunch').Bunch(a=1)", None, None).unwrap();
            assert_eq!(pack(&bunch).unwrap(), br#"{"a":1}"#);
        });
    }

    #[test]
    fn other_objects_are_refused_by_the_name_of_their_type() {
        attach(|py| {
            let value = py.eval(c"{'a': [__import__('threading').Lock()]}", None, None).unwrap();
            let error = pack(&value).unwrap_err();
            assert!(error.is_instance_of::<pyo3::exceptions::PyTypeError>(py));
            assert!(error.to_string().contains("_thread.lock"), "{error}");
            let endless = py.eval(c"(lambda a: a.append(a) or a)([])", None, None).unwrap();
            assert!(pack(&endless).is_err());
        });
    }
}
