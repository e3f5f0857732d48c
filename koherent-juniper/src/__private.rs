//! What the macros write. Not part of the public API.

pub use chrono::{DateTime, Utc};
pub use koherent_core::{HistoryEntry, TaskRecord};
pub use koherent_diesel::{Blame, LinkEntry};

pub use crate::question::{cursor_of, cursor_of_task};

/// A text that the attribution of an entry said beside its columns.
#[must_use]
pub fn context_text<'e>(entry: &'e HistoryEntry, name: &str) -> Option<&'e str> {
    entry.context.as_ref()?.get(name)?.as_str()
}
