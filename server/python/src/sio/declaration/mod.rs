//! Reads what a service class declares of its input and output (sio.md 1).
//!
//! * [`field`] - one element
//! * [`skip`] - which empty elements are left out
//! * [`csv`] - how CSV is read and written

mod csv;
mod field;
mod skip;
#[cfg(test)]
mod tests;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyList, PySet, PyString, PyTuple, PyType};

use busbar_model::sio::{Declaration, XmlLayout};
use busbar_sio::names::NamingRules;

pub(crate) use csv::CsvFormat;
pub(crate) use field::{Field, kind_of_name};

use crate::sio::model::{ModelPlan, flat_model, is_model, list_of_models, plan_of};

/// A service's SimpleIO, with the Python objects that each call needs made once.
#[derive(Debug)]
pub(crate) struct Sio {
    /// What the hub is told.
    pub(crate) declaration: Declaration,
    /// Declared input: required elements sorted by name, then optional ones sorted by name. `None`: no input is declared, or a model.
    pub(crate) input: Option<Vec<Field>>,
    /// Declared output in the same order. `None`: no output is declared, or a model.
    pub(crate) output: Option<Vec<Field>>,
    /// Input is an instance of this model.
    pub(crate) input_model: Option<Py<ModelPlan>>,
    /// Output is an instance of this model.
    pub(crate) output_model: Option<Py<ModelPlan>>,
    /// [`Declaration::response_elem`] as a Python object.
    pub(crate) response_elem: Option<Py<PyString>>,
    /// Value of optional output that is missing; `None`: the key is left out.
    pub(crate) default_output: Option<Py<PyAny>>,
    /// Value that takes the place of empty optional output, where it is not dropped.
    pub(crate) empty_output: Option<Py<PyAny>>,
    /// How CSV is read and written.
    pub(crate) csv: CsvFormat,
    /// Plain elements of XML are given as the nodes that they are, not as their text: `use_text = False`.
    pub(crate) gives_nodes: bool,
}

impl Sio {
    /// Reads the declaration off a class: the inner class `SimpleIO` (today also `IO`) or `input` and `output` of the class itself,
    /// whichever the class has; else those of the nearest ancestor that has one. `None` if there is neither.
    ///
    /// Errors are `ValueError` or `TypeError` that say what cannot be declared so; they fail the deployment.
    pub(crate) fn read(class: &Bound<'_, PyType>, rules: &NamingRules) -> PyResult<Option<Self>> {
        let py = class.py();
        for ancestor in class.mro() {
            let own = ancestor.getattr(intern!(py, "__dict__"))?;
            for name in [intern!(py, "SimpleIO"), intern!(py, "IO")] {
                if own.contains(name)? {
                    let inner = class.getattr(name)?;
                    return if inner.is_none() {
                        Ok(None)
                    } else {
                        Self::of(&inner, true, rules).map(Some)
                    };
                }
            }
            for name in [intern!(py, "input"), intern!(py, "output")] {
                // a property or method of that name is something else of the user's
                if own.contains(name)? && is_declaration(&class.getattr(name)?)? {
                    return Self::of(class.as_any(), false, rules).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Whether there is input to be read before the service runs.
    pub(crate) fn has_input(&self) -> bool {
        self.input.is_some() || self.input_model.is_some()
    }

    fn of<'py>(holder: &Bound<'py, PyAny>, is_inner: bool, rules: &NamingRules) -> PyResult<Self> {
        let py = holder.py();
        let input = side(holder, "input", is_inner, rules)?;
        let mut output = side(holder, "output", is_inner, rules)?;
        let option = |name: &Bound<'py, PyString>| -> PyResult<Option<Bound<'py, PyAny>>> {
            // on the service itself these would be attributes of some other meaning
            if is_inner {
                holder.getattr_opt(name.clone())
            } else {
                Ok(None)
            }
        };
        let flag = |name: &Bound<'py, PyString>| -> PyResult<bool> {
            option(name)?.map_or(Ok(false), |value| value.is_truthy())
        };
        let text = |name: &Bound<'py, PyString>| -> PyResult<Option<String>> {
            option(name)?
                .filter(|value| !value.is_none())
                .map(|value| value.extract())
                .transpose()
        };
        let given = |value: Option<Bound<'py, PyAny>>| value.filter(is_given).map(Bound::unbind);

        let (mut input, input_model) = match input {
            None => (None, None),
            Some(Side::Fields(fields)) => (Some(fields), None),
            Some(Side::Model(plan)) => (None, Some(plan)),
        };
        let mut is_flat = false;
        if input_model.is_some()
            && let Some(Side::Fields(fields)) = &output
        {
            // next to a model, names are the fields of one as well
            output = Some(Side::Model(flat_model(py, fields)?));
            is_flat = true;
        }
        let (mut output, output_model) = match output {
            None => (None, None),
            Some(Side::Fields(fields)) => (Some(fields), None),
            Some(Side::Model(plan)) => (None, Some(plan)),
        };
        let has_model = input_model.is_some() || output_model.is_some();
        let response_elem = match (is_inner && !has_model, option(intern!(py, "response_elem"))?) {
            (false, _) => None,
            (true, None) => Some("response".to_owned()),
            (true, Some(value)) if !value.is_truthy()? => None,
            (true, Some(value)) => Some(value.extract()?),
        };
        let default_value = given(option(intern!(py, "default_value"))?);
        let default_input = given(option(intern!(py, "default_input_value"))?).or(default_value);
        let default_output = given(option(intern!(py, "default_output_value"))?);
        for field in input.iter_mut().flatten() {
            if field.default.is_none() {
                field.default = default_input.as_ref().map(|value| value.clone_ref(py));
            }
        }
        let empty_output = if is_inner {
            skip::skip_empty(
                holder,
                input.as_deref_mut().unwrap_or_default(),
                output.as_deref_mut().unwrap_or_default(),
            )?
        } else {
            None
        };
        let elements = |fields: &Option<Vec<Field>>, model: &Option<Py<ModelPlan>>| {
            if let Some(model) = model {
                return ModelPlan::elements(model.bind(py)).map(Some);
            }
            Ok::<_, PyErr>(
                fields
                    .as_ref()
                    .map(|fields| fields.iter().map(Field::to_element).collect()),
            )
        };
        let (xml, xml_namespace) = if is_inner {
            xml_layout(holder)?
        } else {
            Default::default()
        };
        let model_name = |model: &Option<Py<ModelPlan>>| match model {
            Some(model) => model.get().class_name(py),
            None => Ok(String::new()),
        };
        let declaration = Declaration {
            input: elements(&input, &input_model)?,
            output: elements(&output, &output_model)?,
            response_elem: response_elem.clone(),
            request_elem: text(intern!(py, "request_elem"))?.unwrap_or_else(|| "request".to_owned()),
            output_repeated: flag(intern!(py, "output_repeated"))?,
            namespace: text(intern!(py, "namespace"))?
                .filter(|namespace| !namespace.is_empty())
                .or(xml_namespace)
                .unwrap_or_default(),
            use_channel_params_only: flag(intern!(py, "use_channel_params_only"))?,
            input_is_model: input_model.is_some(),
            output_is_model: output_model.is_some(),
            input_model: model_name(&input_model)?,
            output_model: if is_flat {
                String::new()
            } else {
                model_name(&output_model)?
            },
            xml,
        };
        Ok(Self {
            declaration,
            input,
            output,
            input_model,
            output_model,
            response_elem: response_elem.map(|name| PyString::intern(py, &name).unbind()),
            default_output,
            empty_output,
            gives_nodes: option(intern!(py, "use_text"))?.is_some_and(|value| value.is_truthy().is_ok_and(|it| !it)),
            csv: if is_inner {
                CsvFormat::read(holder)?
            } else {
                CsvFormat::default()
            },
        })
    }
}

/// One side of a declaration.
enum Side {
    Fields(Vec<Field>),
    Model(Py<ModelPlan>),
}

/// Reads `input`, or `input_required` and `input_optional`; the same for output. `None` if there is none of them.
fn side(holder: &Bound<'_, PyAny>, name: &str, is_inner: bool, rules: &NamingRules) -> PyResult<Option<Side>> {
    let attribute = |name: String| -> PyResult<Option<Bound<'_, PyAny>>> {
        let Some(value) = holder.getattr_opt(name)?.filter(|value| !value.is_none()) else {
            return Ok(None);
        };
        // in the inner class such a name cannot mean anything else
        Ok((is_inner || is_declaration(&value)?).then_some(value))
    };
    let both = attribute(name.to_owned())?;
    let required = attribute(format!("{name}_required"))?;
    let optional = attribute(format!("{name}_optional"))?;
    if both.is_some() && (required.is_some() || optional.is_some()) {
        return Err(PyValueError::new_err(format!(
            "SimpleIO declares both `{name}` and `{name}_required` or `{name}_optional`; use one form"
        )));
    }
    if both.is_none() && required.is_none() && optional.is_none() {
        return Ok(None);
    }
    let mut items = Vec::new();
    for (list, is_required) in [(both, true), (required, true), (optional, false)] {
        if let Some(list) = list {
            for item in list_of(&list)? {
                items.push((item, is_required));
            }
        }
    }
    let model = items.iter().find_map(|(item, _)| model_of(item, name).transpose());
    if let Some(model) = model.transpose()? {
        if items.len() > 1 {
            return Err(PyValueError::new_err(format!(
                "SimpleIO declares {} as `{name}` together with other elements; a model stands alone",
                items[0].0.repr()?
            )));
        }
        return plan_of(&model).map(|plan| Some(Side::Model(plan.unbind())));
    }
    fields(&items, rules).map(|fields| Some(Side::Fields(fields)))
}

/// The model that an item is; for output also a list of one, `list_[Model]`.
fn model_of<'py>(item: &Bound<'py, PyAny>, name: &str) -> PyResult<Option<Bound<'py, PyType>>> {
    if let Ok(class) = item.cast::<PyType>()
        && is_model(class)?
    {
        return Ok(Some(class.clone()));
    }
    let Some(class) = list_of_models(item)? else {
        return Ok(None);
    };
    if name == "input" {
        return Err(PyTypeError::new_err(format!(
            "cannot declare {} as input: give a model that has a field of this type",
            item.repr()?
        )));
    }
    Ok(Some(class))
}

/// Items as they were written, and whether their list says that they are required.
fn fields(items: &[(Bound<'_, PyAny>, bool)], rules: &NamingRules) -> PyResult<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::with_capacity(items.len());
    for (item, required) in items {
        let field = Field::read(item, *required, rules)?;
        match fields.iter_mut().find(|known| known.text == field.text) {
            // named in both lists: required wins
            Some(known) if known.required || !field.required => {}
            Some(known) => *known = field,
            None => fields.push(field),
        }
    }
    fields.sort_by(|a, b| b.required.cmp(&a.required).then_with(|| a.text.cmp(&b.text)));
    Ok(fields)
}

/// Reads `class XML`, or attributes `xml_*`: the layout and a namespace.
fn xml_layout(holder: &Bound<'_, PyAny>) -> PyResult<(XmlLayout, Option<String>)> {
    let class = holder.getattr_opt(intern!(holder.py(), "XML"))?;
    let option = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        let value = match &class {
            Some(class) => class.getattr_opt(name)?,
            None => holder.getattr_opt(format!("xml_{name}"))?,
        };
        Ok(value.filter(|value| !value.is_none() && is_given(value)))
    };
    let flag = |name: &str| option(name)?.map_or(Ok(false), |value| value.is_truthy());
    let text = |name: &str| -> PyResult<Option<String>> { option(name)?.map(|value| value.extract()).transpose() };
    let encoding = text("encoding")?.unwrap_or_default();
    if !busbar_sio::xml::can_encode(&encoding) {
        return Err(PyValueError::new_err(format!(
            "SimpleIO declares the XML encoding `{encoding}`, which cannot be written; use `utf-8` or `us-ascii`"
        )));
    }
    let layout = XmlLayout {
        pretty_print: flag("pretty_print")?,
        declaration: flag("declaration")?,
        encoding,
    };
    Ok((layout, text("namespace")?))
}

/// A text or an element on its own is a list of one; a forgotten comma must not make letters of a name.
fn list_of<'py>(value: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if is_container(value) {
        value.try_iter()?.collect()
    } else {
        Ok(vec![value.clone()])
    }
}

fn is_container(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyTuple>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>()
}

/// Whether a value under `input` or `output` is meant as a declaration.
fn is_declaration(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.is_instance_of::<PyString>()
        || is_container(value)
        || value.is_instance_of::<PyType>()
        || value
            .getattr_opt(intern!(value.py(), "kind"))
            .is_ok_and(|kind| kind.is_some())
        || list_of_models(value)?.is_some())
}

/// Not one of the markers for "no default".
fn is_given(value: &Bound<'_, PyAny>) -> bool {
    value.get_type().name().is_ok_and(|name| name != "NotGiven")
        && value.extract::<&str>().map_or(true, |text| text != "NO_DEFAULT_VALUE")
}
