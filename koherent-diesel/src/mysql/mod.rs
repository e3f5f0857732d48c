//! MariaDB and MySQL: one transaction per audited statement, set-based.
//!
//! | statement | what runs between `BEGIN` and `COMMIT` |
//! | --- | --- |
//! | insert | `INSERT … RETURNING`; history `INSERT … SELECT` by key |
//! | upsert | the statement, taken back, to see which rows it meets; what they are; the statement; history by key |
//! | update | `SELECT … FOR UPDATE` of keys and audited values; `UPDATE` by key; what the rows are; history of those that changed |
//! | delete | `SELECT … FOR UPDATE` of the rows; history by key; `DELETE` by key |
//!
//! and the task's row, once per task. The date is the server's at the start of the history statement, after the rows are
//! locked. Tables must be InnoDB's: [`check`](crate::check()) says so where they are not.
//!
//! MySQL has no `INSERT … RETURNING`, so it tells the key of a new row only where it made it: audited inserts need an
//! `AUTO_INCREMENT` key there, and upserts are refused. MariaDB has it since 10.5.

mod check;
mod driver;
mod engine;
mod guard;
mod insert;
mod remove;
mod run;
mod session;
mod task;
mod types;
mod update;
mod upsert;
mod value;
mod work;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use work::Work;

/// The migrations that create `koherent_task`; [`koherent_diesel::MIGRATIONS`](crate::MIGRATIONS) are these, on a MariaDB
/// or MySQL connection.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/mysql");

/// How long names can be.
pub(crate) const NAMES: crate::names::Limit = crate::names::Limit::Characters(64);
