//! Objects as people read them on a terminal.

use busbar_admin::objects::ObjectView;
use serde_json::Value;

use crate::cli::objects::Field;

/// Longest value that a table shows in full.
const MAX_CELL: usize = 60;

/// A table with a line for each object: its name, whether it is on, and the fields that every object of its type has.
pub fn table(fields: &[Field], objects: &[ObjectView]) -> String {
    let shown: Vec<&str> = fields
        .iter()
        .filter(|field| field.is_required && !field.is_secret)
        .map(|field| field.name.as_str())
        .collect();
    let mut rows = vec![
        ["name", "active", "version"]
            .into_iter()
            .chain(shown.iter().copied())
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    ];
    for object in objects {
        let active = if object.is_active { "yes" } else { "no" };
        let mut row = vec![object.name.clone(), active.to_owned(), object.version.to_string()];
        row.extend(shown.iter().map(|name| cell(object.fields.get(*name))));
        rows.push(row);
    }
    aligned(&rows)
}

/// One object, a field a line.
pub fn one(object: &ObjectView) -> String {
    let mut rows = vec![
        vec!["name".to_owned(), object.name.clone()],
        vec!["is_active".to_owned(), object.is_active.to_string()],
        vec!["version".to_owned(), object.version.to_string()],
    ];
    for (name, value) in &object.fields {
        rows.push(vec![name.clone(), plain(Some(value))]);
    }
    aligned(&rows)
}

fn cell(value: Option<&Value>) -> String {
    let text = plain(value);
    if text.chars().count() <= MAX_CELL {
        return text;
    }
    text.chars().take(MAX_CELL - 1).chain(['…']).collect()
}

/// Text without quotes, in one line.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.replace('\n', "\\n"),
        Some(other) => other.to_string(),
    }
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_values_stay_in_their_line() {
        let object = ObjectView {
            id: 7,
            kind: "outgoing.http".into(),
            name: "crm".into(),
            is_active: false,
            version: 12,
            fields: json!({"host": "http://a", "note": "two\nlines", "size": 3, "gone": null})
                .as_object()
                .cloned()
                .unwrap_or_default(),
        };
        assert_eq!(
            one(&object),
            "name       crm\nis_active  false\nversion    12\nhost       http://a\nnote       two\\nlines\nsize       3\ngone\n"
        );
        assert_eq!(table(&[], &[object]), "name  active  version\ncrm   no      12\n");
    }
}
