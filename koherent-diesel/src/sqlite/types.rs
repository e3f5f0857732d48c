//! How SQLite stores the types of history columns: all as text.

use std::error::Error;

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};
use uuid::Uuid;

use crate::history::read::date_from_text;
use crate::sql_types::{HistoryContext, HistoryDate, HistoryTransaction};

/// Six digits always, so that the order of the text is the order of the time.
const DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.6f+00:00";

pub(super) fn date_text(date: DateTime<Utc>) -> String {
    date.format(DATE_FORMAT).to_string()
}

fn read(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<String> {
    FromSql::<Text, Sqlite>::from_sql(value)
}

impl FromSql<HistoryDate, Sqlite> for DateTime<Utc> {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        date_from_text(&read(value)?).map_err(Into::into)
    }
}

impl FromSql<HistoryTransaction, Sqlite> for Uuid {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Self::try_parse(&read(value)?).map_err(Into::into)
    }
}

impl FromSql<HistoryContext, Sqlite> for serde_json::Value {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        serde_json::from_str(&read(value)?)
            .map_err(|error| -> Box<dyn Error + Send + Sync> { Box::new(error) })
    }
}
