//! Scripts that Redis keeps.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::client::Redis;
use crate::faces::redis::pipeline::Pipeline;
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::{encode, encode_all};

/// A script that can be called like a function: `script(keys=['a'], args=[1])`. Only its hash is sent, and its text where Redis does not
/// know it yet.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Script {
    /// A client or a pipeline: who runs it unless told otherwise.
    registered_client: Py<PyAny>,
    text: Vec<u8>,
    hash: String,
}

impl Script {
    pub(super) fn new(client: &Bound<'_, PyAny>, script: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = client.py();
        let text = encode(script)?;
        let hash = py
            .import(intern!(py, "hashlib"))?
            .call_method1(intern!(py, "sha1"), (PyBytes::new(py, &text),))?
            .call_method0(intern!(py, "hexdigest"))?
            .extract()?;
        Ok(Self {
            registered_client: client.clone().unbind(),
            text,
            hash,
        })
    }
}

#[pymethods]
impl Script {
    #[pyo3(signature = (keys = None, args = None, client = None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        keys: Option<&Bound<'py, PyAny>>,
        args: Option<&Bound<'py, PyAny>>,
        client: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut values = Vec::new();
        if let Some(keys) = keys {
            encode_all(keys, &mut values)?;
        }
        let count = values.len();
        if let Some(args) = args {
            encode_all(args, &mut values)?;
        }
        let command = |name: &str, script: Vec<u8>| {
            let mut words = vec![name.as_bytes().to_vec(), script, count.to_string().into_bytes()];
            words.extend(values.iter().cloned());
            Command::new(words, Shape::Plain)
        };
        let client = client.unwrap_or_else(|| self.registered_client.bind(py));
        // in the middle of a pipeline nobody could send the text after the hash
        if let Ok(pipeline) = client.cast::<Pipeline>() {
            return Pipeline::take(pipeline, command("EVAL", self.text.clone()));
        }
        let Ok(client) = client.cast::<Redis>() else {
            // `self.kvdb` itself, or one of redis-py's: `redis.lock.Lock` keeps the scripts of the first client for all others
            let mut all = vec![
                PyBytes::new(py, &self.text).into_any(),
                count.into_pyobject(py)?.into_any(),
            ];
            all.extend(values.iter().map(|value| PyBytes::new(py, value).into_any()));
            return client.call_method1(intern!(py, "eval"), PyTuple::new(py, all)?);
        };
        let unknown = py
            .import(intern!(py, "busbar.kvdb.exceptions"))?
            .getattr(intern!(py, "NoScriptError"))?;
        match client.get().run(py, command("EVALSHA", self.hash.clone().into_bytes())) {
            Err(error) if error.matches(py, unknown)? => client.get().run(py, command("EVAL", self.text.clone())),
            result => result,
        }
    }

    /// Who runs it unless told otherwise.
    #[getter]
    fn registered_client(&self, py: Python<'_>) -> Py<PyAny> {
        self.registered_client.clone_ref(py)
    }

    /// The script's SHA-1, in hexadecimal digits.
    #[getter]
    fn sha(&self) -> &str {
        &self.hash
    }

    /// Its text.
    #[getter]
    fn script(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}
