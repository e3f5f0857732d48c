//! The triggers of a guarded table. What they do is in the functions of the migrations.

use diesel::pg::Pg;

use crate::ddl::Text;
use crate::engine::Engine as _;
use crate::guard::{Event, Guard, push_deregistration, push_registration};
use crate::sql::Write as _;
use crate::table::{Name, TrackedTable};

/// The statements that guard a table.
pub(super) fn guard(table: &TrackedTable, guard: &Guard) -> String {
    let mut sql = Text::<'"'>(String::new());
    for event in Event::ALL {
        let statement = event.name();
        sql.push("CREATE TRIGGER ")
            .push(&trigger(event))
            .push(" AFTER ")
            .push(statement)
            .push(" ON ")
            .table(table.name);
        sql.push(match event {
            Event::Insert => "\n    REFERENCING NEW TABLE AS koherent_new",
            Event::Update => {
                "\n    REFERENCING OLD TABLE AS koherent_old NEW TABLE AS koherent_new"
            }
            Event::Delete => "\n    REFERENCING OLD TABLE AS koherent_old",
        });
        // Nested statements are nobody's who armed it. What is armed is armed once: a function that the statement calls may
        // change the table as well. The condition is evaluated without a call of the function, so that an audited statement
        // does not pay for one; and it is short, because it is read anew for each statement.
        let setting = setting(event);
        let armed = arms(table.name);
        let used = format!("'used ' || {armed}");
        let twice = format!("{armed} || ' {statement}'");
        sql.push("\n    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('")
            .push(setting)
            .push("', true) WHEN ")
            .push(&armed)
            .push(" THEN set_config('")
            .push(setting)
            .push("', ")
            .push(&used)
            .push(", true) = '' WHEN ")
            .push(&used)
            .push(" THEN set_config('koherent.twice', ")
            .push(&twice)
            .push(", true) <> '' ELSE true END)\n    EXECUTE FUNCTION koherent_guard(");
        push_arguments(&mut sql, table, guard);
        sql.push(");\n");
    }
    sql.push("CREATE TRIGGER koherent_guard_truncate BEFORE TRUNCATE ON ")
        .table(table.name);
    sql.push("\n    FOR EACH STATEMENT EXECUTE FUNCTION koherent_guard(");
    push_arguments(&mut sql, table, guard);
    sql.push(");\n");
    push_registration::<Pg, _>(&mut sql, table, guard);
    sql.0
}

/// The statements that take the guard away.
pub(super) fn unguard(table: &TrackedTable) -> String {
    let mut sql = Text::<'"'>(String::new());
    for trigger in parts() {
        sql.push("DROP TRIGGER IF EXISTS ")
            .push(&trigger)
            .push(" ON ");
        sql.table(table.name).push(";\n");
    }
    push_deregistration::<Pg, _>(&mut sql, table);
    sql.0
}

/// The statement that keeps a history table from being changed.
pub(super) fn push_append_only(sql: &mut Text<'"'>, table: &TrackedTable) {
    sql.push("CREATE TRIGGER koherent_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ")
        .table(table.history);
    sql.push("\n    FOR EACH STATEMENT EXECUTE FUNCTION koherent_append_only();\n");
}

/// The triggers of a guard.
pub(super) fn parts() -> Vec<String> {
    let truncate = "koherent_guard_truncate".to_owned();
    Event::ALL
        .into_iter()
        .map(trigger)
        .chain([truncate])
        .collect()
}

/// The triggers of a history table.
pub(super) fn append_only_parts() -> Vec<String> {
    vec!["koherent_append_only".to_owned()]
}

fn trigger(event: Event) -> String {
    format!("koherent_guard_{}", event.lower())
}

/// What a statement sets to arm the guard of its table: the table's identity, because tables of several schemas may share a
/// name, and a table may be renamed.
pub(super) fn arms(table: Name) -> String {
    format!("{}::oid::text", identity(table))
}

/// `'"samples"'::regclass`.
pub(super) fn identity(table: Name) -> String {
    let mut name = Text::<'"'>(String::new());
    name.table(table);
    format!("{}::regclass", Pg::literal(&name.0))
}

/// The setting that arms a guard for one statement.
pub(super) const fn setting(event: Event) -> &'static str {
    match event {
        Event::Insert => "koherent.insert",
        Event::Update => "koherent.update",
        Event::Delete => "koherent.delete",
    }
}

/// The arguments of `koherent_guard`: policy, the schema (or nothing, for that of the table) and the name of the history
/// table, the columns of the key, the kept columns, and their names in the history table.
fn push_arguments(sql: &mut Text<'"'>, table: &TrackedTable, guard: &Guard) {
    let arguments = [
        guard.policy.name().to_owned(),
        table.history.schema.unwrap_or_default().to_owned(),
        table.history.table.to_owned(),
        array(table.key.iter().copied()),
        array(table.columns.iter().map(|column| column.name)),
        array(table.columns.iter().map(|column| column.history_name)),
    ];
    for (at, argument) in arguments.iter().enumerate() {
        sql.push(if at > 0 { ", " } else { "" })
            .push(&Pg::literal(argument));
    }
}

/// `{"a","b"}`.
fn array<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let quoted = names.map(|name| {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{name}\"")
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}
