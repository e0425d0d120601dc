//! The Unix socket through which the command line reaches a running server: a JSON request in a line, a JSON answer in a line. Whoever may
//! open the socket, its owner, is an administrator.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use busbar_admin::control::{Control, Failure, Request, Response};
use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::directory::short_socket_path;
use crate::user;

/// Largest request: an import carries the largest file of objects, spelt out.
const MAX_REQUEST: u64 = 256 << 20;
/// What a server says of a request that it does not know.
const UNREADABLE: &str = "the control request cannot be read";
/// The door's name in the history of objects: who made a change is `cli:ann`.
pub const DOOR: &str = "cli";

/// Opens the socket. Commands that connect wait until it is served.
pub fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    // a socket that a crash left behind; the pid file says that no server runs
    std::fs::remove_file(path).ok();
    let cannot_open = || format!("cannot open `{}`", path.display());
    let (_directory, short) = short_socket_path(path).with_context(cannot_open)?;
    let listener = UnixListener::bind(&short).with_context(cannot_open)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(cannot_open)?;
    Ok(listener)
}

/// Serves the socket until the process ends.
pub fn spawn(listener: UnixListener, control: Arc<Control>) {
    task::spawn("control", TaskKind::Forever, async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let control = control.clone();
                    // a task of its own, so that a change goes on to its end even if the command that asked for it is interrupted
                    task::spawn("control-request", TaskKind::Once, async move {
                        if let Err(error) = serve(stream, &control).await {
                            tracing::debug!(%error, "a control connection failed");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
}

async fn serve(stream: UnixStream, control: &Control) -> std::io::Result<()> {
    // the kernel says who is at the other end: nobody can give himself out for another
    let caller = user::by(DOOR, stream.peer_cred()?.uid());
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    (&mut stream).take(MAX_REQUEST).read_until(b'\n', &mut line).await?;
    let response = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => control.answer(request, &caller).await,
        Err(error) => {
            let error = Error::new(Kind::BadRequest, UNREADABLE).with_source(error);
            Response::Failed(Failure::from(&error))
        }
    };
    let mut answer = serde_json::to_vec(&response)?;
    answer.push(b'\n');
    stream.get_mut().write_all(&answer).await
}

/// Asks a running server. It may be of another version, so an answer that is none of [`Response`] comes back as an error of its own.
pub fn ask(path: &Path, request: &Request, limit: Duration) -> Result<Response, AskError> {
    use std::io::{BufRead, Write};

    let (_directory, short) = short_socket_path(path).map_err(AskError::Reach)?;
    let stream = std::os::unix::net::UnixStream::connect(&short).map_err(AskError::Reach)?;
    stream.set_read_timeout(Some(limit)).map_err(AskError::Lost)?;
    let mut text = serde_json::to_vec(request).map_err(|error| AskError::Lost(error.into()))?;
    text.push(b'\n');
    (&stream).write_all(&text).map_err(AskError::Lost)?;
    let mut line = String::new();
    let count = std::io::BufReader::new(&stream).read_line(&mut line);
    match count {
        Ok(0) => Err(AskError::Lost(std::io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => match serde_json::from_str(&line) {
            Ok(Response::Failed(failure)) if failure.message.starts_with(UNREADABLE) => Err(AskError::Version),
            Ok(response) => Ok(response),
            Err(_) => Err(AskError::Version),
        },
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ) =>
        {
            Err(AskError::Late)
        }
        Err(error) => Err(AskError::Lost(error)),
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// The socket cannot be opened.
    Reach(std::io::Error),
    /// The server ended, or the connection did.
    Lost(std::io::Error),
    /// It took too long.
    Late,
    /// It does not know the request, or says what is not known here.
    Version,
}
