//! One log for the hub, its workers and the services: whole lines on standard error, which is `logs/server.log` when the server runs in
//! the background.
//!
//! `2026-11-21T10:11:12.131415Z INFO  worker-1 my-service.get-client-details [6f1c...] Request: {...} key=value`

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::str::FromStr;

use anyhow::Context;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Starts logging for this process. `process` is `hub` or `worker-1`; `level` is a level, or a list of filters such as
/// `info,busbar_connectors=debug`.
pub fn start(process: &str, level: &str) -> anyhow::Result<()> {
    let unknown = || format!("`{level}` is not a log level: use error, warn, info, debug or trace");
    // to a filter, a word that is no level is the name of a module
    let is_level = |part: &str| part.contains('=') || LEVELS.contains(&&*part.trim().to_ascii_lowercase());
    anyhow::ensure!(level.split(',').all(is_level), unknown());
    let filter = EnvFilter::from_str(&level.to_ascii_lowercase()).with_context(unknown)?;
    // it traces whole commands, those with passwords too
    let filter = filter.add_directive("async_imap=warn".parse().expect("a directive that is right"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .event_format(Lines {
            process: process.to_owned(),
        })
        .init();
    Ok(())
}

struct Lines {
    process: String,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        let (on, off) = if writer.has_ansi_escapes() {
            (colour(level), "\x1b[0m")
        } else {
            ("", "")
        };
        let logger = fields.logger.as_deref().unwrap_or(event.metadata().target());
        write!(writer, " {on}{level:<5}{off} {} {logger}", self.process)?;
        if let Some(cid) = &fields.cid {
            write!(writer, " [{cid}]")?;
        }
        // fields go with the first line: what follows is a traceback, or text of a service
        match fields.message.split_once('\n') {
            Some((first, more)) => writeln!(writer, " {first}{}\n{}", fields.rest, more.trim_end()),
            None => writeln!(writer, " {}{}", fields.message, fields.rest),
        }
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[36m",
        Level::TRACE => "\x1b[90m",
    }
}

/// The fields of an event, sorted into the places of a line.
#[derive(Default)]
struct Fields {
    message: String,
    logger: Option<String>,
    cid: Option<String>,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "logger" => self.logger = Some(value.to_owned()),
            "cid" => self.cid = Some(value.to_owned()),
            name => drop(write!(self.rest, " {name}={value:?}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            // writing to a string cannot fail
            "message" => drop(write!(self.message, "{value:?}")),
            "logger" => self.logger = Some(format!("{value:?}")),
            "cid" => self.cid = Some(format!("{value:?}")),
            name => drop(write!(self.rest, " {name}={value:?}")),
        }
    }
}
