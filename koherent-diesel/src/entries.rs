//! Reading history: the entries of one row.

use std::marker::PhantomData;

use diesel::dsl::Find;
use diesel::query_builder::{IntoUpdateTarget, QueryFragment};
use diesel::query_dsl::methods::FindDsl;
use koherent_core::HistoryEntry;

use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine as _;
use crate::error::Error;
use crate::snapshot::Entries;
use crate::table::Audited;

/// The entries of the row with that key, newest first, each with what it changed and the task it was made under.
///
/// The row may be gone: its history is not. The key is what `table.find` takes.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_core::ChangeKind;
/// use koherent_diesel::{audited_update, entries_of};
///
/// let nightly = Attribution::system("nightly-import");
/// audited_update(samples::table.find(1), samples::name.eq("heart")).by(&nightly).execute(conn)?;
///
/// let entries = entries_of(samples::table, 1).load(conn)?;
/// assert_eq!(entries.len(), 2);
/// assert_eq!(entries[0].kind, ChangeKind::Update);
/// let change = &entries[0].changes[0];
/// assert_eq!((change.field, change.old.as_ref().unwrap().text()), ("name", "liver".to_owned()));
/// # Ok(())
/// # }
/// ```
pub fn entries_of<T, K>(
    table: T,
    key: K,
) -> EntriesOf<T, <Find<T, K> as IntoUpdateTarget>::WhereClause>
where
    T: Audited + FindDsl<K>,
    Find<T, K>: IntoUpdateTarget<Table = T>,
{
    let key = table.find(key).into_update_target().where_clause;
    EntriesOf {
        key,
        limit: None,
        table: PhantomData,
    }
}

/// The entries of one row, about to be loaded.
#[derive(Debug)]
#[must_use = "nothing is read until it is loaded"]
pub struct EntriesOf<T, W> {
    key: W,
    limit: Option<u32>,
    table: PhantomData<T>,
}

impl<T, W> EntriesOf<T, W>
where
    T: Audited,
{
    /// Loads only that many, the newest.
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Loads them, in one statement.
    ///
    /// # Errors
    ///
    /// [`Error::Diesel`] where the database cannot be asked, [`Error::UnreadableEntry`] where it holds what Koherent did
    /// not write.
    pub fn load<'c, C>(
        self,
        connection: &'c mut C,
    ) -> C::Reply<'c, Result<Vec<HistoryEntry>, Error>>
    where
        C: Driver,
        W: QueryFragment<C::Backend>,
    {
        let table = T::tracked();
        let entries = Entries::new(table, self.limit);
        let columns: Vec<_> = table.key_in_history().collect();
        let work = C::Backend::entries(table, table, &columns, &self.key, entries.rows());
        connection.run(work, entries, Ours)
    }
}
