//! `busbar queue`: messages for services, and those that were given up.

use busbar_admin::control::{Request, Response};
use clap::{Args, Subcommand};

use crate::cli::control::{ask, unexpected};
use crate::cli::{Exit, ServerArgument};
use crate::directory::Directory;

/// Shows the queue.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Says how many messages wait, and how many were given up.
    #[command(after_help = "Example:\n  busbar queue status ~/env/server1")]
    Status(Status),
    /// Lists the dead letters: messages that were given up, and why.
    #[command(after_help = "Example:\n  busbar queue dead ~/env/server1\n  busbar queue dead ~/env/server1 --json")]
    Dead(Dead),
    /// Puts dead letters back into the queue, to be run again.
    #[command(
        after_help = "Example:\n  busbar queue replay ~/env/server1 1700000000000-0\n  busbar queue replay ~/env/server1 --all"
    )]
    Replay(Chosen),
    /// Throws dead letters away.
    #[command(
        after_help = "Example:\n  busbar queue forget ~/env/server1 1700000000000-0\n  busbar queue forget ~/env/server1 --all"
    )]
    Forget(Chosen),
}

/// Arguments of `queue status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    server: ServerArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `queue dead`.
#[derive(Debug, Args)]
pub struct Dead {
    #[command(flatten)]
    server: ServerArgument,
    /// How many to list at most, the oldest first.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `queue replay` and `queue forget`.
#[derive(Debug, Args)]
pub struct Chosen {
    #[command(flatten)]
    server: ServerArgument,
    /// Ids of dead letters, as `busbar queue dead` shows them.
    ids: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

impl Chosen {
    fn ids(&self) -> Result<Option<Vec<String>>, Exit> {
        match (self.all, self.ids.is_empty()) {
            (true, _) => Ok(None),
            (false, false) => Ok(Some(self.ids.clone())),
            (false, true) => Err(Exit::new(14, "no dead letter was named").with_hint("name their ids, or use --all")),
        }
    }
}

impl Queue {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Status(arguments) => status(&arguments),
            Self::Dead(arguments) => dead(&arguments),
            Self::Replay(chosen) => {
                let ids = chosen.ids()?;
                change(&chosen, &Request::QueueReplay { ids }, "will be run again")
            }
            Self::Forget(chosen) => {
                let ids = chosen.ids()?;
                change(&chosen, &Request::QueueForget { ids }, "forgotten")
            }
        }
    }
}

fn status(arguments: &Status) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let status = match ask(&directory, &Request::QueueStatus)? {
        Response::Queue(status) => status,
        other => return Err(unexpected(&other)),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        println!(
            "{} waiting, {} of them in the hands of this server, {} dead",
            status.waiting, status.running, status.dead
        );
    }
    Ok(0)
}

fn dead(arguments: &Dead) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let limit = arguments.limit;
    let letters = match ask(&directory, &Request::QueueDead { limit })? {
        Response::DeadLetters(letters) => letters,
        other => return Err(unexpected(&other)),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&letters)?);
        return Ok(0);
    }
    for letter in letters {
        println!("{}  {}  cid {}", letter.id, letter.service, letter.cid);
        println!("    given up after {} deliveries: {}", letter.deliveries, letter.reason);
        println!("    {} bytes: {}", letter.size_bytes, letter.excerpt.escape_debug());
    }
    Ok(0)
}

fn change(chosen: &Chosen, request: &Request, what: &str) -> anyhow::Result<u8> {
    let directory = Directory::open(&chosen.server.path)?;
    match ask(&directory, request)? {
        Response::QueueChanged { count } => {
            println!("{count} dead letter(s) {what}");
            Ok(0)
        }
        other => Err(unexpected(&other)),
    }
}
