//! The tables that are changed.

use diesel::prelude::*;
use koherent_core::testing::test_issuer;
use koherent_core::{Attribution, Principal};

koherent_diesel::audited_table! {
    samples => samples_history (id) {
        id -> BigInt,
        name -> Text,
        note -> Nullable<Text>,
        owner -> Text,
        mass -> Nullable<Double>,
    }
}

koherent_diesel::audited_table! {
    guarded => guarded_history (id) {
        id -> BigInt,
        name -> Text,
        note -> Nullable<Text>,
        owner -> Text,
        mass -> Nullable<Double>,
    }
}

#[derive(Debug, Queryable)]
#[allow(dead_code, reason = "only loading it is measured")]
pub struct Sample {
    pub id: i64,
    pub name: String,
    pub note: Option<String>,
    pub owner: String,
    pub mass: Option<f64>,
}

/// How many rows there are, of which each update changes one, or each of a set.
pub const ROWS: i64 = 20_000;

/// The row that a round changes: another one each time.
pub const fn row(round: usize) -> i64 {
    (round as i64 * 7919) % ROWS + 1
}

/// An agent under a task.
pub fn agent() -> Attribution {
    let issuer = test_issuer("rekuest");
    let token = issuer
        .verifier("lab")
        .verify(&issuer.task("task-a").mint())
        .unwrap();
    let agent =
        Principal::new("https://login.example", "agent-7", "robot").with_organization("bio");
    Attribution::of(agent).with_task(&token).unwrap()
}

/// The same server, another database.
pub fn with_database(server: &str, name: &str) -> String {
    let (place, options) = match server.split_once('?') {
        Some((place, options)) => (place, format!("?{options}")),
        None => (server, String::new()),
    };
    let (host, _) = place.rsplit_once('/').unwrap();
    format!("{host}/{name}{options}")
}
