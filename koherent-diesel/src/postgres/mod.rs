//! PostgreSQL: one statement per audited statement, and one round trip.
//!
//! ```text
//! WITH k_old AS MATERIALIZED (SELECT … FROM samples WHERE … FOR NO KEY UPDATE)   updates: what the rows were, locked
//!    , k_new AS (INSERT | UPDATE | DELETE … RETURNING …)                         the change
//!    , k_hist AS (INSERT INTO samples_history SELECT …, clock_timestamp(), … FROM k_new WHERE …)
//! SELECT … FROM k_new WHERE (as many entries as changes)
//! ```
//!
//! Outside a transaction the statement is its own transaction. The task's row is written by `koherent_admit_task`, a
//! function of Koherent's migrations that the history insert calls once, and only if there is something to record; when
//! the row is known to be committed, the call is left out. The date is read after the row is locked, so it does not run
//! backwards within one row.
//!
//! The statement arms the guard of its table with a setting of the transaction, which the guard's trigger consumes in its
//! `WHEN`. It also says whose statement it is, for guards that capture what it makes the database do: cascades.
//!
//! Inserts of more values than one statement can bind (65,535) are several statements in one transaction.

#[cfg(feature = "libpq")]
mod blocking;
mod check;
mod collect;
mod compose;
mod engine;
mod failure;
mod guard;
#[cfg(feature = "postgres")]
mod non_blocking;
mod run;
mod sql;
mod types;
mod work;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use work::Work;

/// The migrations that create `koherent_task` and the functions that audited statements call;
/// [`koherent_diesel::MIGRATIONS`](crate::MIGRATIONS) are these, on a PostgreSQL connection.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// How long names can be.
pub(crate) const NAMES: crate::names::Limit = crate::names::Limit::Bytes(63);
