//! PostgreSQL: statements whose parameters have the types that the server infers.
//!
//! A statement is prepared without types first; the server says what it takes the parameters for, and reads values as it would read a
//! literal in quotes in their place. A value that does not fit has the type that a literal of it would have. Where the server can infer
//! nothing (`SELECT %s IS NULL`), values are written into the statement as literals, which is what psycopg2 does always.
//!
//! What belongs together goes together: the `BEGIN` of a transaction with its first statement, and one statement with many lists of values.
//! If one of them fails, the server looks at none of those that follow.

mod access;
mod catalog;
mod input;
mod line;
mod numeric;
mod plan;
mod row;
mod text;
mod types;
mod way;
mod write;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend::{self, BindError};
use tokio::time::timeout;

use super::error::{SqlFailure, SqlFailureClass};
use super::outcome::{ColumnKind, Outlet};
use super::scan::{Scanned, Verb};
use super::value::Param;
pub(super) use access::{PgAccess, PgSecrets};
use catalog::Catalog;
pub(super) use line::severity_and_message;
use line::{Line, out_of_turn, unfit, unspeakable};
use plan::{Fit, Plans, Prepared, literal};
use row::{Form, read_row};
pub(super) use types::PgKind;
use way::Way;
use write::{is_binary, write_value};

/// Counts changes of tables that went through this process. Prepared statements from before one may give other columns by now, which the
/// server then refuses to do within a transaction.
static DEFINITIONS: AtomicU64 = AtomicU64::new(0);
/// Bytes of statements that go together, unless it is one: as many as the buffers of any line take in while the server writes rather than
/// reads.
const MAX_BYTES: usize = 48 * 1024;
/// How long a server may take to end what was cut off, before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// What a user can do where prepared statements get lost.
const HOW_TO_DO_WITHOUT: &str = "Something between here and the server shares its connections, as pgbouncer does in transaction mode, or has \
    the server forget what was prepared. The option statement_cache=0 of the connection does without prepared statements.";

/// A connection, and what is known of its statements.
pub(super) struct PgLink {
    line: Line,
    plans: Plans,
    catalog: Catalog,
    /// Whether tables were changed since the last commit.
    has_defined: bool,
    /// Whether names mean other tables in the transaction that is open than before it.
    has_moved: bool,
}

/// What is run before a statement, and whether it was.
struct Begin<'a> {
    sql: Option<&'a str>,
    began: &'a mut bool,
}

impl PgLink {
    /// Opens a connection.
    pub(super) async fn open(access: &PgAccess) -> Result<Self, SqlFailure> {
        Ok(Self {
            line: Line::open(access).await?,
            plans: Plans::new(access.statements),
            catalog: Catalog::default(),
            has_defined: false,
            has_moved: false,
        })
    }

    /// The server's version.
    pub(super) fn version(&self) -> &str {
        &self.line.session().version
    }

    /// The number by which the server knows the session.
    pub(super) fn backend(&self) -> i32 {
        self.line.backend()
    }

    /// Runs a statement that has no values and gives nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        self.line.command(sql).await?;
        if self.has_defined && sql == "COMMIT" {
            // others see the new tables from now on
            DEFINITIONS.fetch_add(1, Ordering::Relaxed);
            self.has_defined = false;
        }
        Ok(())
    }

    /// Has the server roll back without waiting for it: what it says is read by whoever uses the connection next. `false`: it has to be
    /// waited for.
    pub(super) fn roll_back_soon(&mut self) -> bool {
        // whatever is still to be read would have to be read first
        self.line.is_settled() && self.line.query("ROLLBACK").is_ok() && self.line.flush_now()
    }

    /// Asks whether the server is there.
    pub(super) async fn ping(&mut self) -> Result<(), SqlFailure> {
        self.line.ping().await
    }

    /// Says good-bye.
    pub(super) async fn close(self) -> Result<(), SqlFailure> {
        self.line.close().await
    }

    /// Ends a statement that was cut off in the middle, and the session.
    pub(super) async fn cut_off(mut self, access: &PgAccess) -> Result<(), SqlFailure> {
        self.line.forget_unsent();
        loop {
            self.line.cancel(access).await?;
            // it may not have begun by then
            if timeout(ASK_AGAIN, self.line.settle()).await.is_ok() {
                return self.line.close().await;
            }
        }
    }

    /// Runs a statement with each of the lists of values. `begin` is what has to be run before it; `began` is told when it was.
    pub(super) async fn run(
        &mut self,
        scanned: &Scanned,
        lists: &[Vec<Param>],
        begin: Option<&str>,
        began: &mut bool,
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        if scanned.copies {
            let message = "COPY ... FROM STDIN and COPY ... TO STDOUT are not supported";
            let hint = "Write rows with executemany, which sends many of them together, and read them with SELECT; the server's \
                own files can be copied from and to.";
            return Err(SqlFailure::new(SqlFailureClass::NotSupported, message).hinted(hint));
        }
        if scanned.verb == Verb::Define || scanned.is_script {
            DEFINITIONS.fetch_add(1, Ordering::Relaxed);
            self.has_defined = true;
        }
        self.line.settle().await?;
        if self.has_moved && self.line.is_outside() {
            self.has_moved = false;
            self.plans.drop_all();
        }
        self.forget_if_defined();
        let mut at = 0;
        let mut has_failed = false;
        while at < lists.len() {
            let is_alone = self.line.is_outside();
            let mut first = Begin {
                sql: begin.filter(|_| !*began),
                began,
            };
            let fit = self.fit(scanned, &lists[at]).await;
            // what was sent as text may have committed something before it failed
            let is_ours = !matches!(fit, Ok(Fit::Literal { .. }));
            let result = match fit {
                Ok(fit) => self.run_some(&fit, scanned, &lists[at..], &mut first, outlet).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = &result
                && !(is_ours && is_stale(failure))
                && failure.sqlstate().is_some()
                && !failure.is_disconnect()
            {
                self.begin_failed(&mut first).await?;
            }
            match result {
                Ok(count) => at += count,
                // what was prepared is not what it was, and nothing else was done yet
                Err(failure) if is_stale(&failure) && is_ours && is_alone && !has_failed && !outlet.has_sent() => {
                    has_failed = true;
                    outlet.restart();
                    self.give_up_plans(&failure);
                    if std::mem::take(began) {
                        self.line.command("ROLLBACK").await?;
                    }
                    self.forget_if_defined();
                }
                Err(failure) if is_stale(&failure) && is_ours => {
                    self.give_up_plans(&failure);
                    let failure = failure.retriable();
                    return Err(if self.plans.prepares {
                        failure
                    } else {
                        failure.hinted(HOW_TO_DO_WITHOUT)
                    });
                }
                Err(failure) => return Err(failure),
            }
        }
        if scanned.forgets {
            self.plans.lose();
        }
        if moves(scanned, lists) {
            // names mean other tables from now on, and again when the transaction has ended
            self.plans.drop_all();
            self.has_moved = !self.line.is_outside();
        }
        Ok(())
    }

    /// What was prepared is not what it was: another one is there, or somebody else has changed a table.
    fn give_up_plans(&mut self, failure: &SqlFailure) {
        if is_gone(failure) {
            self.plans.stop();
        } else {
            self.plans.forget_later();
        }
    }

    /// Begins the transaction whose first statement the server does not even look at, with the BEGIN before it: as any other failure, that
    /// fails it.
    async fn begin_failed(&mut self, begin: &mut Begin<'_>) -> Result<(), SqlFailure> {
        let Some(sql) = begin.sql.filter(|_| !*begin.began && self.line.is_outside()) else {
            return Ok(());
        };
        self.line.command(sql).await?;
        *begin.began = true;
        match self.line.command("ROLLBACK TO SAVEPOINT busbar_none").await {
            Err(failure) if failure.is_disconnect() => Err(failure),
            // there is no such savepoint
            _ => Ok(()),
        }
    }

    /// Runs a statement with as many of the lists as go together. Gives back how many those were.
    async fn run_some(
        &mut self,
        fit: &Fit,
        scanned: &Scanned,
        lists: &[Vec<Param>],
        begin: &mut Begin<'_>,
        outlet: &mut Outlet,
    ) -> Result<usize, SqlFailure> {
        match fit {
            Fit::Prepared { prepared, base, ways } => {
                self.run_prepared(prepared, base, ways, lists, begin, outlet).await
            }
            Fit::Literal { are_typed } => {
                self.run_literal(scanned, &lists[0], *are_typed, begin, outlet).await?;
                Ok(1)
            }
        }
    }

    async fn run_prepared(
        &mut self,
        prepared: &Prepared,
        base: &Prepared,
        ways: &[Way],
        lists: &[Vec<Param>],
        begin: &mut Begin<'_>,
        outlet: &mut Outlet,
    ) -> Result<usize, SqlFailure> {
        let session = self.line.session();
        let zones_as_text = prepared.has_zones && !session.is_utc() && session.writes_iso();
        let form = Form::Chosen { zones_as_text };
        let count = self.write_run(prepared, base, ways, lists, begin.sql, form)?;
        self.line.flush().await?;
        self.receive(Some(prepared), form, begin, outlet).await?;
        Ok(count)
    }

    /// Writes runs of a statement, for as many of the lists as go together.
    fn write_run(
        &mut self,
        prepared: &Prepared,
        base: &Prepared,
        ways: &[Way],
        lists: &[Vec<Param>],
        begin: Option<&str>,
        form: Form,
    ) -> Result<usize, SqlFailure> {
        self.write_closes()?;
        let name = self.plans.name(prepared);
        let start = self.line.written();
        if let Some(begin) = begin {
            self.line.write(|out| {
                frontend::parse("", begin, [], out).map_err(unfit)?;
                write_execute("", &[], &[], &[], out)
            })?;
        }
        let columns = prepared.columns.as_deref().map_or(&[][..], Vec::as_slice);
        let is_text = |kind: &ColumnKind| matches!(kind, ColumnKind::Postgres(kind) if form.is_text(kind));
        let formats: Vec<i16> = if columns.iter().any(|column| is_text(&column.kind)) {
            columns.iter().map(|column| i16::from(!is_text(&column.kind))).collect()
        } else {
            // one for all of them
            vec![1]
        };
        let mut count = 0;
        for list in lists {
            if count > 0 && !base.takes(list, ways) {
                break;
            }
            let end = self.line.written();
            let written = self
                .line
                .write(|out| write_execute(&name, list, &prepared.parameters, &formats, out));
            match written {
                Err(failure) if count == 0 => {
                    // nothing begins for nothing
                    self.line.unwrite(start);
                    return Err(failure);
                }
                // it goes with the next ones, or fails alone
                Err(_) => break,
                Ok(()) if count > 0 && self.line.written() > MAX_BYTES => {
                    self.line.unwrite(end);
                    break;
                }
                Ok(()) => count += 1,
            }
        }
        self.line.sync();
        Ok(count)
    }

    /// Runs a statement with its values written into it.
    async fn run_literal(
        &mut self,
        scanned: &Scanned,
        list: &[Param],
        are_typed: bool,
        begin: &mut Begin<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let mut text = literal(scanned, list, are_typed)?;
        if self.plans.prepares && has_binary_form(scanned) && !self.line.session().writes_iso() {
            // its text could not be read
            let prepared = self.prepare_once(&text, scanned.verb, false).await?;
            let none = [Vec::new()];
            let run = self.run_prepared(&prepared, &prepared, &[], &none, begin, outlet).await;
            self.plans.close_soon(&prepared);
            return run.map(drop);
        }
        if let Some(begin) = begin.sql {
            // if it fails, the server looks at nothing that follows
            text.insert_str(0, &format!("{begin};"));
        }
        self.line.query(&text)?;
        self.line.flush().await?;
        self.receive(None, Form::Text, begin, outlet).await
    }

    /// Takes what comes of statements: of one that was prepared, or of whatever was sent as text.
    async fn receive(
        &mut self,
        prepared: Option<&Prepared>,
        form: Form,
        begin: &mut Begin<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let mut begins = begin.sql.is_some();
        let mut failed = None;
        let mut affected = 0;
        let is_known = prepared.is_some();
        if let Some(prepared) = prepared {
            outlet.begin_set(prepared.columns.clone()).await?;
        }
        let mut is_open = is_known;
        while !self.line.is_settled() {
            match self.line.next().await? {
                b'D' => {
                    let body = self.line.body();
                    if outlet.take_row(|columns, batch| read_row(body, form, columns, batch))? {
                        outlet.flush().await?;
                    }
                }
                b'C' if begins => {
                    begins = false;
                    *begin.began = true;
                }
                b'T' => {
                    outlet.begin_set(self.columns()?).await?;
                    is_open = true;
                }
                b'C' => {
                    let rows = self.changed()?;
                    // what goes together counts if all of it was done
                    affected += rows.unwrap_or(0);
                    if !is_known {
                        if !is_open {
                            outlet.begin_set(None).await?;
                        }
                        if is_open || rows.is_some() {
                            outlet.end_set(rows.unwrap_or(0), None);
                        }
                        is_open = false;
                    }
                }
                b'E' => self.line.fail(&mut failed)?,
                b'G' => {
                    let why = "COPY ... FROM STDIN is not supported";
                    self.line.write(|out| frontend::copy_fail(why, out)).map_err(unfit)?;
                    self.line.flush().await?;
                }
                // steps, what a COPY gives, and what comes of nothing
                b'1' | b'2' | b'3' | b'H' | b'I' | b'W' | b'Z' | b'c' | b'd' | b'n' | b's' => {}
                tag => return Err(out_of_turn(tag)),
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => {
                if is_known {
                    outlet.end_set(affected, None);
                }
                Ok(())
            }
        }
    }

    /// How many rows the statement has changed or given whose end is looked at; `None`: it is none that changes or gives rows.
    fn changed(&self) -> Result<Option<u64>, SqlFailure> {
        let Message::CommandComplete(body) = self.line.message()? else {
            return Err(out_of_turn(b'C'));
        };
        let tag = body.tag().map_err(unspeakable)?;
        Ok(tag.rsplit(' ').next().and_then(|count| count.parse().ok()))
    }
}

/// Writes one run of a statement.
fn write_execute(
    name: &str,
    list: &[Param],
    kinds: &[PgKind],
    formats: &[i16],
    out: &mut bytes::BytesMut,
) -> Result<(), SqlFailure> {
    // text unless it is said otherwise
    let has_bytes = list.iter().any(is_binary);
    let given = list
        .iter()
        .filter(|_| has_bytes)
        .map(|value| i16::from(is_binary(value)));
    let values = list.iter().zip(kinds);
    let bound = frontend::bind(
        "",
        name,
        given,
        values,
        |(value, kind), out| write_value(value, kind, out),
        formats.iter().copied(),
        out,
    );
    bound.map_err(|error| match error {
        BindError::Conversion(error) => SqlFailure::new(SqlFailureClass::Data, error.to_string()),
        BindError::Serialization(error) => unfit(error),
    })?;
    frontend::execute("", 0, out).map_err(unfit)
}

/// Whether names may mean other tables after a statement: it sets the path, or who looks for them.
fn moves(scanned: &Scanned, lists: &[Vec<Param>]) -> bool {
    let is_setting = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["search_path", "role", "session_authorization"]
            .iter()
            .any(|name| text.contains(name))
    };
    let is_named = || {
        let mut values = lists.iter().flatten();
        is_setting(&scanned.text) || values.any(|value| matches!(value, Param::Text(text) if is_setting(text)))
    };
    scanned.moves || (scanned.configures && is_named())
}

/// Whether what a statement gives can also come in the binary form.
fn has_binary_form(scanned: &Scanned) -> bool {
    let is_fetch = || {
        let word = scanned.text.trim_start().get(..5);
        word.is_some_and(|word| word.eq_ignore_ascii_case("fetch"))
    };
    !scanned.is_script && (matches!(scanned.verb, Verb::Query | Verb::Change) || is_fetch())
}

/// A prepared statement is no longer what it was.
fn is_stale(failure: &SqlFailure) -> bool {
    is_gone(failure) || (failure.sqlstate() == Some("0A000") && failure.message().contains("cached plan"))
}

/// A statement that was prepared here is not there any more, or another one has its name: it is there already, or takes other parameters.
fn is_gone(failure: &SqlFailure) -> bool {
    // users have prepared statements of their own
    matches!(failure.sqlstate(), Some("26000" | "42P05" | "08P01")) && failure.message().contains("busbar_")
}
