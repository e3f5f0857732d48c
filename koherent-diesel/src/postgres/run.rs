//! Doing work on a connection, blocking or not: the same steps, written once.

use std::future::Future;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::CollectedQuery;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::row::{Field as _, PartialRow, Row};

use super::collect::{Binds, TypeName};
use super::failure::tell;
use super::sql::Sql;
use super::work::{About, Work};
use crate::error::Error;
use crate::failure::{Failure, lost};
use crate::idempotency::{Claim, TABLE};
use crate::reading::Reading;
use crate::record::Recorder;
use crate::sql::Write as _;
use crate::transaction::{LONE_ATTEMPTS, Retryable as _};
use uuid::Uuid;

/// A statement as drivers take it.
pub(super) type Query = CollectedQuery<RawBytesBindCollector<Pg>>;

/// What looks at rows.
pub(super) type Look<'l, R> = dyn FnMut(&R) -> Result<(), Error> + Send + 'l;

/// What looks at the rows that the caller wants to see; it sees the columns that were asked for, and no others.
pub(super) type LookAtSome<'l, R> = dyn FnMut(&PartialRow<'_, <R as Row<'static, Pg>>::InnerPartialRow>) -> Result<(), Error>
    + Send
    + 'l;

/// A connection, blocking or not. On a blocking one, every future is ready at once.
pub(super) trait Session: Send {
    /// A row of a result.
    type Row: for<'a> Row<'a, Pg>;

    /// How many transactions and savepoints are open.
    fn depth(&mut self) -> QueryResult<u32>;

    fn begin(&mut self) -> impl Future<Output = QueryResult<()>> + Send;

    fn commit(&mut self) -> impl Future<Output = QueryResult<()>> + Send;

    fn roll_back(&mut self) -> impl Future<Output = QueryResult<()>> + Send;

    /// Whether anybody answers.
    fn answers(&mut self) -> impl Future<Output = bool> + Send;

    /// Runs statements that each return one row of counts: one after the other, but where the driver can, without
    /// waiting for one before the next is sent.
    fn load_counts(
        &mut self,
        queries: Vec<Query>,
    ) -> impl Future<Output = Result<Vec<Counts>, (usize, DieselError)>> + Send;

    /// Runs a statement and looks at each row of its result.
    fn load(
        &mut self,
        query: Query,
        look: &mut Look<'_, Self::Row>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Does some work, and says how many rows it touched.
pub(super) async fn run<S: Session>(
    session: &mut S,
    work: Work,
    look: &mut LookAtSome<'_, S::Row>,
) -> Result<usize, Error> {
    let recorder = work.about.recorder().cloned();
    let recorder = recorder.filter(|recorder| recorder.idempotency.is_some());
    let alone = recorder.is_some() && session.depth()? == 0;
    let done = run_once(session, work, look).await;
    if let Some(recorder) = recorder.filter(|_| alone) {
        recorder.settled(&done);
    }
    done
}

/// The statements that claim the id of a transaction, where it is made under a key, and what reads their answer.
fn claimed(recorder: &Recorder) -> Option<(Work, Claim)> {
    recorder.claim::<Pg>(recorder.transaction?)
}

/// Claims the id of a transaction that has just begun.
async fn claim_id<S: Session>(
    session: &mut S,
    (work, mut claim): (Work, Claim),
) -> Result<(), Error> {
    for statement in work.statements {
        let about = About::History(TABLE);
        one(session, statement, &about, &mut |row| {
            Reading::<Pg>::row(&mut claim, row)
        })
        .await?;
    }
    Reading::<Pg>::finish(claim, 0)
}

async fn run_once<S: Session>(
    session: &mut S,
    work: Work,
    look: &mut LookAtSome<'_, S::Row>,
) -> Result<usize, Error> {
    let Work { statements, about } = work;
    if let About::Histories(histories) = about {
        let mut rows = 0;
        for (statement, history) in statements.into_iter().zip(histories) {
            rows += one(session, statement, &About::History(history), look)
                .await?
                .touched;
        }
        return Ok(rows);
    }
    let (mut touched, mut recorded) = (0, 0);
    let depth = session.depth()?;
    let alone = depth == 0;
    let claim = match about.recorder() {
        Some(recorder) if alone => claimed(recorder),
        _ => None,
    };
    // What is one statement is one transaction by itself.
    let several = statements.len() > 1 || claim.is_some();
    if several {
        session.begin().await?;
    }
    if let Some(claim) = claim
        && let Err(error) = claim_id(session, claim).await
    {
        let _ = session.roll_back().await;
        return Err(error);
    }
    for statement in statements {
        match one(session, statement, &about, look).await {
            Ok(did) => {
                touched += did.touched;
                recorded += did.recorded;
            }
            Err(error) if several => {
                let error = or_lost(session, error).await;
                // The first error says what happened; that the connection is lost as well, its pool sees.
                let _ = session.roll_back().await;
                return Err(error);
            }
            Err(error) => {
                let error = or_lost(session, error).await;
                let recorder = about.recorder();
                return Err(match (error, recorder) {
                    // It commits by itself.
                    (Error::Diesel(error), Some(recorder)) if alone => {
                        Error::of_commit(error, recorder.transaction)
                    }
                    (error, Some(recorder)) if !alone => {
                        recorder.doom.set(depth, error.is_retryable());
                        error
                    }
                    (error, _) => error,
                });
            }
        }
    }
    if several {
        let transaction = about.recorder().and_then(|recorder| recorder.transaction);
        commit(session, transaction.filter(|_| alone)).await?;
    }
    if let About::Catalog { is_there, guards } = &about {
        let found = one(session, (**is_there).clone(), &about, &mut |_| Ok(())).await?;
        if found.touched > 0 {
            touched += one(session, (**guards).clone(), &about, look)
                .await?
                .touched;
        }
    }
    // Only now is the task's row committed; in an open transaction nobody knows yet whether it will be.
    if let About::Change { recorder, .. } = &about
        && alone
        && recorded > 0
    {
        recorder.committed();
    }
    Ok(touched)
}

/// How often a change may be made again, after others were in the way: as often as it takes, where it is alone. It owns its
/// values, and the database has undone everything.
pub(super) fn attempts<S: Session>(session: &mut S, work: &[Work]) -> QueryResult<u32> {
    let is_change = |work: &Work| work.about.recorder().is_some();
    let alone = session.depth()? == 0;
    Ok(if alone && work.iter().all(is_change) {
        LONE_ATTEMPTS
    } else {
        1
    })
}

/// Commits; where the connection is lost meanwhile, nobody knows whether that transaction was.
async fn commit<S: Session>(session: &mut S, transaction: Option<Uuid>) -> Result<(), Error> {
    let Err(error) = session.commit().await else {
        return Ok(());
    };
    Err(match or_lost(session, Error::Diesel(error)).await {
        Error::Diesel(error) => Error::of_commit(error, transaction),
        error => error,
    })
}

/// The same error; where nothing else tells what it is, and nobody answers any more, a lost connection.
async fn or_lost<S: Session>(session: &mut S, error: Error) -> Error {
    match error {
        Error::Diesel(error @ DieselError::DatabaseError(DatabaseErrorKind::Unknown, _))
            if Failure::of(&error).is_none() && !session.answers().await =>
        {
            Error::Diesel(lost(error))
        }
        error => error,
    }
}

/// What a statement did.
#[derive(Default)]
struct Did {
    /// Rows that it touched.
    touched: usize,
    /// Entries that it wrote, where it says that.
    recorded: usize,
}

/// Makes several changes in one transaction, and says how many rows each touched.
pub(super) async fn run_all<S: Session>(
    session: &mut S,
    work: Vec<Work>,
) -> Result<Vec<usize>, Error> {
    if work.is_empty() {
        return Ok(Vec::new());
    }
    let alone = session.depth()? == 0;
    let recorder = work.iter().find_map(|work| work.about.recorder());
    let recorder = recorder.filter(|_| alone);
    session.begin().await?;
    let claimed = match recorder.and_then(claimed) {
        Some(claim) => claim_id(session, claim).await,
        None => Ok(()),
    };
    let done = match claimed {
        Ok(()) => each(session, &work).await,
        Err(error) => Err(error),
    };
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            let error = or_lost(session, error).await;
            let _ = session.roll_back().await;
            let done = Err(error);
            if let Some(recorder) = recorder {
                recorder.settled(&done);
            }
            return done;
        }
    };
    let transaction = work
        .iter()
        .find_map(|work| work.about.recorder()?.transaction);
    let committed = commit(session, transaction.filter(|_| alone)).await;
    if let Some(recorder) = recorder {
        recorder.settled(&committed);
    }
    committed?;
    let mut touched = Vec::with_capacity(work.len());
    for (work, did) in work.iter().zip(done) {
        touched.push(did.touched);
        if let About::Change { recorder, .. } = &work.about
            && alone
            && did.recorded > 0
        {
            recorder.committed();
        }
    }
    Ok(touched)
}

/// Sends all statements of all changes.
async fn each<S: Session>(session: &mut S, work: &[Work]) -> Result<Vec<Did>, Error> {
    let (mut queries, mut owners) = (Vec::new(), Vec::new());
    for (at, work) in work.iter().enumerate() {
        for statement in &work.statements {
            let Sql { text, binds, keep } = statement.clone();
            let known = known_types(session, &binds, work.about.recorder()).await?;
            queries.push(CollectedQuery::new(text, keep, binds.resolve(&known)));
            owners.push(at);
        }
    }
    let counts = session
        .load_counts(queries)
        .await
        .map_err(|(at, error)| tell(&work[owners[at]].about, error))?;
    let mut done: Vec<_> = work.iter().map(|_| Did::default()).collect();
    for (counts, owner) in counts.into_iter().zip(owners) {
        done[owner].touched += counts.touched;
        done[owner].recorded += counts.recorded;
    }
    Ok(done)
}

/// The object ids of the types that values name.
async fn known_types<S: Session>(
    session: &mut S,
    binds: &Binds,
    recorder: Option<&Recorder>,
) -> Result<Vec<(u32, u32)>, Error> {
    let mut known = Vec::with_capacity(binds.named().len());
    for name in binds.named() {
        known.push(object_ids(session, name, recorder).await?);
    }
    Ok(known)
}

/// What a statement says it did: a row of one or two numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    touched: usize,
    recorded: usize,
}

impl Counts {
    pub(super) fn read<'a>(row: &impl Row<'a, Pg>) -> Result<Self, DieselError> {
        Ok(Self {
            touched: count(row, 0)?,
            recorded: match row.field_count() {
                1 => 0,
                _ => count(row, 1)?,
            },
        })
    }
}

/// Runs one statement.
async fn one<S: Session>(
    session: &mut S,
    statement: Sql,
    about: &About,
    look: &mut LookAtSome<'_, S::Row>,
) -> Result<Did, Error> {
    let Sql { text, binds, keep } = statement;
    let (recorder, returned, counts_entries) = match about {
        About::Change {
            recorder,
            returned,
            counts_entries,
            ..
        } => (Some(recorder), *returned, *counts_entries),
        About::Histories(_) | About::History(_) | About::Catalog { .. } => {
            (None, Some(usize::MAX), false)
        }
    };
    let known = known_types(session, &binds, recorder).await?;
    let named = binds.named().to_vec();
    let query = CollectedQuery::new(text, keep, binds.resolve(&known));
    let mut did = Did::default();
    let result = session
        .load(query, &mut |row| {
            let columns = returned.map(|columns| columns.min(row.field_count()));
            if counts_entries {
                did.recorded = count(row, columns.unwrap_or(1))?;
            }
            match columns {
                None => did.touched = count(row, 0)?,
                Some(columns) => {
                    did.touched += 1;
                    look(&row.partial_row(0..columns))?;
                }
            }
            Ok(())
        })
        .await;
    match result {
        Ok(()) => Ok(did),
        Err(Error::Diesel(error @ DieselError::DatabaseError(..))) => {
            // A type may have been dropped and made anew: then it has another number.
            if let Some(recorder) = recorder {
                named
                    .iter()
                    .for_each(|name| recorder.remembered.forget_type(name));
            }
            Err(tell(about, error))
        }
        Err(error) => Err(error),
    }
}

/// The number in a column of a row.
fn count<'a>(row: &impl Row<'a, Pg>, at: usize) -> Result<usize, DieselError> {
    let field = row.get(at);
    let value = field.as_ref().and_then(|field| field.value());
    let bytes = value.and_then(|value| value.as_bytes().try_into().ok());
    bytes
        .and_then(|bytes| usize::try_from(i64::from_be_bytes(bytes)).ok())
        .ok_or_else(|| {
            DieselError::DeserializationError(
                "the statement did not say how many rows it touched".into(),
            )
        })
}

/// The object ids of a type of the application's own, and of arrays of it.
async fn object_ids<S: Session>(
    session: &mut S,
    name: &TypeName,
    recorder: Option<&Recorder>,
) -> Result<(u32, u32), Error> {
    if let Some(known) = recorder.and_then(|recorder| recorder.remembered.type_ids(name)) {
        return Ok(known);
    }
    let mut sql = Sql::new();
    sql.push("SELECT t.oid::bigint, t.typarray::bigint FROM pg_catalog.pg_type AS t");
    match &name.0 {
        Some(schema) => {
            sql.push(
                " JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace WHERE n.nspname = ",
            )
            .bind(Some(schema.clone()));
            sql.push(" AND t.typname = ").bind(Some(name.1.clone()));
        }
        None => {
            sql.push(" WHERE t.oid = to_regtype(quote_ident(")
                .bind(Some(name.1.clone()))
                .push("))");
        }
    }
    let query = CollectedQuery::new(sql.text, true, sql.binds.resolve(&[]));
    let mut found = None;
    session
        .load(query, &mut |row| {
            let number = |at: usize| {
                let field = row.get(at);
                let value = field.as_ref().and_then(|field| field.value())?;
                let bytes = value.as_bytes().try_into().ok()?;
                u32::try_from(i64::from_be_bytes(bytes)).ok()
            };
            found = number(0).zip(number(1));
            Ok(())
        })
        .await?;
    let found = found.ok_or_else(|| {
        let problem = format!(
            "the type `{}` does not exist in the database: run the migration that creates it",
            name.1
        );
        Error::Diesel(DieselError::SerializationError(problem.into()))
    })?;
    // One that was made in an open transaction may go with it.
    if let Some(recorder) = recorder
        && session.depth()? == 0
    {
        recorder.remembered.learn_type(name.clone(), found);
    }
    Ok(found)
}
