//! `self.crypto` (service-api.md 9.5).

use std::sync::Arc;

use busbar_runtime::crypto::{self, Decrypted, ServerKey};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::environment::Environment;
use crate::turn;

/// More bits than any secret needs.
const MAX_BITS: usize = 1 << 20;

/// Encrypts with the server's key, hashes, and makes secrets. What needs no key works on the class too.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Crypto(pub(crate) Arc<Environment>);

#[pymethods]
impl Crypto {
    /// Encrypts text or bytes with the server's key: a Fernet token, as text.
    fn encrypt(&self, data: &Bound<'_, PyAny>) -> PyResult<String> {
        encrypt(&self.0.key, data)
    }

    /// What a token holds: text, or bytes if it is none. Text that is no token comes back as it is; a token of another key raises
    /// ValueError.
    fn decrypt<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        decrypt(&self.0.key, data)
    }

    /// A hash of a password, different every time. Takes tens of milliseconds on purpose. There is one way of hashing, whatever `name`
    /// says: a hash tells by itself how it was made.
    #[staticmethod]
    #[pyo3(signature = (data, name = "zato.default"))]
    fn hash_secret(py: Python<'_>, data: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
        let _ = name;
        let data = bytes(data)?;
        turn::wait(py, || crypto::hash_secret(&data)).map_err(|error| value_error(&error))
    }

    /// Whether `expected` is a hash of `given`. Hashes made by Zato (PBKDF2) are understood. Raises ValueError if it is no hash.
    #[staticmethod]
    #[pyo3(signature = (given, expected, name = "zato.default"))]
    fn verify_hash(
        py: Python<'_>,
        given: &Bound<'_, PyAny>,
        expected: &Bound<'_, PyAny>,
        name: &str,
    ) -> PyResult<bool> {
        let _ = name;
        let given = bytes(given)?;
        let expected = String::from_utf8(bytes(expected)?)
            .map_err(|_| PyValueError::new_err("the hash to compare with is not text"))?;
        turn::wait(py, || crypto::verify_hash(&given, &expected)).map_err(|error| value_error(&error))
    }

    /// A new Fernet key, as bytes.
    #[staticmethod]
    fn generate_key(py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, ServerKey::generate().to_text().as_bytes())
    }

    /// A random secret of so many bits, as bytes that can stand in a URL.
    #[staticmethod]
    #[pyo3(signature = (bits = 256))]
    fn generate_secret(py: Python<'_>, bits: usize) -> PyResult<Bound<'_, PyBytes>> {
        Ok(PyBytes::new(py, random(bits)?.as_bytes()))
    }

    /// A random password of so many bits that can stand in a URL: bytes, or text with `to_str`.
    #[staticmethod]
    #[pyo3(signature = (bits = 192, to_str = false))]
    fn generate_password(py: Python<'_>, bits: usize, to_str: bool) -> PyResult<Bound<'_, PyAny>> {
        let text = random(bits)?;
        Ok(if to_str {
            PyString::new(py, &text).into_any()
        } else {
            PyBytes::new(py, text.as_bytes()).into_any()
        })
    }

    fn __repr__(&self) -> &'static str {
        "<Crypto>"
    }
}

/// Encrypts text or bytes.
pub(crate) fn encrypt(key: &ServerKey, data: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(key.encrypt(&bytes(data)?))
}

/// Decrypts text or bytes; gives back whatever is no token, of any type.
pub(crate) fn decrypt<'py>(key: &ServerKey, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    let decrypted = match data.cast::<PyString>() {
        Ok(text) => key.decrypt(text.to_str()?),
        Err(_) => match data
            .cast::<PyBytes>()
            .map(|bytes| std::str::from_utf8(bytes.as_bytes()))
        {
            Ok(Ok(text)) => key.decrypt(text),
            _ => return Ok(data.clone()),
        },
    };
    match decrypted.map_err(|error| value_error(&error))? {
        Decrypted::Plain => Ok(data.clone()),
        Decrypted::Secret(secret) => Ok(match std::str::from_utf8(&secret) {
            Ok(text) => PyString::new(py, text).into_any(),
            Err(_) => PyBytes::new(py, &secret).into_any(),
        }),
    }
}

fn bytes(data: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = data.cast::<PyString>() {
        Ok(text.to_str()?.as_bytes().to_vec())
    } else if let Ok(bytes) = data.cast::<PyBytes>() {
        Ok(bytes.as_bytes().to_vec())
    } else {
        let message = format!("a secret must be text or bytes, not {}", data.get_type().name()?);
        Err(PyTypeError::new_err(message))
    }
}

fn random(bits: usize) -> PyResult<String> {
    if !(8..=MAX_BITS).contains(&bits) {
        return Err(PyValueError::new_err(format!(
            "a secret has between 8 and {MAX_BITS} bits, not {bits}"
        )));
    }
    Ok(crypto::random_text(bits))
}

fn value_error(error: &busbar_model::Error) -> PyErr {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    PyValueError::new_err(format!("{error}{hint}"))
}

/// Adds the class to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Crypto>()
}
