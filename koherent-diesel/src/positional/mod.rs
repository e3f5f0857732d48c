//! What the engines that write values as `?` share: SQLite, MariaDB and MySQL. They have no data-modifying `WITH`, so an
//! audited statement is several statements in one transaction, each over the whole set of rows.

pub(crate) mod fingerprint;
pub(crate) mod history;
pub(crate) mod sql;

pub(crate) use sql::{Positional, Sql};
