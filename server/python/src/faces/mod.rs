//! The module `_busbar`, and the faces that connectors have for services.
//!
//! * [`outgoing`] - `self.outgoing`
//! * [`http`] - `.plain_http`, `.rest`
//! * [`zmq`] - `.zmq`
//! * [`redis`] - `self.kvdb`
//! * [`sql`] - `busbar.sql`
//! * [`crypto`] - `self.crypto`
//! * [`server`] - `self.server`
//! * [`command`] - what `self.commands` runs
//! * [`files`] - `self.user_config`, `self.static_config`
//! * [`smtp`] - `self.email.smtp`
//! * [`imap`] - `self.email.imap`
//! * [`hub`] - what classes in Python need of the native side
//! * [`log`] - Python's log records
//! * [`readable`] - what event loops wait with

mod command;
mod crypto;
mod files;
mod http;
mod hub;
mod imap;
mod log;
mod outgoing;
mod readable;
mod redis;
mod server;
mod smtp;
mod sql;
mod zmq;

pub(crate) use files::Files;
pub(crate) use outgoing::{LATER_OUTGOING, Outgoing};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

pub(crate) use readable::ReadableWait;

use crate::headers::Headers;
use crate::service::instance::Service;
use crate::sio::ServiceInput;

/// Makes the module `_busbar` and puts it where `import _busbar` finds it. Does nothing the second time.
pub fn install(py: Python<'_>) -> PyResult<()> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    MODULE.get_or_try_init(py, || {
        let module = PyModule::new(py, "_busbar")?;
        module.setattr(
            "__doc__",
            "The native side of busbar. Its classes are what services see of the server.",
        )?;
        module.add_class::<Headers>()?;
        module.add_class::<ServiceInput>()?;
        crate::service::register(&module)?;
        module.add_class::<Outgoing>()?;
        command::register(&module)?;
        crypto::register(&module)?;
        http::register(&module)?;
        redis::register(&module)?;
        zmq::register(&module)?;
        server::register(&module)?;
        smtp::register(&module)?;
        imap::register(&module)?;
        sql::register(&module)?;
        log::register(&module)?;
        readable::register(&module)?;
        hub::register(&module)?;
        crate::bench::register(&module)?;
        py.import("sys")?.getattr("modules")?.set_item("_busbar", &module)?;
        Ok::<_, PyErr>(module.unbind())
    })?;
    Ok(())
}

/// `self.outgoing`
pub(crate) fn outgoing<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, Outgoing>> {
    let invocation = service.get().invocation()?.clone();
    Bound::new(service.py(), Outgoing::new(invocation))
}

/// `self.kvdb`
pub(crate) fn kvdb<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    let environment = service.get().invocation()?.environment.clone();
    Ok(Bound::new(service.py(), redis::Kvdb::new(environment, redis::Source::Kvdb))?.into_any())
}

/// `self.crypto`
pub(crate) fn crypto<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    let environment = service.get().invocation()?.environment.clone();
    Ok(Bound::new(service.py(), crypto::Crypto(environment))?.into_any())
}

/// `self.user_config`
pub(crate) fn user_config<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    service
        .get()
        .invocation()?
        .environment
        .files
        .load()
        .config(service.py())
}

/// `self.static_config`
pub(crate) fn static_config<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    service
        .get()
        .invocation()?
        .environment
        .files
        .load()
        .statics(service.py())
}

/// `self.server`
pub(crate) fn server<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    let environment = service.get().invocation()?.environment.clone();
    Ok(Bound::new(service.py(), server::Server(environment))?.into_any())
}
