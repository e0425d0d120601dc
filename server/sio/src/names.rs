//! Naming rules: the type that a plain name implies (sio.md 2).

use busbar_model::sio::ElementKind;

/// Names that start so are truth values.
const BOOL_PREFIXES: &[&str] = &["by_", "has_", "is_", "may_", "needs_", "should_"];
/// Names that are integers.
const INT_NAMES: &[&str] = &["id"];
/// Names that end so are integers.
const INT_SUFFIXES: &[&str] = &["_count", "_id", "_size", "_size_min", "_size_max", "_timeout"];
/// Names whose values are secret.
const SECRET_NAMES: &[&str] = &[
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
];

/// What a name that is declared as plain text implies. Names are compared as written; truth values are told before integers, so
/// `is_id` is one.
pub fn kind_of(name: &str) -> ElementKind {
    if SECRET_NAMES.contains(&name) {
        ElementKind::Secret
    } else if BOOL_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        ElementKind::Bool
    } else if INT_NAMES.contains(&name) || INT_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        ElementKind::Int
    } else {
        ElementKind::Text
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
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
