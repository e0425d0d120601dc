//! `busbar odb`: the server's own database.

use busbar_store::Store;
use clap::{Args, Subcommand};

use crate::cli::ServerArgument;
use crate::config::Config;
use crate::directory::Directory;
use crate::odb;

/// Looks after the database.
#[derive(Debug, Subcommand)]
pub enum Odb {
    /// Says where it is and how far its schema is.
    #[command(after_help = "Example:\n  busbar odb status ~/env/server1")]
    Status(Status),
    /// Brings its schema up to date, as the start of the server does.
    #[command(after_help = "Example:\n  busbar stop ~/env/server1\n  busbar odb migrate ~/env/server1")]
    Migrate(Migrate),
    /// Takes its schema back, so that an older busbar can use it. No server may use it meanwhile.
    #[command(
        after_help = "Example:\n  busbar stop ~/env/server1\n  busbar odb rollback ~/env/server1          # one step\n  busbar odb rollback ~/env/server1 --to 1"
    )]
    Rollback(Rollback),
}

/// Arguments of `odb status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    server: ServerArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `odb migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    server: ServerArgument,
}

/// Arguments of `odb rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    server: ServerArgument,
    /// Number of the step to go back to; 0 removes the tables with everything in them. Default: the one before the last.
    #[arg(long, value_name = "STEP")]
    to: Option<i64>,
}

impl Odb {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Status(arguments) => status(&arguments),
            Self::Migrate(arguments) => migrate(&arguments),
            Self::Rollback(arguments) => rollback(&arguments),
        }
    }
}

fn status(arguments: &Status) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let config = Config::read(&directory.config())?;
    let schema = odb::block_on(async { Store::schema(&odb::location(&directory, &config)?).await })?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&schema)?);
        return Ok(0);
    }
    println!("{}", schema.location);
    println!("  schema   step {} of {}", schema.version, schema.newest);
    println!("  objects  {}", schema.objects);
    let key = schema.secret_key.as_deref().unwrap_or("none: nothing is encrypted yet");
    println!("  key      {key}");
    Ok(0)
}

fn migrate(arguments: &Migrate) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let config = Config::read(&directory.config())?;
    let _stopped = directory.lock_pid_file()?;
    let schema = odb::block_on(async {
        odb::open(&directory, &config).await?.close().await;
        Store::schema(&odb::location(&directory, &config)?).await
    })?;
    println!("the schema of {} is at step {}", schema.location, schema.version);
    Ok(0)
}

fn rollback(arguments: &Rollback) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let config = Config::read(&directory.config())?;
    let _stopped = directory.lock_pid_file()?;
    let location = odb::location(&directory, &config).map_err(crate::cli::Exit::from)?;
    let done = odb::block_on(Store::rollback(&location, odb::secrets(&directory), arguments.to))?;
    println!(
        "the schema of {location} is at step {}, it was at {}",
        done.to, done.from
    );
    if done.decrypted > 0 {
        println!(
            "{} secret(s) are stored in clear now, which is all that this step knows",
            done.decrypted
        );
    }
    Ok(0)
}
