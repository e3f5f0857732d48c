//! What a database says of the declared tables, whichever engine it is.

use std::collections::BTreeMap;

use crate::table::{Name, TrackedTable};

/// The table of tasks.
pub(crate) const TASK_TABLE: Name = Name {
    schema: None,
    table: "koherent_task",
};

/// Tables as the database has them: those of [`wanted`], in that order.
#[derive(Debug)]
pub(crate) struct Catalog {
    tables: Vec<Stored>,
}

/// A table as the database has it. Without columns it is not there.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) columns: BTreeMap<String, StoredColumn>,
    /// Its unique indexes, but for the primary key.
    pub(crate) unique: Vec<String>,
    /// The columns of its primary key.
    pub(crate) key: Vec<String>,
    /// Its triggers, and the tables that only its guard needs.
    pub(crate) parts: Vec<String>,
    /// Its row in `koherent_table`, where it is guarded: the policy, and the kept columns as JSON.
    pub(crate) guard: Option<(String, String)>,
    /// What else the engine has against it.
    pub(crate) unfit: Vec<String>,
}

/// A column as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredColumn {
    /// The type it was declared with, as the engine names it.
    pub(crate) declared: String,
    pub(crate) nullable: bool,
    /// Whether it numbers rows by itself.
    pub(crate) numbers: bool,
}

/// The tables to look at: that of the tasks, then each tracked table and its history.
pub(crate) fn wanted(tables: &[&'static TrackedTable]) -> impl Iterator<Item = Name> {
    let tracked = tables.iter().flat_map(|table| [table.name, table.history]);
    std::iter::once(TASK_TABLE).chain(tracked)
}

impl Catalog {
    pub(crate) fn new(tables: &[&'static TrackedTable]) -> Self {
        let tables = wanted(tables).map(|_| Stored::default()).collect();
        Self { tables }
    }

    /// Adds a fact: the number of a table in [`wanted`], `column`, `key`, `unique`, `part`, `guard` or `unfit`, a name; of
    /// columns the type, `1` where it can be null, and `1` where it numbers rows; of guards the kept columns.
    pub(crate) fn add(&mut self, fact: [Option<String>; 6]) {
        let [table, what, name, declared, nullable, numbers] = fact;
        let table = table.and_then(|table| table.parse::<usize>().ok());
        let Some((table, name)) = table.and_then(|at| self.tables.get_mut(at)).zip(name) else {
            return;
        };
        let is_set = |flag: Option<String>| flag.as_deref() == Some("1");
        match what.as_deref() {
            Some("column") => {
                let column = StoredColumn {
                    declared: declared.unwrap_or_default(),
                    nullable: is_set(nullable),
                    numbers: is_set(numbers),
                };
                table.columns.insert(name, column);
            }
            Some("unique") => table.unique.push(name),
            Some("key") => table.key.push(name),
            Some("part") => table.parts.push(name),
            Some("guard") => table.guard = Some((name, declared.unwrap_or_default())),
            _ => table.unfit.push(name),
        }
    }

    pub(crate) fn tasks(&self) -> &Stored {
        &self.tables[0]
    }

    /// The tracked table of that number.
    pub(crate) fn base(&self, at: usize) -> &Stored {
        &self.tables[1 + 2 * at]
    }

    /// Its history.
    pub(crate) fn history(&self, at: usize) -> &Stored {
        &self.tables[2 + 2 * at]
    }
}
