//! PostgreSQL: statements whose parameters have the types that the server infers.
//!
//! A statement is prepared without types first; the server says what it takes the parameters for. A value that does not fit is given
//! another way: text is cast from text on the server (`$1::text::inet`), anything else has the type that a literal of it would have
//! (`$1::numeric`). Where the server can infer nothing (`SELECT %s IS NULL`), values are written into the statement as literals, which is
//! what psycopg2 does always; so are statements whose results have types of which only the text form is known here.

mod flight;
mod home;
mod numeric;
mod open;
mod probe;
mod row;
mod styles;
mod text;
mod types;
mod way;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgColumn, PgConnection, PgTypeInfo, Postgres};
use sqlx::{AssertSqlSafe, Column as _, Connection, Either, Executor, Row as _, SqlSafeStr, Statement};

use super::error::{SqlFailure, SqlFailureClass};
use super::outcome::{Column, ColumnKind, Columns, Outlet, RowKind};
use super::scan::{Scanned, Verb, join};
use super::value::{Param, write_to};
use flight::Named;
pub(super) use home::Setting;
pub(super) use probe::{PgAccess, PgSecrets};
pub(super) use row::read;
use styles::{Styles, has_binary_form};
pub(super) use types::{PgKind, widen};
use way::{Way, is_ambiguous, is_uncertain, way};
use write::{Argument, NO_NUL, write_literal};

/// Counts changes of tables that went through this process. Prepared statements from before one may give other columns by now, which the
/// server then refuses to do within a transaction.
static DEFINITIONS: AtomicU64 = AtomicU64::new(0);
/// What stands around something that may fail and must not end the transaction.
const GUARD: &str = "SAVEPOINT busbar_prepare";
const BACK_TO_GUARD: &str = "ROLLBACK TO SAVEPOINT busbar_prepare; RELEASE SAVEPOINT busbar_prepare";
/// Names of prepared statements that others may have taken.
const MAX_TAKEN: usize = 100;
/// What a user can do where prepared statements get lost.
const HOW_TO_DO_WITHOUT: &str = "Something between here and the server shares its connections, as pgbouncer does in transaction mode, or has \
    the server forget what was prepared. The option statement_cache=0 of the connection does without prepared statements.";
/// Statements whose way is remembered.
const MAX_PLANS: usize = 2000;
/// Variants of one statement whose way is remembered.
const MAX_VARIANTS: usize = 16;

/// A connection, and what is known of its statements.
pub(super) struct PgLink {
    pub(super) connection: PgConnection,
    pub(super) backend: i32,
    plans: HashMap<Arc<str>, Arc<Plan>>,
    definitions: u64,
    /// Whether tables were changed since the last commit.
    has_defined: bool,
    /// Part of the names of statements that are prepared in SQL: behind a proxy that shares its connections those of another link must not
    /// be taken for this one's.
    tag: u64,
    /// Number of the last statement that was prepared in SQL.
    names: u32,
    /// How many of those there are on the server.
    named: u32,
    /// Of those, the ones that are of no use any more.
    nameless: Vec<u32>,
    /// Whether everything that was asked for has been answered.
    is_settled: bool,
    /// What its session begins with.
    settings: Vec<Setting>,
    styles: Styles,
    /// Whether statements are prepared. They are not where prepared ones get lost.
    prepares: bool,
}

/// How a statement is run.
enum Plan {
    Prepared(Prepared, std::sync::Mutex<Vec<(Vec<Way>, Arc<Plan>)>>),
    /// With its values written into it.
    Literal(Reason),
}

/// Why values are written into a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It is neither a query nor a change, takes no parameters, or gives what is only known as text; or nothing is prepared.
    Plain,
    /// It has a function for which values without a type may be of several.
    Ambiguous,
    /// It gives what sqlx cannot find the type of: preparing it fails.
    Unresolved,
}

struct Prepared {
    text: Arc<str>,
    verb: Verb,
    parameters: Vec<(PgTypeInfo, PgKind)>,
    columns: Option<Arc<Columns>>,
    /// Whether points in time with a zone are among what it gives.
    has_zones: bool,
    named: Named,
}

/// A plan, and how certain values are given with it.
struct Fit {
    plan: Arc<Plan>,
    ways: Vec<Way>,
}

impl Fit {
    /// Whether values are given in the same ways.
    fn takes(&self, list: &[Param], ways: &[Way]) -> bool {
        let mut pairs = list.iter().zip(self.ways.iter().zip(ways));
        // NULL has any type
        pairs.all(|(value, (ours, theirs))| *value == Param::Null || ours == theirs)
    }
}

impl Plan {
    /// Numbers in SQL of what was prepared for it.
    fn numbers(&self) -> Vec<u32> {
        let Self::Prepared(prepared, variants) = self else {
            return Vec::new();
        };
        let variants = super::lock(variants);
        let others = variants.iter().flat_map(|(_, variant)| variant.numbers());
        prepared.named.number().into_iter().chain(others).collect()
    }
}

impl Prepared {
    /// How values are given to its parameters.
    fn ways(&self, list: &[Param]) -> Vec<Way> {
        let given = list.iter().zip(&self.parameters);
        given
            .map(|(value, (info, kind))| way(value, info, kind, self.verb))
            .collect()
    }

    /// Whether what it gives is written differently from session to session, as text.
    fn has_styles(&self) -> bool {
        let columns = self.columns.iter().flat_map(|columns| columns.iter());
        columns
            .into_iter()
            .any(|column| matches!(&column.kind, ColumnKind::Postgres(kind) if kind.has_styles()))
    }
}

impl PgLink {
    fn new(connection: PgConnection, backend: i32, settings: Vec<Setting>, styles: Styles, prepares: bool) -> Self {
        Self {
            connection,
            backend,
            plans: HashMap::new(),
            definitions: DEFINITIONS.load(Ordering::Relaxed),
            has_defined: false,
            tag: random_tag(),
            names: 0,
            named: 0,
            nameless: Vec::new(),
            is_settled: true,
            settings,
            styles,
            prepares,
        }
    }

    /// Runs a statement that has no values and gives nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        self.is_settled = false;
        match sql {
            "COMMIT" => self.styles.committed(),
            "ROLLBACK" => self.styles.rolled_back(),
            _ => {}
        }
        self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        self.is_settled = true;
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
        self.styles.rolled_back();
        // whatever is still to be read would have to be read first
        if !std::mem::replace(&mut self.is_settled, false) {
            return false;
        }
        let mut work = (&mut self.connection).execute(sqlx::raw_sql("ROLLBACK"));
        let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(work);
        match polled {
            Poll::Ready(result) => result.is_ok(),
            Poll::Pending => !self.connection.should_flush(),
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
        self.is_settled = false;
        let in_transaction = begin.is_some() || outlet.in_transaction;
        self.note_settings(scanned, lists, in_transaction);
        let result = self.run_all(scanned, lists, begin, began, outlet).await;
        // also if it fails: it may have come that far
        self.note_settings(scanned, lists, in_transaction);
        self.is_settled = result.is_ok();
        result
    }

    async fn run_all(
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
        self.forget_if_defined().await?;
        self.settle(scanned, begin.is_some()).await?;
        let mut begin = begin;
        let mut at = 0;
        while let Some(list) = lists.get(at) {
            let fit = self.fit(scanned, list, begin.is_none() && outlet.in_transaction).await;
            let fit = fit.map_err(|failure| self.told(failure))?;
            let may_repeat = begin.is_some() || !outlet.in_transaction;
            let as_text = matches!(&*fit.plan, Plan::Prepared(prepared, _) if self.needs_text(prepared));
            let mut flight = None;
            if let Some(begin) = begin.take() {
                if lists.len() == 1 {
                    flight = self.first_of_transaction(begin, scanned, &fit, list, as_text).await?;
                }
                if flight.is_none() {
                    self.command(begin).await?;
                    *began = true;
                    outlet.in_transaction = true;
                }
            }
            if lists.len() > 1 {
                match self.run_together(scanned, &fit, &lists[at..], outlet).await {
                    Ok(0) => {}
                    Ok(count) => {
                        at += count;
                        continue;
                    }
                    Err(failure) if is_gone(&failure) && (!outlet.in_transaction || (*began && at == 0)) => {
                        self.start_over(&failure, *began, outlet).await?;
                        continue;
                    }
                    Err(failure) => return Err(self.told(failure)),
                }
            }
            at += 1;
            let result = match (flight, &*fit.plan) {
                (Some(flight), Plan::Prepared(prepared, _)) => self.fly(flight, prepared, began, outlet).await,
                _ => self.run_fit(&fit, scanned, list, as_text, outlet).await,
            };
            match result {
                Err(failure) if may_repeat && lists.len() == 1 && is_stale(&failure) && !outlet.has_sent() => {
                    self.start_over(&failure, *began, outlet).await?;
                    let fit = self.fit(scanned, list, *began).await?;
                    self.run_fit(&fit, scanned, list, as_text, outlet).await?;
                }
                Err(failure) => return Err(self.told(failure)),
                Ok(()) => {}
            }
        }
        if scanned.sets.forgets {
            self.lose_statements();
            self.connection.clear_cached_statements().await?;
        }
        self.restore_settings(scanned).await
    }

    /// Makes ready for a statement to be run again that failed because a prepared one was not what it had been. `began`: its transaction
    /// began with it.
    async fn start_over(&mut self, failure: &SqlFailure, began: bool, outlet: &mut Outlet) -> Result<(), SqlFailure> {
        outlet.restart();
        if is_gone(failure) {
            self.stop_preparing();
        } else {
            // somebody else has changed a table since
            self.forget().await?;
        }
        if began {
            self.command("ROLLBACK").await?;
            self.command(outlet.begin.as_deref().unwrap_or("BEGIN")).await?;
        }
        Ok(())
    }

    /// A failure on its way to the caller.
    fn told(&mut self, failure: SqlFailure) -> SqlFailure {
        if is_gone(&failure) {
            self.stop_preparing();
            return failure.retriable().hinted(HOW_TO_DO_WITHOUT);
        }
        if is_stale(&failure) {
            self.forget_later();
            return failure.retriable();
        }
        failure
    }

    async fn run_fit(
        &mut self,
        fit: &Fit,
        scanned: &Scanned,
        list: &[Param],
        as_text: bool,
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        match &*fit.plan {
            Plan::Prepared(prepared, _) if as_text => match self.alone(scanned, prepared, list, &fit.ways) {
                Some(flight) => self.fly(flight, prepared, &mut false, outlet).await,
                None => self.run_plain(scanned, list, Reason::Plain, outlet).await,
            },
            Plan::Prepared(prepared, _) => self.run_prepared(prepared, list, &fit.ways, outlet).await,
            Plan::Literal(reason) => self.run_plain(scanned, list, *reason, outlet).await,
        }
    }

    /// The way in which a statement is run with such values: as it is, or as a variant that says which types they have.
    async fn fit(&mut self, scanned: &Scanned, list: &[Param], in_transaction: bool) -> Result<Fit, SqlFailure> {
        let plan = self.plan(scanned, list, in_transaction).await?;
        let (ways, known) = match &*plan {
            Plan::Literal(_) => (Vec::new(), Some(plan.clone())),
            Plan::Prepared(prepared, variants) => {
                let ways = prepared.ways(list);
                let known = if ways.iter().all(|way| *way == Way::Inferred) {
                    Some(plan.clone())
                } else {
                    let variants = super::lock(variants);
                    let known = variants.iter().find(|(known, _)| *known == ways);
                    known.map(|(_, variant)| variant.clone())
                };
                (ways, known)
            }
        };
        let plan = match known {
            Some(plan) => plan,
            None => self.variant(&plan, scanned, &ways).await?,
        };
        Ok(Fit { plan, ways })
    }

    /// Prepares a variant of a statement.
    async fn variant(&mut self, plan: &Plan, scanned: &Scanned, ways: &[Way]) -> Result<Arc<Plan>, SqlFailure> {
        let pieces = match plan {
            Plan::Prepared(prepared, _) => without_casts(scanned, prepared, ways),
            Plan::Literal(_) => scanned.pieces.clone(),
        };
        let text = join(&pieces, |out, index| {
            write_to(out, format_args!("${}", index + 1));
            match &ways[index] {
                Way::Inferred => {}
                Way::As(name) => write_to(out, format_args!("::{name}")),
                Way::Text(name) => write_to(out, format_args!("::text::{name}")),
            }
        });
        let variant = Arc::new(self.prepare(text.into(), ways.len(), scanned.verb).await?);
        if let Plan::Prepared(_, variants) = plan {
            let mut variants = super::lock(variants);
            if variants.len() >= MAX_VARIANTS {
                self.nameless
                    .extend(variants.drain(..).flat_map(|(_, variant)| variant.numbers()));
            }
            variants.push((ways.to_vec(), variant.clone()));
        }
        Ok(variant)
    }

    /// The way in which a statement is run.
    async fn plan(&mut self, scanned: &Scanned, list: &[Param], in_transaction: bool) -> Result<Arc<Plan>, SqlFailure> {
        let is_plain = scanned.is_script || !matches!(scanned.verb, Verb::Query | Verb::Change);
        if is_plain || !self.prepares {
            // as literals: what is neither reads nor writes takes no parameters
            return Ok(Arc::new(Plan::Literal(Reason::Plain)));
        }
        let allows_prepared = self.styles.allow_prepared();
        match self.plans.get(&scanned.text) {
            Some(plan) if allows_prepared || matches!(**plan, Plan::Literal(_)) => return Ok(plan.clone()),
            _ if !allows_prepared => return Ok(Arc::new(Plan::Literal(Reason::Plain))),
            _ => {}
        }
        // what cannot be inferred would end the transaction
        let guarded = in_transaction && !scanned.slots.is_empty();
        if guarded {
            self.command(GUARD).await?;
        }
        let plan = match self.prepare(scanned.text.clone(), list.len(), scanned.verb).await {
            Ok(plan) => {
                if guarded {
                    self.command("RELEASE SAVEPOINT busbar_prepare").await?;
                }
                plan
            }
            Err(failure) if is_gone(&failure) && (guarded || !in_transaction) => {
                self.stop_preparing();
                if guarded {
                    self.command(BACK_TO_GUARD).await?;
                }
                return Ok(Arc::new(Plan::Literal(Reason::Plain)));
            }
            Err(failure) if !list.is_empty() && is_uncertain(&failure) => {
                if guarded {
                    self.command(BACK_TO_GUARD).await?;
                }
                Plan::Literal(if is_ambiguous(&failure) {
                    Reason::Ambiguous
                } else {
                    Reason::Plain
                })
            }
            Err(failure) => return Err(failure),
        };
        if self.plans.len() >= MAX_PLANS {
            self.drop_plans();
        }
        let plan = Arc::new(plan);
        self.plans.insert(scanned.text.clone(), plan.clone());
        Ok(plan)
    }

    async fn prepare(&mut self, text: Arc<str>, count: usize, verb: Verb) -> Result<Plan, SqlFailure> {
        let sql = AssertSqlSafe(text.clone()).into_sql_str();
        let statement = match (&mut self.connection).prepare(sql).await {
            // it knows not all categories of types: that of pg_node_tree is none of its
            Err(sqlx::Error::ColumnDecode { .. }) => return Ok(Plan::Literal(Reason::Unresolved)),
            prepared => prepared?,
        };
        let parameters: Vec<_> = match statement.parameters() {
            Some(Either::Left(types)) => types.iter().map(|info| (info.clone(), PgKind::of(info))).collect(),
            _ => Vec::new(),
        };
        if parameters.len() != count {
            let message = format!("the statement has {} parameters, {count} were given", parameters.len());
            return Err(SqlFailure::new(SqlFailureClass::Programming, message));
        }
        let columns = columns(statement.columns());
        if columns
            .iter()
            .any(|column| matches!(column.kind, ColumnKind::Postgres(PgKind::Other)))
        {
            return Ok(Plan::Literal(Reason::Plain));
        }
        let has_zones = columns
            .iter()
            .any(|column| matches!(&column.kind, ColumnKind::Postgres(kind) if kind.has_zone()));
        let prepared = Prepared {
            text,
            verb,
            parameters,
            has_zones,
            columns: (!columns.is_empty()).then(|| Arc::new(columns)),
            named: Named::default(),
        };
        Ok(Plan::Prepared(prepared, std::sync::Mutex::default()))
    }

    async fn run_prepared(
        &mut self,
        prepared: &Prepared,
        list: &[Param],
        ways: &[Way],
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let mut arguments = PgArguments::default();
        for ((value, (info, kind)), way) in list.iter().zip(&prepared.parameters).zip(ways) {
            let argument = Argument { value, info, kind, way };
            sqlx::Arguments::add(&mut arguments, argument)
                .map_err(|error| SqlFailure::new(SqlFailureClass::Data, error.to_string()))?;
        }
        let sql = AssertSqlSafe(prepared.text.clone()).into_sql_str();
        let mut stream = (&mut self.connection).fetch_many(sqlx::query_with::<Postgres, _>(sql, arguments));
        outlet.begin_set(prepared.columns.clone()).await?;
        let mut rows = 0;
        while let Some(item) = stream.try_next().await? {
            match item {
                Either::Right(row) => {
                    rows += 1;
                    outlet.row(RowKind::Postgres(row)).await?;
                }
                Either::Left(done) => outlet.end_set(done.rows_affected(), None),
            }
        }
        prepared.named.gave(rows);
        Ok(())
    }

    /// Runs a statement with its values written into it.
    async fn run_plain(
        &mut self,
        scanned: &Scanned,
        list: &[Param],
        reason: Reason,
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let are_typed = reason == Reason::Ambiguous;
        let text = join(&scanned.pieces, |out, index| {
            write_literal(&list[index], are_typed, out)
        });
        if text.contains('\0') {
            return Err(SqlFailure::new(SqlFailureClass::Data, NO_NUL));
        }
        if self.prepares
            && reason != Reason::Unresolved
            && has_binary_form(scanned)
            && !self.reads_text().await?
            && let Plan::Prepared(prepared, _) = self.prepare(text.as_str().into(), 0, scanned.verb).await?
        {
            return self.run_prepared(&prepared, &[], &[], outlet).await;
        }
        let mut stream = (&mut self.connection).fetch_many(sqlx::raw_sql(AssertSqlSafe(text.as_str())));
        let mut is_open = false;
        while let Some(item) = stream.try_next().await? {
            match item {
                Either::Right(row) => {
                    if !is_open {
                        outlet.begin_set(Some(Arc::new(columns(row.columns())))).await?;
                        is_open = true;
                    }
                    outlet.row(RowKind::Postgres(row)).await?;
                }
                Either::Left(done) => {
                    if !is_open {
                        outlet.begin_set(None).await?;
                    }
                    outlet.end_set(done.rows_affected(), None);
                    is_open = false;
                }
            }
        }
        drop(stream);
        if scanned.gives_rows() && !outlet.has_columns() {
            // no row came, so nobody has said which columns there are
            let columns = match reason {
                Reason::Unresolved => self.describe_by_row(&text, scanned, outlet.in_transaction).await?,
                Reason::Plain | Reason::Ambiguous => self.describe(&text, outlet.in_transaction).await?,
            };
            outlet.set_columns(columns);
        }
        Ok(())
    }

    /// The columns of a plain statement that gave no rows.
    async fn describe(&mut self, text: &str, in_transaction: bool) -> Result<Option<Arc<Columns>>, SqlFailure> {
        let guarded = in_transaction && !self.prepares;
        for _ in 0..MAX_TAKEN {
            if guarded {
                self.command(GUARD).await?;
            }
            let sql = AssertSqlSafe(text.to_owned()).into_sql_str();
            let described = (&mut self.connection).prepare(sql).await;
            let described = described.map(|statement| columns(statement.columns()));
            if guarded {
                self.command(BACK_TO_GUARD).await?;
            }
            match described.map_err(SqlFailure::from) {
                Ok(columns) => return Ok((!columns.is_empty()).then(|| Arc::new(columns))),
                // the next one has another name
                Err(failure) if is_gone(&failure) && !self.prepares => {}
                Err(_) => break,
            }
        }
        Ok(None)
    }

    /// The columns of a query that gave no rows and cannot be prepared: those of a row of nothing but NULL.
    async fn describe_by_row(
        &mut self,
        text: &str,
        scanned: &Scanned,
        in_transaction: bool,
    ) -> Result<Option<Arc<Columns>>, SqlFailure> {
        if scanned.verb != Verb::Query {
            return Ok(None);
        }
        // the server sees that nothing of the query can be in the result, and does not run it; a comment may be the last of it
        let query = text.trim_end().trim_end_matches(';');
        let sql = format!("SELECT query.* FROM (SELECT) AS nothing LEFT JOIN ({query}\n) AS query ON false");
        if in_transaction {
            self.command(GUARD).await?;
        }
        let row = (&mut self.connection)
            .fetch_one(sqlx::raw_sql(AssertSqlSafe(sql)))
            .await;
        if in_transaction {
            self.command(BACK_TO_GUARD).await?;
        }
        match row.map_err(SqlFailure::from) {
            Ok(row) => Ok(Some(Arc::new(columns(row.columns())))),
            Err(failure) if failure.is_disconnect() => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// The server has lost what was prepared: from now on values are written into statements, which needs nothing of the kind.
    fn stop_preparing(&mut self) {
        self.prepares = false;
        self.lose_statements();
    }

    fn lose_statements(&mut self) {
        self.plans.clear();
        self.nameless.clear();
        self.named = 0;
    }

    fn forget_later(&mut self) {
        self.definitions = u64::MAX;
    }

    async fn forget_if_defined(&mut self) -> Result<(), SqlFailure> {
        if self.definitions != DEFINITIONS.load(Ordering::Relaxed) {
            self.forget().await?;
        }
        Ok(())
    }

    async fn forget(&mut self) -> Result<(), SqlFailure> {
        self.definitions = DEFINITIONS.load(Ordering::Relaxed);
        if !self.plans.is_empty() {
            self.drop_plans();
            self.connection.clear_cached_statements().await?;
        }
        Ok(())
    }

    fn drop_plans(&mut self) {
        for (_, plan) in self.plans.drain() {
            self.nameless.extend(plan.numbers());
        }
    }
}

/// What stands between the placeholders, without the casts that SQLAlchemy writes behind those for integers whose values do not fit: that
/// `id = 1099511627776` is nowhere true is no error.
fn without_casts(scanned: &Scanned, prepared: &Prepared, ways: &[Way]) -> Vec<String> {
    let mut pieces = scanned.pieces.clone();
    for (index, (way, (_, kind))) in ways.iter().zip(&prepared.parameters).enumerate() {
        let cast = match kind {
            PgKind::Int2 => "::SMALLINT",
            PgKind::Int4 => "::INTEGER",
            PgKind::Int8 => "::BIGINT",
            _ => continue,
        };
        if matches!(way, Way::As("int4" | "int8" | "numeric"))
            && let Some(rest) = pieces[index + 1].strip_prefix(cast)
            && !rest.starts_with('[')
        {
            pieces[index + 1] = rest.to_owned();
        }
    }
    pieces
}

fn columns(columns: &[PgColumn]) -> Columns {
    let columns = columns.iter().map(|column| Column {
        name: column.name().to_owned(),
        type_code: column.type_info().oid().map(|oid| i64::from(oid.0)),
        kind: ColumnKind::Postgres(PgKind::of(column.type_info())),
    });
    columns.collect()
}

fn random_tag() -> u64 {
    use ring::rand::SecureRandom;

    let mut bytes = [0; 8];
    // without randomness names are as good as they are without a proxy
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A prepared statement is no longer what it was.
fn is_stale(failure: &SqlFailure) -> bool {
    is_gone(failure) || (failure.sqlstate() == Some("0A000") && failure.message().contains("cached plan"))
}

/// A statement that was prepared here is not there any more, or another one has its name: it is there already, or takes other parameters.
fn is_gone(failure: &SqlFailure) -> bool {
    // users have prepared statements of their own
    let is_own = || {
        ["sqlx_s_", "busbar_"]
            .iter()
            .any(|name| failure.message().contains(name))
    };
    matches!(failure.sqlstate(), Some("26000" | "42P05" | "08P01")) && is_own()
}
