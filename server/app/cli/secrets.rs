//! `busbar secrets`: the key of the secrets in the server's database.

use busbar_admin::control::{Request, Response};
use busbar_store::Rotated;
use clap::{Args, Subcommand};

use crate::cli::ServerArgument;
use crate::cli::control::{ask, unexpected};
use crate::config::Config;
use crate::directory::Directory;
use crate::odb;

/// Changes the key.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Encrypts every stored password and key with a new key, all of them or none. The server may run.
    #[command(after_help = "Example:\n  busbar secrets rotate ~/env/server1")]
    Rotate(Rotate),
    /// Prints a new key, for the environment variable BUSBAR_ODB_KEY.
    #[command(after_help = "Example:\n  export BUSBAR_ODB_KEY=$(busbar secrets new-key)")]
    NewKey,
}

/// Arguments of `secrets rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    #[command(flatten)]
    server: ServerArgument,
}

impl Secrets {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Rotate(arguments) => rotate(&arguments),
            Self::NewKey => {
                println!("{}", busbar_store::new_key());
                Ok(0)
            }
        }
    }
}

fn rotate(arguments: &Rotate) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let Rotated {
        key,
        old_key,
        secrets,
        warning,
    } = if directory.running().is_some() {
        match ask(&directory, &Request::SecretsRotate)? {
            Response::SecretsRotated(rotated) => rotated,
            other => return Err(unexpected(&other)),
        }
    } else {
        let config = Config::read(&directory.config())?;
        let _stopped = directory.lock_pid_file()?;
        odb::block_on(async {
            let store = odb::open(&directory, &config).await?;
            let rotated = store.rotate_secrets().await;
            store.close().await;
            rotated
        })?
    };
    println!(
        "{secrets} secret(s), those of the history included, are encrypted with key {key}; before it was {old_key}"
    );
    if let Some(warning) = warning {
        println!("the old key is not needed any more and could not be removed: {warning}");
    }
    println!("Copy the key to the other servers of this ODB, and keep a copy apart from backups.");
    Ok(0)
}
