#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres_backend", feature = "mysql")))]
compile_error!(
    "koherent-diesel needs a database: turn on its feature `sqlite`, `postgres`, `libpq` or `mysql`"
);

mod batch;
mod catalog;
mod change;
mod check;
mod connection;
mod ddl;
mod driver;
mod engine;
mod error;
mod failure;
mod gate;
mod guard;
mod history;
mod idempotency;
mod macros;
mod migrate;
mod migrations;
#[cfg(feature = "mysql")]
pub mod mysql;
mod names;
mod objects;
mod outcome;
mod pending;
mod plain;
#[cfg(any(feature = "deadpool", feature = "bb8", feature = "r2d2"))]
mod pool;
#[cfg(any(feature = "sqlite", feature = "mysql"))]
mod positional;
#[cfg(feature = "postgres_backend")]
pub mod postgres;
mod prepared;
mod reading;
mod record;
mod remembered;
pub mod schema;
mod scope;
mod script;
mod sql;
pub mod sql_types;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod stamp;
mod statement;
mod table;
mod transaction;

#[doc(hidden)]
pub mod __private;

pub use batch::AuditedBatch;
pub use check::{Difference, check};
pub use connection::{AuditedConnection, AuditedTransactionManager};
#[cfg(feature = "async")]
pub use driver::NonBlocking;
pub use driver::{Blocking, Driver};
pub use engine::Engine;
pub use error::{Error, OptionalExtension, Violation};
pub use guard::{Guard, Policy};
pub use history::{
    AuditedLink, Blame, BlameQuery, ChangeColumn, ChangeCursor, Changed, Cursor, HistoryFilter,
    HistoryOrder, HistoryQuery, HistoryScope, InvalidCursor, InvalidDate, LinkEnd, LinkEntry,
    LinkKind, LinkQuery, LinkedRow, LinksTo, Past, ResourceChange, ResourceChangeQuery, RowFilter,
    TaskCursor, TaskFilter, TaskQuery, as_of, blame, changed, deleted, entries_of, entries_of_each,
    feed, history, links_of, links_of_each, read_date, resource_changes, tasks,
};
pub use idempotency::Idempotency;
#[cfg(feature = "async")]
pub use migrate::migrate_async;
pub use migrate::{PATIENCE, migrate, with_migration_lock};
pub use migrations::{MIGRATIONS, Migrations, NoOthers};
pub use outcome::{Outcome, OutcomeQuery, outcome};
pub use pending::{LoadedFrom, Pending, PendingReturning, RowOf};
pub use plain::audited_tables;
#[cfg(any(feature = "deadpool", feature = "bb8", feature = "r2d2"))]
pub use pool::{AuditedPool, ConnectionPool};
#[cfg(any(feature = "deadpool", feature = "bb8"))]
pub use pool::{HistoryReader, LiveHistory, NonBlockingPool, PooledConnection, Watch};
pub use statement::{
    Attributed, AttributedReturning, AuditedStatement, Delete, Insert, InsertWhole, Unattributed,
    Update, audited_delete, audited_insert, audited_insert_select, audited_update, audited_upsert,
};
pub use table::{Audited, Holds, TrackedColumn, TrackedTable, ValueKind};
#[cfg(feature = "async")]
pub use transaction::SendAsync;
pub use transaction::{Futures, IsolationLevels, Options, Retryable, TransactionBuilder, Values};
