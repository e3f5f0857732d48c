//! Following a change of a table that is under audit: its history gets the columns that the table has, and loses nothing.

use koherent_diesel::{Difference, Guard, Policy};

use super::alter::{Alteration, Retyped};
use super::begin::{anew, check_names, note_secrets, note_writers};
use super::declaration::declaration;
use super::options::{excluded_key, no_column, of_table, renamed_columns};
use super::rebuild::{Attachments, rebuild};
use super::statements::{Retirement, guard, in_comment, push_since, resume, retire, triggers_only};
use super::widens::widens;
use super::{Generate, Migration};
use crate::database::{Column, Database, Engine, Table, describe};
use crate::failure::{Failure, Result};
use crate::registry::Audited;
use crate::writers::{is_trigger_capture_optional, writers};

/// Writes what follows from the change of a table.
pub(super) fn follow(
    database: &mut Database,
    arguments: &Generate,
    before: &Audited,
    live: &Table,
    migration: &mut Migration,
) -> Result<()> {
    let engine = database.engine();
    let history = describe(database, &before.full_history_name())?.ok_or_else(|| {
        Failure::new(format!(
            "the history table `{}` does not exist any more: give it its name back if it was renamed, restore it from a backup if it is lost",
            before.history
        ))
    })?;
    let renames = renamed_columns(arguments, before, live)?;
    let is_renewed = arguments.new_history && !arguments.tables.is_empty();
    if is_renewed || !is_same_key(before, live, &renames) {
        return another_key(database, arguments, before, live, migration);
    }
    let mut after = renamed(before, live);
    if after.history_schema.is_none() {
        // A history goes without a schema where its table does.
        after.history_schema = home(database, before, &after)?;
    }
    exclude(arguments, before, live, &mut after, &mut migration.notes)?;
    after.policy = arguments.policy.map_or(before.policy, Into::into);
    let writers = writers(database, live)?;
    after.captures_triggers |= !writers.is_empty() && is_trigger_capture_optional(database)?;
    after.key.clone_from(&live.key);
    after.kept.clear();
    after.since.clear();

    let mut alteration = Alteration::new(engine, before, &history);
    let columns = Columns {
        engine,
        arguments,
        before,
        live,
        history: &history,
        renames: &renames,
    };
    columns.compare(&mut after, &mut alteration, &mut migration.notes)?;
    let others: Vec<_> = after.kept.iter().map(|(name, _)| name.clone()).collect();
    check_names(live, &others)?;
    let nullable = |there: &str| {
        let kept = after.kept.iter().find(|(_, name)| name == there);
        let column = kept.and_then(|(name, _)| live.column(name));
        column.is_none_or(|column| column.nullable && !live.key.contains(&column.name))
    };
    let added = alteration.write(&history, nullable);
    let is_needed = after != *before || !alteration.up.is_empty() || alteration.rebuilds;
    // A table that was made anew has lost its triggers.
    let missing = missing_parts(database, before, live)?;
    if !is_needed && missing.is_empty() && arguments.tables.is_empty() {
        return Ok(());
    }
    for name in &added {
        after.since.remove(name);
    }
    note_secrets(live, added.iter(), &mut migration.notes);
    if after.captures_triggers && !before.captures_triggers {
        note_writers(live, &writers, migration);
    }
    if !is_needed {
        migration.notes.push(format!(
            "note: the history of {} fits it; its guard is created anew",
            live.full_name()
        ));
    }
    let mut step = Step {
        engine,
        before,
        after: &after,
        live,
        renews_history: engine
            .append_only_parts(before.tracked(live))
            .iter()
            .any(|part| missing.contains(part)),
        home: home(database, before, &after)?,
        up: alteration.up.clone(),
        down: alteration.down.iter().rev().cloned().collect(),
    };
    if alteration.rebuilds {
        step.rebuild(database, &alteration, &history)?;
    }
    migration.up.push_str(&step.up(&added)?);
    let down = step.down()?;
    migration.down.push(down);
    migration.notes.push(declaration(&after));
    migration.tables.push(live.name.clone());
    Ok(())
}

/// The parts of the guard that are missing, and of what keeps the history from being changed.
fn missing_parts(database: &mut Database, before: &Audited, live: &Table) -> Result<Vec<String>> {
    if before.full_name() != live.full_name() {
        return Ok(Vec::new());
    }
    let differences = database.check(vec![before.tracked(live)])?;
    let parts = differences
        .into_iter()
        .filter_map(|difference| match difference {
            Difference::Unguarded { part, .. } => Some(part),
            _ => None,
        });
    Ok(parts.collect())
}

/// The schema of tables without one, where a table changes its schema (PostgreSQL).
fn home(database: &mut Database, before: &Audited, after: &Audited) -> Result<Option<String>> {
    if database.engine() != Engine::Postgres || before.schema == after.schema {
        return Ok(None);
    }
    let history = database
        .engine()
        .literal(&before.quoted_history(Engine::Postgres));
    let schemas = match &before.history_schema {
        None => database.rows(
            &["nspname".to_owned()],
            &format!("FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE pg_class.oid = to_regclass({history})"),
        )?,
        Some(_) => database.rows(&["current_schema()".to_owned()], "")?,
    };
    Ok(schemas.into_iter().flatten().flatten().next())
}

/// The table by its present name.
fn renamed(before: &Audited, live: &Table) -> Audited {
    let mut after = before.clone();
    if before.full_name() != live.full_name() {
        after.table.clone_from(&live.name);
        after.schema.clone_from(&live.schema);
        after.former.push(before.full_name());
    }
    after
}

/// Sets which columns are kept out.
fn exclude(
    arguments: &Generate,
    before: &Audited,
    live: &Table,
    after: &mut Audited,
    notes: &mut Vec<String>,
) -> Result<()> {
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
            notes.push(format!(
                "note: what `{}` had in `{}.{name}` up to now stays in its history",
                live.full_name(),
                live.name
            ));
        }
        if !after.excluded.contains(&name) {
            after.excluded.push(name);
        }
    }
    Ok(())
}

/// A comparison of the columns of a table with those of its history.
struct Columns<'c> {
    engine: Engine,
    arguments: &'c Generate,
    before: &'c Audited,
    live: &'c Table,
    history: &'c Table,
    renames: &'c [(String, String)],
}

impl<'c> Columns<'c> {
    /// Says what becomes of each column.
    fn compare(
        &self,
        after: &mut Audited,
        alteration: &mut Alteration<'c>,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        for column in &self.live.columns {
            if after.excluded.contains(&column.name) {
                continue;
            }
            let Some((name, there)) = self.kept_before(column) else {
                alteration.adds(column, &column.name);
                after.kept.push((column.name.clone(), column.name.clone()));
                continue;
            };
            let to = if there == name { &column.name } else { there };
            after.kept.push((column.name.clone(), to.clone()));
            let Some(stored) = self.history.column(there) else {
                alteration.adds(column, to);
                continue;
            };
            match self.fit(column, stored)? {
                Fit::Same => alteration.keeps(there, to, None),
                Fit::Retyped(retyped) => alteration.keeps(there, to, Some(retyped)),
                Fit::SetAside => {
                    // What stands there is nobody's any more.
                    alteration.adds(column, to);
                    notes.push(self.set_aside(column, stored));
                }
            }
            if let Some(since) = self.before.since.get(name) {
                after.since.insert(column.name.clone(), *since);
            }
        }
        Ok(())
    }

    /// The column's name before, and its name in the history.
    fn kept_before(&self, column: &Column) -> Option<&'c (String, String)> {
        let renamed = self.renames.iter().find(|(_, new)| *new == column.name);
        let is_taken = self.renames.iter().any(|(old, _)| *old == column.name);
        let old = match renamed {
            Some((old, _)) => old,
            None if is_taken => return None,
            None => &column.name,
        };
        self.before.kept.iter().find(|(name, _)| name == old)
    }

    fn fit(&self, column: &'c Column, stored: &'c Column) -> Result<Fit<'c>> {
        let (engine, from, to) = (self.engine, &stored.declared, &column.kept);
        // A type of the application's own, which a history does not pin any more.
        let is_pinned = *from == column.declared && without_length(from) != without_length(to);
        if from == to || engine.holds(&column.declared, from) && !is_pinned {
            return Ok(Fit::Same);
        }
        let is_cast = of_table(&self.arguments.cast, self.live).contains(&column.name);
        if is_cast || is_pinned || widens(engine, from, to) {
            return Ok(Fit::Retyped((stored, column)));
        }
        if !self.live.key.contains(&column.name) {
            return Ok(Fit::SetAside);
        }
        // Entries of another type could not be found any more. SQLite takes each value as it can.
        match engine {
            Engine::Sqlite => Ok(Fit::Retyped((stored, column))),
            Engine::Postgres | Engine::Mysql => Err(Failure::new(format!(
                "`{table}.{name}` is part of the key, and its type changed from {from} to {}, so its entries could not be found any more: \
                 --cast {name} casts them, where each of them can be cast; `koherent migration generate {table} --new-history` retires \
                 them as they are, and begins a new history",
                column.declared,
                table = self.live.full_name(),
                name = column.name,
            ))),
        }
    }

    fn set_aside(&self, column: &Column, stored: &Column) -> String {
        format!(
            "note: the old values of `{}.{}` ({}) are set aside in their history, because not each of them need be one of {}; \
             --cast {} casts them",
            self.live.full_name(),
            column.name,
            stored.declared,
            column.declared,
            column.name
        )
    }
}

/// `character varying(20)` is `character varying`.
fn without_length(declared: &str) -> String {
    match (declared.find('('), declared.find(')')) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{}", &declared[..from], &declared[to + 1..])
        }
        _ => declared.to_owned(),
    }
}

/// How the column of a history fits that of its table.
enum Fit<'c> {
    Same,
    Retyped(Retyped<'c>),
    SetAside,
}

/// The statements for one table.
struct Step<'s> {
    engine: Engine,
    before: &'s Audited,
    after: &'s Audited,
    live: &'s Table,
    /// Whether what keeps the history from being changed is missing.
    renews_history: bool,
    /// The schema that goes without saying, where a table has left it or come to it.
    home: Option<String>,
    up: String,
    down: String,
}

impl Step<'_> {
    /// Makes the history table anew where SQLite cannot change it.
    fn rebuild(
        &mut self,
        database: &mut Database,
        alteration: &Alteration<'_>,
        history: &Table,
    ) -> Result<()> {
        let name = &self.before.history;
        let attachments = Attachments::read(database, name)?;
        let own = self.engine.history_ddl(self.after.tracked(self.live));
        let columns = alteration.columns(history, self.after, self.live);
        self.up
            .push_str(&rebuild(name, &columns, &own, &attachments));
        let columns = alteration.columns_before(history);
        let down = rebuild(name, &columns, &own, &attachments);
        self.down.insert_str(0, &down);
        Ok(())
    }

    fn is_renamed(&self) -> bool {
        self.before.full_name() != self.after.full_name()
    }

    fn up(&self, added: &[String]) -> Result<String> {
        let (was, is) = (
            self.before.tracked(self.live),
            self.after.tracked(self.live),
        );
        let engine = self.engine;
        let mut sql = format!(
            "-- The history of {} follows its table.\n",
            in_comment(&self.live.full_name())
        );
        // What fails half-way where DDL is no transaction leaves the guard where it is, and the table registered.
        let mut triggers = triggers_only(&engine.unguard_ddl(was));
        if self.is_renamed() {
            // Where triggers go by the name of their table, that is the new one.
            if engine == Engine::Postgres {
                triggers = triggers_only(&engine.unguard_ddl(is));
            }
        }
        let renews = self.is_renamed() || self.renews_history;
        if renews {
            triggers.push_str(&engine.drop_append_only_ddl(was));
        }
        if engine == Engine::Mysql {
            sql.push_str(&self.up);
            sql.push_str(&triggers);
        } else {
            sql.push_str(&triggers);
            sql.push_str(&self.up);
        }
        if renews {
            sql.push_str(&engine.append_only_ddl(is));
        }
        if self.is_renamed() {
            sql.push_str(&format!(
                "DELETE FROM koherent_table WHERE {};\n",
                self.before.registration(engine)
            ));
        }
        sql.push_str(&engine.guard_ddl(is, &guard(self.after, self.live)?));
        sql.push_str(&push_since(engine, self.after, added));
        sql.push_str(&self.after.push_former(engine));
        Ok(sql)
    }

    /// Gives a table the name of another.
    fn rename(&self, from: &Audited, to: &Audited) -> String {
        let engine = self.engine;
        let mut sql = String::new();
        let mut here = from.quoted(engine);
        if from.table != to.table {
            // A table is renamed within its schema.
            let name = match engine {
                Engine::Postgres | Engine::Sqlite => engine.quote(&to.table),
                Engine::Mysql => to.quoted(engine),
            };
            sql.push_str(&format!("ALTER TABLE {here} RENAME TO {name};\n"));
            here = engine.quote_table(from.schema.as_deref(), &to.table);
        }
        if engine == Engine::Postgres
            && from.schema != to.schema
            && let Some(schema) = to.schema.as_ref().or(self.home.as_ref())
        {
            let schema = engine.quote(schema);
            sql.push_str(&format!("ALTER TABLE {here} SET SCHEMA {schema};\n"));
        }
        sql
    }

    fn down(&self) -> Result<String> {
        let (was, is) = (
            self.before.tracked(self.live),
            self.after.tracked(self.live),
        );
        let engine = self.engine;
        let mut sql = triggers_only(&engine.unguard_ddl(is));
        if self.down.contains("DROP COLUMN") {
            sql.push_str("-- What was recorded since in columns that are taken away is lost.\n");
        }
        if self.is_renamed() {
            sql.push_str(&engine.drop_append_only_ddl(is));
        }
        sql.push_str(&self.down);
        let mut earlier = guard(self.before, self.live)?;
        let columns_are_there = self
            .before
            .kept
            .iter()
            .all(|(name, _)| self.live.column(name).is_some());
        let names_columns = match engine {
            Engine::Postgres => false,
            Engine::Sqlite => self.before.policy == Policy::Capture,
            Engine::Mysql => self.before.policy == Policy::Capture || self.before.captures_triggers,
        };
        if names_columns && !columns_are_there {
            sql.push_str(
                "-- Triggers cannot name columns that are not there yet, so until the next migration writes are refused.\n",
            );
            earlier = Guard::refuse().excluding(self.before.excluded.iter().map(String::as_str));
        }
        if self.is_renamed() {
            sql.push_str(&format!(
                "DELETE FROM koherent_table WHERE {};\n",
                self.after.registration(engine)
            ));
            sql.push_str(
                "-- A guard is made under the name of its table; the table gets its name back when the migration that renamed it is undone.\n",
            );
            sql.push_str(&self.rename(self.after, self.before));
            sql.push_str(&engine.append_only_ddl(was));
        }
        sql.push_str(&engine.guard_ddl(was, &earlier));
        if self.is_renamed() {
            sql.push_str(&self.rename(self.before, self.after));
        }
        sql.push_str(&push_since(engine, self.before, &[]));
        let mut before = self.before.clone();
        if self.is_renamed() {
            // It had that name meanwhile.
            before.former.push(self.after.full_name());
        }
        sql.push_str(&before.push_former(engine));
        Ok(sql)
    }
}

fn is_same_key(before: &Audited, live: &Table, renames: &[(String, String)]) -> bool {
    let renamed = |key: &String| {
        let rename = renames.iter().find(|(old, _)| old == key);
        rename.map_or(key, |(_, new)| new).clone()
    };
    let mut was: Vec<_> = before.key.iter().map(renamed).collect();
    let mut is = live.key.clone();
    was.sort_unstable();
    is.sort_unstable();
    was == is
}

/// Another key is another history: the present one is retired, and a new one begins.
fn another_key(
    database: &mut Database,
    arguments: &Generate,
    before: &Audited,
    live: &Table,
    migration: &mut Migration,
) -> Result<()> {
    let engine = database.engine();
    if !arguments.new_history {
        return Err(Failure::new(format!(
            "the key of `{0}` was ({1}) and is ({2}): where a column was renamed, say --rename OLD=NEW; another key is another history, \
             so `koherent migration generate {0} --new-history` retires the present one, which stays as it is, and begins a new one",
            live.full_name(),
            before.key.join(", "),
            live.key.join(", ")
        )));
    }
    let mut after = renamed(before, live);
    exclude(arguments, before, live, &mut after, &mut migration.notes)?;
    let policy = arguments.policy.map_or(before.policy, Into::into);
    let was = match engine {
        Engine::Postgres => renamed(before, live),
        _ => before.clone(),
    };
    migration.up.push_str(&format!(
        "-- {} gets another history; {} stays.\n",
        in_comment(&live.full_name()),
        in_comment(&before.history)
    ));
    migration
        .up
        .push_str(&triggers_only(&engine.unguard_ddl(was.tracked(live))));
    let reason = format!(
        "a new history begins; its key was ({})",
        before.key.join(", ")
    );
    let retirement = Retirement {
        user: None,
        reason: &reason,
    };
    migration.up.push_str(&retire(engine, before, &retirement));
    // Undone after what follows.
    migration.down.push(resume(engine, before));
    anew(database, live, after.excluded, policy, migration)?;
    migration.notes.push(format!(
        "note: `{}` is retired and stays; `koherent baseline {}` gives each row its first entry in the new history",
        before.history,
        live.full_name()
    ));
    Ok(())
}
