//! Which services a server has, by their names.

use busbar_model::wildcard;

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
                .any(|pattern| wildcard::matches(pattern, name, Some(b'?')))
        };
        (self.allow.is_empty() || one_of(&self.allow)) && !one_of(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
