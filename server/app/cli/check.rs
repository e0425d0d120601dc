//! `busbar check`: what is in a service file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use busbar_model::service::ServiceInfo;
use busbar_model::sio::{Declaration, Element};
use busbar_model::{Error, Kind};
use busbar_python::{Host, HostConfig};
use busbar_runtime::handler::{BoxFuture, DeployError, Deployment};
use busbar_runtime::{Handler, HubPort, HubRequest};
use bytes::Bytes;
use clap::Args;

use crate::cli::Exit;
use crate::cli::run::{absolute, import_beside, venv};
use crate::hub::read_sources;
use crate::{logging, package};

/// Checks service files.
#[derive(Debug, Args)]
pub struct Check {
    /// Service files; they are imported together, so one may import another.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Check {
    /// Runs the command: exit code 15 if a file cannot be deployed.
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
        let deployment = Deployment {
            generation: 1,
            sources: read_sources(&files),
            builtin: Vec::new(),
            removed: Vec::new(),
        };
        let infos = match runtime.block_on(host.prepare(Arc::new(deployment))) {
            Ok(infos) => infos,
            Err(DeployError {
                module,
                message,
                traceback,
            }) => {
                // what is old in the files may well be why
                for file in &files {
                    if let Ok(text) = std::fs::read(file) {
                        print_findings(&host, file, &text);
                    }
                }
                let text = format!("`{module}` cannot be deployed: {message}\n{}", traceback.trim_end());
                return Err(Exit::new(15, text.trim_end().to_owned()).into());
            }
        };
        for file in &files {
            let module = file.file_stem().unwrap_or_default().to_string_lossy();
            println!("{}", file.display());
            let mut services = infos.iter().filter(|info| info.module == module).peekable();
            if services.peek().is_none() {
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
        // the interpreter is not finalised: what the files started may still run
        std::process::exit(0)
    }
}

fn print_findings(host: &Host, file: &Path, text: &[u8]) {
    let findings = host.findings(text);
    if !findings.is_empty() {
        println!("{}", file.display());
    }
    for (line, problem) in findings {
        println!("  line {line}: {problem}");
    }
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
