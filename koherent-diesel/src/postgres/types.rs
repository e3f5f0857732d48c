//! How PostgreSQL stores the types of history columns.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::Timestamptz;
use uuid::Uuid;

use crate::sql_types::{HistoryContext, HistoryDate, HistoryTransaction};

impl FromSql<HistoryDate, Pg> for DateTime<Utc> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        FromSql::<Timestamptz, Pg>::from_sql(value)
    }
}

impl FromSql<HistoryTransaction, Pg> for Uuid {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Self::from_slice(value.as_bytes()).map_err(Into::into)
    }
}

impl FromSql<HistoryContext, Pg> for serde_json::Value {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        serde_json::from_slice(value.as_bytes()).map_err(Into::into)
    }
}
