//! Methods with code of their own: their arguments by name, and the words that come of them.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::errors::data_error;
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::{encode, encode_all, encode_span, encode_time};

/// A method with code of its own.
pub(super) struct Special {
    /// Its name in Python.
    pub(super) name: &'static str,
    pub(super) build: fn(&Bound<'_, PyTuple>, Option<&Bound<'_, PyDict>>) -> PyResult<Command>,
}

/// Arguments of a call by the names of their parameters.
pub(super) struct Call<'py> {
    method: &'static str,
    pub(super) values: Vec<(&'static str, Bound<'py, PyAny>)>,
    py: Python<'py>,
}

impl<'py> Call<'py> {
    pub(super) fn bind(
        method: &'static str,
        names: &[&'static str],
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Self> {
        if args.len() > names.len() {
            return Err(PyTypeError::new_err(format!("{method}() was given too many arguments")));
        }
        let mut values: Vec<_> = names.iter().copied().zip(args.iter()).collect();
        for (name, value) in kwargs.into_iter().flatten() {
            let name: String = name.extract()?;
            let Some(known) = names.iter().find(|known| **known == name) else {
                return Err(PyTypeError::new_err(format!(
                    "{method}() was given an unexpected keyword argument `{name}`"
                )));
            };
            if values.iter().any(|(given, _)| given == known) {
                return Err(PyTypeError::new_err(format!("{method}() was given `{name}` twice")));
            }
            values.push((*known, value));
        }
        Ok(Self {
            method,
            values,
            py: args.py(),
        })
    }

    pub(super) fn optional(&self, name: &str) -> Option<&Bound<'py, PyAny>> {
        self.values
            .iter()
            .find(|(given, value)| *given == name && !value.is_none())
            .map(|(_, value)| value)
    }

    pub(super) fn required(&self, name: &str) -> PyResult<&Bound<'py, PyAny>> {
        // `None` is given too: the error that it is no value comes from there
        let value = self
            .values
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value);
        value.ok_or_else(|| PyTypeError::new_err(format!("{}() needs the argument `{name}`", self.method)))
    }

    pub(super) fn flag(&self, name: &str) -> PyResult<bool> {
        self.optional(name).map_or(Ok(false), |value| value.is_truthy())
    }

    /// A word for a flag that is true.
    pub(super) fn push_flag(&self, words: &mut Vec<Vec<u8>>, name: &str, word: &str) -> PyResult<()> {
        if self.flag(name)? {
            words.push(word.as_bytes().to_vec());
        }
        Ok(())
    }

    /// A word and a value, if it is given.
    pub(super) fn push_option(&self, words: &mut Vec<Vec<u8>>, name: &str, word: &str) -> PyResult<()> {
        if let Some(value) = self.optional(name) {
            words.push(word.as_bytes().to_vec());
            words.push(encode(value)?);
        }
        Ok(())
    }

    /// `EX`, `PX`, `EXAT` and `PXAT`.
    pub(super) fn push_expiry(&self, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
        for (name, word, is_millis, is_point) in [
            ("ex", "EX", false, false),
            ("px", "PX", true, false),
            ("exat", "EXAT", false, true),
            ("pxat", "PXAT", true, true),
        ] {
            if let Some(value) = self.optional(name) {
                words.push(word.as_bytes().to_vec());
                words.push(if is_point {
                    encode_time(value, is_millis)?
                } else {
                    encode_span(value, is_millis)?
                });
            }
        }
        Ok(())
    }

    pub(super) fn py(&self) -> Python<'py> {
        self.py
    }

    /// All values of a list, if it is given.
    pub(super) fn listed(&self, name: &str) -> PyResult<Vec<Vec<u8>>> {
        let mut values = Vec::new();
        if let Some(value) = self.optional(name) {
            encode_all(value, &mut values)?;
        }
        Ok(values)
    }

    pub(super) fn wrong(&self, message: &str) -> PyErr {
        data_error(self.py, message)
    }
}

pub(super) fn word(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(super) fn command(words: Vec<Vec<u8>>, shape: Shape) -> PyResult<Command> {
    Ok(Command::new(words, shape))
}

pub(super) const fn special(
    name: &'static str,
    build: fn(&Bound<'_, PyTuple>, Option<&Bound<'_, PyDict>>) -> PyResult<Command>,
) -> Special {
    Special { name, build }
}
