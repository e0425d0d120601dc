//! How commands reach a running server.

use std::io::ErrorKind;
use std::time::Duration;

use busbar_admin::control::{Failure, Request, Response};

use crate::cli::Exit;
use crate::control::AskError;
use crate::directory::Directory;

/// Longer than any deployment or call of a service by default.
const LIMIT: Duration = Duration::from_secs(300);
/// The server took too long.
const TOO_LONG: u8 = 28;

/// Asks the server; its errors come back as the command's errors.
pub fn ask(directory: &Directory, request: &Request) -> anyhow::Result<Response> {
    match try_ask(directory, request)? {
        Response::Failed(failure) => Err(Exit::from(failure).into()),
        response => Ok(response),
    }
}

/// Asks the server; its errors are an answer too.
pub fn try_ask(directory: &Directory, request: &Request) -> anyhow::Result<Response> {
    if directory.running().is_none() {
        return Err(not_running(directory).into());
    }
    crate::control::ask(&directory.control_socket(), request, LIMIT)
        .map_err(|error| no_answer(directory, &error).into())
}

fn no_answer(directory: &Directory, error: &AskError) -> Exit {
    let (server, path) = (directory.name(), directory.path().display());
    let log = format!("see {}", directory.log().display());
    match error {
        AskError::Reach(error) if error.kind() == ErrorKind::PermissionDenied => {
            let message = format!("this user may not use server `{server}`: {error}");
            Exit::new(16, message).with_hint("run the command as the user that the server runs as")
        }
        AskError::Reach(error) => Exit::new(16, format!("server `{server}` runs and cannot be reached: {error}"))
            .with_hint(format!("it starts or stops just now; else {log}, and restart it")),
        AskError::Lost(error) => Exit::new(16, format!("server `{server}` did not answer: {error}")).with_hint(log),
        AskError::Late => {
            let message = format!("server `{server}` did not answer within {} s", LIMIT.as_secs());
            Exit::new(TOO_LONG, message).with_hint(log)
        }
        AskError::Version => Exit::new(16, format!("server `{server}` is of another version than this command"))
            .with_hint(format!("restart it: busbar stop {path} && busbar start {path}")),
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
        let mut message = failure.message;
        if !failure.traceback.is_empty() {
            message = format!("{message}\n{}", failure.traceback.trim_end());
        }
        let exit = Self::new(failure.exit_code, message);
        match failure.hint {
            Some(hint) => exit.with_hint(hint),
            None => exit,
        }
    }
}
