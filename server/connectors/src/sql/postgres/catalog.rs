//! Types that users made: what the server says of them.

use std::collections::HashMap;

use super::super::error::SqlFailure;
use super::super::value::write_to;
use super::PgLink;
use super::types::PgKind;

/// The first number that a type of users can have.
const FIRST: u32 = 16_384;
/// How deep types may be made of others.
const DEPTH: usize = 16;

/// What a type is.
enum Made {
    /// Text: an enumeration, or text whose case does not count.
    Text,
    /// A domain over another one.
    Over(u32),
    /// An array of another one.
    ArrayOf(u32),
    /// Something else: its text is text.
    Other,
}

/// Types by their numbers.
#[derive(Default)]
pub(super) struct Catalog(HashMap<u32, Made>);

impl Catalog {
    /// The kind of a type.
    pub(super) fn kind(&self, oid: u32) -> PgKind {
        self.kind_within(oid, DEPTH)
    }

    fn kind_within(&self, oid: u32, depth: usize) -> PgKind {
        if let Some(kind) = PgKind::of_oid(oid) {
            return kind;
        }
        match self.0.get(&oid) {
            Some(Made::Text) => PgKind::Text,
            Some(Made::Over(base)) if depth > 0 => self.kind_within(*base, depth - 1),
            Some(Made::ArrayOf(element)) if depth > 0 => match self.kind_within(*element, depth - 1) {
                PgKind::Other => PgKind::Other,
                element => PgKind::Array(Box::new(element)),
            },
            _ => PgKind::Other,
        }
    }

    fn is_unknown(&self, oid: u32) -> bool {
        oid >= FIRST && !self.0.contains_key(&oid)
    }
}

impl PgLink {
    /// Asks the server for those of the types that are not known yet, and for what they are made of.
    pub(super) async fn learn(&mut self, oids: impl Iterator<Item = u32>) -> Result<(), SqlFailure> {
        let mut unknown: Vec<_> = oids.filter(|oid| self.catalog.is_unknown(*oid)).collect();
        for _ in 0..DEPTH {
            if unknown.is_empty() {
                break;
            }
            let mut sql = "SELECT oid, CASE WHEN typtype = 'e' OR (typtype = 'b' AND typname = 'citext') THEN 't' \
                WHEN typtype = 'd' THEN 'd' WHEN typcategory = 'A' AND typelem <> 0 THEN 'a' END, CASE typtype WHEN 'd' THEN typbasetype ELSE typelem END \
                FROM pg_catalog.pg_type WHERE oid IN (0"
                .to_owned();
            for oid in &unknown {
                write_to(&mut sql, format_args!(",{oid}"));
            }
            sql.push(')');
            let rows = self.line.texts(&sql).await?;
            // what is not there any more; a transaction may only not see it yet
            let is_certain = self.line.is_outside();
            for oid in unknown.drain(..).filter(|_| is_certain) {
                self.catalog.0.insert(oid, Made::Other);
            }
            for row in rows {
                let number = |index: usize| row.get(index).and_then(|text| text.as_deref()?.parse::<u32>().ok());
                let (Some(oid), Some(other)) = (number(0), number(2)) else {
                    continue;
                };
                let made = match row.get(1).and_then(|text| text.as_deref()) {
                    Some("t") => Made::Text,
                    Some("d") => Made::Over(other),
                    Some("a") => Made::ArrayOf(other),
                    _ => Made::Other,
                };
                if matches!(made, Made::Over(_) | Made::ArrayOf(_)) && self.catalog.is_unknown(other) {
                    unknown.push(other);
                }
                self.catalog.0.insert(oid, made);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_what_they_are_made_of() {
        let mut catalog = Catalog::default();
        let made = [
            (20_000, Made::Text),
            (20_001, Made::ArrayOf(20_000)),
            (20_002, Made::Over(23)),
            (20_003, Made::Over(20_002)),
            (20_004, Made::ArrayOf(20_005)),
            (20_005, Made::Other),
            (20_006, Made::Over(20_006)),
        ];
        catalog.0.extend(made);
        for (oid, kind) in [
            (20_001, PgKind::Array(Box::new(PgKind::Text))),
            (20_003, PgKind::Int4),
            (20_004, PgKind::Other),
            (20_006, PgKind::Other),
            (20_007, PgKind::Other),
            (25, PgKind::Text),
        ] {
            assert_eq!(catalog.kind(oid), kind, "{oid}");
        }
        assert!(catalog.is_unknown(20_007) && !catalog.is_unknown(600) && !catalog.is_unknown(20_000));
    }
}
