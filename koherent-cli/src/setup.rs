//! `koherent setup`: Koherent's own tables and routines, created or repaired.
//!
//! Which migrations have run is kept in a table of its own: in that of Diesel's command, `diesel migration redo` and `revert`
//! would meet migrations that are not in the application's folder. A database whose application has run them, or an earlier
//! version of this command, has them there; they are taken over.

use diesel::Connection;
use diesel::migration::{Migration, MigrationSource as _};
use diesel::query_builder::{QueryFragment, SqlQuery};
use diesel::query_dsl::methods::ExecuteDsl;
use diesel::result::Error as DieselError;
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
    let record = Record::read(&mut database)?;
    let done = match dry_run {
        true => record.pending(database.engine())?,
        false => database.set_up(&record)?,
    };
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

/// Which of Koherent's migrations have run.
pub(crate) struct Record {
    /// Those that this command has recorded.
    own: Vec<String>,
    /// Those that Diesel's table has, and this command's has not yet.
    elsewhere: Vec<String>,
}

impl Record {
    fn read(database: &mut Database) -> Result<Self> {
        let engine = database.engine();
        let read = |database: &mut Database, table: &str| -> Result<Vec<String>> {
            if describe(database, table)?.is_none() {
                return Ok(Vec::new());
            }
            let rows = database.rows(&[engine.text("version")], &format!("FROM {table}"))?;
            Ok(rows.into_iter().flatten().flatten().collect())
        };
        let versions = engine.migration_versions()?;
        let own = read(database, OWN_MIGRATIONS_TABLE)?;
        let mut elsewhere = read(database, DIESEL_MIGRATIONS_TABLE)?;
        elsewhere.retain(|version| versions.contains(version) && !own.contains(version));
        Ok(Self { own, elsewhere })
    }

    /// Those that have not run.
    fn pending(&self, engine: Engine) -> Result<Vec<String>> {
        let mut versions = engine.migration_versions()?;
        versions.retain(|version| !self.own.contains(version) && !self.elsewhere.contains(version));
        Ok(versions)
    }

    /// The statements that take over what Diesel's table has. A version is digits.
    fn take_over(&self) -> String {
        if self.elsewhere.is_empty() {
            return String::new();
        }
        let versions: Vec<_> = self
            .elsewhere
            .iter()
            .map(|version| format!("'{version}'"))
            .collect();
        let versions = versions.join(", ");
        format!(
            "INSERT INTO {OWN_MIGRATIONS_TABLE} (version, run_on) SELECT version, run_on FROM {DIESEL_MIGRATIONS_TABLE} AS d \
             WHERE version IN ({versions}) AND NOT EXISTS (SELECT 1 FROM {OWN_MIGRATIONS_TABLE} AS o WHERE o.version = d.version); \
             DELETE FROM {DIESEL_MIGRATIONS_TABLE} WHERE version IN ({versions});"
        )
    }
}

fn failed(failure: &Failure) -> Failure {
    let hint = match failure.lacks_right {
        true => ": connect as the owner of the schema, or grant CREATE on it",
        false => "",
    };
    Failure::new(format!(
        "Koherent's tables could not be created: {failure}{hint}"
    ))
}

/// Runs Koherent's own migrations that have not run, and says which. Whoever else migrates the database waits.
pub(crate) fn migrate<C>(mut connection: C, record: &Record) -> Result<Vec<String>>
where
    C: Connection + 'static,
    C::Backend: koherent_diesel::Engine,
    SqlQuery: QueryFragment<C::Backend> + ExecuteDsl<C>,
{
    let migrations = migrations::<C::Backend>()?;
    let done = koherent_diesel::with_migration_lock(&mut connection, |connection| {
        connection.batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS {OWN_MIGRATIONS_TABLE} (version VARCHAR(50) NOT NULL PRIMARY KEY, \
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        ))?;
        let take_over = record.take_over();
        if !take_over.is_empty() {
            connection.transaction(|connection| connection.batch_execute(&take_over))?;
        }
        let mut done = Vec::new();
        for migration in migrations {
            let version = migration.name().version().to_string();
            // Somebody else may have run it meanwhile.
            let is_recorded = <C::Backend as koherent_diesel::Engine>::probe(&format!(
                "EXISTS (SELECT 1 FROM {OWN_MIGRATIONS_TABLE} WHERE version = '{version}')"
            ));
            if connection.batch_execute(&is_recorded).is_ok() {
                continue;
            }
            connection.transaction(|connection| -> diesel::migration::Result<()> {
                migration.run(connection)?;
                connection.batch_execute(&format!(
                    "INSERT INTO {OWN_MIGRATIONS_TABLE} (version) VALUES ('{version}')"
                ))?;
                Ok(())
            })?;
            done.push(version);
        }
        Ok(done)
    });
    done.map_err(|error| {
        let failure = match error.downcast::<DieselError>() {
            Ok(error) => (*error).into(),
            Err(error) => Failure::new(error.to_string()),
        };
        failed(&failure)
    })
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
