//! How many entries, or tasks, there are.

use diesel::row::Row;

use super::query::HistoryQuery;
use super::select::{GroupPart, Groups, group_columns, push_groups};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::reading::Reading;
use crate::script::Script;
use crate::sql::Write as _;
use crate::table::{Name, TrackedTable};

impl HistoryQuery {
    /// How many entries match, whatever part of them is asked for: limit, offset and cursor do not count. One statement per
    /// table, as [`load`](Self::load); the database looks at each entry that matches.
    ///
    /// ```
    /// # include!("../doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let conn = &mut connection_with_liver();
    /// use koherent_diesel::entries_of;
    ///
    /// assert_eq!(entries_of(samples::table, 1).limit(0).count(conn)?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn count<C: Driver>(self, connection: &mut C) -> C::Reply<'_, Result<u64, Error>> {
        self.counted(connection, |counts| counts.into_iter().sum())
    }

    /// How many entries match of each row, or task, in the order in which they were asked for. See [`count`](Self::count).
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn count_each<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<u64>, Error>> {
        self.counted(connection, |counts| counts)
    }

    fn counted<C, R>(
        self,
        connection: &mut C,
        finish: impl FnOnce(Vec<u64>) -> R + Send + 'static,
    ) -> C::Reply<'_, Result<R, Error>>
    where
        C: Driver,
        R: Send + 'static,
    {
        let work =
            self.statements::<C::Backend>(|table, groups, _| self.write_count(table, groups));
        let counts = Counts::new(Groups::count(self.groups.as_ref()), finish);
        connection.run(work.map(C::Backend::reads), counts, Ours)
    }

    fn write_count<DB: Engine>(
        &self,
        table: &'static TrackedTable,
        groups: Option<GroupPart<'_>>,
    ) -> Script<DB> {
        let columns = groups.map(|groups| group_columns(table, groups.by));
        let columns = columns.unwrap_or_default();
        write_count(table.history, &columns, groups, |sql| {
            for filter in &self.filters {
                filter.push(sql, table);
            }
        })
    }
}

/// Writes how many rows of `h` there are of each group that `push` leaves.
pub(super) fn write_count<DB: Engine>(
    table: Name,
    columns: &[super::select::GroupColumn],
    groups: Option<GroupPart<'_>>,
    push: impl Fn(&mut Script<DB>),
) -> Script<DB> {
    let mut sql = Script::new();
    let count = |sql: &mut Script<DB>| {
        sql.push(DB::COUNT).push(" AS k_count FROM ").table(table);
        sql.push(" AS h WHERE 1 = 1");
    };
    match groups {
        None => {
            sql.push("SELECT '0' AS k_group, ");
            count(&mut sql);
            push(&mut sql);
        }
        Some(groups) => push_groups(&mut sql, table, columns, groups, |sql, matches| {
            count(sql);
            sql.push(" AND ");
            matches(sql);
            push(sql);
        }),
    }
    sql
}

/// Counts, as they come: of one group, from several tables.
pub(super) struct Counts<F> {
    counts: Vec<u64>,
    finish: F,
}

impl<F> Counts<F> {
    pub(super) fn new(groups: usize, finish: F) -> Self {
        let counts = vec![0; groups];
        Self { counts, finish }
    }
}

impl<DB, R, F> Reading<DB> for Counts<F>
where
    DB: Engine,
    R: Send + 'static,
    F: FnOnce(Vec<u64>) -> R + Send + 'static,
{
    type Output = R;

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        let mut cells = DB::cells(row).into_iter().map(DB::text);
        let mut number = || cells.next().flatten()?.parse::<u64>().ok();
        let (group, count) = (number(), number());
        let group = group.and_then(|group| usize::try_from(group).ok());
        let counted = group.and_then(|group| self.counts.get_mut(group));
        if let (Some(counted), Some(count)) = (counted, count) {
            *counted = counted.saturating_add(count);
        }
        Ok(())
    }

    fn finish(self, _: usize) -> Result<R, Error> {
        Ok((self.finish)(self.counts))
    }
}
