//! The command line: what a user types, and the exit codes that scripts can use.
#![expect(clippy::print_stdout, reason = "commands print what they were asked for")]

mod agree;
mod audit_log;
mod backup;
mod check;
mod completions;
mod control;
mod deploy;
mod doctor;
mod enmasse;
mod exit;
mod history;
mod info;
mod init;
mod logs;
mod objects;
mod odb;
mod password;
mod queue;
#[cfg(test)]
mod reference;
mod run;
mod secrets;
mod server;
mod service;
mod terminal;
mod test;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;

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
    /// Says what a server is made of: versions, paths, addresses, Python and its packages, Redis, the database. It need not run.
    #[command(after_help = "Example:\n  busbar info ~/env/server1\n  busbar info ~/env/server1 --json")]
    Info(info::Info),
    /// Shows what a server logged: the last entries, or those since a time, and what comes.
    #[command(
        after_help = "Example:\n  busbar logs ~/env/server1 -n 20\n  busbar logs ~/env/server1 --since 10m --level warn\n  busbar logs ~/env/server1 --service my-service.get-client-details --json"
    )]
    Logs(logs::Logs),
    /// Looks for what keeps a server from running well, and says what to do about it.
    #[command(after_help = "Example:\n  busbar doctor ~/env/server1\n  busbar doctor ~/env/server1 --json")]
    Doctor(doctor::Doctor),
    /// Waits until a server answers.
    #[command(
        after_help = "Example:\n  busbar wait ~/env/server1\n  busbar wait --address http://127.0.0.1:11223 --timeout 30"
    )]
    Wait(wait::Wait),
    /// Deploys service files together, as copying them into pickup-dir does, and says what came of it.
    #[command(
        visible_alias = "hot-deploy",
        after_help = "Example:\n  busbar deploy ~/env/server1 my_service.py"
    )]
    Deploy(deploy::Deploy),
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
    /// Shows what was changed, and what objects and service files were before.
    #[command(
        after_help = "Example:\n  busbar history ~/env/server1\n  busbar history ~/env/server1 --type channel-rest --name orders.in\n  busbar history ~/env/server1 --module my_service"
    )]
    History(history::History),
    /// Makes objects and service files again what they were.
    #[command(
        after_help = "Example:\n  busbar rollback ~/env/server1 --revision 12 --plan\n  busbar rollback ~/env/server1 --time 2026-03-01T12:00:00Z\n  busbar rollback ~/env/server1 --type channel-rest --name orders.in --version 1\n  busbar rollback ~/env/server1 --module my_service"
    )]
    Rollback(history::Rollback),
    /// Shows the last messages of a channel, those that it was told to keep.
    #[command(
        after_help = "Example:\n  busbar audit-log ~/env/server1 orders.in\n  busbar audit-log ~/env/server1 orders.in --json"
    )]
    AuditLog(audit_log::AuditLog),
    /// Shows the server's own database, and takes its schema forward and back.
    #[command(subcommand)]
    Odb(odb::Odb),
    /// Changes passwords of security definitions.
    #[command(subcommand)]
    Password(password::Password),
    /// Writes everything that makes a server into one encrypted file: objects with their secrets, and deployed services.
    #[command(
        after_help = "Example:\n  BUSBAR_PASSPHRASE='correct horse battery staple' busbar backup ~/env/server1 server1.backup"
    )]
    Backup(backup::Backup),
    /// Puts what a backup holds into the database of a server that is stopped.
    #[command(after_help = "Example:\n  busbar restore --force ~/env/server1 server1.backup")]
    Restore(backup::Restore),
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
    /// Prints a script that lets a shell complete what is typed.
    #[command(
        after_help = "Example:\n  busbar completions bash > ~/.local/share/bash-completion/completions/busbar\n  busbar completions zsh\n  busbar completions fish"
    )]
    Completions(completions::Completions),
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

/// The whole command line: what is written down here, and the commands of the object types.
fn command() -> clap::Command {
    Cli::command()
        .subcommands(objects::commands())
        .after_long_help(exit::table())
}

/// Runs the command that was typed.
pub fn run() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            quiet_pipes();
            // a closed terminal is nobody to tell
            error.print().ok();
            return ExitCode::from(exit::usage_code(error.kind()));
        }
    };
    let result = match Cli::from_arg_matches(&matches) {
        Ok(cli) => run_command(cli.command),
        // the commands of object types are none of `Command`
        Err(error) => {
            quiet_pipes();
            objects::run(&matches).unwrap_or_else(|| Err(error.into()))
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let exit = error.downcast_ref::<Exit>();
            eprintln!("busbar: {error:#}");
            if let Some(hint) = exit.and_then(Exit::hint) {
                eprintln!("        {hint}");
            }
            ExitCode::from(exit.map_or(16, Exit::code))
        }
    }
}

/// A command whose reader has had enough (`| head`) ends; a server must not.
fn quiet_pipes() {
    // SAFETY: no other thread runs yet
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

fn run_command(command: Command) -> anyhow::Result<u8> {
    if !matches!(
        command,
        Command::Start(_) | Command::Run(_) | Command::Test(_) | Command::Worker(_)
    ) {
        quiet_pipes();
    }
    match command {
        Command::Quickstart(command) => command.run(),
        Command::Start(command) => command.run(),
        Command::Stop(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Info(command) => command.run(),
        Command::Logs(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Wait(command) => command.run(),
        Command::Deploy(command) => command.run(),
        Command::Service(command) => command.run(),
        Command::Queue(command) => command.run(),
        Command::Enmasse(command) => command.run(),
        Command::History(command) => command.run(),
        Command::Rollback(command) => command.run(),
        Command::AuditLog(command) => command.run(),
        Command::Odb(command) => command.run(),
        Command::Password(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Secrets(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Worker(arguments) => crate::worker::run(arguments.index),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::command().debug_assert();
    }
}
