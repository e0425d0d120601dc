//! How declared output is collected and converted (sio.md 5).

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDate, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTime, PyTuple,
};

use busbar_model::sio::ElementKind;

use crate::errors;
use crate::json;
use crate::sio::convert::{read_bool, read_decimal, read_float, read_int, read_uuid, without_utc_offset};
use crate::sio::dates::{read_date, read_datetime};
use crate::sio::declaration::{Field, Sio};
use crate::sio::model::{plan_of_instance, to_dict};

/// What the declared names have in an item: a dict, or any object whose attributes they are. Values are not converted. With nothing
/// declared under some of an item's names, those are left behind.
pub(crate) fn collect<'py>(fields: &[Field], item: &Bound<'py, PyAny>, into: &Bound<'py, PyDict>) -> PyResult<()> {
    let source = Source::of(item)?;
    for field in fields {
        if let Some(value) = source.get(field)? {
            into.set_item(&field.name, value)?;
        }
    }
    Ok(())
}

/// What an item holds, whatever is declared.
pub(crate) fn item_as_dict<'py>(item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    match Source::of(item)? {
        Source::Dict(dict) => Ok(dict),
        Source::Attributes(object) => match object.getattr_opt(intern!(item.py(), "__dict__"))? {
            Some(attributes) => {
                let dict = PyDict::new(item.py());
                dict.update(attributes.cast()?)?;
                Ok(dict)
            }
            None => Err(PyTypeError::new_err(format!(
                "cannot write {} as an item: a dictionary, or an object with attributes is expected",
                item.repr()?
            ))),
        },
    }
}

/// Converts the collected values of one item, in the order of the declaration.
pub(crate) fn convert<'py>(sio: &Sio, fields: &[Field], item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let converted = PyDict::new(item.py());
    convert_each(sio, fields, item, |index, value| {
        converted.set_item(&fields[index].name, value)
    })?;
    Ok(converted)
}

/// Hands over the converted values of one item, each with the index of its field. Fields that are left out have none.
pub(crate) fn convert_each<'py>(
    sio: &Sio,
    fields: &[Field],
    item: &Bound<'py, PyAny>,
    mut take: impl FnMut(usize, Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let py = item.py();
    let source = Source::of(item)?;
    for (index, field) in fields.iter().enumerate() {
        let Some(mut value) = source.get(field)? else {
            if field.required {
                return Err(PyValueError::new_err(format!(
                    "required output element `{}` is missing in the payload",
                    field.text
                )));
            }
            if let Some(default) = &sio.default_output
                && !field.skip_empty
            {
                take(index, default.bind(py).clone())?;
            }
            continue;
        };
        if !field.required && is_empty(&value)? {
            if field.skip_empty {
                continue;
            }
            if let Some(empty) = &sio.empty_output {
                value = empty.bind(py).clone();
            }
        }
        take(index, write_value(field, value)?)?;
    }
    Ok(())
}

/// Where the values of an item are.
enum Source<'py> {
    Dict(Bound<'py, PyDict>),
    Attributes(Bound<'py, PyAny>),
}

impl<'py> Source<'py> {
    fn of(item: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = item.py();
        if let Ok(dict) = item.cast::<PyDict>() {
            return Ok(Self::Dict(unwrapped(dict)?));
        }
        if let Some(dict) = model_as_dict(item)? {
            return Ok(Self::Dict(dict));
        }
        // objects that say themselves what they hold: rows and named tuples
        for name in [intern!(py, "to_zato"), intern!(py, "_asdict"), intern!(py, "to_dict")] {
            if let Some(method) = item.get_type().getattr_opt(name)?.and(item.getattr_opt(name)?)
                && let Ok(dict) = method.call0()?.cast_into::<PyDict>()
            {
                return Ok(Self::Dict(dict));
            }
        }
        // rows of SQLAlchemy 2 and the like have their columns as keys
        if item.cast::<PyMapping>().is_ok() {
            let dict = PyDict::new(py);
            dict.update(item.cast()?)?;
            return Ok(Self::Dict(dict));
        }
        Ok(Self::Attributes(item.clone()))
    }

    fn get(&self, field: &Field) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Dict(dict) => dict.get_item(&field.name),
            Self::Attributes(object) => object.getattr_opt(field.name.bind(object.py())),
        }
    }
}

fn model_as_dict<'py>(item: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    match plan_of_instance(item)? {
        Some(_) if !item.get_type().hasattr(intern!(item.py(), "to_zato"))? => to_dict(item).map(Some),
        _ => Ok(None),
    }
}

/// Responses of internal services are passed on without their own element.
fn unwrapped<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    if dict.len() == 1
        && let Some((key, value)) = dict.iter().next()
        && let Ok(key) = key.extract::<&str>()
        && key.starts_with("zato_")
        && key.ends_with("_response")
        && let Ok(inner) = value.cast_into::<PyDict>()
    {
        return Ok(inner);
    }
    Ok(dict.clone())
}

/// Converts one value. Errors are a `ValueError` that names the element.
fn write_value<'py>(field: &Field, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if value.is_none() || field.writes_as_is {
        return Ok(value);
    }
    let is_empty_text = value
        .cast::<PyString>()
        .is_ok_and(|text| text.len().is_ok_and(|length| length == 0));
    let converted = match field.kind {
        ElementKind::Text | ElementKind::Secret => write_text(value.clone()),
        ElementKind::AsIs | ElementKind::Opaque => Ok(value.clone()),
        ElementKind::Bool => read_bool(&value).map(|flag| PyBool::new(py, flag).to_owned().into_any()),
        ElementKind::List => match () {
            () if is_empty_text => Ok(PyList::empty(py).into_any()),
            () if is_scalar(&value) => PyList::new(py, [&value]).map(Bound::into_any),
            () if json::is_many(&value)? => py.get_type::<PyList>().call1((&value,)),
            () => Ok(value.clone()),
        },
        ElementKind::Dict if is_empty_text => Ok(PyDict::new(py).into_any()),
        ElementKind::Dict => write_dict(field, &value),
        ElementKind::DictList if is_empty_text => Ok(PyList::empty(py).into_any()),
        ElementKind::DictList => write_dict_list(field, &value),
        ElementKind::Custom => write_custom(field, &value),
        _ if is_empty_text => Ok(value.clone()),
        ElementKind::Int => read_int(&value),
        ElementKind::Float => read_float(&value),
        ElementKind::Decimal => read_decimal(&value).and_then(|number| number.str().map(Bound::into_any)),
        ElementKind::Date => read_date(&value).and_then(|date| {
            date.call_method0(intern!(py, "date"))?
                .call_method0(intern!(py, "isoformat"))
        }),
        ElementKind::DateTime => read_datetime(&value).and_then(|time| time.call_method0(intern!(py, "isoformat"))),
        ElementKind::Utc => without_utc_offset(&value),
        ElementKind::Uuid => read_uuid(&value).and_then(|uuid| uuid.getattr(intern!(py, "hex"))),
        ElementKind::Csv => write_csv(&value),
    };
    converted.map_err(|error| {
        if field.kind == ElementKind::Custom || !errors::is_ordinary(py, &error) {
            return error;
        }
        let outer = PyValueError::new_err(format!(
            "output element `{}`: cannot write {} as declared{}",
            field.text,
            value
                .repr()
                .map_or_else(|_| "its value".to_owned(), |text| text.to_string_lossy().into_owned()),
            match error.value(py).to_string() {
                reason if reason.is_empty() => String::new(),
                reason => format!(": {reason}"),
            }
        ));
        outer.set_cause(py, Some(error));
        outer
    })
}

/// Plain names and `Text`: scalars become text, objects and lists stay what they are, points in time become ISO text.
fn write_text(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = value.py();
    if value.is_exact_instance_of::<PyString>()
        || value.is_instance_of::<PyDict>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
    {
        return Ok(value);
    }
    if value.is_instance_of::<PyDate>() || value.is_instance_of::<PyTime>() {
        return value.call_method0(intern!(py, "isoformat"));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return value.py().get_type::<PyString>().call1((bytes, "utf-8"));
    }
    Ok(value.str()?.into_any())
}

fn write_csv<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.is_instance_of::<PyString>() {
        return Ok(value.clone());
    }
    let parts = value
        .try_iter()?
        .map(|part| Ok(part?.str()?.to_str()?.to_owned()))
        .collect::<PyResult<Vec<_>>>()?;
    Ok(PyString::new(value.py(), &parts.join(",")).into_any())
}

fn write_dict<'py>(field: &Field, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if is_scalar(value) || value.is_instance_of::<PyList>() {
        return Err(PyTypeError::new_err("a dict is expected"));
    }
    if field.nested.is_empty() {
        return Ok(value.clone());
    }
    let source = Source::of(value)?;
    let written = PyDict::new(py);
    for nested in &field.nested {
        match source.get(nested)? {
            Some(value) => written.set_item(&nested.name, write_value(nested, value)?)?,
            None if nested.required => {
                return Err(PyValueError::new_err(format!("key `{}` was not found", nested.text)));
            }
            None => written.set_item(&nested.name, "")?,
        }
    }
    Ok(written.into_any())
}

fn write_dict_list<'py>(field: &Field, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if is_scalar(value) || value.is_instance_of::<PyDict>() {
        return Err(PyTypeError::new_err("a list of dicts is expected"));
    }
    let rows = PyList::empty(value.py());
    for row in value.try_iter()? {
        rows.append(write_dict(field, &row?)?)?;
    }
    Ok(rows.into_any())
}

/// Elements of the user's own: today `to_json(value)`, in older services `to_(value)`.
fn write_custom<'py>(field: &Field, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let Some(element) = field.element.as_ref().map(|element| element.bind(py)) else {
        return Ok(value.clone());
    };
    for name in [intern!(py, "to_json"), intern!(py, "to_")] {
        if let Some(method) = element.getattr_opt(name)? {
            return method.call1((value,));
        }
    }
    Ok(value.clone())
}

fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyDateTime>()
        || value.is_instance_of::<PyDate>()
}

/// Whether a value is none, or an empty text, dictionary or list.
pub(crate) fn is_empty(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if value.is_none() {
        return Ok(true);
    }
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>() {
        return Ok(value.len()? == 0);
    }
    Ok(false)
}
