//! What the event loop of an `async def handle` waits with.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use busbar_model::{Error, Kind};
use pyo3::prelude::*;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::environment::Environment;
use crate::{errors, turn};

/// Waits for a file descriptor, as faces wait: without the interpreter, without the thread's turn, and no longer than the call may run.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct ReadableWait(pub(crate) Arc<Environment>);

#[pymethods]
impl ReadableWait {
    /// Returns when `fd` can be read or `timeout` seconds have passed, `None`: however long that takes.
    ///
    /// Raises `DeadlineExceeded` when the call's deadline passes first.
    #[pyo3(signature = (fd, timeout = None))]
    fn __call__(&self, py: Python<'_>, fd: RawFd, timeout: Option<f64>) -> PyResult<()> {
        let failed =
            |error: std::io::Error| Error::new(Kind::Internal, "cannot wait for a file descriptor").with_source(error);
        // SAFETY: the descriptor is only borrowed to make one of our own of it, and Python holds it open meanwhile
        let own: std::io::Result<OwnedFd> = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
        let wait = async move {
            // SAFETY: an `OwnedFd` is open and stays what it is until it is dropped
            let registered = unsafe { AsyncFd::register_with_interest(own.map_err(failed)?, Interest::READABLE) };
            let fd = registered.map_err(|error| failed(error.into()))?;
            let ready = fd.readable();
            match timeout {
                // a time that is no duration, because it is too long, is none
                Some(seconds) => match Duration::try_from_secs_f64(seconds.max(0.0)) {
                    Ok(limit) => drop(tokio::time::timeout(limit, ready).await),
                    Err(_) => drop(ready.await.map_err(failed)?),
                },
                None => drop(ready.await.map_err(failed)?),
            }
            Ok(())
        };
        turn::block_on(py, &self.0, wait).map_err(|error: Error| errors::to_python(py, &error, "asyncio"))
    }
}

/// Adds the class to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ReadableWait>()
}
