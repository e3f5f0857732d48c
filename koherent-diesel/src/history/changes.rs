//! Changes field by field, sorted and cut as a table of changes is shown.

use koherent_core::{FieldChange, HistoryEntry};

use super::filter::HistoryFilter;
use super::page::{HistoryOrder, Page, pages};
use super::read::{Entries, Found};
use super::select::{push_before, push_columns, push_field_changed, push_joins, push_limit};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::script::Script;
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

/// What changes of fields can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ChangeColumn {
    /// When.
    #[default]
    Date,
    /// By whom: byte by byte, or as the column's collation says. Changes by nobody stand together.
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
}

impl ResourceChangeQuery {
    /// Of a table that is known at run time only.
    pub fn of_table(table: &'static TrackedTable) -> Self {
        Self {
            table,
            filters: Vec::new(),
            page: Page::default(),
            column: ChangeColumn::Date,
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
        /// Leaves out that many changes.
        offset;
    }

    /// Sorted by that column; what is equal in it, by date.
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
    /// As [`HistoryQuery::load`](crate::HistoryQuery::load).
    pub fn load<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<ResourceChange>, Error>> {
        let unknown = self
            .filters
            .iter()
            .find_map(|filter| filter.unknown_field(&[self.table]));
        let columns = self.columns();
        let statement = self.write::<C::Backend>(&columns);
        let work = match unknown {
            Some(field) => Err(Error::UnknownField { field }),
            None if columns.is_empty() => Ok(C::Backend::reads(Vec::new())),
            None => Ok(C::Backend::reads(vec![(statement, self.table.name())])),
        };
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

    /// The columns whose changes are asked for, in the order of their names.
    fn columns(&self) -> Vec<&'static TrackedColumn> {
        let is_meant = |column: &&TrackedColumn| {
            let mut filters = self.filters.iter().map(|filter| &filter.fields);
            filters.all(|fields| fields.is_empty() || fields.iter().any(|name| name == column.name))
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
        sql.push(" AS k_before FROM ").table(table.history);
        sql.push(" AS h CROSS JOIN (");
        for at in 0..columns.len() {
            sql.push(if at > 0 { " UNION ALL " } else { "" });
            sql.push(&format!("SELECT '{at:03}' AS k_field"));
        }
        sql.push(") AS f WHERE CASE f.k_field");
        for (at, column) in columns.iter().enumerate() {
            sql.push(&format!(" WHEN '{at:03}' THEN "));
            push_field_changed(&mut sql, table, column);
        }
        sql.push(" END");
        for filter in &self.filters {
            filter.push(&mut sql, table);
        }
        self.push_order(&mut sql, "f.k_field");
        push_limit(&mut sql, &self.page);
        push_joins(&mut sql, table);
        self.push_order(&mut sql, "p.k_group");
        sql
    }

    fn push_order<DB: Engine>(&self, sql: &mut Script<DB>, field: &str) {
        let direction = self.page.order.direction();
        sql.push(" ORDER BY ");
        match self.column {
            ChangeColumn::Date => {}
            ChangeColumn::User => {
                sql.push("h.history_user").push(direction).push(", ");
            }
            ChangeColumn::Field => {
                sql.push(field).push(direction).push(", ");
            }
            ChangeColumn::Key => {
                for key in self.table.key_in_history() {
                    sql.push("h.").identifier(key).push(direction).push(", ");
                }
            }
        }
        sql.push("h.history_date").push(direction);
        sql.push(", h.history_id").push(direction);
        sql.push(", ").push(field);
    }
}
