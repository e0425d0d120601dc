//! `self.invoke(..., timeout=n)`: the other service runs on a thread of its own, so that its caller can go on without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::sync::oneshot;

use busbar_model::Error;

use super::{Arguments, run};
use crate::errors::to_python;
use crate::service::class::ServiceClass;
use crate::service::instance::Service;
use crate::turn;

/// Threads of services that are called so, those whose callers have gone on included.
const MAX_THREADS: usize = 256;

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Counts a thread until it ends.
struct Counted;

impl Counted {
    fn new() -> Option<Self> {
        let counted = Self;
        (THREADS.fetch_add(1, Ordering::Relaxed) < MAX_THREADS).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs the other service and waits for it, at most so long. It goes on if that is not enough, and what it answers is thrown away.
pub(super) fn call<'py>(
    caller: &Bound<'py, Service>,
    class: &Arc<ServiceClass>,
    arguments: Arguments<'py>,
    limit: Duration,
) -> PyResult<Bound<'py, PyAny>> {
    let py = caller.py();
    let raises = arguments
        .option("raise_timeout")
        .map_or(Ok(true), |flag| flag.is_truthy())?;
    let environment = caller.get().invocation()?.environment.clone();
    let counted = Counted::new().ok_or_else(|| {
        PyRuntimeError::new_err(format!(
            "cannot invoke `{}` with a timeout: {MAX_THREADS} such calls run already",
            class.info().name
        ))
    })?;
    let (sender, receiver) = oneshot::channel();
    let (caller, class) = (caller.clone().unbind(), class.clone());
    let target = arguments.target.unbind();
    let payload = arguments.payload.unbind();
    let options: Vec<_> = arguments
        .options
        .into_iter()
        .map(|(name, value)| (name, value.unbind()))
        .collect();
    std::thread::Builder::new()
        .name("busbar-invoke".to_owned())
        .spawn(move || {
            let _counted = counted;
            Python::attach(|py| {
                let arguments = Arguments {
                    target: target.into_bound(py),
                    payload: payload.into_bound(py),
                    options: options
                        .into_iter()
                        .map(|(name, value)| (name, value.into_bound(py)))
                        .collect(),
                };
                let result = run(caller.bind(py), &class, &arguments).map(Bound::unbind);
                // an error here says that the caller has gone on
                drop(sender.send(result));
            });
        })?;
    let wait = async move { Ok::<_, Error>(tokio::time::timeout(limit, receiver).await.ok()) };
    match turn::block_on(py, &environment, wait).map_err(|error| to_python(py, &error, "invoke"))? {
        Some(Ok(result)) => result.map(|answer| answer.into_bound(py)),
        Some(Err(_)) => Err(PyRuntimeError::new_err("the service ended without an answer")),
        None if raises => Err(timeout(py, limit)),
        None => Ok(py.None().into_bound(py)),
    }
}

/// The exception for a caller that has waited long enough.
fn timeout(py: Python<'_>, limit: Duration) -> PyErr {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = MAKE
        .import(py, "busbar.errors", "timeout_after")
        .and_then(|make| make.call1((limit.as_secs_f64(),)));
    made.map_or_else(|error| error, PyErr::from_value)
}
