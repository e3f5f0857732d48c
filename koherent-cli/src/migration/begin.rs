//! Putting a table under audit.

use std::collections::BTreeMap;

use koherent_diesel::Policy;

use super::declaration::declaration;
use super::options::{excluded_key, no_column, of_table};
use super::statements::{guard, in_comment};
use super::{Generate, Migration};
use crate::database::{Database, Engine, Table, describe};
use crate::failure::{Failure, Result};
use crate::registry::{Audited, registered, retired, successor, with_schema};
use crate::writers::{is_trigger_capture_optional, writers};

/// Writes history table, indexes and guard of a table.
pub(super) fn begin(
    database: &mut Database,
    arguments: &Generate,
    live: &Table,
    migration: &mut Migration,
) -> Result<Audited> {
    stands_under_a_guard(database, live)?;
    let excluded = of_table(&arguments.exclude, live);
    for column in &excluded {
        if live.column(column).is_none() {
            return Err(no_column(live, column, "--exclude"));
        }
        if live.key.contains(column) {
            return Err(excluded_key(live, column));
        }
    }
    let policy = arguments.policy.map_or(Policy::Refuse, Into::into);
    anew(database, live, excluded, policy, migration)
}

/// The same, with a policy and exclusions that are known.
pub(super) fn anew(
    database: &mut Database,
    live: &Table,
    excluded: Vec<String>,
    policy: Policy,
    migration: &mut Migration,
) -> Result<Audited> {
    let engine = database.engine();
    let kept = live.columns.iter().map(|column| column.name.clone());
    let kept: Vec<_> = kept.filter(|name| !excluded.contains(name)).collect();
    check_names(live, &kept)?;
    check_size(engine, live, &kept)?;
    check_keys(database, live, &mut migration.notes)?;
    let writers = writers(database, live)?;
    let audited = Audited {
        schema: live.schema.clone(),
        table: live.name.clone(),
        history_schema: live.schema.clone(),
        history: history_name(database, live)?,
        policy,
        captures_triggers: !writers.is_empty() && is_trigger_capture_optional(database)?,
        key: live.key.clone(),
        kept: kept.into_iter().map(|name| (name.clone(), name)).collect(),
        excluded,
        since: BTreeMap::new(),
        former: Vec::new(),
        alias: None,
    };
    let tracked = audited.tracked(live);
    let history = engine.history_ddl(tracked);
    try_out(database, live, &history)?;
    migration.up.push_str(&format!(
        "-- {} is under audit: each change leaves a row in {}.\n",
        in_comment(&live.full_name()),
        in_comment(&audited.history)
    ));
    note_writers(live, &writers, migration);
    migration.up.push_str(&history);
    migration
        .up
        .push_str(&engine.guard_ddl(tracked, &guard(&audited, live)?));
    migration.down.push(format!(
        "-- What {} has recorded is lost with it; `koherent retire` would keep it.\n{}{}",
        in_comment(&audited.history),
        engine.unguard_ddl(tracked),
        engine.drop_history_ddl(tracked)
    ));
    note_secrets(
        live,
        audited.kept.iter().map(|(name, _)| name),
        &mut migration.notes,
    );
    migration.notes.push(declaration(&audited));
    migration.tables.push(live.name.clone());
    Ok(audited)
}

/// Says which triggers of the application write to the table, and what becomes of that.
pub(super) fn note_writers(live: &Table, writers: &[String], migration: &mut Migration) {
    if writers.is_empty() {
        return;
    }
    let list = writers.join(", ");
    let subject = match writers {
        [_] => format!("the trigger {list} seems"),
        _ => format!("the triggers {list} seem"),
    };
    migration.up.push_str(&format!(
        "-- Triggers of the application seem to write to it: {}.\n",
        in_comment(&list)
    ));
    migration.notes.push(format!(
        "note: {subject} to write to `{}`: what a trigger writes as part of an audited statement is recorded with that statement, and as part \
         of any other as the policy says: put the tables of these triggers under audit, too",
        live.full_name()
    ));
}

/// A table that was renamed has its guard still.
fn stands_under_a_guard(database: &mut Database, live: &Table) -> Result<()> {
    for audited in registered(database)? {
        if describe(database, &audited.full_name())?.is_none()
            && successor(database, &audited)?
                .is_some_and(|name| name == live.full_name() || name == live.name)
        {
            let (old, new) = (audited.full_name(), live.full_name());
            return Err(Failure::new(format!(
                "the table `{new}` was called `{old}` when it was put under audit: `koherent migration generate --rename-table {old}={new}` \
                 writes the migration with which its history follows"
            )));
        }
    }
    Ok(())
}

/// `samples_history`; where another table has that name, with a number.
fn history_name(database: &mut Database, live: &Table) -> Result<String> {
    let engine = database.engine();
    let mut histories = registered(database)?;
    histories.extend(retired(database)?);
    for number in 1.. {
        let name = match number {
            1 => format!("{}_history", live.name),
            _ => format!("{}_history_{number}", live.name),
        };
        let name = engine.bounded(&name);
        let full_name = with_schema(live.schema.as_deref(), &name);
        if describe(database, &full_name)?.is_none() {
            return Ok(name);
        }
        // That of another table, or one from before.
        let is_history = histories
            .iter()
            .any(|audited| audited.history == name && audited.history_schema == live.schema);
        if !is_history {
            return Err(Failure::new(format!(
                "there is a table `{full_name}` already, and `{}` is not registered as under audit: is it a history made by hand? \
                 Then run what `{}::table::guard_ddl` writes, which registers it",
                live.full_name(),
                live.name
            )));
        }
    }
    Ok(String::new())
}

/// A history has columns of its own.
pub(super) fn check_names(live: &Table, kept: &[String]) -> Result<()> {
    if let Some(column) = live
        .columns
        .iter()
        .find(|column| column.name.starts_with("koherent_"))
    {
        return Err(Failure::new(format!(
            "`{}.{}` has a name that guards use: rename it",
            live.full_name(),
            column.name
        )));
    }
    let own = koherent_diesel::schema::ATTRIBUTION_COLUMNS;
    let taken = kept
        .iter()
        .find(|name| own.contains(&name.as_str()) || *name == "history_id");
    match taken {
        Some(name) => Err(Failure::new(format!(
            "`{}.{name}` has the name of a column that each history has: rename it, or --exclude {name}",
            live.full_name()
        ))),
        None => Ok(()),
    }
}

/// A history has ten columns more than its table.
fn check_size(engine: Engine, live: &Table, kept: &[String]) -> Result<()> {
    let max = match engine {
        // `MaxHeapAttributeNumber`
        Engine::Postgres => 1_600,
        // `SQLITE_MAX_COLUMN`
        Engine::Sqlite => 2_000,
        // InnoDB's limit
        Engine::Mysql => 1_017,
    };
    let own = koherent_diesel::schema::ATTRIBUTION_COLUMNS.len() + 1;
    if kept.len() + own <= max {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the table `{}` has {} columns, and its history would have {own} more than that: a table has {max} at most, so --exclude some",
        live.full_name(),
        kept.len()
    )))
}

/// SQLite lets most keys be NULL (<https://www.sqlite.org/lang_createtable.html> §3.5); history is that of a key.
fn check_keys(database: &mut Database, live: &Table, notes: &mut Vec<String>) -> Result<()> {
    if let Some(difference) = null_keys(database, live)? {
        return Err(Failure::new(difference));
    }
    let nullable = live
        .key
        .iter()
        .find(|key| live.column(key).is_some_and(|column| column.nullable));
    if let Some(key) = nullable {
        notes.push(format!(
            "note: SQLite lets `{}.{key}` be NULL, although it is the key: a row without a key has no history, and cannot be written; \
             declare the column NOT NULL",
            live.full_name()
        ));
    }
    Ok(())
}

/// What is wrong with a table that has rows without a key; nothing where it has none.
pub(crate) fn null_keys(database: &mut Database, live: &Table) -> Result<Option<String>> {
    let engine = database.engine();
    let nullable = live
        .key
        .iter()
        .filter(|key| live.column(key).is_some_and(|column| column.nullable));
    let is_null: Vec<_> = nullable
        .map(|key| format!("{} IS NULL", engine.quote(key)))
        .collect();
    if engine != Engine::Sqlite || is_null.is_empty() {
        return Ok(None);
    }
    let (table, condition) = (
        engine.quote_table(live.schema.as_deref(), &live.name),
        is_null.join(" OR "),
    );
    let rows = database.number("count(*)", &format!("FROM {table} WHERE {condition}"))?;
    Ok((rows > 0).then(|| {
        format!(
            "the table `{}` has {rows} rows whose key ({}) is NULL, which SQLite allows: history is that of a key, so each change of such \
             a row fails; give them keys (SELECT rowid, * FROM {table} WHERE {condition}), and declare the column NOT NULL",
            live.full_name(),
            live.key.join(", ")
        )
    }))
}

/// Creates the history table in a transaction that is rolled back, or as a temporary table: what the engine has against it is
/// said now, and not when the migration is half applied.
fn try_out(database: &mut Database, live: &Table, history: &str) -> Result<()> {
    let tried = match database.engine() {
        Engine::Postgres => database.rolled_back(&format!(
            "SET LOCAL lock_timeout = '2s'; SET LOCAL client_min_messages = 'error'; {history}"
        )),
        Engine::Sqlite => database.rolled_back(history),
        Engine::Mysql => {
            // Without triggers and companions, which temporary tables cannot have.
            let table = history.split("CREATE TRIGGER ").next().unwrap_or_default();
            let Some(table) = table.strip_prefix("CREATE TABLE ") else {
                return Ok(());
            };
            let name = table.split(" ENGINE").next().unwrap_or_default();
            database.batch(&format!(
                "CREATE TEMPORARY TABLE {table}DROP TEMPORARY TABLE {name};"
            ))
        }
    };
    match tried {
        // Whoever may only read may still generate.
        Err(failure) if failure.lacks_right || failure.is_retryable => Ok(()),
        Err(failure) => Err(Failure::new(format!(
            "the history of `{}` cannot be created: {failure}; --exclude what is too much for it, or change the table",
            live.full_name()
        ))),
        Ok(()) => Ok(()),
    }
}

/// Words by which people call what nobody should read later.
const SECRETS: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "credentials",
    "apikey",
    "otp",
    "totp",
    "salt",
    "private",
    "pin",
    "cvv",
    "ssn",
    "iban",
];

/// Says which columns look like secrets.
pub(super) fn note_secrets<'n>(
    live: &Table,
    names: impl Iterator<Item = &'n String>,
    notes: &mut Vec<String>,
) {
    for name in names.filter(|name| !live.key.contains(name) && looks_secret(name)) {
        notes.push(format!(
            "note: `{0}.{name}` looks like a secret, and its history would keep each of its values: --exclude {0}.{name} keeps it out",
            live.full_name()
        ));
    }
}

fn looks_secret(name: &str) -> bool {
    let mut words = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !words.ends_with(|last: char| last.is_uppercase()) {
            words.push('_');
        }
        words.push(character);
    }
    let words = words.to_lowercase();
    let mut words = words.split(|character: char| !character.is_alphanumeric());
    let is_secret = |word: &str| {
        let singular = word.strip_suffix('s').unwrap_or(word);
        SECRETS.contains(&word) || SECRETS.contains(&singular)
    };
    let joined = name.to_lowercase().replace(['_', '-'], "");
    words.any(is_secret)
        || joined.ends_with("token")
        || ["password", "secret", "apikey", "privatekey", "accesskey"]
            .iter()
            .any(|part| joined.contains(part))
}

#[cfg(test)]
mod tests {
    use super::looks_secret;

    #[test]
    fn columns_that_look_like_secrets() {
        for name in [
            "password_hash",
            "encryptedPassword",
            "api_key",
            "access_token",
            "tokens",
            "totp_secret",
            "private_key",
            "PIN",
            "APIToken",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in [
            "name",
            "opinion",
            "spinning",
            "tokenizer",
            "description",
            "stoken_count",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
