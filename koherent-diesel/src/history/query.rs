//! What is asked of histories.

use diesel::query_dsl::methods::FindDsl;
use koherent_core::{HistoryEntry, RowKey};

use super::filter::HistoryFilter;
use super::page::{Cursor, HistoryOrder, Page, pages};
use super::read::{Entries, Found};
use super::select::{GroupBy, GroupPart, Groups, Select};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::script::Script;
use crate::table::{Audited, TrackedTable};

/// The entries of the row with that key, newest first, each with what it changed and the task it was made under.
///
/// The row may be gone: its history is not. The key is what `table.find` takes.
///
/// ```
/// # include!("../doctest_setup.rs");
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
pub fn entries_of<T, K>(_: T, key: K) -> HistoryQuery
where
    T: Audited + FindDsl<K>,
    K: Into<RowKey>,
{
    HistoryQuery::of_rows(T::tracked(), vec![key.into()])
}

/// The entries of several rows of a table, with a page for each: [`HistoryQuery::load_each`] answers in the order of the
/// keys, with as many statements as for one row (see [`HistoryQuery::load`]).
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::entries_of_each;
///
/// let newest = entries_of_each(samples::table, [1, 2, 1]).limit(1).load_each(conn)?;
/// assert_eq!(newest.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1]);
/// # Ok(())
/// # }
/// ```
pub fn entries_of_each<T, K>(_: T, keys: impl IntoIterator<Item = K>) -> HistoryQuery
where
    T: Audited + FindDsl<K>,
    K: Into<RowKey>,
{
    HistoryQuery::of_rows(T::tracked(), keys.into_iter().map(Into::into).collect())
}

/// The entries of a table, newest first.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_core::ChangeKind;
/// use koherent_diesel::{Cursor, HistoryFilter, history};
///
/// let created = HistoryFilter::new().kind(ChangeKind::Create);
/// let page = history(samples::table).filter(created).limit(50).load(conn)?;
/// assert_eq!(page[0].key.to_string(), "1");
/// let next = history(samples::table).after(Cursor::of(&page[0])).limit(50).load(conn)?;
/// assert!(next.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn history<T: Audited>(_: T) -> HistoryQuery {
    feed([T::tracked()])
}

/// The entries of a table that is known at run time only.
#[cfg(all(
    any(feature = "deadpool", feature = "bb8"),
    any(feature = "sqlite", feature = "postgres")
))]
pub(crate) fn history_of(table: &'static TrackedTable) -> HistoryQuery {
    feed([table])
}

/// The entries of several tables, newest first: `entry.table` and `entry.key` say what changed.
///
/// Without a limit it loads everything there is.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::{Audited, HistoryFilter, feed};
///
/// let filter = HistoryFilter::new().task_tree("task-a");
/// let done_by_task_a = feed([samples::table::tracked()]).filter(filter).limit(50).load(conn)?;
/// assert!(done_by_task_a.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn feed(tables: impl IntoIterator<Item = &'static TrackedTable>) -> HistoryQuery {
    HistoryQuery::new(tables.into_iter().collect(), None)
}

/// What is asked of histories: of which tables or rows, which entries, how many, in which order.
///
/// It is a plain value that knows no engine. [`entries_of`], [`entries_of_each`], [`history()`] and [`feed`] make one.
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is loaded"]
pub struct HistoryQuery {
    pub(super) tables: Vec<&'static TrackedTable>,
    pub(super) groups: Option<Groups>,
    pub(super) filters: Vec<HistoryFilter>,
    pub(super) page: Page,
}

impl HistoryQuery {
    pub(crate) fn new(tables: Vec<&'static TrackedTable>, groups: Option<Groups>) -> Self {
        Self {
            tables,
            groups,
            filters: Vec::new(),
            page: Page::default(),
        }
    }

    /// The entries of rows that are known at run time only: keys have as many values as the table's key has columns.
    pub fn of_rows(table: &'static TrackedTable, keys: Vec<RowKey>) -> Self {
        let groups = Groups {
            by: GroupBy::Key,
            values: keys,
        };
        Self::new(vec![table], Some(groups))
    }

    /// What was done under each of these tasks, in all of these tables.
    pub fn of_tasks<'t>(
        tables: impl IntoIterator<Item = &'static TrackedTable>,
        tasks: impl IntoIterator<Item = &'t koherent_core::TaskId>,
    ) -> Self {
        let tasks = tasks.into_iter().map(|task| task.as_str().into());
        let groups = Groups {
            by: GroupBy::Task,
            values: tasks.collect(),
        };
        Self::new(tables.into_iter().collect(), Some(groups))
    }

    /// Only these entries. With several filters, entries must match all.
    pub fn filter(mut self, filter: HistoryFilter) -> Self {
        self.filters.push(filter);
        self
    }

    pages! {
        /// Only that many; of each row, where several are asked for.
        limit;
        /// Leaves out that many. Each costs as much as if it were loaded; a [cursor](Self::after) does not.
        offset;
    }

    /// What comes behind that place.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.page.after = Some(cursor);
        self
    }

    /// In that order.
    pub const fn order(mut self, order: HistoryOrder) -> Self {
        self.page.order = order;
        self
    }

    /// By id alone: the order in which they were written.
    #[cfg(all(
        any(feature = "deadpool", feature = "bb8"),
        any(feature = "sqlite", feature = "postgres")
    ))]
    pub(crate) const fn by_id(mut self) -> Self {
        self.page.by_id = true;
        self
    }

    /// Those with a higher id.
    #[cfg(all(
        any(feature = "deadpool", feature = "bb8"),
        any(feature = "sqlite", feature = "postgres")
    ))]
    pub(crate) const fn beyond(mut self, id: i64) -> Self {
        self.page.beyond = Some(id);
        self
    }

    /// Those up to that id.
    #[cfg(all(
        any(feature = "deadpool", feature = "bb8"),
        any(feature = "sqlite", feature = "postgres")
    ))]
    pub(crate) const fn until(mut self, id: Option<i64>) -> Self {
        self.page.until = id;
        self
    }

    /// Loads the entries: one statement per table. (SQLite, MariaDB and MySQL take 400 rows or tasks in one statement; more
    /// are several.)
    ///
    /// # Errors
    ///
    /// [`Error::HistoryNotRead`] where the database cannot be asked, [`Error::UnreadableEntry`] where it holds what Koherent
    /// did not write, [`Error::UnknownField`] where the filter names a field that no table has, [`Error::ForeignCursor`]
    /// where the cursor is of another table than the rows.
    pub fn load<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<HistoryEntry>, Error>> {
        let entry = |found: Found| found.entry;
        self.run(connection, move |found| {
            Ok(found.into_iter().map(entry).collect())
        })
    }

    /// Loads the entries of each row, or task, that was asked for, in that order: one statement per table.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_each<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<Vec<HistoryEntry>>, Error>> {
        self.run_each(connection, |found| found.entry)
    }

    /// Loads for each group what `make` makes of what was found.
    pub(super) fn run_each<C, T>(
        self,
        connection: &mut C,
        make: impl Fn(Found) -> T + Send + 'static,
    ) -> C::Reply<'_, Result<Vec<Vec<T>>, Error>>
    where
        C: Driver,
        T: Send + 'static,
    {
        let count = Groups::count(self.groups.as_ref());
        self.run(connection, move |found| {
            let made = found.into_iter().map(|found| (found.group, make(found)));
            Ok(Groups::lists(count, made))
        })
    }

    pub(crate) fn run<C, R>(
        self,
        connection: &mut C,
        finish: impl FnOnce(Vec<Found>) -> Result<R, Error> + Send + 'static,
    ) -> C::Reply<'_, Result<R, Error>>
    where
        C: Driver,
        R: Send + 'static,
    {
        let work = self.work::<C::Backend>();
        let of_rows = self.is_of_rows();
        let Self {
            tables,
            page,
            groups,
            ..
        } = self;
        let several = tables.len() > 1;
        let count = Groups::count(groups.as_ref());
        let reading = Entries::new(tables, move |mut found: Vec<Found>| {
            if several {
                found = merged(found, &page, count);
            } else if count > 1 {
                // They may come from several statements.
                found.sort_by(|a, b| {
                    let date = |found: &Found| (!of_rows).then_some(found.entry.date);
                    let place = |found: &Found| (date(found), found.entry.id);
                    page.order.compare(&place(a), &place(b))
                });
            }
            finish(found)
        });
        connection.run(work, reading, Ours)
    }

    /// One statement per table in which there can be something.
    fn work<DB: Engine>(&self) -> Result<DB::Work, Error> {
        if let Some(after) = &self.page.after
            && self.is_of_rows()
            && self.tables.iter().any(|table| table.name() != after.table)
        {
            let table = after.table.clone();
            return Err(Error::ForeignCursor { table });
        }
        // Pages of several tables are cut when they are merged.
        let mut page = self.page.clone();
        if self.tables.len() > 1 {
            page.limit = page.limit.map(|limit| limit.saturating_add(page.offset));
            page.offset = 0;
        }
        let statements = self.statements::<DB>(|table, groups, at| {
            let select = Select {
                table,
                groups,
                filters: &self.filters,
                page: &page,
            };
            select.write::<DB>(at)
        });
        statements.map(DB::reads)
    }

    /// A statement per table in which there can be something, or several, where one does not take all groups.
    pub(super) fn statements<DB: Engine>(
        &self,
        write: impl Fn(&'static TrackedTable, Option<GroupPart<'_>>, usize) -> Script<DB>,
    ) -> Result<Vec<(Script<DB>, &'static str)>, Error> {
        let mut filters = self.filters.iter();
        if let Some(field) = filters.find_map(|filter| filter.unknown_field(&self.tables)) {
            return Err(Error::UnknownField { field });
        }
        let mut statements = Vec::new();
        for (at, &table) in self.tables.iter().enumerate() {
            if !self.filters.iter().all(|filter| filter.may_match(table)) {
                continue;
            }
            match &self.groups {
                None => statements.push((write(table, None, at), table.name())),
                Some(groups) => {
                    let parts = groups.parts::<DB>(|one| write(table, Some(one), at).values());
                    let statement = |part| (write(table, Some(part), at), table.name());
                    statements.extend(parts.map(statement));
                }
            }
        }
        Ok(statements)
    }

    fn is_of_rows(&self) -> bool {
        let by = self.groups.as_ref().map(|groups| groups.by);
        by == Some(GroupBy::Key)
    }
}

/// The pages of several tables as one, for each group.
fn merged(found: Vec<Found>, page: &Page, groups: usize) -> Vec<Found> {
    let each = Groups::lists(groups, found.into_iter().map(|found| (found.group, found)));
    let (limit, offset) = (page.limit.unwrap_or(u32::MAX), page.offset as usize);
    each.into_iter()
        .flat_map(|mut found| {
            found.sort_by(|a, b| {
                let place = |found: &Found| (found.entry.date, found.entry.table, found.entry.id);
                page.order.compare(&place(a), &place(b))
            });
            found.into_iter().skip(offset).take(limit as usize)
        })
        .collect()
}
