//! ZeroMQ's errors, and those of queues, as busbar's.

use busbar_model::{Error, Kind};

/// An error about one connection.
pub(super) fn error(kind: Kind, what: &str, name: &str) -> Error {
    Error::new(kind, format!("{what} outgoing.zmq `{name}`"))
}

/// Where ZeroMQ's own errors become text. It panics on error numbers that it does not know.
pub(super) fn attempt<T>(action: impl FnOnce() -> zmq::Result<T>) -> Result<T, String> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(action)) {
        Ok(result) => result.map_err(|error| error.message().to_owned()),
        Err(_unknown) => Err(std::io::Error::last_os_error().to_string()),
    }
}
