//! Dates, times and spans as the databases and Python have them: plain numbers, no library.

use std::fmt;

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
pub(super) const TO_2000: i64 = 10_957;

/// A day of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year; Python has those from 1 to 9999.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second.
    pub second: u8,
    /// Microsecond.
    pub micro: u32,
    /// Seconds east of UTC; `None`: no zone is known.
    pub offset: Option<i32>,
}

/// A point in time, or what a clock on the wall shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    /// The day.
    pub date: Date,
    /// The time, with its zone if one is known.
    pub time: Time,
}

/// A span of time, as Python's `timedelta` keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Days; may be negative.
    pub days: i64,
    /// Microseconds beside the days; may be negative.
    pub micros: i64,
}

impl Date {
    /// The earliest day of Python.
    pub const MIN: Self = Self {
        year: 1,
        month: 1,
        day: 1,
    };
    /// The latest day of Python.
    pub const MAX: Self = Self {
        year: 9999,
        month: 12,
        day: 31,
    };

    /// The day so many days after 1970-01-01; `None` outside the years 1 to 9999.
    pub fn from_days(days: i64) -> Option<Self> {
        if !(-719_162..=2_932_896).contains(&days) {
            return None;
        }
        // counted in eras of 400 years that begin in March, so that the leap day is the last of its year
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Some(Self {
            year: year as i32,
            month: month as u8,
            day: day as u8,
        })
    }

    /// Days from 1970-01-01 to this day.
    pub fn days(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// Reads `2024-02-29`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let year = parts.next()?;
        if year.len() < 4 {
            return None;
        }
        let date = Self {
            year: year.parse().ok()?,
            month: parts.next()?.parse().ok()?,
            day: parts.next()?.parse().ok()?,
        };
        let is_right = parts.next().is_none() && (1..=9999).contains(&date.year) && (1..=12).contains(&date.month);
        // no month is longer than that of the day that this is counted as
        (is_right && Self::from_days(date.days()) == Some(date)).then_some(date)
    }
}

impl Time {
    /// Midnight, without a zone.
    pub const MIDNIGHT: Self = Self {
        hour: 0,
        minute: 0,
        second: 0,
        micro: 0,
        offset: None,
    };
    /// The last microsecond of a day, without a zone.
    pub const LAST: Self = Self {
        hour: 23,
        minute: 59,
        second: 59,
        micro: 999_999,
        offset: None,
    };

    /// The time so many microseconds after midnight; midnight for 24:00, which Python does not have, as with psycopg2.
    pub fn from_micros(micros: i64) -> Option<Self> {
        if micros == DAY {
            return Some(Self::MIDNIGHT);
        }
        if !(0..DAY).contains(&micros) {
            return None;
        }
        let seconds = micros / 1_000_000;
        Some(Self {
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            micro: (micros % 1_000_000) as u32,
            offset: None,
        })
    }

    /// Microseconds since midnight.
    pub fn micros(self) -> i64 {
        (i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second)) * 1_000_000
            + i64::from(self.micro)
    }

    /// The same with a zone.
    #[must_use]
    pub fn at(self, offset: i32) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    /// Reads `13:14:15.161718+02:30`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let zone_at = text.find(['+', '-', 'Z']).unwrap_or(text.len());
        let (clock, zone) = text.split_at(zone_at);
        let mut parts = clock.splitn(3, ':');
        let hour: i64 = parts.next()?.parse().ok()?;
        let minute: i64 = parts.next()?.parse().ok()?;
        let (second, micro) = seconds(parts.next().unwrap_or("0"))?;
        if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
            return None;
        }
        let time = Self::from_micros(((hour * 60 + minute) * 60 + second) * 1_000_000 + micro)?;
        Some(Self {
            offset: offset(zone)?,
            ..time
        })
    }
}

impl DateTime {
    /// The earliest point in time of Python, in UTC or without a zone.
    pub fn min(offset: Option<i32>) -> Self {
        let time = Time {
            offset,
            ..Time::MIDNIGHT
        };
        Self { date: Date::MIN, time }
    }

    /// The latest point in time of Python, in UTC or without a zone.
    pub fn max(offset: Option<i32>) -> Self {
        let time = Time { offset, ..Time::LAST };
        Self { date: Date::MAX, time }
    }

    /// The point so many microseconds after 1970-01-01 00:00, without a zone; `None` outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        Some(Self {
            date: Date::from_days(micros.div_euclid(DAY))?,
            time: Time::from_micros(micros.rem_euclid(DAY))?,
        })
    }

    /// Microseconds from 1970-01-01 00:00 to what its clock shows, whatever its zone.
    pub fn wall_micros(self) -> i64 {
        self.date.days() * DAY + self.time.micros()
    }

    /// Microseconds from 1970-01-01 00:00 UTC; without a zone it is taken for UTC.
    pub fn utc_micros(self) -> i64 {
        self.wall_micros() - i64::from(self.time.offset.unwrap_or(0)) * 1_000_000
    }

    /// Reads `2024-02-29 13:14:15.161718+02`, with a space or `T`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
        Some(Self {
            date: Date::parse(date)?,
            time: Time::parse(time)?,
        })
    }
}

impl Span {
    /// All of it in microseconds.
    pub fn total_micros(self) -> i128 {
        i128::from(self.days) * i128::from(DAY) + i128::from(self.micros)
    }
}

/// Seconds with a fraction: whole ones, and microseconds.
pub(super) fn seconds(text: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut micros = 0;
    for index in 0..6 {
        let digit = match fraction.as_bytes().get(index) {
            Some(digit) if digit.is_ascii_digit() => i64::from(digit - b'0'),
            Some(_) => return None,
            None => 0,
        };
        micros = micros * 10 + digit;
    }
    Some((whole.parse().ok()?, micros))
}

/// `+02:30`, `-08`, `Z` or nothing.
fn offset(text: &str) -> Option<Option<i32>> {
    let sign = match text.as_bytes().first() {
        None => return Some(None),
        Some(b'Z') => return Some(Some(0)),
        Some(b'+') => 1,
        _ => -1,
    };
    let mut total = 0;
    for (part, scale) in text[1..].split(':').zip([3600, 60, 1]) {
        total += part.parse::<i32>().ok()? * scale;
    }
    Some(Some(sign * total))
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        if self.micro != 0 {
            write!(f, ".{:06}", self.micro)?;
        }
        if let Some(offset) = self.offset {
            let sign = if offset < 0 { '-' } else { '+' };
            let offset = offset.unsigned_abs();
            write!(f, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60)?;
            if offset % 60 != 0 {
                write!(f, ":{:02}", offset % 60)?;
            }
        }
        Ok(())
    }
}

/// As SQL writes it, with a space in the middle.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date, self.time)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_there_and_back(days in -719_162_i64..=2_932_896) {
            let date = Date::from_days(days).unwrap();
            prop_assert_eq!(date.days(), days);
            prop_assert_eq!(Date::parse(&date.to_string()), Some(date));
        }

        #[test]
        fn points_there_and_back(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000, offset in -86_000_i32..86_000) {
            let mut point = DateTime::from_micros(micros).unwrap();
            prop_assert_eq!(point.wall_micros(), micros);
            prop_assert_eq!(DateTime::parse(&point.to_string()), Some(point));
            point.time.offset = Some(offset);
            prop_assert_eq!(DateTime::parse(&point.to_string()), Some(point));
        }
    }

    #[test]
    fn the_calendar_is_that_of_python() {
        assert_eq!(Date::MIN.days(), -719_162);
        assert_eq!(Date::MAX.days(), 2_932_896);
        assert_eq!(Date::from_days(2_932_897), None);
        assert_eq!(Date::from_days(0).unwrap().to_string(), "1970-01-01");
        assert_eq!(Date::from_days(11_016).unwrap().to_string(), "2000-02-29");
        for none in ["2024-13-01", "2023-02-29", "2024-04-31", "2024-01-00"] {
            assert_eq!(Date::parse(none), None);
        }
    }

    #[test]
    fn midnight_at_the_end_of_a_day_is_midnight() {
        assert_eq!(Time::parse("24:00:00"), Some(Time::MIDNIGHT));
        assert_eq!(
            Time::parse("13:14:15.5-08").unwrap().to_string(),
            "13:14:15.500000-08:00"
        );
        assert_eq!(Time::parse("25:00:00"), None);
    }
}
