//! The triggers of a guarded table, and arming them.
//!
//! SQLite's triggers can ask nothing but tables, so the open transaction says in `koherent_session` what it does. A function
//! of the connection would do as well, but then a database console, which has none, could change nothing at all and would
//! not say why.
//!
//! A delete is armed for the rows that have their entry, because a row may take others of its own table with it. `REPLACE`
//! deletes rows without running delete triggers; a guard remembers the rows that a new one meets, and looks which of them
//! are gone.
//!
//! What triggers of the application write as part of an audited statement is listed by key in `koherent_nested`; the statement
//! looks at those rows when it is done (`nested.rs`). Past a raw statement nobody looks, so there the trigger writes the entry
//! itself: what lies between the latest entry of the row and the row as it is, because a trigger may have changed it once more.

use diesel::SqliteConnection;
use diesel::sqlite::Sqlite;

use super::capture::{self, BEING_INSERTED};
use super::statement::{for_each_row, values};
use super::value::Value;
use super::work::{Job, Sql};
use crate::change::Change;
use crate::ddl::Text;
use crate::engine::Engine as _;
use crate::error::Error;
use crate::guard::{
    Event, Guard, Policy, append_only, push_deregistration, push_registration, refusal,
};
use crate::sql::Write as _;
use crate::stamp::{said, stamped};
use crate::table::{Name, TrackedTable};

pub(super) type Ddl = Text<'`'>;

/// Arms the guard of a table for the statement that follows, and says whose it is. It takes the write lock. Says whether
/// triggers of the application may change rows of the table once more.
pub(super) fn arm(
    connection: &mut SqliteConnection,
    job: &Job,
    transaction: uuid::Uuid,
) -> Result<bool, Error> {
    let table = job.table;
    let sign = match &job.change {
        Change::Insert { .. } | Change::Statement { upsert: false, .. } => '+',
        Change::Statement { .. } => '*',
        Change::Update { .. } => '~',
        Change::Delete { .. } => '-',
    };
    let mut sql = Sql::new();
    sql.push("UPDATE `koherent_session` SET `armed` = ")
        .bind(armed(sign, table));
    let attribution = said(&stamped(&job.recorder.attribution, transaction), None);
    sql.push(", `statement_attribution` = ").bind(attribution);
    if sign == '-' {
        sql.push(", `since` = (SELECT coalesce(max(`history_id`), 0) FROM ")
            .table(table.history);
        sql.push(")");
    }
    sql.push(", `watched` = ");
    push_watched(&mut sql, table, sign);
    sql.push(" RETURNING `watched`");
    let mut watched = None;
    for_each_row(connection, &sql, |row| {
        watched = Some(values(row, 0, 1)[..] == [Value::Integer(1)]);
        Ok::<_, diesel::result::Error>(())
    })
    .map_err(Error::GuardNotArmed)?;
    watched.ok_or(Error::GuardNotArmed(diesel::result::Error::NotFound))
}

/// Whether the application has triggers that may change rows of the table: its own, or those of a table that changes with it.
fn push_watched(sql: &mut Sql, table: &TrackedTable, sign: char) {
    let schema = |sql: &mut Sql| {
        if let Some(schema) = table.name.schema {
            sql.identifier(schema).push(".");
        }
    };
    sql.push("(EXISTS (SELECT 1 FROM ");
    schema(sql);
    sql.push("sqlite_schema WHERE ").push(IS_OWN_TRIGGER);
    sql.push(" AND tbl_name = ").bind(table.name.table);
    sql.push(" COLLATE NOCASE) OR EXISTS (SELECT 1 FROM sqlite_temp_schema WHERE ")
        .push(IS_OWN_TRIGGER);
    sql.push(" AND tbl_name = ").bind(table.name.table);
    sql.push(" COLLATE NOCASE)");
    if sign != '+' {
        sql.push(" OR EXISTS (SELECT 1 FROM sqlite_schema WHERE ")
            .push(IS_OWN_TRIGGER);
        sql.push(") AND EXISTS (SELECT 1 FROM sqlite_schema AS t JOIN pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table' AND f.\"table\" = ")
            .bind(table.name.table);
        sql.push(" COLLATE NOCASE AND (f.on_delete NOT IN ('NO ACTION', 'RESTRICT') OR f.on_update NOT IN ('NO ACTION', 'RESTRICT')))");
    }
    sql.push(") AND NOT EXISTS (SELECT 1 FROM koherent_pause)");
}

/// A trigger of the application, in a list of the schema.
const IS_OWN_TRIGGER: &str = "type = 'trigger' AND name NOT LIKE 'koherent\\_%' ESCAPE '\\'";

/// Nothing is armed any more. Says whether rows are listed in `koherent_nested`.
pub(super) fn disarm(connection: &mut SqliteConnection) -> Result<bool, Error> {
    let mut sql = Sql::new();
    sql.push(
        "UPDATE `koherent_session` SET `armed` = NULL, `statement_attribution` = NULL, `since` = NULL, `watched` = NULL \
         RETURNING EXISTS (SELECT 1 FROM `koherent_nested`)",
    );
    let mut are_listed = false;
    for_each_row(connection, &sql, |row| {
        are_listed = values(row, 0, 1)[..] == [Value::Integer(1)];
        Ok::<_, Error>(())
    })?;
    Ok(are_listed)
}

pub(super) fn armed(sign: char, table: &TrackedTable) -> String {
    format!("{sign} {}", table.name.table)
}

/// The statements that guard a table.
pub(super) fn guard(table: &TrackedTable, guard: &Guard) -> String {
    let mut sql = Text(String::new());
    let captures = guard.policy == Policy::Capture;
    let remembers = captures || !guard.unique.is_empty();
    if remembers {
        sql.push("CREATE TABLE ").identifier(&replaced(table.name));
        sql.push(" (")
            .identifiers("", remembered(table, guard.policy))
            .push(");\n");
        for event in REMEMBERING {
            push_remembering(&mut sql, table, guard, event);
        }
    }
    for event in Event::ALL {
        sql.push("CREATE TRIGGER ")
            .identifier(&trigger(table, event));
        sql.push(" AFTER ").push(event.name()).push(" ON ");
        sql.identifier(table.name.table).push("\nWHEN ");
        push_unarmed(&mut sql, table, event);
        sql.push("\nBEGIN\n");
        push_pause(&mut sql, table, event);
        push_listing(&mut sql, table, event, remembers);
        if captures {
            capture::push(&mut sql, table, event);
        } else {
            push_refusal(&mut sql, table, event);
        }
        sql.push("END;\n");
    }
    push_cascades(&mut sql, table);
    push_registration::<Sqlite, _>(&mut sql, table, guard);
    sql.0
}

/// Refuses what is not part of an audited statement, and what a foreign key deletes as part of one.
fn push_refusal(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    let message = format!("KO001: {}", refusal(event, table.name.table));
    sql.push("    SELECT RAISE(ABORT, ")
        .push(&Sqlite::literal(&message))
        .push(") FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw)");
    if event == Event::Delete {
        sql.push(" OR EXISTS (SELECT 1 FROM koherent_part) AND EXISTS (SELECT 1 FROM koherent_cascade WHERE tracked_table = ")
            .push(&Sqlite::literal(table.name.table))
            .push(")\n        AND NOT (armed = ")
            .push(&Sqlite::literal(&armed('-', table)))
            .push(" AND ");
        push_has_entry(sql, table);
        sql.push(")");
    }
    sql.push(";\n");
}

/// Lists the row as a part of the audited statement, and the rows that it took the place of.
fn push_listing(sql: &mut Ddl, table: &TrackedTable, event: Event, remembers: bool) {
    let insert = |sql: &mut Ddl, event: Event, row: &str| {
        push_nested(sql, table, event.name(), row);
    };
    if event != Event::Delete && remembers {
        insert(sql, Event::Delete, "g");
        sql.push(" FROM ").identifier(&replaced(table.name));
        sql.push(" AS g WHERE EXISTS (SELECT 1 FROM koherent_part) AND NOT EXISTS (SELECT 1 FROM ")
            .identifier(table.name.table)
            .push(" AS b WHERE ");
        push_same_key(sql, table, "b.", "g", Names::OfTable);
        sql.push(");\n");
    }
    if event != Event::Insert {
        insert(sql, event, "OLD");
        sql.push(" FROM koherent_part;\n");
    }
    if event != Event::Delete {
        insert(sql, event, "NEW");
        sql.push(" FROM koherent_part");
        if event == Event::Update {
            sql.push(" WHERE NOT (");
            push_same_key(sql, table, "NEW.", "OLD", Names::OfTable);
            sql.push(")");
        }
        sql.push(";\n");
    }
}

/// `INSERT INTO koherent_nested (…) SELECT 'samples', 'UPDATE', OLD.id`, to be followed by `FROM`.
fn push_nested(sql: &mut Ddl, table: &TrackedTable, event: &str, row: &str) {
    sql.push("    INSERT INTO koherent_nested (tracked_table, event");
    for at in 0..table.key.len() {
        sql.push(&format!(", key_{at}"));
    }
    sql.push(") SELECT ")
        .push(&Sqlite::literal(table.name.table))
        .push(", '")
        .push(event)
        .push("', ")
        .identifiers(&format!("{row}."), table.key.iter().copied());
}

/// Registers the foreign keys that delete rows of the table.
fn push_cascades(sql: &mut Ddl, table: &TrackedTable) {
    let name = Sqlite::literal(table.name.table);
    sql.push("DELETE FROM koherent_cascade WHERE tracked_table = ")
        .push(&name)
        .push(";\nINSERT INTO koherent_cascade SELECT DISTINCT ")
        .push(&name)
        .push(", \"table\" FROM pragma_foreign_key_list(")
        .push(&name)
        .push(") WHERE on_delete = 'CASCADE';\n");
}

/// The statements that take the guard away.
pub(super) fn unguard(table: &TrackedTable) -> String {
    let mut sql: Ddl = Text(String::new());
    for event in Event::ALL {
        sql.push("DROP TRIGGER IF EXISTS ")
            .identifier(&trigger(table, event))
            .push(";\n");
    }
    for event in REMEMBERING {
        sql.push("DROP TRIGGER IF EXISTS ")
            .identifier(&remembering(table, event))
            .push(";\n");
    }
    sql.push("DROP TABLE IF EXISTS ")
        .identifier(&replaced(table.name))
        .push(";\n");
    sql.push("DELETE FROM koherent_cascade WHERE tracked_table = ")
        .push(&Sqlite::literal(table.name.table))
        .push("; ");
    push_deregistration::<Sqlite, _>(&mut sql, table);
    sql.0
}

/// The triggers that keep a history table from being changed.
pub(super) fn push_append_only(sql: &mut Ddl, table: &TrackedTable) {
    let history = table.history.table;
    for event in [Event::Update, Event::Delete, Event::Insert] {
        sql.push("CREATE TRIGGER ");
        if let Some(schema) = table.history.schema {
            sql.identifier(schema).push(".");
        }
        sql.identifier(&append_only_trigger(table, event))
            .push(" BEFORE ")
            .push(event.name())
            .push(" ON ")
            .identifier(history);
        let message = match event {
            Event::Update => append_only(event, history),
            Event::Delete => {
                sql.push(
                    "\nWHEN NOT EXISTS (SELECT 1 FROM koherent_session AS s JOIN koherent_operation AS o ON o.operation_transaction = s.operation \
                     WHERE o.operation = 'prune' AND o.tracked_table = ",
                )
                .push(&Sqlite::literal(&table.name.to_string()))
                .push(")");
                append_only(event, history)
            }
            // `INSERT OR REPLACE`.
            Event::Insert => {
                sql.push("\nWHEN NEW.history_id > 0 AND EXISTS (SELECT 1 FROM ")
                    .identifier(history);
                sql.push(" WHERE history_id = NEW.history_id)");
                format!("INSERT of {history} refused: there is an entry of that number already")
            }
        };
        sql.push("\nBEGIN\n    SELECT RAISE(ABORT, ")
            .push(&Sqlite::literal(&format!("KO002: {message}")))
            .push(");\nEND;\n");
    }
}

/// What a guard that captures remembers rows before.
const REMEMBERING: [Event; 2] = [Event::Insert, Event::Update];

/// What a guard is made of.
pub(super) fn parts(table: &TrackedTable, policy: Policy) -> Vec<String> {
    let mut parts: Vec<_> = Event::ALL
        .into_iter()
        .map(|event| trigger(table, event))
        .collect();
    if policy == Policy::Capture {
        parts.extend(REMEMBERING.map(|event| remembering(table, event)));
        parts.push(replaced(table.name));
    }
    parts
}

/// The triggers of a history table.
pub(super) fn append_only_parts(table: &TrackedTable) -> Vec<String> {
    Event::ALL
        .into_iter()
        .map(|event| append_only_trigger(table, event))
        .collect()
}

fn append_only_trigger(table: &TrackedTable, event: Event) -> String {
    format!(
        "koherent_append_only_{}_{}",
        table.history.table,
        event.lower()
    )
}

fn trigger(table: &TrackedTable, event: Event) -> String {
    format!("koherent_guard_{}_{}", table.name.table, event.lower())
}

fn remembering(table: &TrackedTable, event: Event) -> String {
    format!("koherent_remember_{}_{}", table.name.table, event.lower())
}

/// The columns in which rows are remembered that a new one meets: those whose values an entry needs.
fn remembered(table: &TrackedTable, policy: Policy) -> Vec<&'static str> {
    match policy {
        Policy::Capture => kept(table).collect(),
        Policy::Refuse => table.key.clone(),
    }
}

/// The table of the rows that a new one meets.
pub(super) fn replaced(table: Name) -> String {
    format!("koherent_replaced_{}", table.table)
}

pub(super) fn kept(table: &TrackedTable) -> impl Iterator<Item = &'static str> {
    table.columns.iter().map(|column| column.name)
}

/// `NOT EXISTS (SELECT 1 FROM koherent_session WHERE …)`.
fn push_unarmed(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    let signs: &[char] = match event {
        Event::Insert => &['+', '*'],
        Event::Update => &['~', '*'],
        Event::Delete => &['-'],
    };
    sql.push("NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN (");
    for (at, sign) in signs.iter().enumerate() {
        sql.push(if at > 0 { ", " } else { "" })
            .push(&Sqlite::literal(&armed(*sign, table)));
    }
    sql.push(") AND watched IS NOT 1");
    if event == Event::Delete {
        sql.push(" AND ");
        push_has_entry(sql, table);
    }
    sql.push(")");
}

/// The deleted row has its entry, which an audited delete writes before.
fn push_has_entry(sql: &mut Ddl, table: &TrackedTable) {
    sql.push("EXISTS (SELECT 1 FROM ")
        .identifier(table.history.table);
    sql.push(" WHERE ");
    push_same_key(sql, table, "", "OLD", Names::OfHistory);
    sql.push(" AND history_id > since AND history_kind = '-')");
}

/// Counts the row, where there is a pause.
fn push_pause(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    let name = Sqlite::literal(table.name.table);
    sql.push(
        "    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, \
         operation_task, operation_transaction, operation_reason, operation_context, tracked_table)\n    \
         SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, \
         operation_transaction, operation_reason, operation_context, ",
    )
    .push(&name)
    .push(" FROM koherent_pause AS p\n    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = ")
    .push(&name)
    .push(");\n");
    let column = match event {
        Event::Insert => "created_rows",
        Event::Update => "updated_rows",
        Event::Delete => "deleted_rows",
    };
    sql.push("    UPDATE koherent_operation SET ")
        .push(column)
        .push(" = ")
        .push(column)
        .push(" + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = ")
        .push(&name)
        .push(";\n");
}

/// Remembers the rows that a new or changed one meets.
fn push_remembering(sql: &mut Ddl, table: &TrackedTable, guard: &Guard, event: Event) {
    sql.push("CREATE TRIGGER ")
        .identifier(&remembering(table, event))
        .push(" BEFORE ")
        .push(event.name())
        .push(" ON ")
        .identifier(table.name.table);
    sql.push("\nWHEN ");
    push_unarmed(sql, table, event);
    if guard.policy == Policy::Refuse {
        sql.push(" AND EXISTS (SELECT 1 FROM koherent_part)");
    }
    sql.push("\nBEGIN\n    DELETE FROM ")
        .identifier(&replaced(table.name))
        .push(";\n");
    if guard.policy == Policy::Capture && event == Event::Insert {
        push_nested(sql, table, BEING_INSERTED, "NEW");
        sql.push(" FROM koherent_raw;\n");
    }
    sql.push("    INSERT INTO ");
    sql.identifier(&replaced(table.name)).push(" SELECT ");
    sql.identifiers("b.", remembered(table, guard.policy))
        .push(" FROM ");
    sql.identifier(table.name.table).push(" AS b WHERE (");
    for (at, key) in table.key.iter().enumerate() {
        sql.push(if at > 0 { " AND " } else { "(" })
            .push("b.")
            .identifier(key);
        sql.push(" = NEW.").identifier(key);
    }
    for unique in &guard.unique {
        sql.push(") OR (");
        for (at, column) in unique.iter().enumerate() {
            sql.push(if at > 0 { " AND " } else { "" })
                .push("b.")
                .identifier(&column.name);
            sql.push(" = NEW.").identifier(&column.name);
            if let Some(collation) = &column.collation {
                sql.push(" COLLATE ").identifier(collation);
            }
        }
    }
    sql.push("))");
    if event == Event::Update {
        sql.push(" AND NOT (");
        push_same_key(sql, table, "b.", "OLD", Names::OfTable);
        sql.push(")");
    }
    sql.push(";\nEND;\n");
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    OfTable,
    OfHistory,
}

/// `prefix.id IS row.id AND …`.
pub(super) fn push_same_key(
    sql: &mut Ddl,
    table: &TrackedTable,
    prefix: &str,
    row: &str,
    names: Names,
) {
    for (at, key) in table.key.iter().enumerate() {
        let here = match names {
            Names::OfTable => key,
            Names::OfHistory => table.history_name_of(key),
        };
        sql.push(if at > 0 { " AND " } else { "" })
            .push(prefix)
            .identifier(here);
        // Byte by byte, whatever the collation: `a` and `A` have histories of their own.
        sql.push(" COLLATE BINARY IS ")
            .push(row)
            .push(".")
            .identifier(key);
    }
}
