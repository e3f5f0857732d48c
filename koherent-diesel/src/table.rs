//! What is known about a tracked table: its history table, its key, its audited columns.

use std::any::TypeId;
use std::fmt;

use diesel::sql_types::{self, IntoNullable, Nullable, SqlType};

use crate::engine::Engine;
use crate::guard::Guard;

/// A table under audit. Implemented by [`audited!`](crate::audited) and [`audited_table!`](crate::audited_table).
#[diagnostic::on_unimplemented(
    message = "the table `{Self}` is not audited",
    label = "this table has no history",
    note = "declare it: `koherent_diesel::audited!(samples (id) => samples_history (id, name));` names the table, its \
            key, its history table and the columns to keep"
)]
pub trait Audited: diesel::Table + 'static {
    /// The history table.
    type History: diesel::Table;

    /// The audited columns, as Rust names them.
    #[doc(hidden)]
    const KEPT: &'static [&'static str];

    /// Names and kinds of the audited columns.
    fn tracked() -> &'static TrackedTable;

    /// The statements that create the history table and its indexes, for a migration or a test. On PostgreSQL, MariaDB and
    /// MySQL the columns take their types from the tracked table, which must be there; on SQLite from its declaration.
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() {
    /// use diesel::sqlite::Sqlite;
    /// use koherent_diesel::Audited;
    ///
    /// let ddl = samples::table::history_ddl::<Sqlite>();
    /// assert!(ddl.contains("CREATE TABLE `samples_history`"));
    /// assert!(ddl.contains("CREATE INDEX `samples_history_key` ON `samples_history` (`id`, `history_id`)"));
    /// # }
    /// ```
    #[must_use]
    fn history_ddl<DB: Engine>() -> String {
        DB::history_ddl(Self::tracked())
    }

    /// The statements that drop the history table, and all history with it: for the `down.sql` of a migration.
    #[must_use]
    fn drop_history_ddl<DB: Engine>() -> String {
        DB::drop_history_ddl(Self::tracked())
    }

    /// The statements that guard the tracked table: they refuse or capture each write that goes past the audit. They also
    /// register the table, so that the command `koherent` knows it. Run them behind those of
    /// [`history_ddl`](Self::history_ddl).
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use diesel::connection::SimpleConnection;
    /// use diesel::sqlite::Sqlite;
    /// use koherent_diesel::{Audited, Guard};
    ///
    /// # let conn = &mut connection();
    /// conn.batch_execute(&samples::table::guard_ddl::<Sqlite>(&Guard::refuse()))?;
    /// let refused = diesel::insert_into(samples::table).values(samples::name.eq("liver")).execute(conn);
    /// assert!(refused.unwrap_err().to_string().contains("use audited_insert"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    fn guard_ddl<DB: Engine>(guard: &Guard) -> String {
        DB::guard_ddl(Self::tracked(), guard)
    }

    /// The statements that make a PostgreSQL history announce its new entries to whoever listens: what
    /// `LiveHistory::listening` needs. On other engines there are none.
    #[must_use]
    fn notify_ddl<DB: Engine>() -> String {
        DB::notify_ddl(Self::tracked())
    }

    /// The statements that take the guard of the tracked table away.
    #[must_use]
    fn unguard_ddl<DB: Engine>() -> String {
        DB::unguard_ddl(Self::tracked())
    }
}

/// Names and kinds of a tracked table's audited columns. All names come from Diesel's own `table!`.
#[derive(Debug)]
pub struct TrackedTable {
    pub(crate) name: Name,
    pub(crate) history: Name,
    pub(crate) key: Vec<&'static str>,
    pub(crate) columns: Vec<TrackedColumn>,
    pub(crate) fields: Vec<&'static str>,
    label: Option<&'static str>,
}

impl TrackedTable {
    #[doc(hidden)]
    #[must_use]
    pub fn new(
        name: Name,
        history: Name,
        key: Vec<&'static str>,
        columns: Vec<TrackedColumn>,
    ) -> Self {
        let fields = columns.iter().map(|column| column.name).collect();
        Self {
            name,
            history,
            key,
            columns,
            fields,
            label: None,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub fn with_label(self, label: &'static str) -> Self {
        let label = Some(label);
        Self { label, ..self }
    }

    /// What one of its rows is called, for people: `label = "Sample"` of the declaration, or else the table's name.
    ///
    /// ```
    /// koherent_diesel::audited_table! {
    ///     samples => samples_history (id) { id -> BigInt, name -> Text, }
    ///     label = "Sample"
    /// }
    /// # fn main() {
    /// use koherent_diesel::Audited;
    /// assert_eq!(samples::table::tracked().label(), "Sample");
    /// # }
    /// ```
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.label.unwrap_or(self.name())
    }

    /// The tracked table's name, without its schema.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name.table
    }

    /// The history table's name, without its schema.
    #[must_use]
    pub const fn history_name(&self) -> &'static str {
        self.history.table
    }

    /// The columns of the primary key.
    #[must_use]
    pub fn key(&self) -> &[&'static str] {
        &self.key
    }

    /// The name that a column has in the history table.
    pub(crate) fn history_name_of(&self, name: &'static str) -> &'static str {
        let column = self.columns.iter().find(|column| column.name == name);
        column.map_or(name, |column| column.history_name)
    }

    /// The names that the key columns have in the history table.
    pub(crate) fn key_in_history(&self) -> impl Iterator<Item = &'static str> {
        self.key.iter().map(|key| self.history_name_of(key))
    }

    /// The columns of the key that are kept, which are all.
    pub(crate) fn key_columns(&'static self) -> Vec<&'static TrackedColumn> {
        let column = |key: &&str| self.columns.iter().find(|column| column.name == *key);
        self.key.iter().filter_map(column).collect()
    }

    /// Where the key stands among the audited columns.
    pub(crate) fn key_positions(&self) -> Vec<usize> {
        let position = |key: &&str| self.columns.iter().position(|column| column.name == *key);
        self.key.iter().filter_map(position).collect()
    }

    /// The audited columns, in the order of the declaration.
    #[must_use]
    pub fn columns(&self) -> &[TrackedColumn] {
        &self.columns
    }
}

/// A table's name in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    pub(crate) schema: Option<&'static str>,
    pub(crate) table: &'static str,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(self.table),
        }
    }
}

impl Name {
    /// The name of a table that a program knows at run time only.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(schema: Option<&'static str>, table: &'static str) -> Self {
        Self { schema, table }
    }
}

/// An audited column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackedColumn {
    pub(crate) name: &'static str,
    pub(crate) history_name: &'static str,
    pub(crate) kind: ValueKind,
    /// What the database declares it as, where that is known better than its kind.
    pub(crate) declared: Option<&'static str>,
    /// Whether its type is known to be the database's own. Histories keep values of other types as text on PostgreSQL.
    pub(crate) is_builtin: bool,
}

impl TrackedColumn {
    /// A column that a program knows at run time only.
    #[doc(hidden)]
    #[must_use]
    pub const fn named(
        name: &'static str,
        history_name: &'static str,
        declared: &'static str,
    ) -> Self {
        Self {
            name,
            history_name,
            kind: ValueKind::Other,
            declared: Some(declared),
            is_builtin: true,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub fn of<B, H>() -> Self
    where
        B: diesel::Column,
        B::SqlType: IntoNullable,
        <B::SqlType as IntoNullable>::Nullable: 'static,
        H: diesel::Column,
    {
        Self {
            name: B::NAME,
            history_name: H::NAME,
            kind: ValueKind::of::<B::SqlType>(),
            declared: None,
            is_builtin: is_builtin::<B::SqlType>(),
        }
    }

    /// The column's name in the tracked table.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What its values are.
    #[must_use]
    pub const fn kind(&self) -> ValueKind {
        self.kind
    }
}

/// Whether a SQL type is known to be the database's own. Of a type that is not known, PostgreSQL is asked.
fn is_builtin<ST>() -> bool
where
    ST: IntoNullable,
    ST::Nullable: 'static,
{
    let is = |id: TypeId| id == TypeId::of::<ST::Nullable>();
    if ValueKind::of::<ST>() != ValueKind::Other
        || is(TypeId::of::<Nullable<sql_types::Timestamp>>())
        || is(TypeId::of::<Nullable<sql_types::Date>>())
        || is(TypeId::of::<Nullable<sql_types::Time>>())
        || is(TypeId::of::<Nullable<sql_types::Interval>>())
    {
        return true;
    }
    #[cfg(feature = "postgres_backend")]
    {
        use diesel::pg::sql_types as pg;
        is(TypeId::of::<Nullable<pg::Timestamptz>>()) || is(TypeId::of::<Nullable<pg::Uuid>>())
    }
    #[cfg(not(feature = "postgres_backend"))]
    false
}

/// What the values of a column are, as far as the engine's storage does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// True or false; SQLite stores 0 and 1.
    Bool,
    /// Whole numbers.
    Integer,
    /// Floating-point numbers.
    Float,
    /// Decimal numbers of any number of digits.
    Numeric,
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// JSON; SQLite stores text or its binary form.
    Json,
    /// Dates, times, custom types: whatever the engine gives back.
    Other,
}

impl ValueKind {
    /// The kind of a SQL type, nullable or not.
    ///
    /// ```
    /// use diesel::sql_types::{Bool, Nullable};
    /// use koherent_diesel::ValueKind;
    /// assert_eq!(ValueKind::of::<Nullable<Bool>>(), ValueKind::Bool);
    /// ```
    #[must_use]
    pub fn of<ST>() -> Self
    where
        ST: IntoNullable,
        ST::Nullable: 'static,
    {
        let is = |id: TypeId| id == TypeId::of::<ST::Nullable>();
        if is(TypeId::of::<Nullable<sql_types::Bool>>()) {
            Self::Bool
        } else if is(TypeId::of::<Nullable<sql_types::BigInt>>())
            || is(TypeId::of::<Nullable<sql_types::Integer>>())
            || is(TypeId::of::<Nullable<sql_types::SmallInt>>())
        {
            Self::Integer
        } else if is(TypeId::of::<Nullable<sql_types::Double>>())
            || is(TypeId::of::<Nullable<sql_types::Float>>())
        {
            Self::Float
        } else if is(TypeId::of::<Nullable<sql_types::Numeric>>()) {
            Self::Numeric
        } else if is(TypeId::of::<Nullable<sql_types::Text>>()) {
            Self::Text
        } else if is(TypeId::of::<Nullable<sql_types::Binary>>()) {
            Self::Binary
        } else if is(TypeId::of::<Nullable<sql_types::Json>>())
            || is(TypeId::of::<Nullable<sql_types::Jsonb>>())
        {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// Says that a history column of this SQL type can hold every value of a base column of type `Base`: it is the same
/// type, or the nullable one.
#[diagnostic::on_unimplemented(
    message = "a history column of type `{Self}` cannot hold a base column of type `{Base}`",
    label = "the history column has another type than its base column",
    note = "declare the history column with the type of its base column, or with `Nullable` of it"
)]
pub trait Holds<Base> {}

impl<ST> Holds<ST> for ST {}
impl<ST> Holds<ST> for Nullable<ST> where ST: SqlType<IsNull = sql_types::is_nullable::NotNull> {}
