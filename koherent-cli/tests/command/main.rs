//! The command against SQLite, PostgreSQL and MariaDB: what it writes is applied, what it says is asserted.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod application;
mod database;
mod failures;
mod generated;
mod grants;
mod history;
mod migrations;
mod names;
mod odd;
mod reconcile;
mod schema;
mod setup;
mod tables;
mod values;
mod writers;
