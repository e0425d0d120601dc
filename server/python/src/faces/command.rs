//! What `self.commands` runs its commands with (service-api.md 9.6).

use std::time::Duration;

use busbar_connectors::command::{self, CommandLine};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::to_python;
use crate::service::instance::Service;
use crate::turn;

/// Bytes of each output of a command that services see.
const MAX_OUTPUT: usize = 16 << 20;

/// Output, error output, exit code if it was not killed, and how many bytes of output were too many.
type Ran<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Option<i32>, u64);

/// Runs a command in a shell, at most `timeout` seconds and no longer than the call of the service may take.
#[pyfunction]
fn run_command<'py>(
    service: &Bound<'py, Service>,
    command: String,
    stdin: Vec<u8>,
    timeout: f64,
) -> PyResult<Ran<'py>> {
    let py = service.py();
    let environment = service.get().invocation()?.environment.clone();
    let timeout = match Duration::try_from_secs_f64(timeout) {
        Ok(timeout) if !timeout.is_zero() => timeout,
        _ => {
            let message = format!("timeout must be more than 0 seconds, not {timeout}");
            return Err(PyValueError::new_err(message));
        }
    };
    let line = CommandLine {
        command,
        stdin,
        timeout: Some(timeout),
        max_output: MAX_OUTPUT,
    };
    let finished = turn::block_on(py, &environment, command::run(line)).map_err(|error| to_python(py, &error, ""))?;
    Ok((
        PyBytes::new(py, &finished.stdout),
        PyBytes::new(py, &finished.stderr),
        finished.exit_code,
        finished.dropped,
    ))
}

/// Adds the function to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run_command, module)?)
}
