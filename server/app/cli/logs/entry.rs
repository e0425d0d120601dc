//! The first line of an entry. What follows until the next one belongs to it: a traceback, or text of a service.

use crate::cli::logs::filter::Level;

/// The places of a line like `2026-11-21T10:11:12.131415Z INFO  worker-1 my-service.get [6f1c...] Request: {...} key=value`.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// When, in UTC.
    pub time: &'a str,
    /// How grave it is.
    pub level: Level,
    /// `hub` or `worker-1`.
    pub process: &'a str,
    /// The service, or the module of whoever logged it.
    pub logger: &'a str,
    /// The call that it belongs to.
    pub cid: Option<&'a str>,
    /// The rest: of a whole entry all its lines.
    pub message: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads a line, or an entry that begins with one; `None` if it is no first line.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        // the cheap look first: most lines of a long traceback end here
        if line.len() < 28 || line[4] != b'-' || line[10] != b'T' || !line[0].is_ascii_digit() {
            return None;
        }
        let (time, rest) = word(line)?;
        let is_time = time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[13] == b':';
        let (level, rest) = word(rest)?;
        let level = Level::parse(level).filter(|_| is_time)?;
        let (process, rest) = word(rest)?;
        let (logger, rest) = word(rest)?;
        let (cid, message) = match word(rest) {
            Some((bracketed, after)) => match bracketed.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                Some(cid) if !cid.is_empty() => (Some(cid), after),
                _ => (None, rest),
            },
            None => (None, rest),
        };
        Some(Self {
            time,
            level,
            process,
            logger,
            cid,
            message,
        })
    }
}

/// The first word of a line and what comes after the blanks behind it.
fn word(text: &[u8]) -> Option<(&str, &[u8])> {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let word = std::str::from_utf8(&text[..end]).ok().filter(|word| !word.is_empty())?;
    let blanks = line[end..].iter().take_while(|byte| **byte == b' ').count();
    Some((word, &text[end + blanks..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_told_from_others() {
        let line = b"2026-11-21T10:11:12.131415Z INFO  worker-1 shop.get [6f1c] Request: {} a=1\n";
        let head = Head::parse(line).unwrap();
        assert_eq!((head.time, head.level), ("2026-11-21T10:11:12.131415Z", Level::Info));
        assert_eq!(
            (head.process, head.logger, head.cid),
            ("worker-1", "shop.get", Some("6f1c"))
        );
        assert_eq!(head.message, b"Request: {} a=1\n");

        let entry = b"2026-11-21T10:11:12.131415Z ERROR hub busbar ended\nTraceback\n  a\n";
        let head = Head::parse(entry).unwrap();
        assert_eq!((head.cid, head.message), (None, &b"ended\nTraceback\n  a\n"[..]));

        let empty = b"2026-11-21T10:11:12.131415Z INFO  worker-1 shop.get [6f1c] \n";
        assert_eq!(Head::parse(empty).unwrap().cid, Some("6f1c"));
        for line in [
            &b"Traceback (most recent call last):\n"[..],
            b"2026-11-21T10:11:12.131415Z is when it happened, says a service\n",
            b"2026-11-21 10:11:12 INFO  worker-1 shop.get a line of another program\n",
            b"2026-11-21T10:11:12.131415Z INFO  hub\n",
            b"2026-11-21T10:11:12.131415Z \xff\xff\xff\xff hub x y\n",
            b"\n",
            b"",
        ] {
            assert_eq!(Head::parse(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
