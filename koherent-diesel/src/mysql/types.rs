//! How MariaDB and MySQL store the types of history columns.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::deserialize::{self, FromSql};
use diesel::mysql::{Mysql, MysqlValue};
use diesel::sql_types::{Datetime, Text};
use uuid::Uuid;

use crate::sql_types::{HistoryContext, HistoryDate, HistoryTransaction};

impl FromSql<HistoryDate, Mysql> for DateTime<Utc> {
    fn from_sql(value: MysqlValue<'_>) -> deserialize::Result<Self> {
        let date = <NaiveDateTime as FromSql<Datetime, Mysql>>::from_sql(value)?;
        Ok(date.and_utc())
    }
}

impl FromSql<HistoryTransaction, Mysql> for Uuid {
    fn from_sql(value: MysqlValue<'_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Mysql>>::from_sql(value)?;
        Self::try_parse(&text).map_err(Into::into)
    }
}

impl FromSql<HistoryContext, Mysql> for serde_json::Value {
    fn from_sql(value: MysqlValue<'_>) -> deserialize::Result<Self> {
        serde_json::from_slice(value.as_bytes()).map_err(Into::into)
    }
}
