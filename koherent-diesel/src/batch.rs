//! Several audited changes in one transaction.

use diesel::Insertable;
use diesel::query_builder::{AsChangeset, InsertStatement, IntoUpdateTarget};

use crate::change::Audit;
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::record::Recorder;
use crate::statement::{AuditedStatement, Delete, Insert, InsertWhole, Update, update};
use crate::table::Audited;

/// Audited changes that are about to be made together, in their order, in one transaction:
/// [`AuditedConnection::audited_batch`](crate::AuditedConnection::audited_batch).
///
/// On PostgreSQL through diesel-async the statements are sent without waiting for one before the next (pipelining), 64 at a
/// time. On SQLite with diesel-async it takes one hop to the blocking thread.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let mut conn = koherent_diesel::AuditedConnection::new(connection_with_liver(), Attribution::system("import"));
/// let mut batch = conn.audited_batch();
/// batch.reason("protocol 4");
/// batch.insert(samples::table, vec![samples::name.eq("heart"), samples::name.eq("lung")]);
/// batch.update(samples::table.find(1), samples::note.eq("stained"));
/// batch.delete(samples::table.filter(samples::name.eq("spleen")));
/// let touched = batch.execute()?;
/// assert_eq!(touched, [2, 1, 0]);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is changed until it is executed"]
pub struct AuditedBatch<'c, C: Driver> {
    connection: &'c mut C,
    recorder: Recorder,
    work: Result<Vec<<C::Backend as Engine>::Work>, Error>,
}

impl<'c, C: Driver> AuditedBatch<'c, C> {
    pub(crate) fn new(connection: &'c mut C, mut recorder: Recorder) -> Self {
        // One transaction, one id.
        recorder.transaction = Some(recorder.transaction());
        Self {
            connection,
            recorder,
            work: Ok(Vec::new()),
        }
    }

    /// Says why, of all changes that are added from here on.
    pub fn reason(&mut self, reason: &str) -> &mut Self {
        let attribution = self.recorder.attribution.clone();
        self.recorder.attribution = attribution.with_reason(reason);
        self
    }

    /// Adds an insert. See [`AuditedConnection::audited_insert`](crate::AuditedConnection::audited_insert).
    pub fn insert<T, V>(&mut self, table: T, rows: V) -> &mut Self
    where
        T: Audited,
        V: Insertable<T>,
        Insert<T, V::Values>: AuditedStatement<C::Backend, Table = T>,
    {
        self.add(Insert::new(table, rows))
    }

    /// Adds an upsert. See [`AuditedConnection::audited_upsert`](crate::AuditedConnection::audited_upsert).
    pub fn upsert<T, V>(&mut self, statement: InsertStatement<T, V>) -> &mut Self
    where
        T: Audited,
        InsertWhole<T, V>: AuditedStatement<C::Backend, Table = T>,
    {
        self.add(InsertWhole {
            statement,
            upsert: true,
        })
    }

    /// Adds an `INSERT … SELECT`. See
    /// [`AuditedConnection::audited_insert_select`](crate::AuditedConnection::audited_insert_select).
    pub fn insert_select<T, V>(&mut self, statement: InsertStatement<T, V>) -> &mut Self
    where
        T: Audited,
        InsertWhole<T, V>: AuditedStatement<C::Backend, Table = T>,
    {
        self.add(InsertWhole {
            statement,
            upsert: false,
        })
    }

    /// Adds an update. See [`AuditedConnection::audited_update`](crate::AuditedConnection::audited_update).
    pub fn update<T, V>(&mut self, target: T, changes: V) -> &mut Self
    where
        T: IntoUpdateTarget,
        T::Table: Audited,
        V: AsChangeset<Target = T::Table>,
        Update<T::Table, T::WhereClause, V::Changeset>:
            AuditedStatement<C::Backend, Table = T::Table>,
    {
        self.add(update(target, changes))
    }

    /// Adds a delete. See [`AuditedConnection::audited_delete`](crate::AuditedConnection::audited_delete).
    pub fn delete<T>(&mut self, target: T) -> &mut Self
    where
        T: IntoUpdateTarget,
        T::Table: Audited,
        Delete<T::Table, T::WhereClause>: AuditedStatement<C::Backend, Table = T::Table>,
    {
        self.add(Delete {
            target: target.into_update_target(),
        })
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.work.as_ref().map_or(0, Vec::len)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes all changes, and says how many rows each touched. Without any, there is no transaction.
    ///
    /// # Errors
    ///
    /// The first that occurs, see [`Error`]. None of the changes is made then.
    pub fn execute(self) -> C::Reply<'c, Result<Vec<usize>, Error>> {
        self.connection.run_all(self.work, Ours)
    }

    fn add<S: AuditedStatement<C::Backend>>(&mut self, statement: S) -> &mut Self {
        let recorder = self.recorder.clone();
        if let Ok(work) = &mut self.work {
            let change = statement.into_change().and_then(|change| {
                C::Backend::change(Audit {
                    table: S::Table::tracked(),
                    change,
                    recorder,
                    record_unchanged: false,
                    returned: None,
                })
            });
            match change {
                Ok(change) => work.push(change),
                Err(error) => self.work = Err(error),
            }
        }
        self
    }
}

impl<C: Driver> std::fmt::Debug for AuditedBatch<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditedBatch")
            .field("changes", &self.len())
            .finish_non_exhaustive()
    }
}
