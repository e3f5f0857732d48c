//! Where each value of a row comes from.

use diesel::query_dsl::methods::FindDsl;
use koherent_core::{ChangeKind, FieldValue, HistoryEntry, RowKey};

use super::read::{Entries, Found};
use super::scope::HistoryScope;
use super::select::{push_before, push_columns, push_field_changed, push_joins, push_key};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::script::Script;
use crate::sql::Write as _;
use crate::table::{Audited, TrackedColumn, TrackedTable};

/// For each field of a row that is there: its value, and the entry that gave it that value.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_core::ChangeKind;
/// use koherent_diesel::{audited_update, blame};
///
/// let nightly = Attribution::system("nightly-import");
/// audited_update(samples::table.find(1), samples::note.eq("stained")).by(&nightly).execute(conn)?;
///
/// let fields = blame(samples::table, 1).load(conn)?;
/// let set_by: Vec<_> = fields.iter().map(|field| (field.field, field.entry.as_ref().unwrap().kind)).collect();
/// assert_eq!(set_by, [("id", ChangeKind::Create), ("name", ChangeKind::Create), ("note", ChangeKind::Update)]);
/// # Ok(())
/// # }
/// ```
pub fn blame<T, K>(_: T, key: K) -> BlameQuery
where
    T: Audited + FindDsl<K>,
    K: Into<RowKey>,
{
    BlameQuery::of_row(T::tracked(), key.into())
}

/// Where the value of a field comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Blame {
    /// The column's name in the database.
    pub field: &'static str,
    /// Its value; `None` is `NULL`.
    pub value: Option<FieldValue>,
    /// The entry that gave it that value. `None` where the value is older than the history.
    pub entry: Option<HistoryEntry>,
}

/// Where the values of a row come from, about to be loaded: [`blame()`].
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is loaded"]
pub struct BlameQuery {
    table: &'static TrackedTable,
    key: RowKey,
    scope: HistoryScope,
}

impl BlameQuery {
    /// Of a row that is known at run time only.
    pub const fn of_row(table: &'static TrackedTable, key: RowKey) -> Self {
        let scope = HistoryScope::All;
        Self { table, key, scope }
    }

    /// Only fields whose entry that scope may see; of several, all of them.
    pub fn within(mut self, scope: &HistoryScope) -> Self {
        self.scope = self.scope.and(scope.clone());
        self
    }

    /// Loads them, in one statement, in the order of the declared columns. A row that is gone, or never was, has none.
    ///
    /// # Errors
    ///
    /// As [`HistoryQuery::load`](crate::HistoryQuery::load).
    pub fn load<C: Driver>(self, connection: &mut C) -> C::Reply<'_, Result<Vec<Blame>, Error>> {
        let Self { table, key, scope } = self;
        let statement = write::<C::Backend>(table, &key);
        let work = C::Backend::reads(vec![(statement, table.name())]);
        let reading = Entries::new(vec![table], move |found: Vec<Found>| {
            Ok(told(table, &found, &scope))
        });
        connection.run(Ok(work), reading, Ours)
    }
}

/// One branch per field, for its last change, and one for the last entry of all.
fn write<DB: Engine>(table: &'static TrackedTable, key: &RowKey) -> Script<DB> {
    let mut sql = Script::new();
    push_columns(&mut sql, table, 0);
    let fields = table.columns.iter().map(Some).chain([None]);
    for (at, column) in fields.enumerate() {
        sql.push(if at > 0 { " UNION ALL " } else { "" });
        sql.push("SELECT * FROM (");
        push_last(&mut sql, table, key, at, column);
        sql.push(") AS k").push(&at.to_string());
    }
    push_joins(&mut sql, table);
    sql
}

/// Writes the last entry of the row that set that column.
fn push_last<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    key: &RowKey,
    at: usize,
    column: Option<&TrackedColumn>,
) {
    sql.push("SELECT '").push(&at.to_string());
    sql.push("' AS k_group, h.history_id AS history_id, ");
    push_before(sql, table);
    sql.push(" AS k_before FROM ").table(table.history);
    sql.push(" AS h WHERE ");
    push_key(sql, table, "h", &table.key_columns(), key.values());
    if let Some(column) = column {
        sql.push(" AND (h.history_kind = '+' OR ");
        push_field_changed(sql, table, column);
        sql.push(")");
    }
    sql.push(" ORDER BY h.history_id DESC LIMIT 1");
}

fn told(table: &'static TrackedTable, found: &[Found], scope: &HistoryScope) -> Vec<Blame> {
    let of = |at: usize| found.iter().find(|found| found.group == at);
    let Some(last) = of(table.columns.len()) else {
        return Vec::new();
    };
    if last.entry.kind == ChangeKind::Delete {
        return Vec::new();
    }
    let fields = table.fields.iter().zip(&last.values).enumerate();
    fields
        .filter_map(|(at, (field, value))| {
            let entry = of(at).map(|found| &found.entry);
            scope.shows(entry).then(|| Blame {
                field,
                value: value.clone(),
                entry: entry.cloned(),
            })
        })
        .collect()
}
