//! `INSERT ... VALUES (?, ?)` of many rows as one statement of MySQL: `INSERT ... VALUES (?, ?), (?, ?)`.

use super::scan::{Scanned, Verb, join};
use super::value::Param;

/// Rows of one statement.
const MAX_ROWS: usize = 256;
/// Placeholders of one statement.
const MAX_PLACEHOLDERS: usize = 16_384;
/// Bytes of text that go together, about.
const MAX_BYTES: usize = 1024 * 1024;

/// An INSERT that can take several rows.
pub(super) struct Rows<'a> {
    before: &'a str,
    row: String,
    after: &'a str,
}

impl<'a> Rows<'a> {
    /// The parts of a statement; `None` if it is another one, or may be.
    pub(super) fn of(scanned: &'a Scanned) -> Option<Self> {
        if scanned.verb != Verb::Change || scanned.is_script {
            return None;
        }
        let [head, .., tail] = scanned.pieces.as_slice() else {
            return None;
        };
        let lower = head.to_ascii_lowercase();
        let starts = |word| lower.trim_start().starts_with(word);
        let open = lower.rfind("values")? + "values".len();
        let open = open + head[open..].find('(')?;
        let is_values = lower[..open].trim_end().ends_with("values");
        if !(starts("insert") || starts("replace")) || !is_values {
            return None;
        }
        // up to the parenthesis that closes the row, which must be behind the last placeholder
        let middle = &scanned.pieces[1..scanned.pieces.len() - 1];
        let mut depth = depth_of(&head[open..], 0)?;
        for piece in middle {
            depth = depth_of(piece, depth)?;
        }
        let mut close = None;
        for (at, character) in tail.char_indices() {
            match character {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                close = Some(at + 1);
                break;
            }
        }
        let close = close?;
        let mut pieces = vec![head[open..].to_owned()];
        pieces.extend_from_slice(middle);
        pieces.push(tail[..close].to_owned());
        let row = join(&pieces, |out, _| out.push('?'));
        let after = &tail[close..];
        // strings and comments may hold anything, and so may queries within
        let is_simple = !row.contains(['\'', '"', '`', '#'])
            && !row.contains("--")
            && !row.contains("/*")
            && !["select", "last_insert_id"].iter().any(|word| row.to_ascii_lowercase().contains(word))
            // a query over VALUES gives something for all of them together
            && !lower[..open].contains("select");
        (is_simple && !after.trim_start().starts_with(',')).then(|| Self {
            before: &head[..open],
            row,
            after,
        })
    }

    /// How many of the lists go together: a power of two, so that few statements have to be prepared.
    pub(super) fn fit(lists: &[Vec<Param>]) -> usize {
        let each = lists.first().map_or(1, |list| list.len().max(1));
        let limit = lists.len().min(MAX_ROWS).min(MAX_PLACEHOLDERS / each).max(1);
        let mut count = 1 << limit.ilog2();
        while count > 1 && lists[..count].iter().flatten().map(size).sum::<usize>() > MAX_BYTES {
            count /= 2;
        }
        count
    }

    /// The statement for so many rows.
    pub(super) fn text(&self, count: usize) -> String {
        let rows = vec![self.row.as_str(); count].join(", ");
        format!("{}{rows}{}", self.before, self.after)
    }
}

/// How deep in parentheses a text ends that begins so deep; `None`: it comes out of all of them before.
fn depth_of(text: &str, mut depth: i32) -> Option<i32> {
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => return None,
            b')' => depth -= 1,
            _ => {}
        }
    }
    Some(depth)
}

fn size(value: &Param) -> usize {
    match value {
        Param::Text(text) | Param::Decimal(text) | Param::Json(text) => text.len(),
        Param::Bytes(bytes) => bytes.len(),
        _ => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::Engine;
    use super::super::scan::Style;
    use super::*;

    fn twice(sql: &str) -> Option<String> {
        let scanned = Scanned::new(sql, Some(Style::Pyformat), Engine::MySql).unwrap();
        Rows::of(&scanned).map(|rows| rows.text(2))
    }

    #[test]
    fn a_row_is_repeated() {
        for (sql, expected) in [
            ("INSERT INTO t VALUES (%s, %s)", "INSERT INTO t VALUES (?, ?), (?, ?)"),
            (
                "insert into `values` (a) values(now(), f(%s, 1)) on duplicate key update a = values(a)",
                "insert into `values` (a) values(now(), f(?, 1)), (now(), f(?, 1)) on duplicate key update a = values(a)",
            ),
            ("REPLACE t (a) VALUES\n(%s);", "REPLACE t (a) VALUES\n(?), (?);"),
        ] {
            assert_eq!(twice(sql).as_deref(), Some(expected), "{sql}");
        }
    }

    #[test]
    fn what_may_mean_something_else_is_left_alone() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t SELECT %s",
            "INSERT INTO t VALUES (%s), (%s)",
            "INSERT INTO t VALUES (%s, 'x)')",
            "INSERT INTO t VALUES (%s, (SELECT max(a) FROM t))",
            "INSERT INTO t VALUES (%s) ON DUPLICATE KEY UPDATE a = %s",
            "INSERT INTO t SET a = %s",
            "UPDATE t SET a = %s WHERE b IN (%s)",
            "INSERT INTO t VALUES (%s); SELECT 1",
        ] {
            assert_eq!(twice(sql), None, "{sql}");
        }
    }

    #[test]
    fn few_statements_do_for_any_number_of_rows() {
        let lists = vec![vec![Param::Int(1)]; 300];
        let (mut at, mut sizes) = (0, Vec::new());
        while at < lists.len() {
            sizes.push(Rows::fit(&lists[at..]));
            at += sizes.last().unwrap();
        }
        assert_eq!(sizes, [256, 32, 8, 4]);
        let long = vec![vec![Param::Text("x".repeat(MAX_BYTES))]; 4];
        assert_eq!(Rows::fit(&long), 1);
        assert_eq!(Rows::fit(&long[..1]), 1);
    }
}
