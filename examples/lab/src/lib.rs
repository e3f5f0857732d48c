//! A small imaging-lab service that keeps the provenance of every sample.
//!
//! It is built as a user of Koherent would build it; read it in this order:
//!
//! - [`schema`]: the audited table, declared once
//! - [`server`]: the two layers around `/graphql`
//! - [`graphql`]: resolvers that change samples under the request's attribution, and show provenance
//! - [`database`]: the file, its migrations, the pool
//! - [`socket`]: the same schema over a websocket, for reading
//! - [`trust`]: whose tokens are believed: real issuers, or a development key of its own
//! - [`metrics`]: what is counted
//! - [`demo`]: a story told against the running server

pub mod cli;
pub mod database;
pub mod demo;
pub mod graphql;
mod idempotency;
pub mod metrics;
pub mod model;
mod readiness;
pub mod schema;
pub mod server;
pub mod socket;
pub mod trust;
mod welcome;
