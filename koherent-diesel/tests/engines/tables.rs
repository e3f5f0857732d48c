//! The tables of the suite, and the rows that are read from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::prelude::*;
use koherent_core::mint::TokenBuilder;
use koherent_core::testing::test_issuer;
use koherent_core::{Attribution, Clock as _, HistoryEntry, Principal, SystemClock};

koherent_diesel::audited_table! {
    samples => samples_history (id) {
        id -> BigInt,
        name -> Text,
        note -> Nullable<Text>,
        mass -> Nullable<Double>,
        active -> Bool,
        scan -> Nullable<Binary>,
        metadata -> Nullable<Json>,
    }
    excluded {
        storage_code -> Text,
    }
}

koherent_diesel::audited_table! {
    places => #[sql_name = "place's log"] places_history (room, shelf) {
        room -> Text,
        shelf -> Integer,
        #[sql_name = "what's there"]
        content -> Text,
    }
}

koherent_diesel::audited_table! {
    digests => digests_history (digest) {
        digest -> Binary,
        size -> Integer,
    }
}

koherent_diesel::audited_table! {
    tags => tags_history (id) {
        id -> BigInt,
        label -> Text,
    }
}

koherent_diesel::audited_table! {
    sample_tags => sample_tags_history (sample_id, tag_id) {
        sample_id -> BigInt,
        tag_id -> BigInt,
        weight -> Nullable<Integer>,
    }
}

koherent_diesel::audited_table! {
    measurements => measurements_history (id) {
        id -> BigInt,
        sample_id -> BigInt,
        value -> Double,
    }
}

koherent_diesel::audited_table! {
    nodes => nodes_history (id) {
        id -> BigInt,
        parent -> Nullable<BigInt>,
        label -> Text,
    }
}

diesel::table! {
    plain (id) {
        id -> BigInt,
        name -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(samples, sample_tags, measurements);
diesel::joinable!(measurements -> samples (sample_id));
koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);

koherent_diesel::audited_table! {
    totals => totals_history (id) {
        id -> BigInt,
        net -> Double,
        gross -> Double,
        label -> Text,
    }
}

koherent_diesel::audited_table! {
    wide => wide_history (id) {
        id -> BigInt,
        c01 -> Nullable<Integer>, c02 -> Nullable<Integer>, c03 -> Nullable<Integer>, c04 -> Nullable<Integer>,
        c05 -> Nullable<Integer>, c06 -> Nullable<Integer>, c07 -> Nullable<Integer>, c08 -> Nullable<Integer>,
        c09 -> Nullable<Integer>, c10 -> Nullable<Integer>, c11 -> Nullable<Integer>, c12 -> Nullable<Integer>,
        c13 -> Nullable<Integer>, c14 -> Nullable<Integer>, c15 -> Nullable<Integer>, c16 -> Nullable<Integer>,
        c17 -> Nullable<Integer>, c18 -> Nullable<Integer>, c19 -> Nullable<Integer>, c20 -> Nullable<Integer>,
        c21 -> Nullable<Integer>, c22 -> Nullable<Integer>, c23 -> Nullable<Integer>, c24 -> Nullable<Integer>,
        c25 -> Nullable<Integer>, c26 -> Nullable<Integer>, c27 -> Nullable<Integer>, c28 -> Nullable<Integer>,
        c29 -> Nullable<Integer>, c30 -> Nullable<Integer>, c31 -> Nullable<Integer>, c32 -> Nullable<Integer>,
        c33 -> Nullable<Integer>, c34 -> Nullable<Integer>, c35 -> Nullable<Integer>, c36 -> Nullable<Integer>,
        c37 -> Nullable<Integer>, c38 -> Nullable<Integer>, c39 -> Nullable<Integer>, c40 -> Nullable<Integer>,
        c41 -> Nullable<Integer>, c42 -> Nullable<Integer>, c43 -> Nullable<Integer>, c44 -> Nullable<Integer>,
        c45 -> Nullable<Integer>, c46 -> Nullable<Integer>, c47 -> Nullable<Integer>, c48 -> Nullable<Integer>,
        c49 -> Nullable<Integer>, c50 -> Nullable<Integer>, c51 -> Nullable<Integer>, c52 -> Nullable<Integer>,
    }
    excluded {
        c53 -> Nullable<Integer>, c54 -> Nullable<Integer>, c55 -> Nullable<Integer>, c56 -> Nullable<Integer>,
        c57 -> Nullable<Integer>,
    }
}

/// A raw statement, what it is refused as, and the entries that it leaves where it is captured: statement, kind, id, name.
/// What is refused as nothing goes through, because it changes nothing.
pub struct Raw {
    pub sql: &'static str,
    pub refused: Option<&'static str>,
    pub captured: &'static [(&'static str, &'static str, i64, &'static str)],
}

/// Raw statements that every engine has, on the samples liver, heart and lung (1, 2, 3) and the plain row (1, hepar).
pub const RAW_EVERYWHERE: &[Raw] = &[
    Raw {
        sql: "INSERT INTO samples (id, name) VALUES (9, 'new')",
        refused: Some("INSERT"),
        captured: &[("INSERT", "+", 9, "new")],
    },
    Raw {
        sql: "INSERT INTO samples (id, name) VALUES (8, 'newer'), (9, 'new')",
        refused: Some("INSERT"),
        captured: &[("INSERT", "+", 8, "newer"), ("INSERT", "+", 9, "new")],
    },
    Raw {
        sql: "INSERT INTO samples (id, name) SELECT id + 7, CONCAT(name, ' copy') FROM samples WHERE id < 3 ORDER BY id",
        refused: Some("INSERT"),
        captured: &[
            ("INSERT", "+", 8, "liver copy"),
            ("INSERT", "+", 9, "heart copy"),
        ],
    },
    Raw {
        sql: "INSERT INTO samples (id, name) SELECT 9, 'none' FROM samples WHERE id = 77",
        refused: None,
        captured: &[],
    },
    Raw {
        sql: "UPDATE samples SET name = 'hepar' WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "hepar")],
    },
    Raw {
        sql: "UPDATE samples SET note = 'all' WHERE id IN (1, 3)",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "~", 1, "liver"), ("UPDATE", "~", 3, "lung")],
    },
    // Nothing that is kept changes: refused like every plain write, but no entry.
    Raw {
        sql: "UPDATE samples SET storage_code = 'moved' WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[],
    },
    Raw {
        sql: "UPDATE samples SET name = 'none' WHERE id = 77",
        refused: None,
        captured: &[],
    },
    Raw {
        sql: "UPDATE samples SET id = 9 WHERE id = 1",
        refused: Some("UPDATE"),
        captured: &[("UPDATE", "-", 1, "liver"), ("UPDATE", "+", 9, "liver")],
    },
    Raw {
        sql: "DELETE FROM samples WHERE id = 1",
        refused: Some("DELETE"),
        captured: &[("DELETE", "-", 1, "liver")],
    },
    Raw {
        sql: "DELETE FROM samples",
        refused: Some("DELETE"),
        captured: &[
            ("DELETE", "-", 1, "liver"),
            ("DELETE", "-", 2, "heart"),
            ("DELETE", "-", 3, "lung"),
        ],
    },
    Raw {
        sql: "DELETE FROM samples WHERE id = 77",
        refused: None,
        captured: &[],
    },
];

/// How many nullable columns `wide` has, beside its key. Its history has ten columns of its own: with five columns excluded,
/// both fit Diesel's `64-column-tables`.
pub const WIDE: usize = 57;

/// A whole row of `samples`.
#[derive(Debug, Clone, PartialEq, Queryable, Identifiable, Selectable, AsChangeset)]
#[diesel(table_name = samples)]
pub struct Sample {
    pub id: i64,
    pub name: String,
    pub note: Option<String>,
    pub mass: Option<f64>,
    pub active: bool,
    pub scan: Option<Vec<u8>>,
    pub metadata: Option<serde_json::Value>,
    pub storage_code: String,
}

#[derive(Debug, Clone, Default, Insertable)]
#[diesel(table_name = samples)]
pub struct NewSample {
    pub name: String,
    pub note: Option<String>,
    pub mass: Option<f64>,
}

#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = samples)]
pub struct SampleChanges {
    pub name: Option<String>,
    pub note: Option<Option<String>>,
}

pub fn named(name: &str) -> NewSample {
    NewSample {
        name: name.into(),
        ..NewSample::default()
    }
}

pub fn now() -> chrono::DateTime<chrono::Utc> {
    SystemClock.now().into()
}

pub fn ann() -> Attribution {
    user("ann")
}

pub fn user(name: &str) -> Attribution {
    Attribution::of(
        Principal::new("https://login.example", name, "lab-ui").with_organization("bio"),
    )
}

/// An agent's attribution under a task of the test issuer.
pub fn under_task(task: &str) -> Attribution {
    under_token("rekuest", "bio", task, |token| token)
}

/// The same, under a token that differs from the usual one.
pub fn under_token(
    issuer: &str,
    organization: &str,
    task: &str,
    change: impl FnOnce(TokenBuilder<'_>) -> TokenBuilder<'_>,
) -> Attribution {
    let issuer = test_issuer(issuer);
    let token = change(issuer.task(task)).mint();
    let token = issuer.verifier("lab").verify(&token).unwrap();
    let agent =
        Principal::new("https://login.example", "agent-7", "robot").with_organization(organization);
    Attribution::of(Arc::new(agent)).with_task(&token).unwrap()
}

pub fn kinds(entries: &[HistoryEntry]) -> String {
    entries.iter().map(|entry| entry.kind.code()).collect()
}

/// A name that no other database of this run has.
pub fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{next}", std::process::id())
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

/// The address of a server that `cargo xtask test` has started.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run `cargo xtask test`, or keep `cargo xtask servers` running and set what it prints"
        )
    })
}

koherent_diesel::audited_table! {
    docs => docs_history (id) {
        id -> BigInt,
        name -> Text,
        slug -> Nullable<Text>,
        n -> BigInt,
    }
}

koherent_diesel::audited_table! {
    tallies => tallies_history (id) {
        id -> BigInt,
        n -> BigInt,
    }
}
