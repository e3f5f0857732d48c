//! Reading histories.
//!
//! | question | answer |
//! | --- | --- |
//! | what happened to this row? | [`entries_of`] |
//! | what happened in this table, in all of them? | [`history()`], [`feed`] |
//! | what did this task do, and those that it caused? | [`feed`] with [`HistoryFilter::task_tree`] |
//! | which rows did it touch? | [`changed`], in any query of Diesel's |
//! | what was it like then? | [`as_of`] |
//! | where does each value come from? | [`blame()`] |
//! | which fields changed? | [`resource_changes`], [`Activity`](koherent_core::Activity) |
//!
//! What is asked is a [`HistoryQuery`]: a value that knows nothing of engines and connections, so that an API can put one
//! together from what its clients say. `select.rs` writes it as SQL, `read.rs` makes entries of the rows.

mod blame;
mod change_cursor;
mod changes;
mod count;
mod date;
mod filter;
mod links;
mod logic;
mod page;
mod past;
mod period;
mod predicate;
mod query;
pub(crate) mod read;
mod rows;
mod scope;
pub(crate) mod select;
mod tasks;
mod values;

pub use blame::{Blame, BlameQuery, blame};
pub use change_cursor::ChangeCursor;
pub use changes::{ChangeColumn, ResourceChange, ResourceChangeQuery, resource_changes};
pub use date::{InvalidDate, read_date};
pub use filter::HistoryFilter;
#[doc(hidden)]
pub use links::SubmittedLink;
pub use links::{
    AuditedLink, LinkEnd, LinkEntry, LinkKind, LinkQuery, LinkedRow, LinksTo, links_of,
    links_of_each,
};
pub use page::{Cursor, HistoryOrder, InvalidCursor, TaskCursor};
pub use past::{Past, as_of, deleted};
pub use predicate::{Changed, changed};
#[cfg(all(
    any(feature = "deadpool", feature = "bb8"),
    any(feature = "sqlite", feature = "postgres")
))]
pub(crate) use query::history_of;
pub use query::{HistoryQuery, entries_of, entries_of_each, feed, history};
pub use rows::RowFilter;
pub use scope::HistoryScope;
#[cfg(any(feature = "deadpool", feature = "bb8"))]
pub(crate) use select::is_same_key;
pub use tasks::{TaskFilter, TaskQuery, tasks};
