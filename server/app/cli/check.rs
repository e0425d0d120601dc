//! `busbar check`: what is in a service file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use busbar_connectors::pickup::Watcher;
use busbar_model::service::ServiceInfo;
use busbar_model::sio::{Declaration, Element};
use busbar_model::{Error, Kind};
use busbar_python::{Host, HostConfig};
use busbar_runtime::handler::{BoxFuture, DeployError, Deployment, Source};
use busbar_runtime::{Handler, HubPort, HubRequest};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use crate::cli::Exit;
use crate::cli::run::{absolute, import_beside, venv};
use crate::config::Config;
use crate::directory::Directory;
use crate::hub::read_sources;
use crate::{logging, package};

/// Exit code when a file cannot be deployed.
const CANNOT_BE_DEPLOYED: i32 = 15;

/// Checks service files.
#[derive(Debug, Args)]
pub struct Check {
    /// Service files, and directories whose service files are meant; they are imported together, so one may import another.
    #[arg(required_unless_present = "server", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// All files in the pickup directory of this server, with its virtual environment and settings.
    #[arg(long, value_name = "SERVER", conflicts_with = "files")]
    server: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is in a file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    /// Why it cannot be deployed.
    error: Option<Broken>,
    services: Vec<ServiceInfo>,
    /// What is old in it.
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Broken {
    message: String,
    traceback: String,
}

#[derive(Debug, Serialize)]
struct Finding {
    line: usize,
    problem: String,
}

impl Check {
    /// Runs the command: exit code [`CANNOT_BE_DEPLOYED`] if a file is broken.
    pub fn run(self) -> anyhow::Result<u8> {
        let mut config = HostConfig {
            server_name: "check".to_owned(),
            ..HostConfig::default()
        };
        let sources = match &self.server {
            None => {
                let (directories, files): (Vec<_>, Vec<_>) = self.files.iter().cloned().partition(|path| path.is_dir());
                let files = absolute(&files)?;
                import_beside(&files);
                logging::start("check", "warn")?;
                config.package_dir = package::unpack(&package::cache()?)?;
                config.venv = venv();
                let mut sources = read_sources(&files, None);
                for directory in &directories {
                    let found = in_directory(directory)?;
                    if found.is_empty() {
                        let message = format!("there is no service file in `{}`", directory.display());
                        return Err(Exit::new(2, message).into());
                    }
                    sources.extend(found);
                }
                sources
            }
            Some(server) => {
                logging::start("check", "warn")?;
                let directory = Directory::open(server)?;
                let settings = Config::read(&directory.config())?;
                config.directory = directory.path().to_owned();
                // beside what a server has unpacked for itself, be it of another version
                config.package_dir = package::unpack(&package::cache()?)?;
                config.venv = settings.venv(directory.path());
                config.naming = settings.simple_io.naming();
                config.import_secs = settings.hot_deploy.import_secs;
                in_directory(&directory.pickup())?
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        let host = Host::start(config, Arc::new(Nothing)).map_err(Exit::from)?;
        let (infos, failed) = runtime.block_on(import(&host, sources.clone()));
        let files: Vec<Checked> = sources
            .iter()
            .map(|source| checked(&host, source, &infos, &failed))
            .collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&files)?);
        } else {
            files.iter().for_each(print_file);
            print_sum(&files);
            for DeployError {
                module,
                message,
                traceback,
                ..
            } in &failed
            {
                let text = format!("`{module}` cannot be deployed: {message}\n{}", traceback.trim_end());
                eprintln!("error: {}", text.trim_end());
            }
        }
        // the interpreter is not finalised: what the files started may still run
        std::process::exit(if failed.is_empty() { 0 } else { CANNOT_BE_DEPLOYED })
    }
}

fn checked(host: &Host, source: &Source, infos: &[ServiceInfo], failed: &[DeployError]) -> Checked {
    let error = failed.iter().find(|error| error.module == source.module);
    Checked {
        file: source.path.clone(),
        error: error.map(|error| Broken {
            message: error.message.clone(),
            traceback: error.traceback.clone(),
        }),
        services: infos
            .iter()
            .filter(|info| info.module == source.module)
            .cloned()
            .collect(),
        findings: host
            .findings(&source.text)
            .into_iter()
            .map(|(line, problem)| Finding { line, problem })
            .collect(),
    }
}

/// The service files that would be deployed if the directory were a server's.
fn in_directory(directory: &Path) -> anyhow::Result<Vec<Source>> {
    let directory = std::path::absolute(directory).with_context(|| format!("cannot read `{}`", directory.display()))?;
    let (_watcher, files) = Watcher::with_folders(&directory).map_err(Exit::from)?;
    Ok(read_sources(&files, Some(&directory)))
}

/// What there is in several files.
fn print_sum(files: &[Checked]) {
    if files.len() < 2 {
        return;
    }
    let services: usize = files.iter().map(|file| file.services.len()).sum();
    let broken = files.iter().filter(|file| file.error.is_some()).count();
    let findings: usize = files.iter().map(|file| file.findings.len()).sum();
    let old = files.iter().filter(|file| !file.findings.is_empty()).count();
    println!(
        "{} files, {services} service(s); {broken} cannot be deployed; {findings} finding(s) in {old} of them",
        files.len()
    );
}

fn print_file(file: &Checked) {
    println!("{}", file.file);
    if file.error.is_some() {
        // what is old in the file, listed below, may well be why
        println!("  cannot be deployed: see the error at the end");
    } else if file.services.is_empty() {
        println!("  no services; a module that others can import");
    }
    file.services.iter().for_each(print_service);
    for Finding { line, problem } in &file.findings {
        println!("  line {line}: {problem}");
    }
}

/// Imports the files together; those that cannot be imported are left out, so that the others are seen as well.
async fn import(host: &Host, mut sources: Vec<Source>) -> (Vec<ServiceInfo>, Vec<DeployError>) {
    let mut failed = Vec::new();
    for generation in 1.. {
        let deployment = Deployment {
            generation,
            sources: sources.clone(),
            builtin: Vec::new(),
            removed: Vec::new(),
            again: false,
        };
        match host.prepare(Arc::new(deployment)).await {
            Ok(infos) => return (infos, failed),
            Err(error) => {
                let broken = sources.iter().position(|source| source.module == error.module);
                failed.push(error);
                match broken {
                    Some(position) => drop(sources.remove(position)),
                    // not about one of them: without it there is nothing to show
                    None => break,
                }
            }
        }
    }
    (Vec::new(), failed)
}

fn print_service(info: &ServiceInfo) {
    println!("  {}  ({})", info.name, info.impl_name);
    if !info.summary.is_empty() {
        println!("    {}", info.summary);
    }
    if !info.http_methods.is_empty() {
        println!("    methods: {}", info.http_methods.join(", "));
    }
    if let Some(Declaration {
        input,
        output,
        response_elem,
        output_repeated,
        ..
    }) = &info.sio
    {
        if let Some(input) = input {
            println!("    input:   {}", elements(input));
        }
        if let Some(output) = output {
            let repeated = if *output_repeated { ", repeated" } else { "" };
            let wrapper = response_elem
                .as_deref()
                .map_or_else(|| "no wrapper".to_owned(), |name| format!("in `{name}`"));
            println!("    output:  {} ({wrapper}{repeated})", elements(output));
        }
    }
}

fn elements(elements: &[Element]) -> String {
    let show = |element: &Element| {
        let optional = if element.required { "" } else { "-" };
        let kind = serde_json::to_value(element.kind)
            .ok()
            .and_then(|kind| kind.as_str().map(str::to_owned))
            .unwrap_or_default();
        format!("{optional}{}: {kind}", element.name)
    };
    elements.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// A hub without connectors: nothing is called here.
struct Nothing;

impl HubPort for Nothing {
    fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>> {
        let error = Error::new(
            Kind::NotFound,
            format!(
                "there is no {} `{}` while files are checked",
                request.kind, request.name
            ),
        );
        Box::pin(std::future::ready(Err(error)))
    }
}
