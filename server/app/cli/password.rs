//! `busbar password`: passwords of security definitions.

use std::io::IsTerminal;

use anyhow::Context;
use busbar_admin::accounts::{self, Secret};
use busbar_admin::control::{Request, Response};
use clap::{Args, Subcommand};

use crate::cli::control::{ask, unexpected};
use crate::cli::terminal::unseen_line;
use crate::cli::{Exit, ServerArgument};
use crate::config::Config;
use crate::directory::Directory;
use crate::{control, odb, user};

/// Changes passwords.
#[derive(Debug, Subcommand)]
pub enum Password {
    /// Gives a security definition another password: the one that is typed, or the first line of standard input. The server may run.
    #[command(
        after_help = "Example:\n  busbar password set ~/env/server1 admin.invoke --generate\n  busbar password set ~/env/server1 shop     # asks for it"
    )]
    Set(Set),
}

/// Arguments of `password set`.
#[derive(Debug, Args)]
pub struct Set {
    #[command(flatten)]
    server: ServerArgument,
    /// The security definition: `pubapi`, `admin.invoke`, or one of your own.
    name: String,
    /// Make a random password, and print it.
    #[arg(long)]
    generate: bool,
}

impl Password {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let Self::Set(arguments) = self;
        let directory = Directory::open(&arguments.server.path)?;
        let password = if arguments.generate {
            odb::random_password()
        } else {
            read()?
        };
        set(&directory, &arguments.name, &Secret(password.clone()))?;
        if arguments.generate {
            println!("User of `{}`: the password is now `{password}`.", arguments.name);
        } else {
            println!("`{}` has another password.", arguments.name);
        }
        Ok(0)
    }
}

fn set(directory: &Directory, name: &str, password: &Secret) -> anyhow::Result<()> {
    if directory.running().is_some() {
        let request = Request::PasswordSet {
            name: name.to_owned(),
            password: password.clone(),
        };
        return match ask(directory, &request)? {
            Response::PasswordSet => Ok(()),
            other => Err(unexpected(&other)),
        };
    }
    let config = Config::read(&directory.config())?;
    let _stopped = directory.lock_pid_file()?;
    let who = user::by(control::DOOR, user::current());
    odb::block_on(async {
        let store = odb::open(directory, &config).await?;
        let snapshot = store.snapshot().await?;
        let changed = match accounts::set_password(&snapshot, name, password) {
            Ok(set) => store.apply_at(snapshot.revision, &set, &who).await.map(|_| ()),
            Err(error) => Err(error),
        };
        store.close().await;
        changed
    })
}

/// The password that somebody types, twice and unseen, or that stands in a file.
fn read() -> anyhow::Result<String> {
    let ask = |prompt: &str| -> anyhow::Result<String> {
        let line = unseen_line(prompt).context("cannot read the password from standard input")?;
        Ok(line.unwrap_or_default())
    };
    let first = ask("New password: ")?;
    if !std::io::stdin().is_terminal() || ask("The same again: ")? == first {
        Ok(first)
    } else {
        Err(Exit::new(15, "the two passwords are not the same").into())
    }
}
