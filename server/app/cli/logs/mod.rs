//! `busbar logs`: the entries of a server's log that somebody looks for.
//!
//! Where to begin is found from the end of the file, so that a large one is not read in vain; from there on it is read forward.
//!
//! * [`entry`] - first lines and what stands in them
//! * [`filter`] - which entries are wanted
//! * [`start`] - where to begin
//! * [`follow`] - what is written later, also after the file was replaced or emptied
//! * [`rotated`] - the files that were put aside before

mod entry;
mod filter;
mod follow;
mod rotated;
mod start;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use serde_json::json;

use crate::cli::{Exit, ServerArgument};
use crate::directory::Directory;

use entry::Head;
use filter::{Filter, Level};
use follow::Follower;
use rotated::Text;
use start::Start;

pub use filter::parse_since;

/// How many entries are shown if nobody says how many or since when.
const LAST: usize = 100;
/// Bytes of one entry that are kept together: a service may log a document.
const LONGEST_ENTRY: usize = 4 << 20;

/// Shows a log.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    server: ServerArgument,
    /// Go on with what is logged from now on, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Only what this service logged, or what was logged about it; `*` stands for any text.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only what belongs to the call with this correlation id, or an id that begins like this.
    #[arg(long, value_name = "CID")]
    cid: Option<String>,
    /// Only entries of this level and of those above it.
    #[arg(long, value_enum, ignore_case = true)]
    level: Option<Level>,
    /// Only entries since then: `30s`, `10m`, `2h`, `1d`, or a time in UTC like `2026-01-31T12:00`.
    #[arg(long, value_name = "WHEN", value_parser = filter::parse_since)]
    since: Option<SystemTime>,
    /// How many entries of the past to show at most. Default: 100, with --since all.
    #[arg(short = 'n', long = "lines", value_name = "N")]
    lines: Option<usize>,
    /// Print JSON, an object a line.
    #[arg(long)]
    json: bool,
}

impl Logs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let path = directory.log();
        let cannot_read = |error| Exit::new(2, format!("cannot read `{}`: {error}", path.display()));
        let mut file = File::open(&path).map_err(cannot_read)?;
        let filter = Filter::new(self.service, self.cid, self.level, self.since);
        let count = match (self.lines, self.since) {
            (Some(count), _) => Some(count),
            (None, Some(_)) => None,
            (None, None) => Some(LAST),
        };
        let start = start::find(&mut file, &filter, count).map_err(cannot_read)?;
        let older = earlier(&path, &filter, (count, self.since), &start)?;
        let mut printer = Printer {
            filter,
            json: self.json,
            entry: Vec::new(),
            left_out: 0,
        };
        for file in older {
            printer.take_all(file).map_err(cannot_read)?;
        }
        file.seek(SeekFrom::Start(start.position)).map_err(cannot_read)?;
        if self.follow {
            let mut follower = Follower::new(path.clone(), file, start.position).map_err(cannot_read)?;
            return follower.run(&mut printer).map_err(|error| cannot_read(error).into());
        }
        printer.take_all(file).map_err(cannot_read)?;
        printer.flush()?;
        Ok(0)
    }
}

/// The files that were put aside and hold something of what is wanted beside what follows `start` in the log itself, the earliest first,
/// each where to begin in it.
fn earlier(
    log: &Path,
    filter: &Filter,
    (count, since): (Option<usize>, Option<SystemTime>),
    start: &Start,
) -> Result<Vec<Box<dyn Text>>, Exit> {
    let cannot_read = |path: &Path, error| Exit::new(2, format!("cannot read `{}`: {error}", path.display()));
    let mut files = Vec::new();
    let (mut is_all, mut wanted) = (start.is_all, start.wanted);
    if is_all {
        return Ok(files);
    }
    for path in rotated::older(log, since).map_err(|error| cannot_read(log, error))? {
        let mut file = rotated::open(&path).map_err(|error| cannot_read(&path, error))?;
        let rest = count.map(|count| count - wanted);
        let start = start::find(&mut *file, filter, rest).map_err(|error| cannot_read(&path, error))?;
        file.seek(SeekFrom::Start(start.position))
            .map_err(|error| cannot_read(&path, error))?;
        files.push(file);
        (is_all, wanted) = (start.is_all, wanted + start.wanted);
        if is_all {
            break;
        }
    }
    files.reverse();
    Ok(files)
}

/// Puts lines together to entries and prints those that are wanted.
struct Printer {
    filter: Filter,
    json: bool,
    /// The lines of the entry that is being read; empty if it is not wanted.
    entry: Vec<u8>,
    /// Bytes of it that were not kept.
    left_out: usize,
}

impl Printer {
    /// Takes all lines that a file still has.
    fn take_all(&mut self, file: impl Read) -> std::io::Result<()> {
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            self.take(&line)?;
            line.clear();
        }
        Ok(())
    }

    /// Takes the next line, with its end.
    fn take(&mut self, line: &[u8]) -> std::io::Result<()> {
        if let Some(head) = Head::parse(line) {
            self.flush()?;
            if self.filter.wants(&head) {
                self.entry.extend_from_slice(line);
            }
        } else if !self.entry.is_empty() {
            if self.entry.len() + line.len() > LONGEST_ENTRY {
                self.left_out += line.len();
            } else {
                self.entry.extend_from_slice(line);
            }
        }
        Ok(())
    }

    /// Prints the entry that was read.
    fn flush(&mut self) -> std::io::Result<()> {
        let mut entry = std::mem::take(&mut self.entry);
        if entry.is_empty() {
            return Ok(());
        }
        if self.left_out > 0 {
            let left_out = std::mem::take(&mut self.left_out);
            entry.extend_from_slice(format!("({left_out} more bytes of this entry)\n").as_bytes());
        }
        let mut stdout = std::io::stdout().lock();
        if !self.json {
            stdout.write_all(&entry)?;
            if !entry.ends_with(b"\n") {
                stdout.write_all(b"\n")?;
            }
            return stdout.flush();
        }
        let Some(head) = Head::parse(&entry) else {
            return Ok(());
        };
        let message = String::from_utf8_lossy(head.message);
        let object = json!({
            "time": head.time,
            "level": head.level.as_str(),
            "process": head.process,
            "logger": head.logger,
            "cid": head.cid,
            "message": message.trim_end_matches('\n'),
        });
        writeln!(stdout, "{object}")?;
        stdout.flush()
    }
}
