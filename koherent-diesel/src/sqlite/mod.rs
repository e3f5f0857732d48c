//! SQLite: one transaction per audited statement, set-based.
//!
//! | statement | what runs between `BEGIN IMMEDIATE`, arming the guard, and disarming it, `COMMIT` |
//! | --- | --- |
//! | insert | `INSERT … RETURNING`; history `INSERT … SELECT` by key |
//! | upsert | the statement, taken back, to see which rows it meets; what they are; the statement; history by key |
//! | update | `SELECT` of keys and audited values; `UPDATE … RETURNING`; history by key of the rows that changed |
//! | delete | history `INSERT … SELECT` of the rows; `DELETE` of exactly those |
//!
//! and the task's row, once per task. The write lock is held before the time is read, so dates do not run backwards
//! within one row as long as the system's clock does not, and what was selected is what is changed.

mod capture;
mod check;
mod delete;
mod driver;
mod engine;
mod guard;
mod insert;
mod nested;
mod rowid;
mod run;
mod statement;
mod task;
mod transaction;
mod types;
mod update;
mod upsert;
mod value;
mod work;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use run::{run, run_all};
pub use work::Work;

/// The migrations that create `koherent_task`; [`koherent_diesel::MIGRATIONS`](crate::MIGRATIONS) are these, on a SQLite
/// connection.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
