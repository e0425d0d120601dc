//! Times of creation: `2024-05-01T10:00:00.123Z`, with or without a zone.

use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Iso8601;
use time::{OffsetDateTime, PrimitiveDateTime};

/// Reads a time of 1970 or later. Without a zone it is UTC.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    // some senders write a space between date and time, as databases do
    let text = text.trim().replacen(' ', "T", 1).to_uppercase();
    let moment = OffsetDateTime::parse(&text, &Iso8601::PARSING)
        .or_else(|_| PrimitiveDateTime::parse(&text, &Iso8601::PARSING).map(PrimitiveDateTime::assume_utc))
        .ok()?;
    let moment = SystemTime::from(moment);
    (moment >= UNIX_EPOCH).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:00:00Z", 1_709_208_000),
            ("2024-05-01T10:00:00.123456Z", 1_714_557_600),
            (" 2024-05-01T10:00:00 ", 1_714_557_600),
            ("2024-05-01T12:00:00+02:00", 1_714_557_600),
            ("2024-05-01T04:30:00.5-05:30", 1_714_557_600),
        ] {
            let moment = parse(text).unwrap_or_else(|| panic!("{text} is not read"));
            let since = moment.duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(since.as_secs(), seconds, "{text}");
        }
        for text in [
            "",
            "now",
            "2024-05-01",
            "2024-13-01T00:00:00Z",
            "2024-05-01T25:00:00Z",
            "2024-05-01T10:00:00X",
            "2024-05-01T10:00:00+2",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
