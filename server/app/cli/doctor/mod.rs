//! `busbar doctor`: what keeps a server from running well, and what to do about it.
//!
//! Looks and changes nothing: it may be run beside a server, and before one is started.
//!
//! * [`files`] - directories, keys, room on the disk, what a crash left behind
//! * [`system`] - open files, the clock
//! * [`parts`] - addresses, Redis, the database, the running server
//! * [`python`] - the interpreter, and whether the services can be imported

mod files;
mod parts;
mod python;
mod system;

use std::fmt;

use busbar_admin::control::{Request, Response, Status};
use clap::Args;
use serde::Serialize;

use crate::cli::control::ask;
use crate::cli::{Exit, ServerArgument};
use crate::config::Config;
use crate::directory::Directory;

/// Exit code when there is a problem.
const PROBLEM: u8 = 16;

/// Examines a server.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    server: ServerArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and will not always.
    Warning,
    /// It does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What: `redis`, `disk`...
    name: &'static str,
    state: State,
    /// What was found.
    message: String,
    /// What to do about it.
    hint: Option<String>,
}

impl Check {
    /// It is as it should be.
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, State::Ok, message.into(), None)
    }

    /// It works, and will not always.
    pub fn warning(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, State::Warning, message.into(), Some(hint.into()))
    }

    /// It does not work.
    pub fn problem(name: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, State::Problem, message.into(), Some(hint.into()))
    }

    /// It does not work, for a reason that may know what to do.
    pub fn failed(name: &'static str, error: &anyhow::Error) -> Self {
        let hint = error.downcast_ref::<Exit>().and_then(Exit::hint).map(str::to_owned);
        Self::new(name, State::Problem, format!("{error:#}"), hint)
    }

    fn new(name: &'static str, state: State, message: String, hint: Option<String>) -> Self {
        Self {
            name,
            state,
            message,
            hint,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "PROBLEM",
        };
        let message = self.message.trim_end().replace('\n', "\n                     ");
        write!(f, "{state:<8} {:<11} {message}", self.name)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n                     -> {}", hint.trim_end())?;
        }
        Ok(())
    }
}

/// What was found of a server.
#[derive(Debug, Serialize)]
struct Findings {
    server: String,
    state: State,
    checks: Vec<Check>,
}

impl Doctor {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let checks = examine(&directory);
        let state = checks.iter().map(|check| check.state).max().unwrap_or(State::Ok);
        if self.json {
            let findings = Findings {
                server: directory.name(),
                state,
                checks,
            };
            println!("{}", serde_json::to_string_pretty(&findings)?);
        } else {
            for check in &checks {
                println!("{check}");
            }
            let count = |state: State| checks.iter().filter(|check| check.state == state).count();
            println!("{} problems, {} warnings", count(State::Problem), count(State::Warning));
        }
        Ok(if state == State::Problem { PROBLEM } else { 0 })
    }
}

fn examine(directory: &Directory) -> Vec<Check> {
    let mut checks = files::check(directory);
    checks.extend(system::check(directory));
    let config = match Config::read(&directory.config()) {
        Ok(config) => {
            let path = directory.config();
            checks.push(Check::ok("settings", format!("`{}` is right", path.display())));
            config
        }
        // nothing that depends on them can be looked at
        Err(error) => {
            let mut check = Check::failed("settings", &error);
            check.hint = Some("correct that line; docs/configuration.md lists all settings".to_owned());
            checks.push(check);
            return checks;
        }
    };
    let status = match directory.running() {
        None => None,
        Some(pid) => match ask(directory, &Request::Status) {
            Ok(Response::Status(status)) => Some(status),
            Ok(other) => {
                checks.push(Check::failed("server", &crate::cli::control::unexpected(&other)));
                None
            }
            Err(error) => {
                checks.push(Check::problem(
                    "server",
                    format!("it runs (pid {pid}) and does not answer: {error:#}"),
                    format!("see {}; stop it with `busbar stop --now`", directory.log().display()),
                ));
                None
            }
        },
    };
    let status: Option<&Status> = status.as_deref();
    checks.extend(parts::server(directory, status));
    checks.extend(parts::address(directory, &config, status));
    checks.extend(parts::redis(&config, status));
    checks.extend(parts::odb(directory, &config));
    checks.extend(python::check(directory, &config));
    checks
}
