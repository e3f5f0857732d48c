//! `koherent setup`: Koherent's own tables and routines, created or repaired.
//!
//! Which migrations have run is kept in a table of its own: in that of Diesel's command, `diesel migration redo` and `revert`
//! would meet migrations that are not in the application's folder. A database whose application has run them, or an earlier
//! version of this command, has them there; they are taken over.

use diesel::Connection;
use diesel::migration::{Migration, MigrationSource as _};
use koherent_diesel::__private::{OWN_MIGRATIONS_TABLE, ObjectKind};
use koherent_diesel::Difference;

use crate::database::{Database, Engine, describe};
use crate::failure::{Failure, Result};
use crate::migration::statements::{guard, push_since, triggers_only};
use crate::output::Output;
use crate::own::{missing, orphans};
use crate::registry::{Audited, live, registered};

/// The table of Diesel's command.
const DIESEL_MIGRATIONS_TABLE: &str = "__diesel_schema_migrations";

pub(crate) fn run(url: &str, dry_run: bool, output: &mut Output) -> Result<()> {
    let mut database = Database::connect(url)?;
    let taken_over = recorded(&mut database, dry_run)?;
    let done = database.set_up(&taken_over, dry_run)?;
    let mut database = Database::connect(url)?;
    let repaired = match dry_run && !done.is_empty() {
        true => Vec::new(),
        false => repair(&mut database, dry_run)?,
    };
    if done.is_empty() && repaired.is_empty() {
        return output.line("nothing to do: Koherent's tables are there");
    }
    if !done.is_empty() {
        let verb = if dry_run { "would run" } else { "ran" };
        output.line(&format!("{verb} the migrations {}", done.join(", ")))?;
    }
    for what in repaired {
        let verb = if dry_run { "would create" } else { "created" };
        output.line(&format!("{verb} {what} anew"))?;
    }
    Ok(())
}

/// The migrations that have run. Those that Diesel's table has are taken over, unless this is a dry run.
fn recorded(database: &mut Database, dry_run: bool) -> Result<Vec<String>> {
    let engine = database.engine();
    let read = |database: &mut Database, table: &str| -> Result<Vec<String>> {
        if describe(database, table)?.is_none() {
            return Ok(Vec::new());
        }
        let rows = database.rows(&[engine.text("version")], &format!("FROM {table}"))?;
        Ok(rows.into_iter().flatten().flatten().collect())
    };
    let own = engine.migration_versions()?;
    let mut recorded = read(database, OWN_MIGRATIONS_TABLE)?;
    let elsewhere: Vec<_> = read(database, DIESEL_MIGRATIONS_TABLE)?
        .into_iter()
        .filter(|version| own.contains(version) && !recorded.contains(version))
        .collect();
    if !dry_run {
        database
            .batch(&format!(
                "CREATE TABLE IF NOT EXISTS {OWN_MIGRATIONS_TABLE} (version VARCHAR(50) NOT NULL PRIMARY KEY, \
                 run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
            ))
            .map_err(failed)?;
        if !elsewhere.is_empty() {
            let versions: Vec<_> = elsewhere
                .iter()
                .map(|version| engine.literal(version))
                .collect();
            let versions = versions.join(", ");
            database.transaction(|database| {
                database.batch(&format!(
                    "INSERT INTO {OWN_MIGRATIONS_TABLE} (version, run_on) SELECT version, run_on FROM {DIESEL_MIGRATIONS_TABLE} \
                     WHERE version IN ({versions}); DELETE FROM {DIESEL_MIGRATIONS_TABLE} WHERE version IN ({versions});"
                ))
            })?;
        }
    }
    recorded.extend(elsewhere);
    Ok(recorded)
}

fn failed(failure: Failure) -> Failure {
    let hint = match failure.lacks_right {
        true => ": connect as the owner of the schema, or grant CREATE on it",
        false => "",
    };
    Failure::new(format!(
        "Koherent's tables could not be created: {failure}{hint}"
    ))
}

/// Runs Koherent's own migrations but those, and says which; or says which it would run.
pub(crate) fn migrate<C>(
    mut connection: C,
    recorded: &[String],
    dry_run: bool,
) -> Result<Vec<String>>
where
    C: Connection + 'static,
    C::Backend: koherent_diesel::Engine,
{
    let migrations = migrations::<C::Backend>()?;
    let mut done = Vec::new();
    for migration in migrations {
        let version = migration.name().version().to_string();
        if recorded.contains(&version) {
            continue;
        }
        if !dry_run {
            let run = connection.transaction(|connection| -> diesel::migration::Result<()> {
                migration.run(connection)?;
                connection.batch_execute(&format!(
                    "INSERT INTO {OWN_MIGRATIONS_TABLE} (version) VALUES ('{version}')"
                ))?;
                Ok(())
            });
            run.map_err(|error| {
                failed(match error.downcast::<diesel::result::Error>() {
                    Ok(error) => (*error).into(),
                    Err(error) => Failure::new(error.to_string()),
                })
            })?;
        }
        done.push(version);
    }
    Ok(done)
}

/// Koherent's own migrations, oldest first.
pub(crate) fn migrations<DB: koherent_diesel::Engine>() -> Result<Vec<Box<dyn Migration<DB>>>> {
    let mut migrations = DB::migrations()
        .migrations()
        .map_err(|error| Failure::new(error.to_string()))?;
    migrations.sort_by(|one, other| one.name().version().cmp(&other.name().version()));
    Ok(migrations)
}

/// Creates what is missing of Koherent's own, and of the guards of the tables under audit.
fn repair(database: &mut Database, dry_run: bool) -> Result<Vec<String>> {
    let mut repaired = repair_own(database, dry_run)?;
    for table in registered(database)? {
        // One that is not there any more is for `check` to tell.
        if let Ok(what) = repair_table(database, &table, dry_run) {
            repaired.extend(what);
        }
    }
    Ok(repaired)
}

fn repair_own(database: &mut Database, dry_run: bool) -> Result<Vec<String>> {
    let mut repaired = Vec::new();
    let orphans = orphans(database)?;
    let mut wanted = missing(database)?;
    for object in database.engine().objects() {
        let is_orphan = orphans
            .iter()
            .any(|orphan| orphan.kind == object.kind.name() && orphan.name == object.name);
        if is_orphan {
            if !dry_run {
                database.batch(&format!("DROP {} {}", object.kind, object.name))?;
            }
            wanted.push(object);
        }
    }
    for object in wanted {
        if !dry_run {
            database.batch(&object.sql)?;
        }
        repaired.push(format!("the {} `{}`", object.kind, object.name));
    }
    let engine = database.engine();
    if engine == Engine::Sqlite
        && !dry_run
        && database.number("count(*)", "FROM koherent_session")? == 0
    {
        database.batch("INSERT INTO koherent_session (id) VALUES (1)")?;
    }
    if engine == Engine::Postgres && !repaired.is_empty() && !dry_run {
        // They run with the rights of their owner.
        let functions = engine.objects().into_iter().filter(|object| {
            object.kind == ObjectKind::Function && object.sql.contains("SECURITY DEFINER")
        });
        for function in functions {
            database.batch(&format!(
                "REVOKE EXECUTE ON FUNCTION {}() FROM PUBLIC",
                function.name
            ))?;
        }
    }
    Ok(repaired)
}

/// Makes the guard of a table anew where a part of it is missing, and what keeps its history from being changed.
fn repair_table(database: &mut Database, table: &Audited, dry_run: bool) -> Result<Vec<String>> {
    let engine = database.engine();
    let there = live(database, table)?;
    let tracked = table.tracked(&there);
    let unguarded: Vec<_> = database
        .check(vec![tracked])?
        .into_iter()
        .filter_map(|difference| match difference {
            Difference::Unguarded { part, .. } => Some(part),
            _ => None,
        })
        .collect();
    let orphans: Vec<_> = orphans(database)?
        .into_iter()
        .map(|orphan| orphan.name)
        .collect();
    let is_broken = |parts: &[String]| {
        parts
            .iter()
            .any(|part| unguarded.contains(part) || orphans.contains(part))
    };
    let mut repaired = Vec::new();
    if is_broken(&engine.append_only_parts(tracked)) {
        let sql = engine.drop_append_only_ddl(tracked) + &engine.append_only_ddl(tracked);
        if !dry_run {
            database.batch(&sql)?;
        }
        repaired.push(format!("what keeps `{}` from being changed", table.history));
    }
    if is_broken(&engine.guard_parts(tracked, table.policy)) {
        let sql = triggers_only(&engine.unguard_ddl(tracked))
            + &engine.guard_ddl(tracked, &guard(table, &there)?)
            + &push_since(engine, table, &[])
            + &table.push_former(engine);
        if !dry_run {
            match engine {
                Engine::Mysql => database.batch(&sql)?,
                _ => database.transaction(|database| database.batch(&sql))?,
            }
        }
        repaired.push(format!("the guard of `{}`", table.full_name()));
    }
    Ok(repaired)
}
