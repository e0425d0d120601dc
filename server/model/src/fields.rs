//! What object types do alike with the fields of their items: defaults, old spellings, limits.

use serde_json::{Map, Value};

use crate::object::FieldError;

/// The default of what is on unless it is switched off.
pub fn yes() -> bool {
    true
}

/// Takes out fields that say nothing here.
pub fn ignore(item: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        item.remove(*name);
    }
}

/// Takes out of the item of a security definition what it may carry and what says nothing here: its type, which chose this one, numbers of
/// another database, how exact limits are; and every field without a value, which stands for the default.
pub fn ignore_foreign(item: &mut Map<String, Value>) {
    ignore(
        item,
        &[
            "type",
            "sec_type",
            "id",
            "cluster_id",
            "opaque1",
            "is_internal",
            "rate_limit_type",
            "rate_limit_check_parent_def",
        ],
    );
    ignore_nulls(item);
}

/// Takes out every field without a value: it stands for the default.
pub fn ignore_nulls(item: &mut Map<String, Value>) {
    item.retain(|_, value| !value.is_null());
}

/// Takes out such of these fields as are empty texts, which stand for the default.
pub fn ignore_empty(item: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if item.get(*name).is_some_and(|value| value.as_str() == Some("")) {
            item.remove(*name);
        }
    }
}

/// Gives a field its name of today: the first of its `old` ones that has a value, unless there is one under `new`.
pub fn rename(item: &mut Map<String, Value>, old: &[&str], new: &str) {
    let is_nothing = |value: &Value| value.is_null() || value.as_str() == Some("");
    for name in old {
        if let Some(value) = item.remove(*name)
            && !value.is_null()
            && item.get(new).is_none_or(is_nothing)
        {
            item.insert(new.to_owned(), value);
        }
    }
}

/// Makes numbers of such of these fields as are written as text.
pub fn read_numbers(item: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        let number = item
            .get(*name)
            .and_then(Value::as_str)
            .and_then(|text| serde_json::from_str(text.trim()).ok());
        if let Some(number @ Value::Number(_)) = number {
            item.insert((*name).to_owned(), number);
        }
    }
}

/// Checks the field `timeout`: seconds, a day at most.
///
/// # Errors
///
/// It is something else.
pub fn check_timeout(seconds: f64) -> Result<(), FieldError> {
    if seconds > 0.0 && seconds <= 86_400.0 {
        return Ok(());
    }
    Err(FieldError::new(
        "timeout",
        "must be more than 0 and at most 86400 seconds",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn old_names_give_way_to_new_ones() {
        for (item, expected) in [
            (json!({"b": 1}), json!({"a": 1})),
            (json!({"c": 2, "b": null}), json!({"a": 2})),
            (json!({"b": 1, "c": 2}), json!({"a": 1})),
            (json!({"b": 1, "a": 3}), json!({"a": 3})),
            (json!({"b": 1, "a": ""}), json!({"a": 1})),
        ] {
            let mut item = object(item);
            rename(&mut item, &["b", "c"], "a");
            assert_eq!(Value::Object(item), expected);
        }
    }

    #[test]
    fn numbers_are_read_from_text() {
        let mut item = object(json!({"a": " 7 ", "b": "1.5", "c": "x", "d": "true", "e": 1}));
        read_numbers(&mut item, &["a", "b", "c", "d", "e", "f"]);
        assert_eq!(
            Value::Object(item),
            json!({"a": 7, "b": 1.5, "c": "x", "d": "true", "e": 1})
        );
    }

    #[test]
    fn timeouts_are_bounded() {
        assert!(check_timeout(0.5).is_ok() && check_timeout(86_400.0).is_ok());
        for wrong in [0.0, -1.0, 86_401.0, f64::NAN, f64::INFINITY] {
            assert_eq!(check_timeout(wrong).unwrap_err().field, "timeout");
        }
    }
}
