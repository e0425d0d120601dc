//! PostgreSQL: statements whose parameters have the types that the server infers.
//!
//! A statement is prepared without types first; the server says what it takes the parameters for. A value that does not fit is given
//! another way: text is cast from text on the server (`$1::text::inet`), anything else has the type that a literal of it would have
//! (`$1::numeric`). Where the server can infer nothing (`SELECT %s IS NULL`), values are written into the statement as literals, which is
//! what psycopg2 does always; so are statements whose results have types of which only the text form is known here.

mod flight;
mod types;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::TryStreamExt;
use sqlx::encode::IsNull;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgColumn, PgConnection, PgRow, PgTypeInfo, PgValueFormat, Postgres,
};
use sqlx::{
    AssertSqlSafe, Column as _, Connection, Either, Encode, Executor, Row as _, SqlSafeStr, Statement, Type, TypeInfo,
    ValueRef,
};

use super::error::{SqlFailure, SqlFailureClass};
use super::moment::{DAY, TO_2000, Time};
use super::outcome::{Column, ColumnKind, Columns, Outlet, RowKind};
use super::scan::{Scanned, Verb, join};
use super::value::{Cell, Param, float_text, hex, span_text, uuid_text, write_to};
use flight::Named;
pub(super) use types::{PgKind, widen};
use types::{read_binary, read_common, read_text, write_numeric};

/// Counts changes of tables that went through this process. Prepared statements from before one may give other columns by now, which the
/// server then refuses to do within a transaction.
static DEFINITIONS: AtomicU64 = AtomicU64::new(0);
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
}

/// How a statement is run.
enum Plan {
    Prepared(Prepared, std::sync::Mutex<Vec<(Vec<Way>, Arc<Plan>)>>),
    /// With its values written into it.
    Literal,
}

struct Prepared {
    text: Arc<str>,
    parameters: Vec<(PgTypeInfo, PgKind)>,
    columns: Option<Arc<Columns>>,
    named: Named,
}

/// How a value is given.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// As the type that was inferred.
    Inferred,
    /// With a type of its own.
    As(&'static str),
    /// As text that the server casts.
    Text(String),
}

impl PgLink {
    pub(super) fn new(connection: PgConnection, backend: i32) -> Self {
        Self {
            connection,
            backend,
            plans: HashMap::new(),
            definitions: DEFINITIONS.load(Ordering::Relaxed),
            has_defined: false,
            tag: random_tag(),
            names: 0,
            named: 0,
            is_settled: true,
            nameless: Vec::new(),
        }
    }

    /// Runs a statement that has no values and gives nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        self.is_settled = false;
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
        let result = self.run_all(scanned, lists, begin, began, outlet).await;
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
        if scanned.verb == Verb::Define || scanned.is_script {
            DEFINITIONS.fetch_add(1, Ordering::Relaxed);
            self.has_defined = true;
        }
        self.forget_if_defined().await?;
        let mut begin = begin;
        let mut at = 0;
        while let Some(list) = lists.get(at) {
            let plan = self
                .plan(scanned, list, begin.is_none() && outlet.in_transaction)
                .await?;
            let may_repeat = begin.is_some() || !outlet.in_transaction;
            let mut flight = None;
            if let Some(begin) = begin.take() {
                if lists.len() == 1 {
                    flight = self.first_of_transaction(begin, scanned, &plan, list);
                }
                if flight.is_none() {
                    self.command(begin).await?;
                    *began = true;
                    outlet.in_transaction = true;
                }
            }
            if lists.len() > 1 {
                let together = self.run_together(scanned, &plan, &lists[at..], outlet).await;
                let count = together.map_err(|failure| self.told(failure))?;
                if count > 0 {
                    at += count;
                    continue;
                }
            }
            at += 1;
            let result = match (flight, &*plan) {
                (Some(flight), Plan::Prepared(prepared, _)) => self.fly(flight, prepared, began, outlet).await,
                _ => self.run_plan(&plan, scanned, list, outlet).await,
            };
            match result {
                Err(failure) if may_repeat && lists.len() == 1 && is_stale(&failure) && !outlet.has_sent() => {
                    // somebody else has changed a table since the statement was prepared
                    outlet.restart();
                    self.forget().await?;
                    if *began {
                        self.command("ROLLBACK").await?;
                    }
                    let plan = self.plan(scanned, list, false).await?;
                    if *began {
                        self.command(outlet.begin.as_deref().unwrap_or("BEGIN")).await?;
                    }
                    self.run_plan(&plan, scanned, list, outlet).await?;
                }
                Err(failure) => return Err(self.told(failure)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// A failure on its way to the caller.
    fn told(&mut self, failure: SqlFailure) -> SqlFailure {
        if is_stale(&failure) {
            self.forget_later();
            return failure.retriable();
        }
        failure
    }

    async fn run_plan(
        &mut self,
        plan: &Arc<Plan>,
        scanned: &Scanned,
        list: &[Param],
        outlet: &mut Outlet,
    ) -> Result<(), SqlFailure> {
        let Plan::Prepared(prepared, variants) = &**plan else {
            let text = join(&scanned.pieces, |out, index| write_literal(&list[index], out));
            return self.run_plain(&text, scanned.gives_rows(), outlet).await;
        };
        let mut ways = Vec::with_capacity(list.len());
        for (value, (info, kind)) in list.iter().zip(&prepared.parameters) {
            ways.push(way(value, info, kind));
        }
        if ways.iter().all(|way| *way == Way::Inferred) {
            return self.run_prepared(prepared, list, &ways, outlet).await;
        }
        let known = super::lock(variants)
            .iter()
            .find(|(known, _)| *known == ways)
            .map(|(_, plan)| plan.clone());
        let variant = match known {
            Some(variant) => variant,
            None => {
                let text = join(&scanned.pieces, |out, index| {
                    write_to(out, format_args!("${}", index + 1));
                    match &ways[index] {
                        Way::Inferred => {}
                        Way::As(name) => write_to(out, format_args!("::{name}")),
                        Way::Text(name) => write_to(out, format_args!("::text::{name}")),
                    }
                });
                let variant = Arc::new(self.prepare(text.into(), list.len()).await?);
                let mut variants = super::lock(variants);
                if variants.len() < MAX_VARIANTS {
                    variants.push((ways.clone(), variant.clone()));
                }
                variant
            }
        };
        match &*variant {
            Plan::Prepared(prepared, _) => self.run_prepared(prepared, list, &ways, outlet).await,
            Plan::Literal => {
                let text = join(&scanned.pieces, |out, index| write_literal(&list[index], out));
                self.run_plain(&text, scanned.gives_rows(), outlet).await
            }
        }
    }

    /// The way in which a statement is run.
    async fn plan(&mut self, scanned: &Scanned, list: &[Param], in_transaction: bool) -> Result<Arc<Plan>, SqlFailure> {
        if let Some(plan) = self.plans.get(&scanned.text) {
            return Ok(plan.clone());
        }
        let is_plain = scanned.is_script || !matches!(scanned.verb, Verb::Query | Verb::Change);
        if is_plain {
            // as literals: what is neither reads nor writes takes no parameters
            return Ok(Arc::new(Plan::Literal));
        }
        // what cannot be inferred would end the transaction
        let guarded = in_transaction && !scanned.slots.is_empty();
        if guarded {
            self.command("SAVEPOINT busbar_prepare").await?;
        }
        let plan = match self.prepare(scanned.text.clone(), list.len()).await {
            Ok(plan) => {
                if guarded {
                    self.command("RELEASE SAVEPOINT busbar_prepare").await?;
                }
                plan
            }
            Err(failure) if !list.is_empty() && is_uncertain(&failure) => {
                if guarded {
                    self.command("ROLLBACK TO SAVEPOINT busbar_prepare").await?;
                    self.command("RELEASE SAVEPOINT busbar_prepare").await?;
                }
                Plan::Literal
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

    async fn prepare(&mut self, text: Arc<str>, count: usize) -> Result<Plan, SqlFailure> {
        let sql = AssertSqlSafe(text.clone()).into_sql_str();
        let statement = (&mut self.connection).prepare(sql).await?;
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
            return Ok(Plan::Literal);
        }
        let prepared = Prepared {
            text,
            parameters,
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

    async fn run_plain(&mut self, text: &str, gives_rows: bool, outlet: &mut Outlet) -> Result<(), SqlFailure> {
        let mut stream = (&mut self.connection).fetch_many(sqlx::raw_sql(AssertSqlSafe(text)));
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
        if gives_rows && !outlet.has_columns() {
            // no row came, so nobody has said which columns there are
            let columns = self.describe(text).await;
            outlet.set_columns(columns);
        }
        Ok(())
    }

    /// The columns of a plain statement that gave no rows.
    async fn describe(&mut self, text: &str) -> Option<Arc<Columns>> {
        let sql = AssertSqlSafe(text.to_owned()).into_sql_str();
        let statement = (&mut self.connection).prepare(sql).await.ok()?;
        let columns = columns(statement.columns());
        (!columns.is_empty()).then(|| Arc::new(columns))
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
            if let Plan::Prepared(prepared, _) = &*plan {
                self.nameless.extend(prepared.named.number());
            }
        }
    }
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
    match failure.sqlstate() {
        Some("0A000") => failure.message().contains("cached plan"),
        Some("26000") => true,
        _ => false,
    }
}

/// The server cannot tell which types parameters have, or has no function for parameters without a type.
fn is_uncertain(failure: &SqlFailure) -> bool {
    matches!(
        failure.sqlstate(),
        Some("42P18" | "42P08" | "42725" | "42883" | "42804" | "42846")
    )
}

/// How a value is given to a parameter of that type.
fn way(value: &Param, info: &PgTypeInfo, kind: &PgKind) -> Way {
    use PgKind as K;
    let cast = || Way::Text(type_name(info).to_owned());
    match (value, kind) {
        (Param::Null, _)
        | (Param::Text(_), K::Text | K::Json | K::Jsonb)
        | (Param::Bool(_), K::Bool | K::Int2 | K::Int4 | K::Int8)
        | (Param::Float(_), K::Float4 | K::Float8 | K::Numeric)
        | (Param::Decimal(_), K::Numeric)
        | (Param::Bytes(_), K::Bytea)
        | (Param::Date(_), K::Date | K::Timestamp)
        | (Param::Time(Time { offset: None, .. }), K::Time)
        | (Param::Time(Time { offset: Some(_), .. }), K::TimeTz)
        | (Param::Span(_), K::Interval)
        | (Param::Uuid(_), K::Uuid)
        | (Param::Json(_) | Param::List(_), K::Json | K::Jsonb)
        | (Param::Int(_), K::Int8 | K::Numeric | K::Float4 | K::Float8) => Way::Inferred,
        (Param::Int(value), K::Int4) if i32::try_from(*value).is_ok() => Way::Inferred,
        (Param::Int(value), K::Int2) if i16::try_from(*value).is_ok() => Way::Inferred,
        (Param::Int(value), K::Oid) if u32::try_from(*value).is_ok() => Way::Inferred,
        (Param::DateTime(point), K::Timestamp) if point.time.offset.is_none() => Way::Inferred,
        (Param::DateTime(point), K::TimestampTz) if point.time.offset.is_some() => Way::Inferred,
        // text is what a literal in quotes is: whatever the place needs
        (Param::Text(_), _) | (Param::List(_), K::Array(_)) => cast(),
        (Param::List(values), _) => Way::Text(array_type(values).to_owned()),
        (Param::Bool(_), _) => Way::As("bool"),
        (Param::Int(value), _) if i32::try_from(*value).is_ok() => Way::As("int4"),
        (Param::Int(_), _) => Way::As("int8"),
        (Param::Float(_), _) => Way::As("float8"),
        (Param::Decimal(_), _) => Way::As("numeric"),
        (Param::Bytes(_), _) => Way::As("bytea"),
        (Param::Date(_), _) => Way::As("date"),
        (Param::Time(time), _) => Way::As(if time.offset.is_some() { "timetz" } else { "time" }),
        (Param::DateTime(point), _) => Way::As(if point.time.offset.is_some() {
            "timestamptz"
        } else {
            "timestamp"
        }),
        (Param::Span(_), _) => Way::As("interval"),
        (Param::Uuid(_), _) => Way::As("uuid"),
        (Param::Json(_), _) => Way::As("jsonb"),
    }
}

/// The name of a type in a cast. Some of those that SQL itself has mean a length of one.
fn type_name(info: &PgTypeInfo) -> &str {
    match info.oid().map(|oid| oid.0) {
        Some(1002) => "\"char\"[]",
        Some(1014) => "bpchar[]",
        Some(1560) => "\"bit\"",
        Some(1561) => "\"bit\"[]",
        _ => info.name(),
    }
}

/// The type that an array of such values has by itself.
fn array_type(values: &[Param]) -> &'static str {
    match values.iter().find(|value| **value != Param::Null) {
        Some(Param::List(values)) => array_type(values),
        Some(Param::Bool(_)) => "bool[]",
        Some(Param::Int(_))
            if values
                .iter()
                .all(|value| !matches!(value, Param::Int(value) if i32::try_from(*value).is_err())) =>
        {
            if values
                .iter()
                .any(|value| matches!(value, Param::Float(_) | Param::Decimal(_)))
            {
                "numeric[]"
            } else {
                "int4[]"
            }
        }
        Some(Param::Int(_)) => "int8[]",
        Some(Param::Float(_)) => "float8[]",
        Some(Param::Decimal(_)) => "numeric[]",
        Some(Param::Bytes(_)) => "bytea[]",
        Some(Param::Date(_)) => "date[]",
        Some(Param::Time(_)) => "time[]",
        Some(Param::DateTime(point)) if point.time.offset.is_some() => "timestamptz[]",
        Some(Param::DateTime(_)) => "timestamp[]",
        Some(Param::Span(_)) => "interval[]",
        Some(Param::Uuid(_)) => "uuid[]",
        Some(Param::Json(_)) => "jsonb[]",
        _ => "text[]",
    }
}

/// A value on its way into the message.
struct Argument<'a> {
    value: &'a Param,
    info: &'a PgTypeInfo,
    kind: &'a PgKind,
    way: &'a Way,
}

impl Type<Postgres> for Argument<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }
}

impl Encode<'_, Postgres> for Argument<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, sqlx::error::BoxDynError> {
        if *self.value == Param::Null {
            return Ok(IsNull::Yes);
        }
        let out: &mut Vec<u8> = buffer;
        if matches!(self.way, Way::Text(_)) {
            let text = self.value.to_text();
            no_nul(&text)?;
            out.extend(text.as_bytes());
        } else {
            write_binary(self.value, self.kind, out)?;
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.info.clone())
    }
}

fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("PostgreSQL cannot store text with a NUL character in it".to_owned());
    }
    Ok(())
}

fn write_binary(value: &Param, kind: &PgKind, out: &mut Vec<u8>) -> Result<(), sqlx::error::BoxDynError> {
    use PgKind as K;
    let integer = |value: i64, out: &mut Vec<u8>| -> Result<(), sqlx::error::BoxDynError> {
        match kind {
            K::Int2 => out.extend(i16::try_from(value)?.to_be_bytes()),
            K::Int4 => out.extend(i32::try_from(value)?.to_be_bytes()),
            K::Oid => out.extend(u32::try_from(value)?.to_be_bytes()),
            K::Int8 => out.extend(value.to_be_bytes()),
            K::Float4 => out.extend((value as f32).to_be_bytes()),
            K::Float8 => out.extend((value as f64).to_be_bytes()),
            K::Numeric => write_numeric(&value.to_string(), out)?,
            K::Bool => out.push(u8::from(value != 0)),
            _ => return Err(unfit(kind)),
        }
        Ok(())
    };
    match (value, kind) {
        (Param::Bool(value), _) => integer((*value).into(), out)?,
        (Param::Int(value), _) => integer(*value, out)?,
        (Param::Float(value), K::Float4) => out.extend((*value as f32).to_be_bytes()),
        (Param::Float(value), K::Float8) => out.extend(value.to_be_bytes()),
        (Param::Float(value), K::Numeric) => write_numeric(&float_text(*value), out)?,
        (Param::Decimal(text), K::Numeric) => write_numeric(text, out)?,
        (Param::Text(text), K::Text) => {
            no_nul(text)?;
            out.extend(text.as_bytes());
        }
        (Param::Text(text) | Param::Json(text), K::Json) => out.extend(text.as_bytes()),
        (Param::Text(text) | Param::Json(text), K::Jsonb) => {
            out.push(1);
            out.extend(text.as_bytes());
        }
        (Param::List(_), K::Json | K::Jsonb) => {
            let mut text = String::new();
            value.write_json(&mut text);
            if *kind == K::Jsonb {
                out.push(1);
            }
            out.extend(text.as_bytes());
        }
        (Param::Bytes(bytes), K::Bytea) => out.extend(bytes),
        (Param::Date(date), K::Date) => out.extend(i32::try_from(date.days() - TO_2000)?.to_be_bytes()),
        (Param::Date(date), K::Timestamp) => out.extend(((date.days() - TO_2000) * DAY).to_be_bytes()),
        (Param::Time(time), K::Time) => out.extend(time.micros().to_be_bytes()),
        (Param::Time(time), K::TimeTz) => {
            out.extend(time.micros().to_be_bytes());
            out.extend((-time.offset.unwrap_or(0)).to_be_bytes());
        }
        (Param::DateTime(point), K::Timestamp) => out.extend((point.wall_micros() - TO_2000 * DAY).to_be_bytes()),
        (Param::DateTime(point), K::TimestampTz) => out.extend((point.utc_micros() - TO_2000 * DAY).to_be_bytes()),
        (Param::Span(span), K::Interval) => {
            out.extend(span.micros.to_be_bytes());
            out.extend(i32::try_from(span.days)?.to_be_bytes());
            out.extend(0_i32.to_be_bytes());
        }
        (Param::Uuid(uuid), K::Uuid) => out.extend(uuid),
        _ => return Err(format!("{} cannot be given where PostgreSQL expects {kind:?}", value.kind()).into()),
    }
    Ok(())
}

fn unfit(kind: &PgKind) -> sqlx::error::BoxDynError {
    format!("a number cannot be given where PostgreSQL expects {kind:?}").into()
}

/// Writes a value as SQL would have it.
fn write_literal(value: &Param, out: &mut String) {
    match value {
        Param::Null => out.push_str("NULL"),
        Param::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // a minus next to another one would begin a comment
        Param::Int(value) => write_to(out, format_args!(" {value}")),
        Param::Decimal(text)
            if text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) =>
        {
            write_to(out, format_args!(" {text}"));
        }
        Param::Decimal(text) => write_quoted(text, "::numeric", out),
        Param::Float(value) if value.is_finite() => write_to(out, format_args!(" {value:?}")),
        Param::Float(value) => write_quoted(&float_text(*value), "::float8", out),
        Param::Text(text) | Param::Json(text) => write_quoted(text, "", out),
        Param::Bytes(bytes) => write_quoted(&format!("\\x{}", hex(bytes)), "::bytea", out),
        Param::Date(date) => write_quoted(&date.to_string(), "::date", out),
        Param::Time(time) => {
            let cast = if time.offset.is_some() { "::timetz" } else { "::time" };
            write_quoted(&time.to_string(), cast, out);
        }
        Param::DateTime(point) => {
            let cast = if point.time.offset.is_some() {
                "::timestamptz"
            } else {
                "::timestamp"
            };
            write_quoted(&point.to_string(), cast, out);
        }
        Param::Span(span) => write_quoted(&span_text(*span), "::interval", out),
        Param::Uuid(uuid) => write_quoted(&uuid_text(uuid), "::uuid", out),
        // an empty one has no type of its own
        Param::List(values) if values.is_empty() => out.push_str("'{}'"),
        Param::List(values) => {
            let text = value.to_text();
            let cast = format!("::{}", array_type(values));
            write_quoted(&text, if cast == "::text[]" { "" } else { &cast }, out);
        }
    }
}

/// A string in SQL, whatever `standard_conforming_strings` says.
fn write_quoted(text: &str, cast: &str, out: &mut String) {
    out.push(' ');
    if text.contains('\\') {
        out.push('E');
    }
    out.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            out.push(character);
        }
        out.push(character);
    }
    out.push('\'');
    out.push_str(cast);
}

/// About how many bytes the values of a row have.
pub(super) fn size(row: &PgRow) -> usize {
    let length = |index| {
        let value = row.try_get_raw(index).ok().filter(|value| !value.is_null());
        value.and_then(|value| value.as_bytes().ok()).map_or(0, <[u8]>::len)
    };
    (0..row.len()).map(length).sum()
}

/// Reads a value of a row.
pub(super) fn cell<'r>(row: &'r PgRow, index: usize, column: &Column, kind: &PgKind) -> Result<Cell<'r>, SqlFailure> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let bytes = value
        .as_bytes()
        .map_err(|error| SqlFailure::new(SqlFailureClass::Data, error.to_string()))?;
    let read = match value.format() {
        PgValueFormat::Binary => {
            // handing a value on from result to result takes longer than reading it
            if let Some(common) = read_common(kind, bytes) {
                return Ok(common);
            }
            read_binary(kind, bytes)
        }
        PgValueFormat::Text => read_text(kind, bytes),
    };
    read.map_err(|what| super::outcome::unreadable(column, &what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_break_out() {
        let write = |value: &Param| {
            let mut out = String::new();
            write_literal(value, &mut out);
            out
        };
        assert_eq!(write(&Param::Text("a'b".to_owned())), " 'a''b'");
        assert_eq!(write(&Param::Text("a\\'b".to_owned())), " E'a\\\\''b'");
        assert_eq!(write(&Param::Int(-5)), " -5");
        assert_eq!(write(&Param::Decimal("1;drop".to_owned())), " '1;drop'::numeric");
        assert_eq!(write(&Param::Bytes(vec![0, 255])), " E'\\\\x00ff'::bytea");
        assert_eq!(write(&Param::List(vec![Param::Int(1)])), " '{\"1\"}'::int4[]");
    }
}
