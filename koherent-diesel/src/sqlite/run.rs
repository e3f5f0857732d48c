//! Making a change and recording it, in one transaction.

use diesel::SqliteConnection;
use diesel::sqlite::Sqlite;
use koherent_core::ChangeKind;
use uuid::Uuid;

use super::nested::{self, OwnRows};
use super::rowid::keeping_rowid;
use super::statement::{Look, PartialRow, Returning, execute, for_each_row};
use super::transaction::{in_one_transaction, in_transaction, turn_of};
use super::types::date_text;
use super::value::Value;
use super::work::{Job, Read, Sql, Work};
use super::{delete, guard, insert, task, update, upsert};
use crate::change::Change;
use crate::error::Error;
use crate::gate::Turn;
use crate::positional::history::{complete, insert_into, not_written};
use crate::reading::Reading;
use crate::record::Recorder;
use crate::stamp::stamped;
use crate::table::TrackedTable;

/// What is stamped on every entry of one change.
pub(super) type Stamp = crate::positional::history::Stamp<Sqlite>;

/// The values of the key columns of one row.
pub(super) type Key = crate::positional::history::Key<Sqlite>;

/// The most values that one statement may bind (`SQLITE_MAX_VARIABLE_NUMBER` by default).
pub(super) const MAX_BINDS: usize = 32_766;

/// Does some work, and says how many rows it touched.
pub(super) fn run(
    connection: &mut SqliteConnection,
    work: &Work,
    turn: Option<Turn>,
    look: &mut Look<'_>,
) -> Result<usize, Error> {
    match work {
        Work::Change(job) => record(connection, job, turn, look),
        Work::Read(read) => self::read(connection, read, look),
        Work::Reads(reads) => reads.iter().try_fold(0, |rows, read| {
            Ok(rows + self::read(connection, read, look)?)
        }),
    }
}

/// Makes several changes in one transaction, and says how many rows each touched.
pub(super) fn run_all(
    connection: &mut SqliteConnection,
    work: &[Work],
    turn: Option<Turn>,
) -> Result<Vec<usize>, Error> {
    let Some(first) = work.first() else {
        return Ok(Vec::new());
    };
    let nested = in_transaction(connection)?;
    let _turn = match (turn, first) {
        (None, Work::Change(job)) => turn_of(connection, &job.recorder.remembered)?,
        (turn, _) => turn.unwrap_or_default(),
    };
    let recorder = match first {
        Work::Change(job) if !nested => Some(&job.recorder),
        _ => None,
    };
    let touched = in_one_transaction(connection, nested, |connection| {
        claim(connection, recorder)?;
        let each = work
            .iter()
            .map(|work| run(connection, work, None, &mut |_| Ok(())));
        each.collect::<Result<Vec<_>, _>>()
    });
    if let Some(recorder) = recorder {
        recorder.settled(&touched);
    }
    let touched = touched?;
    if let (false, Some(Work::Change(job))) = (nested, work.first()) {
        job.recorder.remembered.committed();
    }
    Ok(touched)
}

fn read(
    connection: &mut SqliteConnection,
    read: &Read,
    look: &mut Look<'_>,
) -> Result<usize, Error> {
    use diesel::row::Row as _;
    let mut read_all = |connection: &mut SqliteConnection, sql: &Sql| {
        for_each_row(connection, sql, |row| {
            look(&PartialRow::new(row, 0..row.field_count()))
        })
    };
    let mut result = read_all(connection, &read.sql);
    if let (Some(also), Ok(rows)) = (&read.also, &result) {
        let (is_there, more) = &**also;
        if for_each_row(connection, is_there, |_| Ok::<_, Error>(()))? > 0 {
            result = read_all(connection, more).map(|others| rows + others);
        }
    }
    result.map_err(|error| match (error, read.history_of) {
        (Error::Diesel(source), Some(table)) => Error::HistoryNotRead { table, source },
        (error, _) => error,
    })
}

/// Makes a change and records it, in one transaction or in one savepoint of the open one.
fn record(
    connection: &mut SqliteConnection,
    job: &Job,
    turn: Option<Turn>,
    look: &mut Look<'_>,
) -> Result<usize, Error> {
    if matches!(&job.change, Change::Insert { parts, .. } if parts.is_empty()) {
        return Ok(0);
    }
    let (table, recorder) = (job.table, &job.recorder);
    let nested = in_transaction(connection)?;
    if nested && recorder.is_read_only() {
        return Err(Error::read_only());
    }
    let _turn = match turn {
        Some(turn) => turn,
        None => turn_of(connection, &recorder.remembered)?,
    };
    let transaction = recorder.transaction();
    let touched = in_one_transaction(connection, nested, |connection| {
        claim(connection, Some(recorder).filter(|_| !nested))?;
        // Where the transaction is somebody else's, this takes the write lock, so that the time is read under it.
        let waits = guard::arm(connection, job, transaction)?;
        let mut entries = Entries {
            table,
            stamp: Stamp::at(recorder, transaction),
            waiting: waits.then(OwnRows::default),
        };
        let mut returning = Returning {
            columns: job.returned.as_ref().map(|returned| &returned.columns),
            look: &mut |row| look(row),
        };
        let returning = &mut returning;
        let mut touched = match &job.change {
            Change::Insert { parts, .. } => {
                let rows = parts.iter().map(|row| insert_into(table, row));
                insert::run(connection, &mut entries, job, rows, returning)?
            }
            Change::Statement {
                statement,
                upsert: false,
            } => {
                let statement = std::iter::once(statement.clone());
                insert::run(connection, &mut entries, job, statement, returning)?
            }
            Change::Statement { statement, .. } => {
                upsert::run(connection, &mut entries, job, statement, returning)?
            }
            Change::Update { changes, filter } => {
                update::run(connection, &mut entries, job, changes, filter, returning)?
            }
            Change::Delete { filter } => keeping_rowid(connection, |connection| {
                delete::run(connection, &entries.stamp, table, filter, returning)
            })?,
        };
        let are_listed = guard::disarm(connection)?;
        let Entries { stamp, waiting, .. } = entries;
        if waiting.is_some() || are_listed {
            touched.recorded += keeping_rowid(connection, |connection| {
                let own = waiting.unwrap_or_default();
                Ok(own.record(connection, &stamp, table)?
                    + nested::record(connection, &stamp, table)?)
            })?;
        }
        if touched.recorded > 0 {
            keeping_rowid(connection, |connection| task::ensure(connection, recorder))?;
        }
        Ok(touched)
    })
    .map_err(|error| error.or_refused(table));
    if !nested {
        recorder.settled(&touched);
    }
    let touched = touched?;
    // Only now is the task's row committed; in an open transaction nobody knows yet whether it will be.
    if touched.recorded > 0 && !nested {
        recorder.committed();
    }
    Ok(touched.rows)
}

/// Claims the id of a transaction that has just begun, where it is made under a key.
fn claim(connection: &mut SqliteConnection, recorder: Option<&Recorder>) -> Result<(), Error> {
    let claim = recorder.and_then(|recorder| recorder.claim::<Sqlite>(recorder.transaction?));
    let Some((work, mut claim)) = claim else {
        return Ok(());
    };
    let rows = run(connection, &work, None, &mut |row| {
        Reading::<Sqlite>::row(&mut claim, row)
    })?;
    Reading::<Sqlite>::finish(claim, rows)
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Touched {
    /// Rows that the statement touched.
    pub(super) rows: usize,
    /// Entries written.
    pub(super) recorded: usize,
}

impl Stamp {
    /// Reads the time: the caller holds the write lock.
    fn at(recorder: &Recorder, transaction: Uuid) -> Self {
        let mut date = Sql::new();
        date.bind(date_text(recorder.now()));
        let values = stamped(&recorder.attribution, transaction);
        let values = values.into_iter().map(Value::from).collect();
        Self { date, values }
    }
}

/// The entries of one audited statement.
pub(super) struct Entries {
    table: &'static TrackedTable,
    pub(super) stamp: Stamp,
    /// Where triggers of the application may change the rows once more: those whose entries wait for that.
    waiting: Option<OwnRows>,
}

impl Entries {
    /// Writes one entry for each of the rows with these keys, or says that they wait for theirs: then none is written yet.
    pub(super) fn record_keys(
        &mut self,
        connection: &mut SqliteConnection,
        kind: ChangeKind,
        keys: Vec<Key>,
    ) -> Result<usize, Error> {
        if let Some(waiting) = &mut self.waiting {
            waiting.add(kind, keys);
            return Ok(0);
        }
        let changed = keys.len();
        if keys.is_empty() {
            return Ok(0);
        }
        let recorded = keeping_rowid(connection, |connection| {
            let mut recorded = 0;
            for sql in self.stamp.for_keys(self.table, kind, keys, MAX_BINDS) {
                recorded +=
                    execute(connection, &sql).map_err(|source| not_written(self.table, source))?;
            }
            Ok(recorded)
        })?;
        complete(self.table, changed, recorded)
    }
}

/// Writes one entry for each of these rows, which are gone.
pub(super) fn record_values(
    connection: &mut SqliteConnection,
    stamp: &Stamp,
    table: &'static TrackedTable,
    rows: Vec<Vec<Value>>,
) -> Result<usize, Error> {
    let gone = rows.len();
    if rows.is_empty() {
        return Ok(0);
    }
    let recorded = keeping_rowid(connection, |connection| {
        let mut recorded = 0;
        for sql in stamp.for_values(table, ChangeKind::Delete, rows, MAX_BINDS) {
            recorded += execute(connection, &sql).map_err(|source| not_written(table, source))?;
        }
        Ok(recorded)
    })?;
    complete(table, gone, recorded)
}
