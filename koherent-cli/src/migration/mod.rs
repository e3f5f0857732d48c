//! `koherent migration generate`: history tables, indexes and guards for live tables, as a folder of diesel_migrations.
//!
//! For a table that is under audit already, it writes what follows from a change of the table. Nothing of a history is
//! dropped: columns that are gone stay with their values, and columns that changed their type in a way that might lose
//! values are set aside under another name. A table that cannot be followed keeps no other from being so.

mod alter;
mod begin;
pub(crate) mod declaration;
pub(crate) mod folder;
mod follow;
mod options;
mod rebuild;
pub(crate) mod statements;
mod widens;

use std::path::PathBuf;

use clap::Args;
use koherent_diesel::Policy;

use begin::begin;
pub(crate) use begin::null_keys;
use folder::Files;
use follow::follow;
use options::{all_are_meant, renamed_tables};

use crate::database::{Database, Table, candidates, describe};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::registry::{Audited, gone, registered, retired, with_schema};

/// Arguments of `migration generate`.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The tables to put under audit, or whose change to follow; without any, all that are under audit and have changed.
    tables: Vec<String>,
    /// Put all tables under audit that are not yet, but those of tools.
    #[arg(long, conflicts_with = "tables")]
    all: bool,
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
    /// A table that was renamed since: OLD=NEW. Its history follows, and keeps its name.
    #[arg(long, value_name = "OLD=NEW")]
    rename_table: Vec<String>,
    /// A column whose history is to be cast to its new type, where that might fail or lose digits: COLUMN, or TABLE.COLUMN.
    /// By default such a history is set aside under another name.
    #[arg(long, value_name = "COLUMN")]
    cast: Vec<String>,
    /// Retire the history of a table whose key is another one, and begin a new history. The old one stays as it is.
    #[arg(long)]
    new_history: bool,
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
#[derive(Debug, Default, Clone)]
struct Migration {
    up: String,
    /// In the order of the tables: the last is undone first.
    down: Vec<String>,
    /// What to paste, and what to know.
    notes: Vec<String>,
    tables: Vec<String>,
}

/// Writes the migration. Says whether it is whole: what is wrong with tables that nobody named is said, and keeps no other
/// table from its migration.
pub(crate) fn generate(
    database: &mut Database,
    arguments: &Generate,
    output: &mut Output,
) -> Result<bool> {
    let known = registered(database)?;
    let mut targets = targets(database, arguments, &known)?;
    if targets.is_empty() && !arguments.all && retired(database)?.is_empty() {
        return Err(Failure::new(
            "no table is under audit yet: name one, `koherent migration generate TABLE`, or take --all",
        ));
    }
    let mut problems = Vec::new();
    let mut migration = Migration::default();
    let mut described = Vec::new();
    for target in &mut targets {
        // What fails half-way leaves nothing behind.
        let mut whole = migration.clone();
        let done = table(database, target).and_then(|live| {
            described.push(live.clone());
            match &target.before {
                Some(before) => follow(database, arguments, before, &live, &mut whole),
                None => begin(database, arguments, &live, &mut whole).map(drop),
            }
        });
        match done {
            Ok(()) => migration = whole,
            Err(failure) if target.is_named => return Err(failure),
            Err(failure) => problems.push(failure),
        }
    }
    if problems.is_empty() || !described.is_empty() {
        all_are_meant(arguments, &described)?;
    }
    write(database, arguments, &migration, problems.is_empty(), output)?;
    for problem in &problems {
        crate::report(problem);
    }
    Ok(problems.is_empty())
}

/// Writes the folder, or shows what it would hold.
fn write(
    database: &mut Database,
    arguments: &Generate,
    migration: &Migration,
    is_whole: bool,
    output: &mut Output,
) -> Result<()> {
    if migration.tables.is_empty() {
        return output.line(match is_whole {
            true if arguments.all => "nothing to do: all tables are under audit",
            true => "nothing to do: the histories fit their tables",
            false => "nothing to do for the other tables",
        });
    }
    let down: String = migration.down.iter().rev().map(String::as_str).collect();
    if arguments.dry_run {
        output.line("-- up.sql")?;
        output.line(migration.up.trim_end())?;
        output.line("-- down.sql")?;
        output.line(down.trim_end())?;
    } else {
        let name = format!("audit_{}", migration.tables.join("_"));
        let files = Files {
            folder: &arguments.migration_dir,
            name: arguments.name.as_ref().unwrap_or(&name),
            up: &migration.up,
            down: &down,
        };
        let folder = files.write(database.engine())?;
        output.line(&format!("wrote {}", folder.display()))?;
    }
    for note in &migration.notes {
        output.line(note)?;
    }
    Ok(())
}

/// A table to look at.
struct Target {
    name: String,
    /// What it was, where it is under audit.
    before: Option<Audited>,
    /// Whether somebody named it: then it must be done.
    is_named: bool,
}

fn targets(
    database: &mut Database,
    arguments: &Generate,
    known: &[Audited],
) -> Result<Vec<Target>> {
    let mut renamed = Vec::new();
    for (old, new) in renamed_tables(arguments)? {
        renamed.push(renamed_target(database, known, old, new)?);
    }
    let is_renamed = |audited: &Audited| {
        let name = audited.full_name();
        renamed.iter().any(|target: &Target| {
            let before = target.before.as_ref();
            before.is_some_and(|before| before.full_name() == name)
        })
    };
    let mut targets = Vec::new();
    if arguments.all {
        for name in candidates(database)? {
            let is_new = refuse_tools(database, known, &name).is_ok()
                && !known.iter().any(|audited| audited.full_name() == name)
                && !renamed.iter().any(|target| target.name == name);
            if is_new {
                targets.push(Target {
                    name,
                    before: None,
                    is_named: false,
                });
            }
        }
    } else if arguments.tables.is_empty() {
        let others = known.iter().filter(|audited| !is_renamed(audited));
        targets.extend(others.map(|audited| Target {
            name: audited.full_name(),
            before: Some(audited.clone()),
            is_named: false,
        }));
    }
    for name in &arguments.tables {
        refuse_tools(database, known, name)?;
        // As the database has it: `public.samples` is `samples`, where it is.
        let full_name =
            describe(database, name)?.map_or_else(|| name.clone(), |live| live.full_name());
        if renamed.iter().any(|target| target.name == full_name) {
            continue;
        }
        let before = known
            .iter()
            .find(|audited| audited.full_name() == full_name);
        targets.push(Target {
            name: name.clone(),
            before: before.cloned(),
            is_named: true,
        });
    }
    targets.extend(renamed);
    Ok(targets)
}

fn renamed_target(
    database: &mut Database,
    known: &[Audited],
    old: &str,
    new: &str,
) -> Result<Target> {
    let before = known.iter().find(|audited| audited.full_name() == old);
    let before = before.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(Audited::full_name).collect();
        Failure::new(format!(
            "--rename-table {old}={new}: no table `{old}` is under audit, these are: {}",
            names.join(", ")
        ))
    })?;
    if describe(database, new)?.is_none() {
        return Err(Failure::new(format!(
            "--rename-table {old}={new}: there is no table `{new}` in this database: run the migration that renames it first"
        )));
    }
    if known.iter().any(|audited| audited.full_name() == new) {
        return Err(Failure::new(format!(
            "--rename-table {old}={new}: `{new}` is under audit itself; `koherent retire {old}` keeps the history of a table that is gone"
        )));
    }
    Ok(Target {
        name: new.to_owned(),
        before: Some(before.clone()),
        is_named: true,
    })
}

/// The table, if it can have a history.
fn table(database: &mut Database, target: &Target) -> Result<Table> {
    let name = &target.name;
    let live = match describe(database, name)? {
        Some(live) => live,
        None => {
            return Err(match &target.before {
                Some(before) => gone(database, before),
                None => Failure::new(format!(
                    "there is no table `{name}` in this database: run the migration that creates it first, or write its name as the database has it"
                )),
            });
        }
    };
    if live.key.is_empty() {
        return Err(Failure::new(format!(
            "the table `{name}` has no primary key: history is that of a key, so give it one first"
        )));
    }
    match live.unfit {
        Some(unfit) => Err(Failure::new(format!("the table `{name}` {unfit}"))),
        None => Ok(live),
    }
}

/// Tables of tools, and histories, have no history.
fn refuse_tools(database: &mut Database, known: &[Audited], name: &str) -> Result<()> {
    /// Where tools keep which migrations have run.
    const TOOLS: [&str; 7] = [
        "schema_migrations",
        "_sqlx_migrations",
        "seaql_migrations",
        "refinery_schema_history",
        "flyway_schema_history",
        "databasechangelog",
        "sqlite_sequence",
    ];
    let table = name.rsplit('.').next().unwrap_or(name);
    let lower = table.to_lowercase();
    if lower.starts_with("koherent_") || lower.starts_with("__koherent_") {
        return Err(Failure::new(format!(
            "`{name}` is one of Koherent's own tables, which guard themselves: it cannot be put under audit"
        )));
    }
    if lower.starts_with("__diesel_") || TOOLS.contains(&lower.as_str()) {
        return Err(Failure::new(format!(
            "`{name}` is the table of a tool, which writes to it by itself: it cannot be put under audit"
        )));
    }
    let mut histories = known.to_vec();
    histories.extend(retired(database)?);
    let full_name = describe(database, name).ok().flatten().map_or_else(
        || name.to_owned(),
        |live| with_schema(live.schema.as_deref(), &live.name),
    );
    match histories
        .iter()
        .find(|audited| audited.full_history_name() == full_name)
    {
        Some(audited) => Err(Failure::new(format!(
            "`{name}` is the history of `{}`: a history has no history",
            audited.full_name()
        ))),
        None => Ok(()),
    }
}
