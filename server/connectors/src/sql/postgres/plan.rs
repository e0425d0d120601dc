//! How statements are run: prepared, with the types that the server infers for their parameters, or with their values written into them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fallible_iterator::FallibleIterator;
use hashlink::LruCache;
use postgres_protocol::message::backend::{Message, RowDescriptionBody};
use postgres_protocol::message::frontend;

use super::super::error::{SqlFailure, SqlFailureClass};
use super::super::outcome::{Column, ColumnKind, Columns};
use super::super::scan::{Scanned, Verb, join};
use super::super::value::{Param, write_to};
use super::line::{Line, out_of_turn, unfit, unspeakable};
use super::way::{Way, is_ambiguous, is_uncertain, way};
use super::write::{NO_NUL, write_literal};
use super::{DEFINITIONS, PgKind, PgLink, is_gone};

/// What stands around something that may fail and must not end the transaction.
const GUARD: &str = "SAVEPOINT busbar_prepare";
const RELEASE: &str = "RELEASE SAVEPOINT busbar_prepare";
const BACK_TO_GUARD: &str = "ROLLBACK TO SAVEPOINT busbar_prepare; RELEASE SAVEPOINT busbar_prepare";

/// Values that a message can hold.
const MAX_VALUES: usize = u16::MAX as usize;

/// How a statement is run.
#[derive(Clone)]
pub(super) enum Plan {
    Prepared(Arc<Prepared>),
    /// With its values written into it. `are_typed`: it has a function for which values without a type may be of several.
    Literal {
        are_typed: bool,
    },
}

/// A statement that the server has prepared.
pub(super) struct Prepared {
    number: u32,
    verb: Verb,
    pub(super) parameters: Vec<PgKind>,
    pub(super) columns: Option<Arc<Columns>>,
    /// Whether points in time with a zone are among what it gives.
    pub(super) has_zones: bool,
    /// Zone and styles by which what stands in it in quotes was read; `None`: nothing does.
    styles: Option<Arc<str>>,
}

/// How a statement is run with certain values.
pub(super) enum Fit {
    /// `base` says what was inferred, and `ways` how the values are given other than that; empty: they are not.
    Prepared {
        prepared: Arc<Prepared>,
        base: Arc<Prepared>,
        ways: Vec<Way>,
    },
    Literal {
        are_typed: bool,
    },
}

impl Prepared {
    /// How values are given to its parameters; empty: all of them as what was inferred.
    fn ways(&self, list: &[Param]) -> Vec<Way> {
        let given = || {
            list.iter()
                .zip(&self.parameters)
                .map(|(value, kind)| way(value, kind, self.verb))
        };
        if given().all(|way| way == Way::Inferred) {
            Vec::new()
        } else {
            given().collect()
        }
    }

    /// Whether values are given in the same ways as others.
    pub(super) fn takes(&self, list: &[Param], ways: &[Way]) -> bool {
        let given = list.iter().zip(&self.parameters).enumerate();
        given.into_iter().all(|(index, (value, kind))| {
            let known = ways.get(index).copied().unwrap_or(Way::Inferred);
            // NULL has any type
            *value == Param::Null || way(value, kind, self.verb) == known
        })
    }

    fn is_current(&self, line: &Line) -> bool {
        self.styles
            .as_ref()
            .is_none_or(|styles| *styles == line.session().styles)
    }
}

/// A statement, and the ways in which its values are given other than as what was inferred; none: they are not.
type Key = (Arc<str>, Vec<Way>);

/// What a connection has prepared.
pub(super) struct Plans {
    /// Whether statements are prepared. They are not where prepared ones get lost.
    pub(super) prepares: bool,
    most: usize,
    known: LruCache<Key, Plan>,
    /// Part of the names of statements: behind a proxy that shares its connections those of another link must not be taken for this one's.
    tag: u64,
    /// Number of the last one.
    last: u32,
    /// Those that are of no use any more.
    unneeded: Vec<u32>,
    /// How many changes of tables there had been.
    definitions: u64,
}

impl Plans {
    pub(super) fn new(most: usize) -> Self {
        Self {
            prepares: most > 0,
            most,
            known: LruCache::new_unbounded(),
            tag: random_tag(),
            last: 0,
            unneeded: Vec::new(),
            definitions: DEFINITIONS.load(Ordering::Relaxed),
        }
    }

    /// The name of a statement.
    pub(super) fn name(&self, prepared: &Prepared) -> String {
        self.name_of(prepared.number)
    }

    fn name_of(&self, number: u32) -> String {
        format!("busbar_{:x}_{number}", self.tag)
    }

    /// How a statement is run whose values are given in these ways, if that is known and holds.
    fn get(&mut self, key: &Key, line: &Line) -> Option<Plan> {
        let plan = self.known.get(key)?;
        if let Plan::Prepared(prepared) = plan
            && !prepared.is_current(line)
        {
            self.unneeded.push(prepared.number);
            self.known.remove(key);
            return None;
        }
        Some(plan.clone())
    }

    fn keep(&mut self, key: Key, plan: &Plan) {
        self.known.insert(key, plan.clone());
        if self.known.len() > self.most
            && let Some((_, Plan::Prepared(oldest))) = self.known.remove_lru()
        {
            self.unneeded.push(oldest.number);
        }
    }

    /// A statement is of no use any more.
    pub(super) fn close_soon(&mut self, prepared: &Prepared) {
        self.unneeded.push(prepared.number);
    }

    /// All of them are to be prepared anew, and closed on the server.
    pub(super) fn drop_all(&mut self) {
        let numbers = self.known.drain().filter_map(|(_, plan)| match plan {
            Plan::Prepared(prepared) => Some(prepared.number),
            Plan::Literal { .. } => None,
        });
        self.unneeded.extend(numbers);
    }

    /// The server has none of them any more.
    pub(super) fn lose(&mut self) {
        self.known.clear();
        self.unneeded.clear();
    }

    /// From now on values are written into statements, which needs nothing of the kind.
    pub(super) fn stop(&mut self) {
        self.prepares = false;
        self.lose();
    }

    /// All of them are to be prepared anew before the next statement.
    pub(super) fn forget_later(&mut self) {
        self.definitions = u64::MAX;
    }
}

impl PgLink {
    /// Has everything prepared anew if a table was changed since.
    pub(super) fn forget_if_defined(&mut self) {
        let definitions = DEFINITIONS.load(Ordering::Relaxed);
        if self.plans.definitions != definitions {
            self.plans.definitions = definitions;
            self.plans.drop_all();
        }
    }

    /// Writes that what is of no use any more is closed.
    pub(super) fn write_closes(&mut self) -> Result<(), SqlFailure> {
        for number in std::mem::take(&mut self.plans.unneeded) {
            let name = self.plans.name_of(number);
            self.line
                .write(|out| frontend::close(b'S', &name, out))
                .map_err(unfit)?;
        }
        Ok(())
    }

    /// The way in which a statement is run with such values.
    pub(super) async fn fit(&mut self, scanned: &Scanned, list: &[Param]) -> Result<Fit, SqlFailure> {
        let is_plain = scanned.is_script || !matches!(scanned.verb, Verb::Query | Verb::Change);
        if is_plain || !self.plans.prepares || list.len() > MAX_VALUES {
            // what is neither reads nor writes takes no parameters
            return Ok(Fit::Literal { are_typed: false });
        }
        let key = (scanned.text.clone(), Vec::new());
        let plan = match self.plans.get(&key, &self.line) {
            Some(plan) => plan,
            None => self.plan(key, scanned, list).await?,
        };
        let base = match plan {
            Plan::Prepared(base) => base,
            Plan::Literal { are_typed } => return Ok(Fit::Literal { are_typed }),
        };
        let ways = base.ways(list);
        let prepared = if ways.is_empty() {
            base.clone()
        } else {
            self.variant(scanned, &base, &ways).await?
        };
        Ok(Fit::Prepared { prepared, base, ways })
    }

    /// Finds out how a statement is run.
    async fn plan(&mut self, key: Key, scanned: &Scanned, list: &[Param]) -> Result<Plan, SqlFailure> {
        if scanned.has_moments {
            let is_guarded = self.line.is_in_transaction();
            self.look_at_types(scanned, list, false, is_guarded).await?;
            let plan = Plan::Literal { are_typed: false };
            self.plans.keep(key, &plan);
            return Ok(plan);
        }
        // what cannot be inferred would end the transaction
        let is_guarded = self.line.is_in_transaction() && !scanned.slots.is_empty();
        let goes_on = is_guarded || self.line.is_outside();
        let number = self.number();
        let prepared = self.prepare(number, &scanned.text, &[], list.len(), scanned.verb, is_guarded);
        let plan = match prepared.await {
            Ok(prepared) => Plan::Prepared(Arc::new(prepared)),
            Err(failure) if goes_on && is_gone(&failure) => {
                self.plans.stop();
                self.go_back(is_guarded).await?;
                return Ok(Plan::Literal { are_typed: false });
            }
            Err(failure) if goes_on && !list.is_empty() && is_uncertain(&failure) => {
                let are_typed = is_ambiguous(&failure);
                self.go_back(is_guarded).await?;
                self.look_at_types(scanned, list, are_typed, is_guarded).await?;
                Plan::Literal { are_typed }
            }
            Err(failure) => return Err(failure),
        };
        self.plans.keep(key, &plan);
        Ok(plan)
    }

    /// Finds out of which types the columns are of a statement that is run with its values written into it: it gives text, of which nothing
    /// can be asked while it comes.
    async fn look_at_types(
        &mut self,
        scanned: &Scanned,
        list: &[Param],
        are_typed: bool,
        is_guarded: bool,
    ) -> Result<(), SqlFailure> {
        let text = literal(scanned, list, are_typed)?;
        match self.prepare_once(&text, scanned.verb, is_guarded).await {
            Ok(prepared) => self.plans.close_soon(&prepared),
            Err(failure) if failure.is_disconnect() => return Err(failure),
            // whoever runs it will hear
            Err(_) => self.go_back(is_guarded).await?,
        }
        Ok(())
    }

    /// Makes a transaction what it was before something failed in it that was guarded.
    async fn go_back(&mut self, is_guarded: bool) -> Result<(), SqlFailure> {
        if is_guarded {
            self.line.command(BACK_TO_GUARD).await?;
        }
        Ok(())
    }

    /// Prepares a statement that is run once at most, and then closed.
    pub(super) async fn prepare_once(
        &mut self,
        text: &str,
        verb: Verb,
        is_guarded: bool,
    ) -> Result<Prepared, SqlFailure> {
        let number = self.number();
        self.prepare(number, text, &[], 0, verb, is_guarded).await
    }

    /// A statement whose values have types of their own.
    async fn variant(&mut self, scanned: &Scanned, base: &Prepared, ways: &[Way]) -> Result<Arc<Prepared>, SqlFailure> {
        let key = (scanned.text.clone(), ways.to_vec());
        if let Some(Plan::Prepared(variant)) = self.plans.get(&key, &self.line) {
            return Ok(variant);
        }
        let pieces = without_casts(scanned, base, ways);
        let text = join(&pieces, |out, index| write_to(out, format_args!("${}", index + 1)));
        let oids: Vec<_> = ways.iter().map(|way| way.oid()).collect();
        let number = self.number();
        let prepared = self.prepare(number, &text, &oids, ways.len(), scanned.verb, false);
        let variant = Arc::new(prepared.await?);
        self.plans.keep(key, &Plan::Prepared(variant.clone()));
        Ok(variant)
    }

    fn number(&mut self) -> u32 {
        self.plans.last += 1;
        self.plans.last
    }

    /// Prepares a statement that takes so many values. `is_guarded`: if that fails, the transaction can go back to where it was.
    async fn prepare(
        &mut self,
        number: u32,
        text: &str,
        oids: &[u32],
        count: usize,
        verb: Verb,
        is_guarded: bool,
    ) -> Result<Prepared, SqlFailure> {
        self.write_closes()?;
        if is_guarded {
            self.line.query(GUARD)?;
        }
        let name = self.plans.name_of(number);
        let written = self.line.write(|out| {
            frontend::parse(&name, text, oids.iter().copied(), out)?;
            frontend::describe(b'S', &name, out)
        });
        written.map_err(unfit)?;
        self.line.sync();
        if is_guarded {
            self.line.query(RELEASE)?;
        }
        self.line.flush().await?;
        let (mut parameters, mut columns) = (Vec::new(), Vec::new());
        let mut failed = None;
        while !self.line.is_settled() {
            match self.line.next().await? {
                b't' | b'T' => match self.line.message()? {
                    Message::ParameterDescription(body) => {
                        parameters = body.parameters().collect().map_err(unfit)?;
                    }
                    Message::RowDescription(body) => columns = fields(&body)?,
                    _ => {}
                },
                b'E' => self.line.fail(&mut failed)?,
                b'1' | b'3' | b'C' | b'n' | b'Z' => {}
                tag => return Err(out_of_turn(tag)),
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        if parameters.len() != count {
            self.plans.unneeded.push(number);
            let message = format!("the statement has {} parameters, {count} were given", parameters.len());
            return Err(SqlFailure::new(SqlFailureClass::Programming, message));
        }
        let oids = parameters.iter().copied().chain(columns.iter().map(|(_, oid)| *oid));
        self.learn(oids).await?;
        let columns = self.columns_of(columns);
        let has_zones = columns
            .iter()
            .flat_map(|columns| columns.iter())
            .any(|column| matches!(&column.kind, ColumnKind::Postgres(kind) if kind.has_zone()));
        Ok(Prepared {
            number,
            verb,
            parameters: parameters.iter().map(|oid| self.catalog.kind(*oid)).collect(),
            columns,
            has_zones,
            styles: has_quotes(text).then(|| self.line.session().styles.clone()),
        })
    }

    /// The columns that the message says which is looked at.
    pub(super) fn columns(&self) -> Result<Option<Arc<Columns>>, SqlFailure> {
        match self.line.message()? {
            Message::RowDescription(body) => Ok(self.columns_of(fields(&body)?)),
            _ => Err(out_of_turn(b'T')),
        }
    }

    fn columns_of(&self, fields: Vec<(String, u32)>) -> Option<Arc<Columns>> {
        let columns = fields.into_iter().map(|(name, oid)| Column {
            name,
            type_code: Some(oid.into()),
            kind: ColumnKind::Postgres(self.catalog.kind(oid)),
        });
        let columns: Columns = columns.collect();
        (!columns.is_empty()).then(|| Arc::new(columns))
    }
}

/// Names and types of columns.
fn fields(body: &RowDescriptionBody) -> Result<Vec<(String, u32)>, SqlFailure> {
    let fields = body
        .fields()
        .map(|field| Ok((field.name().to_owned(), field.type_oid())));
    fields.collect().map_err(unspeakable)
}

/// A statement with its values written into it.
pub(super) fn literal(scanned: &Scanned, list: &[Param], are_typed: bool) -> Result<String, SqlFailure> {
    let text = join(&scanned.pieces, |out, index| {
        write_literal(&list[index], are_typed, out)
    });
    if text.contains('\0') {
        return Err(SqlFailure::new(SqlFailureClass::Data, NO_NUL));
    }
    Ok(text)
}

/// Whether something stands in quotes, of which `$$` is one kind; `$1` is a parameter.
fn has_quotes(text: &str) -> bool {
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let is_quote = byte == b'\'' || (byte == b'$' && bytes.peek().is_some_and(|next| !next.is_ascii_digit()));
        if is_quote {
            return true;
        }
    }
    false
}

/// What stands between the placeholders, without the casts that SQLAlchemy writes behind those for integers whose values do not fit: that
/// `id = 1099511627776` is nowhere true is no error.
fn without_casts(scanned: &Scanned, base: &Prepared, ways: &[Way]) -> Vec<String> {
    let mut pieces = scanned.pieces.clone();
    for (index, (way, kind)) in ways.iter().zip(&base.parameters).enumerate() {
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

fn random_tag() -> u64 {
    use ring::rand::SecureRandom;

    let mut bytes = [0; 8];
    // without randomness names are as good as they are without a proxy
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_no_quotes() {
        for (text, has) in [
            ("SELECT $1, $12::date", false),
            ("SELECT '2024-01-01'::date", true),
            ("SELECT $$2024-01-01$$::date, $1", true),
            ("SELECT $day$2024-01-01$day$", true),
            ("SELECT a FROM t WHERE b = $1", false),
        ] {
            assert_eq!(has_quotes(text), has, "{text}");
        }
    }
}
