//! Which entries are wanted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::wildcard;
use clap::ValueEnum;

use crate::cli::audit_log::utc;
use crate::cli::logs::entry::Head;

/// How grave an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Somebody must act.
    Error,
    /// Odd, but it went on.
    Warn,
    /// Something has happened.
    Info,
    /// For who looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// As lines have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// Out of a line.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}

/// What is wanted.
#[derive(Debug, Default)]
pub struct Filter {
    service: Option<String>,
    cid: Option<String>,
    level: Option<Level>,
    /// As lines write it, so that texts can be compared.
    since: Option<String>,
}

impl Filter {
    /// Entries that fit all of these.
    pub fn new(service: Option<String>, cid: Option<String>, level: Option<Level>, since: Option<SystemTime>) -> Self {
        let since = since.map(|since| {
            let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
            utc(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
                .trim_end_matches('Z')
                .to_owned()
        });
        Self {
            service,
            cid,
            level,
            since,
        }
    }

    /// Whether the entry is from before the time that is looked at.
    pub fn is_too_old(&self, head: &Head<'_>) -> bool {
        self.since.as_deref().is_some_and(|since| head.time < since)
    }

    /// Whether the entry is wanted.
    pub fn wants(&self, head: &Head<'_>) -> bool {
        !self.is_too_old(head)
            && self.level.is_none_or(|level| head.level <= level)
            && self.cid.as_deref().is_none_or(|cid| is_of_call(head, cid))
            && self
                .service
                .as_deref()
                .is_none_or(|service| is_of_service(head, service))
    }
}

/// Whether an entry is of a call: in its brackets, or as a field of its first line.
fn is_of_call(head: &Head<'_>, cid: &str) -> bool {
    head.cid.is_some_and(|it| it.starts_with(cid)) || field(head, "cid").is_some_and(|it| it.starts_with(cid))
}

/// Whether a service logged an entry, or it was logged about the service.
fn is_of_service(head: &Head<'_>, service: &str) -> bool {
    let fits = |name: &str| wildcard::matches(service, name, None);
    fits(head.logger) || field(head, "service").is_some_and(|name| fits(&name))
}

/// A field of the first line: `name=value` or `name="value"`.
fn field(head: &Head<'_>, name: &str) -> Option<String> {
    let line = head.message.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    line.split(' ')
        .filter_map(|word| word.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"').to_owned())
}

/// `10m` ago, or a time in UTC.
pub fn parse_since(text: &str) -> Result<SystemTime, String> {
    let wrong = || format!("`{text}` is no time: use 30s, 10m, 2h, 1d, or 2026-01-31T12:00 in UTC");
    if let Some(unit) = text.chars().last().filter(char::is_ascii_alphabetic)
        && unit != 'Z'
    {
        let secs = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        let ago = Duration::from_secs(number.checked_mul(secs).ok_or_else(wrong)?);
        return Ok(SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH));
    }
    moment(text.trim_end_matches('Z')).ok_or_else(wrong)
}

/// `2026-01-31`, `2026-01-31T12:00`, `2026-01-31T12:00:30`, with a blank instead of the T, with parts of a second.
fn moment(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let date: Vec<u64> = date.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [year @ 1970..=9999, month @ 1..=12, day @ 1..=31] = date[..] else {
        return None;
    };
    let mut parts = time.split(':');
    let hour: u64 = parts.next()?.parse().ok().filter(|it| *it < 24)?;
    let minute: u64 = parts.next()?.parse().ok().filter(|it| *it < 60)?;
    let second: f64 = parts
        .next()
        .unwrap_or("0")
        .parse()
        .ok()
        .filter(|it| (0.0..60.0).contains(it))?;
    if parts.next().is_some() {
        return None;
    }
    // days since 1970: months counted from March, so that a leap day is the last of its year
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let whole = Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60);
    UNIX_EPOCH.checked_add(whole + Duration::from_secs_f64(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(line: &str) -> Head<'_> {
        Head::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn entries_are_wanted_by_service_cid_level_and_time() {
        let of_service = head("2026-11-21T10:11:12.131415Z WARN  worker-1 shop.get [abc123] said");
        let about_it =
            head("2026-11-21T10:11:12.131415Z ERROR hub busbar_dispatch failed cid=abc123 service=\"shop.get\"");
        let other = head("2026-11-21T10:11:12.131415Z DEBUG hub busbar_dispatch about shop.get");
        let wants = |filter: &Filter| [&of_service, &about_it, &other].map(|head| filter.wants(head));

        assert_eq!(wants(&Filter::default()), [true, true, true]);
        let service = |name: &str| Filter::new(Some(name.to_owned()), None, None, None);
        assert_eq!(wants(&service("shop.get")), [true, true, false]);
        assert_eq!(wants(&service("shop.*")), [true, true, false]);
        assert_eq!(wants(&service("shop")), [false, false, false]);
        assert_eq!(
            wants(&Filter::new(None, Some("abc".into()), None, None)),
            [true, true, false]
        );
        assert_eq!(
            wants(&Filter::new(None, None, Some(Level::Error), None)),
            [false, true, false]
        );
        assert_eq!(
            wants(&Filter::new(None, None, Some(Level::Info), None)),
            [true, true, false]
        );
        let since = |text: &str| Filter::new(None, None, None, Some(parse_since(text).unwrap()));
        assert_eq!(wants(&since("2026-11-21T10:11:12")), [true, true, true]);
        assert_eq!(wants(&since("2026-11-21T10:11:13")), [false, false, false]);
    }

    #[test]
    fn times_are_read() {
        for (text, secs) in [
            ("1970-01-01", 0.0),
            ("2000-02-29T00:00", 951_782_400.0),
            ("2025-12-31 23:59:59.001", 1_767_225_599.001),
            ("2026-03-01T00:00:00Z", 1_772_323_200.0),
        ] {
            let found = parse_since(text).unwrap().duration_since(UNIX_EPOCH).unwrap();
            assert!((found.as_secs_f64() - secs).abs() < 1e-3, "{text}: {found:?}");
        }
        for text in [
            "",
            "m",
            "10",
            "10y",
            "2026-13-01",
            "2026-01-01T25:00",
            "2026-01-01T10:00:00:00",
            "yesterday",
        ] {
            assert!(parse_since(text).is_err(), "{text}");
        }
        let (before, since, after) = (SystemTime::now(), parse_since("10m").unwrap(), SystemTime::now());
        let ten_minutes = Duration::from_secs(600);
        assert!((before - ten_minutes..=after - ten_minutes).contains(&since));
    }
}
