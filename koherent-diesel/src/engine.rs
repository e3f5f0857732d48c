//! What Koherent needs of a database engine.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::row::Row;
use diesel_migrations::EmbeddedMigrations;
use koherent_core::FieldValue;
use uuid::Uuid;

use crate::change::Audit;
use crate::error::Error;
use crate::guard::{Guard, Policy};
use crate::history::select::Given;
use crate::migrate::MigrationLock;
use crate::names::Limit;
use crate::objects::OwnObject;
use crate::script::{Bind, Script};
use crate::sql::Write as _;
use crate::table::{Name, TrackedColumn, TrackedTable, ValueKind};
use crate::transaction::Options;

/// A database engine on which changes can be audited: `Sqlite`, `Pg` and `Mysql`, each with its feature. Sealed.
#[diagnostic::on_unimplemented(
    message = "changes cannot be audited on `{Self}`",
    note = "turn on the feature of the engine: `sqlite`, `postgres`, `libpq` or `mysql` of `koherent-diesel`"
)]
pub trait Engine: Backend + Default + sealed::Sealed + 'static {
    /// How to declare a `history_id` that numbers entries.
    #[doc(hidden)]
    const NUMBERING: &'static str;

    /// What identifiers are quoted with.
    #[doc(hidden)]
    const QUOTE: char;

    /// Whether it has `LATERAL` and functions that return rows.
    #[doc(hidden)]
    const LATERAL: bool = false;

    /// How many groups one statement asks for, where each is a branch of it: SQLite takes 500 branches.
    #[doc(hidden)]
    const GROUPS: usize = 400;

    /// Whether it has whole numbers that no `i64` holds.
    #[doc(hidden)]
    const UNSIGNED: bool = false;

    /// What stands around a date that is compared with those of entries.
    #[doc(hidden)]
    const DATE: (&'static str, &'static str) = ("", "");

    /// How that date is written.
    #[doc(hidden)]
    const DATE_FORMAT: &'static str = "%Y-%m-%d %H:%M:%S%.6f+00:00";

    /// How many rows there are, as [`Engine::text`] reads it.
    #[doc(hidden)]
    const COUNT: &'static str = "count(*)";

    /// What stands around a UUID that is compared with those of transactions.
    #[doc(hidden)]
    const UUID: (&'static str, &'static str) = ("", "");

    /// The present time, as an expression for a column of dates.
    #[doc(hidden)]
    const NOW: &'static str;

    /// What takes back what [`Engine::open_scope`] said, before the commit. Empty where the transaction's end does.
    #[doc(hidden)]
    const CLOSE_SCOPE: &'static str = "";

    /// The same, after a rollback.
    #[doc(hidden)]
    const CLOSE_LOST_SCOPE: &'static str = "";

    /// What makes a connection refuse changes, and what ends that, where a begin cannot say it.
    #[doc(hidden)]
    const READ_ONLY: Option<[&'static str; 2]> = None;

    /// What stands around the key of the lock that a transaction holds which changes something, in a statement that waits for it and
    /// returns no row.
    #[doc(hidden)]
    const WAIT_FOR_TRANSACTION: Option<(&'static str, &'static str)> = None;

    /// What makes a statement wait for the rows that others have not committed yet.
    #[doc(hidden)]
    const WAITING_READ: &'static str = "";

    /// What stands around an insert that leaves a row alone which is there.
    #[doc(hidden)]
    const INSERT_UNLESS_THERE: (&'static str, &'static str) =
        ("INSERT INTO ", " ON CONFLICT DO NOTHING");

    /// What keeps others from migrating meanwhile.
    #[doc(hidden)]
    const MIGRATION_LOCK: MigrationLock;

    /// Whether an insert of several rows is several statements: where there is no `DEFAULT` keyword, rows that leave out
    /// different columns cannot share one.
    #[doc(hidden)]
    const ROW_BY_ROW: bool = false;

    /// A part of a statement, rendered.
    #[doc(hidden)]
    type Part: Send + 'static;

    /// Something to be done on a connection: rendered, and free of what it was made from.
    #[doc(hidden)]
    type Work: Send + 'static;

    /// A value of a row that [`Engine::entries`] loads.
    #[doc(hidden)]
    type Cell;

    /// Renders a part.
    #[doc(hidden)]
    fn render(part: &dyn QueryFragment<Self>) -> QueryResult<Self::Part>;

    /// Its text.
    #[doc(hidden)]
    fn text_in(part: &Self::Part) -> String;

    /// How many values it binds.
    #[doc(hidden)]
    fn values_in(part: &Self::Part) -> usize;

    /// Whether there is nothing in it.
    #[doc(hidden)]
    fn is_empty(part: &Self::Part) -> bool;

    /// Writes a change down.
    #[doc(hidden)]
    fn change(audit: Audit<Self::Part>) -> Result<Self::Work, Error>;

    /// Runs statements that read histories, one after the other. With each stands whose history it reads.
    #[doc(hidden)]
    fn reads(statements: Vec<(Script<Self>, &'static str)>) -> Self::Work;

    /// Binds a value in a statement of Diesel's.
    #[doc(hidden)]
    fn push_bind<'b>(value: &'b Bind, out: AstPass<'_, 'b, Self>) -> QueryResult<()>;

    /// A value as text that the database takes for it.
    #[doc(hidden)]
    fn bind_text(value: Bind) -> String {
        value.into_text()
    }

    /// Writes a column of Koherent's own, as text.
    #[doc(hidden)]
    fn push_own(sql: &mut Script<Self>, alias: &str, column: &'static str);

    /// Writes a kept column, as [`Engine::field_value`] reads it.
    #[doc(hidden)]
    fn push_kept(sql: &mut Script<Self>, alias: &str, column: &TrackedColumn);

    /// Writes that a column of Koherent's own holds that text, byte for byte.
    #[doc(hidden)]
    fn push_is_text(sql: &mut Script<Self>, alias: &str, column: &str, text: &str) {
        sql.push(alias).push(".").push(column).push(" = ");
        sql.text(text);
    }

    /// Writes a value as the column takes it. Where columns make of a text what they hold, that is the value itself.
    #[doc(hidden)]
    fn push_given(sql: &mut Script<Self>, _: Name, _: &str, _: ValueKind, given: Given) {
        if let Given::Value(bind) = given {
            sql.bind(bind);
        }
    }

    /// Writes that a kept column holds that value; of JSON, its text is given.
    #[doc(hidden)]
    fn push_is_value(
        sql: &mut Script<Self>,
        history: Name,
        alias: &str,
        column: &TrackedColumn,
        value: Bind,
    ) {
        let (name, kind) = (column.history_name, column.kind);
        sql.push(alias).push(".").identifier(name).push(" = ");
        Self::push_given(sql, history, name, kind, Given::Value(value));
    }

    /// Writes that the attribution of the entry `h` says that text under that name, beside its columns.
    #[doc(hidden)]
    fn push_is_context(sql: &mut Script<Self>, name: &'static str, text: &str);

    /// Writes that a kept column of the entry `h` differs from that of the entry `b`.
    #[doc(hidden)]
    fn push_differs(sql: &mut Script<Self>, column: &TrackedColumn);

    /// Writes ` AND` that the entry `h` lies beyond that place in the order of dates and ids.
    #[doc(hidden)]
    fn push_beyond(sql: &mut Script<Self>, beyond: &str, date: DateTime<Utc>, id: Bind) {
        sql.push(" AND (h.history_date, h.history_id) ")
            .push(beyond)
            .push(" (");
        sql.date(date).push(", ").bind(id).push(")");
    }

    /// Loads what the database says of these tables. The columns are those of [`Catalog::add`](crate::catalog).
    #[doc(hidden)]
    fn catalog(tables: &[&'static TrackedTable]) -> QueryResult<Self::Work>;

    /// Whether a column of that type in the database stores what its declaration holds, unchanged.
    #[doc(hidden)]
    fn fits(column: &TrackedColumn, declared: &str) -> bool;

    /// What a column is declared as, for people.
    #[doc(hidden)]
    fn declaration(column: &TrackedColumn) -> String {
        format!("{:?}", column.kind).to_lowercase()
    }

    /// Writes a value of a history as the tracked table has it.
    #[doc(hidden)]
    fn push_row_value(
        sql: &mut Script<Self>,
        _: &TrackedTable,
        alias: &str,
        column: &TrackedColumn,
    ) {
        sql.push(alias).push(".").identifier(column.history_name);
    }

    /// Whether a history column of one type holds values as a base column of the other does.
    #[doc(hidden)]
    fn holds(base: &str, history: &str) -> bool;

    /// How many columns a row of some SQL type has.
    #[doc(hidden)]
    fn column_count(
        metadata: fn(&mut Self::MetadataLookup, &mut Vec<Option<Self::TypeMetadata>>),
    ) -> usize;

    /// The values of a row.
    #[doc(hidden)]
    fn cells<'a>(row: &impl Row<'a, Self>) -> Vec<Self::Cell>;

    /// A value as text.
    #[doc(hidden)]
    fn text(cell: Self::Cell) -> Option<String>;

    /// A value in its typed form.
    #[doc(hidden)]
    fn field_value(cell: Self::Cell, kind: ValueKind) -> Option<FieldValue>;

    /// The statement that begins such a transaction.
    #[doc(hidden)]
    fn begin(options: Options) -> String;

    /// What tells the guards whose transaction it is, and which recorded operation it belongs to.
    #[doc(hidden)]
    fn open_scope(said: &str, operation: Option<Uuid>) -> String;

    /// What makes sure that the task of an attribution has its row.
    #[doc(hidden)]
    fn admit_said_task(said: &str) -> String;

    /// What creates a history table.
    #[doc(hidden)]
    fn history_ddl(table: &TrackedTable) -> String;

    /// What drops a history table.
    #[doc(hidden)]
    fn drop_history_ddl(table: &TrackedTable) -> String;

    /// A text as a literal.
    #[doc(hidden)]
    fn literal(text: &str) -> String;

    /// What guards a table.
    #[doc(hidden)]
    fn guard_ddl(table: &TrackedTable, guard: &Guard) -> String;

    /// What takes its guard away.
    #[doc(hidden)]
    fn unguard_ddl(table: &TrackedTable) -> String;

    /// What the guard of a table is made of: the names of its triggers, and of the tables that they need.
    #[doc(hidden)]
    fn guard_parts(table: &TrackedTable, policy: Policy) -> Vec<String>;

    /// What announces new entries of a history table to whoever listens, where the database can.
    #[doc(hidden)]
    fn notify_ddl(_: &TrackedTable) -> String {
        String::new()
    }

    /// What keeps a history table from being changed is made of.
    #[doc(hidden)]
    fn append_only_parts(table: &TrackedTable) -> Vec<String>;

    /// What creates `koherent_task`, and what else audited statements need.
    #[doc(hidden)]
    fn migrations() -> EmbeddedMigrations;

    /// How long a name can be.
    #[doc(hidden)]
    const NAMES: Limit = Limit::None;

    /// A name of a table or an index that is short enough; of a longer one, the end is a checksum.
    #[doc(hidden)]
    fn bounded(name: &str) -> String {
        Self::NAMES.bound(name)
    }

    /// Whether a statement that fails dooms its transaction.
    #[doc(hidden)]
    const DOOMS_TRANSACTIONS: bool = false;

    /// A statement that fails unless the condition holds.
    #[doc(hidden)]
    fn probe(condition: &str) -> String {
        // Two rows are no value.
        format!("SELECT (SELECT 1 UNION ALL SELECT 1 WHERE NOT {condition}) AS probe")
    }

    /// What keeps a history table from being changed, without the table.
    #[doc(hidden)]
    fn append_only_ddl(table: &TrackedTable) -> String;

    /// What takes that away.
    #[doc(hidden)]
    fn drop_append_only_ddl(table: &TrackedTable) -> String;

    /// What Koherent's own migrations create.
    #[doc(hidden)]
    fn objects() -> Vec<OwnObject>;
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "nobody else implements `Engine`")]
    pub trait Sealed {}
}
