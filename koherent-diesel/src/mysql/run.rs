//! Making a change and recording it, in one transaction.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::row::Row as _;
use diesel_async::{
    AnsiTransactionManager, AsyncMysqlConnection, SimpleAsyncConnection as _, TransactionManager,
};
use koherent_core::ChangeKind;
use uuid::Uuid;

use super::session::{Look, Returning, Row, diagnosed, execute, for_each_row, in_transaction};
use super::value::Value;
use super::work::{Job, MAX_BINDS, Read, Sql, Work};
use super::{guard, insert, remove, task, update, upsert};
use crate::change::Change;
use crate::error::Error;
use crate::positional::history::{complete, insert_into, not_written};
use crate::reading::Reading;
use crate::record::Recorder;
use crate::stamp::stamped;
use crate::table::TrackedTable;
use crate::transaction::{LONE_ATTEMPTS, Retryable as _};

/// What is stamped on every entry of one change.
pub(super) type Stamp = crate::positional::history::Stamp<Mysql>;

/// The values of the key columns of one row.
pub(super) type Key = crate::positional::history::Key<Mysql>;

/// Does some work, and says how many rows it touched.
pub(super) async fn run(
    connection: &mut AsyncMysqlConnection,
    work: &Work,
    look: &mut Look<'_>,
) -> Result<usize, Error> {
    match work {
        Work::Change(job) => record(connection, job, look).await,
        Work::Read(read) => self::read(connection, read, look).await,
        Work::Reads(reads) => {
            let mut rows = 0;
            for read in reads {
                rows += self::read(connection, read, look).await?;
            }
            Ok(rows)
        }
    }
}

/// Makes several changes in one transaction, and says how many rows each touched.
pub(super) async fn run_all(
    connection: &mut AsyncMysqlConnection,
    work: &[Work],
) -> Result<Vec<usize>, Error> {
    let mut touched = Vec::with_capacity(work.len());
    if work.is_empty() {
        return Ok(touched);
    }
    let alone = !in_transaction(connection)?;
    let recorder = match work.first() {
        Some(Work::Change(job)) if alone => Some(&job.recorder),
        _ => None,
    };
    AnsiTransactionManager::begin_transaction(connection).await?;
    if let Err(error) = claim(connection, recorder).await {
        let _ = AnsiTransactionManager::rollback_transaction(connection).await;
        return settled(recorder, Err(error));
    }
    for work in work {
        match run(connection, work, &mut |_| Ok(())).await {
            Ok(rows) => touched.push(rows),
            Err(error) => {
                let _ = AnsiTransactionManager::rollback_transaction(connection).await;
                return Err(error);
            }
        }
    }
    let transaction = work.iter().find_map(|work| match work {
        Work::Change(job) => job.recorder.transaction,
        Work::Read(_) | Work::Reads(_) => None,
    });
    let committed = commit(connection, transaction.filter(|_| alone)).await;
    settled(recorder, committed.map(|()| touched))
}

/// Claims the id of a transaction that has just begun, where it is made under a key.
async fn claim(
    connection: &mut AsyncMysqlConnection,
    recorder: Option<&Recorder>,
) -> Result<(), Error> {
    let claim = recorder.and_then(|recorder| recorder.claim::<Mysql>(recorder.transaction?));
    let Some((Work::Reads(reads), mut claim)) = claim else {
        return Ok(());
    };
    for read in &reads {
        self::read(connection, read, &mut |row| {
            Reading::<Mysql>::row(&mut claim, row)
        })
        .await?;
    }
    Reading::<Mysql>::finish(claim, 0)
}

/// What became of a transaction of its own.
fn settled<T>(recorder: Option<&Recorder>, done: Result<T, Error>) -> Result<T, Error> {
    if let Some(recorder) = recorder {
        recorder.settled(&done);
    }
    done
}

/// How often a change may be made again, after others were in the way: as often as it takes, where it is alone. It owns its
/// values, and the database has undone everything.
pub(super) fn attempts(connection: &mut AsyncMysqlConnection, work: &[Work]) -> QueryResult<u32> {
    let is_change = |work: &Work| matches!(work, Work::Change(_));
    let alone = !in_transaction(connection)?;
    Ok(if alone && work.iter().all(is_change) {
        LONE_ATTEMPTS
    } else {
        1
    })
}

/// Commits; where the connection is lost meanwhile, nobody knows whether that transaction was.
async fn commit(
    connection: &mut AsyncMysqlConnection,
    transaction: Option<Uuid>,
) -> Result<(), Error> {
    let Err(error) = AnsiTransactionManager::commit_transaction(connection).await else {
        return Ok(());
    };
    let error = diagnosed(connection, error).await;
    Err(Error::of_commit(error, transaction))
}

async fn read(
    connection: &mut AsyncMysqlConnection,
    read: &Read,
    look: &mut Look<'_>,
) -> Result<usize, Error> {
    let mut look_at_all = |row: &Row| look(&row.partial_row(0..row.field_count()));
    let mut result = for_each_row(connection, &read.sql, &mut look_at_all).await;
    if let (Some(also), Ok(rows)) = (&read.also, &result) {
        let (is_there, more) = &**also;
        if for_each_row(connection, is_there, &mut |_| Ok(())).await? > 0 {
            let others = for_each_row(connection, more, &mut look_at_all).await;
            result = others.map(|others| rows + others);
        }
    }
    result.map_err(|error| match (error, read.history_of) {
        (Error::Diesel(source), Some(table)) => Error::HistoryNotRead { table, source },
        (error, _) => error,
    })
}

/// Makes a change and records it, in one transaction or in one savepoint of the open one.
async fn record(
    connection: &mut AsyncMysqlConnection,
    job: &Job,
    look: &mut Look<'_>,
) -> Result<usize, Error> {
    if matches!(&job.change, Change::Insert { parts, .. } if parts.is_empty()) {
        return Ok(0);
    }
    let nested = in_transaction(connection)?;
    if let Some(error) = job.recorder.doom.verdict(1)
        && nested
    {
        return Err(Error::Diesel(error));
    }
    // A future that is dropped from here on leaves the transaction open, and its connection marked as broken.
    begin(connection, job, nested).await?;
    let recorder = Some(&job.recorder).filter(|_| !nested);
    let changed = match claim(connection, recorder).await {
        Ok(()) => change(connection, job, look).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(touched) => {
            let transaction = job.recorder.transaction.filter(|_| !nested);
            settled(recorder, commit(connection, transaction).await)?;
            // Only now is the task's row committed; in an open transaction nobody knows yet whether it will be.
            if touched.recorded > 0 && !nested {
                job.recorder.committed();
            }
            Ok(touched.rows)
        }
        Err(error) => {
            // The first error says what happened; that the connection is lost as well, its pool sees.
            let _ = AnsiTransactionManager::rollback_transaction(connection).await;
            let _ = connection.batch_execute(guard::DISARM).await;
            if nested && error.is_retryable() {
                // A deadlock undoes the whole transaction, and the server goes on as if there were none.
                job.recorder.doom.set(1, true);
            }
            settled(recorder, Err(error.or_refused(job.table)))
        }
    }
}

/// Begins a transaction or a savepoint in which the guard of the table is armed.
async fn begin(
    connection: &mut AsyncMysqlConnection,
    job: &Job,
    nested: bool,
) -> Result<(), Error> {
    let arm = guard::arm(job);
    if nested {
        AnsiTransactionManager::begin_transaction(connection).await?;
        connection.batch_execute(&arm).await?;
    } else {
        let begin = format!("{arm}; START TRANSACTION");
        AnsiTransactionManager::begin_transaction_sql(connection, &begin).await?;
    }
    Ok(())
}

/// What a change did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// Rows that the statement touched.
    pub(super) rows: usize,
    /// Entries written.
    pub(super) recorded: usize,
}

async fn change(
    connection: &mut AsyncMysqlConnection,
    job: &Job,
    look: &mut Look<'_>,
) -> Result<Touched, Error> {
    let stamp = Stamp::of(&job.recorder, job.recorder.transaction(), guard::date(None));
    let mut returning = Returning {
        columns: job.returned.as_ref().map(|returned| &returned.columns),
        look: &mut |row| look(row),
    };
    let returning = &mut returning;
    let touched = match &job.change {
        Change::Insert { parts, .. } => {
            let rows = parts.iter().map(|rows| insert_into(job.table, rows));
            insert::run(connection, &stamp, job, rows.collect(), returning).await?
        }
        Change::Statement {
            statement,
            upsert: false,
        } => insert::run(connection, &stamp, job, vec![statement.clone()], returning).await?,
        Change::Statement { statement, .. } => {
            upsert::run(connection, &stamp, job, statement, returning).await?
        }
        Change::Update { changes, filter } => {
            update::run(connection, &stamp, job, changes, filter, returning).await?
        }
        Change::Delete { filter } => {
            remove::run(connection, &stamp, job.table, filter, returning).await?
        }
    };
    if touched.recorded == 0 {
        connection.batch_execute(guard::DISARM).await?;
    }
    if touched.recorded > 0 {
        task::ensure(connection, &job.recorder).await?;
    }
    Ok(touched)
}

impl Stamp {
    /// The date is the server's, at the start of the statement that writes it: the rows are locked by then.
    fn of(recorder: &Recorder, transaction: Uuid, date: Sql) -> Self {
        let values = stamped(&recorder.attribution, transaction);
        let values = values.into_iter().map(Value::from).collect();
        Self { date, values }
    }
}

/// `LAST_INSERT_ID()` is that of the application's row: what entries have numbered is forgotten.
const KEEP_LAST_ID: &str = "SET @koherent_last_id = LAST_INSERT_ID()";

const RESTORE_LAST_ID: &str = "DO LAST_INSERT_ID(@koherent_last_id)";

/// Writes one entry for each of the rows with these keys.
pub(super) async fn record_keys(
    connection: &mut AsyncMysqlConnection,
    stamp: &Stamp,
    table: &'static TrackedTable,
    kind: ChangeKind,
    keys: Vec<Key>,
) -> Result<usize, Error> {
    let changed = keys.len();
    let mut recorded = 0;
    if keys.is_empty() {
        return Ok(0);
    }
    connection.batch_execute(KEEP_LAST_ID).await?;
    for sql in stamp.for_keys(table, kind, keys, MAX_BINDS) {
        let written = execute(connection, &sql).await;
        recorded += written.map_err(|source| not_written(table, source))?;
    }
    connection.batch_execute(RESTORE_LAST_ID).await?;
    complete(table, changed, recorded)
}
