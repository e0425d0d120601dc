//! The files of a log: the one that is written to, and those that somebody who keeps logs short has put aside (logrotate):
//! `server.log.1`, `server.log-20261121`, `server.log.2.gz`.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

/// What can be read from both ends.
pub trait Text: Read + Seek {}

impl<T: Read + Seek> Text for T {}

/// Files that were put aside, those that were written to since then, the latest first.
pub fn older(log: &Path, since: Option<SystemTime>) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|it| it.to_str())) else {
        return Ok(Vec::new());
    };
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_older = entry
            .file_name()
            .to_str()
            .and_then(|it| it.strip_prefix(name))
            .is_some_and(is_ending);
        let modified = entry.metadata()?.modified()?;
        if is_older && since.is_none_or(|since| modified >= since) {
            found.push((modified, entry.path()));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Whether this is how the names of such files go on: a number or a date.
fn is_ending(rest: &str) -> bool {
    let rest = rest.strip_suffix(".gz").unwrap_or(rest);
    let is_part = |it: char| it.is_ascii_digit() || it == '-';
    let number = rest.strip_prefix(['.', '-']);
    number.is_some_and(|number| number.contains(|it: char| it.is_ascii_digit()) && number.chars().all(is_part))
}

/// Opens one of them; one that is packed is unpacked into memory.
pub fn open(path: &Path) -> io::Result<Box<dyn Text>> {
    let file = File::open(path)?;
    if path.extension().is_none_or(|it| it != "gz") {
        return Ok(Box::new(file));
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut text)?;
    Ok(Box::new(Cursor::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_with_a_number_or_a_date() {
        for (rest, expected) in [
            (".1", true),
            (".12.gz", true),
            ("-20261121", true),
            ("-2026-11-21.gz", true),
            ("", false),
            (".", false),
            (".gz", false),
            (".bak", false),
            (".1.swp", false),
        ] {
            assert_eq!(is_ending(rest), expected, "{rest}");
        }
    }
}
