//! Points in time as text.

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const RFC_3339_MILLIS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The time now in UTC, in RFC 3339 with milliseconds: `2026-03-01T12:00:00.000Z`. Such texts sort as the times they stand for.
pub fn now() -> String {
    format(OffsetDateTime::now_utc())
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
    fn times_are_rfc_3339() {
        let at = |millis: i128| format(OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).unwrap());
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(at(4_102_444_800_001), "2100-01-01T00:00:00.001Z");
    }
}
