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
    /// The columns of the key, in the tracked table.
    pub(crate) key: Vec<String>,
    /// The kept columns, and their names in the history table.
    pub(crate) kept: Vec<(String, String)>,
    /// Columns that are kept out on purpose.
    pub(crate) excluded: Vec<String>,
    /// Columns that came later, and the last entry that knows nothing of them.
    pub(crate) since: BTreeMap<String, i64>,
}

impl Audited {
    pub(crate) fn full_name(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.table),
            None => self.table.clone(),
        }
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

/// All tables under audit, or those of these names.
pub(crate) fn audited(database: &mut Database, names: &[String]) -> Result<Vec<Audited>> {
    let all = registered(database)?;
    if names.is_empty() {
        if all.is_empty() {
            return Err(Failure::new(
                "no table is under audit in this database: put one under audit with `koherent migration generate TABLE`, and run the migration",
            ));
        }
        return Ok(all);
    }
    let mut found = Vec::new();
    for name in names {
        // As the database has it: `public.samples` is `samples`, where it is.
        let known =
            describe(database, name)?.map_or_else(|| name.clone(), |table| table.full_name());
        let table = all.iter().find(|audited| audited.full_name() == known);
        found.push(table.cloned().ok_or_else(|| {
            let others: Vec<_> = all.iter().map(Audited::full_name).collect();
            let others = match others.len() {
                0 => "no table is yet".to_owned(),
                _ => format!("these are: {}", others.join(", ")),
            };
            Failure::new(format!(
                "`{name}` is not under audit ({others}): put it under audit with `koherent migration generate {name}`, and run the migration"
            ))
        })?);
    }
    Ok(found)
}

/// The table under audit of that name.
pub(crate) fn audited_one(database: &mut Database, name: &str) -> Result<Audited> {
    let mut found = audited(database, &[name.to_owned()])?;
    Ok(found.remove(0))
}

/// What `koherent_table` has; nothing where there is none.
pub(crate) fn registered(database: &mut Database) -> Result<Vec<Audited>> {
    if describe(database, "koherent_table")?.is_none() {
        return Err(Failure::new(
            "Koherent's own tables are not in this database: run `koherent setup`, or `koherent_diesel::MIGRATIONS` in the application",
        ));
    }
    let text = |column: &str| database.engine().text(column);
    let values = [
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
    ]
    .map(text);
    let rows = database.rows(
        &values,
        "FROM koherent_table ORDER BY tracked_schema, tracked_table",
    )?;
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
    }
}

/// The live table of one under audit.
pub(crate) fn live(database: &mut Database, audited: &Audited) -> Result<Table> {
    describe(database, &audited.full_name())?.ok_or_else(|| {
        Failure::new(format!(
            "the table `{}` does not exist any more: run the down.sql of the migration that put it under audit, or create the table",
            audited.full_name()
        ))
    })
}
