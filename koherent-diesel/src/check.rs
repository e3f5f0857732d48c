//! Does the database have what was declared?

use crate::driver::Driver;
use crate::error::Error;
use crate::table::TableInfo;

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
        "the column `{column}` of the table `{table}` has the type `{found}`, which is not that of {expected}: change its type in a migration, or its declaration"
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
/// let differences = check(conn, [samples::table::info()])?;
/// assert_eq!(differences, []);
/// # Ok(())
/// # }
/// ```
pub fn check<C: Driver>(
    connection: &mut C,
    tables: impl IntoIterator<Item = &'static TableInfo>,
) -> C::Reply<'_, Result<Vec<Difference>, Error>> {
    let tables: Vec<_> = tables.into_iter().collect();
    connection.run(move |sqlite| crate::sqlite::differences(sqlite, &tables))
}
