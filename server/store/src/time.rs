//! Points in time as text, and as seconds.

use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

const RFC_3339_MILLIS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The time now in UTC, in RFC 3339 with milliseconds: `2026-03-01T12:00:00.000Z`. Such texts sort as the times they stand for.
pub fn now() -> String {
    format(OffsetDateTime::now_utc())
}

/// The same in seconds since 1970.
pub fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// A point in time as [`now`] writes it, from milliseconds since 1970.
pub fn at_ms(millis: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).map_or_else(|_| String::new(), format)
}

/// A time in RFC 3339, with whatever offset and precision, as [`now`] writes it; `None`: it is not one.
pub fn moment(text: &str) -> Option<String> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(format(moment.to_offset(UtcOffset::UTC)))
}

/// A time in seconds since 1970: RFC 3339, or without its offset, seconds or time of day, which are those of UTC and 0 then. `None`: it is
/// none, or one before 1970.
pub fn utc_secs(text: &str) -> Option<u64> {
    let text = text.trim().replacen(' ', "T", 1);
    let mut readings = ["", "Z", ":00Z", "T00:00:00Z"].iter();
    let moment = readings.find_map(|rest| OffsetDateTime::parse(&format!("{text}{rest}"), &Rfc3339).ok())?;
    u64::try_from(moment.unix_timestamp()).ok()
}

fn format(moment: OffsetDateTime) -> String {
    moment
        .format(RFC_3339_MILLIS)
        .expect("a time in UTC has all that the format asks for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_and_precision_is_read() {
        for text in ["2026-03-01T12:00:00Z", "2026-03-01T14:00:00.0004+02:00"] {
            assert_eq!(moment(text).as_deref(), Some("2026-03-01T12:00:00.000Z"));
        }
        for text in ["", "yesterday", "2026-03-01", "2026-13-01T12:00:00Z"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_time_lacks_is_that_of_utc() {
        for text in [
            "2026-03-01T12:00:00Z",
            "2026-03-01T14:00:00.25+02:00",
            "2026-03-01T12:00:00.999999",
            "2026-03-01 12:00:00",
            " 2026-03-01 12:00 ",
        ] {
            assert_eq!(utc_secs(text), Some(1_772_366_400), "{text}");
        }
        assert_eq!(utc_secs("2026-03-01"), Some(1_772_323_200));
        for text in ["", "noon", "12:00", "2026-02-30", "1969-12-31", "2026-03-01T12"] {
            assert_eq!(utc_secs(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let at = at_ms;
        assert_eq!(at(u64::MAX), "");
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(at(4_102_444_800_001), "2100-01-01T00:00:00.001Z");
    }
}
