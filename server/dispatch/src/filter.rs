//! Which services a server has, by their names.

/// Patterns of names, with `*` for any characters and `?` for one.
#[derive(Debug, Clone, Default)]
pub struct NameFilter {
    /// A service must match one of these; empty: every name does.
    pub allow: Vec<String>,
    /// A service must match none of these.
    pub deny: Vec<String>,
}

impl NameFilter {
    /// Whether a service of this name is deployed.
    pub fn allows(&self, name: &str) -> bool {
        let one_of = |patterns: &[String]| {
            patterns
                .iter()
                .any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
        };
        (self.allow.is_empty() || one_of(&self.allow)) && !one_of(&self.deny)
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    // where to go on from if what follows a star does not match: the star, and what it has taken so far
    let mut star: Option<(usize, usize)> = None;
    while pos < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, pos));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[pos] => {
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
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn what_is_denied_is_not_allowed() {
        let filter = NameFilter {
            allow: vec!["crm.*".to_owned(), "erp.*".to_owned()],
            deny: vec!["*.test-*".to_owned()],
        };
        assert!(filter.allows("crm.get") && filter.allows("erp.get"));
        assert!(!filter.allows("hr.get") && !filter.allows("crm.test-get"));
        assert!(NameFilter::default().allows("anything"));
    }
}
