//! The place of a change in a list of changes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use koherent_core::RowKey;

use super::changes::{ChangeColumn, ResourceChange};
use super::page::{HistoryOrder, InvalidCursor, date, decoded};
use super::select::bind_of;
use crate::engine::Engine;
use crate::script::{Bind, Script};
use crate::sql::Write as _;
use crate::table::{TrackedColumn, TrackedTable};

/// The place of a change of one field in a list, as [`Cursor`](crate::Cursor) is that of an entry: it belongs to lists that are
/// sorted by the same column.
///
/// ```
/// use koherent_diesel::ChangeCursor;
///
/// let text = "WyJjIiwiZGF0ZSIsbnVsbCwxNzAwMDAwMDAwMDAwMDAwLDcsInNhbXBsZXMiLCJuYW1lIl0";
/// let cursor: ChangeCursor = text.parse()?;
/// assert_eq!(cursor.to_string(), text);
/// assert!("MTcwMDAwMDAwMDAwMDAwMC43LnNhbXBsZXM".parse::<ChangeCursor>().is_err()); // that of an entry
/// # Ok::<(), koherent_diesel::InvalidCursor>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeCursor {
    sorted: Sorted,
    date: DateTime<Utc>,
    id: i64,
    table: String,
    field: String,
}

/// What the change has in the column that the list is sorted by.
#[derive(Debug, Clone, PartialEq)]
enum Sorted {
    Date,
    User(Option<String>),
    Field,
    Key(RowKey),
}

impl ChangeCursor {
    /// The place of that change in a list that is sorted by that column.
    #[must_use]
    pub fn of(change: &ResourceChange, column: ChangeColumn) -> Self {
        let entry = &change.entry;
        Self {
            sorted: match column {
                ChangeColumn::Date => Sorted::Date,
                ChangeColumn::User => Sorted::User(entry.user.as_ref().map(ToString::to_string)),
                ChangeColumn::Field => Sorted::Field,
                ChangeColumn::Key => Sorted::Key(entry.key.clone()),
            },
            date: entry.date,
            id: entry.id,
            table: entry.table.to_owned(),
            field: change.change.field.to_owned(),
        }
    }

    /// The field whose change it is.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Whether it is of a list of that table's changes, sorted by that column.
    pub(super) fn fits(&self, table: &'static TrackedTable, column: ChangeColumn) -> bool {
        let sorted = match &self.sorted {
            Sorted::Date => column == ChangeColumn::Date,
            Sorted::User(_) => column == ChangeColumn::User,
            Sorted::Field => column == ChangeColumn::Field,
            Sorted::Key(key) => {
                column == ChangeColumn::Key && key.values().len() == table.key().len()
            }
        };
        sorted && self.table == table.name() && table.fields.contains(&&*self.field)
    }

    /// Writes ` AND` that the entry `h` is that of the change or lies beyond it. Only of what is sorted by date or key.
    pub(super) fn push_from<DB: Engine>(
        &self,
        sql: &mut Script<DB>,
        table: &'static TrackedTable,
        order: HistoryOrder,
    ) {
        match &self.sorted {
            Sorted::Key(key) => self.push_from_key(sql, table, key, order),
            _ => DB::push_beyond(sql, order.beyond(), self.date, self.id_before(order)),
        }
    }

    /// The id beyond which the entry of the change lies, and what comes behind it.
    fn id_before(&self, order: HistoryOrder) -> Bind {
        Bind::Integer(match order {
            HistoryOrder::NewestFirst => self.id.saturating_add(1),
            HistoryOrder::OldestFirst => self.id.saturating_sub(1),
        })
    }

    fn push_from_key<DB: Engine>(
        &self,
        sql: &mut Script<DB>,
        table: &'static TrackedTable,
        key: &RowKey,
        order: HistoryOrder,
    ) {
        let columns = table.key_columns().into_iter().zip(key.values());
        let binds: Option<Vec<_>> = columns
            .map(|(column, value)| Some((column, bind_of::<DB>(value, column.kind)?)))
            .collect();
        let Some(binds) = binds else {
            // No row has such a key.
            sql.push(" AND 1 = 0");
            return;
        };
        let beyond = order.beyond();
        let compare =
            |sql: &mut Script<DB>, (column, bind): &(&TrackedColumn, Bind), sign: &str| {
                sql.push("h.").identifier(column.history_name);
                sql.push(" ").push(sign).push(" ");
                let given = super::select::Given::Value(bind.clone());
                DB::push_given(sql, table.history, column.history_name, column.kind, given);
            };
        // The first comparison finds where the index goes on.
        if let Some(first) = binds.first() {
            sql.push(" AND ");
            compare(sql, first, if beyond == "<" { "<=" } else { ">=" });
        }
        sql.push(" AND (");
        for one in &binds {
            compare(sql, one, beyond);
            sql.push(" OR ");
            compare(sql, one, "=");
            sql.push(" AND (");
        }
        sql.push("h.history_id ").push(beyond).push(" ");
        sql.bind(self.id_before(order));
        for _ in &binds {
            sql.push(")");
        }
        sql.push(")");
    }

    /// Writes ` AND` that the change of the column `f.k_field` by the entry `h` lies beyond. What is sorted by date or key is of
    /// entries that [`push_from`](Self::push_from) left.
    pub(super) fn push_beyond<DB: Engine>(
        &self,
        sql: &mut Script<DB>,
        table: &'static TrackedTable,
        columns: &[&'static TrackedColumn],
        order: HistoryOrder,
    ) {
        // Of a column that is not among these, where it would stand: behind those with lesser names.
        let at = columns.partition_point(|column| column.name < self.field.as_str());
        let is_there = columns
            .get(at)
            .is_some_and(|column| column.name == self.field);
        let place = format!("'{at:03}'");
        let beyond = order.beyond();
        match &self.sorted {
            Sorted::Date | Sorted::Key(_) => self.push_rest_of_entry(sql, &place, is_there),
            Sorted::User(user) => {
                sql.push(" AND (");
                if let Some(user) = user {
                    sql.push("h.history_user IS NULL OR h.history_user ");
                    sql.push(beyond).push(" ").text(user);
                    sql.push(" OR h.history_user = ").text(user);
                } else {
                    sql.push("h.history_user IS NULL");
                }
                self.push_from(sql, table, order);
                self.push_rest_of_entry(sql, &place, is_there);
                sql.push(")");
            }
            Sorted::Field => {
                // A place between two columns belongs to the higher one.
                let from = if is_there || order == HistoryOrder::NewestFirst {
                    beyond
                } else {
                    ">="
                };
                sql.push(" AND (f.k_field ")
                    .push(from)
                    .push(" ")
                    .push(&place);
                if is_there {
                    sql.push(" OR f.k_field = ").push(&place);
                    let id = Bind::Integer(self.id);
                    DB::push_beyond(sql, beyond, self.date, id);
                }
                sql.push(")");
            }
        }
    }

    /// Writes ` AND` that a change of the same entry stands behind.
    fn push_rest_of_entry<DB>(&self, sql: &mut Script<DB>, place: &str, is_there: bool)
    where
        DB: Engine,
    {
        sql.push(" AND NOT (h.history_id = ")
            .bind(Bind::Integer(self.id));
        sql.push(" AND f.k_field ");
        sql.push(if is_there { "<= " } else { "< " }).push(place);
        sql.push(")");
    }
}

/// As text: a JSON array in base64url (RFC 4648, section 5), without padding.
impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (column, value) = match &self.sorted {
            Sorted::Date => ("date", None),
            Sorted::User(user) => ("user", user.clone()),
            Sorted::Field => ("field", None),
            Sorted::Key(key) => ("key", Some(key.to_text())),
        };
        let date = self.date.timestamp_micros();
        let parts = ("c", column, value, date, self.id, &self.table, &self.field);
        let text = serde_json::to_string(&parts).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for ChangeCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        type Parts = (String, String, Option<String>, i64, i64, String, String);
        let read = || {
            let text = decoded(text)?;
            let parts: Parts = serde_json::from_str(&text).ok()?;
            let (mark, column, value, at, id, table, field) = parts;
            // PostgreSQL takes no zero byte in any text.
            let is_text = value.as_ref().is_none_or(|value| !value.contains('\0'));
            let sorted = match (column.as_str(), value) {
                ("date", None) => Sorted::Date,
                ("user", user) if is_text => Sorted::User(user),
                ("field", None) => Sorted::Field,
                ("key", Some(key)) => Sorted::Key(RowKey::from_text(&key)),
                _ => return None,
            };
            let date = date(&at.to_string())?;
            (mark == "c").then_some(Self {
                sorted,
                date,
                id,
                table,
                field,
            })
        };
        read().ok_or(InvalidCursor)
    }
}
