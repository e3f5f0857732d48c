//! `koherent migration generate`: history tables, indexes and guards for live tables, as a folder of diesel_migrations.
//!
//! For a table that is under audit already, it writes what follows from a change of the table. Nothing of a history is
//! dropped: columns that are gone stay with their values, and columns that changed their type in a way that might lose
//! values are set aside under another name.

mod follow;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use koherent_core::{Clock as _, SystemClock};
use koherent_diesel::{Guard, Policy};

use follow::{Follow, widens};

use crate::database::{Column, Database, Engine, Table, describe};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::registry::{Audited, registered};

/// Arguments of `migration generate`.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The tables to put under audit, or whose change to follow; without any, all that are under audit and have changed.
    tables: Vec<String>,
    /// A column to keep out of the history (a secret, say): COLUMN, or TABLE.COLUMN.
    #[arg(long, value_name = "COLUMN")]
    exclude: Vec<String>,
    /// What happens to writes that go past the audit. By default they are refused; a table that is under audit keeps its policy.
    #[arg(long, value_enum)]
    policy: Option<PolicyName>,
    /// A column to take into the history again, from now on: COLUMN, or TABLE.COLUMN.
    #[arg(long, value_name = "COLUMN")]
    include: Vec<String>,
    /// A column that was renamed since: OLD=NEW, or TABLE.OLD=NEW.
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// A column whose history is to be cast to its new type, where that might fail or lose digits: COLUMN, or TABLE.COLUMN.
    /// By default such a history is set aside under another name.
    #[arg(long, value_name = "COLUMN")]
    cast: Vec<String>,
    /// The folder of the migrations.
    #[arg(long, value_name = "FOLDER", default_value = "migrations")]
    migration_dir: PathBuf,
    /// The name of the migration, behind its date.
    #[arg(long)]
    name: Option<String>,
    /// Print the statements, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PolicyName {
    /// They are errors that name the helper to use.
    Refuse,
    /// The database records them, marked as captured.
    Capture,
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Refuse => Self::Refuse,
            PolicyName::Capture => Self::Capture,
        }
    }
}

/// What a migration does.
#[derive(Debug, Default)]
struct Migration {
    up: String,
    /// In the order of the tables: the last is undone first.
    down: Vec<String>,
    /// What to paste, and what to know.
    notes: Vec<String>,
    tables: Vec<String>,
}

pub(crate) fn generate(
    database: &mut Database,
    arguments: &Generate,
    output: &mut Output,
) -> Result<()> {
    let known = registered(database)?;
    let names = match arguments.tables.len() {
        0 => known.iter().map(Audited::full_name).collect(),
        _ => arguments.tables.clone(),
    };
    if names.is_empty() {
        return Err(Failure::new(
            "no table is under audit yet: name one, `koherent migration generate TABLE`",
        ));
    }
    let mut migration = Migration::default();
    let mut described = Vec::new();
    for name in &names {
        let live = describe(database, name)?.ok_or_else(|| {
            Failure::new(format!(
                "there is no table `{name}` in this database: run the migration that creates it first, or write its name as the database has it"
            ))
        })?;
        if live.key.is_empty() {
            return Err(Failure::new(format!(
                "the table `{name}` has no primary key: history is that of a key, so give it one first"
            )));
        }
        if let Some(unfit) = live.unfit {
            return Err(Failure::new(format!("the table `{name}` {unfit}")));
        }
        described.push(live.clone());
        match known
            .iter()
            .find(|audited| audited.full_name() == live.full_name())
        {
            Some(audited) => follow(database, arguments, audited, &live, &mut migration)?,
            None => begin(database, arguments, &live, &mut migration)?,
        }
    }
    all_are_meant(arguments, &described)?;
    if migration.tables.is_empty() {
        return output.line("nothing to do: the histories fit their tables");
    }
    let down: String = migration.down.iter().rev().map(String::as_str).collect();
    if arguments.dry_run {
        output.line("-- up.sql")?;
        output.line(migration.up.trim_end())?;
        output.line("-- down.sql")?;
        output.line(down.trim_end())?;
    } else {
        let folder = write(arguments, &migration, &down)?;
        output.line(&format!("wrote {}", folder.display()))?;
    }
    for note in &migration.notes {
        output.line(note)?;
    }
    Ok(())
}

/// Each option is about one of the tables: one that is not is misspelt, and a secret may be in a history for it.
fn all_are_meant(arguments: &Generate, tables: &[Table]) -> Result<()> {
    let old = |rename: &String| rename.split('=').next().unwrap_or_default().to_owned();
    for (option, columns) in [
        ("--exclude", arguments.exclude.clone()),
        ("--include", arguments.include.clone()),
        ("--cast", arguments.cast.clone()),
        ("--rename", arguments.rename.iter().map(old).collect()),
    ] {
        for column in columns {
            let meant: Vec<_> = tables
                .iter()
                .filter_map(|table| Some((table, column_of(&column, table)?)))
                .collect();
            let Some((table, name)) = meant.first() else {
                let names: Vec<_> = tables.iter().map(Table::full_name).collect();
                return Err(Failure::new(format!(
                    "{option} {column}: none of the tables is meant, they are {}",
                    names.join(", ")
                )));
            };
            if matches!(option, "--include" | "--cast")
                && !meant
                    .iter()
                    .any(|(table, name)| table.column(name).is_some())
            {
                return Err(no_column(table, name, option));
            }
        }
    }
    Ok(())
}

/// Puts a table under audit.
fn begin(
    database: &mut Database,
    arguments: &Generate,
    live: &Table,
    migration: &mut Migration,
) -> Result<()> {
    let engine = database.engine();
    let excluded = of_table(&arguments.exclude, live);
    for column in &excluded {
        if live.column(column).is_none() {
            return Err(no_column(live, column, "--exclude"));
        }
        if live.key.contains(column) {
            return Err(excluded_key(live, column));
        }
    }
    let kept = live.columns.iter().map(|column| column.name.clone());
    let kept: Vec<_> = kept.filter(|name| !excluded.contains(name)).collect();
    check_names(live, &kept)?;
    let history = format!("{}_history", live.name);
    let full_history = match &live.schema {
        Some(schema) => format!("{schema}.{history}"),
        None => history.clone(),
    };
    if describe(database, &full_history)?.is_some() {
        return Err(Failure::new(format!(
            "there is a table `{full_history}` already, and `{}` is not registered as under audit: is it a history made by hand? \
             Then run what `{}::table::guard_ddl` writes, which registers it",
            live.full_name(),
            live.name
        )));
    }
    let audited = Audited {
        schema: live.schema.clone(),
        table: live.name.clone(),
        history_schema: live.schema.clone(),
        history,
        policy: arguments.policy.map_or(Policy::Refuse, Into::into),
        key: live.key.clone(),
        kept: kept.into_iter().map(|name| (name.clone(), name)).collect(),
        excluded,
        since: std::collections::BTreeMap::new(),
    };
    let tracked = audited.tracked(live);
    migration.up.push_str(&format!(
        "-- {} is under audit: each change leaves a row in {}.\n",
        in_comment(&live.full_name()),
        in_comment(&audited.history)
    ));
    migration.up.push_str(&engine.history_ddl(tracked));
    migration
        .up
        .push_str(&engine.guard_ddl(tracked, &guard(&audited, live)?));
    migration.down.push(format!(
        "{}{}",
        engine.unguard_ddl(tracked),
        engine.drop_history_ddl(tracked)
    ));
    migration.notes.push(declaration(&audited));
    migration.tables.push(live.name.clone());
    Ok(())
}

/// Follows a change of a table that is under audit.
fn follow(
    database: &mut Database,
    arguments: &Generate,
    before: &Audited,
    live: &Table,
    migration: &mut Migration,
) -> Result<()> {
    let engine = database.engine();
    let history = describe(
        database,
        &match &before.history_schema {
            Some(schema) => format!("{schema}.{}", before.history),
            None => before.history.clone(),
        },
    )?
    .ok_or_else(|| {
        Failure::new(format!(
            "the history table `{}` does not exist any more: run the migration that creates it",
            before.history
        ))
    })?;
    let renames = renames(arguments, before, live)?;
    let mut after = before.clone();
    after.policy = arguments.policy.map_or(before.policy, Into::into);
    after.excluded.retain(|name| live.column(name).is_some());
    for name in of_table(&arguments.include, live) {
        after.excluded.retain(|excluded| *excluded != name);
    }
    for name in of_table(&arguments.exclude, live) {
        if live.column(&name).is_none() {
            return Err(no_column(live, &name, "--exclude"));
        }
        if live.key.contains(&name) {
            return Err(excluded_key(live, &name));
        }
        if before.kept.iter().any(|(kept, _)| *kept == name) {
            migration.notes.push(format!(
                "note: what `{}` had in `{}.{name}` up to now stays in its history",
                live.full_name(),
                live.name
            ));
        }
        if !after.excluded.contains(&name) {
            after.excluded.push(name);
        }
    }
    compare_keys(before, live, &renames)?;
    after.key.clone_from(&live.key);
    after.kept.clear();
    after.since.clear();

    let mut follow = Follow::new(engine, before, &history);
    let kept: Vec<_> = live
        .columns
        .iter()
        .filter(|column| !after.excluded.contains(&column.name))
        .collect();
    for column in &kept {
        let renamed = renames.iter().find(|(_, new)| *new == column.name);
        let is_taken = renames.iter().any(|(old, _)| *old == column.name);
        let old = match renamed {
            Some((old, _)) => Some(old),
            None => (!is_taken).then_some(&column.name),
        };
        let was = old.and_then(|old| before.kept.iter().find(|(name, _)| name == old));
        let Some((name, there)) = was else {
            follow.adds(column, &column.name);
            after.kept.push((column.name.clone(), column.name.clone()));
            continue;
        };
        let to = if there == name { &column.name } else { there };
        after.kept.push((column.name.clone(), to.clone()));
        let Some(stored) = history.column(there) else {
            follow.adds(column, to);
            continue;
        };
        let is_cast = of_table(&arguments.cast, live).contains(&column.name);
        if engine.holds(&column.declared, &stored.declared) {
            follow.keeps(there, to, None);
        } else if engine != Engine::Sqlite
            && (is_cast || widens(engine, &stored.declared, &column.declared))
        {
            follow.keeps(there, to, Some((stored, column)));
        } else if live.key.contains(&column.name) {
            return Err(retyped_key(engine, live, stored, column));
        } else {
            // What stands there is nobody's any more.
            follow.adds(column, to);
            migration.notes.push(format!(
                "note: the old values of `{}.{}` ({}) are set aside in their history, because not each of them need be one of {}{}",
                live.full_name(),
                column.name,
                stored.declared,
                column.declared,
                match engine {
                    Engine::Sqlite => String::new(),
                    _ => format!("; --cast {} casts them", column.name),
                }
            ));
        }
        if let Some(since) = before.since.get(name) {
            after.since.insert(column.name.clone(), *since);
        }
    }
    let others: Vec<_> = after.kept.iter().map(|(name, _)| name.clone()).collect();
    check_names(live, &others)?;
    let nullable = |there: &str| {
        let kept = after.kept.iter().find(|(_, name)| name == there);
        let column = kept.and_then(|(name, _)| live.column(name));
        column.is_none_or(|column| column.nullable)
    };
    let added = follow.write(&history, nullable)?;
    if after == *before && follow.up.is_empty() && arguments.tables.is_empty() {
        return Ok(());
    }
    for name in &added {
        after.since.remove(name);
    }
    let (was, is) = (before.tracked(live), after.tracked(live));
    if after == *before && follow.up.is_empty() {
        migration.notes.push(format!(
            "note: the history of {} fits it; the guard is created anew",
            live.full_name()
        ));
    }
    migration.up.push_str(&format!(
        "-- The history of {} follows its table.\n",
        in_comment(&live.full_name())
    ));
    // What fails half-way where DDL is no transaction leaves the guard where it is, and the table registered.
    let triggers = triggers_only(&engine.unguard_ddl(was));
    if engine == Engine::Mysql {
        migration.up.push_str(&follow.up);
        migration.up.push_str(&triggers);
    } else {
        migration.up.push_str(&triggers);
        migration.up.push_str(&follow.up);
    }
    migration
        .up
        .push_str(&engine.guard_ddl(is, &guard(&after, live)?));
    migration.up.push_str(&push_since(engine, &after, &added));

    let mut down = triggers_only(&engine.unguard_ddl(is));
    if follow
        .down
        .iter()
        .any(|statement| statement.contains("DROP COLUMN"))
    {
        down.push_str("-- What was recorded since in columns that are taken away is lost.\n");
    }
    for statement in follow.down.iter().rev() {
        down.push_str(statement);
    }
    let mut earlier = guard(before, live)?;
    let columns_are_there = before
        .kept
        .iter()
        .all(|(name, _)| live.column(name).is_some());
    if before.policy == Policy::Capture && engine != Engine::Postgres && !columns_are_there {
        down.push_str(
            "-- Triggers cannot name columns that are not there yet, so until the next migration writes are refused.\n",
        );
        earlier = Guard::refuse().excluding(before.excluded.iter().map(String::as_str));
    }
    down.push_str(&engine.guard_ddl(was, &earlier));
    down.push_str(&push_since(engine, before, &[]));
    migration.down.push(down);
    migration.notes.push(declaration(&after));
    migration.tables.push(live.name.clone());
    Ok(())
}

/// `unguard_ddl` without its last statement, which takes the table from the registered ones.
fn triggers_only(unguard: &str) -> String {
    match unguard.rfind("DELETE FROM koherent_table") {
        Some(at) => unguard[..at].to_owned(),
        None => unguard.to_owned(),
    }
}

/// Says since which entry columns are kept: those that are added now, and those that were added before.
fn push_since(engine: Engine, audited: &Audited, added: &[String]) -> String {
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
        "UPDATE koherent_table SET kept_since = {object}({}) WHERE tracked_schema = {} AND tracked_table = {};\n",
        pairs.join(", "),
        engine.literal(audited.schema.as_deref().unwrap_or_default()),
        engine.literal(&audited.table)
    )
}

/// Another key is another history.
fn compare_keys(before: &Audited, live: &Table, renames: &[(String, String)]) -> Result<()> {
    let renamed = |key: &String| {
        let rename = renames.iter().find(|(old, _)| old == key);
        rename.map_or(key, |(_, new)| new).clone()
    };
    let mut was: Vec<_> = before.key.iter().map(renamed).collect();
    let mut is = live.key.clone();
    was.sort_unstable();
    is.sort_unstable();
    if was == is {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the key of `{}` was ({}) and is ({}): where a column was renamed, say --rename OLD=NEW; another key is another history, \
         so run the down.sql of the migration that put the table under audit (which drops its history), or keep the key",
        live.full_name(),
        before.key.join(", "),
        live.key.join(", ")
    )))
}

fn retyped_key(engine: Engine, live: &Table, stored: &Column, column: &Column) -> Failure {
    let what_to_do = match engine {
        Engine::Sqlite => {
            "SQLite cannot change the type of a column, so make the history table anew by hand, with this type".to_owned()
        }
        _ => format!("cast them with --cast {}", column.name),
    };
    Failure::new(format!(
        "`{}.{}` is part of the key, and its type changed from {} to {}, so its entries could not be found any more: {what_to_do}",
        live.full_name(),
        column.name,
        stored.declared,
        column.declared
    ))
}

fn excluded_key(live: &Table, column: &str) -> Failure {
    Failure::new(format!(
        "--exclude {column}: it is part of the key of `{}`, and history is that of a key",
        live.full_name()
    ))
}

/// A name as a comment takes it.
fn in_comment(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// The guard of a table.
fn guard(audited: &Audited, live: &Table) -> Result<Guard> {
    let mut guard =
        Guard::new(audited.policy).excluding(audited.excluded.iter().map(String::as_str));
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

/// The columns of `--rename`: old and new.
fn renames(arguments: &Generate, before: &Audited, live: &Table) -> Result<Vec<(String, String)>> {
    let mut renames = Vec::new();
    for rename in &arguments.rename {
        let (old, new) = rename.split_once('=').ok_or_else(|| {
            Failure::new(format!(
                "--rename {rename}: it is OLD=NEW, or TABLE.OLD=NEW"
            ))
        })?;
        let Some(old) = column_of(old, live) else {
            continue;
        };
        if live.column(new).is_none() {
            return Err(no_column(live, new, "--rename"));
        }
        if !before.kept.iter().any(|(name, _)| *name == old) {
            return Err(Failure::new(format!(
                "--rename {rename}: the history of `{}` keeps no column `{old}`",
                live.full_name()
            )));
        }
        renames.push((old, new.to_owned()));
    }
    Ok(renames)
}

/// The columns that are meant of this table: `column`, or `table.column`.
fn of_table(arguments: &[String], live: &Table) -> Vec<String> {
    arguments
        .iter()
        .filter_map(|argument| column_of(argument, live))
        .collect()
}

fn column_of(argument: &str, live: &Table) -> Option<String> {
    match argument.rsplit_once('.') {
        Some((table, column)) => {
            (table == live.full_name() || table == live.name).then(|| column.to_owned())
        }
        None => Some(argument.to_owned()),
    }
}

fn no_column(live: &Table, column: &str, option: &str) -> Failure {
    let names: Vec<_> = live
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    Failure::new(format!(
        "{option}: `{}` has no column `{column}`, it has {}; say TABLE.COLUMN for one of several tables",
        live.full_name(),
        names.join(", ")
    ))
}

/// A history has columns of its own.
fn check_names(live: &Table, kept: &[String]) -> Result<()> {
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

/// The line to paste.
fn declaration(audited: &Audited) -> String {
    let list =
        |names: &mut dyn Iterator<Item = &str>| names.map(rust_name).collect::<Vec<_>>().join(", ");
    format!(
        "koherent_diesel::audited!({} ({}) => {} ({}));",
        rust_name(&audited.table),
        list(&mut audited.key.iter().map(String::as_str)),
        rust_name(&audited.history),
        list(&mut audited.kept.iter().map(|(name, _)| name.as_str())),
    )
}

/// The name that `diesel print-schema` gives a table or a column.
fn rust_name(name: &str) -> String {
    const RESERVED: [&str; 52] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
        "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
        "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
        "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
        "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "table",
    ];
    let mut rust: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if rust.starts_with(|c: char| c.is_ascii_digit()) {
        rust.insert(0, '_');
    }
    if RESERVED.contains(&rust.as_str()) {
        rust.push('_');
    }
    rust
}

/// Writes the folder.
fn write(arguments: &Generate, migration: &Migration, down: &str) -> Result<PathBuf> {
    let mut now: chrono::DateTime<chrono::Utc> = SystemClock.now().into();
    let mut name = match &arguments.name {
        Some(given) => given.clone(),
        None => format!("audit_{}", migration.tables.join("_")),
    };
    // It is one folder, whatever tables are called.
    let letters = name.chars().take(100);
    name = letters
        .map(|c| {
            if c.is_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    // No two migrations have one version, which is their time.
    let taken: Vec<String> = fs::read_dir(&arguments.migration_dir)
        .map(|folders| {
            let folders = folders.filter_map(std::result::Result::ok);
            folders
                .map(|folder| folder.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    let version = loop {
        let version = now.format("%Y-%m-%d-%H%M%S").to_string();
        if !taken.iter().any(|folder| folder.starts_with(&version)) {
            break version;
        }
        now += chrono::TimeDelta::seconds(1);
    };
    let folder = arguments.migration_dir.join(format!("{version}_{name}"));
    let written = |path: &Path, error: std::io::Error| {
        Failure::new(format!(
            "{} cannot be written: {error}; --migration-dir says where migrations are",
            path.display()
        ))
    };
    fs::create_dir_all(&folder).map_err(|error| written(&folder, error))?;
    for (file, sql) in [("up.sql", migration.up.as_str()), ("down.sql", down)] {
        let path = folder.join(file);
        fs::write(&path, sql).map_err(|error| written(&path, error))?;
    }
    Ok(folder)
}
