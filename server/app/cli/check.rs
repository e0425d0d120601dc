//! `busbar check`: what is in a service file.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use busbar_model::service::ServiceInfo;
use busbar_model::sio::{Declaration, Element};
use busbar_model::{Error, Kind};
use busbar_python::{Host, HostConfig};
use busbar_runtime::handler::{BoxFuture, DeployError, Deployment, Source};
use busbar_runtime::{Handler, HubPort, HubRequest};
use bytes::Bytes;
use clap::Args;

use crate::cli::Exit;
use crate::cli::run::{absolute, import_beside, venv};
use crate::hub::read_sources;
use crate::{logging, package};

/// Exit code when a file cannot be deployed.
const CANNOT_BE_DEPLOYED: i32 = 15;

/// Checks service files.
#[derive(Debug, Args)]
pub struct Check {
    /// Service files; they are imported together, so one may import another.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Check {
    /// Runs the command: exit code [`CANNOT_BE_DEPLOYED`] if a file is broken.
    pub fn run(self) -> anyhow::Result<u8> {
        let files = absolute(&self.files)?;
        import_beside(&files);
        logging::start("check", "warn")?;
        let config = HostConfig {
            server_name: "check".to_owned(),
            package_dir: package::unpack(&package::cache()?)?,
            venv: venv(),
            ..HostConfig::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        let host = Host::start(config, Arc::new(Nothing)).map_err(Exit::from)?;
        let (infos, failed) = runtime.block_on(import(&host, read_sources(&files, None)));
        for file in &files {
            let module = file.file_stem().unwrap_or_default().to_string_lossy();
            println!("{}", file.display());
            let mut services = infos.iter().filter(|info| info.module == module).peekable();
            if failed.iter().any(|error| error.module == module) {
                // what is old in the file, listed below, may well be why
                println!("  cannot be deployed: see the error at the end");
            } else if services.peek().is_none() {
                println!("  no services; a module that others can import");
            }
            for info in services {
                print_service(info);
            }
            let text = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            for (line, problem) in host.findings(&text) {
                println!("  line {line}: {problem}");
            }
        }
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
        // the interpreter is not finalised: what the files started may still run
        std::process::exit(if failed.is_empty() { 0 } else { CANNOT_BE_DEPLOYED })
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
