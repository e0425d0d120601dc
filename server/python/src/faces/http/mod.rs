//! `self.outgoing.plain_http` and `.rest` (service-api.md 11.1).
//!
//! * [`arguments`] - the forms in which services call
//! * [`bearer`] - tokens, for those who send them by themselves
//! * [`multipart`] - forms with files
//! * [`connection`] - the connections, and their methods
//! * [`response`] - what services get back
//! * [`errors`] - what they catch

mod arguments;
mod bearer;
mod connection;
mod errors;
mod multipart;
mod response;
#[cfg(test)]
mod tests;
mod upload;

use pyo3::prelude::*;

pub(crate) use connection::PlainHttp;

/// Adds the classes to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    bearer::register(module)?;
    module.add_class::<PlainHttp>()?;
    module.add_class::<connection::HttpItem>()?;
    module.add_class::<connection::HttpConn>()?;
    module.add_class::<response::HttpResponse>()?;
    module.add_class::<response::SentRequest>()
}
