//! One suite, mounted on each engine: the same calls, the same results, the same errors.
#![allow(
    clippy::unwrap_used,
    clippy::duplicate_mod,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and each engine has the suite as its own"
)]

mod effort;
mod migrating;
mod tables;

mod sqlite {
    mod engine;
    mod last_rowid;
    #[path = "../live.rs"]
    mod live;
    #[path = "../suite/mod.rs"]
    mod suite;
    #[path = "../swallowed.rs"]
    mod swallowed;
    mod unreadable;
}

mod postgres {
    mod blocking;
    mod collisions;
    #[path = "../cuts.rs"]
    mod cuts;
    mod engine;
    mod guard;
    #[path = "../live.rs"]
    mod live;
    mod plans;
    mod round_trips;
    #[path = "../suite/mod.rs"]
    mod suite;
    #[path = "../swallowed.rs"]
    mod swallowed;
    mod types;
    mod values;
    mod waiting;
}

mod mariadb {
    #[path = "../cuts.rs"]
    mod cuts;
    mod engine;
    mod last_insert_id;
    mod own;
    #[path = "../suite/mod.rs"]
    mod suite;
}
