//! How CSV is read and written: `class CSV` of a declaration, or attributes `csv_*`.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::is_given;

/// What Python's `csv` is told, read once.
#[derive(Debug)]
pub(crate) struct CsvFormat {
    /// Keyword arguments of `csv.reader` and `csv.writer`; `None`: the dialect `excel`.
    pub(crate) options: Option<Py<PyDict>>,
    /// The first line of output names the columns.
    pub(crate) has_header: bool,
    /// Encoding of bodies.
    pub(crate) encoding: String,
    /// What is done about bytes that are not of that encoding: `strict`, `ignore`, `replace`...
    pub(crate) errors: String,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            options: None,
            has_header: true,
            encoding: "utf-8".to_owned(),
            errors: "strict".to_owned(),
        }
    }
}

/// What `csv` knows of.
const OPTIONS: [&str; 9] = [
    "delimiter",
    "dialect",
    "doublequote",
    "escapechar",
    "lineterminator",
    "quotechar",
    "quoting",
    "skipinitialspace",
    "strict",
];

impl CsvFormat {
    /// Reads the settings. The error says which of them `csv` does not take.
    pub(super) fn read(holder: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = holder.py();
        let class = holder.getattr_opt(intern!(py, "CSV"))?;
        let option = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            let value = match &class {
                Some(class) => class.getattr_opt(name)?,
                None => holder.getattr_opt(format!("csv_{name}"))?,
            };
            Ok(value.filter(|value| !value.is_none() && is_given(value)))
        };
        let mut format = Self::default();
        let options = PyDict::new(py);
        for name in OPTIONS {
            if let Some(value) = option(name)? {
                options.set_item(name, value)?;
            }
        }
        if let Some(value) = option("should_write_header")? {
            format.has_header = value.is_truthy()?;
        }
        if let Some(value) = option("encoding")? {
            format.encoding = value.extract()?;
        }
        if let Some(value) = option("errors")? {
            format.errors = value.extract()?;
        }
        let refused = |error: PyErr| PyValueError::new_err(format!("SimpleIO declares a CSV setting: {error}"));
        if format.encoding != "utf-8" {
            py.import(intern!(py, "codecs"))?
                .call_method1(intern!(py, "lookup"), (&format.encoding,))
                .map_err(refused)?;
        }
        if !options.is_empty() {
            let stream = py.import(intern!(py, "io"))?.call_method0(intern!(py, "StringIO"))?;
            py.import(intern!(py, "csv"))?
                .call_method(intern!(py, "writer"), (stream,), Some(&options))
                .map_err(refused)?;
            format.options = Some(options.unbind());
        }
        Ok(format)
    }
}
