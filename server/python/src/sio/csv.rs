//! CSV in and out (sio.md 7), by Python's own `csv`, so that dialects and quoting are exactly its.

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyModule, PyString, PyTuple};

use busbar_runtime::crypto::ServerKey;
use busbar_sio::without_bom;

use crate::errors::VALIDATION;
use crate::sio::declaration::{CsvFormat, Field, Sio};
use crate::sio::input::{Sources, declared};
use crate::sio::model::{Reading, plan_of_instance, to_dict};
use crate::sio::output;

/// The rows of a body, each a list of texts; empty lines are none. Errors have status 400.
pub(crate) fn rows<'py>(py: Python<'py>, format: &CsvFormat, body: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let refused = |error: PyErr| {
        let message = format!("invalid CSV: {}", error.value(py));
        let refusal = VALIDATION.error(py, (py.None(), message));
        refusal.set_cause(py, Some(error));
        refusal
    };
    let text = decoded(py, format, body).map_err(refused)?;
    let newline = PyDict::new(py);
    newline.set_item(intern!(py, "newline"), intern!(py, ""))?;
    let stream = py
        .import(intern!(py, "io"))?
        .call_method(intern!(py, "StringIO"), (text,), Some(&newline))?;
    let options = format.options.as_ref().map(|options| options.bind(py));
    let reader = csv(py)?.call_method(intern!(py, "reader"), (stream,), options)?;
    let rows = PyList::empty(py);
    for row in reader.try_iter()? {
        let row = row.map_err(refused)?;
        if row.len()? > 0 {
            rows.append(row)?;
        }
    }
    Ok(rows)
}

fn decoded<'py>(py: Python<'py>, format: &CsvFormat, body: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if format.encoding == "utf-8"
        && let Ok(text) = std::str::from_utf8(without_bom(body))
    {
        return Ok(PyString::new(py, text));
    }
    let body = PyBytes::new(py, body);
    let text = py
        .get_type::<PyString>()
        .call1((body, &format.encoding, &format.errors))?;
    Ok(text.cast_into()?)
}

/// Declared input out of rows: a list with what each of them holds. Columns are required names, then optional ones, each sorted.
pub(crate) fn read_input<'py>(
    sio: &Sio,
    service: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyList>,
    key: Option<&ServerKey>,
) -> PyResult<Bound<'py, PyList>> {
    let py = rows.py();
    let columns: Vec<Py<PyString>> = match (&sio.input_model, &sio.input) {
        (Some(plan), _) => plan.get().columns(py),
        (None, Some(fields)) => fields.iter().map(|field| field.name.clone_ref(py)).collect(),
        (None, None) => Vec::new(),
    };
    if rows.is_empty() {
        busbar_sio::check_no_rows(Some(&sio.declaration))
            .map_err(|error| VALIDATION.error(py, (py.None(), error.message)))?;
    }
    let read = PyList::empty(py);
    for (index, row) in rows.iter().enumerate() {
        let row = row.cast_into::<PyList>()?;
        if row.len() < columns.len() {
            let message = format!(
                "row {}: {} of {} columns are there",
                index + 1,
                row.len(),
                columns.len()
            );
            return Err(VALIDATION.error(py, (py.None(), message)));
        }
        let values = PyDict::new(py);
        for (name, value) in columns.iter().zip(row.iter()) {
            values.set_item(name, value)?;
        }
        let sources = Sources {
            body: Some(&values),
            params: None,
            body_first: true,
        };
        let item = match (&sio.input_model, &sio.input) {
            (Some(plan), _) => Reading { service: Some(service) }.instance(plan.bind(py), &sources),
            (None, fields) => declared(py, fields.as_deref().unwrap_or_default(), &sources, key).map(Bound::into_any),
        };
        read.append(item.map_err(|error| in_row(py, index + 1, error))?)?;
    }
    Ok(read)
}

/// Says in which row a value was that cannot be read.
#[cold]
fn in_row(py: Python<'_>, row: usize, error: PyErr) -> PyErr {
    if !VALIDATION.get(py).is_ok_and(|class| error.is_instance(py, class)) {
        return error;
    }
    let refusal = VALIDATION.error(py, (py.None(), format!("row {row}: {}", error.value(py))));
    refusal.set_cause(py, Some(error));
    refusal
}

/// Declared output: a line of names, then a line for each item.
pub(crate) fn write_declared<'py>(
    py: Python<'py>,
    sio: &Sio,
    fields: &[Field],
    items: impl Iterator<Item = Bound<'py, PyAny>>,
) -> PyResult<Bytes> {
    let lines = PyList::empty(py);
    if sio.csv.has_header {
        lines.append(PyList::new(py, fields.iter().map(|field| &field.name))?)?;
    }
    for item in items {
        let item = item.cast_into::<PyDict>()?;
        let line = PyList::empty(py);
        for field in fields {
            line.append(item.get_item(&field.name)?)?;
        }
        lines.append(line)?;
    }
    write_lines(py, &sio.csv, &lines)
}

/// A payload for which no output is declared, or that was assigned as a list: dictionaries, objects and lists. What is declared of
/// objects is taken; else the first one names the columns.
pub(crate) fn write_free(py: Python<'_>, sio: Option<&Sio>, value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let items: Vec<Bound<'_, PyAny>> = if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        value.try_iter()?.collect::<PyResult<_>>()?
    } else {
        vec![value.clone()]
    };
    let is_line = |item: &Bound<'_, PyAny>| item.is_instance_of::<PyList>() || item.is_exact_instance_of::<PyTuple>();
    let default = CsvFormat::default();
    let format = sio.map_or(&default, |sio| &sio.csv);
    if let Some(sio) = sio
        && let Some(fields) = &sio.output
        && !items.iter().any(is_line)
    {
        let items = items
            .iter()
            .map(|item| output::convert(sio, fields, item).map(Bound::into_any))
            .collect::<PyResult<Vec<_>>>()?;
        return write_declared(py, sio, fields, items.into_iter());
    }
    let lines = PyList::empty(py);
    let mut columns: Option<Bound<'_, PyList>> = None;
    for item in &items {
        if is_line(item) {
            lines.append(item)?;
            continue;
        }
        let values = match plan_of_instance(item)? {
            Some(_) => to_dict(item)?,
            None => output::item_as_dict(item)?,
        };
        if columns.is_none() {
            let names = values.keys();
            if format.has_header {
                lines.append(&names)?;
            }
            columns = Some(names);
        }
        let line = PyList::empty(py);
        for name in columns.iter().flatten() {
            line.append(values.get_item(name)?)?;
        }
        lines.append(line)?;
    }
    write_lines(py, format, &lines)
}

fn write_lines(py: Python<'_>, format: &CsvFormat, lines: &Bound<'_, PyList>) -> PyResult<Bytes> {
    let newline = PyDict::new(py);
    newline.set_item(intern!(py, "newline"), intern!(py, ""))?;
    let stream = py
        .import(intern!(py, "io"))?
        .call_method(intern!(py, "StringIO"), (), Some(&newline))?;
    let options = format.options.as_ref().map(|options| options.bind(py));
    csv(py)?
        .call_method(intern!(py, "writer"), (&stream,), options)?
        .call_method1(intern!(py, "writerows"), (lines,))?;
    let text = stream.call_method0(intern!(py, "getvalue"))?.cast_into::<PyString>()?;
    if format.encoding == "utf-8" {
        return Ok(Bytes::copy_from_slice(text.to_str()?.as_bytes()));
    }
    let encoded = text.call_method1(intern!(py, "encode"), (&format.encoding, &format.errors))?;
    Ok(Bytes::copy_from_slice(encoded.cast::<PyBytes>()?.as_bytes()))
}

fn csv(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "csv"))
}
