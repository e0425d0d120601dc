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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The wire form of a number without an exponent.
    fn wire(text: &str) -> Vec<u8> {
        let (sign, digits) = text.strip_prefix('-').map_or((0, text), |digits| (0x4000, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
        let all = format!("{whole}{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
        let groups: Vec<u16> = (0..all.len() / 4)
            .map(|at| all[at * 4..at * 4 + 4].parse().unwrap())
            .collect();
        // zeros at either end are not stored
        let first = groups.iter().take_while(|group| **group == 0).count();
        let stored = groups[first..]
            .iter()
            .rposition(|group| *group != 0)
            .map_or(0, |last| last + 1);
        let weight = if stored == 0 {
            0
        } else {
            (whole.len() / 4) as i16 - 1 - first as i16
        };
        let head = [stored as u16, weight as u16, sign, fraction.len() as u16];
        let stored = &groups[first..first + stored];
        head.iter().chain(stored).flat_map(|word| word.to_be_bytes()).collect()
    }

    fn numeric(wire: &[u8]) -> String {
        // what was written before stays
        let mut out = "7".to_owned();
        read_numeric(wire, &mut out).unwrap();
        out.split_off(1)
    }

    #[test]
    fn exact_numbers_keep_every_digit() {
        for text in [
            "0",
            "0.00",
            "-0.0001",
            "12345.6789",
            "10000",
            "100000000.00000001",
            "99999999999999999999999999999999.99",
        ] {
            assert_eq!(numeric(&wire(text)), text);
        }
        assert_eq!(numeric(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), "NaN");
        assert_eq!(numeric(&[0, 0, 0, 0, 0xF0, 0, 0, 0]), "-Infinity");
        assert!(read_numeric(&[0, 1, 0, 0, 0, 0, 0, 0], &mut String::new()).is_err());
    }

    proptest! {
        #[test]
        fn exact_numbers_there_and_back(whole in "0|[1-9][0-9]{0,30}", fraction in "[0-9]{0,30}", minus in any::<bool>()) {
            let mut text = if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") };
            let is_zero = !text.contains(|digit: char| ('1'..='9').contains(&digit));
            if minus && !is_zero {
                text.insert(0, '-');
            }
            prop_assert_eq!(numeric(&wire(&text)), text);
        }
    }
}
