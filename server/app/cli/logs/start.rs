//! Where to begin reading, found from the end of the file.

use std::io::{self, SeekFrom};

use crate::cli::logs::entry::Head;
use crate::cli::logs::filter::Filter;
use crate::cli::logs::rotated::Text;

/// How much is read at a time.
const BLOCK: u64 = 256 * 1024;
/// How much of a line is looked at: first lines say what they are at their beginning, their fields follow the message.
const LONGEST_LINE: usize = 256 * 1024;
/// How many entries that are too old in a row say that nothing before them is wanted: hub and workers write to one file, each a little
/// later than it took the time.
const TOO_OLD: usize = 1_000;

/// Where to begin in one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// Position of the earliest line to read.
    pub position: u64,
    /// How many entries that are wanted follow it.
    pub wanted: usize,
    /// Whether what was written before this file is not wanted.
    pub is_all: bool,
}

/// Where to begin, so that of the entries that are wanted the last `count` follow, or all if there is none.
pub fn find(file: &mut dyn Text, filter: &Filter, count: Option<usize>) -> io::Result<Start> {
    let end = file.seek(SeekFrom::End(0))?;
    if count == Some(0) {
        return Ok(Start {
            position: end,
            wanted: 0,
            is_all: true,
        });
    }
    let (mut wanted, mut too_old, mut earliest) = (0, 0, end);
    for_each_line_backwards(file, end, |position, line| {
        let Some(head) = Head::parse(line) else {
            return true;
        };
        if filter.is_too_old(&head) {
            too_old += 1;
            return too_old < TOO_OLD;
        }
        too_old = 0;
        if filter.wants(&head) {
            earliest = position;
            wanted += 1;
        }
        count.is_none_or(|count| wanted < count)
    })?;
    Ok(Start {
        position: earliest,
        wanted,
        is_all: too_old >= TOO_OLD || count.is_some_and(|count| wanted >= count),
    })
}

/// Gives lines and their positions to `see`, the last one first, as long as it says so.
fn for_each_line_backwards(file: &mut dyn Text, end: u64, mut see: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    let mut position = end;
    // the beginning of a line whose end was in blocks that were read before
    let mut rest: Vec<u8> = Vec::new();
    while position > 0 {
        let size = BLOCK.min(position);
        position -= size;
        file.seek(SeekFrom::Start(position))?;
        let mut block = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact(&mut block)?;
        block.append(&mut rest);
        let mut line_end = block.len();
        // the byte before a line ends the one before it
        while let Some(newline) = block[..line_end.saturating_sub(1)]
            .iter()
            .rposition(|byte| *byte == b'\n')
        {
            let start = newline + 1;
            if !see(position + start as u64, &block[start..line_end]) {
                return Ok(());
            }
            line_end = start;
        }
        // of a line without an end only the beginning is of interest
        block.truncate(line_end.min(LONGEST_LINE));
        rest = block;
    }
    if !rest.is_empty() {
        see(0, &rest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines_backwards(text: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut seen = Vec::new();
        for_each_line_backwards(&mut file, text.len() as u64, |position, line| {
            seen.push((position, line.to_vec()));
            true
        })
        .unwrap();
        seen
    }

    #[test]
    fn lines_come_whole_from_whatever_blocks() {
        let texts: [Vec<u8>; 5] = [
            Vec::new(),
            b"a".to_vec(),
            b"a\n\nb\n".to_vec(),
            b"a\nb".to_vec(),
            (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect(),
        ];
        for text in texts {
            let mut expected = Vec::new();
            let mut position = 0;
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                expected.insert(0, (position, line.to_vec()));
                position += line.len() as u64;
            }
            assert_eq!(lines_backwards(&text), expected);
        }
    }

    #[test]
    fn it_begins_with_the_last_entries_that_are_wanted() {
        let entry = |second: u32, level: &str| {
            format!("2026-11-21T10:11:{second:02}.000000Z {level:<5} hub busbar said\n  more\n")
        };
        let text: String = (0..60)
            .map(|second| entry(second, if second % 10 == 0 { "ERROR" } else { "INFO" }))
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut from = |filter: &Filter, count| {
            let start = find(&mut file, filter, count).unwrap().position;
            text[usize::try_from(start).unwrap()..].get(17..19).map(str::to_owned)
        };
        let errors = Filter::new(None, None, Some(crate::cli::logs::filter::Level::Error), None);
        assert_eq!(from(&Filter::default(), Some(1)).as_deref(), Some("59"));
        assert_eq!(from(&Filter::default(), Some(3)).as_deref(), Some("57"));
        assert_eq!(from(&Filter::default(), None).as_deref(), Some("00"));
        assert_eq!(from(&Filter::default(), Some(0)), None);
        assert_eq!(from(&errors, Some(2)).as_deref(), Some("40"));
        assert_eq!(from(&errors, Some(99)).as_deref(), Some("00"));
        let since = crate::cli::logs::filter::parse_since("2026-11-21T10:11:45").unwrap();
        assert_eq!(
            from(&Filter::new(None, None, None, Some(since)), None).as_deref(),
            Some("45")
        );
    }
}
