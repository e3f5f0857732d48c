//! What the macros call. Not part of the public API.

use diesel::Column;
use diesel::internal::table_macro::StaticQueryFragment;
use diesel::query_builder::QueryFragment;

use crate::table::Holds;
pub use crate::table::Name;

/// The name that Diesel knows the table by.
#[must_use]
pub fn name<T>() -> Name
where
    T: StaticQueryFragment,
    T::Component: QueryFragment<diesel::sqlite::Sqlite>,
{
    let rendered = crate::sqlite::rendered_name(T::STATIC_COMPONENT);
    let (schema, table) = match rendered.split_once("`.`") {
        Some((schema, table)) => (Some(schema.trim_start_matches('`')), table),
        None => (None, &*rendered),
    };
    // Tables are declared once per program: their names live as long as it does.
    let leak =
        |name: &str| -> &'static str { String::leak(name.trim_matches('`').replace("``", "`")) };
    Name {
        schema: schema.map(leak),
        table: leak(table),
    }
}

/// The name that Diesel knows the column by.
#[must_use]
pub const fn column_name<C: Column>() -> &'static str {
    C::NAME
}

/// Compiles only if the history column can hold the base column.
pub const fn column_is_held<B, H>()
where
    B: Column,
    H: Column,
    H::SqlType: Holds<B::SqlType>,
{
}

/// Compiles only if that is the primary key of the table, in its order.
pub const fn key_is_primary<T, K>()
where
    T: diesel::Table<PrimaryKey = K>,
{
}

/// Stops the compilation if a column of the key is not among the kept columns.
pub const fn key_is_kept(key: &[&str], columns: &[&str]) {
    let mut at = 0;
    while at < key.len() {
        assert!(
            contains(columns, key[at]),
            "the key must be among the audited columns: list it in `audited!(table (key) => history (key, ...))`"
        );
        at += 1;
    }
}

const fn contains(columns: &[&str], name: &str) -> bool {
    let mut at = 0;
    while at < columns.len() {
        if same(name.as_bytes(), columns[at].as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while a.len() == b.len() && at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    a.len() == b.len()
}
