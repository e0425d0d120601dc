//! `busbar deploy`, also known as `busbar hot-deploy`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use busbar_admin::control::{DeployedFile, DeployedFiles, FailedFile, Payload, Request, Response, SourceFile};
use clap::Args;

use crate::cli::Exit;
use crate::cli::control::{ask, unexpected};
use crate::directory::Directory;

/// Exit code when a file cannot be deployed.
const CANNOT_BE_DEPLOYED: u8 = 15;

/// Deploys service files.
#[derive(Debug, Args)]
pub struct Deploy {
    /// Directory of the server, and the files; the server may be left out when the first file lies in a pickup directory.
    #[arg(value_name = "[SERVER] FILE...", num_args = 1.., required = true)]
    paths: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Deploy {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let (server, files) = match &self.paths[..] {
            [] => return Err(Exit::new(12, "no file was named").into()),
            [first, files @ ..] if first.is_dir() => (first.clone(), files),
            // two paths of which the first is no file: it was meant to be the server
            [first, _, ..] if !first.is_file() => {
                return Err(Exit::new(2, format!("there is neither a server nor a file `{}`", first.display())).into());
            }
            files => (server_of(&files[0])?, files),
        };
        if files.is_empty() {
            return Err(Exit::new(12, "no file was named").into());
        }
        let directory = Directory::open(&server)?;
        let files = files
            .iter()
            .map(|file| read(&directory, file))
            .collect::<anyhow::Result<_>>()?;
        let result = match ask(&directory, &Request::Deploy { files })? {
            Response::DeployedFiles(result) => result,
            other => return Err(unexpected(&other)),
        };
        let code = if result.failed.is_empty() {
            0
        } else {
            CANNOT_BE_DEPLOYED
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&result)?);
            return Ok(code);
        }
        print(&result);
        Ok(code)
    }
}

/// A file as the server takes it. One that lies in the pickup directory already stays where it is.
fn read(directory: &Directory, file: &Path) -> anyhow::Result<SourceFile> {
    let text =
        std::fs::read(file).map_err(|error| Exit::new(2, format!("cannot read `{}`: {error}", file.display())))?;
    let lies_at = std::fs::canonicalize(file).ok();
    let file_name = lies_at
        .as_deref()
        .and_then(|path| path.strip_prefix(directory.pickup()).ok())
        .or_else(|| file.file_name().map(Path::new))
        .and_then(Path::to_str)
        .context("the file has no usable name")?
        .to_owned();
    Ok(SourceFile {
        file_name,
        text: Payload(text),
    })
}

fn print(result: &DeployedFiles) {
    for DeployedFile {
        file_name,
        services,
        is_unchanged,
    } in &result.deployed
    {
        let services = match services.len() {
            0 => "no services".to_owned(),
            _ => services.join(", "),
        };
        match result.generation {
            Some(generation) if !is_unchanged => println!("{file_name}: generation {generation} serves {services}"),
            _ => println!("{file_name}: is deployed like this already, and serves {services}"),
        }
    }
    for FailedFile {
        file_name,
        message,
        traceback,
    } in &result.failed
    {
        let text = format!("busbar: {file_name}: {message}\n{}", traceback.trim_end());
        eprintln!("{}", text.trim_end());
    }
    if !result.failed.is_empty() {
        eprintln!("        what ran before still runs; correct the file and deploy it again");
    }
}

/// The server in whose pickup directory a file lies.
fn server_of(file: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::fs::canonicalize(file)
        .map_err(|error| Exit::new(2, format!("cannot read `{}`: {error}", file.display())))?;
    let server = absolute
        .ancestors()
        .skip(1)
        .find(|directory| directory.join("config/server.toml").is_file());
    server.map(PathBuf::from).ok_or_else(|| {
        Exit::new(14, format!("`{}` does not lie in a server's directory", file.display()))
            .with_hint("name the server: busbar deploy DIR/server1 FILE")
            .into()
    })
}
