//! What the macros call. Not part of the public API.

use diesel::backend::Backend;
use diesel::internal::table_macro::StaticQueryFragment;
use diesel::query_builder::{QueryBuilder as _, QueryFragment};
use diesel::{Column, Expression};

use crate::history::LinkEnd;
pub use crate::history::SubmittedLink;
pub use crate::migrations::OWN_MIGRATIONS_TABLE;
pub use crate::objects::{ObjectKind, OwnObject, statements};
pub use crate::plain::Submitted;
pub use crate::table::Name;
use crate::table::{Audited, Holds};
pub use inventory;

/// The name that Diesel knows the table by.
#[must_use]
pub fn name<T>() -> Name
where
    T: StaticQueryFragment,
    T::Component: QueryFragment<AnyEngine>,
{
    let mut rendered = <AnyEngine as Backend>::QueryBuilder::default();
    let engine = AnyEngine::default();
    let rendered = T::STATIC_COMPONENT
        .to_sql(&mut rendered, &engine)
        .map(|()| rendered.finish())
        .unwrap_or_default();
    // Tables are declared once per program: their names live as long as it does.
    let mut names = unquoted(&rendered)
        .into_iter()
        .map(|name| -> &'static str { String::leak(name) });
    match (names.next(), names.next()) {
        (schema, Some(table)) => Name { schema, table },
        (table, None) => Name {
            schema: None,
            table: table.unwrap_or_default(),
        },
    }
}

/// Whichever engine there is: names are the same on all, only their quotes differ.
#[cfg(feature = "sqlite")]
type AnyEngine = diesel::sqlite::Sqlite;
#[cfg(all(not(feature = "sqlite"), feature = "postgres_backend"))]
type AnyEngine = diesel::pg::Pg;
#[cfg(not(any(feature = "sqlite", feature = "postgres_backend")))]
type AnyEngine = diesel::mysql::Mysql;

/// The names in `"schema"."table"`, whatever they are quoted with.
fn unquoted(rendered: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut characters = rendered.chars();
    while let Some(quote) = characters.next() {
        if quote == '.' {
            continue;
        }
        let mut name = String::new();
        loop {
            match characters.next() {
                Some(character) if character == quote => {
                    // Doubled, it is part of the name.
                    if characters.as_str().starts_with(quote) {
                        characters.next();
                        name.push(quote);
                    } else {
                        break;
                    }
                }
                Some(character) => name.push(character),
                None => break,
            }
        }
        names.push(name);
    }
    names
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

/// Stops the compilation if a column of a link is not among the kept columns of its table.
pub const fn ends_are_kept(ends: &[&str], columns: &[&str]) {
    let mut at = 0;
    while at < ends.len() {
        assert!(
            contains(columns, ends[at]),
            "both columns of a link must be among the audited columns of its table: list them in its `audited!`"
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

/// One end of a link.
#[must_use]
pub fn end<C: Column, T: Audited>() -> LinkEnd {
    LinkEnd::new(C::NAME, T::tracked())
}

/// Compiles only if the column can hold the key of the table.
pub const fn end_holds_key<C, T>()
where
    C: Column,
    T: diesel::Table,
    T::PrimaryKey: Expression,
    C::SqlType: Holds<<T::PrimaryKey as Expression>::SqlType>,
{
}
