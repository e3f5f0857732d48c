//! The guard of a table: what happens to writes that go past the audit.
//!
//! An audited statement *arms* the guard of its table for itself alone; the guard's triggers refuse or capture whatever
//! else changes a row: plain Diesel, raw SQL, a database console, a cascade. How a guard is armed is the engine's affair:
//!
//! | engine | triggers | armed by |
//! | --- | --- | --- |
//! | PostgreSQL | per statement, with transition tables | a setting that the same statement sets and the trigger consumes |
//! | SQLite | per row | a row of `koherent_session`, set and cleared inside the same transaction |
//! | MariaDB, MySQL | per row | a session variable, cleared by the history insert; before a delete it is spent row by row |

use crate::engine::Engine;
use crate::sql::Write;
use crate::table::{Name, TrackedTable};

/// What happens to a write that goes past the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// It is an error that names the helper to use.
    Refuse,
    /// It is recorded by the database: attributed to what the session has said
    /// ([`TransactionBuilder::attributed`](crate::TransactionBuilder::attributed)), else to the database's role, and marked
    /// as captured.
    Capture,
}

impl Policy {
    /// Its name: `refuse` or `capture`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Capture => "capture",
        }
    }
}

/// The guard of a table, as [`Audited::guard_ddl`](crate::Audited::guard_ddl) writes it.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() {
/// use diesel::sqlite::Sqlite;
/// use koherent_diesel::{Audited, Guard};
///
/// let ddl = samples::table::guard_ddl::<Sqlite>(&Guard::refuse());
/// assert!(ddl.contains("INSERT of samples refused, it would leave no history: use audited_insert"));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub(crate) policy: Policy,
    pub(crate) captures_triggers: bool,
    pub(crate) unique: Vec<Vec<UniqueColumn>>,
    pub(crate) excluded: Vec<String>,
}

/// A column of a unique constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UniqueColumn {
    pub(crate) name: String,
    /// How its texts are compared, where not as the column says (SQLite).
    pub(crate) collation: Option<String>,
}

impl Guard {
    /// A guard that refuses.
    #[must_use]
    pub const fn refuse() -> Self {
        Self::new(Policy::Refuse)
    }

    /// A guard that captures.
    #[must_use]
    pub const fn capture() -> Self {
        Self::new(Policy::Capture)
    }

    /// A guard of that policy.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            captures_triggers: false,
            unique: Vec::new(),
            excluded: Vec::new(),
        }
    }

    /// Captures what triggers of the application write to the table as part of an audited statement, also where raw statements
    /// are refused: the entries have the attribution and the transaction of that statement, and are marked as captured.
    ///
    /// MariaDB and MySQL need to be told, because a guard that captures names the columns of its table there, and has to be made
    /// anew before one of them is dropped. Without it, such a write is refused. On PostgreSQL and SQLite guards do so always, and
    /// this changes nothing; nor does it for a guard that captures.
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() {
    /// use diesel::sqlite::Sqlite;
    /// use koherent_diesel::{Audited, Guard, Policy};
    ///
    /// let guard = Guard::refuse().capture_triggers();
    /// assert!(guard.policy() == Policy::Refuse && guard.captures_triggers());
    /// let ddl = samples::table::guard_ddl::<Sqlite>;
    /// assert_eq!(ddl(&guard), ddl(&Guard::refuse()));
    /// # }
    /// ```
    #[must_use]
    pub const fn capture_triggers(mut self) -> Self {
        self.captures_triggers = true;
        self
    }

    /// Whether it was asked to capture what triggers of the application write ([`capture_triggers`](Self::capture_triggers)).
    ///
    /// ```
    /// use koherent_diesel::Guard;
    /// assert!(!Guard::refuse().captures_triggers());
    /// ```
    #[must_use]
    pub const fn captures_triggers(&self) -> bool {
        self.captures_triggers
    }

    /// Says that the table has a unique constraint over these columns, beside its key. SQLite needs to know that to capture
    /// the rows that `REPLACE` deletes: it runs no delete triggers for them. Elsewhere it changes nothing.
    ///
    /// ```
    /// use koherent_diesel::Guard;
    /// let guard = Guard::capture().unique(["name"]).unique(["owner", "position"]);
    /// ```
    #[must_use]
    pub fn unique<'n>(self, columns: impl IntoIterator<Item = &'n str>) -> Self {
        self.unique_with(columns.into_iter().map(|column| (column, None)))
    }

    /// The same, with collations.
    #[doc(hidden)]
    #[must_use]
    pub fn unique_with<'n>(
        mut self,
        columns: impl IntoIterator<Item = (&'n str, Option<&'n str>)>,
    ) -> Self {
        let columns = columns.into_iter().map(|(name, collation)| UniqueColumn {
            name: name.to_owned(),
            collation: collation.map(ToOwned::to_owned),
        });
        self.unique.push(columns.collect());
        self
    }

    /// Says which columns of the table are kept out of its history on purpose, so that `koherent` does not take them for
    /// new ones.
    #[must_use]
    pub fn excluding<'n>(mut self, columns: impl IntoIterator<Item = &'n str>) -> Self {
        self.excluded
            .extend(columns.into_iter().map(ToOwned::to_owned));
        self
    }

    /// What happens to writes that go past the audit.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }
}

/// A kind of statement that changes rows, and the helper to use instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
}

impl Event {
    pub(crate) const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

    /// As SQL has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    pub(crate) const fn lower(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    pub(crate) const fn helper(self) -> &'static str {
        match self {
            Self::Insert => "audited_insert",
            Self::Update => "audited_update",
            Self::Delete => "audited_delete",
        }
    }
}

/// What a refusal says. It is the same on all engines.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn refusal(event: Event, table: &str) -> String {
    format!(
        "{} of {table} refused, it would leave no history: use {}, or audit_paused for a data migration",
        event.name(),
        event.helper()
    )
}

/// What a refusal to change history says.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn append_only(event: Event, table: &str) -> String {
    format!(
        "{} of {table} refused: rows are only added here; `koherent prune` is what deletes old entries",
        event.name()
    )
}

/// The row of `koherent_table` that tells of a guarded table, as values of columns; JSON arrays are texts.
pub(crate) fn registered(table: &TrackedTable, guard: &Guard) -> [(&'static str, String); 10] {
    let schema = |name: Name| name.schema.unwrap_or_default().to_owned();
    let array = |names: &mut dyn Iterator<Item = &str>| {
        let names: Vec<_> = names.collect();
        serde_json::Value::from(names).to_string()
    };
    [
        ("tracked_schema", schema(table.name)),
        ("tracked_table", table.name.table.to_owned()),
        ("history_schema", schema(table.history)),
        ("history_table", table.history.table.to_owned()),
        ("policy", guard.policy.name().to_owned()),
        ("key_columns", array(&mut table.key.iter().copied())),
        (
            "kept_columns",
            array(&mut table.columns.iter().map(|column| column.name)),
        ),
        (
            "history_columns",
            array(&mut table.columns.iter().map(|column| column.history_name)),
        ),
        (
            "excluded_columns",
            array(&mut guard.excluded.iter().map(String::as_str)),
        ),
        ("kept_since", "{}".to_owned()),
    ]
}

/// What a refusal of a write says that a trigger makes as part of an audited statement.
#[cfg(feature = "mysql")]
pub(crate) fn trigger_refusal(event: Event, table: &str) -> String {
    format!(
        "a trigger's {} of {table} refused, it would leave no history: guard it with Guard::refuse().capture_triggers()",
        event.name()
    )
}

/// Writes `INSERT INTO koherent_table (…) VALUES (…)`, in place of the row that may be there.
pub(crate) fn push_registration<DB: Engine, W: Write>(
    sql: &mut W,
    table: &TrackedTable,
    guard: &Guard,
) {
    let row = registered(table, guard);
    push_deregistration::<DB, W>(sql, table);
    sql.push("INSERT INTO koherent_table (")
        .push(&row.each_ref().map(|(column, _)| *column).join(", "))
        .push(") VALUES (");
    for (at, (_, value)) in row.iter().enumerate() {
        sql.push(if at > 0 { ", " } else { "" })
            .push(&DB::literal(value));
    }
    sql.push(");\n");
}

/// Writes the deletion of that row.
pub(crate) fn push_deregistration<DB: Engine, W: Write>(sql: &mut W, table: &TrackedTable) {
    sql.push("DELETE FROM koherent_table WHERE tracked_schema = ")
        .push(&DB::literal(table.name.schema.unwrap_or_default()))
        .push(" AND tracked_table = ")
        .push(&DB::literal(table.name.table))
        .push(";\n");
}
