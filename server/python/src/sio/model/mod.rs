//! Models: dataclasses as input and output (sio.md 9).
//!
//! * [`plan`] - what is known of a model's class, worked out once
//! * [`read`] - from dictionaries to instances
//! * [`write`] - from instances to dictionaries and JSON

mod plan;
mod read;
mod write;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyType};
use pyo3::wrap_pyfunction;

pub(crate) use plan::{ModelPlan, flat_model, is_model, list_of_models, plan_of, plan_of_instance};
pub(crate) use read::{Reading, as_dict, new_instance};
pub(crate) use write::{to_dict, written_by_fields};

use crate::sio::input::Sources;
use crate::sio::kind_of_name;

/// An instance of a model out of a dictionary. `extra` wins where both have a field.
///
/// Raises `ElementMissing`, `ElementIsNotAList` or `ValidationException`, which name the place by its path.
#[pyfunction]
#[pyo3(signature = (class_, data, extra = None, service = None))]
fn model_from_dict<'py>(
    class_: &Bound<'py, PyType>,
    data: &Bound<'py, PyAny>,
    extra: Option<&Bound<'py, PyDict>>,
    service: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let plan = plan_of(class_)?;
    if data.is_instance(class_)? && extra.is_none_or(|extra| extra.is_empty()) {
        return Ok(data.clone());
    }
    let body = as_dict(data)?;
    let sources = Sources {
        body: body.as_ref(),
        params: extra,
        body_first: false,
    };
    Reading { service }.instance(&plan, &sources)
}

/// The fields of an instance as a dictionary, in the order of their declaration; models in them as dictionaries too.
#[pyfunction]
fn model_to_dict<'py>(instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    to_dict(instance)
}

/// Adds the classes and functions to the module `_busbar`.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ModelPlan>()?;
    module.add_function(wrap_pyfunction!(model_from_dict, module)?)?;
    module.add_function(wrap_pyfunction!(model_to_dict, module)?)?;
    module.add_function(wrap_pyfunction!(kind_of_name, module)?)
}
