//! `self.response.payload` of services that declare their output.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyAttributeError, PyKeyError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PySlice, PyString};

use busbar_sio::xml::Output;

use crate::json;
use crate::service::class::ServiceClass;
use crate::sio::xml::PyTree;
use crate::sio::{Field, Sio, output};

/// Declared output. Its names are attributes: `self.response.payload.user_id = 7`. Append items, or assign them to `payload[:]`, and it
/// is a list of them.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct SimpleIOPayload {
    class: Arc<ServiceClass>,
    /// Values by name, as they were set.
    values: Py<PyDict>,
    /// Items of a list, as they were appended.
    items: Py<PyList>,
    is_list: AtomicBool,
}

/// Declared output, converted.
pub(crate) enum Converted<'py> {
    /// One item.
    One(Bound<'py, PyDict>),
    /// A list of items.
    Many(Bound<'py, PyList>),
}

impl<'py> Converted<'py> {
    pub(crate) fn as_any(&self) -> &Bound<'py, PyAny> {
        match self {
            Self::One(item) => item.as_any(),
            Self::Many(items) => items.as_any(),
        }
    }
}

impl SimpleIOPayload {
    pub(crate) fn new(py: Python<'_>, class: Arc<ServiceClass>) -> Self {
        let is_list = class.sio.as_ref().is_some_and(|sio| sio.declaration.output_repeated);
        Self {
            class,
            values: PyDict::new(py).unbind(),
            items: PyList::empty(py).unbind(),
            is_list: AtomicBool::new(is_list),
        }
    }

    /// Takes the declared names out of what was assigned to `self.response.payload`, and forgets what was set before.
    pub(crate) fn assign(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = item.py();
        let values = PyDict::new(py);
        output::collect(self.fields(), item, &values)?;
        let own = self.values.bind(py);
        own.clear();
        own.update(values.as_mapping())?;
        self.items.bind(py).del_slice(0, isize::MAX as usize)?;
        self.is_list.store(
            self.sio().is_some_and(|sio| sio.declaration.output_repeated),
            Ordering::Relaxed,
        );
        Ok(())
    }

    /// What was set, with the conversions of the declaration. Fails with what is missing or cannot be converted.
    pub(crate) fn convert<'py>(&self, py: Python<'py>) -> PyResult<Converted<'py>> {
        let Some(sio) = self.sio() else {
            return Ok(Converted::One(self.values.bind(py).copy()?));
        };
        if !self.is_list() {
            return output::convert(sio, self.fields(), self.values.bind(py).as_any()).map(Converted::One);
        }
        let converted = PyList::empty(py);
        for item in self.list(py)? {
            converted.append(output::convert(sio, self.fields(), &item)?)?;
        }
        Ok(Converted::Many(converted))
    }

    /// The same for an XML document: the elements that have a value.
    pub(crate) fn convert_for_xml<'d, 'py>(&self, py: Python<'py>, sio: &'d Sio) -> PyResult<Output<'d, PyTree<'py>>> {
        let elements = sio.declaration.output.as_deref().unwrap_or_default();
        let converted = |item: &Bound<'py, PyAny>| {
            let mut values = Vec::with_capacity(elements.len());
            output::convert_each(sio, self.fields(), item, |index, value| {
                values.push((&elements[index], PyTree::new(value)));
                Ok(())
            })?;
            Ok(values)
        };
        if !self.is_list() {
            return converted(self.values.bind(py).as_any()).map(Output::One);
        }
        let items = self.list(py)?;
        items.iter().map(converted).collect::<PyResult<_>>().map(Output::Many)
    }

    /// What was set, filtered to the declared names but not converted.
    pub(crate) fn unconverted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let filtered = |item: &Bound<'py, PyAny>| {
            let values = PyDict::new(py);
            output::collect(self.fields(), item, &values).map(|()| values)
        };
        if !self.is_list() {
            return filtered(self.values.bind(py).as_any()).map(Bound::into_any);
        }
        let items = self.list(py)?.iter().map(filtered).collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(py, items)?.into_any())
    }

    /// The items; single values that were set before make one of them.
    fn list<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut items: Vec<_> = self.items.bind(py).iter().collect();
        if items.is_empty() && !self.values.bind(py).is_empty() {
            items.push(self.values.bind(py).clone().into_any());
        }
        Ok(items)
    }

    fn is_list(&self) -> bool {
        self.is_list.load(Ordering::Relaxed)
    }

    fn sio(&self) -> Option<&Sio> {
        self.class.sio.as_ref()
    }

    fn fields(&self) -> &[Field] {
        self.sio().and_then(|sio| sio.output.as_deref()).unwrap_or_default()
    }

    /// What is kept of an item: dictionaries as they are, of anything else its values now, because what it stands for (a row of a
    /// database session) may be gone when the response is written.
    fn kept<'py>(&self, item: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if item.is_instance_of::<PyDict>() {
            return Ok(item);
        }
        let values = PyDict::new(item.py());
        output::collect(self.fields(), &item, &values)?;
        Ok(values.into_any())
    }
}

#[pymethods]
impl SimpleIOPayload {
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = self.values.bind(py).get_item(name)? {
            return Ok(value);
        }
        let text = name.to_str()?;
        if self.fields().iter().any(|field| field.text == text) {
            return Err(PyKeyError::new_err(format!("`{text}` has not been set in the payload")));
        }
        Err(PyAttributeError::new_err(format!(
            "`{text}` is not declared in the output"
        )))
    }

    fn __setattr__(&self, py: Python<'_>, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.values.bind(py).set_item(name, value)
    }

    fn __delattr__(&self, py: Python<'_>, name: &Bound<'_, PyString>) -> PyResult<()> {
        self.values.bind(py).del_item(name)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if key.is_instance_of::<PyString>() {
            return self.values.bind(py).as_any().get_item(key);
        }
        self.items.bind(py).as_any().get_item(key)
    }

    fn __setitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if key.is_instance_of::<PyString>() {
            return self.values.bind(py).set_item(key, value);
        }
        self.is_list.store(true, Ordering::Relaxed);
        let items = self.items.bind(py).as_any();
        if key.is_instance_of::<PySlice>() {
            let kept = PyList::empty(py);
            for item in value.try_iter()? {
                kept.append(self.kept(item?)?)?;
            }
            return items.set_item(key, kept);
        }
        items.set_item(key, self.kept(value.clone())?)
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if key.is_instance_of::<PyString>() {
            return self.values.bind(py).del_item(key);
        }
        self.items.bind(py).as_any().del_item(key)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        if self.is_list() {
            self.items.bind(py).len()
        } else {
            self.values.bind(py).len()
        }
    }

    fn __bool__(&self, py: Python<'_>) -> bool {
        self.__len__(py) > 0
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        if self.is_list() {
            self.items.bind(py).try_iter()
        } else {
            self.values.bind(py).try_iter()
        }
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        if self.is_list() && !key.is_instance_of::<PyString>() {
            return self.items.bind(py).contains(key);
        }
        self.values.bind(py).contains(key)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let held = if self.is_list() {
            self.items.bind(py).repr()?
        } else {
            self.values.bind(py).repr()?
        };
        Ok(format!("<SimpleIOPayload {held}>"))
    }

    /// Adds an item: a dictionary, or an object whose attributes are the declared names. The output is a list from then on.
    fn append(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        let py = item.py();
        self.is_list.store(true, Ordering::Relaxed);
        self.items.bind(py).append(self.kept(item)?)
    }

    /// Adds several items.
    fn extend(&self, items: &Bound<'_, PyAny>) -> PyResult<()> {
        for item in items.try_iter()? {
            self.append(item?)?;
        }
        self.is_list.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Sets several names at once from a dictionary or an object.
    fn set_payload_attrs(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        output::collect(self.fields(), item, self.values.bind(item.py()))
    }

    /// The converted output, with its response element if it has one: JSON text, or the objects if `serialize` is false.
    #[pyo3(signature = (serialize = true))]
    fn getvalue<'py>(&self, py: Python<'py>, serialize: bool) -> PyResult<Bound<'py, PyAny>> {
        let converted = self.convert(py)?;
        let value = wrapped(py, self.sio(), converted.as_any().clone())?;
        if serialize {
            let text = json::write(&value)?;
            return PyString::from_bytes(py, &text).map(Bound::into_any);
        }
        Ok(value)
    }

    /// The converted output without its response element.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.convert(py)?.as_any().clone())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.values)?;
        visit.call(&self.items)
    }
}

/// Output under its response element, if it has one.
pub(crate) fn wrapped<'py>(
    py: Python<'py>,
    sio: Option<&Sio>,
    value: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(element) = sio.and_then(|sio| sio.response_elem.as_ref()) else {
        return Ok(value);
    };
    let outer = PyDict::new(py);
    outer.set_item(element, value)?;
    Ok(outer.into_any())
}
