//! What resolvers ask: the arguments of fields, checked, so that questions can be told from each other and asked together.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use juniper::ID;
use koherent_core::{ErrorCode, HistoryEntry, RowKey, TaskId, TaskRecord};
use koherent_diesel::{
    Cursor, HistoryFilter, HistoryQuery, LinkQuery, TaskCursor, TaskQuery, TrackedTable,
};

use crate::error::Error;
use crate::input::{HistoryOrder, OffsetPaginationInput, ProvenanceFilter};

/// Entries or tasks as resolvers share them; or why there are none for this one.
pub(crate) type Listed<V> = Result<Vec<Arc<V>>, Error>;

/// Which part of a list: offset and limit.
pub(crate) type Part = (u32, u32);

/// What is asked of a row.
#[derive(Debug, Clone)]
pub(crate) struct RowQuestion {
    pub(crate) table: Table,
    pub(crate) key: RowKey,
    pub(crate) asked: Asked,
}

/// What is asked of all tasks.
pub(crate) type TaskQuestion = (
    koherent_diesel::TaskFilter,
    Part,
    Option<TaskCursor>,
    HistoryOrder,
);

/// What is asked of the children of a task.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) parent: TaskId,
    pub(crate) part: Part,
    pub(crate) after: Option<TaskCursor>,
}

pub(crate) fn behind(query: TaskQuery, after: Option<&TaskCursor>) -> TaskQuery {
    match after {
        Some(cursor) => query.after(cursor.clone()),
        None => query,
    }
}

/// The place that a client names.
pub(crate) fn cursor<C: FromStr>(text: Option<&str>) -> Result<Option<C>, Error> {
    let cursor = text.map(str::parse).transpose();
    cursor.map_err(|_| BAD_CURSOR)
}

/// What is asked of the links of a row.
#[derive(Clone)]
pub(crate) struct LinkQuestion {
    pub(crate) link: Table,
    pub(crate) rows: Table,
    pub(crate) query: fn(Vec<RowKey>) -> LinkQuery,
    pub(crate) key: RowKey,
    pub(crate) asked: Asked,
}

/// A table, told by where it is declared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table(pub(crate) &'static TrackedTable);

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// An [`Ask`] that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) part: Part,
    pub(crate) order: HistoryOrder,
    pub(crate) filters: Vec<HistoryFilter>,
    pub(crate) after: Option<Cursor>,
}

impl Asked {
    /// What the arguments of a field mean, where a list has at most so many entries.
    pub(crate) fn checked(ask: &Ask, most: u32) -> Result<Self, Error> {
        Ok(Self {
            part: ask.pagination.unwrap_or_default().checked(most)?,
            order: ask.order.unwrap_or_default(),
            filters: ask.filters()?,
            after: cursor(ask.after.as_deref())?,
        })
    }

    /// How many it may load, at most.
    pub(crate) const fn weight(&self) -> u32 {
        let (offset, limit) = self.part;
        offset.saturating_add(limit)
    }

    pub(crate) fn of(&self, query: HistoryQuery) -> HistoryQuery {
        let (offset, limit) = self.part;
        let query = query.offset(offset).limit(limit).order(self.order.into());
        let filters = self.filters.iter().cloned();
        let query = filters.fold(query, HistoryQuery::filter);
        match &self.after {
            Some(cursor) => query.after(cursor.clone()),
            None => query,
        }
    }

    pub(crate) fn of_links(&self, query: LinkQuery) -> LinkQuery {
        query.map(|query| self.of(query))
    }
}

/// Which entries of a history a field asks for: its arguments.
///
/// ```
/// use koherent_juniper::{Ask, OffsetPaginationInput};
/// let newest = Ask { pagination: Some(OffsetPaginationInput { offset: 0, limit: Some(1) }), ..Ask::default() };
/// # let _ = newest;
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it mirrors the arguments of a field"
)]
pub struct Ask {
    /// Only these.
    pub filters: Option<ProvenanceFilter>,
    /// Only that part.
    pub pagination: Option<OffsetPaginationInput>,
    /// Only what comes behind the entry with that cursor.
    pub after: Option<String>,
    /// In that order; the newest first, unless it says otherwise.
    pub order: Option<HistoryOrder>,
    /// As it was known at that time: later entries are left out.
    pub as_of: Option<DateTime<Utc>>,
}

impl Ask {
    /// Which entries are meant.
    pub(crate) fn filters(&self) -> Result<Vec<HistoryFilter>, Error> {
        let said = self.filters.as_ref().map(ProvenanceFilter::checked);
        let known = self.as_of.map(|date| Ok(HistoryFilter::new().until(date)));
        said.into_iter().chain(known).collect()
    }
}

pub(crate) const BAD_CURSOR: Error = Error::fixed(
    ErrorCode::BadRequest,
    "CURSOR_INVALID",
    "This is no cursor: give one that came with an entry, or with a task, unchanged.",
);

/// The cursor of a task, as clients see it.
#[doc(hidden)]
#[must_use]
pub fn cursor_of_task(task: &TaskRecord) -> ID {
    ID::from(TaskCursor::of(task).to_string())
}

/// The cursor of an entry, as clients see it.
#[doc(hidden)]
#[must_use]
pub fn cursor_of(entry: &HistoryEntry) -> ID {
    ID::from(Cursor::of(entry).to_string())
}
