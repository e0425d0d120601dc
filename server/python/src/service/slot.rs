//! Places for Python objects in frozen classes, which the garbage collector can look into.

use std::sync::{Mutex, OnceLock};

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

/// A place for a Python object that is made once, when it is first asked for.
pub(crate) struct Made<T>(OnceLock<Py<T>>);

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Made<T> {
    /// What is there, if it has been made.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, T>> {
        self.0.get().map(|value| value.bind(py))
    }

    /// What is there; made by `make` if nothing is. Nothing is locked meanwhile: if two threads make one, the first is kept.
    pub(crate) fn get_or_try_init<'py>(
        &self,
        py: Python<'py>,
        make: impl FnOnce() -> PyResult<Py<T>>,
    ) -> PyResult<&Bound<'py, T>> {
        if self.0.get().is_none() {
            let made = make()?;
            drop(self.0.set(made));
        }
        Ok(self.0.get().expect("it has just been set").bind(py))
    }

    /// For the garbage collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.get().map_or(Ok(()), |value| visit.call(value))
    }
}
