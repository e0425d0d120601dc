//! Times of creation: `2024-05-01T10:00:00.123Z`, with or without a zone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads a time. Without a zone it is UTC.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let is_time = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !is_time || year < 1970 {
        return None;
    }
    let zone = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => fraction.trim_start_matches(|letter: char| letter.is_ascii_digit()),
        None => rest,
    };
    let ahead = |offset| numbers(offset, ':', [2, 2]).map(|[hours, minutes]| hours * 3600 + minutes * 60);
    let offset = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
        (Some(offset), _) => ahead(offset)?,
        (_, Some(offset)) => -ahead(offset)?,
        _ if matches!(zone, "" | "Z" | "z") => 0,
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Numbers of exactly so many digits each, with a sign between them.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(between);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970-01-01 to a date, by the calendar of today.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // years that begin in March, so that the day of a leap year is their last
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
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
            assert_eq!(parse(text), Some(UNIX_EPOCH + Duration::from_secs(seconds)), "{text}");
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
