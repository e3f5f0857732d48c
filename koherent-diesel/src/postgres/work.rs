//! Work for a PostgreSQL connection: written, so that nothing of what it was made from is needed any more.

use super::sql::Sql;
use crate::record::Recorder;
use crate::table::TrackedTable;

/// Something to be done on a PostgreSQL connection.
#[expect(missing_debug_implementations, reason = "values are nobody's business")]
#[derive(Clone)]
pub struct Work {
    /// Usually one. More are one transaction.
    pub(super) statements: Vec<Sql>,
    pub(super) about: About,
}

/// What it is about.
#[derive(Clone)]
pub(super) enum About {
    /// A change.
    Change {
        table: &'static TrackedTable,
        recorder: Recorder,
        /// How many columns the caller wants to see of the rows; otherwise how many rows there are is all.
        returned: Option<usize>,
        /// Whether one more column says how many entries were written: the task's row is one of the things that were.
        counts_entries: bool,
    },
    /// Histories that are read, one per statement.
    Histories(Vec<&'static str>),
    /// A history that is read.
    History(&'static str),
    /// What is read of the database itself: where `koherent_table` is there, what is in it as well.
    Catalog {
        /// Returns a row where it is.
        is_there: Box<Sql>,
        guards: Box<Sql>,
    },
}

impl About {
    pub(super) const fn recorder(&self) -> Option<&Recorder> {
        match self {
            Self::Change { recorder, .. } => Some(recorder),
            Self::Histories(_) | Self::History(_) | Self::Catalog { .. } => None,
        }
    }
}
