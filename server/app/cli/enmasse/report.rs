//! What is wrong, in the shape that enmasse of Zato reports it (operations.md 6.1): a table of keys and values under a headline.

use busbar_admin::Problems;

/// Width of the first column: the longest key is `warn0001/W01`.
const KEY_WIDTH: usize = 12;

/// The report. `widths` are those of the columns; a value is broken into lines only if its width is given.
pub fn table(problems: &Problems, widths: &[usize]) -> String {
    let (mut warnings, mut errors) = (0, 0);
    let mut rows = Vec::with_capacity(problems.0.len());
    for problem in &problems.0 {
        let (word, number) = if problem.code.is_warning() {
            warnings += 1;
            ("warn", warnings)
        } else {
            errors += 1;
            ("err", errors)
        };
        rows.push((format!("{word}{number:04}/{}", problem.code), problem.to_string()));
    }
    let key_width = widths.first().copied().unwrap_or_default().max(KEY_WIDTH);
    let value_width = widths.get(1).copied().filter(|it| *it > 0).unwrap_or(usize::MAX);
    let mut text = format!(
        "{warnings} warnings and {errors} errors found:\n{:key_width$}  Value",
        "Key"
    );
    for (key, value) in rows {
        let mut key = key.as_str();
        for line in value.lines().flat_map(|line| pieces(line, value_width)) {
            text.push_str(&format!("\n{key:key_width$}  {line}"));
            key = "";
        }
    }
    text
}

/// A line in pieces of at most `width` characters, broken between words where there are any.
fn pieces(line: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut length = 0;
    for word in line.split_inclusive(' ') {
        let last = pieces.len() - 1;
        let count = word.trim_end().chars().count();
        if length > 0 && length + count > width {
            let end = pieces[last].trim_end().len();
            pieces[last].truncate(end);
            pieces.push(word.to_owned());
            length = word.chars().count();
        } else {
            pieces[last].push_str(word);
            length += word.chars().count();
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use busbar_admin::{Code, Problem};

    use super::*;

    #[test]
    fn keys_are_counted_and_values_broken_where_asked() {
        let problem = |code, message: &str| Problem::new(code, message).in_file("a.yaml");
        let problems = Problems(vec![
            problem(Code::W01, "exists already and is different"),
            problem(Code::E04, "is required"),
            problem(Code::W04, "there is no security definition `a`"),
        ]);
        assert_eq!(
            table(&problems, &[]),
            "\
2 warnings and 1 errors found:
Key           Value
warn0001/W01  a.yaml: exists already and is different (W01)
err0001/E04   a.yaml: is required (E04)
warn0002/W04  a.yaml: there is no security definition `a` (W04)"
        );
        assert_eq!(
            table(&Problems(problems.0[..1].to_vec()), &[15, 20]),
            "\
1 warnings and 0 errors found:
Key              Value
warn0001/W01     a.yaml: exists
                 already and is
                 different (W01)"
        );
    }
}
