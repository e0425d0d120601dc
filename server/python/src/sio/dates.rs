//! Dates and times: ISO text is read here, any other spelling by `dateutil` where it is installed.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDate, PyDateAccess, PyDateTime, PyDelta, PyString, PyTzInfo};

/// Reads a point in time: a `datetime` as it is, a `date` as its midnight, text in any spelling. Errors say why not.
pub(crate) fn read_datetime<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if value.is_instance_of::<PyDateTime>() {
        return Ok(value.clone());
    }
    if let Ok(date) = value.cast::<PyDate>() {
        return Ok(
            PyDateTime::new(py, date.get_year(), date.get_month(), date.get_day(), 0, 0, 0, 0, None)?.into_any(),
        );
    }
    let Ok(text) = value.cast::<PyString>() else {
        return Err(PyValueError::new_err("text is expected"));
    };
    match Iso::parse(text.to_str()?.trim()) {
        Some(iso) => iso.to_python(py),
        None => match py.import(intern!(py, "dateutil.parser")) {
            Ok(parser) => parser.call_method1(intern!(py, "parse"), (text,)),
            Err(_) => Err(PyValueError::new_err(
                "ISO 8601 is expected, other spellings need the package `python-dateutil`",
            )),
        },
    }
}

/// Reads a date, as the `datetime` of its midnight.
pub(crate) fn read_date<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let time = read_datetime(value)?;
    let date = time.cast::<PyDateTime>()?;
    Ok(PyDateTime::new(py, date.get_year(), date.get_month(), date.get_day(), 0, 0, 0, 0, None)?.into_any())
}

/// `2021-02-03`, `2021-02-03T04:05:06.789+02:00` and what is between.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Iso {
    year: i32,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    microsecond: u32,
    /// Seconds east of UTC; `None`: no zone is given.
    offset: Option<i32>,
}

impl Iso {
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.as_bytes();
        let year = digits(&mut rest, 4)? as i32;
        literal(&mut rest, b'-')?;
        let month = digits(&mut rest, 2)? as u8;
        literal(&mut rest, b'-')?;
        let day = digits(&mut rest, 2)? as u8;
        let mut iso = Self {
            year,
            month,
            day,
            hour: 0,
            minute: 0,
            second: 0,
            microsecond: 0,
            offset: None,
        };
        if rest.is_empty() {
            return Some(iso);
        }
        if !matches!(rest[0], b'T' | b't' | b' ') {
            return None;
        }
        rest = &rest[1..];
        iso.hour = digits(&mut rest, 2)? as u8;
        literal(&mut rest, b':')?;
        iso.minute = digits(&mut rest, 2)? as u8;
        if literal(&mut rest, b':').is_some() {
            iso.second = digits(&mut rest, 2)? as u8;
            if literal(&mut rest, b'.').or_else(|| literal(&mut rest, b',')).is_some() {
                let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if length == 0 || length > 9 {
                    return None;
                }
                let (fraction, after) = rest.split_at(length);
                let padded = fraction.iter().chain(b"000000").take(6);
                iso.microsecond = padded.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
                rest = after;
            }
        }
        iso.offset = match rest.first() {
            None => None,
            Some(b'Z' | b'z') if rest.len() == 1 => Some(0),
            Some(sign @ (b'+' | b'-')) => {
                let sign = if *sign == b'-' { -1 } else { 1 };
                rest = &rest[1..];
                let hours = digits(&mut rest, 2)? as i32;
                let _ = literal(&mut rest, b':');
                let minutes = if rest.is_empty() {
                    0
                } else {
                    digits(&mut rest, 2)? as i32
                };
                if !rest.is_empty() || minutes > 59 {
                    return None;
                }
                Some(sign * (hours * 3600 + minutes * 60))
            }
            Some(_) => return None,
        };
        Some(iso)
    }

    /// Python checks the ranges.
    fn to_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let zone = match self.offset {
            None => None,
            Some(0) => Some(PyTzInfo::utc(py)?.to_owned()),
            Some(seconds) => Some(PyTzInfo::fixed_offset(py, PyDelta::new(py, 0, seconds, 0, true)?)?),
        };
        PyDateTime::new(
            py,
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.microsecond,
            zone.as_ref(),
        )
        .map(Bound::into_any)
    }
}

fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(count)?;
    let number = head.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
    })?;
    *rest = tail;
    Some(number)
}

fn literal(rest: &mut &[u8], byte: u8) -> Option<()> {
    let tail = rest.strip_prefix(&[byte])?;
    *rest = tail;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::attach;

    #[test]
    fn iso_text_is_read() {
        attach(|py| {
            for (text, iso) in [
                ("2021-02-03", "2021-02-03T00:00:00"),
                ("2021-02-03T04:05:06", "2021-02-03T04:05:06"),
                ("2021-02-03 04:05", "2021-02-03T04:05:00"),
                ("2021-02-03T04:05:06.5", "2021-02-03T04:05:06.500000"),
                ("2021-02-03T04:05:06.123456789", "2021-02-03T04:05:06.123456"),
                ("2021-02-03T04:05:06Z", "2021-02-03T04:05:06+00:00"),
                ("2021-02-03T04:05:06-0530", "2021-02-03T04:05:06-05:30"),
                ("2021-02-03T04:05:06+02", "2021-02-03T04:05:06+02:00"),
                (" 2021-02-03 ", "2021-02-03T00:00:00"),
            ] {
                let time = read_datetime(PyString::new(py, text).as_any()).unwrap();
                assert_eq!(time.call_method0("isoformat").unwrap().to_string(), iso, "{text}");
            }
            let date = read_date(PyString::new(py, "2021-02-03T04:05:06Z").as_any()).unwrap();
            assert_eq!(
                date.call_method0("isoformat").unwrap().to_string(),
                "2021-02-03T00:00:00"
            );
        });
    }

    #[test]
    fn impossible_dates_are_refused() {
        attach(|py| {
            for text in [
                "2021-13-03",
                "2021-02-30",
                "2021-02-03T25:00:00",
                "soon",
                "",
                "2021-02-03T04:05:06+99:00",
            ] {
                assert!(read_datetime(PyString::new(py, text).as_any()).is_err(), "{text}");
            }
        });
    }
}
