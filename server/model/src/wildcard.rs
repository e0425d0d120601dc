//! Patterns of names in which `*` stands for any text.

/// Whether a whole name is what a pattern describes. `one`, such as `?`, stands for any one byte; `None`: nothing does.
pub fn matches(pattern: &str, name: &str, one: Option<u8>) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut pos) = (0, 0);
    // where to go on from if what follows a star does not match: the star, and what it has taken so far
    let mut star: Option<(usize, usize)> = None;
    while pos < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, pos));
                at += 1;
            }
            Some(&byte) if Some(byte) == one || byte == name[pos] => {
                at += 1;
                pos += 1;
            }
            _ => match &mut star {
                Some((star, taken)) => {
                    *taken += 1;
                    (at, pos) = (*star + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("crm.*", "crm.get-customer", true),
            ("crm.*", "my.crm.get", false),
            ("*", "", true),
            ("*.get-?", "a.get-1", true),
            ("*.get-?", "a.get-12", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, name, Some(b'?')), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_star_alone_may_be_special() {
        for (pattern, name, expected) in [
            ("pin", "pin", true),
            ("pin", "spin", false),
            ("*pin*", "spinning", true),
            ("card*", "card_no", true),
            ("card*", "a_card", false),
            ("*no", "card_no", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*b", "ab", false),
            ("*", "", true),
            ("a?", "ab", false),
            ("a?", "a?", true),
        ] {
            assert_eq!(matches(pattern, name, None), expected, "{pattern} {name}");
        }
    }
}
