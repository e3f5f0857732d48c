//! The triggers of a guarded table, and arming them.
//!
//! Triggers here run per row, and see session variables:
//!
//! | variable | says |
//! | --- | --- |
//! | `@koherent_armed` | which guard is armed: `*` (insert or update) or `-` (delete), and the table |
//! | `@koherent_left` | how many more rows a delete may take |
//! | `@koherent_armed_at` | when the delete was armed: a clock that has not moved since stands still |
//! | `@koherent_at` | when the delete began that took the last of them |
//! | `@koherent_statement` | whose insert or update it is |
//! | `@koherent_deletion` | whose delete it is |
//! | `@koherent_attribution`, `@koherent_operation` | whose transaction, and which recorded operation is running |
//!
//! They are set together with the begin. The insert of the history rows, which comes behind a change, clears them; before a
//! delete it says how many rows may go. So neither costs a round trip. A trigger cannot change the table that it stands on,
//! so nothing else can run under what is armed. Cascades run no triggers here: the check reports them.
//!
//! A trigger of the application may write to other tables meanwhile, and that is *part of the audited statement*: as long as an insert
//! or update is armed; while a delete may take rows; and in the statement that took the last, for triggers behind ours. Nothing disarms
//! after a delete, that would be a round trip more, so what it leaves behind is told from it by its time: `NOW(6)` in a
//! trigger is the begin of the statement on top, which no two statements of a session share
//! ([`NOW`](https://mariadb.com/kb/en/now/)). Where a session stops its clock (`SET timestamp`), the time is not believed.
//!
//! `TRUNCATE` runs no triggers either, but it is refused for a table that another refers to, and the name of that constraint
//! is all that can be said. So each guarded table, and each history table, has a companion that stays empty.

use diesel::mysql::Mysql;

use super::work::{Job, Sql};
use crate::change::Change;
use crate::ddl::Text;
use crate::engine::Engine as _;
use crate::guard::{
    Event, Guard, Policy, append_only, push_deregistration, push_registration, refusal,
    trigger_refusal,
};
use crate::schema::ATTRIBUTION_COLUMNS;
use crate::sql::Write as _;
use crate::stamp::{said, stamped, task_row};
use crate::table::{Name, TrackedTable};

type Ddl = Text<'`'>;

/// Arms the guard of a table for the change that follows, and says whose it is.
pub(super) fn arm(job: &Job) -> String {
    let table = job.table;
    match &job.change {
        Change::Delete { .. } => format!(
            "SET @koherent_armed = {}, @koherent_left = 0, @koherent_armed_at = NOW(6), @koherent_deletion = {}",
            armed('-', table),
            attribution(job)
        ),
        _ => format!(
            "SET @koherent_armed = {}, @koherent_statement = {}",
            armed('*', table),
            attribution(job)
        ),
    }
}

/// Whose statement it is. With the task's row where that may not be there: a trigger may be all that writes an entry.
fn attribution(job: &Job) -> String {
    let recorder = &job.recorder;
    let stamped = stamped(&recorder.attribution, recorder.transaction());
    // A row that another agent wrote is another description to the server.
    let unknown = recorder.unknown_task().filter(|_| !recorder.hands_over);
    let row = unknown.map(|task| task_row(task, recorder.attribution.organization()));
    Mysql::literal(&said(&stamped, row.as_ref()))
}

/// Nothing is armed any more.
pub(super) const DISARM: &str =
    "SET @koherent_armed = NULL, @koherent_statement = NULL, @koherent_deletion = NULL";

/// Whether a write is part of an audited statement; `koherent_stamp` asks the same.
const IS_PART: &str = "LEFT(@koherent_armed, 1) = '*' OR LEFT(@koherent_armed, 1) = '-' AND (@koherent_left > 0 OR @koherent_at <=> NOW(6))";

/// The date of an entry. On the way it disarms, or lets so many rows go.
pub(super) fn date(deletes: Option<usize>) -> Sql {
    let mut sql = Sql::new();
    match deletes {
        None => {
            sql.push("IF((@koherent_armed := (@koherent_statement := NULL)) IS NULL, UTC_TIMESTAMP(6), NULL)");
        }
        Some(rows) => {
            sql.push("IF((@koherent_left := ")
                .bind(rows as u64)
                .push(") IS NULL, NULL, UTC_TIMESTAMP(6))");
        }
    }
    sql
}

fn armed(sign: char, table: &TrackedTable) -> String {
    // Bytes, so that `Samples` is not `samples`.
    let literal = Mysql::literal(&format!("{sign} {}", table.name));
    literal.trim_start_matches("_utf8mb4 ").to_owned()
}

/// The statements that guard a table.
pub(super) fn guard(table: &TrackedTable, guard: &Guard) -> String {
    let mut sql = Text(String::new());
    for event in Event::ALL {
        sql.push("CREATE TRIGGER ");
        push_in_schema(&mut sql, table.name, &trigger(table, event))
            .push(" AFTER ")
            .push(event.name())
            .push(" ON ")
            .table(table.name);
        push_body(&mut sql, table, guard, event);
    }
    push_companion(
        &mut sql,
        table.name,
        &table.key,
        &format!(
            "TRUNCATE of {} refused: use audited_delete",
            table.name.table
        ),
    );
    push_registration::<Mysql, _>(&mut sql, table, guard);
    if guard.captures_triggers {
        push_captures_triggers(&mut sql, table);
    }
    sql.0
}

/// Says in the registration that the guard captures what triggers write.
fn push_captures_triggers(sql: &mut Ddl, table: &TrackedTable) {
    sql.push("UPDATE koherent_table SET captures_triggers = TRUE WHERE tracked_schema = ")
        .push(&Mysql::literal(table.name.schema.unwrap_or_default()))
        .push(" AND tracked_table = ")
        .push(&Mysql::literal(table.name.table))
        .push(";\n");
}

/// What a trigger of the guard does.
fn push_body(sql: &mut Ddl, table: &TrackedTable, guard: &Guard, event: Event) {
    sql.push(" FOR EACH ROW\nBEGIN\n    DECLARE koherent_is_paused BOOLEAN;\n");
    if guard.policy == Policy::Capture || guard.captures_triggers {
        push_declarations(sql);
    }
    let sign = if event == Event::Delete { '-' } else { '*' };
    sql.push("    IF NOT (@koherent_armed <=> ")
        .push(&armed(sign, table));
    if event == Event::Delete {
        sql.push(" AND @koherent_left > 0");
    }
    sql.push(") THEN\n        CALL koherent_count_paused(")
        .push(&Mysql::literal(table.name.table))
        .push(match event {
            Event::Insert => ", 1, 0, 0, koherent_is_paused);\n",
            Event::Update => ", 0, 1, 0, koherent_is_paused);\n",
            Event::Delete => ", 0, 0, 1, koherent_is_paused);\n",
        });
    sql.push("        IF NOT koherent_is_paused THEN\n");
    match guard.policy {
        Policy::Refuse => push_refusal(sql, table, guard.captures_triggers, event),
        Policy::Capture => push_capture(sql, table, event),
    }
    sql.push("        END IF;\n");
    if event == Event::Delete {
        // A clock that stands still tells nothing.
        sql.push(
            "    ELSE\n        SET @koherent_left = @koherent_left - 1, @koherent_at = NULLIF(NOW(6), @koherent_armed_at);\n",
        );
    }
    sql.push("    END IF;\nEND;\n");
}

/// Refuses a raw write, and what a trigger writes unless that is captured.
fn push_refusal(sql: &mut Ddl, table: &TrackedTable, captures_triggers: bool, event: Event) {
    const INDENT: &str = "            ";
    let name = table.name.table;
    sql.push(INDENT).push("IF ").push(IS_PART).push(" THEN\n");
    if captures_triggers {
        push_capture(sql, table, event);
    } else {
        push_signal(sql, INDENT, &bounded_trigger_refusal(event, name));
    }
    sql.push(INDENT).push("ELSE\n");
    push_signal(sql, INDENT, &bounded_refusal(event, name));
    sql.push(INDENT).push("END IF;\n");
}

/// The statements that take the guard away.
pub(super) fn unguard(table: &TrackedTable) -> String {
    let mut sql: Ddl = Text(String::new());
    for event in Event::ALL {
        sql.push("DROP TRIGGER IF EXISTS ");
        push_in_schema(&mut sql, table.name, &trigger(table, event)).push(";\n");
    }
    push_drop_companion(&mut sql, table.name);
    push_deregistration::<Mysql, _>(&mut sql, table);
    sql.0
}

/// The triggers that keep a history table from being changed.
pub(super) fn push_append_only(sql: &mut Ddl, table: &TrackedTable) {
    let history = table.history.table;
    for event in [Event::Update, Event::Delete] {
        sql.push("CREATE TRIGGER ");
        let name = append_only_trigger(table, event);
        push_in_schema(sql, table.history, &name)
            .push(" BEFORE ")
            .push(event.name())
            .push(" ON ")
            .table(table.history);
        sql.push(" FOR EACH ROW\n");
        if event == Event::Delete {
            sql.push(
                "IF @koherent_operation IS NULL OR NOT EXISTS (SELECT 1 FROM koherent_operation WHERE operation = 'prune' \
                 AND operation_transaction = CONVERT(@koherent_operation USING ascii) COLLATE ascii_bin AND tracked_table = ",
            )
            .push(&Mysql::literal(&table.name.to_string()))
            .push(" COLLATE utf8mb4_bin) THEN\n");
        }
        let message = shorten(format!("KO002: {}", append_only(event, history)));
        push_signal(sql, "    ", &message);
        if event == Event::Delete {
            sql.push("END IF;\n");
        }
    }
    push_companion(
        sql,
        table.history,
        &["history_id"],
        &format!("TRUNCATE of {history} refused: rows are only added"),
    );
}

/// What a guard is made of.
pub(super) fn parts(table: &TrackedTable) -> Vec<String> {
    let triggers = Event::ALL.into_iter().map(|event| trigger(table, event));
    triggers.chain([companion(table.name)]).collect()
}

/// What keeps a history table from being changed is made of.
pub(super) fn append_only_parts(table: &TrackedTable) -> Vec<String> {
    let triggers = [Event::Update, Event::Delete].map(|event| append_only_trigger(table, event));
    triggers
        .into_iter()
        .chain([companion(table.history)])
        .collect()
}

fn append_only_trigger(table: &TrackedTable, event: Event) -> String {
    bounded(&format!(
        "koherent_append_only_{}_{}",
        table.history.table,
        event.lower()
    ))
}

fn trigger(table: &TrackedTable, event: Event) -> String {
    bounded(&format!(
        "koherent_guard_{}_{}",
        table.name.table,
        event.lower()
    ))
}

/// The table that refers to another, and stays empty.
pub(super) fn companion(table: Name) -> String {
    bounded(&format!("koherent_keeps_{}", table.table))
}

pub(super) fn push_drop_companion(sql: &mut Ddl, table: Name) {
    sql.push("DROP TABLE IF EXISTS ");
    push_in_schema(sql, table, &companion(table)).push(";\n");
}

fn push_companion(sql: &mut Ddl, table: Name, key: &[&'static str], says: &str) {
    let companion = companion(table);
    sql.push("CREATE TABLE ");
    push_in_schema(sql, table, &companion).push(" ENGINE = InnoDB AS SELECT ");
    sql.identifiers("", key.iter().copied())
        .push(" FROM ")
        .table(table);
    sql.push(" WHERE 1 = 0;\nALTER TABLE ");
    push_in_schema(sql, table, &companion)
        .push(" ADD CONSTRAINT ")
        .identifier(&bounded(says))
        .push(" FOREIGN KEY (")
        .identifiers("", key.iter().copied())
        .push(") REFERENCES ")
        .table(table);
    sql.push(" (")
        .identifiers("", key.iter().copied())
        .push(");\n");
}

fn push_in_schema<'s>(sql: &'s mut Ddl, table: Name, name: &str) -> &'s mut Ddl {
    if let Some(schema) = table.schema {
        sql.identifier(schema).push(".");
    }
    sql.identifier(name)
}

/// Names have 64 characters at most; of longer ones the end is replaced by a checksum, so that they stay different.
fn bounded(name: &str) -> String {
    const MAX: usize = 64;
    if name.chars().count() <= MAX {
        return name.to_owned();
    }
    // FNV-1a, 32 bits.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let start: String = name.chars().take(MAX - 9).collect();
    format!("{start}_{hash:08x}")
}

/// A message has 128 characters at most.
fn bounded_refusal(event: Event, table: &str) -> String {
    let whole = format!("KO001: {}", refusal(event, table));
    if whole.chars().count() <= MAX_MESSAGE {
        return whole;
    }
    let (short, _) = whole
        .split_once(", or audit_paused")
        .unwrap_or((&whole, ""));
    shorten(short.to_owned())
}

fn bounded_trigger_refusal(event: Event, table: &str) -> String {
    let whole = format!("KO001: {}", trigger_refusal(event, table));
    if whole.chars().count() <= MAX_MESSAGE {
        return whole;
    }
    shorten(whole.replace(
        "guard it with Guard::refuse().capture_triggers()",
        "see Guard::capture_triggers",
    ))
}

const MAX_MESSAGE: usize = 128;

fn shorten(message: String) -> String {
    if message.chars().count() <= MAX_MESSAGE {
        return message;
    }
    // What is too long is the name of the table, which the table's own name tells as well.
    let from = message.find(" of ").map_or(0, |at| at + 4);
    let to = message.find(" refused").unwrap_or(message.len());
    let rest = message.chars().count() - message[from..to].chars().count();
    let name: String = message[from..to]
        .chars()
        .take(MAX_MESSAGE - rest - 1)
        .collect();
    format!("{}{name}…{}", &message[..from], &message[to..])
}

fn push_signal(sql: &mut Ddl, indent: &str, message: &str) {
    let quoted = message.replace('\'', "''");
    // A backslash is an escape here, or it is not: a name with one is told without.
    let quoted = quoted.replace('\\', "/");
    sql.push(indent)
        .push("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '")
        .push(&quoted)
        .push("';\n");
}

fn push_declarations(sql: &mut Ddl) {
    sql.push(
        "    DECLARE koherent_user, koherent_client, koherent_organization, koherent_task, koherent_reason LONGTEXT CHARACTER SET utf8mb4;\n    \
         DECLARE koherent_transaction CHAR(36) CHARACTER SET ascii;\n    \
         DECLARE koherent_context LONGTEXT CHARACTER SET utf8mb4;\n    \
         DECLARE koherent_last DATETIME(6);\n",
    );
}

/// Writes the entries of a row.
fn push_capture(sql: &mut Ddl, table: &TrackedTable, event: Event) {
    sql.push("            CALL koherent_stamp('")
        .push(event.name())
        .push(
            "', koherent_user, koherent_client, koherent_organization, koherent_task, koherent_transaction, koherent_reason, koherent_context);\n",
        );
    match event {
        Event::Insert => push_entry(sql, table, "+", "NEW"),
        Event::Delete => push_entry(sql, table, "-", "OLD"),
        Event::Update => {
            let same = |sql: &mut Ddl, columns: &mut dyn Iterator<Item = &'static str>| {
                for (at, column) in columns.enumerate() {
                    sql.push(if at > 0 { " AND " } else { "" })
                        .push("OLD.")
                        .identifier(column);
                    sql.push(" <=> NEW.")
                        .identifier(column)
                        .push(" AND CAST(OLD.");
                    sql.identifier(column)
                        .push(" AS BINARY) <=> CAST(NEW.")
                        .identifier(column)
                        .push(" AS BINARY)");
                }
            };
            // `UPDATE IGNORE` runs triggers for rows that it leaves alone, too.
            sql.push("            IF NOT ");
            push_is_done(sql, table);
            sql.push(" THEN SET koherent_is_paused = TRUE;\n            ELSEIF NOT (");
            same(sql, &mut table.key.iter().copied());
            sql.push(") THEN\n");
            push_entry(sql, table, "-", "OLD");
            push_entry(sql, table, "+", "NEW");
            sql.push("            ELSEIF NOT (");
            same(sql, &mut table.columns.iter().map(|column| column.name));
            sql.push(") THEN\n");
            push_entry(sql, table, "~", "NEW");
            sql.push("            END IF;\n");
        }
    }
}

/// There is a row with the new values.
fn push_is_done(sql: &mut Ddl, table: &TrackedTable) {
    sql.push("EXISTS (SELECT 1 FROM ").table(table.name);
    sql.push(" AS x WHERE ");
    for (at, key) in table.key.iter().enumerate() {
        sql.push(if at > 0 { " AND x." } else { "x." })
            .identifier(key);
        sql.push(" = NEW.").identifier(key);
    }
    for column in &table.columns {
        sql.push(" AND CAST(x.").identifier(column.name);
        sql.push(" AS BINARY) <=> CAST(NEW.")
            .identifier(column.name)
            .push(" AS BINARY)");
    }
    sql.push(")");
}

/// Writes an entry with the values of `row`. The statement's time is that of its begin, before it waited for locks, so the
/// date is not before that of the last entry.
fn push_entry(sql: &mut Ddl, table: &TrackedTable, kind: &str, row: &str) {
    let names = table.columns.iter().map(|column| column.history_name);
    sql.push("            SET koherent_last = (SELECT h.history_date FROM ")
        .table(table.history);
    sql.push(" AS h WHERE ");
    for (at, key) in table.key.iter().enumerate() {
        sql.push(if at > 0 { " AND " } else { "" })
            .push("h.")
            .identifier(table.history_name_of(key));
        sql.push(" = ").push(row).push(".").identifier(key);
    }
    sql.push(" ORDER BY h.history_id DESC LIMIT 1);\n            INSERT INTO ")
        .table(table.history);
    sql.push(" (")
        .identifiers("", names.chain(ATTRIBUTION_COLUMNS))
        .push(") VALUES (");
    let kept = table.columns.iter().map(|column| column.name);
    sql.identifiers(&format!("{row}."), kept);
    sql.push(", '").push(kind).push(
        "', GREATEST(UTC_TIMESTAMP(6), COALESCE(koherent_last, UTC_TIMESTAMP(6))), koherent_user, koherent_client, \
         koherent_organization, koherent_task, koherent_transaction, koherent_reason, koherent_context);\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_fit_into_a_message() {
        assert_eq!(
            bounded_refusal(Event::Update, "samples"),
            "KO001: UPDATE of samples refused, it would leave no history: use audited_update, or audit_paused for a data migration"
        );
        let long = "measurements_of_thin_sections";
        assert_eq!(
            bounded_refusal(Event::Delete, long),
            format!(
                "KO001: DELETE of {long} refused, it would leave no history: use audited_delete"
            )
        );
        assert_eq!(
            bounded_trigger_refusal(Event::Update, "tallies"),
            "KO001: a trigger's UPDATE of tallies refused, it would leave no history: guard it with Guard::refuse().capture_triggers()"
        );
        assert_eq!(
            bounded_trigger_refusal(Event::Delete, long),
            format!(
                "KO001: a trigger's DELETE of {long} refused, it would leave no history: see Guard::capture_triggers"
            )
        );
        let longest = "a".repeat(64);
        let of_trigger = bounded_trigger_refusal(Event::Insert, &longest);
        assert_eq!(of_trigger.chars().count(), 128, "{of_trigger}");
        let said = bounded_refusal(Event::Insert, &longest);
        assert_eq!(said.chars().count(), 128);
        assert!(
            said.ends_with("… refused, it would leave no history: use audited_insert"),
            "{said}"
        );
        assert!(
            shorten(append_only(Event::Update, &longest))
                .chars()
                .count()
                <= 128
        );
    }

    #[test]
    fn names_are_bounded_and_stay_different() {
        assert_eq!(bounded("koherent_keeps_samples"), "koherent_keeps_samples");
        let (one, other) = (bounded(&"a".repeat(70)), bounded(&"a".repeat(71)));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }
}
