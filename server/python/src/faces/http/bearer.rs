//! Bearer tokens of security definitions: `self.security`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::faces::http::connection::HttpConn;
use crate::service::instance::Service;
use crate::turn;

/// A token of the security definition of that name, for some scopes; empty: those of the definition. `owner` is a service or a
/// connection, whichever is at hand; `refused` a token that was not accepted.
#[pyfunction]
#[pyo3(signature = (owner, name, scopes, refused = None))]
fn bearer_token(owner: &Bound<'_, PyAny>, name: &str, scopes: String, refused: Option<String>) -> PyResult<String> {
    let py = owner.py();
    let environment = if let Ok(service) = owner.cast::<Service>() {
        service.get().invocation()?.environment.clone()
    } else if let Ok(conn) = owner.cast::<HttpConn>() {
        conn.get().environment.clone()
    } else {
        return Err(PyTypeError::new_err("a service or a connection is expected"));
    };
    let source = environment.outgoing_http.tokens(name);
    let token = source.and_then(|source| {
        turn::block_on(py, &environment, async move {
            source.token(&scopes, refused.as_deref()).await
        })
    });
    token.map_err(|error| to_python(py, &error, name))
}

/// Adds the function to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(bearer_token, module)?)
}
