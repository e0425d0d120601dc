//! What comes of a statement: columns, rows as they came over the wire, and how many rows were changed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sqlx::mysql::MySqlRow;
use sqlx::sqlite::SqliteRow;
use tokio::sync::mpsc;

use super::batch::Batch;
use super::error::{SqlFailure, SqlFailureClass};
use super::mysql::MyKind;
use super::postgres::PgKind;
use super::{lock, mysql, sqlite};

/// Batches that may wait for the reader: as many as let the line be read while the reader makes objects of those before.
const BATCHES: usize = 8;

/// A column of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Number of its type: the OID of PostgreSQL, the field type of MySQL; SQLite has none.
    pub type_code: Option<i64>,
    pub(super) kind: ColumnKind,
}

/// The columns of a result.
pub type Columns = Vec<Column>;

/// How the values of a column are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ColumnKind {
    Postgres(PgKind),
    MySql(MyKind),
    Sqlite,
}

/// A row as sqlx hands it on.
pub(super) enum RowKind {
    MySql(MySqlRow),
    Sqlite(SqliteRow),
}

impl RowKind {
    /// Takes a value into a batch, or why it cannot be read: that Python has no form for it, such as a date before the year 1, or that it
    /// does not follow the protocol.
    fn read(&self, index: usize, column: &Column, batch: &mut Batch) {
        match (self, &column.kind) {
            (Self::MySql(row), ColumnKind::MySql(kind)) => batch.push(&mysql::cell(row, index, column, *kind)),
            (Self::Sqlite(row), ColumnKind::Sqlite) => batch.push(&sqlite::cell(row, index, column)),
            _ => batch.push(&Err(unreadable(column, "it comes from another kind of database"))),
        }
    }
}

/// A value that cannot be read.
pub(super) fn unreadable(column: &Column, what: &str) -> SqlFailure {
    let message = format!("the value of column `{}` cannot be read: {what}", column.name);
    SqlFailure::new(SqlFailureClass::Data, message)
}

/// Part of what comes of a statement.
#[derive(Default)]
struct Part {
    /// A result begins here, with its columns if it has any.
    begin: Option<Option<Arc<Columns>>>,
    rows: Batch,
    /// The result ends here: rows that were changed or given, the id that was made.
    end: Option<(u64, Option<i64>)>,
    failed: Option<SqlFailure>,
}

/// Where a statement that runs puts what comes of it.
pub(super) struct Outlet {
    sender: mpsc::Sender<Part>,
    part: Part,
    sent: bool,
    /// Of the result that has begun, if it has any.
    columns: Option<Arc<Columns>>,
    /// Of many runs only the sum of changed rows is kept.
    is_many: bool,
    affected: u64,
}

impl Outlet {
    /// A result begins.
    pub(super) async fn begin_set(&mut self, columns: Option<Arc<Columns>>) -> Result<(), SqlFailure> {
        if self.is_many {
            return Ok(());
        }
        if self.part.begin.is_some() || self.part.end.is_some() || !self.part.rows.is_empty() {
            self.flush().await?;
        }
        self.columns.clone_from(&columns);
        self.part.begin = Some(columns);
        Ok(())
    }

    /// Forgets what has not been given away, for a statement that is run again.
    pub(super) fn restart(&mut self) {
        self.part = Part::default();
    }

    /// A row of the result that has begun. Waits when the reader is behind.
    pub(super) async fn row(&mut self, row: RowKind) -> Result<(), SqlFailure> {
        let is_full = self.take_row(|columns, rows| {
            for (index, column) in columns.iter().enumerate() {
                row.read(index, column, rows);
            }
            Ok(())
        })?;
        if is_full {
            self.flush().await?;
        }
        Ok(())
    }

    /// A row of the result that has begun, which is read by what is given. `true`: those that are there are to be given away.
    #[inline]
    pub(super) fn take_row(
        &mut self,
        read: impl FnOnce(&Columns, &mut Batch) -> Result<(), SqlFailure>,
    ) -> Result<bool, SqlFailure> {
        let Some(columns) = self.columns.as_deref().filter(|_| !self.is_many) else {
            return Ok(false);
        };
        let rows = &mut self.part.rows;
        rows.begin_row(columns.len());
        read(columns, rows)?;
        Ok(rows.is_full())
    }

    /// The result ends.
    pub(super) fn end_set(&mut self, affected: u64, last_id: Option<i64>) {
        self.affected += affected;
        self.part.end = Some((if self.is_many { self.affected } else { affected }, last_id));
    }

    /// Whether the result that ended last has columns.
    pub(super) fn has_columns(&self) -> bool {
        self.columns.is_some()
    }

    /// Says which columns a result without rows has.
    pub(super) fn set_columns(&mut self, columns: Option<Arc<Columns>>) {
        if !self.is_many {
            self.columns.clone_from(&columns);
            self.part.begin = Some(columns);
        }
    }

    /// Whether the reader has seen anything yet.
    pub(super) fn has_sent(&self) -> bool {
        self.sent
    }

    /// Gives away what is there. Waits when the reader is behind.
    pub(super) async fn flush(&mut self) -> Result<(), SqlFailure> {
        self.sent = true;
        let next = Part {
            rows: Batch::like(&self.part.rows),
            ..Part::default()
        };
        let part = std::mem::replace(&mut self.part, next);
        self.sender.send(part).await.map_err(|_| {
            // nobody wants the rest
            SqlFailure::new(SqlFailureClass::Cancelled, "the result was given up")
        })
    }

    /// The statement has ended.
    pub(super) async fn finish(mut self, failed: Option<SqlFailure>) {
        self.part.failed = failed;
        // the reader may have left
        let _ = self.flush().await;
    }
}

/// One result of a statement.
#[derive(Default)]
struct Set {
    columns: Option<Arc<Columns>>,
    batches: VecDeque<Batch>,
    rows: u64,
    ended: Option<(u64, Option<i64>)>,
}

/// What comes of a statement, for its reader. Rows beyond those that have arrived are fetched as they are asked for.
pub struct Outcome {
    state: Mutex<State>,
    receiver: tokio::sync::Mutex<Option<mpsc::Receiver<Part>>>,
    keeps_all: bool,
}

#[derive(Default)]
struct State {
    sets: VecDeque<Set>,
    failed: Option<SqlFailure>,
    is_complete: bool,
}

/// What is known of the result that is read now.
#[derive(Clone)]
pub struct Summary {
    /// Its columns, if it has any.
    pub columns: Option<Arc<Columns>>,
    /// Rows changed or given; `None` while they still come.
    pub count: Option<u64>,
    /// The id that was made by the statement.
    pub last_id: Option<i64>,
}

impl Outcome {
    /// An outcome, and where it is put. With `keeps_all` each result of a script can be read, else the last one.
    pub(super) fn new(is_many: bool, keeps_all: bool) -> (Arc<Self>, Outlet) {
        let (sender, receiver) = mpsc::channel(BATCHES);
        let outcome = Self {
            state: Mutex::default(),
            receiver: tokio::sync::Mutex::new(Some(receiver)),
            keeps_all,
        };
        let outlet = Outlet {
            sender,
            part: Part::default(),
            sent: false,
            columns: None,
            is_many,
            affected: 0,
        };
        (Arc::new(outcome), outlet)
    }

    fn take(&self, part: Part) {
        let mut state = lock(&self.state);
        if let Some(columns) = part.begin {
            if !self.keeps_all {
                state.sets.clear();
            }
            state.sets.push_back(Set {
                columns,
                ..Set::default()
            });
        }
        if state.sets.is_empty() {
            state.sets.push_back(Set::default());
        }
        if let Some(set) = state.sets.back_mut() {
            if !part.rows.is_empty() {
                set.rows += part.rows.len() as u64;
                set.batches.push_back(part.rows);
            }
            if part.end.is_some() {
                set.ended = part.end;
            }
        }
        if part.failed.is_some() {
            state.failed = part.failed;
        }
    }

    /// Waits for the next rows. `false`: there are no further ones. Ends at once when it is given up.
    pub(super) async fn receive(&self) -> bool {
        let mut receiver = self.receiver.lock().await;
        let Some(open) = receiver.as_mut() else {
            return false;
        };
        match open.recv().await {
            Some(part) => {
                self.take(part);
                true
            }
            None => {
                *receiver = None;
                lock(&self.state).is_complete = true;
                false
            }
        }
    }

    /// Waits for the next rows, and takes whatever else has come by then.
    pub(super) async fn receive_some(&self) {
        if self.receive().await
            && let Some(open) = self.receiver.lock().await.as_mut()
        {
            while let Ok(part) = open.try_recv() {
                self.take(part);
            }
        }
    }

    /// Reads all that is left into memory.
    pub(super) async fn receive_all(&self) {
        while self.receive().await {}
    }

    /// Rows that have arrived together and were not read yet; none if there are none.
    pub fn ready(&self) -> Batch {
        let mut state = lock(&self.state);
        let batch = state.sets.front_mut().and_then(|set| set.batches.pop_front());
        batch.unwrap_or_default()
    }

    /// Whether further rows of the result that is read may come.
    pub fn is_open(&self) -> bool {
        let state = lock(&self.state);
        !state.is_complete && state.sets.front().is_none_or(|set| set.ended.is_none())
    }

    /// Whether anything of the statement may still come.
    pub(super) fn is_complete(&self) -> bool {
        lock(&self.state).is_complete
    }

    /// What stopped it, told once.
    pub fn failure(&self) -> Option<SqlFailure> {
        lock(&self.state).failed.take()
    }

    /// What is known of the result that is read now.
    pub fn summary(&self) -> Summary {
        let state = lock(&self.state);
        let set = state.sets.front();
        Summary {
            columns: set.and_then(|set| set.columns.clone()),
            count: set.and_then(|set| {
                let (affected, _) = set.ended?;
                Some(if set.columns.is_some() { set.rows } else { affected })
            }),
            last_id: set.and_then(|set| set.ended?.1),
        }
    }

    /// Goes on to the next result of a script, if there is one.
    pub fn next_set(&self) -> bool {
        let mut state = lock(&self.state);
        state.sets.pop_front();
        !state.sets.is_empty()
    }

    /// Nobody reads it any more.
    pub fn give_up(&self) {
        if let Ok(mut receiver) = self.receiver.try_lock() {
            *receiver = None;
        }
        let mut state = lock(&self.state);
        state.sets.clear();
        state.is_complete = true;
    }
}
