//! From instances of models to dictionaries and JSON.

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::plan::{ModelField, ModelPlan};
use super::plan_of_instance;

/// The fields as a dictionary, in the order of their declaration; models in values as dictionaries too.
///
/// A required field that was never set is an `AttributeError`; of an optional one the default is taken.
pub(crate) fn to_dict<'py>(instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = instance.py();
    let dict = PyDict::new(py);
    if let Some(plan) = plan_of_instance(instance)? {
        for field in plan.get().in_order() {
            dict.set_item(&field.name, plain(field.get(instance)?, 0)?)?;
        }
    }
    Ok(dict)
}

/// Deeper values are left as they are: whoever writes them says that they contain themselves.
const MAX_DEPTH: usize = 200;

fn plain(value: Bound<'_, PyAny>, depth: usize) -> PyResult<Bound<'_, PyAny>> {
    let py = value.py();
    if depth == MAX_DEPTH || value.is_exact_instance_of::<PyString>() {
        return Ok(value);
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        let items = list
            .iter()
            .map(|item| plain(item, depth + 1))
            .collect::<PyResult<Vec<_>>>()?;
        return PyList::new(py, items).map(Bound::into_any);
    }
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        let items = tuple
            .iter()
            .map(|item| plain(item, depth + 1))
            .collect::<PyResult<Vec<_>>>()?;
        return PyTuple::new(py, items).map(Bound::into_any);
    }
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        let copy = PyDict::new(py);
        for (name, value) in dict.copy()? {
            copy.set_item(name, plain(value, depth + 1)?)?;
        }
        return Ok(copy.into_any());
    }
    let Some(plan) = plan_of_instance(&value)? else {
        return Ok(value);
    };
    if plan.get().has_to_dict {
        return value.call_method0(pyo3::intern!(py, "to_dict"));
    }
    let dict = PyDict::new(py);
    for field in plan.get().in_order() {
        dict.set_item(&field.name, plain(field.get(&value)?, depth + 1)?)?;
    }
    Ok(dict.into_any())
}

/// The plan of a model whose fields are what is written; `None`: the value is no model, or one that says itself what it holds.
pub(crate) fn written_by_fields<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, ModelPlan>>> {
    Ok(plan_of_instance(value)?.filter(|plan| !plan.get().has_to_dict))
}

impl ModelPlan {
    fn in_order(&self) -> impl Iterator<Item = &ModelField> {
        self.declared.iter().map(|index| &self.fields[*index])
    }

    /// Calls `member` with the name and value of every field of an instance, in the order of their declaration.
    pub(crate) fn each_field<'py>(
        &self,
        instance: &Bound<'py, PyAny>,
        mut member: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<()> {
        for field in self.in_order() {
            member(field.name.bind(instance.py()).as_any(), &field.get(instance)?)?;
        }
        Ok(())
    }
}

impl ModelField {
    fn get<'py>(&self, instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = instance.py();
        match instance.getattr_opt(self.name.bind(py))? {
            Some(value) => Ok(value),
            None if self.required => Err(PyAttributeError::new_err(format!(
                "field `{}` of model `{}` has not been set",
                self.text,
                instance.get_type().name()?
            ))),
            None => self.missing_value(py),
        }
    }
}
