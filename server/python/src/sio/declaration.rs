//! Reads what a service class declares of its input and output (sio.md 1).

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFrozenSet, PyList, PySet, PyString, PyTuple, PyType};

use busbar_model::sio::{Declaration, Element, ElementKind};
use busbar_sio::names::kind_of;

/// A service's SimpleIO, with the Python objects that each call needs made once.
#[derive(Debug)]
pub(crate) struct Sio {
    /// What the hub is told.
    pub(crate) declaration: Declaration,
    /// Declared input: required elements sorted by name, then optional ones sorted by name. `None`: no input is declared.
    pub(crate) input: Option<Vec<Field>>,
    /// Declared output in the same order. `None`: no output is declared.
    pub(crate) output: Option<Vec<Field>>,
    /// [`Declaration::response_elem`] as a Python object.
    pub(crate) response_elem: Option<Py<PyString>>,
    /// Value of optional output that is missing; `None`: the key is left out.
    pub(crate) default_output: Option<Py<PyAny>>,
    /// Value that takes the place of empty optional output, where it is not dropped.
    pub(crate) empty_output: Option<Py<PyAny>>,
}

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
}

impl Sio {
    /// Reads the declaration off a class: its inner class `SimpleIO` (today also `IO`), else `input` and `output` of the class itself,
    /// inherited ones included. `None` if there is neither.
    ///
    /// Errors are `ValueError` or `TypeError` that say what cannot be declared so; they fail the deployment.
    pub(crate) fn read(class: &Bound<'_, PyType>) -> PyResult<Option<Self>> {
        let py = class.py();
        for name in [intern!(py, "SimpleIO"), intern!(py, "IO")] {
            if let Some(inner) = class.getattr_opt(name)? {
                return Self::of(&inner, true).map(Some);
            }
        }
        for name in [intern!(py, "input"), intern!(py, "output")] {
            // a property or method of that name is something else of the user's
            if class.getattr_opt(name)?.is_some_and(|value| is_declaration(&value)) {
                return Self::of(class.as_any(), false).map(Some);
            }
        }
        Ok(None)
    }

    fn of<'py>(holder: &Bound<'py, PyAny>, is_inner: bool) -> PyResult<Self> {
        let py = holder.py();
        let input = side(holder, "input", is_inner)?;
        let output = side(holder, "output", is_inner)?;
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

        let response_elem = match (is_inner, option(intern!(py, "response_elem"))?) {
            (false, _) => None,
            (true, None) => Some("response".to_owned()),
            (true, Some(value)) if !value.is_truthy()? => None,
            (true, Some(value)) => Some(value.extract()?),
        };
        let default_value = given(option(intern!(py, "default_value"))?);
        let default_input = given(option(intern!(py, "default_input_value"))?).or(default_value);
        let default_output = given(option(intern!(py, "default_output_value"))?);
        let mut input = input.map(|side| side.fields()).transpose()?;
        let mut output = output.map(|side| side.fields()).transpose()?;
        for field in input.iter_mut().flatten() {
            if field.default.is_none() {
                field.default = default_input.as_ref().map(|value| value.clone_ref(py));
            }
        }
        let empty_output = if is_inner {
            skip_empty(
                holder,
                input.as_deref_mut().unwrap_or_default(),
                output.as_deref_mut().unwrap_or_default(),
            )?
        } else {
            None
        };
        let elements = |fields: &Option<Vec<Field>>| {
            fields
                .as_ref()
                .map(|fields| fields.iter().map(Field::to_element).collect())
        };
        let declaration = Declaration {
            input: elements(&input),
            output: elements(&output),
            response_elem: response_elem.clone(),
            request_elem: text(intern!(py, "request_elem"))?.unwrap_or_else(|| "request".to_owned()),
            output_repeated: flag(intern!(py, "output_repeated"))?,
            namespace: text(intern!(py, "namespace"))?.unwrap_or_default(),
            use_channel_params_only: flag(intern!(py, "use_channel_params_only"))?,
        };
        Ok(Self {
            declaration,
            input,
            output,
            response_elem: response_elem.map(|name| PyString::intern(py, &name).unbind()),
            default_output,
            empty_output,
        })
    }
}

impl Field {
    fn to_element(&self) -> Element {
        Element {
            name: self.text.clone(),
            required: self.required,
            kind: self.kind,
            nested: self.nested.iter().map(Self::to_element).collect(),
        }
    }

    /// Reads one declared item: a name, or an element object. `required` is what its list says; a leading dash overrules it.
    fn read(item: &Bound<'_, PyAny>, required: bool) -> PyResult<Self> {
        let py = item.py();
        if let Ok(name) = item.cast::<PyString>() {
            let name = name.to_str()?;
            let text = name.strip_prefix('-').unwrap_or(name);
            if text.is_empty() {
                return Err(PyValueError::new_err("an element of SimpleIO has an empty name"));
            }
            return Ok(Self {
                name: PyString::intern(py, text).unbind(),
                text: text.to_owned(),
                required: required && !name.starts_with('-'),
                kind: kind_of(text),
                default: None,
                nested: Vec::new(),
                element: None,
                skip_empty: false,
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
                    "cannot declare the class {} as SimpleIO: models are not supported yet, and elements need a name",
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
                .map(|item| Self::read(&item?, true))
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
        })
    }
}

/// One side of a declaration as it was written: items, and whether their list says that they are required.
struct Side<'py>(Vec<(Bound<'py, PyAny>, bool)>);

impl Side<'_> {
    fn fields(self) -> PyResult<Vec<Field>> {
        let mut fields: Vec<Field> = Vec::with_capacity(self.0.len());
        for (item, required) in self.0 {
            let field = Field::read(&item, required)?;
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
}

/// Reads `input`, or `input_required` and `input_optional`; the same for output. `None` if there is none of them.
fn side<'py>(holder: &Bound<'py, PyAny>, name: &str, is_inner: bool) -> PyResult<Option<Side<'py>>> {
    let attribute = |name: String| -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(holder
            .getattr_opt(name)?
            // in the inner class such a name cannot mean anything else
            .filter(|value| !value.is_none() && (is_inner || is_declaration(value))))
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
    Ok(Some(Side(items)))
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
fn is_declaration(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyString>()
        || is_container(value)
        || value.is_instance_of::<PyType>()
        || value
            .getattr_opt(intern!(value.py(), "kind"))
            .is_ok_and(|kind| kind.is_some())
}

/// Not one of the markers for "no default".
fn is_given(value: &Bound<'_, PyAny>) -> bool {
    value.get_type().name().is_ok_and(|name| name != "NotGiven")
        && value.extract::<&str>().map_or(true, |text| text != "NO_DEFAULT_VALUE")
}

/// Reads `class SkipEmpty`, or its shorthand `skip_empty_keys` and `force_empty_keys`; marks the fields, and gives back the value for
/// empty output.
fn skip_empty(holder: &Bound<'_, PyAny>, input: &mut [Field], output: &mut [Field]) -> PyResult<Option<Py<PyAny>>> {
    let py = holder.py();
    let shorthand = holder.getattr_opt(intern!(py, "skip_empty_keys"))?;
    let Some(class) = holder.getattr_opt(intern!(py, "SkipEmpty"))? else {
        if let Some(shorthand) = shorthand {
            let force = Names::of(holder.getattr_opt(intern!(py, "force_empty_keys"))?)?;
            mark(input, &Names::of(Some(shorthand.clone()))?, &force)?;
            mark(output, &Names::of(Some(shorthand))?, &force)?;
        }
        return Ok(None);
    };
    let names = |name| Names::of(class.getattr_opt(name)?);
    mark(
        input,
        &names(intern!(py, "input"))?,
        &names(intern!(py, "force_empty_input"))?,
    )?;
    let output_names = match names(intern!(py, "output_def"))? {
        Names::None => names(intern!(py, "output"))?,
        names => names,
    };
    mark(output, &output_names, &names(intern!(py, "force_empty_output"))?)?;
    Ok(class
        .getattr_opt(intern!(py, "empty_output_value"))?
        .filter(is_given)
        .map(Bound::unbind))
}

/// Names that a setting speaks of.
enum Names {
    None,
    All,
    Some(Vec<String>),
}

impl Names {
    fn of(value: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(value) = value.filter(|value| !value.is_none()) else {
            return Ok(Self::None);
        };
        if value.is_instance_of::<PyBool>() {
            return Ok(if value.is_truthy()? { Self::All } else { Self::None });
        }
        let names = list_of(&value)?
            .iter()
            .map(|name| name.extract())
            .collect::<PyResult<Vec<String>>>()?;
        if names.len() > 1 && names.iter().any(|name| name == "all") {
            return Err(PyValueError::new_err("SkipEmpty names both `all` and single elements"));
        }
        Ok(match names.as_slice() {
            [] => Self::None,
            [name] if name == "all" => Self::All,
            _ => Self::Some(names),
        })
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(names) => names.iter().any(|known| known == name),
        }
    }
}

fn mark(fields: &mut [Field], skipped: &Names, forced: &Names) -> PyResult<()> {
    if matches!((skipped, forced), (Names::Some(_), Names::All)) {
        return Err(PyValueError::new_err(
            "SkipEmpty both skips elements by name and forces all of them",
        ));
    }
    for field in fields.iter_mut().filter(|field| !field.required) {
        field.skip_empty = skipped.contains(&field.text) && !forced.contains(&field.text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use pyo3::types::PyDict;

    use super::*;
    use crate::testing::attach;

    fn read(py: Python<'_>, body: &str) -> PyResult<Option<Sio>> {
        let scope = PyDict::new(py);
        let code = format!(
            "from zato.server.service import *\nclass Base:\n    class SimpleIO:\n        input = 'base'\nclass S:\n{body}\n"
        );
        py.run(&CString::new(code).unwrap(), Some(&scope), None)?;
        Sio::read(scope.get_item("S").unwrap().unwrap().cast::<PyType>().unwrap())
    }

    fn names(fields: &Option<Vec<Field>>) -> Vec<String> {
        let name = |field: &Field| {
            format!(
                "{}{}:{:?}",
                if field.required { "" } else { "-" },
                field.text,
                field.kind
            )
        };
        fields
            .as_ref()
            .map(|fields| fields.iter().map(name).collect())
            .unwrap_or_default()
    }

    #[test]
    fn every_form_is_read() {
        attach(|py| {
            for body in [
                "    class SimpleIO:\n        input = 'user_id', '-note', Float('amount')",
                "    class IO:\n        input = ['user_id', '-note', Float('amount')]",
                "    input = 'user_id', '-note', Float('amount')",
                "    class SimpleIO:\n        input_required = 'user_id', Float('amount')\n        input_optional = 'note'",
                "    class SimpleIO:\n        input_required = {'user_id', Float('amount')}\n        input_optional = ['note', 'user_id']",
                "    class SimpleIO:\n        input = Float('amount'), 'user_id', Text('-note')",
            ] {
                let sio = read(py, body).unwrap().unwrap();
                assert_eq!(
                    names(&sio.input),
                    ["amount:Float", "user_id:Int", "-note:Text"],
                    "{body}"
                );
                assert!(sio.output.is_none());
                assert_eq!(
                    sio.declaration.response_elem.is_some(),
                    body.contains("class"),
                    "{body}"
                );
            }
        });
    }

    #[test]
    fn one_text_is_one_element() {
        attach(|py| {
            let sio = read(
                py,
                "    class SimpleIO:\n        input_required = 'cust'\n        output = 'ok'",
            )
            .unwrap()
            .unwrap();
            assert_eq!(
                (names(&sio.input), names(&sio.output)),
                (vec!["cust:Text".to_owned()], vec!["ok:Text".to_owned()])
            );
        });
    }

    #[test]
    fn settings_are_read() {
        attach(|py| {
            let body = "    class SimpleIO:\n        output = 'a'\n        response_elem = 'user'\n        output_repeated = True\n        \
                        namespace = 'urn:x'\n        request_elem = 'req'\n        use_channel_params_only = True";
            let declaration = read(py, body).unwrap().unwrap().declaration;
            assert_eq!(declaration.response_elem.as_deref(), Some("user"));
            assert!(declaration.output_repeated && declaration.use_channel_params_only);
            assert_eq!(
                (declaration.namespace.as_str(), declaration.request_elem.as_str()),
                ("urn:x", "req")
            );
            for none in ["None", "''"] {
                let body = format!("    class SimpleIO:\n        output = 'a'\n        response_elem = {none}");
                assert_eq!(read(py, &body).unwrap().unwrap().declaration.response_elem, None);
            }
        });
    }

    #[test]
    fn inheritance_works() {
        attach(|py| {
            let sio = read(py, "    pass\nclass S(Base):\n    pass").unwrap().unwrap();
            assert_eq!(names(&sio.input), ["base:Text"]);
            let sio = read(
                py,
                "    pass\nclass S(Base):\n    class SimpleIO(Base.SimpleIO):\n        output = 'x'",
            )
            .unwrap()
            .unwrap();
            assert_eq!(
                (names(&sio.input), names(&sio.output)),
                (vec!["base:Text".to_owned()], vec!["x:Text".to_owned()])
            );
            assert!(read(py, "    pass").unwrap().is_none());
        });
    }

    #[test]
    fn what_cannot_be_declared_fails() {
        attach(|py| {
            for (body, part) in [
                (
                    "    class SimpleIO:\n        input = 'a'\n        input_required = 'b'",
                    "input_required",
                ),
                (
                    "    class SimpleIO:\n        output = 'a'\n        output_optional = 'b'",
                    "output_optional",
                ),
                ("    class SimpleIO:\n        input = 'a', 5", "5"),
                ("    class SimpleIO:\n        input = 3", "3"),
                ("    class SimpleIO:\n        input = 'a', ''", "empty name"),
                ("    class M: pass\n    input = M", "models are not supported yet"),
                (
                    "    class SimpleIO:\n        input = 'a'\n        class SkipEmpty:\n            input = 'all', 'b'",
                    "SkipEmpty",
                ),
            ] {
                let message = read(py, body).unwrap_err().to_string();
                assert!(message.contains(part), "{body}: {message}");
            }
        });
    }

    #[test]
    fn nested_elements_and_defaults_are_read() {
        attach(|py| {
            let body = "    class SimpleIO:\n        default_value = 'x'\n        input = Dict('addr', 'city', '-zip', Int('floor')), Int('-n', default=5), '-o'";
            let sio = read(py, body).unwrap().unwrap();
            let input = sio.input.unwrap();
            assert_eq!(names(&Some(vec![])), Vec::<String>::new());
            let nested: Vec<_> = input[0]
                .nested
                .iter()
                .map(|field| (field.text.as_str(), field.required, field.kind))
                .collect();
            assert_eq!(
                nested,
                [
                    ("city", true, ElementKind::Text),
                    ("zip", false, ElementKind::Text),
                    ("floor", true, ElementKind::Int)
                ]
            );
            let default = |index: usize| input[index].default.as_ref().unwrap().bind(py).to_string();
            assert_eq!((default(1), default(2)), ("5".to_owned(), "x".to_owned()));
        });
    }
}
