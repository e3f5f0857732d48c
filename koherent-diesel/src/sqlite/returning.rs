//! Rows that the caller wants to see, beside what the plan needs of them.

use diesel::row::Row as _;

use super::sql::{PartialRow, Row, Sql};
use crate::error::Error;

/// Rows that the caller wants to see.
pub(crate) struct Returning<'r> {
    /// The columns.
    pub(crate) columns: &'r Sql,
    /// What to do with each row; it sees these columns alone.
    pub(crate) row: &'r mut dyn FnMut(&PartialRow<'_, '_, '_>) -> Result<(), Error>,
}

/// Shows the caller the columns it asked for, where it did: those from `from` on.
pub(super) fn hand_on(
    row: &Row<'_, '_>,
    from: usize,
    returning: &mut Option<Returning<'_>>,
) -> Result<(), Error> {
    match returning {
        Some(returning) => (returning.row)(&PartialRow::new(row, from..row.field_count())),
        None => Ok(()),
    }
}
