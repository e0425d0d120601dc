//! `self.user_config`, `self.static_config`: what the files of users say, as objects of Python.

use std::sync::Arc;

use busbar_runtime::handler::UserFiles;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use serde_json::{Map, Value};

/// One state of the files. The objects are made when a service first asks for them, and are the same for all services until a file
/// changes.
pub(crate) struct Files {
    files: Arc<UserFiles>,
    config: PyOnceLock<Py<PyAny>>,
    statics: PyOnceLock<Py<PyAny>>,
}

impl Files {
    /// What configuration files say.
    pub fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        made(py, &self.config, &self.files.config)
    }

    /// Text of static files.
    pub fn statics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        made(py, &self.statics, &self.files.statics)
    }
}

impl From<Arc<UserFiles>> for Files {
    fn from(files: Arc<UserFiles>) -> Self {
        Self {
            files,
            config: PyOnceLock::new(),
            statics: PyOnceLock::new(),
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Arc::<UserFiles>::default().into()
    }
}

fn made<'py>(
    py: Python<'py>,
    place: &PyOnceLock<Py<PyAny>>,
    content: &Map<String, Value>,
) -> PyResult<Bound<'py, PyAny>> {
    let object = place.get_or_try_init(py, || {
        let text = serde_json::to_string(content).expect("JSON can be written");
        let plain = py.import("json")?.call_method1("loads", (text,))?;
        py.import("bunch")?
            .call_method1("bunchify", (plain,))
            .map(Bound::unbind)
    })?;
    Ok(object.bind(py).clone())
}
