//! `busbar start`, `stop` and `status`.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use busbar_admin::control::{Request, Response};
use clap::Args;

use crate::cli::control::{ask, not_running, unexpected};
use crate::cli::{Exit, ServerArgument};
use crate::config::Config;
use crate::directory::Directory;
use crate::hub;

/// How long a server may take until it answers, beyond the import of its services.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a server may take to stop beyond what its calls in flight are given.
const STOP_SLACK: Duration = Duration::from_secs(15);
/// When a server that is to stop at once is told so again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
const POLL: Duration = Duration::from_millis(5);

/// Starts a server.
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    server: ServerArgument,
    /// Stay in the foreground and log to the terminal.
    #[arg(long)]
    fg: bool,
}

impl Start {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let config = Config::read(&directory.config())?;
        if self.fg {
            return hub::run(&directory, &config);
        }
        if let Some(pid) = directory.running() {
            return Err(Exit::new(9, format!("server `{}` runs already (pid {pid})", directory.name())).into());
        }
        let log = directory.open_log()?;
        let log_start = log.metadata()?.len();
        let mut command = Command::new(std::env::current_exe().context("cannot find the busbar executable")?);
        command
            .arg("start")
            .arg("--fg")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // SAFETY: setsid is async-signal-safe and is all that runs between fork and exec
        unsafe {
            command.pre_exec(|| {
                // away from the terminal, so that closing it does not stop the server
                if libc::setsid() < 0 {
                    Err(std::io::Error::last_os_error())
                } else {
                    Ok(())
                }
            });
        }
        let mut child = command.spawn().context("cannot start the server's process")?;
        let limit = START_LIMIT + Duration::from_secs(config.hot_deploy.import_secs);
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                let lines = tail(&directory, log_start);
                let message = format!(
                    "server `{}` did not start ({status}); it logged:\n{lines}",
                    directory.name()
                );
                return Err(Exit::new(18, message).into());
            }
            // the socket is there when the server answers requests, not before
            if let Ok(Response::Status(status)) = ask(&directory, &Request::Status) {
                let node = status.node;
                println!("server `{}` is ready on {} (pid {})", node.name, node.address, node.pid);
                if !node.admin_address.is_empty() {
                    println!("administrators call {}", node.admin_address);
                }
                return Ok(0);
            }
            if Instant::now() > deadline {
                let message = format!("server `{}` is not ready after {} s", directory.name(), limit.as_secs());
                return Err(Exit::new(18, message)
                    .with_hint(format!("see {}", directory.log().display()))
                    .into());
            }
            std::thread::sleep(POLL);
        }
    }
}

/// What the server logged since it was started, at most the last lines.
fn tail(directory: &Directory, from: u64) -> String {
    const LINES: usize = 20;
    let mut text = String::new();
    let read = std::fs::File::open(directory.log()).and_then(|mut log| {
        log.seek(SeekFrom::Start(from))?;
        log.read_to_string(&mut text)
    });
    if let Err(error) = read {
        return format!("  (its log cannot be read: {error})");
    }
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .map(|line| format!("  {line}\n"))
        .collect()
}

/// Stops a server.
#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    server: ServerArgument,
    /// Do not wait for calls in flight.
    #[arg(long)]
    now: bool,
}

impl Stop {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let config = Config::read(&directory.config())?;
        let Some(pid) = directory.running() else {
            return Err(not_running(&directory).into());
        };
        let terminate = || {
            // SAFETY: kill takes no pointers; the lock on the pid file says that this process is the server
            if unsafe { libc::kill(pid, libc::SIGTERM) } != 0 {
                let error = std::io::Error::last_os_error();
                return Err(error).with_context(|| format!("cannot signal process {pid}"));
            }
            Ok(())
        };
        terminate()?;
        let deadline = Instant::now() + Duration::from_secs(config.calls.drain_secs) + STOP_SLACK;
        let mut signalled = Instant::now();
        while directory.running() == Some(pid) {
            if Instant::now() > deadline {
                let message = format!("server `{}` (pid {pid}) has not stopped", directory.name());
                return Err(Exit::new(16, message)
                    .with_hint("`busbar stop --now` does not wait for calls in flight")
                    .into());
            }
            std::thread::sleep(POLL);
            // two signals in quick succession may arrive as one
            if self.now && signalled.elapsed() > AGAIN_AFTER {
                signalled = Instant::now();
                // one that cannot be signalled any more has just ended
                terminate().ok();
            }
        }
        println!("server `{}` has stopped", directory.name());
        Ok(0)
    }
}

/// Shows what a server is doing.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    server: ServerArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let status = match ask(&directory, &Request::Status)? {
            Response::Status(status) => status,
            other => return Err(unexpected(&other)),
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&status)?);
        } else {
            print!("{status}");
        }
        Ok(0)
    }
}
