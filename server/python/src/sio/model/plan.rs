//! What is known of a model's class, worked out once, when a service that uses it is deployed or when it is first used.

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use busbar_model::sio::{Element, ElementKind};

use crate::sio::Field;

/// Attribute of a model's class that keeps its plan; looked for on the class itself, never on its bases.
const ATTRIBUTE: &str = "__busbar_model__";

/// How instances of a model are read and written.
#[pyclass(frozen, module = "_busbar")]
#[derive(Debug)]
pub(crate) struct ModelPlan {
    /// The class.
    pub(super) class: Py<PyType>,
    /// Its fields, sorted by name.
    pub(super) fields: Vec<ModelField>,
    /// Indexes of the fields in the order of their declaration.
    pub(super) declared: Vec<usize>,
    /// How instances come to be.
    pub(super) init: Init,
    /// The class has an `after_created` of its own.
    pub(super) has_after_created: bool,
    /// The class has a `to_dict` of its own.
    pub(super) has_to_dict: bool,
}

/// How instances of a model come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Init {
    /// Nothing is called, the fields are set.
    Bare,
    /// The class is called without arguments, then the fields are set.
    Empty,
    /// The class is called with the fields.
    Fields,
}

/// A field of a model.
#[derive(Debug)]
pub(super) struct ModelField {
    pub(super) name: Py<PyString>,
    pub(super) text: String,
    pub(super) required: bool,
    /// `None` is one of its values.
    pub(super) nullable: bool,
    pub(super) kind: FieldKind,
    pub(super) default: Default,
}

/// What the values of a field are.
#[derive(Debug)]
pub(super) enum FieldKind {
    Text,
    Int,
    Float,
    Bool,
    Date,
    DateTime,
    /// A point in time that has a zone.
    DateTimeZ,
    /// ISO text of a point in time.
    IsoTimestamp,
    Dict,
    List,
    /// An instance of a model.
    Model(Py<PyType>),
    /// A list of instances of a model.
    Models(Py<PyType>),
    /// Anything, unchanged.
    Any,
}

impl FieldKind {
    /// Whether something may be missing inside of a value.
    pub(super) fn holds_others(&self) -> bool {
        matches!(self, Self::Dict | Self::List | Self::Model(_) | Self::Models(_))
    }
}

/// Value of an optional field that is missing.
#[derive(Debug)]
pub(super) enum Default {
    /// What its kind has.
    None,
    Value(Py<PyAny>),
    /// What this gives when it is called.
    Factory(Py<PyAny>),
}

/// Whether a class is a model: derived from `Model`, or a dataclass.
pub(crate) fn is_model(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = class.py();
    Ok(class.is_subclass(base(py)?)? || class.hasattr(intern!(py, "__dataclass_fields__"))?)
}

/// The model in a type such as `list[Model]`.
pub(crate) fn list_of_models<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyType>>> {
    let py = value.py();
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyTuple>() {
        return Ok(None);
    }
    let Some(origin) = value.getattr_opt(intern!(py, "__origin__"))? else {
        return Ok(None);
    };
    if !origin.is(py.get_type::<PyList>()) {
        return Ok(None);
    }
    let arguments = value.getattr(intern!(py, "__args__"))?;
    let Ok(class) = arguments.get_item(0)?.cast_into::<PyType>() else {
        return Ok(None);
    };
    Ok(is_model(&class)?.then_some(class))
}

/// The plan of a model. Errors say what is wrong with the class.
pub(crate) fn plan_of<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, ModelPlan>> {
    let py = class.py();
    if let Some(plan) = known(class)? {
        return Ok(plan);
    }
    let plan = Bound::new(py, ModelPlan::read(class)?)?;
    class.setattr(intern!(py, ATTRIBUTE), &plan)?;
    Ok(plan)
}

/// The plan of the class of an object; `None` if it is no instance of a model.
pub(crate) fn plan_of_instance<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, ModelPlan>>> {
    let class = value.get_type();
    if let Some(plan) = known(&class)? {
        return Ok(Some(plan));
    }
    if class.is_subclass(base(value.py())?)? {
        return plan_of(&class).map(Some);
    }
    Ok(None)
}

fn known<'py>(class: &Bound<'py, PyType>) -> PyResult<Option<Bound<'py, ModelPlan>>> {
    let py = class.py();
    let Some(found) = class.getattr_opt(intern!(py, ATTRIBUTE))? else {
        return Ok(None);
    };
    let plan = found.cast_into::<ModelPlan>()?;
    // a base's plan does not know the fields of a class derived from it
    Ok(plan.get().class.is(class).then_some(plan))
}

/// `zato.server.service.Model`
fn base<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyType>> {
    static MODEL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    MODEL.import(py, "busbar.models", "Model")
}

/// A model whose fields are declared names, for output next to a model as input.
pub(crate) fn flat_model(py: Python<'_>, fields: &[Field]) -> PyResult<Py<ModelPlan>> {
    let described = PyList::empty(py);
    for field in fields {
        let kind = match field.kind {
            ElementKind::Int => "int",
            ElementKind::Bool => "bool",
            _ => "str",
        };
        described.append((&field.text, kind, field.required))?;
    }
    let class = py
        .import(intern!(py, "busbar.models"))?
        .call_method1(intern!(py, "flat_model"), (described,))?
        .cast_into::<PyType>()?;
    plan_of(&class).map(Bound::unbind)
}

impl ModelPlan {
    /// Reads a class, with the annotations resolved by Python.
    fn read(class: &Bound<'_, PyType>) -> PyResult<Self> {
        let py = class.py();
        let described = py
            .import(intern!(py, "busbar.models"))?
            .call_method1(intern!(py, "describe"), (class,))?;
        let (described, init, has_after_created, has_to_dict): (Bound<'_, PyList>, String, bool, bool) =
            described.extract()?;
        let mut fields = described
            .iter()
            .enumerate()
            .map(|(index, field)| Ok((index, ModelField::read(&field.cast_into::<PyDict>()?)?)))
            .collect::<PyResult<Vec<_>>>()?;
        fields.sort_by(|(_, a), (_, b)| a.text.cmp(&b.text));
        let mut declared = vec![0; fields.len()];
        for (position, (index, _)) in fields.iter().enumerate() {
            declared[*index] = position;
        }
        Ok(Self {
            class: class.clone().unbind(),
            fields: fields.into_iter().map(|(_, field)| field).collect(),
            declared,
            init: match init.as_str() {
                "fields" => Init::Fields,
                "empty" => Init::Empty,
                _ => Init::Bare,
            },
            has_after_created,
            has_to_dict,
        })
    }

    /// Name of the class.
    pub(crate) fn class_name(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.class.bind(py).name()?.to_string())
    }

    /// The fields as elements of a declaration, required ones first. A model inside itself is an object of any keys.
    pub(crate) fn elements(plan: &Bound<'_, Self>) -> PyResult<Vec<Element>> {
        Self::elements_below(plan, &mut Vec::new())
    }

    fn elements_below(plan: &Bound<'_, Self>, above: &mut Vec<*mut pyo3::ffi::PyObject>) -> PyResult<Vec<Element>> {
        let py = plan.py();
        if above.contains(&plan.as_ptr()) {
            return Ok(Vec::new());
        }
        above.push(plan.as_ptr());
        let mut elements = Vec::with_capacity(plan.get().fields.len());
        for field in &plan.get().fields {
            let (kind, nested) = match &field.kind {
                FieldKind::Text => (ElementKind::Text, Vec::new()),
                FieldKind::Int => (ElementKind::Int, Vec::new()),
                FieldKind::Float => (ElementKind::Float, Vec::new()),
                FieldKind::Bool => (ElementKind::Bool, Vec::new()),
                FieldKind::Date => (ElementKind::Date, Vec::new()),
                FieldKind::DateTime | FieldKind::DateTimeZ | FieldKind::IsoTimestamp => {
                    (ElementKind::DateTime, Vec::new())
                }
                FieldKind::Dict => (ElementKind::Dict, Vec::new()),
                FieldKind::List => (ElementKind::List, Vec::new()),
                FieldKind::Any => (ElementKind::AsIs, Vec::new()),
                FieldKind::Model(class) => (
                    ElementKind::Dict,
                    Self::elements_below(&plan_of(class.bind(py))?, above)?,
                ),
                FieldKind::Models(class) => (
                    ElementKind::DictList,
                    Self::elements_below(&plan_of(class.bind(py))?, above)?,
                ),
            };
            elements.push(Element {
                name: field.text.clone(),
                required: field.required,
                kind,
                nested,
            });
        }
        above.pop();
        elements.sort_by(|a, b| b.required.cmp(&a.required).then_with(|| a.name.cmp(&b.name)));
        Ok(elements)
    }

    /// Names of the fields as columns of CSV: required ones sorted, then optional ones.
    pub(crate) fn columns(&self, py: Python<'_>) -> Vec<Py<PyString>> {
        let (required, optional): (Vec<_>, Vec<_>) = self.fields.iter().partition(|field| field.required);
        let fields = required.into_iter().chain(optional);
        fields.map(|field| field.name.clone_ref(py)).collect()
    }

    /// The class.
    pub(crate) fn class<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.class.bind(py)
    }
}

#[pymethods]
impl ModelPlan {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.class)?;
        for field in &self.fields {
            match &field.default {
                Default::None => {}
                Default::Value(value) | Default::Factory(value) => visit.call(value)?,
            }
            if let FieldKind::Model(class) | FieldKind::Models(class) = &field.kind {
                visit.call(class)?;
            }
        }
        Ok(())
    }
}

impl ModelField {
    fn read(described: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = described.py();
        let get = |name: &str| -> PyResult<Bound<'_, PyAny>> {
            described
                .get_item(name)?
                .ok_or_else(|| PyTypeError::new_err(format!("a field of a model has no `{name}`")))
        };
        let text: String = get("name")?.extract()?;
        // its plan is looked up when it is needed, because a model may hold instances of itself
        let nested = || -> PyResult<Py<PyType>> { Ok(get("model")?.cast_into::<PyType>()?.unbind()) };
        let kind: String = get("kind")?.extract()?;
        Ok(Self {
            name: PyString::intern(py, &text).unbind(),
            text,
            required: get("required")?.extract()?,
            nullable: get("nullable")?.extract()?,
            kind: match kind.as_str() {
                "str" => FieldKind::Text,
                "int" => FieldKind::Int,
                "float" => FieldKind::Float,
                "bool" => FieldKind::Bool,
                "date" => FieldKind::Date,
                "datetime" => FieldKind::DateTime,
                "datetimez" => FieldKind::DateTimeZ,
                "isotimestamp" => FieldKind::IsoTimestamp,
                "dict" => FieldKind::Dict,
                "list" => FieldKind::List,
                "model" => FieldKind::Model(nested()?),
                "models" => FieldKind::Models(nested()?),
                _ => FieldKind::Any,
            },
            default: if let Some(default) = described.get_item("default")? {
                Default::Value(default.unbind())
            } else if let Some(factory) = described.get_item("factory")? {
                Default::Factory(factory.unbind())
            } else {
                Default::None
            },
        })
    }

    /// What an optional field is that was not given.
    pub(super) fn missing_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match &self.default {
            Default::Value(value) => value.bind(py).clone(),
            Default::Factory(factory) => factory.bind(py).call0()?,
            Default::None => match self.kind {
                FieldKind::Text => intern!(py, "").clone().into_any(),
                FieldKind::Int => 0i64.into_pyobject(py)?.into_any(),
                FieldKind::Float => 0f64.into_pyobject(py)?.into_any(),
                FieldKind::List | FieldKind::Models(_) => PyList::empty(py).into_any(),
                FieldKind::Dict => PyDict::new(py).into_any(),
                _ => py.None().into_bound(py),
            },
        })
    }
}
