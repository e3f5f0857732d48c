//! The SQL types of history columns that each engine stores in its own way. They are read, never written by hand.
//!
//! | type | SQLite | PostgreSQL | MariaDB, MySQL | Rust |
//! | --- | --- | --- | --- | --- |
//! | [`HistoryDate`] | `TEXT`, `2026-11-20 11:35:59.123456+00:00` | `timestamptz` | `DATETIME(6)`, UTC | [`DateTime<Utc>`](chrono::DateTime) |
//! | [`HistoryTransaction`] | `TEXT`, hyphenated UUID | `uuid` | `CHAR(36)` | [`Uuid`](uuid::Uuid) |
//! | [`HistoryContext`] | `TEXT`, JSON | `json` | `LONGTEXT`, JSON | [`Value`](serde_json::Value) |

use diesel::query_builder::QueryId;
use diesel::sql_types::SqlType;

/// When an entry was written: a moment in UTC, to the microsecond.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[cfg_attr(feature = "sqlite", diesel(sqlite_type(name = "Text")))]
#[cfg_attr(
    feature = "postgres_backend",
    diesel(postgres_type(oid = 1184, array_oid = 1185))
)]
#[cfg_attr(feature = "mysql", diesel(mysql_type(name = "DateTime")))]
#[non_exhaustive]
pub struct HistoryDate;

/// Which transaction wrote an entry: a UUID of version 7.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[cfg_attr(feature = "sqlite", diesel(sqlite_type(name = "Text")))]
#[cfg_attr(
    feature = "postgres_backend",
    diesel(postgres_type(oid = 2950, array_oid = 2951))
)]
#[cfg_attr(feature = "mysql", diesel(mysql_type(name = "String")))]
#[non_exhaustive]
pub struct HistoryTransaction;

/// What else the attribution of an entry said: a JSON object.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[cfg_attr(feature = "sqlite", diesel(sqlite_type(name = "Text")))]
#[cfg_attr(
    feature = "postgres_backend",
    diesel(postgres_type(oid = 114, array_oid = 199))
)]
#[cfg_attr(feature = "mysql", diesel(mysql_type(name = "String")))]
#[non_exhaustive]
pub struct HistoryContext;
