//! The tables under audit, as `koherent_table` has them.

use std::collections::BTreeMap;

use koherent_diesel::__private::Name;
use koherent_diesel::{Policy, TrackedColumn, TrackedTable};

use crate::database::{Database, Engine, Table, describe};
use crate::failure::{Failure, Result};

/// A table under audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audited {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) history_schema: Option<String>,
    pub(crate) history: String,
    pub(crate) policy: Policy,
    /// Whether the guard was told to capture what triggers of the application write.
    pub(crate) captures_triggers: bool,
    /// The columns of the key, in the tracked table.
    pub(crate) key: Vec<String>,
    /// The kept columns, and their names in the history table.
    pub(crate) kept: Vec<(String, String)>,
    /// Columns that are kept out on purpose.
    pub(crate) excluded: Vec<String>,
    /// Columns that came later, and the last entry that knows nothing of them.
    pub(crate) since: BTreeMap<String, i64>,
    /// The names that the table had before.
    pub(crate) former: Vec<String>,
    /// Another name by which a retired history goes.
    pub(crate) alias: Option<String>,
}

impl Audited {
    /// What it is called here: the name of its table, or that of its history where another table has that name by now.
    pub(crate) fn full_name(&self) -> String {
        match &self.alias {
            Some(alias) => alias.clone(),
            None => self.full_tracked_name(),
        }
    }

    /// The name of its table.
    pub(crate) fn full_tracked_name(&self) -> String {
        with_schema(self.schema.as_deref(), &self.table)
    }

    pub(crate) fn full_history_name(&self) -> String {
        with_schema(self.history_schema.as_deref(), &self.history)
    }

    /// Where `koherent_table` has it: a condition.
    pub(crate) fn registration(&self, engine: Engine) -> String {
        format!(
            "tracked_schema = {} AND tracked_table = {}",
            engine.literal(self.schema.as_deref().unwrap_or_default()),
            engine.literal(&self.table)
        )
    }

    /// The statement that keeps the former names of a table with it.
    pub(crate) fn push_former(&self, engine: Engine) -> String {
        if self.former.is_empty() {
            return String::new();
        }
        let names = serde_json::Value::from(self.former.clone()).to_string();
        format!(
            "UPDATE koherent_table SET former_names = {} WHERE {};\n",
            engine.literal(&names),
            self.registration(engine)
        )
    }

    /// Its name and those that it had before, as a list of literals.
    pub(crate) fn all_names(&self, engine: Engine) -> String {
        let former = self.former.iter().map(|name| engine.literal(name));
        let all = std::iter::once(engine.literal(&self.full_name())).chain(former);
        all.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn quoted(&self, engine: Engine) -> String {
        engine.quote_table(self.schema.as_deref(), &self.table)
    }

    pub(crate) fn quoted_history(&self, engine: Engine) -> String {
        engine.quote_table(self.history_schema.as_deref(), &self.history)
    }

    /// The columns of the key: in the tracked table, and in the history table.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.key.iter().map(|key| {
            let kept = self.kept.iter().find(|(name, _)| name == key);
            (key.as_str(), kept.map_or(key.as_str(), |(_, name)| name))
        })
    }

    /// The same, as the library takes it. It lives as long as the program, which is not long.
    pub(crate) fn tracked(&self, live: &Table) -> &'static TrackedTable {
        let leak = |name: &str| -> &'static str { String::leak(name.to_owned()) };
        let columns = self.kept.iter().map(|(name, history_name)| {
            let declared = live.column(name).map_or("", |column| &column.declared);
            TrackedColumn::named(leak(name), leak(history_name), leak(declared))
        });
        Box::leak(Box::new(TrackedTable::new(
            Name::new(self.schema.as_deref().map(leak), leak(&self.table)),
            Name::new(
                self.history_schema.as_deref().map(leak),
                leak(&self.history),
            ),
            self.key.iter().map(|key| leak(key)).collect(),
            columns.collect(),
        )))
    }
}

/// `schema.table`, or `table`.
pub(crate) fn with_schema(schema: Option<&str>, table: &str) -> String {
    match schema {
        Some(schema) => format!("{schema}.{table}"),
        None => table.to_owned(),
    }
}

/// All tables under audit, or those of these names.
pub(crate) fn audited(database: &mut Database, names: &[String]) -> Result<Vec<Audited>> {
    let all = registered(database)?;
    if names.is_empty() {
        // Where all have been retired, nothing is left to look at.
        if all.is_empty() && retired(database)?.is_empty() {
            return Err(Failure::new(
                "no table is under audit in this database: put one under audit with `koherent migration generate TABLE`, and run the migration",
            ));
        }
        return Ok(all);
    }
    names
        .iter()
        .map(|name| {
            let found = find(database, &all, name)?;
            found.ok_or_else(|| not_audited(database, &all, name))
        })
        .collect()
}

/// The table of that name.
fn find(database: &mut Database, all: &[Audited], name: &str) -> Result<Option<Audited>> {
    // As the database has it: `public.samples` is `samples`, where it is.
    let known =
        describe(database, name)?.map_or_else(|| name.to_owned(), |table| table.full_name());
    let table = all.iter().find(|audited| audited.full_name() == known);
    Ok(table.cloned())
}

fn not_audited(database: &mut Database, all: &[Audited], name: &str) -> Failure {
    let is_retired = retired(database).is_ok_and(|retired| {
        let mut retired = retired.iter();
        retired.any(|audited| audited.full_name() == name)
    });
    if is_retired {
        return Failure::new(format!(
            "`{name}` is not under audit any more, its history is retired: `koherent log --table {name}` lists it"
        ));
    }
    let others: Vec<_> = all.iter().map(Audited::full_name).collect();
    let others = match others.len() {
        0 => "no table is yet".to_owned(),
        _ => format!("these are: {}", others.join(", ")),
    };
    Failure::new(format!(
        "`{name}` is not under audit ({others}): put it under audit with `koherent migration generate {name}`, and run the migration"
    ))
}

/// The table under audit of that name.
pub(crate) fn audited_one(database: &mut Database, name: &str) -> Result<Audited> {
    let mut found = audited(database, &[name.to_owned()])?;
    Ok(found.remove(0))
}

/// All tables with a history, also a retired one; or those of these names. A retired history goes by the name of its table,
/// unless another has that by now; and by its own name always.
pub(crate) fn with_history(database: &mut Database, names: &[String]) -> Result<Vec<Audited>> {
    let all = registered(database)?;
    let mut retired = retired(database)?;
    let mut taken: Vec<_> = all.iter().map(Audited::full_name).collect();
    for audited in &mut retired {
        let name = audited.full_name();
        if taken.contains(&name) {
            audited.alias = Some(audited.full_history_name());
        }
        taken.push(name);
    }
    if names.is_empty() {
        if retired.is_empty() {
            return audited(database, names);
        }
        return Ok(all.into_iter().chain(retired).collect());
    }
    names
        .iter()
        .map(|name| {
            if let Some(audited) = find(database, &all, name)? {
                return Ok(audited);
            }
            let named = |audited: &&Audited| {
                audited.full_name() == *name || audited.full_history_name() == *name
            };
            let found = retired.iter().find(named).cloned();
            found.ok_or_else(|| not_audited(database, &all, name))
        })
        .collect()
}

const COLUMNS: [&str; 10] = [
    "tracked_schema",
    "tracked_table",
    "history_schema",
    "history_table",
    "policy",
    "key_columns",
    "kept_columns",
    "history_columns",
    "excluded_columns",
    "kept_since",
];

/// What `koherent_table` has.
pub(crate) fn registered(database: &mut Database) -> Result<Vec<Audited>> {
    let Some(there) = describe(database, "koherent_table")? else {
        return Err(Failure::new(
            "Koherent's own tables are not in this database: run `koherent setup`, or `koherent_diesel::MIGRATIONS` in the application",
        ));
    };
    let mut values = COLUMNS
        .map(|column| database.engine().text(column))
        .to_vec();
    // A database of an earlier version does without.
    values.push(match there.column("former_names") {
        Some(_) => database.engine().text("former_names"),
        None => "NULL".to_owned(),
    });
    values.push(match there.column("captures_triggers") {
        Some(_) => database.engine().text("captures_triggers"),
        None => "NULL".to_owned(),
    });
    let rows = database.rows(
        &values,
        "FROM koherent_table ORDER BY tracked_schema, tracked_table",
    )?;
    Ok(rows.into_iter().map(read).collect())
}

/// What `koherent_retired` has, the latest first.
pub(crate) fn retired(database: &mut Database) -> Result<Vec<Audited>> {
    if describe(database, "koherent_retired")?.is_none() {
        return Ok(Vec::new());
    }
    let values = COLUMNS.map(|column| database.engine().text(column));
    let rows = match database.rows(
        &values,
        "FROM koherent_retired ORDER BY retired_at DESC, history_table",
    ) {
        // To whoever may not read it, there are none.
        Err(failure) if failure.lacks_right => Vec::new(),
        rows => rows?,
    };
    // The names that they had before are theirs no more.
    Ok(rows.into_iter().map(read).collect())
}

fn read(row: crate::database::Row) -> Audited {
    let mut values = row.into_iter().map(Option::unwrap_or_default);
    let mut next = || values.next().unwrap_or_default();
    let schema = |name: String| (!name.is_empty()).then_some(name);
    let names = |json: String| -> Vec<String> { serde_json::from_str(&json).unwrap_or_default() };
    let (tracked_schema, table) = (schema(next()), next());
    let (history_schema, history) = (schema(next()), next());
    let policy = match next().as_str() {
        "capture" => Policy::Capture,
        _ => Policy::Refuse,
    };
    let key = names(next());
    let kept = names(next());
    let there = names(next());
    Audited {
        schema: tracked_schema,
        table,
        history_schema,
        history,
        policy,
        key,
        kept: kept.into_iter().zip(there).collect(),
        excluded: names(next()),
        since: serde_json::from_str(&next()).unwrap_or_default(),
        former: names(next()),
        captures_triggers: next() == "1",
        alias: None,
    }
}

/// The live table of one under audit.
pub(crate) fn live(database: &mut Database, audited: &Audited) -> Result<Table> {
    match describe(database, &audited.full_name())? {
        Some(live) => Ok(live),
        None => Err(gone(database, audited)),
    }
}

/// What to do about a table that is not there any more.
pub(crate) fn gone(database: &mut Database, audited: &Audited) -> Failure {
    let name = audited.full_name();
    match successor(database, audited) {
        Ok(Some(new)) => Failure::new(format!(
            "the table `{name}` is called `{new}` now: `koherent migration generate --rename-table {name}={new}` writes the migration \
             with which its history follows"
        )),
        _ => Failure::new(format!(
            "the table `{name}` does not exist any more: `koherent retire {name}` keeps its history, read-only; where the table was \
             renamed, `koherent migration generate --rename-table {name}=NEW` lets it follow"
        )),
    }
}

/// The table that stands under the guard of one that is not there any more: it was renamed.
pub(crate) fn successor(database: &mut Database, audited: &Audited) -> Result<Option<String>> {
    let engine = database.engine();
    let (value, rest) = match engine {
        Engine::Postgres => (
            "tgrelid::regclass",
            format!(
                // Arguments end with a zero.
                "FROM pg_trigger WHERE tgname = 'koherent_guard_insert' \
                 AND position('\\x00'::bytea || convert_to({}, 'UTF8') || '\\x00'::bytea IN tgargs) > 0 \
                 AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = tgrelid)",
                engine.literal(&audited.history)
            ),
        ),
        Engine::Sqlite => (
            "tbl_name",
            format!(
                "FROM sqlite_schema WHERE type = 'trigger' AND name = {}",
                engine.literal(&format!("koherent_guard_{}_insert", audited.table))
            ),
        ),
        Engine::Mysql => (
            "CAST(event_object_table AS CHAR)",
            format!(
                "FROM information_schema.triggers WHERE event_object_schema = {} AND trigger_name = {}",
                match &audited.schema {
                    Some(schema) => engine.literal(schema),
                    None => "DATABASE()".to_owned(),
                },
                engine
                    .literal(&engine.bounded(&format!("koherent_guard_{}_insert", audited.table)))
            ),
        ),
    };
    let found = database.rows(&[value.to_owned()], &rest)?;
    let found = found.into_iter().flatten().flatten().next();
    Ok(found.filter(|name| *name != audited.full_name()))
}
