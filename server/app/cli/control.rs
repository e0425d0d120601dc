//! How commands reach a running server.

use std::time::Duration;

use busbar_admin::control::{Failure, Request, Response};

use crate::cli::Exit;
use crate::directory::Directory;

/// Longer than any deployment or call of a service by default.
const LIMIT: Duration = Duration::from_secs(300);

/// Asks the server; its errors come back as the command's errors.
pub fn ask(directory: &Directory, request: &Request) -> anyhow::Result<Response> {
    if directory.running().is_none() {
        return Err(not_running(directory).into());
    }
    match crate::control::ask(&directory.control_socket(), request, LIMIT)? {
        Response::Failed(failure) => Err(Exit::from(failure).into()),
        response => Ok(response),
    }
}

/// The server that a command needs does not run.
pub fn not_running(directory: &Directory) -> Exit {
    Exit::new(10, format!("server `{}` does not run", directory.name()))
        .with_hint(format!("start it with `busbar start {}`", directory.path().display()))
}

/// The server answered something else than what was asked.
pub fn unexpected(response: &Response) -> anyhow::Error {
    anyhow::anyhow!("the server is of another version: it answered {response:?}")
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        let mut exit = Self::new(failure.exit_code, failure.message);
        if !failure.traceback.is_empty() {
            exit.message = format!("{}\n{}", exit.message, failure.traceback.trim_end());
        }
        exit.hint = failure.hint;
        exit
    }
}
