//! Changes field by field, sorted and cut as a table of changes is shown.

use koherent_core::{FieldChange, HistoryEntry};

use super::change_cursor::ChangeCursor;
use super::count::Counts;
use super::filter::{HistoryFilter, push_any};
use super::page::{HistoryOrder, Page, pages};
use super::read::{Entries, Found};
use super::select::{push_before, push_columns, push_field_changed, push_joins, push_limit};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::script::{Bind, Script};
use crate::sql::Write as _;
use crate::table::{Audited, TrackedColumn, TrackedTable};

/// The changes of the fields of a table's rows, one by one, newest first.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::{ChangeColumn, HistoryFilter, HistoryOrder, resource_changes};
///
/// let changes = resource_changes(samples::table)
///     .filter(HistoryFilter::new().key(1).field("name"))
///     .sort(ChangeColumn::Date, HistoryOrder::OldestFirst)
///     .limit(50)
///     .load(conn)?;
/// assert_eq!(changes[0].change.new.as_ref().unwrap().text(), "liver");
/// # Ok(())
/// # }
/// ```
pub fn resource_changes<T: Audited>(_: T) -> ResourceChangeQuery {
    ResourceChangeQuery::of_table(T::tracked())
}

/// A change of one field: of which row, from what to what, when, by whom.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ResourceChange {
    /// The field, with its old and new value.
    pub change: FieldChange,
    /// The entry that it is part of: its row, its date, who made it, under which task.
    pub entry: HistoryEntry,
}

/// What changes of fields can be sorted by. Pages by date and by key are found through an index; one by field, or by user, costs a
/// look at the whole history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ChangeColumn {
    /// When.
    #[default]
    Date,
    /// By whom: byte by byte, or as the column's collation says. Changes by nobody come last.
    User,
    /// The name of the field.
    Field,
    /// The key of the row.
    Key,
}

/// What is asked of a table's changes: [`resource_changes`].
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is loaded"]
pub struct ResourceChangeQuery {
    table: &'static TrackedTable,
    filters: Vec<HistoryFilter>,
    page: Page,
    column: ChangeColumn,
    after: Option<ChangeCursor>,
}

impl ResourceChangeQuery {
    /// Of a table that is known at run time only.
    pub fn of_table(table: &'static TrackedTable) -> Self {
        Self {
            table,
            filters: Vec::new(),
            page: Page::default(),
            column: ChangeColumn::Date,
            after: None,
        }
    }

    /// Only changes of these entries; where the filter names fields, only of these.
    pub fn filter(mut self, filter: HistoryFilter) -> Self {
        self.filters.push(filter);
        self
    }

    pages! {
        /// Only that many changes.
        limit;
        /// Leaves out that many changes. Each costs as much as if it were loaded; a [cursor](Self::after) does not.
        offset;
    }

    /// What comes behind that place. The cursor is of a change that was sorted in the same way.
    ///
    /// ```
    /// # include!("../doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let conn = &mut connection_with_liver();
    /// use koherent_diesel::{ChangeColumn, ChangeCursor, resource_changes};
    ///
    /// let first = resource_changes(samples::table).limit(1).load(conn)?;
    /// let cursor = ChangeCursor::of(&first[0], ChangeColumn::Date);
    /// let rest = resource_changes(samples::table).after(cursor).load(conn)?;
    /// assert!(!rest.contains(&first[0]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn after(mut self, cursor: ChangeCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Sorted by that column; what is equal in it, by date, or, of one row, in the order of its entries.
    pub const fn sort(mut self, column: ChangeColumn, order: HistoryOrder) -> Self {
        self.column = column;
        self.page.order = order;
        self
    }

    /// Loads them, in one statement. The database counts values as changed that are only written in another way, such as
    /// JSON with other blanks: these are shown with the same value twice.
    ///
    /// # Errors
    ///
    /// As [`HistoryQuery::load`](crate::HistoryQuery::load); [`Error::ForeignCursor`] where the cursor is of another table, or
    /// of changes that were sorted otherwise.
    pub fn load<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<ResourceChange>, Error>> {
        let columns = self.columns();
        let work = self.work::<C::Backend>(&columns);
        let reading = Entries::new(vec![self.table], move |found: Vec<Found>| {
            let of = |found: Found| {
                let field = columns[found.group].name;
                let mut changes = found.entry.changes.iter();
                let change = changes.find(|change| change.field == field).cloned();
                // A value that is only written in another way, such as JSON with other blanks.
                let change = change.unwrap_or_else(|| {
                    let at = found.table.fields.iter().position(|name| *name == field);
                    let value = at.and_then(|at| found.values[at].clone());
                    FieldChange {
                        field,
                        old: value.clone(),
                        new: value,
                    }
                });
                let entry = found.entry;
                ResourceChange { change, entry }
            };
            Ok(found.into_iter().map(of).collect())
        });
        connection.run(work, reading, Ours)
    }

    /// How many changes match, whatever part of them is asked for: limit, offset and cursor do not count.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn count<C: Driver>(self, connection: &mut C) -> C::Reply<'_, Result<u64, Error>> {
        let columns = self.columns();
        let work = self.refusal().map_or_else(
            || {
                let mut sql = Script::new();
                sql.push("SELECT '0' AS k_group, ").push(C::Backend::COUNT);
                sql.push(" AS k_count FROM ").table(self.table.history);
                sql.push(" AS h");
                self.push_changes(&mut sql, &columns);
                self.push_filters(&mut sql);
                let statement = (sql, self.table.name());
                let statements = if columns.is_empty() {
                    vec![]
                } else {
                    vec![statement]
                };
                Ok(C::Backend::reads(statements))
            },
            Err,
        );
        let counts = Counts::new(1, |counts: Vec<u64>| counts.into_iter().sum());
        connection.run(work, counts, Ours)
    }

    fn work<DB: Engine>(&self, columns: &[&'static TrackedColumn]) -> Result<DB::Work, Error> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        if columns.is_empty() {
            return Ok(DB::reads(Vec::new()));
        }
        Ok(DB::reads(vec![(self.write(columns), self.table.name())]))
    }

    /// Why it cannot be asked.
    fn refusal(&self) -> Option<Error> {
        let mut filters = self.filters.iter();
        if let Some(field) = filters.find_map(|filter| filter.unknown_field(&[self.table])) {
            return Some(Error::UnknownField { field });
        }
        let cursor = self.after.as_ref()?;
        let table = cursor.table().to_owned();
        (!cursor.fits(self.table, self.column)).then_some(Error::ForeignCursor { table })
    }

    /// The columns whose changes are asked for, in the order of their names.
    fn columns(&self) -> Vec<&'static TrackedColumn> {
        let is_meant = |column: &&TrackedColumn| {
            let mut filters = self.filters.iter();
            filters.all(|filter| filter.means_field(column.name))
        };
        let mut columns: Vec<_> = self.table.columns.iter().filter(is_meant).collect();
        columns.sort_by_key(|column| column.name);
        columns
    }

    fn write<DB: Engine>(&self, columns: &[&'static TrackedColumn]) -> Script<DB> {
        let table = self.table;
        let mut sql = Script::new();
        push_columns(&mut sql, table, 0);
        sql.push("SELECT f.k_field AS k_group, h.history_id AS history_id, ");
        push_before(&mut sql, table);
        sql.push(" AS k_before FROM ");
        // Of one field, the order by fields is that of dates.
        let is_of_one = columns.len() == 1
            && self
                .after
                .as_ref()
                .is_none_or(|after| after.field() == columns[0].name);
        if matches!(self.column, ChangeColumn::Date | ChangeColumn::Key)
            || self.column == ChangeColumn::Field && is_of_one
        {
            self.push_entries(&mut sql, columns);
            self.push_changes(&mut sql, columns);
        } else {
            sql.table(table.history).push(" AS h");
            self.push_changes(&mut sql, columns);
            self.push_filters(&mut sql);
        }
        if let Some(after) = &self.after {
            after.push_beyond(&mut sql, table, columns, self.page.order);
        }
        self.push_order(&mut sql, Some("f.k_field"));
        push_limit(&mut sql, &self.page);
        push_joins(&mut sql, table);
        self.push_order(&mut sql, Some("p.k_group"));
        sql
    }

    /// Writes the entries that the page can be of: those with a change, in their order, so that an index finds them and no
    /// more than the page are looked at.
    fn push_entries<DB: Engine>(&self, sql: &mut Script<DB>, columns: &[&'static TrackedColumn]) {
        sql.push("(SELECT h.* FROM ").table(self.table.history);
        sql.push(" AS h WHERE 1 = 1");
        push_any(sql, columns, |sql, column| {
            push_field_changed(sql, self.table, column);
        });
        self.push_filters(sql);
        if let Some(after) = &self.after {
            after.push_from(sql, self.table, self.page.order);
        }
        self.push_order(sql, None);
        if let Some(limit) = self.page.limit {
            // The entry of the cursor may have no change that is left.
            let most = i64::from(limit) + i64::from(self.page.offset) + 1;
            sql.push(" LIMIT ").bind(Bind::Integer(most));
        }
        sql.push(") AS h");
    }

    /// Writes which of the columns the entry `h` changed, each as a row with its number in `f.k_field`.
    fn push_changes<DB: Engine>(&self, sql: &mut Script<DB>, columns: &[&'static TrackedColumn]) {
        sql.push(" CROSS JOIN (");
        for at in 0..columns.len() {
            sql.push(if at > 0 { " UNION ALL " } else { "" });
            sql.push(&format!("SELECT '{at:03}' AS k_field"));
        }
        sql.push(") AS f WHERE CASE f.k_field");
        for (at, column) in columns.iter().enumerate() {
            sql.push(&format!(" WHEN '{at:03}' THEN "));
            push_field_changed(sql, self.table, column);
        }
        sql.push(" END");
    }

    fn push_filters<DB: Engine>(&self, sql: &mut Script<DB>) {
        for filter in &self.filters {
            filter.push(sql, self.table);
        }
    }

    /// Writes the order, of changes or, without the name of their field, of entries.
    fn push_order<DB: Engine>(&self, sql: &mut Script<DB>, field: Option<&str>) {
        let direction = self.page.order.direction();
        sql.push(" ORDER BY ");
        match self.column {
            ChangeColumn::Date => {}
            ChangeColumn::User => {
                sql.push("CASE WHEN h.history_user IS NULL THEN 1 ELSE 0 END, ");
                sql.push("h.history_user").push(direction).push(", ");
            }
            ChangeColumn::Field => {
                if let Some(field) = field {
                    sql.push(field).push(direction).push(", ");
                }
            }
            ChangeColumn::Key => {
                for key in self.table.key_in_history() {
                    sql.push("h.").identifier(key).push(direction).push(", ");
                }
            }
        }
        if self.column != ChangeColumn::Key {
            sql.push("h.history_date").push(direction).push(", ");
        }
        sql.push("h.history_id").push(direction);
        if let Some(field) = field {
            sql.push(", ").push(field);
        }
    }
}
