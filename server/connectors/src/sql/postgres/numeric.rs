//! Exact numbers on the wire.

use super::types::Wrong;

/// Reads an exact number, and writes it behind a text: groups of four digits, where the point stands among them, and how many digits are
/// behind it.
pub(super) fn read_numeric(bytes: &[u8], out: &mut String) -> Result<(), Wrong> {
    let short = || Wrong::Borrowed("its length on the wire is wrong");
    let (head, groups) = bytes.split_at_checked(8).ok_or_else(short)?;
    let word = |index: usize| [head[index * 2], head[index * 2 + 1]];
    let count = usize::try_from(i16::from_be_bytes(word(0))).unwrap_or(0);
    let weight = i64::from(i16::from_be_bytes(word(1)));
    let sign = u16::from_be_bytes(word(2));
    let scale = usize::from(u16::from_be_bytes(word(3)));
    let (begin, is_finite) = match sign {
        0x0000 => ("", true),
        0x4000 => ("-", true),
        0xC000 => ("NaN", false),
        0xD000 => ("Infinity", false),
        0xF000 => ("-Infinity", false),
        _ => return Err("its sign is not known".into()),
    };
    out.push_str(begin);
    if !is_finite {
        return Ok(());
    }
    let (groups, _) = groups.get(..count * 2).ok_or_else(short)?.as_chunks();
    // before the first group that is stored, and behind the last, there are only zeros
    let group = |place: i64| {
        let stored = usize::try_from(place).ok().and_then(|place| groups.get(place));
        digits(stored.map_or(0, |group| u16::from_be_bytes(*group)))
    };
    out.reserve(count * 4 + scale + 3);
    let start = out.len();
    for place in 0..=weight {
        let group = group(place);
        let zeros = match out.len() > start {
            true => 0,
            false => group.iter().take_while(|digit| **digit == b'0').count(),
        };
        out.extend(group[zeros..].iter().map(|digit| char::from(*digit)));
    }
    if out.len() == start {
        out.push('0');
    }
    if scale > 0 {
        out.push('.');
        let mut left = scale;
        let mut place = weight + 1;
        while left > 0 {
            let group = group(place);
            let taken = left.min(4);
            out.extend(group[..taken].iter().map(|digit| char::from(*digit)));
            left -= taken;
            place += 1;
        }
    }
    Ok(())
}

/// The digits of a group of four.
#[inline]
fn digits(group: u16) -> [u8; 4] {
    [group / 1000, group / 100, group / 10, group].map(|number| b'0' + (number % 10) as u8)
}

/// Writes an exact number as `Decimal` spells it, with an exponent or without.
pub(super) fn write_numeric(text: &str, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let wrong = || Wrong::Owned(format!("`{text}` is no number"));
    let (is_negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let head = |out: &mut Vec<u8>, words: [u16; 4]| words.iter().for_each(|word| out.extend(word.to_be_bytes()));
    if digits.eq_ignore_ascii_case("infinity") || digits.eq_ignore_ascii_case("inf") {
        head(out, [0, 0, if is_negative { 0xF000 } else { 0xD000 }, 0]);
        return Ok(());
    }
    if digits.eq_ignore_ascii_case("nan") || digits.eq_ignore_ascii_case("snan") {
        head(out, [0, 0, 0xC000, 0]);
        return Ok(());
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| wrong())?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    // the point stands after so many of the digits
    let point = whole.len() as i64 + exponent;
    let scale = (fraction.len() as i64 - exponent).max(0);
    if point > 131_072 || scale > 16_383 {
        return Err(format!(
            "the number has more digits than numeric can have: {} before, {scale} behind",
            point.max(0)
        )
        .into());
    }
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let digit = |place: i64| {
        usize::try_from(place)
            .ok()
            .and_then(|place| all.get(place))
            .copied()
            .unwrap_or(0)
    };
    // groups of four, counted from the point
    let first = -point.div_euclid(4) - i64::from(point.rem_euclid(4) != 0);
    let last = (scale + 3) / 4;
    let mut groups: Vec<u16> = (first..last)
        .map(|group| (0..4).fold(0, |sum, index| sum * 10 + u16::from(digit(point + group * 4 + index))))
        .collect();
    let mut weight = -first - 1;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= leading as i64;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let count = i16::try_from(groups.len()).map_err(|_| wrong())?;
    let weight = i16::try_from(weight).map_err(|_| wrong())?;
    let sign = if is_negative && !groups.is_empty() { 0x4000 } else { 0 };
    head(out, [count as u16, weight as u16, sign, scale as u16]);
    groups.iter().for_each(|group| out.extend(group.to_be_bytes()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric(text: &str) -> String {
        let mut wire = Vec::new();
        write_numeric(text, &mut wire).unwrap();
        // what was written before stays
        let mut out = "7".to_owned();
        read_numeric(&wire, &mut out).unwrap();
        out.split_off(1)
    }

    #[test]
    fn exact_numbers_keep_every_digit() {
        for (text, expected) in [
            ("0", "0"),
            ("0.00", "0.00"),
            ("-0.0001", "-0.0001"),
            ("12345.6789", "12345.6789"),
            ("10000", "10000"),
            ("100000000.00000001", "100000000.00000001"),
            ("1E+5", "100000"),
            ("1.5E-7", "0.00000015"),
            ("0E-3", "0.000"),
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
            (
                "99999999999999999999999999999999.99",
                "99999999999999999999999999999999.99",
            ),
        ] {
            assert_eq!(numeric(text), expected, "{text}");
        }
        for text in ["", "1,5", "1E", "0x1", "1E+200000", "1E-20000"] {
            assert!(write_numeric(text, &mut Vec::new()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn exact_numbers_there_and_back(whole in "0|[1-9][0-9]{0,30}", fraction in "[0-9]{0,30}", minus in any::<bool>()) {
            let mut text = if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") };
            let is_zero = !text.contains(|digit: char| ('1'..='9').contains(&digit));
            if minus && !is_zero {
                text.insert(0, '-');
            }
            prop_assert_eq!(numeric(&text), text);
        }
    }
}
