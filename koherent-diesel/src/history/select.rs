//! What is asked of a history table, as SQL.
//!
//! One statement per table, in three layers:
//!
//! ```text
//! SELECT h.…, t.…, b.…
//! FROM (SELECT … h.history_id, k_before …) AS p        which entries: filtered, ordered, cut to the page, through an index
//! JOIN samples_history AS h ON …                       what they hold
//! LEFT JOIN koherent_task AS t ON …                    the task of each
//! LEFT JOIN samples_history AS b ON …                  the entry before each, to say what changed
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use koherent_core::{FieldValue, RowKey};

use super::filter::HistoryFilter;
use super::page::Page;
use crate::engine::Engine;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::script::{Bind, Script};
use crate::sql::Write as _;
use crate::table::{Name, TrackedColumn, TrackedTable, ValueKind};

/// Entries are asked for in groups, each with a page of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Groups {
    pub(crate) by: GroupBy,
    /// The values that tell the groups.
    pub(crate) values: Vec<RowKey>,
}

impl Groups {
    /// How many there are, where there are groups at all.
    pub(super) fn count(groups: Option<&Self>) -> usize {
        groups.map_or(1, |groups| groups.values.len())
    }

    /// What was found, as a list for each of so many groups.
    pub(super) fn lists<T>(
        count: usize,
        found: impl IntoIterator<Item = (usize, T)>,
    ) -> Vec<Vec<T>> {
        let mut lists: Vec<_> = (0..count).map(|_| Vec::new()).collect();
        for (group, found) in found {
            lists[group].push(found);
        }
        lists
    }

    /// As many at once as one statement takes. `values_of_one` says how many values stand in the branch of a group. Where
    /// there are no groups, nothing is asked.
    pub(super) fn parts<'g, DB: Engine>(
        &'g self,
        values_of_one: impl FnOnce(GroupPart<'g>) -> usize,
    ) -> impl Iterator<Item = GroupPart<'g>> {
        let part = |values: &'g [RowKey], first| GroupPart {
            by: self.by,
            values,
            first,
        };
        let most = match self.values.first() {
            Some(one) if !DB::LATERAL && self.values.len() > 1 => {
                let values = values_of_one(part(std::slice::from_ref(one), 0));
                (MOST_VALUES / values.max(1)).clamp(1, DB::GROUPS)
            }
            _ => usize::MAX,
        };
        let parts = self.values.chunks(most).enumerate();
        parts.map(move |(at, values)| part(values, at.saturating_mul(most)))
    }
}

/// How many values a statement may have: SQLite takes 32,766, MariaDB and MySQL 65,535.
const MOST_VALUES: usize = 30_000;

/// Groups that are asked for in one statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupPart<'g> {
    pub(super) by: GroupBy,
    values: &'g [RowKey],
    /// The number of the first.
    first: usize,
}

/// What the entries of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupBy {
    /// The row.
    Key,
    /// The value of that column of the tracked table.
    Column(&'static str),
    /// The task.
    Task,
}

/// A value to compare a column with.
#[derive(Debug)]
#[expect(unnameable_types, reason = "engines write them")]
pub enum Given {
    /// This one.
    Value(Bind),
    /// The one that stands at that place of `k.value`, a JSON array of texts.
    Place(usize),
}

/// What is asked of one history.
pub(super) struct Select<'q> {
    pub(super) table: &'static TrackedTable,
    pub(super) groups: Option<GroupPart<'q>>,
    pub(super) filters: &'q [HistoryFilter],
    pub(super) page: &'q Page,
}

impl Select<'_> {
    /// Writes the whole statement. Rows say which of the tables that are asked this is.
    pub(super) fn write<DB: Engine>(&self, table_at: usize) -> Script<DB> {
        let mut sql = Script::new();
        push_columns(&mut sql, self.table, table_at);
        self.push_page(&mut sql);
        push_joins(&mut sql, self.table);
        sql.push(" ORDER BY ");
        self.push_order(&mut sql);
        sql
    }

    /// Writes which entries: their group, their id, and that of the entry before.
    fn push_page<DB: Engine>(&self, sql: &mut Script<DB>) {
        let Some(groups) = self.groups else {
            sql.push("SELECT '0' AS k_group, ");
            self.push_entries(sql, |_| {});
            return;
        };
        let columns = group_columns(self.table, groups.by);
        push_groups(sql, self.table.history, &columns, groups, |sql, matches| {
            self.push_entries(sql, |sql| {
                sql.push(" AND ");
                matches(sql);
            });
        });
    }

    /// Writes `h.history_id, … FROM … WHERE … ORDER BY … LIMIT …`.
    fn push_entries<DB: Engine>(
        &self,
        sql: &mut Script<DB>,
        matches: impl FnOnce(&mut Script<DB>),
    ) {
        sql.push("h.history_id AS history_id, ");
        push_before(sql, self.table);
        sql.push(" AS k_before FROM ").table(self.table.history);
        sql.push(" AS h WHERE 1 = 1");
        matches(sql);
        for filter in self.filters {
            filter.push(sql, self.table);
        }
        self.push_after(sql);
        sql.push(" ORDER BY ");
        self.push_order(sql);
        push_limit(sql, self.page);
    }

    /// Whether the entries are those of one row each, so that their ids are their order.
    fn of_rows(&self) -> bool {
        self.page.by_id
            || matches!(
                self.groups,
                Some(GroupPart {
                    by: GroupBy::Key,
                    ..
                })
            )
    }

    fn push_order<DB: Engine>(&self, sql: &mut Script<DB>) {
        let direction = self.page.order.direction();
        if !self.of_rows() {
            sql.push("h.history_date").push(direction).push(", ");
        }
        sql.push("h.history_id").push(direction);
    }

    /// Writes what lies behind the cursor.
    fn push_after<DB: Engine>(&self, sql: &mut Script<DB>) {
        for (bound, compared) in [(self.page.beyond, " > "), (self.page.until, " <= ")] {
            if let Some(bound) = bound {
                sql.push(" AND h.history_id").push(compared);
                sql.bind(Bind::Integer(bound));
            }
        }
        let Some(after) = &self.page.after else {
            return;
        };
        let beyond = self.page.order.beyond();
        if self.of_rows() {
            sql.push(" AND h.history_id ").push(beyond).push(" ");
            sql.bind(Bind::Integer(after.id));
            return;
        }
        // Entries of one moment come in the order of their tables.
        let table = self.table.name();
        if table == after.table {
            let id = Bind::Integer(after.id);
            DB::push_beyond(sql, beyond, after.date, id);
            return;
        }
        let same_moment = match beyond {
            "<" => table < after.table.as_str(),
            _ => table > after.table.as_str(),
        };
        sql.push(" AND h.history_date ").push(beyond);
        sql.push(if same_moment { "= " } else { " " })
            .date(after.date);
    }
}

/// The columns that tell such groups.
pub(super) fn group_columns(table: &'static TrackedTable, by: GroupBy) -> Vec<GroupColumn> {
    match by {
        GroupBy::Key => {
            let columns = table.key_columns().into_iter();
            columns.map(GroupColumn::of).collect()
        }
        GroupBy::Column(name) => {
            let mut columns = table.columns.iter();
            let column = columns.find(|column| column.name == name);
            column.map(GroupColumn::of).into_iter().collect()
        }
        GroupBy::Task => vec![GroupColumn::text("history_task")],
    }
}

/// A column that tells groups.
pub(super) struct GroupColumn {
    name: &'static str,
    kind: ValueKind,
    /// One of Koherent's own, with text in it.
    own: bool,
}

impl GroupColumn {
    const fn of(column: &TrackedColumn) -> Self {
        Self {
            name: column.history_name,
            kind: column.kind,
            own: false,
        }
    }

    pub(super) const fn text(name: &'static str) -> Self {
        Self {
            name,
            kind: ValueKind::Text,
            own: true,
        }
    }
}

/// Writes a statement once per group: `k_group`, and what `one` writes with what it is given for the group's condition.
/// Where the engine can, that is one text however many groups there are.
pub(super) fn push_groups<DB: Engine>(
    sql: &mut Script<DB>,
    table: Name,
    columns: &[GroupColumn],
    groups: GroupPart<'_>,
    one: impl Fn(&mut Script<DB>, &dyn Fn(&mut Script<DB>)),
) {
    let push_is = |sql: &mut Script<DB>, column: &GroupColumn, given: Given| {
        match given {
            Given::Value(Bind::Text(text)) if column.own => {
                return DB::push_is_text(sql, "h", column.name, &text);
            }
            _ => sql.push("h.").identifier(column.name).push(" = "),
        };
        let (column, kind) = (column.name, column.kind);
        DB::push_given(sql, table, column, kind, given);
    };
    if DB::LATERAL {
        let rows = groups.values.iter();
        let rows = rows.map(|key| texts::<DB>(columns, key)).collect();
        sql.push(
            "SELECT CAST(k.ordinality - 1 AS text) AS k_group, r.* FROM json_array_elements(CAST(",
        );
        sql.text(serde_json::Value::Array(rows).to_string());
        sql.push(" AS json)) WITH ORDINALITY AS k(value, ordinality) CROSS JOIN LATERAL (SELECT ");
        one(sql, &|sql| {
            for (at, column) in columns.iter().enumerate() {
                sql.push(if at > 0 { " AND " } else { "" });
                push_is(sql, column, Given::Place(at));
            }
        });
        sql.push(") AS r");
        return;
    }
    sql.keep &= groups.values.len() < 2 && groups.first == 0;
    for (at, key) in groups.values.iter().enumerate() {
        sql.push(if at > 0 { " UNION ALL " } else { "" });
        let number = groups.first + at;
        sql.push("SELECT * FROM (SELECT '")
            .push(&number.to_string());
        sql.push("' AS k_group, ");
        one(sql, &|sql| push_values(sql, columns, key, &push_is));
        sql.push(") AS k").push(&at.to_string());
    }
}

/// Writes that the columns have these values.
fn push_values<DB: Engine>(
    sql: &mut Script<DB>,
    columns: &[GroupColumn],
    key: &RowKey,
    push_is: &dyn Fn(&mut Script<DB>, &GroupColumn, Given),
) {
    let values = key.values().iter().zip(columns);
    let values: Vec<_> = values
        .filter_map(|(value, column)| bind_of::<DB>(value, column.kind))
        .collect();
    if key.values().len() != columns.len() || values.len() != columns.len() {
        sql.push("1 = 0");
        return;
    }
    for (at, (value, column)) in values.into_iter().zip(columns).enumerate() {
        sql.push(if at > 0 { " AND " } else { "" });
        push_is(sql, column, Given::Value(value));
    }
}

/// The values of a key as a JSON array of texts, with null for those that no row can have.
fn texts<DB: Engine>(columns: &[GroupColumn], key: &RowKey) -> serde_json::Value {
    let is_key = key.values().len() == columns.len();
    let text = |(value, column): (&FieldValue, &GroupColumn)| {
        let bind = bind_of::<DB>(value, column.kind).filter(|_| is_key)?;
        Some(DB::bind_text(bind))
    };
    key.values().iter().zip(columns).map(text).collect()
}

/// Writes that an entry is of the row with that key.
pub(super) fn push_key<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    alias: &str,
    columns: &[&'static TrackedColumn],
    values: &[FieldValue],
) {
    let binds = values.iter().zip(columns);
    let binds: Vec<_> = binds
        .filter_map(|(value, column)| bind_of::<DB>(value, column.kind))
        .collect();
    if binds.len() != columns.len() || values.len() != columns.len() {
        sql.push("1 = 0");
        return;
    }
    for (at, (bind, column)) in binds.into_iter().zip(columns).enumerate() {
        sql.push(if at > 0 { " AND " } else { "" });
        sql.push(alias)
            .push(".")
            .identifier(column.history_name)
            .push(" = ");
        let given = Given::Value(bind);
        DB::push_given(sql, table.history, column.history_name, column.kind, given);
    }
}

/// Whether two keys are of one row, however they are written: `7` and `"7"`, say.
#[cfg(any(feature = "deadpool", feature = "bb8"))]
pub(crate) fn is_same_key(table: &'static TrackedTable, one: &RowKey, other: &RowKey) -> bool {
    let columns = table.key_columns();
    let is_same = |((one, other), column): ((&FieldValue, &FieldValue), &&TrackedColumn)| {
        let kind = column.kind;
        let (Some(one), Some(other)) = (canonical(one, kind), canonical(other, kind)) else {
            return false;
        };
        match (kind, &one, &other) {
            (ValueKind::Numeric | ValueKind::Float, Bind::Text(one), Bind::Text(other)) => {
                one.parse::<f64>().ok() == other.parse::<f64>().ok()
            }
            _ => one == other,
        }
    };
    let (one, other) = (one.values(), other.values());
    let are_whole = one.len() == columns.len() && other.len() == columns.len();
    are_whole && one.iter().zip(other).zip(&columns).all(is_same)
}

/// A value of a key as it is bound; `None` where no row can have it.
pub(super) fn bind_of<DB: Engine>(value: &FieldValue, kind: ValueKind) -> Option<Bind> {
    let bind = canonical(value, kind)?;
    let is_too_large = kind == ValueKind::Integer && matches!(bind, Bind::Text(_));
    (DB::UNSIGNED || !is_too_large).then_some(bind)
}

/// A value of a key in the form in which it is compared.
fn canonical(value: &FieldValue, kind: ValueKind) -> Option<Bind> {
    if value.json().is_null() {
        return None;
    }
    let text = value.text();
    match kind {
        ValueKind::Integer => match text.parse() {
            Ok(number) => Some(Bind::Integer(number)),
            Err(_) => text.parse::<u64>().is_ok().then_some(Bind::Text(text)),
        },
        // MariaDB takes the number that a text begins with.
        ValueKind::Numeric | ValueKind::Float => {
            let is_number = text.parse().is_ok_and(f64::is_finite);
            is_number.then_some(Bind::Text(text))
        }
        ValueKind::Bool => match text.as_str() {
            "true" | "1" => Some(Bind::Integer(1)),
            "false" | "0" => Some(Bind::Integer(0)),
            _ => None,
        },
        ValueKind::Binary => STANDARD.decode(text).ok().map(Bind::Bytes),
        // PostgreSQL takes none in any text.
        _ => (!text.contains('\0')).then_some(Bind::Text(text)),
    }
}

/// Writes the columns that an entry is read from, up to `FROM (`.
pub(super) fn push_columns<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    table_at: usize,
) {
    sql.push("SELECT '").push(&table_at.to_string());
    sql.push("', p.k_group, ");
    DB::push_own(sql, "h", "history_id");
    for column in ATTRIBUTION_COLUMNS {
        sql.push(", ");
        DB::push_own(sql, "h", column);
    }
    for column in TASK_COLUMNS {
        sql.push(", ");
        DB::push_own(sql, "t", column);
    }
    sql.push(", ");
    DB::push_own(sql, "b", "history_id");
    for alias in ["h", "b"] {
        for column in &table.columns {
            sql.push(", ");
            DB::push_kept(sql, alias, column);
        }
    }
    sql.push(" FROM (");
}

/// Writes what stands behind the page.
pub(super) fn push_joins<DB: Engine>(sql: &mut Script<DB>, table: &'static TrackedTable) {
    sql.push(") AS p JOIN ").table(table.history);
    sql.push(" AS h ON h.history_id = p.history_id LEFT JOIN koherent_task AS t ON t.task_id = h.history_task LEFT JOIN ");
    sql.table(table.history);
    sql.push(" AS b ON b.history_id = p.k_before");
}

/// Writes the id of the entry before `h`, of the same row. Only updates are compared with it.
pub(super) fn push_before<DB: Engine>(sql: &mut Script<DB>, table: &'static TrackedTable) {
    sql.push("CASE h.history_kind WHEN '~' THEN ");
    push_entry_before(sql, table);
    sql.push(" END");
}

pub(super) fn push_entry_before<DB: Engine>(sql: &mut Script<DB>, table: &'static TrackedTable) {
    sql.push("(SELECT max(q.history_id) FROM ")
        .table(table.history);
    sql.push(" AS q WHERE ");
    push_same_row(sql, table, "q", "h");
    sql.push(" AND q.history_id < h.history_id)");
}

/// Writes that two entries are of one row.
pub(super) fn push_same_row<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    one: &str,
    other: &str,
) {
    for (at, key) in table.key_in_history().enumerate() {
        sql.push(if at > 0 { " AND " } else { "" });
        sql.push(one).push(".").identifier(key).push(" = ");
        sql.push(other).push(".").identifier(key);
    }
}

/// Writes that the entry `h` gives a column another value than the one before it.
pub(super) fn push_field_changed<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    column: &TrackedColumn,
) {
    sql.push("(h.history_kind <> '~' AND h.");
    sql.identifier(column.history_name);
    sql.push(" IS NOT NULL OR h.history_kind = '~' AND EXISTS (SELECT 1 FROM ");
    sql.table(table.history);
    sql.push(" AS b WHERE b.history_id = ");
    push_entry_before(sql, table);
    sql.push(" AND ");
    DB::push_differs(sql, column);
    sql.push("))");
}

/// Writes how many, and from where on.
pub(super) fn push_limit<DB: Engine>(sql: &mut Script<DB>, page: &Page) {
    if let Some(limit) = page.limit {
        sql.push(" LIMIT ").bind(Bind::Integer(limit.into()));
    } else if page.offset > 0 {
        // No engine but PostgreSQL has an offset without a limit.
        sql.push(" LIMIT 9223372036854775807");
    }
    if page.offset > 0 {
        sql.push(" OFFSET ").bind(Bind::Integer(page.offset.into()));
    }
}
