//! Plain writes through an audited connection: they are refused before they reach the database.
//!
//! A statement of Diesel's carries its table in its type: `InsertStatement<samples::table, …>`. Tables under audit are known by
//! the same name, which [`audited!`](crate::audited) submits. Where a compiler should write these names otherwise, nothing is
//! refused here, and the database's guard still is there.

use std::any::type_name;
use std::collections::HashMap;
use std::sync::LazyLock;

use diesel::result::Error as DieselError;

use crate::guard::Event;
use crate::table::TrackedTable;

/// A table under audit, as [`audited!`](crate::audited) submits it.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "it is two functions")]
pub struct Submitted {
    /// The name of the table's type.
    pub type_name: fn() -> &'static str,
    pub tracked: fn() -> &'static TrackedTable,
}

inventory::collect!(Submitted);

type Tables = HashMap<&'static str, fn() -> &'static TrackedTable>;

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    inventory::iter::<Submitted>
        .into_iter()
        .map(|table| ((table.type_name)(), table.tracked))
        .collect()
});

/// All tables that [`audited!`](crate::audited) and [`audited_table!`](crate::audited_table) declare in this program, in the
/// order of their names: for [`feed`](crate::feed) and [`check`](crate::check()).
///
/// ```
/// koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
/// # fn main() {
/// assert_eq!(koherent_diesel::audited_tables()[0].name(), "samples");
/// # }
/// ```
#[must_use]
pub fn audited_tables() -> Vec<&'static TrackedTable> {
    let mut tables: Vec<_> = TABLES.values().map(|tracked| tracked()).collect();
    tables.sort_by_key(|table| (table.name.table, table.name.schema));
    tables
}

/// The error with which a statement of that type is refused, where it is one of Diesel's that writes to a table under audit.
pub(crate) fn refused<S>() -> Option<DieselError> {
    let (event, table) = written(type_name::<S>())?;
    let table = TABLES.get(table)?().name();
    let (statement, helper) = match event {
        Event::Insert => ("insert", "conn.audited_insert(table, &rows)"),
        Event::Update => ("update", "conn.audited_update(target, changes)"),
        Event::Delete => ("delete", "conn.audited_delete(target)"),
    };
    let message = format!(
        "a plain {statement} of `{table}` would leave no history: use `{helper}`; plain writes go through in \
         `conn.audit_paused(\"why\")`, which records that, and in `conn.build_transaction().attributed()`, for tables whose \
         guard captures them"
    );
    Some(DieselError::QueryBuilderError(message.into()))
}

/// What a type of Diesel's writes to.
fn written(statement: &str) -> Option<(Event, &str)> {
    let (name, arguments) = statement.trim_start_matches('&').split_once('<')?;
    let (path, name) = name.rsplit_once("::")?;
    let event = match name {
        "InsertStatement" => Event::Insert,
        "UpdateStatement" => Event::Update,
        "DeleteStatement" => Event::Delete,
        _ => return None,
    };
    if !path.starts_with("diesel::") {
        return None;
    }
    let (table, _) = arguments.split_once(',')?;
    Some((event, table))
}

#[cfg(test)]
mod tests {
    use diesel::ExpressionMethods as _;
    use diesel::QueryDsl as _;

    use super::*;

    diesel::table! { samples (id) { id -> BigInt, name -> Text, } }

    fn written_by<S>(_: &S) -> Option<(Event, &'static str)> {
        written(type_name::<S>())
    }

    #[test]
    fn statements_are_known_by_their_types() {
        let table = type_name::<samples::table>();
        let insert = diesel::insert_into(samples::table).values(samples::name.eq("liver"));
        assert_eq!(written_by(&insert), Some((Event::Insert, table)));
        assert_eq!(written_by(&&insert), Some((Event::Insert, table)));
        let update = diesel::update(samples::table.find(1)).set(samples::name.eq("liver"));
        assert_eq!(written_by(&update), Some((Event::Update, table)));
        let delete = diesel::delete(samples::table.filter(samples::name.eq("liver")));
        assert_eq!(written_by(&delete), Some((Event::Delete, table)));
        assert_eq!(written_by(&samples::table.select(samples::id)), None);
        assert_eq!(written_by(&diesel::sql_query("DELETE FROM samples")), None);
    }
}
