//! A place for a Python object in a frozen class.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::sync::lock;

/// A place for a Python object that services may replace. The lock is never held while Python runs.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Py<PyAny>>>);

impl Slot {
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        lock(&self.0).as_ref().map(|value| value.bind(py).clone())
    }

    pub(crate) fn set(&self, value: Bound<'_, PyAny>) {
        let old = lock(&self.0).replace(value.unbind());
        // its destructor may run Python
        drop(old);
    }

    pub(crate) fn clear(&self) {
        let old = lock(&self.0).take();
        drop(old);
    }

    /// What is there; if nothing is, what `make` gives, which is put there.
    pub(crate) fn get_or_try_init<'py>(
        &self,
        py: Python<'py>,
        make: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = self.get(py) {
            return Ok(value);
        }
        let value = make()?;
        self.set(value.clone());
        Ok(value)
    }

    /// For the garbage collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(value) => value.as_ref().map_or(Ok(()), |value| visit.call(value)),
            // somebody holds it, so it is not garbage
            Err(_) => Ok(()),
        }
    }
}
