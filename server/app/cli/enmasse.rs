//! `busbar enmasse`.

use std::path::PathBuf;

use anyhow::Context;
use busbar_admin::control::{Request, Response};
use busbar_admin::enmasse::{Document, ExportOptions, Format, ImportOptions, ReadOptions};
use clap::{ArgGroup, Args, ValueEnum};

use crate::cli::control::{ask, unexpected};
use crate::cli::{Exit, ServerArgument};
use crate::directory::Directory;

/// Imports, exports and compares the configured objects.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("action").required(true).args(["import", "export", "plan"]))]
pub struct Enmasse {
    #[command(flatten)]
    server: ServerArgument,
    /// Make the objects of the input file, all of them or nothing.
    #[arg(long, requires = "input")]
    import: bool,
    /// Write the objects down.
    #[arg(long)]
    export: bool,
    /// Show what an import would do, and do nothing.
    #[arg(long, requires = "input")]
    plan: bool,
    /// YAML or JSON file to read.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// File to write; default: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With --import: change objects that are there already.
    #[arg(long, alias = "replace-odb-objects")]
    replace: bool,
    /// With --import and --plan: go on without included files that are not there.
    #[arg(long)]
    ignore_missing_includes: bool,
    /// With --import and --plan: file with NAME=value lines for `Zato_Enmasse_Env` references.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// With --export: only these keys (`channel_rest`, `security`...).
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    include_type: Vec<String>,
    /// With --export: only objects whose name contains this.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    include_name: Vec<String>,
    /// With --export: write passwords and keys out.
    #[arg(long)]
    with_secrets: bool,
    /// With --export: what to write; with --plan: how to show it.
    #[arg(long, value_enum)]
    format: Option<OutputFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Yaml,
    Json,
}

impl Enmasse {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        if self.export {
            return self.run_export(&directory);
        }
        let document = self.read()?;
        if self.plan {
            let plan = match ask(&directory, &Request::EnmassePlan { document })? {
                Response::Planned(plan) => plan,
                other => return Err(unexpected(&other)),
            };
            if self.format == Some(OutputFormat::Json) {
                println!("{}", serde_json::to_string_pretty(&plan)?);
            } else {
                print!("{plan}");
            }
            return Ok(0);
        }
        let options = ImportOptions { replace: self.replace };
        let who = std::env::var("USER").unwrap_or_default();
        match ask(&directory, &Request::EnmasseImport { document, options, who })? {
            Response::Imported(applied) => print!("{applied}"),
            other => return Err(unexpected(&other)),
        }
        Ok(0)
    }

    fn read(&self) -> anyhow::Result<Document> {
        let input = self
            .input
            .as_ref()
            .ok_or_else(|| Exit::new(12, "no input file was named: use --input FILE"))?;
        let mut options = ReadOptions::from_env();
        options.ignore_missing_includes = self.ignore_missing_includes;
        if let Some(path) = &self.env_file {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Exit::new(2, format!("cannot read `{shown}`: {error}")))?;
            options
                .add_env_file(&text)
                .map_err(|line| Exit::new(15, format!("line {line} of `{shown}` is not NAME=value")))?;
        }
        if !input.is_file() {
            return Err(Exit::new(2, format!("there is no file `{}`", input.display())).into());
        }
        Document::read(input, &options).map_err(|problems| Exit::new(15, problems.to_string()).into())
    }

    fn run_export(&self, directory: &Directory) -> anyhow::Result<u8> {
        let options = ExportOptions {
            format: if self.format == Some(OutputFormat::Json) {
                Format::Json
            } else {
                Format::Yaml
            },
            keys: self.include_type.clone(),
            names: self.include_name.clone(),
            with_secrets: self.with_secrets,
        };
        let text = match ask(directory, &Request::EnmasseExport { options })? {
            Response::Exported { text } => text,
            other => return Err(unexpected(&other)),
        };
        match &self.output {
            Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?,
            None => print!("{text}"),
        }
        Ok(0)
    }
}
