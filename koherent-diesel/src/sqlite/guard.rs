//! The triggers of a guarded table, and arming them.
//!
//! SQLite's triggers can ask nothing but tables, so the open transaction says in `koherent_session` what it does. A function
//! of the connection would do as well, but then a database console, which has none, could change nothing at all and would
//! not say why.
//!
//! A delete is armed for the rows that have their entry, because a row may take others of its own table with it. `REPLACE`
//! deletes rows without running delete triggers; a guard that captures remembers the rows that a new one meets, and looks
//! which of them are gone.

use diesel::SqliteConnection;
use diesel::sqlite::Sqlite;

use super::statement::execute;
use super::work::{Job, Sql};
use crate::change::Change;
use crate::ddl::Text;
use crate::engine::Engine as _;
use crate::error::Error;
use crate::guard::{
    Event, Guard, Policy, append_only, push_deregistration, push_registration, refusal,
};
use crate::schema::ATTRIBUTION_COLUMNS;
use crate::sql::Write as _;
use crate::stamp::{said, stamped};
use crate::table::{Name, TrackedTable};

type Ddl = Text<'`'>;

/// Arms the guard of a table for the statement that follows, and says whose it is. It takes the write lock.
pub(super) fn arm(
    connection: &mut SqliteConnection,
    job: &Job,
    transaction: uuid::Uuid,
) -> Result<(), Error> {
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
    match execute(connection, &sql).map_err(Error::GuardNotArmed)? {
        1 => Ok(()),
        _ => Err(Error::GuardNotArmed(diesel::result::Error::NotFound)),
    }
}

/// Nothing is armed any more.
pub(super) fn disarm(connection: &mut SqliteConnection) -> Result<(), Error> {
    let mut sql = Sql::new();
    sql.push(
        "UPDATE `koherent_session` SET `armed` = NULL, `statement_attribution` = NULL, `since` = NULL",
    );
    execute(connection, &sql)?;
    Ok(())
}

fn armed(sign: char, table: &TrackedTable) -> String {
    format!("{sign} {}", table.name.table)
}

/// The statements that guard a table.
pub(super) fn guard(table: &TrackedTable, guard: &Guard) -> String {
    let mut sql = Text(String::new());
    let captures = guard.policy == Policy::Capture;
    if captures {
        sql.push("CREATE TABLE ").identifier(&replaced(table.name));
        sql.push(" (").identifiers("", kept(table)).push(");\n");
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
        if captures {
            push_capture(&mut sql, table, event);
        } else {
            let message = format!("KO001: {}", refusal(event, table.name.table));
            sql.push("    SELECT RAISE(ABORT, ")
                .push(&Sqlite::literal(&message))
                .push(") WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);\n");
        }
        sql.push("END;\n");
    }
    push_registration::<Sqlite, _>(&mut sql, table, guard);
    sql.0
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

/// The table of the rows that a new one meets.
pub(super) fn replaced(table: Name) -> String {
    format!("koherent_replaced_{}", table.table)
}

fn kept(table: &TrackedTable) -> impl Iterator<Item = &'static str> {
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
    sql.push(")");
    if event == Event::Delete {
        sql.push(" AND EXISTS (SELECT 1 FROM ")
            .identifier(table.history.table);
        sql.push(" WHERE ");
        push_same_key(sql, table, "", "OLD", Names::OfHistory);
        sql.push(" AND history_id > since AND history_kind = '-')");
    }
    sql.push(")");
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
    sql.push("\nBEGIN\n    DELETE FROM ")
        .identifier(&replaced(table.name))
        .push(";\n    INSERT INTO ");
    sql.identifier(&replaced(table.name)).push(" SELECT ");
    sql.identifiers("b.", kept(table)).push(" FROM ");
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

/// Writes the entries of a row.
fn push_capture(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    sql.push(
        "    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session \
         WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);\n",
    );
    let met = |sql: &mut Ddl, is: &str| {
        sql.push(is).push(" (SELECT 1 FROM ");
        sql.identifier(&replaced(table.name)).push(" AS r WHERE ");
        push_same_key(sql, table, "r.", "NEW", Names::OfTable);
        sql.push(")");
    };
    match event {
        Event::Insert => {
            push_vanished(sql, table, event);
            push_entry(sql, table, event, "'+'", "NEW", |sql| {
                met(sql, "NOT EXISTS")
            });
            push_entry(sql, table, event, "'~'", "NEW", |sql| {
                push_met_and_changed(sql, table);
            });
        }
        Event::Update => {
            push_vanished(sql, table, event);
            let moved = |sql: &mut Ddl| {
                sql.push("NOT (");
                push_same_key(sql, table, "NEW.", "OLD", Names::OfTable);
                sql.push(")");
            };
            push_entry(sql, table, event, "'-'", "OLD", moved);
            push_entry(sql, table, event, "'+'", "NEW", |sql| {
                moved(sql);
                met(sql, " AND NOT EXISTS");
            });
            push_entry(sql, table, event, "'~'", "NEW", |sql| {
                moved(sql);
                sql.push(" AND ");
                push_met_and_changed(sql, table);
            });
            push_entry(sql, table, event, "'~'", "NEW", |sql| {
                push_same_key(sql, table, "NEW.", "OLD", Names::OfTable);
                sql.push(" AND (");
                push_differs(sql, table, "OLD");
                sql.push(")");
            });
        }
        Event::Delete => push_entry(sql, table, event, "'-'", "OLD", |sql| {
            sql.push("1");
        }),
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

/// The row took the place of another of the same key, which had other values.
fn push_met_and_changed(sql: &mut Ddl, table: &TrackedTable) {
    sql.push("EXISTS (SELECT 1 FROM ")
        .identifier(&replaced(table.name))
        .push(" AS r WHERE ");
    push_same_key(sql, table, "r.", "NEW", Names::OfTable);
    sql.push(" AND (");
    push_differs(sql, table, "r");
    sql.push("))");
}

/// Some kept column of `NEW` is not what it was. `1` and `1.0` are equal, and yet not the same.
fn push_differs(sql: &mut Ddl, table: &TrackedTable, was: &str) {
    for (at, column) in kept(table).enumerate() {
        sql.push(if at > 0 { " OR " } else { "" })
            .push(was)
            .push(".")
            .identifier(column);
        sql.push(" IS NOT NEW.")
            .identifier(column)
            .push(" COLLATE BINARY OR typeof(");
        sql.push(was).push(".").identifier(column);
        sql.push(") <> typeof(NEW.").identifier(column).push(")");
    }
}

/// Writes an entry with the values of `row` where the condition holds.
fn push_entry(
    sql: &mut Ddl,
    table: &TrackedTable,
    event: Event,
    kind: &str,
    row: &str,
    condition: impl FnOnce(&mut Ddl),
) {
    push_insert(sql, table);
    sql.push("SELECT ")
        .identifiers(&format!("{row}."), kept(table));
    push_stamp(sql, table, event, kind, row);
    sql.push(" FROM koherent_said AS s\n    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND ");
    condition(sql);
    sql.push(";\n");
}

/// Writes the entries of the rows that the new one met, and that are gone.
fn push_vanished(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    push_insert(sql, table);
    sql.push("SELECT ").identifiers("g.", kept(table));
    push_stamp(sql, table, event, "'-'", "g");
    sql.push(" FROM koherent_said AS s JOIN ")
        .identifier(&replaced(table.name))
        .push(" AS g\n    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT EXISTS (SELECT 1 FROM ")
        .identifier(table.name.table)
        .push(" AS b WHERE ");
    push_same_key(sql, table, "b.", "g", Names::OfTable);
    sql.push(");\n");
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    OfTable,
    OfHistory,
}

/// `prefix.id IS row.id AND …`.
fn push_same_key(sql: &mut Ddl, table: &TrackedTable, prefix: &str, row: &str, names: Names) {
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
