//! `busbar enmasse`.
//!
//! * `arguments` - what can be typed, today's words and Zato's
//! * `report` - what is wrong, as a table
//! * `wait` - for the server, and for services that are still to be deployed

mod arguments;
mod report;
mod wait;

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use busbar_admin::control::{Failure, Request, Response};
use busbar_admin::enmasse::{Document, ExportOptions, Format, ImportOptions, Only, Plan, Prune, ReadOptions};
use busbar_admin::{Code, Problem, Problems};

use crate::cli::Exit;
use crate::cli::agree::agree;
use crate::cli::control::{try_ask, unexpected};
use crate::cli::enmasse::arguments::{Action, OutputFormat};
use crate::directory::Directory;

pub use arguments::Enmasse;

/// Exit code of a comparison that found a difference; nothing else ends with it.
const DIFFERENT: u8 = 1;

impl Enmasse {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let action = self.action()?;
        let directory = Directory::open(&self.server.path)?;
        for line in self.notes() {
            eprintln!("busbar: {line}");
        }
        match action {
            Action::Export { local, stored } => self.run_export(&directory, local, stored),
            Action::Plan => self.run_plan(&directory),
            Action::Check => self.run_check(&directory),
            Action::Import => self.run_import(&directory),
        }
    }

    fn run_plan(&self, directory: &Directory) -> anyhow::Result<u8> {
        let document = self.read()?;
        let plan = self.ask_plan(directory, &document)?;
        if self.is_json() {
            println!("{}", serde_json::to_string_pretty(&plan)?);
        } else {
            print!("{plan}");
            if !plan.delete.is_empty() {
                println!("import exactly this with --confirm {}", plan.id);
            }
        }
        Ok(self.code_of(&plan))
    }

    fn code_of(&self, plan: &Plan) -> u8 {
        if self.detailed_exitcode && !plan.is_empty() {
            DIFFERENT
        } else {
            0
        }
    }

    fn run_check(&self, directory: &Directory) -> anyhow::Result<u8> {
        let document = self.read()?;
        let plan = self.ask_plan(directory, &document)?;
        if self.is_json() {
            println!("{}", serde_json::to_string_pretty(&plan)?);
        } else if plan.is_empty() {
            println!("as the file says: {} objects", plan.unchanged.len());
        } else {
            print!("{plan}");
        }
        Ok(if plan.is_empty() { 0 } else { DIFFERENT })
    }

    fn run_import(&self, directory: &Directory) -> anyhow::Result<u8> {
        let document = self.read()?;
        self.wait_for_server(directory)?;
        self.wait_for_services(directory, &document)?;
        let mut options = self.import_options();
        if options.prune != Prune::No && options.confirm.is_none() {
            options.confirm = self.agree(directory, &document)?;
        }
        let request = Request::EnmasseImport { document, options };
        match self.ask(directory, &request)? {
            Response::Imported(applied) if self.is_json() => println!("{}", serde_json::to_string_pretty(&applied)?),
            Response::Imported(applied) => print!("{applied}"),
            other => return Err(unexpected(&other)),
        }
        Ok(0)
    }

    /// Shows what would be deleted and asks. Gives back the plan that was agreed to; `None`: it deletes nothing.
    fn agree(&self, directory: &Directory, document: &Document) -> anyhow::Result<Option<String>> {
        let plan = self.ask_plan(directory, document)?;
        if plan.delete.is_empty() {
            return Ok(None);
        }
        agree(&plan, plan.delete.len(), &plan.id, self.yes)?;
        Ok(Some(plan.id))
    }

    fn ask_plan(&self, directory: &Directory, document: &Document) -> anyhow::Result<Plan> {
        let request = Request::EnmassePlan {
            document: document.clone(),
            options: self.import_options(),
        };
        match self.ask(directory, &request)? {
            Response::Planned(plan) => Ok(plan),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the server. What is wrong with the file becomes the report.
    fn ask(&self, directory: &Directory, request: &Request) -> anyhow::Result<Response> {
        match try_ask(directory, request)? {
            Response::Failed(failure) => Err(self.failed(failure)),
            response => Ok(response),
        }
    }

    fn failed(&self, failure: Failure) -> anyhow::Error {
        let problems = if failure.problems.is_empty() {
            Problems::from(Problem::new(Code::E13, failure.message))
        } else {
            Problems(failure.problems)
        };
        let mut exit = self.refused(&problems, failure.exit_code);
        if let Some(hint) = failure.hint {
            exit = exit.with_hint(hint);
        }
        exit.into()
    }

    fn refused(&self, problems: &Problems, code: u8) -> Exit {
        if self.is_json() {
            println!("{:#}", serde_json::json!({"problems": problems}));
        }
        Exit::new(code, report::table(problems, &self.widths()))
    }

    fn import_options(&self) -> ImportOptions {
        let prune = match (self.prune, self.prune_all) {
            (_, true) => Prune::All,
            (true, false) => Prune::Mentioned,
            (false, false) => Prune::No,
        };
        ImportOptions {
            replace: self.replace,
            prune,
            confirm: self.confirm.clone(),
            ignore_missing_defs: self.ignore_missing_defs,
            only: self.only(),
        }
    }

    fn only(&self) -> Only {
        Only {
            keys: self.include_type.clone(),
            names: self.include_name.clone(),
        }
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
        Document::read(input, &options).map_err(|problems| self.refused(&problems, 15).into())
    }

    fn run_export(&self, directory: &Directory, local: bool, stored: bool) -> anyhow::Result<u8> {
        let format = match self.format {
            Some(OutputFormat::Json) => Format::Json,
            Some(OutputFormat::Yaml) => Format::Yaml,
            // 2.0 knew nothing else
            None if self.is_in_words_of_2_0() || self.json => Format::Json,
            None => Format::Yaml,
        };
        let options = ExportOptions {
            format,
            only: self.only(),
            with_secrets: self.with_secrets,
            local: if local { Some(self.read()?) } else { None },
            without_stored: !stored,
        };
        let text = match self.ask(directory, &Request::EnmasseExport { options })? {
            Response::Exported { text } => text,
            other => return Err(unexpected(&other)),
        };
        let output = match &self.output {
            None if self.is_in_words_of_2_0() => Some(default_output(format)),
            output => output.clone(),
        };
        match &output {
            Some(path) => {
                std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
                if self.output.is_none() {
                    println!("{}", path.display());
                }
            }
            None => print!("{text}"),
        }
        Ok(0)
    }
}

/// What 2.0 calls an export that nobody named (operations.md 6.1).
fn default_output(format: Format) -> PathBuf {
    let ending = match format {
        Format::Json => "json",
        Format::Yaml => "yaml",
    };
    PathBuf::from(format!("zato-export-{}.{ending}", local_time(SystemTime::now())))
}

/// `2024-01-31T13_14_15_123456`, in the time zone of this machine.
fn local_time(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // SAFETY: all zeroes is a value of this plain structure, and both pointers are to live values
    let time = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        let seconds = since.as_secs() as libc::time_t;
        libc::localtime_r(&raw const seconds, &raw mut time);
        time
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}_{:02}_{:02}_{:06}",
        time.tm_year + 1900,
        time.tm_mon + 1,
        time.tm_mday,
        time.tm_hour,
        time.tm_min,
        time.tm_sec,
        since.subsec_micros()
    )
}
