//! Points in time as text.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time now in UTC, in RFC 3339 with milliseconds: `2026-03-01T12:00:00.000Z`. Such texts sort as the times they stand for.
pub fn now() -> String {
    // a clock before 1970 is a machine without a set clock: the epoch is as good as anything
    format(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis() as u64,
    )
}

/// `millis` is milliseconds since 1970.
fn format(millis: u64) -> String {
    let (secs, millis) = (millis / 1_000, millis % 1_000);
    let (days, secs) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01. Counts in eras of 400 years that begin in March, so that the leap day is the
/// last day of a year.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(format(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(format(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(format(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(format(4_102_444_800_001), "2100-01-01T00:00:00.001Z");
    }
}
