//! Which empty elements are left out.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::{Field, is_given, list_of};

/// Reads `class SkipEmpty`, or its shorthand `skip_empty_keys` and `force_empty_keys`; marks the fields, and gives back the value for
/// empty output.
pub(super) fn skip_empty(
    holder: &Bound<'_, PyAny>,
    input: &mut [Field],
    output: &mut [Field],
) -> PyResult<Option<Py<PyAny>>> {
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
        let mut names: Vec<String> = Vec::new();
        for name in list_of(&value)? {
            match name.extract() {
                Ok(name) => names.push(name),
                Err(_) if name.is_instance_of::<PyBool>() && name.is_truthy()? => names.push("all".to_owned()),
                Err(_) => {
                    return Err(PyValueError::new_err(format!(
                        "SkipEmpty takes names of elements or True, not {}",
                        name.repr()?
                    )));
                }
            }
        }
        if names.len() > 1 && names.iter().any(|name| name == "all") {
            return Err(PyValueError::new_err(
                "SkipEmpty names both all elements and single ones; use one form",
            ));
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
