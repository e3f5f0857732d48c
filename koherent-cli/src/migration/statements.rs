//! Statements that several migrations have in common.

use koherent_diesel::{Guard, Policy};

use crate::database::{Engine, Table};
use crate::failure::{Failure, Result};
use crate::registry::Audited;

/// The columns that `koherent_table` and `koherent_retired` have in common.
const REGISTRATION: &str = "tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, \
                            history_columns, excluded_columns, kept_since";

/// `unguard_ddl` without its last statement, which takes the table from the registered ones.
pub(crate) fn triggers_only(unguard: &str) -> String {
    match unguard.rfind("DELETE FROM koherent_table") {
        Some(at) => unguard[..at].to_owned(),
        None => unguard.to_owned(),
    }
}

/// The guard of a table.
pub(crate) fn guard(audited: &Audited, live: &Table) -> Result<Guard> {
    let mut guard =
        Guard::new(audited.policy).excluding(audited.excluded.iter().map(String::as_str));
    if audited.captures_triggers {
        guard = guard.capture_triggers();
    }
    if audited.policy == Policy::Capture {
        if let Some(index) = &live.unique_expression {
            return Err(Failure::new(format!(
                "`{}` has the unique index `{index}` over an expression, so what REPLACE deletes could not be captured: use --policy refuse",
                live.full_name()
            )));
        }
        for columns in &live.unique {
            let columns = columns
                .iter()
                .map(|(name, collation)| (name.as_str(), collation.as_deref()));
            guard = guard.unique_with(columns);
        }
    }
    Ok(guard)
}

/// Says since which entry columns are kept: those that are added now, and those that were added before.
pub(crate) fn push_since(engine: Engine, audited: &Audited, added: &[String]) -> String {
    if added.is_empty() && audited.since.is_empty() {
        return String::new();
    }
    let last = format!(
        "(SELECT COALESCE(max(history_id), 0) FROM {})",
        audited.quoted_history(engine)
    );
    let now = added.iter().map(|name| (name, last.clone()));
    let before = audited
        .since
        .iter()
        .map(|(name, id)| (name, id.to_string()));
    let pairs: Vec<_> = before
        .chain(now)
        .map(|(name, id)| format!("{}, {id}", engine.literal(name)))
        .collect();
    let object = match engine {
        Engine::Sqlite => "json_object",
        Engine::Postgres => "json_build_object",
        Engine::Mysql => "JSON_OBJECT",
    };
    format!(
        "UPDATE koherent_table SET kept_since = {object}({}) WHERE {};\n",
        pairs.join(", "),
        audited.registration(engine)
    )
}

/// Whose decision it is that a history is retired, and why.
pub(crate) struct Retirement<'r> {
    pub(crate) user: Option<&'r str>,
    pub(crate) reason: &'r str,
}

/// Takes a table from those under audit. Its history stays, and nothing is added to it.
pub(crate) fn retire(engine: Engine, audited: &Audited, retirement: &Retirement<'_>) -> String {
    let user = match (retirement.user, engine) {
        (Some(user), _) => engine.literal(user),
        (None, Engine::Sqlite) => "NULL".to_owned(),
        (None, Engine::Postgres) => "session_user".to_owned(),
        (None, Engine::Mysql) => "USER()".to_owned(),
    };
    let registration = audited.registration(engine);
    format!(
        "{}INSERT INTO koherent_retired ({REGISTRATION}, retired_at, retired_by, retired_reason) \
         SELECT {REGISTRATION}, {}, {user}, {} FROM koherent_table WHERE {registration};\n\
         DELETE FROM koherent_table WHERE {registration};\n",
        read_only(engine, audited),
        engine.now(),
        engine.literal(retirement.reason),
    )
}

/// Undoes that; the guard is made anew by `koherent setup`.
pub(crate) fn resume(engine: Engine, audited: &Audited) -> String {
    let history = format!(
        "history_schema = {} AND history_table = {}",
        engine.literal(audited.history_schema.as_deref().unwrap_or_default()),
        engine.literal(&audited.history)
    );
    format!(
        "{}INSERT INTO koherent_table ({REGISTRATION}) SELECT {REGISTRATION} FROM koherent_retired WHERE {history};\n\
         DELETE FROM koherent_retired WHERE {history};\n\
         -- The table has no guard from here on: `koherent setup` makes it anew, when the table is what it was.\n",
        drop_read_only(engine, audited)
    )
}

fn read_only_trigger(engine: Engine, audited: &Audited) -> String {
    let name = engine.bounded(&format!("koherent_retired_{}", audited.history));
    match engine {
        Engine::Postgres => engine.quote("koherent_retired"),
        _ => engine.quote_table(audited.history_schema.as_deref(), &name),
    }
}

/// Refuses further entries.
fn read_only(engine: Engine, audited: &Audited) -> String {
    let (trigger, history) = (
        read_only_trigger(engine, audited),
        audited.quoted_history(engine),
    );
    match engine {
        Engine::Postgres => format!(
            "CREATE TRIGGER {trigger} BEFORE INSERT ON {history}\n    FOR EACH STATEMENT EXECUTE FUNCTION koherent_refuse_retired();\n"
        ),
        Engine::Sqlite => format!(
            "CREATE TRIGGER {trigger} BEFORE INSERT ON {}\nBEGIN\n    SELECT RAISE(ABORT, {});\nEND;\n",
            engine.quote(&audited.history),
            engine.literal(&format!(
                "KO002: INSERT of {} refused: the history is retired",
                audited.history
            ))
        ),
        // A message has 128 characters at most.
        Engine::Mysql => format!(
            "CREATE TRIGGER {trigger} BEFORE INSERT ON {history} FOR EACH ROW\n    \
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'KO002: INSERT of {} refused: the history is retired';\n",
            audited.history.replace('\'', "''").replace('\\', "/")
        ),
    }
}

fn drop_read_only(engine: Engine, audited: &Audited) -> String {
    let trigger = read_only_trigger(engine, audited);
    match engine {
        Engine::Postgres => format!(
            "DROP TRIGGER IF EXISTS {trigger} ON {};\n",
            audited.quoted_history(engine)
        ),
        _ => format!("DROP TRIGGER IF EXISTS {trigger};\n"),
    }
}

/// A name as a comment takes it.
pub(crate) fn in_comment(name: &str) -> String {
    name.replace(char::is_control, " ")
}
