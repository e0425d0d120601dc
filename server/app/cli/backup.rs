//! `busbar backup` and `busbar restore`: the whole environment in one encrypted file.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use busbar_store::Store;
use clap::Args;

use crate::cli::{Exit, ServerArgument};
use crate::config::Config;
use crate::directory::Directory;
use crate::odb;

/// Holds the passphrase when no file does.
const PASSPHRASE_VARIABLE: &str = "BUSBAR_PASSPHRASE";

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    server: ServerArgument,
    /// The file to write; one that is there is replaced.
    file: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    server: ServerArgument,
    /// The file to read.
    file: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Replace everything that the server's database holds, its history included.
    #[arg(long)]
    force: bool,
}

/// What the file is encrypted with.
#[derive(Debug, Args)]
struct Passphrase {
    /// File whose first line is the passphrase; `-` is standard input. Default: the environment variable BUSBAR_PASSPHRASE.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    fn read(&self) -> anyhow::Result<String> {
        let text = match &self.passphrase_file {
            Some(path) if path == Path::new("-") => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .context("cannot read the passphrase")?;
                text
            }
            Some(path) => fs::read_to_string(path)
                .map_err(|error| Exit::new(2, format!("cannot read `{}`: {error}", path.display())))?,
            None => std::env::var(PASSPHRASE_VARIABLE).unwrap_or_default(),
        };
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(line.to_owned()),
            _ => Err(Exit::new(15, "there is no passphrase for the file")
                .with_hint(format!(
                    "set {PASSPHRASE_VARIABLE}, or name a file that holds it with --passphrase-file"
                ))
                .into()),
        }
    }
}

impl Backup {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let config = Config::read(&directory.config())?;
        let passphrase = self.passphrase.read()?;
        let running = directory.running().is_some();
        let _stopped = (!running).then(|| directory.lock_pid_file()).transpose()?;
        let backup = odb::block_on(async {
            if running {
                let schema = Store::schema(&odb::location(&directory, &config)?).await?;
                if schema.version != schema.newest {
                    let message = "the server that runs is of an older version of busbar than this command";
                    return Err(busbar_model::Error::new(busbar_model::Kind::Conflict, message)
                        .with_hint("make the backup with that version, or stop the server first"));
                }
            }
            let store = odb::open(&directory, &config).await?;
            let backup = store.backup().await;
            store.close().await;
            backup
        })?;
        let sealed = backup.seal(&passphrase).map_err(Exit::from)?;
        write(&self.file, &sealed).map_err(|error| {
            Exit::new(16, format!("cannot write `{}`: {error}", self.file.display()))
                .with_hint("the directory must be there, and let you write")
        })?;
        println!(
            "{} object(s) and {} module(s) of revision {} are in {}",
            backup.records.len(),
            backup.modules(),
            backup.revision,
            self.file.display()
        );
        Ok(0)
    }
}

impl Restore {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let config = Config::read(&directory.config())?;
        let file = fs::read(&self.file)
            .map_err(|error| Exit::new(2, format!("cannot read `{}`: {error}", self.file.display())))?;
        let passphrase = self.passphrase.read()?;
        let _stopped = directory.lock_pid_file()?;
        let backup = busbar_store::Backup::open(&file, &passphrase).map_err(Exit::from)?;
        odb::block_on(async {
            let store = odb::open(&directory, &config).await?;
            let restored = store.restore(&backup, self.force, "restore").await;
            store.close().await;
            restored
        })?;
        println!(
            "{} object(s) and {} module(s) of {} are restored",
            backup.records.len(),
            backup.modules(),
            backup.made_at
        );
        Ok(0)
    }
}

/// Writes a file for its owner alone; whoever looks sees the old one or all of the new one.
fn write(path: &Path, data: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = || -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)?;
        file.write_all(data)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    written().inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })
}
