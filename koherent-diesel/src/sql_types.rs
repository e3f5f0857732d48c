//! The SQL types of history columns that each engine stores in its own way. They are read, never written by hand.
//!
//! | type | SQLite | Rust |
//! | --- | --- | --- |
//! | [`HistoryDate`] | `TEXT`, `2026-11-20 11:35:59.123456+00:00` | [`DateTime<Utc>`](chrono::DateTime) |
//! | [`HistoryTransaction`] | `TEXT`, hyphenated UUID | [`Uuid`](uuid::Uuid) |
//! | [`HistoryContext`] | `TEXT`, JSON | [`Value`](serde_json::Value) |

use diesel::query_builder::QueryId;
use diesel::sql_types::SqlType;

/// When an entry was written: a moment in UTC, to the microsecond.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(sqlite_type(name = "Text"))]
#[non_exhaustive]
pub struct HistoryDate;

/// Which transaction wrote an entry: a UUID of version 7.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(sqlite_type(name = "Text"))]
#[non_exhaustive]
pub struct HistoryTransaction;

/// What else the attribution of an entry said: a JSON object.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(sqlite_type(name = "Text"))]
#[non_exhaustive]
pub struct HistoryContext;
