//! `INSERT ... VALUES (%s, %s)` of many rows as one statement: `INSERT ... VALUES (1, 'a'), (2, 'b')`.

use super::super::error::SqlFailure;
use super::super::scan::{Scanned, Verb, join};
use super::super::value::Param;
use super::literal::{Quoting, write_with_values};
use super::long::is_long;

/// Bytes of a statement with which it ends that many rows are in: a server takes 16 MB at a time, unless it is told otherwise.
const MAX_BYTES: usize = 1_000_000;

/// An INSERT that can take several rows.
pub(super) struct Rows<'a> {
    before: &'a str,
    /// What stands between the values of one.
    row: Vec<String>,
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
        let lower_row = row.to_ascii_lowercase();
        let after = &tail[close..];
        // strings and comments may hold anything, and so may queries within
        let is_simple = !row.contains(['\'', '"', '`', '#'])
            && !row.contains("--")
            && !row.contains("/*")
            && !["select", "last_insert_id"].iter().any(|word| lower_row.contains(word))
            // a query over VALUES gives something for all of them together
            && !lower[..open].contains("select");
        // further rows, maybe behind a comment
        let ends = !after.trim_start().starts_with([',', '/', '-', '#']);
        (is_simple && ends).then(|| Self {
            before: &head[..open],
            row: pieces,
            after,
        })
    }

    /// The statement for the first of the lists, and as many of the others as go with it; and how many those are.
    pub(super) fn text(&self, lists: &[Vec<Param>], quoting: Quoting) -> Result<(String, usize), SqlFailure> {
        let mut out = self.before.to_owned();
        let mut count = 0;
        for list in lists {
            let end = out.len();
            if count > 0 {
                if list.iter().any(is_long) {
                    break;
                }
                out.push_str(", ");
            }
            let written = write_with_values(&self.row, list, quoting, &mut out);
            if count > 0 && (written.is_err() || out.len() > MAX_BYTES) {
                // it goes with the next ones, or fails alone
                out.truncate(end);
                break;
            }
            written?;
            count += 1;
        }
        out.push_str(self.after);
        Ok((out, count))
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

#[cfg(test)]
mod tests {
    use super::super::super::options::Engine;
    use super::super::super::scan::Style;
    use super::*;

    fn scanned(sql: &str) -> Scanned {
        Scanned::new(sql, Some(Style::Pyformat), Engine::MySql).unwrap()
    }

    fn twice(sql: &str) -> Option<String> {
        let scanned = scanned(sql);
        let lists = [1, 2].map(|number| vec![Param::Int(number); scanned.slots.len()]);
        Rows::of(&scanned).map(|rows| rows.text(&lists, Quoting::Escaped).unwrap().0)
    }

    #[test]
    fn a_row_is_repeated() {
        for (sql, expected) in [
            ("INSERT INTO t VALUES (%s, %s)", "INSERT INTO t VALUES (1, 1), (2, 2)"),
            (
                "insert into `values` (a) values(now(), f(%s, 1)) on duplicate key update a = values(a)",
                "insert into `values` (a) values(now(), f(1, 1)), (now(), f(2, 1)) on duplicate key update a = values(a)",
            ),
            ("REPLACE t (a) VALUES\n(%s);", "REPLACE t (a) VALUES\n(1), (2);"),
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
            "INSERT INTO t VALUES (%s) /* further */, (99)",
        ] {
            assert_eq!(twice(sql), None, "{sql}");
        }
    }

    #[test]
    fn rows_go_together_up_to_a_length() {
        let insert = scanned("INSERT INTO t VALUES (%s)");
        let rows = Rows::of(&insert).unwrap();
        let count = |lists: &[Vec<Param>]| rows.text(lists, Quoting::Escaped).unwrap().1;
        assert_eq!(count(&vec![vec![Param::Int(1)]; 10_000]), 10_000);
        let long = vec![Param::Text("x".repeat(MAX_BYTES / 2))];
        assert_eq!(count(&[vec![Param::Int(1)], long.clone(), long.clone()]), 2);
        assert_eq!(count(&[long.clone(), long]), 1);
        // what cannot be written fails when its turn comes
        assert_eq!(count(&[vec![Param::Int(1)], vec![Param::Float(f64::NAN)]]), 1);
        assert!(rows.text(&[vec![Param::Float(f64::NAN)]], Quoting::Escaped).is_err());
    }
}
