//! Does the database have what was declared?

use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::error::Error;
use crate::table::TrackedTable;

/// One way in which the database differs from what was declared, and what to do about it.
///
/// ```
/// use koherent_diesel::Difference;
/// let difference = Difference::MissingTable { table: "koherent_task".into() };
/// assert!(difference.to_string().contains("run the migrations"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// A table is not there.
    #[error(
        "the table `{table}` does not exist: run the migrations that create it (for `koherent_task`: `koherent_diesel::sqlite::MIGRATIONS`)"
    )]
    MissingTable {
        /// The table.
        table: String,
    },
    /// A table lacks a column.
    #[error(
        "the table `{table}` lacks the column `{column}`: add it in a migration, with the type of the column it is the history of"
    )]
    MissingColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column has a type that does not fit its declaration.
    #[error(
        "the column `{column}` of the table `{table}` has the type `{found}`, which is not that of {expected}: change its \
         type in a migration, or its declaration"
    )]
    WrongType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The type in the database.
        found: String,
        /// What was declared.
        expected: String,
    },
    /// A column of a history table refuses NULL where there can be none.
    #[error(
        "the column `{column}` of the table `{table}` is NOT NULL, but there are entries without a value for it: drop NOT \
         NULL in a migration"
    )]
    NotNull {
        /// The history table.
        table: String,
        /// The column.
        column: String,
    },
    /// The entries of a history table are not numbered.
    #[error(
        "the table `{table}` does not number its entries: declare `history_id INTEGER PRIMARY KEY AUTOINCREMENT` (another \
         integer type numbers nothing in SQLite)"
    )]
    NotNumbered {
        /// The history table.
        table: String,
    },
    /// A history table has a unique index, which refuses a row's second entry.
    #[error(
        "the table `{table}` has the unique index `{index}`, but the entries of one row repeat its values: drop it in a \
         migration"
    )]
    Unique {
        /// The history table.
        table: String,
        /// The index.
        index: String,
    },
}

/// Compares declared tables, their history tables and `koherent_task` with the database, and lists every difference.
///
/// Services call it at start, so that a forgotten migration is one clear line and not the first failed change.
///
/// # Errors
///
/// [`Error::Diesel`] where the database cannot be asked.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection();
/// use koherent_diesel::{Audited, check};
///
/// let differences = check(conn, [samples::table::tracked()])?;
/// assert_eq!(differences, []);
/// # Ok(())
/// # }
/// ```
pub fn check<C: Driver>(
    connection: &mut C,
    tables: impl IntoIterator<Item = &'static TrackedTable>,
) -> C::Reply<'_, Result<Vec<Difference>, Error>> {
    let tables: Vec<_> = tables.into_iter().collect();
    connection.run(
        move |sqlite| crate::sqlite::differences(sqlite, &tables),
        Ours,
    )
}
