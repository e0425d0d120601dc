//! One declared element.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use busbar_model::sio::{Element, ElementKind};
use busbar_sio::names::{NamingRules, UntypedOutput};

use super::is_given;

/// A declared element.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name, without the optional marker.
    pub(crate) name: Py<PyString>,
    /// The same.
    pub(crate) text: String,
    /// Whether it must be there.
    pub(crate) required: bool,
    /// How its values are read and written.
    pub(crate) kind: ElementKind,
    /// Value of optional input that is missing; `None`: what its kind has.
    pub(crate) default: Option<Py<PyAny>>,
    /// Declared keys of a `Dict` or `DictList`, in the order they were declared; empty: everything is let through.
    pub(crate) nested: Vec<Field>,
    /// The element object, for elements of the user's own.
    pub(crate) element: Option<Py<PyAny>>,
    /// Leave it out when it is optional and empty.
    pub(crate) skip_empty: bool,
    /// Its name implies no type, and such output is not made text of.
    pub(crate) writes_as_is: bool,
}

/// The type that a plain name implies where the settings of the server say nothing else: `int`, `bool`, `secret` or `text`.
#[pyfunction]
pub(crate) fn kind_of_name(name: &str) -> &'static str {
    match NamingRules::default().kind_of(name) {
        ElementKind::Int => "int",
        ElementKind::Bool => "bool",
        ElementKind::Secret => "secret",
        _ => "text",
    }
}

impl Field {
    pub(super) fn to_element(&self) -> Element {
        Element {
            name: self.text.clone(),
            required: self.required,
            kind: self.kind,
            nested: self.nested.iter().map(Self::to_element).collect(),
        }
    }

    /// Reads one declared item: a name, or an element object. `required` is what its list says; a leading dash overrules it.
    pub(super) fn read(item: &Bound<'_, PyAny>, required: bool, rules: &NamingRules) -> PyResult<Self> {
        let py = item.py();
        if let Ok(name) = item.cast::<PyString>() {
            let name = name.to_str()?;
            let text = name.strip_prefix('-').unwrap_or(name);
            if text.is_empty() {
                return Err(PyValueError::new_err("an element of SimpleIO has an empty name"));
            }
            let kind = rules.kind_of(text);
            return Ok(Self {
                name: PyString::intern(py, text).unbind(),
                text: text.to_owned(),
                required: required && !name.starts_with('-'),
                kind,
                default: None,
                nested: Vec::new(),
                element: None,
                skip_empty: false,
                writes_as_is: kind == ElementKind::Text && rules.untyped_output == UntypedOutput::AsIs,
            });
        }
        let kind = item
            .getattr_opt(intern!(py, "kind"))?
            .and_then(|kind| kind.extract::<String>().ok());
        let name = item
            .getattr_opt(intern!(py, "name"))?
            .and_then(|name| name.extract::<String>().ok());
        let (Some(kind), Some(name)) = (kind, name) else {
            if item.is_instance_of::<PyType>() {
                return Err(PyTypeError::new_err(format!(
                    "cannot declare the class {} as SimpleIO: it is no model (a dataclass), and elements need a name: `Int('quantity')`",
                    item.cast::<PyType>()?.name()?
                )));
            }
            return Err(PyTypeError::new_err(format!(
                "cannot declare {} as an element of SimpleIO",
                item.repr()?
            )));
        };
        let kind: ElementKind = serde_json::from_value(serde_json::Value::String(kind.clone()))
            .map_err(|_| PyValueError::new_err(format!("element `{name}` of SimpleIO has an unknown kind `{kind}`")))?;
        let nested = match item.getattr_opt(intern!(py, "nested"))? {
            Some(nested) => nested
                .try_iter()?
                .map(|item| Self::read(&item?, true, rules))
                .collect::<PyResult<Vec<_>>>()?,
            None => Vec::new(),
        };
        let is_required = item
            .getattr_opt(intern!(py, "is_required"))?
            .map_or(Ok(true), |flag| flag.is_truthy())?;
        Ok(Self {
            name: PyString::intern(py, &name).unbind(),
            text: name,
            required: required && is_required,
            kind,
            default: item
                .getattr_opt(intern!(py, "default"))?
                .filter(is_given)
                .map(Bound::unbind),
            nested,
            element: (kind == ElementKind::Custom).then(|| item.clone().unbind()),
            skip_empty: false,
            writes_as_is: false,
        })
    }
}
