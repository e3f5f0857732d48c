//! From what to what a field changed.

use koherent_core::FieldValue;

use super::select::{bind_of, push_entry_before, push_field_changed};
use crate::engine::Engine;
use crate::script::{Bind, Script};
use crate::sql::Write as _;
use crate::table::{TrackedColumn, TrackedTable, ValueKind};

/// Which of the two values of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before = 0,
    After = 1,
}

/// Writes that the entry `h` changed a column, and that it has that value on one side of the change.
pub(super) fn push_value<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    column: &TrackedColumn,
    side: Side,
    value: &FieldValue,
) {
    // The entry of a deletion keeps what there was before; that of a creation, what there is after.
    let (own, none) = match side {
        Side::Before => ("-", "+"),
        Side::After => ("+", "-"),
    };
    let is_null = value.json().is_null();
    let of_whole_row = if is_null { none } else { own };
    sql.push("(");
    push_field_changed(sql, table, column);
    sql.push(" AND (h.history_kind = '")
        .push(of_whole_row)
        .push("'");
    if !is_null {
        sql.push(" AND ");
        push_is(sql, table, "h", column, value);
    }
    sql.push(" OR h.history_kind = '~' AND ");
    match side {
        Side::After => push_is(sql, table, "h", column, value),
        Side::Before => {
            sql.push("EXISTS (SELECT 1 FROM ").table(table.history);
            sql.push(" AS b WHERE b.history_id = ");
            push_entry_before(sql, table);
            sql.push(" AND ");
            push_is(sql, table, "b", column, value);
            sql.push(")");
        }
    }
    sql.push("))");
}

/// Writes that a column of an entry has that value.
fn push_is<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    alias: &str,
    column: &TrackedColumn,
    value: &FieldValue,
) {
    if value.json().is_null() {
        sql.push(alias).push(".").identifier(column.history_name);
        sql.push(" IS NULL");
        return;
    }
    if column.kind == ValueKind::Json {
        return push_is_json(sql, table, alias, column, value);
    }
    match bind_of::<DB>(value, column.kind) {
        Some(bind) => DB::push_is_value(sql, table.history, alias, column, bind),
        None => {
            sql.push("1 = 0");
        }
    }
}

/// Writes that a column of JSON has that value; of text that is JSON itself, that or this.
fn push_is_json<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    alias: &str,
    column: &TrackedColumn,
    value: &FieldValue,
) {
    let mut texts = vec![value.json().to_string()];
    if let Some(text) = value.json().as_str()
        && serde_json::from_str::<serde_json::Value>(text).is_ok()
    {
        texts.push(text.to_owned());
    }
    sql.push("(1 = 0");
    for text in texts {
        sql.push(" OR ");
        DB::push_is_value(sql, table.history, alias, column, Bind::Text(text));
    }
    sql.push(")");
}
