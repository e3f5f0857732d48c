//! Which part of a list: how many, from where on, in which order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use koherent_core::{HistoryEntry, TaskId, TaskRecord};

use crate::script::{FIRST_DATE, LAST_DATE};

/// In which order entries come: by date, those of one table and moment by id. Of one row, by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "there are two directions")]
pub enum HistoryOrder {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

impl HistoryOrder {
    pub(super) const fn direction(self) -> &'static str {
        match self {
            Self::NewestFirst => " DESC",
            Self::OldestFirst => " ASC",
        }
    }

    /// How one place stands to another.
    pub(super) fn compare<P: Ord>(self, one: &P, other: &P) -> Ordering {
        match self {
            Self::NewestFirst => other.cmp(one),
            Self::OldestFirst => one.cmp(other),
        }
    }

    /// What compares a value with one that comes before it.
    pub(super) const fn beyond(self) -> &'static str {
        match self {
            Self::NewestFirst => "<",
            Self::OldestFirst => ">",
        }
    }
}

/// The place of an entry in a list: what comes behind it is the next page, however many entries are added meanwhile.
///
/// As text it is opaque. It says nothing that the entry does not say.
///
/// ```
/// use koherent_diesel::Cursor;
///
/// let cursor: Cursor = "MTcwMDAwMDAwMDAwMDAwMC43LnNhbXBsZXM".parse()?;
/// assert_eq!(cursor.to_string(), "MTcwMDAwMDAwMDAwMDAwMC43LnNhbXBsZXM");
/// assert!("yesterday".parse::<Cursor>().is_err());
/// # Ok::<(), koherent_diesel::InvalidCursor>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(super) date: DateTime<Utc>,
    pub(crate) id: i64,
    pub(crate) table: String,
}

impl Cursor {
    /// The place of that entry.
    #[must_use]
    pub fn of(entry: &HistoryEntry) -> Self {
        Self {
            date: entry.date,
            id: entry.id,
            table: entry.table.to_owned(),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, id, table } = self;
        let text = format!("{}.{id}.{table}", date.timestamp_micros());
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let read = || {
            let text = decoded(text)?;
            let mut parts = text.splitn(3, '.');
            Some(Self {
                date: date(parts.next()?)?,
                id: parts.next()?.parse().ok()?,
                table: parts.next()?.to_owned(),
            })
        };
        read().ok_or(InvalidCursor)
    }
}

/// The place of a task in a list, as [`Cursor`] is that of an entry.
///
/// ```
/// use koherent_diesel::TaskCursor;
///
/// let cursor: TaskCursor = "dC4xNzAwMDAwMDAwMDAwMDAwLnRhc2stYQ".parse()?;
/// assert_eq!(cursor.to_string(), "dC4xNzAwMDAwMDAwMDAwMDAwLnRhc2stYQ");
/// assert!("MTcwMDAwMDAwMDAwMDAwMC43LnNhbXBsZXM".parse::<TaskCursor>().is_err()); // that of an entry
/// # Ok::<(), koherent_diesel::InvalidCursor>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCursor {
    pub(super) date: DateTime<Utc>,
    pub(super) id: TaskId,
}

impl TaskCursor {
    /// The place of that task.
    #[must_use]
    pub fn of(task: &TaskRecord) -> Self {
        Self {
            date: task.created_at,
            id: task.task.task_id.clone(),
        }
    }
}

impl fmt::Display for TaskCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("t.{}.{}", self.date.timestamp_micros(), self.id.as_str());
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for TaskCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let read = || {
            let text = decoded(text)?;
            let (at, id) = text.strip_prefix("t.")?.split_once('.')?;
            let (date, id) = (date(at)?, id.into());
            Some(Self { date, id })
        };
        read().ok_or(InvalidCursor)
    }
}

pub(super) fn decoded(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// A moment in microseconds. What no entry can have, no cursor has.
pub(super) fn date(micros: &str) -> Option<DateTime<Utc>> {
    let date = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
    (FIRST_DATE..=LAST_DATE).contains(&date).then_some(date)
}

/// A text that is no [`Cursor`] or [`TaskCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: give one that came with an entry or a task, unchanged")]
#[non_exhaustive]
pub struct InvalidCursor;

/// Methods of a query that say how many, and from where on.
macro_rules! pages {
    ($(#[$limit:meta])+ limit; $(#[$offset:meta])+ offset;) => {
        $(#[$limit])+
        pub const fn limit(mut self, limit: u32) -> Self {
            self.page.limit = Some(limit);
            self
        }

        $(#[$offset])+
        pub const fn offset(mut self, offset: u32) -> Self {
            self.page.offset = offset;
            self
        }
    };
}
pub(super) use pages;

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Page {
    pub(super) order: HistoryOrder,
    pub(super) limit: Option<u32>,
    pub(super) offset: u32,
    pub(super) after: Option<Cursor>,
    /// By id alone, those between these.
    pub(super) by_id: bool,
    pub(super) beyond: Option<i64>,
    pub(super) until: Option<i64>,
}
