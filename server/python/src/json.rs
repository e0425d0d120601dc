//! JSON straight from bytes to Python objects and back, with no tree in between.

use jiter::{JsonError, PythonParse, StringCacheMode};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTime,
    PyTuple, PyType,
};
use pyo3::{ffi, intern};

use busbar_sio::{plain_prefix, without_bom};

use crate::sio::model::written_by_fields;

/// Deepest nesting that is written. Beyond it the value most likely contains itself.
const MAX_DEPTH: usize = 200;

/// Reads a body: integers of any size exactly, the last of duplicate keys, no `NaN`. The error says what is wrong and where.
///
/// Bodies of channels have been checked more strictly before ([`busbar_sio::check_json`]); this also reads what came other ways.
pub(crate) fn read<'py>(py: Python<'py>, body: &[u8]) -> Result<Bound<'py, PyAny>, String> {
    parse(py, body, false)
}

/// Reads what other systems answer: as [`read`], and `NaN` and `Infinity`, which many of them write.
pub(crate) fn read_lenient<'py>(py: Python<'py>, body: &[u8]) -> Result<Bound<'py, PyAny>, String> {
    parse(py, body, true)
}

fn parse<'py>(py: Python<'py>, body: &[u8], allow_inf_nan: bool) -> Result<Bound<'py, PyAny>, String> {
    let body = without_bom(body);
    // keys repeat from request to request, values do not
    let options = PythonParse {
        allow_inf_nan,
        cache_mode: StringCacheMode::Keys,
        ..PythonParse::default()
    };
    options
        .python_parse(py, body)
        .map_err(|error: JsonError| error.description(body))
}

/// Writes a value as compact JSON in UTF-8.
///
/// `dict` and `list` with their subclasses (`Bunch`), tuples, sets, text, numbers, `None`; ISO text of dates and times, text of
/// `Decimal`, `UUID` and UTF-8 bytes, values of enumerations, fields of dataclasses, and objects that have `to_dict()` or
/// `to_json()`. Keys are written as Python's own `json` does.
///
/// Errors are Python's: `TypeError` names the type that cannot be written; `ValueError` says that a number is not finite, since
/// JSON has no word for that and a silent `null` would change data, or that the value is nested too deeply or contains itself.
pub(crate) fn write(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut text = Vec::with_capacity(256);
    append(value, &mut text)?;
    Ok(text)
}

/// Writes a value behind what is there already.
pub(crate) fn append(value: &Bound<'_, PyAny>, text: &mut Vec<u8>) -> PyResult<()> {
    Writer { text, depth: 0 }.value(value)
}

/// Writes a text as a JSON string.
pub(crate) fn append_text(value: &str, text: &mut Vec<u8>) {
    text.reserve(value.len() + 2);
    text.push(b'"');
    let mut rest = value.as_bytes();
    loop {
        let (plain, after) = rest.split_at(plain_prefix(rest));
        text.extend_from_slice(plain);
        let Some((&escaped, after)) = after.split_first() else {
            break;
        };
        rest = after;
        match escaped {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            control => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                text.extend_from_slice(b"\\u00");
                text.push(DIGITS[usize::from(control >> 4)]);
                text.push(DIGITS[usize::from(control & 0xf)]);
            }
        }
    }
    text.push(b'"');
}

struct Writer<'a> {
    text: &'a mut Vec<u8>,
    depth: usize,
}

impl Writer<'_> {
    /// The exact types of JSON first, by address: nearly every value is one of them.
    fn value(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let exact = value.get_type_ptr();
        // SAFETY: only the addresses of these static types are taken
        unsafe {
            if exact == &raw mut ffi::PyUnicode_Type {
                return self.string(value.cast_unchecked());
            } else if exact == &raw mut ffi::PyLong_Type {
                return self.int(value.cast_unchecked());
            } else if exact == &raw mut ffi::PyDict_Type {
                return self.nested(|writer| writer.dict(value.cast_unchecked()));
            } else if exact == &raw mut ffi::PyList_Type {
                return self.nested(|writer| writer.list(value.cast_unchecked()));
            } else if exact == &raw mut ffi::PyBool_Type {
                self.text
                    .extend_from_slice(if value.is_truthy()? { b"true" } else { b"false" });
                return Ok(());
            } else if exact == &raw mut ffi::PyFloat_Type {
                return self.float(value.cast_unchecked());
            }
        }
        if value.is_none() {
            self.text.extend_from_slice(b"null");
            return Ok(());
        }
        self.nested(|writer| writer.other(value))
    }

    fn nested(&mut self, write: impl FnOnce(&mut Self) -> PyResult<()>) -> PyResult<()> {
        if self.depth == MAX_DEPTH {
            return Err(PyValueError::new_err(format!(
                "cannot write JSON: the value has more than {MAX_DEPTH} levels, or contains itself"
            )));
        }
        self.depth += 1;
        write(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn string(&mut self, value: &Bound<'_, PyString>) -> PyResult<()> {
        append_text(value.to_str()?, self.text);
        Ok(())
    }

    fn int(&mut self, value: &Bound<'_, PyInt>) -> PyResult<()> {
        match value.extract::<i64>() {
            Ok(number) => serde_json::to_writer(&mut *self.text, &number)
                .map_err(|error| PyValueError::new_err(error.to_string())),
            // `int.__repr__`, because subclasses such as enumerations have another one
            Err(_) => {
                let digits = value
                    .py()
                    .get_type::<PyInt>()
                    .call_method1(intern!(value.py(), "__repr__"), (value,))?;
                self.text
                    .extend_from_slice(digits.cast::<PyString>()?.to_str()?.as_bytes());
                Ok(())
            }
        }
    }

    fn float(&mut self, value: &Bound<'_, PyFloat>) -> PyResult<()> {
        let number = value.value();
        if !number.is_finite() {
            return Err(PyValueError::new_err(format!(
                "cannot write JSON: {number} is not a number that JSON knows"
            )));
        }
        serde_json::to_writer(&mut *self.text, &number).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        self.text.push(b'{');
        let py = dict.py();
        let mut position = 0;
        let mut first = true;
        loop {
            let mut key = std::ptr::null_mut();
            let mut value = std::ptr::null_mut();
            // SAFETY: `dict` is a dict and lives; key and value are borrowed from it and get references of their own at once, because
            // writing them may run Python code that changes the dict. CPython allows that between calls: entries may be missed then,
            // nothing worse.
            let (key, value) = unsafe {
                if ffi::PyDict_Next(dict.as_ptr(), &mut position, &mut key, &mut value) == 0 {
                    break;
                }
                (Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value))
            };
            self.member(&key, &value, &mut first)?;
        }
        self.text.push(b'}');
        Ok(())
    }

    fn member(&mut self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, first: &mut bool) -> PyResult<()> {
        if !std::mem::take(first) {
            self.text.push(b',');
        }
        self.key(key)?;
        self.text.push(b':');
        self.value(value)
    }

    fn key(&mut self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(key) = key.cast::<PyString>() {
            return self.string(key);
        }
        if key.is_none()
            || key.is_instance_of::<PyBool>()
            || key.is_instance_of::<PyInt>()
            || key.is_instance_of::<PyFloat>()
        {
            self.text.push(b'"');
            self.value(key)?;
            self.text.push(b'"');
            return Ok(());
        }
        Err(PyTypeError::new_err(format!(
            "cannot write JSON: keys must be text, numbers, truth values or None, not {}",
            type_name(key)
        )))
    }

    fn list(&mut self, list: &Bound<'_, PyList>) -> PyResult<()> {
        self.text.push(b'[');
        // by index, because writing an item may run Python code that changes the list
        let mut index = 0;
        while let Ok(item) = list.get_item(index) {
            if index > 0 {
                self.text.push(b',');
            }
            self.value(&item)?;
            index += 1;
        }
        self.text.push(b']');
        Ok(())
    }

    fn items<'py>(&mut self, items: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>) -> PyResult<()> {
        self.text.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.text.push(b',');
            }
            self.value(&item?)?;
        }
        self.text.push(b']');
        Ok(())
    }

    /// Everything that is not of an exact JSON type.
    fn other(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        if let Ok(text) = value.cast::<PyString>() {
            return self.string(text);
        }
        if let Ok(number) = value.cast::<PyInt>() {
            return self.int(number);
        }
        if let Ok(number) = value.cast::<PyFloat>() {
            return self.float(number);
        }
        if value.is_instance_of::<PyDict>() {
            // through `items()`: a subclass may order or compute them
            let items = value.call_method0(intern!(py, "items"))?;
            return self.pairs(&items);
        }
        if let Ok(list) = value.cast::<PyList>() {
            return self.list(list);
        }
        if let Some(plan) = written_by_fields(value)? {
            self.text.push(b'{');
            let mut first = true;
            plan.get()
                .each_field(value, |name, field| self.member(name, field, &mut first))?;
            self.text.push(b'}');
            return Ok(());
        }
        if let Some(fields) = own_method(value, intern!(py, "to_dict"))? {
            return self.value(&fields.call0()?);
        }
        if let Some(to_json) = own_method(value, intern!(py, "to_json"))? {
            let json = to_json.call0()?;
            return match json.cast::<PyString>() {
                // its own JSON, checked so that a fault of it cannot break what is around
                Ok(text) => self.raw(text.to_str()?, value),
                Err(_) => self.value(&json),
            };
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return self.items(tuple.iter().map(Ok));
        }
        if value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>() {
            return self.items(value.try_iter()?);
        }
        if value.is_instance_of::<PyDate>() || value.is_instance_of::<PyTime>() {
            let text = value.call_method0(intern!(py, "isoformat"))?;
            return self.string(text.cast()?);
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return self.utf8(bytes.as_bytes(), value);
        }
        if let Ok(bytes) = value.cast::<PyByteArray>() {
            return self.utf8(&bytes.to_vec(), value);
        }
        if let Some(fields) = value.get_type().getattr_opt(intern!(py, "__dataclass_fields__"))? {
            return self.dataclass(value, &fields);
        }
        let known = Known::get(py)?;
        if value.is_instance(known.decimal.bind(py))? || value.is_instance(known.uuid.bind(py))? {
            append_text(value.str()?.to_str()?, self.text);
            return Ok(());
        }
        if value.is_instance(known.enumeration.bind(py))? {
            return self.value(&value.getattr(intern!(py, "value"))?);
        }
        if value.is_instance(known.mapping.bind(py))? {
            let items = value.call_method0(intern!(py, "items"))?;
            return self.pairs(&items);
        }
        if is_many(value)? {
            return self.items(value.try_iter()?);
        }
        Err(PyTypeError::new_err(format!(
            "cannot write JSON: {} is not a type that JSON knows",
            type_name(value)
        )))
    }

    fn pairs(&mut self, items: &Bound<'_, PyAny>) -> PyResult<()> {
        self.text.push(b'{');
        let mut first = true;
        for pair in items.try_iter()? {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
            self.member(&key, &value, &mut first)?;
        }
        self.text.push(b'}');
        Ok(())
    }

    /// Fields in the order of their declaration. One that was never set has no place in the output.
    fn dataclass(&mut self, value: &Bound<'_, PyAny>, fields: &Bound<'_, PyAny>) -> PyResult<()> {
        self.text.push(b'{');
        let mut first = true;
        for name in fields.try_iter()? {
            let name = name?;
            if let Some(field) = value.getattr_opt(name.cast::<PyString>()?)? {
                self.member(&name, &field, &mut first)?;
            }
        }
        self.text.push(b'}');
        Ok(())
    }

    fn utf8(&mut self, bytes: &[u8], value: &Bound<'_, PyAny>) -> PyResult<()> {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                append_text(text, self.text);
                Ok(())
            }
            Err(_) => Err(PyTypeError::new_err(format!(
                "cannot write JSON: {} that are not UTF-8",
                type_name(value)
            ))),
        }
    }

    fn raw(&mut self, json: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        busbar_sio::check_json(None, json.as_bytes(), &|_| true).map_err(|error| {
            PyValueError::new_err(format!("cannot write JSON: to_json() of {}: {error}", type_name(value)))
        })?;
        self.text.extend_from_slice(json.as_bytes());
        Ok(())
    }
}

/// A method of an instance's class; not what an instance answers to any name, as mocks and remote objects do.
fn own_method<'py>(value: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if value.is_instance_of::<PyType>() || value.get_type().getattr_opt(name)?.is_none() {
        return Ok(None);
    }
    Ok(value.getattr_opt(name)?.filter(|method| method.is_callable()))
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value
        .get_type()
        .name()
        .map_or_else(|_| "an object".to_owned(), |name| format!("{name}"))
}

/// Classes that are written by what they are, looked up once.
struct Known {
    decimal: Py<PyAny>,
    uuid: Py<PyAny>,
    enumeration: Py<PyAny>,
    mapping: Py<PyAny>,
    /// What functions and methods give that gave lists in Python 2: `map(...)`, `dict.keys()`, `range(...)`.
    many: Py<PyTuple>,
}

/// Whether a value is a list by another name: `map(...)` and its kin, a generator, a view of a dictionary, a range.
pub(crate) fn is_many(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_instance(Known::get(value.py())?.many.bind(value.py()))
}

impl Known {
    fn get(py: Python<'_>) -> PyResult<&'static Self> {
        static KNOWN: pyo3::sync::PyOnceLock<Known> = pyo3::sync::PyOnceLock::new();
        KNOWN.get_or_try_init(py, || {
            let class = |module: &str, name: &str| py.import(module)?.getattr(name).map(Bound::unbind);
            Ok(Known {
                decimal: class("decimal", "Decimal")?,
                uuid: class("uuid", "UUID")?,
                enumeration: class("enum", "Enum")?,
                mapping: class("collections.abc", "Mapping")?,
                many: PyTuple::new(
                    py,
                    [
                        class("collections.abc", "MappingView")?,
                        class("builtins", "enumerate")?,
                        class("builtins", "filter")?,
                        class("builtins", "map")?,
                        class("builtins", "range")?,
                        class("builtins", "reversed")?,
                        class("builtins", "zip")?,
                        class("types", "GeneratorType")?,
                    ],
                )?
                .unbind(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use pyo3::types::PyDict;

    use super::*;
    use crate::testing::attach;

    fn eval<'py>(py: Python<'py>, code: &CStr) -> Bound<'py, PyAny> {
        let scope = PyDict::new(py);
        let imports =
            c"import collections, dataclasses, datetime, decimal, enum, uuid\nfrom bunch import Bunch, bunchify\n";
        py.run(imports, Some(&scope), None).unwrap();
        py.eval(code, Some(&scope), None).unwrap()
    }

    fn written(py: Python<'_>, code: &CStr) -> String {
        String::from_utf8(write(&eval(py, code)).unwrap()).unwrap()
    }

    fn refused(py: Python<'_>, code: &CStr) -> String {
        write(&eval(py, code)).unwrap_err().to_string()
    }

    #[test]
    fn plain_values_are_written() {
        attach(|py| {
            for (code, json) in [
                (
                    c"{'a': 1, 'b': [True, False, None], 'c': {'d': 1.0}}",
                    r#"{"a":1,"b":[true,false,null],"c":{"d":1.0}}"#,
                ),
                (
                    c"'\"\\\\ \\n\\r\\t\\x00\\x1f/ \u{e9} \\U0001f600'",
                    "\"\\\"\\\\ \\n\\r\\t\\u0000\\u001f/ \u{e9} \u{1f600}\"",
                ),
                (
                    c"[-1, 0, 2**63, -2**64, 10**30]",
                    "[-1,0,9223372036854775808,-18446744073709551616,1000000000000000000000000000000]",
                ),
                (c"[0.1, -0.0, 1e300, 1e-7]", "[0.1,-0.0,1e+300,1e-7]"),
                (c"{}", "{}"),
                (c"[]", "[]"),
                (c"(1, (2,), set())", "[1,[2],[]]"),
                (c"{1: 1, 2.5: 2, True: 3, None: 4}", r#"{"1":3,"2.5":2,"null":4}"#),
            ] {
                let text = written(py, code);
                if json.contains("1e") {
                    let read: Vec<f64> = serde_json::from_str(&text).unwrap();
                    assert_eq!(read, [0.1, -0.0, 1e300, 1e-7]);
                } else {
                    assert_eq!(text, json);
                }
            }
        });
    }

    #[test]
    fn more_types_are_written() {
        attach(|py| {
            for (code, json) in [
                (c"Bunch(a=1, b=Bunch(c=2))", r#"{"a":1,"b":{"c":2}}"#),
                (c"collections.OrderedDict([('b', 1), ('a', 2)])", r#"{"b":1,"a":2}"#),
                (c"collections.namedtuple('P', 'x y')(1, 2)", "[1,2]"),
                (c"datetime.datetime(2021, 2, 3, 4, 5, 6)", "\"2021-02-03T04:05:06\""),
                (c"datetime.date(2021, 2, 3)", "\"2021-02-03\""),
                (c"datetime.time(4, 5)", "\"04:05:00\""),
                (c"decimal.Decimal('1.10')", "\"1.10\""),
                (c"uuid.UUID(int=1)", "\"00000000-0000-0000-0000-000000000001\""),
                (c"enum.Enum('E', 'A B').B", "2"),
                (c"enum.IntEnum('E', 'A B').B", "2"),
                (c"b'abc'", "\"abc\""),
                (
                    c"dataclasses.make_dataclass('D', ['x', ('y', list)])(1, [2])",
                    r#"{"x":1,"y":[2]}"#,
                ),
                (c"type('T', (), {'to_dict': lambda self: {'a': 1}})()", r#"{"a":1}"#),
                (
                    c"[type('T', (), {'to_json': lambda self: '{\"a\": 1}'})()]",
                    r#"[{"a": 1}]"#,
                ),
                (c"type('S', (str,), {})('x')", "\"x\""),
                (c"collections.UserDict(a=1)", r#"{"a":1}"#),
                (
                    c"[{'a': 1}.keys(), {'a': 1}.values(), {'a': 1}.items(), range(2)]",
                    r#"[["a"],[1],[["a",1]],[0,1]]"#,
                ),
                (
                    c"{'a': map(abs, [-1]), 'b': (x for x in 'cd')}",
                    r#"{"a":[1],"b":["c","d"]}"#,
                ),
            ] {
                assert_eq!(written(py, code), json, "{code:?}");
            }
        });
    }

    #[test]
    fn what_json_does_not_know_is_refused_and_named() {
        attach(|py| {
            for (code, part) in [
                (c"float('nan')", "NaN"),
                (c"[float('inf')]", "inf"),
                (c"object()", "object"),
                (c"{(1, 2): 3}", "tuple"),
                (c"b'\\xff'", "UTF-8"),
                (c"'\\ud800'", "surrogates"),
                (c"(lambda a: [a.append(a), a][1])([])", "contains itself"),
                (c"(lambda a: [a.update(a=a), a][1])({})", "contains itself"),
                (c"type('T', (), {'to_dict': lambda self: self})()", "contains itself"),
                (c"type('T', (), {'to_json': lambda self: '{'})()", "invalid JSON"),
            ] {
                let message = refused(py, code);
                assert!(message.contains(part), "{code:?}: {message}");
            }
        });
    }

    #[test]
    fn bodies_are_read() {
        attach(|py| {
            let same = |body: &[u8], code: &CStr| {
                let value = read(py, body).unwrap();
                assert!(value.eq(eval(py, code)).unwrap(), "{value}");
            };
            same(b"{\"a\":1,\"a\":2}", c"{'a': 2}");
            same(
                b"\xef\xbb\xbf[1e2, 12345678901234567890123]",
                c"[100.0, 12345678901234567890123]",
            );
            same("\"\u{e9}\\ud83d\\ude00\"".as_bytes(), c"'\u{e9}\\U0001f600'");
            for body in [&b"{"[..], b"[1]x", b"NaN", b"\"\\ud800\"", b"\"\xff\"", b""] {
                assert!(read(py, body).is_err(), "{body:?}");
            }
            assert!(read(py, "[".repeat(100_000).as_bytes()).is_err());
            assert!(read(py, "1".repeat(10_000).as_bytes()).is_err());
            assert!(read_lenient(py, b"[NaN, Infinity]").is_ok());
        });
    }

    #[test]
    fn what_changes_while_it_is_written_breaks_nothing() {
        attach(|py| {
            let code = c"(lambda d: [d.update(x=type('T', (), {'to_dict': lambda self: [d.clear(), 1][1]})(), y=2), d][1])({'a': 1})";
            written(py, code);
            let code = c"(lambda l: [l.extend([type('T', (), {'to_dict': lambda self: [l.clear(), 1][1]})(), 2, 3]), l][1])([0])";
            assert_eq!(written(py, code), "[0,1]");
        });
    }
}
