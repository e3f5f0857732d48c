#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(feature = "sqlite"))]
compile_error!("koherent-diesel needs a database: turn on its feature `sqlite`");

mod check;
mod connection;
mod driver;
mod entries;
mod error;
mod macros;
mod pending;
#[cfg(feature = "deadpool")]
mod pool;
mod record;
pub mod schema;
pub mod sql_types;
pub mod sqlite;
mod statement;
mod table;
mod task_cache;

#[doc(hidden)]
pub mod __private;

pub use check::{Difference, check};
pub use connection::{AuditedConnection, AuditedTransactionManager};
pub use driver::Driver;
pub use entries::{EntriesOf, entries_of};
pub use error::{Error, OptionalExtension};
pub use pending::{LoadedFrom, Pending, PendingReturning, RowOf};
#[cfg(feature = "deadpool")]
pub use pool::{AuditedPool, PooledConnection};
pub use statement::{
    Attributed, AttributedReturning, AuditedStatement, Delete, Insert, Unattributed, Update,
    audited_delete, audited_insert, audited_update,
};
pub use table::{Audited, Holds, TrackedColumn, TrackedTable, ValueKind};
