//! Does the database have what was declared?

use diesel::row::Row;

use crate::catalog::{Catalog, Stored, TASK_TABLE};
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::guard::Policy;
use crate::reading::Reading;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::table::{Name, TrackedTable};

/// One way in which the database differs from what was declared, and what to do about it.
///
/// ```
/// use koherent_diesel::Difference;
/// let difference = Difference::MissingTable { table: "koherent_task".into() };
/// assert!(difference.to_string().contains("run the migrations"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// A table is not there.
    #[error(
        "the table `{table}` does not exist: run the migrations that create it (for `koherent_task`: `koherent setup`, or \
         `koherent_diesel::MIGRATIONS`); if it was renamed, change its declaration"
    )]
    MissingTable {
        /// The table.
        table: String,
    },
    /// A table lacks a column.
    #[error(
        "the table `{table}` lacks the column `{column}`: `koherent migration generate` writes the migration that follows a change \
         of a table, and `koherent setup` runs those of Koherent's own; if the column is gone, or renamed, change the declaration"
    )]
    MissingColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column has a type that does not fit its declaration.
    #[error(
        "the column `{column}` of the table `{table}` has the type `{found}`, which is not that of {expected}: \
         `koherent migration generate` writes the migration by which a history follows its table; a declaration follows by hand"
    )]
    WrongType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The type in the database.
        found: String,
        /// What was declared.
        expected: String,
    },
    /// The primary key of a table is another one than was declared.
    #[error(
        "the table `{table}` has the primary key ({found}), not ({expected}): change its declaration, and where the key is another \
         one, begin a new history with `koherent migration generate {table} --new-history`, which keeps the old one"
    )]
    OtherKey {
        /// The table.
        table: String,
        /// Its key in the database.
        found: String,
        /// What was declared.
        expected: String,
    },
    /// A column of a history table refuses NULL where there can be none.
    #[error(
        "the column `{column}` of the table `{table}` is NOT NULL, but there are entries without a value for it: \
         `koherent migration generate` writes the migration that drops NOT NULL"
    )]
    NotNull {
        /// The history table.
        table: String,
        /// The column.
        column: String,
    },
    /// The entries of a history table are not numbered.
    #[error("the table `{table}` does not number its entries: declare `history_id` as {expected}")]
    NotNumbered {
        /// The history table.
        table: String,
        /// How to declare it.
        expected: &'static str,
    },
    /// The engine has something against a table.
    #[error("the table `{table}` {problem}")]
    Unfit {
        /// The table.
        table: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A guarded table lacks a part of its guard, or its history table lacks what keeps it from being changed; or it is
    /// disabled.
    #[error(
        "the table `{table}` is not guarded: `{part}` is missing or disabled. The command `koherent setup` creates it anew, or what \
         `guard_ddl` and `history_ddl` write"
    )]
    Unguarded {
        /// The table.
        table: String,
        /// The trigger, or the table that stands for one.
        part: String,
    },
    /// The guard of a table keeps other columns than are declared.
    #[error(
        "the guard of the table `{table}` keeps the columns ({found}), not ({expected}): create it anew with the command \
         `koherent migration generate`, or change the declaration"
    )]
    OtherGuard {
        /// The table.
        table: String,
        /// What the guard keeps.
        found: String,
        /// What was declared.
        expected: String,
    },
    /// A history table has a unique index, which refuses a row's second entry.
    #[error(
        "the table `{table}` has the unique index `{index}`, but the entries of one row repeat its values: drop it in a \
         migration"
    )]
    Unique {
        /// The history table.
        table: String,
        /// The index.
        index: String,
    },
}

/// Compares declared tables, their history tables and `koherent_task` with the database, and lists every difference.
///
/// Services call it at start, so that a forgotten migration is one clear line and not the first failed change.
///
/// # Errors
///
/// [`Error::Diesel`] where the database cannot be asked.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection();
/// use koherent_diesel::{Audited, check};
///
/// let differences = check(conn, [samples::table::tracked()])?;
/// assert_eq!(differences, []);
/// # Ok(())
/// # }
/// ```
pub fn check<C: Driver>(
    connection: &mut C,
    tables: impl IntoIterator<Item = &'static TrackedTable>,
) -> C::Reply<'_, Result<Vec<Difference>, Error>> {
    let tables: Vec<_> = tables.into_iter().collect();
    let work = C::Backend::catalog(&tables).map_err(Error::Diesel);
    let catalog = Catalog::new(&tables);
    connection.run(work, Differences { tables, catalog }, Ours)
}

/// What the database says, while it is read.
struct Differences {
    tables: Vec<&'static TrackedTable>,
    catalog: Catalog,
}

impl<DB: Engine> Reading<DB> for Differences {
    type Output = Vec<Difference>;

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        let mut cells = DB::cells(row).into_iter();
        self.catalog
            .add(std::array::from_fn(|_| cells.next().and_then(DB::text)));
        Ok(())
    }

    fn finish(self, _: usize) -> Result<Self::Output, Error> {
        let mut found = Vec::new();
        let tasks = self.catalog.tasks();
        if is_there(TASK_TABLE, tasks, &mut found) {
            missing(TASK_TABLE, tasks, TASK_COLUMNS, &mut found);
        }
        for (at, table) in self.tables.iter().enumerate() {
            let (base, history) = (self.catalog.base(at), self.catalog.history(at));
            if is_there(table.name, base, &mut found) {
                let names = table.columns.iter().map(|column| column.name);
                missing(table.name, base, names, &mut found);
                compare_key(table, base, &mut found);
            }
            if is_there(table.history, history, &mut found) {
                let kept = table.columns.iter().map(|column| column.history_name);
                let wanted = ["history_id"]
                    .into_iter()
                    .chain(kept)
                    .chain(ATTRIBUTION_COLUMNS);
                missing(table.history, history, wanted, &mut found);
                compare_numbering::<DB>(table.history, history, &mut found);
                found.extend(history.unique.iter().map(|index| Difference::Unique {
                    table: table.history.table.to_owned(),
                    index: index.clone(),
                }));
            }
            compare_guard::<DB>(table, base, history, &mut found);
            compare_types::<DB>(table, base, history, &mut found);
            compare_nullability(table, base, history, &mut found);
        }
        Ok(found)
    }
}

/// Adds a difference where there is no such table, and what the engine has against it.
fn is_there(table: Name, stored: &Stored, found: &mut Vec<Difference>) -> bool {
    let name = table.table;
    if stored.columns.is_empty() {
        found.push(Difference::MissingTable {
            table: name.to_owned(),
        });
        return false;
    }
    found.extend(stored.unfit.iter().map(|problem| Difference::Unfit {
        table: name.to_owned(),
        problem: problem.clone(),
    }));
    true
}

fn missing<'n>(
    table: Name,
    stored: &Stored,
    wanted: impl IntoIterator<Item = &'n str>,
    found: &mut Vec<Difference>,
) {
    found.extend(
        wanted
            .into_iter()
            .filter(|column| !stored.columns.contains_key(*column))
            .map(|column| Difference::MissingColumn {
                table: table.table.to_owned(),
                column: column.to_owned(),
            }),
    );
}

/// History is that of a key: no two rows may have the same.
fn compare_key(table: &TrackedTable, base: &Stored, found: &mut Vec<Difference>) {
    let mut declared: Vec<_> = table.key.iter().map(|key| (*key).to_owned()).collect();
    let mut stored = base.key.clone();
    declared.sort_unstable();
    stored.sort_unstable();
    if declared != stored {
        found.push(Difference::OtherKey {
            table: table.name.table.to_owned(),
            found: stored.join(", "),
            expected: declared.join(", "),
        });
    }
}

fn compare_numbering<DB: Engine>(table: Name, history: &Stored, found: &mut Vec<Difference>) {
    let id = history.columns.get("history_id");
    if id.is_some_and(|id| !id.numbers) {
        found.push(Difference::NotNumbered {
            table: table.table.to_owned(),
            expected: DB::NUMBERING,
        });
    }
}

/// A table that is registered as guarded has the whole guard, and guards what is declared.
fn compare_guard<DB: Engine>(
    table: &TrackedTable,
    base: &Stored,
    history: &Stored,
    found: &mut Vec<Difference>,
) {
    let Some((policy, kept)) = &base.guard else {
        return;
    };
    let policy = match policy.as_str() {
        "capture" => Policy::Capture,
        _ => Policy::Refuse,
    };
    let missing = |name: Name, stored: &Stored, parts: Vec<String>| {
        let missing = parts
            .into_iter()
            .filter(|part| !stored.parts.contains(part));
        missing
            .map(|part| Difference::Unguarded {
                table: name.table.to_owned(),
                part,
            })
            .collect::<Vec<_>>()
    };
    found.extend(missing(table.name, base, DB::guard_parts(table, policy)));
    if !history.columns.is_empty() {
        found.extend(missing(
            table.history,
            history,
            DB::append_only_parts(table),
        ));
    }
    let kept: Vec<String> = serde_json::from_str(kept).unwrap_or_default();
    let declared = table.columns.iter().map(|column| column.name);
    if !declared.clone().eq(kept.iter().map(String::as_str)) {
        found.push(Difference::OtherGuard {
            table: table.name.table.to_owned(),
            found: kept.join(", "),
            expected: declared.collect::<Vec<_>>().join(", "),
        });
    }
}

/// Where there can be no value, the history column must say so.
fn compare_nullability(
    table: &TrackedTable,
    base: &Stored,
    history: &Stored,
    found: &mut Vec<Difference>,
) {
    let can_be_null = |name: &str| base.columns.get(name).is_some_and(|column| column.nullable);
    let kept = table
        .columns
        .iter()
        .filter(|column| can_be_null(column.name))
        .map(|column| column.history_name);
    for column in kept.chain(NULLABLE_ATTRIBUTION_COLUMNS) {
        let stored = history.columns.get(column);
        if stored.is_some_and(|stored| !stored.nullable) {
            let (table, column) = (table.history.table.to_owned(), column.to_owned());
            found.push(Difference::NotNull { table, column });
        }
    }
}

/// Not every change has a user, a task, a reason.
const NULLABLE_ATTRIBUTION_COLUMNS: [&str; 6] = [
    "history_user",
    "history_client",
    "history_organization",
    "history_task",
    "history_reason",
    "history_context",
];

/// The type of a column must store what its declaration in Rust holds, unchanged; and the history column must store
/// values as the base column does, or they come back changed.
fn compare_types<DB: Engine>(
    table: &TrackedTable,
    base: &Stored,
    history: &Stored,
    found: &mut Vec<Difference>,
) {
    for column in &table.columns {
        let Some(here) = base.columns.get(column.name) else {
            continue;
        };
        if !DB::fits(column, &here.declared) {
            found.push(Difference::WrongType {
                table: table.name.table.to_owned(),
                column: column.name.to_owned(),
                found: here.declared.clone(),
                expected: format!("its declaration, {}", DB::declaration(column)),
            });
            continue;
        }
        let Some(there) = history.columns.get(column.history_name) else {
            continue;
        };
        if !DB::holds(&here.declared, &there.declared) && here.declared == there.declared {
            found.push(Difference::Unfit {
                table: table.history.table.to_owned(),
                problem: format!(
                    "keeps `{}` with a type of the application's own, `{}`, which no migration can replace as long as it does: run \
                     `SELECT koherent_keep_types('{}')` in a migration",
                    column.history_name, there.declared, table.history
                ),
            });
        } else if !DB::holds(&here.declared, &there.declared) {
            found.push(Difference::WrongType {
                table: table.history.table.to_owned(),
                column: column.history_name.to_owned(),
                found: there.declared.clone(),
                expected: format!(
                    "`{}.{}`, which is `{}`",
                    table.name.table, column.name, here.declared
                ),
            });
        }
    }
}
