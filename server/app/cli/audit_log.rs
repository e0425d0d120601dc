//! `busbar audit-log`.

use busbar_admin::control::{Request, Response};
use busbar_model::audit::AuditEntry;
use clap::Args;

use crate::cli::ServerArgument;
use crate::cli::control::{ask, unexpected};
use crate::directory::Directory;

/// Shows the last messages of a channel.
#[derive(Debug, Args)]
pub struct AuditLog {
    #[command(flatten)]
    server: ServerArgument,
    /// Name of the channel.
    channel: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl AuditLog {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let entries = match ask(&directory, &Request::AuditLog { channel: self.channel })? {
            Response::AuditLog(entries) => entries,
            other => return Err(unexpected(&other)),
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&entries)?);
            return Ok(0);
        }
        for entry in &entries {
            print(entry);
        }
        Ok(0)
    }
}

fn print(entry: &AuditEntry) {
    let AuditEntry {
        direction,
        cid,
        method,
        path,
        remote,
        ..
    } = entry;
    let at = utc(entry.at_ms);
    let status = if entry.status == 0 {
        String::new()
    } else {
        format!(" {}", entry.status)
    };
    println!(
        "{at} {direction}{status} cid={cid} {method} {path} {remote} {} bytes",
        entry.size_bytes
    );
    for (name, value) in &entry.headers {
        println!("    {name}: {value}");
    }
    for line in entry.body.lines() {
        println!("    | {line}");
    }
}

/// A moment as `2026-01-31T12:00:00.000Z`.
pub fn utc(at_ms: u64) -> String {
    let (mut day, ms) = (at_ms / 86_400_000, at_ms % 86_400_000);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        day + 1,
        ms % 1000
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn moments_are_written_in_utc() {
        for (at_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
            (1_772_323_200_000, "2026-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(super::utc(at_ms), expected);
        }
    }
}
