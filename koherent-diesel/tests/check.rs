//! `check` names every difference between the declarations and the database.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use diesel::connection::SimpleConnection;
use koherent_diesel::{Audited, check};
use support::*;

fn differences(sql: &str) -> Vec<String> {
    let database = Database::new();
    let mut conn = database.connect();
    conn.batch_execute(sql).unwrap();
    let found = check(
        &mut conn,
        [samples::table::tracked(), places::table::tracked()],
    )
    .unwrap();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn database_that_fits_has_no_differences() {
    assert_eq!(differences(""), Vec::<String>::new());
}

#[test]
fn each_difference_is_one_line_that_names_the_place_and_what_to_do() {
    for (sql, expected) in [
        ("DROP TABLE koherent_task;", "the table `koherent_task` does not exist: run the migrations"),
        ("DROP TABLE samples_history;", "the table `samples_history` does not exist"),
        ("DROP TABLE samples;", "the table `samples` does not exist"),
        ("ALTER TABLE samples_history DROP COLUMN note;", "the table `samples_history` lacks the column `note`"),
        (
            "ALTER TABLE samples_history DROP COLUMN history_user;",
            "the table `samples_history` lacks the column `history_user`",
        ),
        ("ALTER TABLE samples DROP COLUMN mass;", "the table `samples` lacks the column `mass`"),
        ("DROP VIEW koherent_admit; ALTER TABLE koherent_task DROP COLUMN issuer;", "the table `koherent_task` lacks the column `issuer`"),
        (
            "ALTER TABLE samples_history DROP COLUMN mass; ALTER TABLE samples_history ADD COLUMN mass TEXT;",
            "the column `mass` of the table `samples_history` has the type `TEXT`",
        ),
        (
            "CREATE UNIQUE INDEX twice ON samples_history (name);",
            "the table `samples_history` has the unique index `twice`",
        ),
        (
            "ALTER TABLE samples_history DROP COLUMN note; ALTER TABLE samples_history ADD COLUMN note TEXT NOT NULL DEFAULT '';",
            "the column `note` of the table `samples_history` is NOT NULL",
        ),
        (
            "ALTER TABLE samples_history DROP COLUMN history_task;
             ALTER TABLE samples_history ADD COLUMN history_task TEXT NOT NULL DEFAULT '';",
            "the column `history_task` of the table `samples_history` is NOT NULL",
        ),
        (
            "ALTER TABLE samples_history RENAME TO old;
             CREATE TABLE samples_history AS SELECT * FROM old;",
            "the table `samples_history` does not number its entries",
        ),
        (
            "ALTER TABLE samples DROP COLUMN note; ALTER TABLE samples ADD COLUMN note UNKNOWN;
             ALTER TABLE samples_history DROP COLUMN note; ALTER TABLE samples_history ADD COLUMN note UNKNOWN;",
            "the column `note` of the table `samples` has the type `UNKNOWN`, which is not that of its declaration, text",
        ),
    ] {
        let mut found = differences(sql);
        // The view and its trigger are missed as well.
        found.retain(|difference| !difference.contains("stands without the"));
        assert_eq!(found.len(), 1, "{sql}: {found:?}");
        assert!(found[0].starts_with(expected), "{sql}: {}", found[0]);
        assert_eq!(found[0].lines().count(), 1);
    }
}

#[test]
fn what_is_missing_of_koherents_own_is_named() {
    let found = differences("DROP VIEW koherent_admit;");
    assert_eq!(
        found,
        [
            "the table `koherent_task` stands without the view `koherent_admit`: `koherent setup` creates it",
            "the table `koherent_task` stands without the trigger `koherent_admit_task`: `koherent setup` creates it",
        ]
    );
}
