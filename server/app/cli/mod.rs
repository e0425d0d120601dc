//! The command line: what a user types, and the exit codes that scripts can use.
#![expect(clippy::print_stdout, reason = "commands print what they were asked for")]

mod audit_log;
mod check;
mod control;
mod enmasse;
mod init;
mod odb;
mod queue;
mod run;
mod secrets;
mod server;
mod service;
mod test;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Deploys Python services by copying a file, and runs them behind HTTP, ZeroMQ and more.
#[derive(Debug, Parser)]
#[command(name = "busbar", version, max_term_width = 120, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes an environment with one server in it, DIR/server1.
    #[command(after_help = "Example:\n  busbar quickstart ~/env\n  busbar start ~/env/server1")]
    Quickstart(init::Quickstart),
    /// Starts a server in the background, and returns when it answers.
    #[command(
        after_help = "Example:\n  busbar start ~/env/server1\n  busbar start --fg ~/env/server1     # stays, logs to the terminal"
    )]
    Start(server::Start),
    /// Stops a server: calls in flight are finished first.
    #[command(after_help = "Example:\n  busbar stop ~/env/server1")]
    Stop(server::Stop),
    /// Shows what a server is doing.
    #[command(after_help = "Example:\n  busbar status ~/env/server1\n  busbar status ~/env/server1 --json")]
    Status(server::Status),
    /// Deploys a service file, as copying it into pickup-dir does, and says what came of it.
    #[command(after_help = "Example:\n  busbar hot-deploy ~/env/server1 my_service.py")]
    HotDeploy(service::HotDeploy),
    /// Lists and invokes services.
    #[command(subcommand)]
    Service(service::Service),
    /// Shows the queue of messages for services, and what could not be delivered.
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Imports, exports and compares the configured objects.
    #[command(
        after_help = "Example:\n  busbar enmasse ~/env/server1 --plan --input objects.yaml\n  busbar enmasse ~/env/server1 --import --input objects.yaml\n  busbar enmasse ~/env/server1 --export > objects.yaml"
    )]
    Enmasse(enmasse::Enmasse),
    /// Shows the last messages of a channel, those that it was told to keep.
    #[command(
        after_help = "Example:\n  busbar audit-log ~/env/server1 orders.in\n  busbar audit-log ~/env/server1 orders.in --json"
    )]
    AuditLog(audit_log::AuditLog),
    /// Shows the server's own database, and takes its schema forward and back.
    #[command(subcommand)]
    Odb(odb::Odb),
    /// Changes the key that passwords and keys of objects are encrypted with.
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Runs service files in one process, without an environment, and reloads them when they are saved.
    #[command(
        after_help = "Example:\n  busbar run my_service.py\n  curl localhost:11223/my-service.get-client-details -d '{\"cust_id\": 1}'"
    )]
    Run(run::Run),
    /// Imports service files and says what is in them, without deploying anything.
    #[command(after_help = "Example:\n  busbar check my_service.py")]
    Check(check::Check),
    /// Runs pytest with a server in its process, so that tests can call services: see docs/testing.md.
    #[command(after_help = "Example:\n  busbar test\n  busbar test tests/test_orders.py -k refused -x")]
    Test(test::Test),
    /// A worker process; started by the hub.
    #[command(hide = true)]
    Worker(WorkerArguments),
}

/// A server's directory.
#[derive(Debug, Args)]
pub struct ServerArgument {
    /// Directory of the server, DIR/server1.
    #[arg(value_name = "SERVER")]
    path: PathBuf,
}

#[derive(Debug, Args)]
struct WorkerArguments {
    /// Its number, from 1.
    index: usize,
}

/// Runs the command that was typed.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    if !matches!(
        command,
        Command::Start(_) | Command::Run(_) | Command::Test(_) | Command::Worker(_)
    ) {
        // SAFETY: no other thread runs yet. A command whose reader has had enough (`| head`) ends; a server must not.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    let result = match command {
        Command::Quickstart(command) => command.run(),
        Command::Start(command) => command.run(),
        Command::Stop(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::HotDeploy(command) => command.run(),
        Command::Service(command) => command.run(),
        Command::Queue(command) => command.run(),
        Command::Enmasse(command) => command.run(),
        Command::AuditLog(command) => command.run(),
        Command::Odb(command) => command.run(),
        Command::Secrets(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Worker(arguments) => crate::worker::run(arguments.index),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let exit = error.downcast_ref::<Exit>();
            eprintln!("busbar: {error:#}");
            if let Some(hint) = exit.and_then(Exit::hint) {
                eprintln!("        {hint}");
            }
            ExitCode::from(exit.map_or(16, |exit| exit.code))
        }
    }
}

/// An error of a command with its exit code (operations.md 2): 2 file missing, 3 not a server, 5 directory not empty, 9 already running,
/// 10 not running, 12 no input, 13 conflicting options, 14 no option, 15 invalid input, 16 anything else, 18 failed to start.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Exit {
    /// Ends the command with `code`.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// The way out.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

impl From<busbar_model::Error> for Exit {
    fn from(error: busbar_model::Error) -> Self {
        use busbar_model::Kind;
        let code = match error.kind() {
            Kind::BadRequest | Kind::Config | Kind::Conflict | Kind::Service => 15,
            _ => 16,
        };
        Self {
            code,
            message: error.chain(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
