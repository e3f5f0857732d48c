//! What a guard that captures writes for a raw statement: the entry that lies between the latest entry of a row and the row.
//!
//! A trigger of the application may have changed the row once more before the guard's trigger runs, or another row; which of the
//! two runs first, SQLite does not promise. So an entry takes its values from the row as it is, where it is still there, and
//! is left out where the latest entry has them already.

use diesel::sqlite::Sqlite;

use super::guard::{Ddl, Names, armed, kept, push_same_key, replaced};
use crate::ddl::Text;
use crate::engine::Engine as _;
use crate::guard::Event;
use crate::schema::ATTRIBUTION_COLUMNS;
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// The event under which `koherent_nested` lists rows that are being inserted by a raw statement.
pub(super) const BEING_INSERTED: &str = "BEFORE";

/// Writes the statements of the trigger of one event.
pub(super) fn push(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    sql.push(
        "    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session \
         WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);\n",
    );
    match event {
        Event::Insert => {
            push_vanished(sql, table, event);
            push_present(sql, table, event, "NOT", "1 = 1");
            push_inserted(sql, table);
        }
        Event::Update => {
            push_vanished(sql, table, event);
            push_moved_away(sql, table);
            let mut changed: Ddl = Text(String::new());
            changed.push("(NOT (");
            push_same_key(&mut changed, table, "NEW.", "OLD", Names::OfTable);
            changed.push(") OR ");
            push_differs(&mut changed, table, ("OLD", Names::OfTable), "NEW");
            changed.push(")");
            let mut same: Ddl = Text(String::new());
            push_same_key(&mut same, table, "NEW.", "OLD", Names::OfTable);
            let moved = format!("NOT ({})", same.0);
            push_present(sql, table, event, &moved, &changed.0);
        }
        Event::Delete => push_deleted(sql, table),
    }
    sql.push("    DELETE FROM ")
        .identifier(&replaced(table.name));
    if event == Event::Delete {
        // With `recursive_triggers`, a row that is replaced is deleted as every other: it is told of already.
        sql.push(" WHERE ");
        push_same_key(sql, table, "", "OLD", Names::OfTable);
    }
    sql.push(";\n");
}

/// Writes the entry of a row that is there under the key of `NEW`. Without an entry before, it came to be, unless it took the
/// place of another, or the key stays and nothing says that it is being inserted.
fn push_present(sql: &mut Ddl, table: &TrackedTable, event: Event, is_new: &str, changed: &str) {
    let is_new = if event == Event::Insert {
        "1 = 1"
    } else {
        is_new
    };
    let mut met: Ddl = Text(String::new());
    push_met(&mut met, table);
    let mut kind: Ddl = Text(String::new());
    kind.push(
        "CASE WHEN h.history_kind = '-' THEN '+' WHEN h.history_kind IS NOT NULL THEN '~' WHEN ",
    )
    .push(is_new)
    .push(" THEN CASE WHEN ")
    .push(&met.0)
    .push(" THEN '~' ELSE '+' END WHEN ");
    push_being_inserted(&mut kind, table, "NEW");
    kind.push(" THEN '+' ELSE '~' END");
    push_insert(sql, table);
    sql.push("SELECT ").identifiers("x.", kept(table));
    push_stamp(sql, table, event, &kind.0, "x");
    sql.push(" FROM koherent_said AS s JOIN ")
        .identifier(table.name.table)
        .push(" AS x ON ");
    push_same_key(sql, table, "x.", "NEW", Names::OfTable);
    push_latest(sql, table, "NEW");
    sql.push("\n    WHERE EXISTS (SELECT 1 FROM koherent_raw) AND ")
        .push(changed)
        .push(" AND CASE WHEN h.history_kind = '-' THEN 1 WHEN h.history_kind IS NOT NULL THEN ");
    push_differs(sql, table, ("h", Names::OfHistory), "x");
    sql.push(" ELSE NOT (").push(is_new).push(") OR NOT ");
    sql.push(&met.0).push(" OR EXISTS (SELECT 1 FROM ");
    sql.identifier(&replaced(table.name)).push(" AS r WHERE ");
    push_same_key(sql, table, "r.", "NEW", Names::OfTable);
    sql.push(" AND ");
    push_differs(sql, table, ("r", Names::OfTable), "x");
    sql.push(") END;\n");
}

/// Writes the entries of the rows that the new one took the place of.
fn push_vanished(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    push_insert(sql, table);
    sql.push("SELECT ").identifiers("g.", kept(table));
    push_stamp(sql, table, event, "'-'", "g");
    sql.push(" FROM koherent_said AS s JOIN ")
        .identifier(&replaced(table.name))
        .push(" AS g");
    push_latest(sql, table, "g");
    sql.push("\n    WHERE EXISTS (SELECT 1 FROM koherent_raw) AND h.history_kind IS NOT '-' AND ");
    push_gone(sql, table, "g");
    sql.push(";\n");
}

/// Writes the entry of a row that an update moved to another key.
fn push_moved_away(sql: &mut Ddl, table: &TrackedTable) {
    push_insert(sql, table);
    sql.push("SELECT ").identifiers("OLD.", kept(table));
    push_stamp(sql, table, Event::Update, "'-'", "OLD");
    sql.push(" FROM koherent_said AS s");
    push_latest(sql, table, "OLD");
    sql.push(
        "\n    WHERE EXISTS (SELECT 1 FROM koherent_raw) AND h.history_kind IS NOT '-' AND NOT (",
    );
    push_same_key(sql, table, "NEW.", "OLD", Names::OfTable);
    sql.push(") AND ");
    push_gone(sql, table, "OLD");
    sql.push(";\n");
}

/// Writes the entry of a row that is gone, for a raw statement and as part of an audited one, because its values are gone with
/// it. One that the same statement inserted has an entry of that as well; as part of an audited statement, it leaves nothing.
fn push_deleted(sql: &mut Ddl, table: &TrackedTable) {
    for kind in ["'+'", "'-'"] {
        push_insert(sql, table);
        sql.push("SELECT ").identifiers("OLD.", kept(table));
        push_stamp(sql, table, Event::Delete, kind, "OLD");
        sql.push(" FROM koherent_said AS s");
        push_latest(sql, table, "OLD");
        sql.push("\n    WHERE ");
        if kind == "'+'" {
            sql.push("EXISTS (SELECT 1 FROM koherent_raw) AND h.history_kind IS NULL AND ");
            push_being_inserted(sql, table, "OLD");
        } else {
            sql.push("NOT EXISTS (SELECT 1 FROM koherent_pause) AND h.history_kind IS NOT '-' AND NOT (h.history_kind IS NULL AND EXISTS (SELECT 1 FROM koherent_part WHERE armed IN (")
                .push(&Sqlite::literal(&armed('+', table)))
                .push(", ")
                .push(&Sqlite::literal(&armed('*', table)))
                .push(")) OR h.history_kind IS NULL AND ");
            push_was_inserted(sql, table);
            sql.push(")");
        }
        sql.push(" AND ");
        push_gone(sql, table, "OLD");
        sql.push(";\n");
    }
}

/// A trigger inserted the row, as part of the audited statement that runs.
fn push_was_inserted(sql: &mut Ddl, table: &TrackedTable) {
    sql.push("EXISTS (SELECT 1 FROM koherent_nested WHERE tracked_table = ")
        .push(&Sqlite::literal(table.name.table))
        .push(" AND event = 'INSERT'");
    for (at, key) in table.key.iter().enumerate() {
        sql.push(&format!(" AND key_{at} IS OLD.")).identifier(key);
    }
    sql.push(")");
}

/// The row that was being inserted is there: it is so no more.
fn push_inserted(sql: &mut Ddl, table: &TrackedTable) {
    let listed = format!(
        "tracked_table = {} AND event = '{BEING_INSERTED}'",
        Sqlite::literal(table.name.table)
    );
    sql.push("    DELETE FROM koherent_nested WHERE ")
        .push(&listed)
        .push(" AND nested_id >= (SELECT max(nested_id) FROM koherent_nested WHERE ")
        .push(&listed)
        .push(" AND ");
    push_listed_key(sql, table, "NEW");
    sql.push(");\n");
}

/// A row of that key is being inserted by the statement around this one.
fn push_being_inserted(sql: &mut Ddl, table: &TrackedTable, row: &str) {
    sql.push("EXISTS (SELECT 1 FROM koherent_nested WHERE tracked_table = ")
        .push(&Sqlite::literal(table.name.table))
        .push(&format!(" AND event = '{BEING_INSERTED}' AND "));
    push_listed_key(sql, table, row);
    sql.push(")");
}

/// The key that is listed is that of the row. A key that SQLite makes itself is -1 before the row is there.
fn push_listed_key(sql: &mut Ddl, table: &TrackedTable, row: &str) {
    sql.push("(");
    for (at, key) in table.key.iter().enumerate() {
        sql.push(if at > 0 { " AND " } else { "" });
        sql.push(&format!("key_{at} IS {row}.")).identifier(key);
    }
    if table.key.len() == 1 {
        sql.push(" OR key_0 = -1 OR key_0 IS NULL");
    }
    sql.push(")");
}

/// The row took the place of another of the same key.
fn push_met(sql: &mut Ddl, table: &TrackedTable) {
    sql.push("EXISTS (SELECT 1 FROM ")
        .identifier(&replaced(table.name))
        .push(" AS r WHERE ");
    push_same_key(sql, table, "r.", "NEW", Names::OfTable);
    sql.push(")");
}

/// There is no row of that key.
fn push_gone(sql: &mut Ddl, table: &TrackedTable, row: &str) {
    sql.push("NOT EXISTS (SELECT 1 FROM ")
        .identifier(table.name.table)
        .push(" AS b WHERE ");
    push_same_key(sql, table, "b.", row, Names::OfTable);
    sql.push(")");
}

/// ` LEFT JOIN history AS h`: the latest entry of the row.
fn push_latest(sql: &mut Ddl, table: &TrackedTable, row: &str) {
    sql.push("\n    LEFT JOIN ")
        .identifier(table.history.table)
        .push(" AS h ON h.history_id = (SELECT max(history_id) FROM ")
        .identifier(table.history.table)
        .push(" WHERE ");
    push_same_key(sql, table, "", row, Names::OfHistory);
    sql.push(")");
}

/// Some kept column is not what it was. `1` and `1.0` are equal, and yet not the same.
fn push_differs(sql: &mut Ddl, table: &TrackedTable, (was, names): (&str, Names), is: &str) {
    sql.push("(");
    for (at, column) in table.columns.iter().enumerate() {
        let before = match names {
            Names::OfTable => column.name,
            Names::OfHistory => column.history_name,
        };
        sql.push(if at > 0 { " OR " } else { "" })
            .push(was)
            .push(".")
            .identifier(before);
        sql.push(" IS NOT ")
            .push(is)
            .push(".")
            .identifier(column.name)
            .push(" COLLATE BINARY OR typeof(");
        sql.push(was).push(".").identifier(before);
        sql.push(") <> typeof(")
            .push(is)
            .push(".")
            .identifier(column.name)
            .push(")");
    }
    sql.push(")");
}

fn push_insert(sql: &mut Ddl, table: &TrackedTable) {
    let names = table.columns.iter().map(|column| column.history_name);
    sql.push("    INSERT INTO ")
        .identifier(table.history.table)
        .push(" (")
        .identifiers("", names.chain(ATTRIBUTION_COLUMNS))
        .push(")\n    ");
}

/// `, kind, date, user, …`. The clock of SQL has milliseconds only, so the date is not before that of the last entry.
fn push_stamp(sql: &mut Ddl, table: &TrackedTable, event: Event, kind: &str, row: &str) {
    sql.push(", ")
        .push(kind)
        .push(", max(s.now, coalesce((SELECT h.history_date FROM ")
        .identifier(table.history.table)
        .push(" AS h WHERE ");
    push_same_key(sql, table, "h.", row, Names::OfHistory);
    sql.push(
        " ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, \
         json_set(s.context, '$.captured', '",
    )
    .push(event.name())
    .push("')");
}
