//! `koherent retire`: a table is not under audit any more; its history stays, and nothing is added to it.

use std::path::PathBuf;

use clap::Args;

use crate::database::{Database, Engine, describe};
use crate::failure::{Failure, Result};
use crate::migration::folder::Files;
use crate::migration::statements::{Retirement, in_comment, resume, retire, triggers_only};
use crate::output::Output;
use crate::registry::{audited_one, successor};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The table. It need not be there any more.
    table: String,
    /// Who asks for it. By default the database's user.
    #[arg(long)]
    user: Option<String>,
    /// Why.
    #[arg(long, default_value = "the table is not under audit any more")]
    reason: String,
    /// Write it as a migration, for each database that the application has, and do nothing in this one.
    #[arg(long)]
    migration: bool,
    /// The folder of the migrations.
    #[arg(long, value_name = "FOLDER", default_value = "migrations")]
    migration_dir: PathBuf,
    /// Print the statements, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<()> {
    let engine = database.engine();
    if describe(database, "koherent_retired")?.is_none() {
        return Err(Failure::new(
            "Koherent's own tables are of an earlier version: run `koherent setup`, or `koherent_diesel::MIGRATIONS` in the application",
        ));
    }
    let table = audited_one(database, &arguments.table)?;
    let name = table.full_name();
    let there = describe(database, &name)?;
    if there.is_none()
        && let Some(new) = successor(database, &table)?
    {
        return Err(Failure::new(format!(
            "the table `{name}` is called `{new}` now, and has its guard still: `koherent migration generate --rename-table {name}={new}` lets \
             the history follow; `koherent retire {new}` may come behind that"
        )));
    }
    let nothing = crate::database::Table::nothing(&table.table);
    let tracked = table.tracked(there.as_ref().unwrap_or(&nothing));
    let retirement = Retirement {
        user: arguments.user.as_deref(),
        reason: &arguments.reason,
    };
    let up = format!(
        "-- {} is not under audit any more; {} stays.\n{}{}",
        in_comment(&name),
        in_comment(&table.history),
        triggers_only(&engine.unguard_ddl(tracked)),
        retire(engine, &table, &retirement)
    );
    let down = resume(engine, &table);
    if arguments.dry_run {
        output.line("-- up.sql")?;
        output.line(up.trim_end())?;
        output.line("-- down.sql")?;
        return output.line(down.trim_end());
    }
    if arguments.migration {
        let files = Files {
            folder: &arguments.migration_dir,
            name: &format!("retire_{}", table.table),
            up: &up,
            down: &down,
        };
        let folder = files.write(engine)?;
        return output.line(&format!("wrote {}", folder.display()));
    }
    match engine {
        Engine::Mysql => database.batch(&up)?,
        _ => database.transaction(|database| database.batch(&up))?,
    }
    output.line(&format!(
        "retired the history of {name}: `koherent log --table {name}` lists it; take the `audited!` line out of the application"
    ))
}
