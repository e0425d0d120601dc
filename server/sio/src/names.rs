//! Naming rules: the type that a plain name implies (sio.md 2), and what happens to those that imply none (5.3).

use busbar_model::sio::ElementKind;
use serde::{Deserialize, Serialize};

/// Which names imply which types: settings of a server. Names are compared as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamingRules {
    /// Names that start so are truth values.
    pub bool_prefixes: Vec<String>,
    /// Names that are integers.
    pub int_names: Vec<String>,
    /// Names that end so are integers.
    pub int_suffixes: Vec<String>,
    /// Names whose values are secret.
    pub secret_names: Vec<String>,
    /// How values of names that imply nothing are written.
    pub untyped_output: UntypedOutput,
}

/// How values of plain names that imply no type are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UntypedOutput {
    /// Numbers and truth values become text.
    #[default]
    Text,
    /// They stay what they are, as services of older servers expect.
    AsIs,
}

impl Default for NamingRules {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            bool_prefixes: list(&["by_", "has_", "is_", "may_", "needs_", "should_"]),
            int_names: list(&["id"]),
            int_suffixes: list(&["_count", "_id", "_size", "_size_min", "_size_max", "_timeout"]),
            secret_names: list(&[
                "auth_data",
                "auth_token",
                "password",
                "password1",
                "password2",
                "secret_key",
                "tls_pem_passphrase",
                "token",
                "api_key",
                "apiKey",
                "xApiKey",
            ]),
            untyped_output: UntypedOutput::default(),
        }
    }
}

impl NamingRules {
    /// What a name that is declared as plain text implies. Truth values are told before integers, so `is_id` is one.
    pub fn kind_of(&self, name: &str) -> ElementKind {
        let is = |names: &[String]| names.iter().any(|known| known == name);
        if is(&self.secret_names) {
            ElementKind::Secret
        } else if self.bool_prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            ElementKind::Bool
        } else if is(&self.int_names) || self.int_suffixes.iter().any(|suffix| name.ends_with(suffix)) {
            ElementKind::Int
        } else {
            ElementKind::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_imply_kinds() {
        for (name, kind) in [
            ("user_id", ElementKind::Int),
            ("id", ElementKind::Int),
            ("x_size_max", ElementKind::Int),
            ("ids", ElementKind::Text),
            ("User_ID", ElementKind::Text),
            ("is_id", ElementKind::Bool),
            ("may_x", ElementKind::Bool),
            ("island", ElementKind::Text),
            ("token", ElementKind::Secret),
            ("Token", ElementKind::Text),
            ("cust_type", ElementKind::Text),
        ] {
            assert_eq!(NamingRules::default().kind_of(name), kind, "{name}");
        }
    }

    #[test]
    fn rules_can_be_set() {
        let rules = NamingRules {
            bool_prefixes: vec!["can_".to_owned()],
            int_suffixes: vec!["_no".to_owned()],
            ..NamingRules::default()
        };
        assert_eq!(rules.kind_of("can_fly"), ElementKind::Bool);
        assert_eq!(rules.kind_of("is_open"), ElementKind::Text);
        assert_eq!(rules.kind_of("order_no"), ElementKind::Int);
        assert_eq!(rules.kind_of("user_id"), ElementKind::Text);
        assert_eq!(rules.kind_of("id"), ElementKind::Int);
    }
}
