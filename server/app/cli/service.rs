//! `busbar service`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use busbar_admin::control::{Invoke, Invoked, Payload, Request, Response, ServiceEntry};
use busbar_admin::statistics::{Choice, Order};
use busbar_model::DataFormat;
use clap::{Args, Subcommand};

use crate::cli::audit_log::utc;
use crate::cli::control::{ask, unexpected};
use crate::cli::logs::parse_since;
use crate::cli::{Exit, ServerArgument};
use crate::directory::Directory;

/// Lists and invokes services.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Lists the services that are served, with the generation of their code.
    #[command(after_help = "Example:\n  busbar service list ~/env/server1")]
    List(List),
    /// Invokes a service and prints what it answers; exit code 16 if it fails.
    #[command(
        after_help = "Example:\n  busbar service invoke ~/env/server1 my-service.get-client-details --payload '{\"cust_id\": 123}'"
    )]
    Invoke(InvokeArguments),
    /// Lists calls that took longer than their service's slow_threshold, the newest first.
    #[command(after_help = "Example:\n  busbar service slow ~/env/server1 my-service.get-client-details")]
    Slow(SlowArguments),
    /// Shows which services were called most or are the slowest, on all servers of the ODB.
    #[command(
        after_help = "Example:\n  busbar service stats ~/env/server1\n  busbar service stats ~/env/server1 --since 7d --by mean --top 3"
    )]
    Stats(StatsArguments),
    /// Switches a service on again.
    #[command(after_help = "Example:\n  busbar service enable ~/env/server1 my-service.get-client-details")]
    Enable(SwitchArguments),
    /// Switches a service off: callers get 404, self.invoke raises Inactive. It stays so until it is enabled.
    #[command(after_help = "Example:\n  busbar service disable ~/env/server1 my-service.get-client-details")]
    Disable(SwitchArguments),
}

/// Arguments of `service enable` and `service disable`.
#[derive(Debug, Args)]
pub struct SwitchArguments {
    #[command(flatten)]
    server: ServerArgument,
    /// Name of the service.
    name: String,
}

/// Arguments of `service slow`.
#[derive(Debug, Args)]
pub struct SlowArguments {
    #[command(flatten)]
    server: ServerArgument,
    /// Name of the service; without it, all.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `service stats`.
#[derive(Debug, Args)]
pub struct StatsArguments {
    #[command(flatten)]
    server: ServerArgument,
    /// Name of the service; without it, all.
    name: Option<String>,
    /// From when on: `30s`, `10m`, `2h`, `1d` ago, or a time in UTC like `2026-01-31T12:00`. What was long ago is known by hour or day only.
    #[arg(long, value_name = "WHEN", default_value = "1h", value_parser = parse_since)]
    since: SystemTime,
    /// Before when, likewise. Default: now.
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    until: Option<SystemTime>,
    /// `usage`: those that were called most come first; `mean`: the slowest.
    #[arg(long, value_name = "ORDER", default_value = "usage", value_parser = parse_order)]
    by: Order,
    /// How many services to show at most.
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Print JSON, with the calls of each minute.
    #[arg(long)]
    json: bool,
}

fn parse_order(text: &str) -> Result<Order, String> {
    Order::named(text).ok_or_else(|| format!("`{text}` is no order: use usage or mean"))
}

/// Arguments of `service list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The built-in services too.
    #[arg(long)]
    internal: bool,
}

/// Arguments of `service invoke`.
#[derive(Debug, Args)]
pub struct InvokeArguments {
    #[command(flatten)]
    server: ServerArgument,
    /// Name of the service.
    name: String,
    /// Body of the request.
    #[arg(long, default_value = "")]
    payload: String,
    /// Read the body from a file; `-` stands for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    payload_file: Option<PathBuf>,
    /// How the service reads the body: `json`, `xml`, `csv`, `form`, or nothing for raw bytes.
    #[arg(long, default_value = "json", value_parser = parse_format)]
    data_format: DataFormat,
    /// Headers that the service sees: `name=value;other=value`.
    #[arg(long, default_value = "")]
    headers: String,
    /// Seconds to wait at most.
    #[arg(long, alias = "expiration")]
    timeout: Option<u32>,
    /// Print JSON: the cid, the status, the headers and the body of the answer.
    #[arg(long)]
    json: bool,
}

fn parse_format(text: &str) -> Result<DataFormat, String> {
    match text {
        "json" => Ok(DataFormat::Json),
        "xml" => Ok(DataFormat::Xml),
        "csv" => Ok(DataFormat::Csv),
        "form" => Ok(DataFormat::Post),
        "" | "raw" => Ok(DataFormat::None),
        other => Err(format!(
            "`{other}` is not a data format: use json, xml, csv, form or raw"
        )),
    }
}

impl Service {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::List(arguments) => list(&arguments),
            Self::Invoke(arguments) => invoke(arguments),
            Self::Slow(arguments) => slow(arguments),
            Self::Stats(arguments) => stats(arguments),
            Self::Enable(arguments) => switch(arguments, true),
            Self::Disable(arguments) => switch(arguments, false),
        }
    }
}

fn list(arguments: &List) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let services = match ask(
        &directory,
        &Request::ServiceList {
            internal: arguments.internal,
        },
    )? {
        Response::Services(services) => services,
        other => return Err(unexpected(&other)),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&services)?);
        return Ok(0);
    }
    print!("{}", ServiceEntry::table(&services));
    Ok(0)
}

fn slow(SlowArguments { server, name, json }: SlowArguments) -> anyhow::Result<u8> {
    let directory = Directory::open(&server.path)?;
    let calls = match ask(&directory, &Request::ServiceSlow { name })? {
        Response::SlowCalls(calls) => calls,
        other => return Err(unexpected(&other)),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&calls)?);
        return Ok(0);
    }
    for call in &calls {
        println!(
            "{} {} ms (slow from {} ms) {} cid={} {}",
            utc(call.at_ms),
            call.duration_ms,
            call.threshold_ms,
            call.service,
            call.cid,
            call.channel
        );
    }
    Ok(0)
}

fn stats(arguments: StatsArguments) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let secs = |moment: SystemTime| moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let start = secs(arguments.since);
    // what is called in this second is told too
    let stop = arguments.until.map_or_else(|| secs(SystemTime::now()) + 1, secs);
    if stop <= start {
        return Err(Exit::new(15, "there is no time between `--since` and `--until`").into());
    }
    let request = Request::ServiceStats {
        start,
        stop,
        choice: Choice {
            top: arguments.top.into(),
            order: arguments.by,
            service: arguments.name,
        },
    };
    let summary = match ask(&directory, &request)? {
        Response::Stats(summary) => summary,
        other => return Err(unexpected(&other)),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{summary}");
    }
    Ok(0)
}

fn invoke(arguments: InvokeArguments) -> anyhow::Result<u8> {
    let directory = Directory::open(&arguments.server.path)?;
    let headers = arguments
        .headers
        .split(';')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| Exit::new(15, format!("`{pair}` is not a header: use name=value")))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect::<Result<_, Exit>>()?;
    let request = Request::ServiceInvoke(Invoke {
        name: arguments.name,
        payload: Payload(match &arguments.payload_file {
            None => arguments.payload.into_bytes(),
            Some(file) => read_payload(file)?,
        }),
        data_format: arguments.data_format,
        headers,
        timeout_secs: arguments.timeout,
        ..Invoke::default()
    });
    let invoked = match ask(&directory, &request)? {
        Response::Invoked(invoked) => invoked,
        other => return Err(unexpected(&other)),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&invoked)?);
        return Ok(if invoked.status >= 400 { 16 } else { 0 });
    }
    let Invoked { cid, status, body, .. } = invoked;
    let mut stdout = std::io::stdout().lock();
    // what scripts know as the sign of an empty answer
    stdout.write_all(if body.0.is_empty() { b"(None)" } else { &body.0 })?;
    if !body.0.ends_with(b"\n") {
        stdout.write_all(b"\n")?;
    }
    if status >= 400 {
        return Err(Exit::new(16, format!("the service answered with status {status}"))
            .with_hint(format!("look for {cid} in {}", directory.log().display()))
            .into());
    }
    Ok(0)
}

fn read_payload(file: &Path) -> Result<Vec<u8>, Exit> {
    let mut payload = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut payload).map(drop)
    } else {
        std::fs::read(file).map(|bytes| payload = bytes)
    };
    match read {
        Ok(()) => Ok(payload),
        Err(error) => Err(Exit::new(2, format!("cannot read `{}`: {error}", file.display()))),
    }
}

fn switch(SwitchArguments { server, name }: SwitchArguments, is_active: bool) -> anyhow::Result<u8> {
    let directory = Directory::open(&server.path)?;
    let request = Request::ServiceSwitch {
        name: name.clone(),
        is_active,
    };
    let state = if is_active { "active" } else { "inactive" };
    match ask(&directory, &request)? {
        Response::Switched { changed: true } => println!("service `{name}` is {state}"),
        Response::Switched { changed: false } => println!("service `{name}` is {state} already"),
        other => return Err(unexpected(&other)),
    }
    Ok(0)
}
