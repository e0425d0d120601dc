//! XML requests and responses, straight to Python objects and back.

use std::borrow::Cow;
use std::cell::RefCell;

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use busbar_model::Error;
use busbar_sio::xml::{Build, Shape, Tree, parse, read_input};
use busbar_sio::{SioError, soap};

use crate::errors::{VALIDATION, ZATO_EXCEPTION};
use crate::json;
use crate::sio::declaration::Sio;

/// The declared elements of an XML body, in the shape that JSON would have; of a SOAP envelope those of the first element in its body.
/// `None`: there is no such element. The error has status 400.
pub(crate) fn read<'py>(
    py: Python<'py>,
    sio: Option<&Sio>,
    body: &[u8],
    is_soap: bool,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let root = parse(body).map_err(|error| ReadError::from(error).into_python(py))?;
    let root = if is_soap { soap::payload(root) } else { Some(root) };
    let Some(root) = root else { return Ok(None) };
    let values = PyDict::new(py);
    if let Some(sio) = sio {
        let build = ToPython {
            py,
            names: RefCell::default(),
        };
        let read = read_input(&sio.declaration, &root, sio.gives_nodes, &build);
        for (name, value) in read.map_err(|error| error.into_python(py))? {
            values.set_item(name, value)?;
        }
    }
    Ok(Some(values))
}

/// Why input could not be read out of XML.
enum ReadError {
    /// The document does not have the shape that is declared.
    Shape(SioError),
    /// Python raised.
    Python(PyErr),
}

impl ReadError {
    fn into_python(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Shape(error) => VALIDATION.error(py, (py.None(), error.message)),
            Self::Python(error) => error,
        }
    }
}

impl From<SioError> for ReadError {
    fn from(error: SioError) -> Self {
        Self::Shape(error)
    }
}

impl From<PyErr> for ReadError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// How many different names of a document are kept for the next object that has them.
const KEPT_NAMES: usize = 32;

struct ToPython<'py> {
    py: Python<'py>,
    /// Names that were made already: the items of a list have the same ones.
    names: RefCell<Vec<(String, Bound<'py, PyString>)>>,
}

impl<'py> ToPython<'py> {
    fn name(&self, name: &str) -> Bound<'py, PyString> {
        let mut names = self.names.borrow_mut();
        if let Some((_, known)) = names.iter().find(|(text, _)| text == name) {
            return known.clone();
        }
        let made = PyString::new(self.py, name);
        if names.len() < KEPT_NAMES {
            names.push((name.to_owned(), made.clone()));
        }
        made
    }
}

impl<'py> Build for ToPython<'py> {
    type Value = Bound<'py, PyAny>;
    type Error = ReadError;

    fn null(&self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    fn text(&self, text: &str) -> Self::Value {
        PyString::new(self.py, text).into_any()
    }

    fn list(&self, items: Vec<Self::Value>) -> Result<Self::Value, ReadError> {
        Ok(PyList::new(self.py, items)?.into_any())
    }

    fn object(&self, members: Vec<(&str, Self::Value)>) -> Result<Self::Value, ReadError> {
        let object = PyDict::new(self.py);
        for (name, value) in members {
            let name = self.name(name);
            // SAFETY: all three are valid objects; the result is borrowed, or null with an exception set
            let held = unsafe { ffi::PyDict_SetDefault(object.as_ptr(), name.as_ptr(), value.as_ptr()) };
            if held.is_null() {
                return Err(PyErr::fetch(self.py).into());
            }
        }
        Ok(object.into_any())
    }
}

/// Deepest nesting that is written. Beyond it the value most likely contains itself.
const MAX_DEPTH: usize = 200;

/// A Python object that is written as XML, and how deep inside others it is.
pub(crate) struct PyTree<'py>(Bound<'py, PyAny>, usize);

impl<'py> PyTree<'py> {
    pub(crate) fn new(value: Bound<'py, PyAny>) -> Self {
        Self(value, 0)
    }

    fn inner(&self, value: Bound<'py, PyAny>) -> Self {
        Self(value, self.1 + 1)
    }
}

/// Why a Python object could not be written as XML.
pub(crate) enum XmlError {
    /// XML cannot hold it.
    Xml(Error),
    /// It raised.
    Python(PyErr),
}

impl XmlError {
    /// The exception.
    pub(crate) fn into_python(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Xml(error) => ZATO_EXCEPTION.error(py, (py.None(), error.message().to_owned())),
            Self::Python(error) => error,
        }
    }
}

impl From<Error> for XmlError {
    fn from(error: Error) -> Self {
        Self::Xml(error)
    }
}

impl From<PyErr> for XmlError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl Tree for PyTree<'_> {
    type Error = XmlError;

    fn shape(&self) -> Result<Shape<'_, Self>, XmlError> {
        let value = &self.0;
        if let Ok(text) = value.cast_exact::<PyString>() {
            return Ok(Shape::Text(Cow::Borrowed(text.to_str()?)));
        }
        if value.is_none() {
            return Ok(Shape::Null);
        }
        if let Ok(flag) = value.cast_exact::<PyBool>() {
            return Ok(Shape::Text(Cow::Borrowed(if flag.is_true() {
                "true"
            } else {
                "false"
            })));
        }
        if let Ok(number) = value.cast_exact::<PyInt>() {
            let text = match number.extract::<i64>() {
                Ok(number) => number.to_string(),
                Err(_) => number.str()?.to_str()?.to_owned(),
            };
            return Ok(Shape::Text(Cow::Owned(text)));
        }
        if value.is_exact_instance_of::<PyFloat>() {
            let text = String::from_utf8(json::write(value)?).expect("JSON is UTF-8");
            return Ok(Shape::Text(Cow::Owned(text)));
        }
        if self.1 >= MAX_DEPTH {
            let message = format!("cannot write XML: the value has more than {MAX_DEPTH} levels, or contains itself");
            return Err(PyValueError::new_err(message).into());
        }
        if let Ok(list) = value.cast::<PyList>() {
            return Ok(Shape::List(list.iter().map(|item| self.inner(item)).collect()));
        }
        if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            return Ok(Shape::List(tuple.iter().map(|item| self.inner(item)).collect()));
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            // all of them first, because turning a key into text may run code
            let members: Vec<_> = dict.iter().collect();
            let mut shaped = Vec::with_capacity(members.len());
            for (name, value) in members {
                shaped.push((Cow::Owned(name.str()?.to_str()?.to_owned()), self.inner(value)));
            }
            return Ok(Shape::Object(shaped));
        }
        // anything else is what it is in JSON: a number, a text, an object
        let same = json::read(value.py(), &json::write(value)?).map_err(PyValueError::new_err)?;
        if let Ok(text) = same.cast::<PyString>() {
            return Ok(Shape::Text(Cow::Owned(text.to_str()?.to_owned())));
        }
        if !same.is_instance_of::<PyList>() && !same.is_instance_of::<PyDict>() && !same.is_none() {
            return Ok(Shape::Text(Cow::Owned(
                String::from_utf8_lossy(&json::write(&same)?).into_owned(),
            )));
        }
        if let Ok(list) = same.cast::<PyList>() {
            return Ok(Shape::List(list.iter().map(|item| self.inner(item)).collect()));
        }
        let Ok(dict) = same.cast::<PyDict>() else {
            return Ok(Shape::Null);
        };
        let members = dict.iter().map(|(name, value)| {
            let name = name.cast::<PyString>().map_err(PyErr::from)?.to_str()?.to_owned();
            Ok((Cow::Owned(name), self.inner(value)))
        });
        Ok(Shape::Object(members.collect::<Result<_, XmlError>>()?))
    }
}
