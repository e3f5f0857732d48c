//! Work for a SQLite connection: rendered, so that it can go to another thread.

use diesel::sqlite::Sqlite;

use crate::change::Audit;
use crate::script::Script;

/// SQL with its values.
pub(super) type Sql = crate::positional::Sql<Sqlite>;

/// Something to be done on a SQLite connection.
#[expect(missing_debug_implementations, reason = "values are nobody's business")]
#[non_exhaustive]
pub enum Work {
    #[doc(hidden)]
    Change(Box<Job>),
    #[doc(hidden)]
    Read(Read),
    #[doc(hidden)]
    Reads(Vec<Read>),
}

/// A statement that reads.
#[expect(missing_debug_implementations, reason = "values are nobody's business")]
pub struct Read {
    pub(super) sql: Sql,
    /// Whose history it reads, where it does.
    pub(super) history_of: Option<&'static str>,
    /// What is read as well, where another statement returns a row.
    pub(super) also: Option<Box<(Sql, Sql)>>,
}

impl Read {
    /// Reads that history.
    pub(super) fn history((script, table): (Script<Sqlite>, &'static str)) -> Self {
        Self {
            sql: script.into(),
            history_of: Some(table),
            also: None,
        }
    }
}

/// A change to be made and recorded.
pub(super) type Job = Audit<Sql>;
