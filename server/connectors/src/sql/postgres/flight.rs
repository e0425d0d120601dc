//! Statements that go to the server together, and take one round trip together.
//!
//! sqlx waits for the answer to each message before it sends the next, and its connection lets nobody else write to the server. But one
//! message may hold several statements of SQL, and one of those can be the execution of a statement that was prepared in SQL. So the
//! first statement of a transaction goes as `BEGIN;EXECUTE busbar_1('7')`, and one that is run with many lists of values as
//! `EXECUTE busbar_1('7');EXECUTE busbar_1('8')`. Values are literals without a type then, which the server reads as the type of the
//! parameter. What such messages give comes as text, so statements that give many rows are run the other way.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use futures_util::TryStreamExt;
use sqlx::postgres::PgColumn;
use sqlx::{AssertSqlSafe, Column as _, Either, Executor, Row as _};

use super::super::error::SqlFailure;
use super::super::outcome::{Columns, Outlet, RowKind};
use super::super::scan::{Scanned, Verb};
use super::super::value::{Param, float_text, hex, uuid_text, write_to};
use super::way::Way;
use super::write::write_quoted;
use super::{Fit, PgKind, PgLink, Plan, Prepared};

/// Rows beyond which the binary form is worth a round trip.
const MAX_ROWS: u64 = 100;
/// Statements of a connection that are prepared in SQL.
const MAX_NAMED: u32 = 500;
/// Bytes of one message.
const MAX_BYTES: usize = 256 * 1024;

/// What is known of a prepared statement for that.
#[derive(Default)]
pub(super) struct Named {
    /// Its number in SQL; 0: it has none yet.
    number: AtomicU32,
    /// Rows that it gave when it was run last, and one more; 0: it was not run yet.
    rows: AtomicU64,
}

impl Named {
    /// The statement has given so many rows.
    pub(super) fn gave(&self, rows: u64) {
        self.rows.store(rows + 1, Ordering::Relaxed);
    }

    /// What has to be closed on the server.
    pub(super) fn number(&self) -> Option<u32> {
        Some(self.number.load(Ordering::Relaxed)).filter(|number| *number > 0)
    }

    fn gives_few(&self) -> bool {
        (1..=MAX_ROWS).contains(&self.rows.load(Ordering::Relaxed))
    }
}

/// A message that has several statements.
pub(super) struct Flight {
    text: String,
    /// The number that the statement gets with it.
    names: Option<u32>,
    /// Whether a transaction begins with it.
    begins: bool,
    /// Statements before the one that was asked for.
    before: usize,
}

impl PgLink {
    /// The message that begins a transaction and runs a statement in it; `None`: that has to be done one after the other. `as_text`: what it
    /// gives is to come as text, however much it is.
    pub(super) async fn first_of_transaction(
        &mut self,
        begin: &str,
        scanned: &Scanned,
        fit: &Fit,
        list: &[Param],
        as_text: bool,
    ) -> Result<Option<Flight>, SqlFailure> {
        let Plan::Prepared(prepared, _) = &*fit.plan else {
            return Ok(None);
        };
        let number = self.number(scanned, prepared);
        let Some(number) = number.filter(|_| as_text || prepared.named.gives_few()) else {
            return Ok(None);
        };
        let mut executions = String::new();
        let is_written = write_execute(self.tag, number, prepared, list, &fit.ways, &mut executions);
        if !is_written || (prepared.has_styles() && !self.reads_text().await?) {
            return Ok(None);
        }
        Ok(Some(self.flight(Some(begin), prepared, &executions)))
    }

    /// The message that runs a statement and nothing else; `None`: it cannot be written.
    pub(super) fn alone(
        &mut self,
        scanned: &Scanned,
        prepared: &Prepared,
        list: &[Param],
        ways: &[Way],
    ) -> Option<Flight> {
        let number = self.number(scanned, prepared)?;
        let mut executions = String::new();
        let is_written = write_execute(self.tag, number, prepared, list, ways, &mut executions);
        is_written.then(|| self.flight(None, prepared, &executions))
    }

    /// The number by which a statement is known in SQL, or will be; `None`: it cannot be.
    fn number(&self, scanned: &Scanned, prepared: &Prepared) -> Option<u32> {
        // SELECT ... INTO cannot be prepared in SQL
        if prepared.columns.is_none() && scanned.verb != Verb::Change {
            return None;
        }
        let next = (self.named < MAX_NAMED).then_some(self.names + 1);
        prepared.named.number().or(next)
    }

    fn flight(&mut self, begin: Option<&str>, prepared: &Prepared, executions: &str) -> Flight {
        let mut flight = Flight {
            text: begin.map_or_else(String::new, |begin| format!("{begin};")),
            names: None,
            begins: begin.is_some(),
            before: usize::from(begin.is_some()),
        };
        for number in self.nameless.drain(..) {
            write_to(
                &mut flight.text,
                format_args!("DEALLOCATE busbar_{:x}_{number};", self.tag),
            );
            flight.before += 1;
            self.named -= 1;
        }
        if prepared.named.number().is_none() {
            self.names += 1;
            self.named += 1;
            // a comment may be the last of it
            let text = &prepared.text;
            write_to(
                &mut flight.text,
                format_args!("PREPARE busbar_{:x}_{} AS {text}\n;", self.tag, self.names),
            );
            flight.names = Some(self.names);
            flight.before += 1;
        }
        flight.text.push_str(executions);
        flight
    }

    /// Sends a message and takes what comes of it.
    pub(super) async fn fly(
        &mut self,
        flight: Flight,
        prepared: &Prepared,
        began: &mut bool,
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let mut stream = (&mut self.connection).fetch_many(sqlx::raw_sql(AssertSqlSafe(flight.text)));
        let (mut done, mut rows) = (0, 0);
        if flight.before == 0 {
            outlet.begin_set(prepared.columns.clone()).await?;
        }
        while let Some(item) = stream.try_next().await? {
            match item {
                Either::Right(row) => {
                    if rows == 0
                        && let Some(known) = &prepared.columns
                        && !are_same(known, row.columns())
                    {
                        return Err(SqlFailure::stale_plan());
                    }
                    rows += 1;
                    outlet.row(RowKind::Postgres(row)).await?;
                }
                Either::Left(result) if done >= flight.before => outlet.end_set(result.rows_affected(), None),
                Either::Left(_) => {
                    done += 1;
                    if flight.begins && done == 1 {
                        *began = true;
                        outlet.in_transaction = true;
                    }
                    if done == flight.before {
                        if let Some(number) = flight.names {
                            prepared.named.number.store(number, Ordering::Relaxed);
                        }
                        outlet.begin_set(prepared.columns.clone()).await?;
                    }
                }
            }
        }
        prepared.named.gave(rows);
        Ok(())
    }

    /// Runs a statement with as many of the lists as can go together. Gives back how many those were; 0: the first of them must go alone.
    pub(super) async fn run_together(
        &mut self,
        scanned: &Scanned,
        fit: &Fit,
        lists: &[Vec<Param>],
        outlet: &mut Outlet,
    ) -> Result<usize, SqlFailure> {
        let (Plan::Prepared(prepared, _), Some(plan)) = (&*fit.plan, self.plans.get(&scanned.text)) else {
            return Ok(0);
        };
        let plan = plan.clone();
        let suits = |list: &[Param]| match &*plan {
            Plan::Prepared(prepared, _) => fit.takes(list, &prepared.ways(list)),
            Plan::Literal(_) => false,
        };
        let Some(number) = self.number(scanned, prepared) else {
            return Ok(0);
        };
        let mut executions = String::new();
        let mut count = 0;
        for list in lists {
            let end = executions.len();
            let is_written = end <= MAX_BYTES
                && suits(list)
                && write_execute(self.tag, number, prepared, list, &fit.ways, &mut executions);
            if !is_written {
                executions.truncate(end);
                break;
            }
            count += 1;
        }
        if count > 0 {
            let flight = self.flight(None, prepared, &executions);
            self.fly(flight, prepared, &mut false, outlet).await?;
        }
        Ok(count)
    }
}

/// Whether rows have the columns that a statement had when it was prepared.
fn are_same(known: &Columns, columns: &[PgColumn]) -> bool {
    let type_code = |column: &PgColumn| column.type_info().oid().map(|oid| i64::from(oid.0));
    known.len() == columns.len()
        && known
            .iter()
            .zip(columns)
            .all(|(known, column)| known.name == column.name() && known.type_code == type_code(column))
}

/// Writes the execution of a statement. `false`: one of the values must be given in another way.
fn write_execute(tag: u64, number: u32, prepared: &Prepared, list: &[Param], ways: &[Way], out: &mut String) -> bool {
    write_to(out, format_args!("EXECUTE busbar_{tag:x}_{number}"));
    for (index, ((value, (_, kind)), way)) in list.iter().zip(&prepared.parameters).zip(ways).enumerate() {
        out.push(if index == 0 { '(' } else { ',' });
        let is_written = match (value, way) {
            // the statement casts text
            (Param::List(_), Way::Text(_)) => write_value(&Param::Text(value.to_text()), kind, out),
            _ => write_value(value, kind, out),
        };
        if !is_written || out.len() > 2 * MAX_BYTES {
            return false;
        }
    }
    if !list.is_empty() {
        out.push(')');
    }
    out.push(';');
    true
}

/// Writes a value as a literal without a type, which stands for exactly what the binary form does.
fn write_value(value: &Param, kind: &PgKind, out: &mut String) -> bool {
    use PgKind as K;
    // what is too long for a message need not be written first
    match value {
        Param::Bytes(bytes) if bytes.len() > MAX_BYTES => return false,
        Param::Text(text) | Param::Json(text) | Param::Decimal(text) if text.len() > MAX_BYTES => return false,
        _ => {}
    }
    let mut quoted = |text: &str| {
        write_quoted(text, "", out);
        true
    };
    match (value, kind) {
        (Param::Null, _) => {
            out.push_str("NULL");
            true
        }
        (Param::Bool(value), K::Bool) => quoted(if *value { "true" } else { "false" }),
        (Param::Bool(value), K::Int2 | K::Int4 | K::Int8) => quoted(if *value { "1" } else { "0" }),
        (Param::Int(value), K::Int2 | K::Int4 | K::Int8 | K::Oid | K::Numeric | K::Float8) => {
            quoted(&value.to_string())
        }
        (Param::Float(value), K::Float8 | K::Numeric) => quoted(&float_text(*value)),
        (Param::Decimal(text), K::Numeric) => quoted(text),
        (Param::Text(text) | Param::Json(text), K::Text | K::Json | K::Jsonb) => !text.contains('\0') && quoted(text),
        (Param::Bytes(bytes), K::Bytea) => quoted(&format!("\\x{}", hex(bytes))),
        (Param::Date(date), K::Date | K::Timestamp) => quoted(&date.to_string()),
        (Param::DateTime(point), K::Timestamp | K::TimestampTz) => quoted(&point.to_string()),
        (Param::Uuid(uuid), K::Uuid) => quoted(&uuid_text(uuid)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_literals_without_a_type() {
        let write = |value: &Param, kind: &PgKind| {
            let mut out = String::new();
            write_value(value, kind, &mut out).then_some(out)
        };
        assert_eq!(write(&Param::Int(-5), &PgKind::Int4), Some(" '-5'".to_owned()));
        assert_eq!(write(&Param::Null, &PgKind::Int4), Some("NULL".to_owned()));
        let text = Param::Text("it's \\ here".to_owned());
        assert_eq!(write(&text, &PgKind::Text), Some(" E'it''s \\\\ here'".to_owned()));
        assert_eq!(write(&Param::Text("a\0".to_owned()), &PgKind::Text), None);
        assert_eq!(
            write(&Param::Bytes(vec![1]), &PgKind::Bytea),
            Some(" E'\\\\x01'".to_owned())
        );
        assert_eq!(write(&Param::List(vec![]), &PgKind::Jsonb), None);
    }

    #[test]
    fn only_what_gives_few_rows_comes_as_text() {
        let named = Named::default();
        assert!(!named.gives_few());
        named.gave(0);
        assert!(named.gives_few());
        named.gave(MAX_ROWS);
        assert!(!named.gives_few());
    }
}
