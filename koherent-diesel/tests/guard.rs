//! Guards on a blocking connection: plain writes are refused by it, pauses and attributed transactions let them through.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sqlite::Sqlite;
use koherent_diesel::{Audited, Error, Guard, entries_of};
use support::*;

fn guarded(guard: &Guard) -> Database {
    let database = Database::new();
    let mut conn = database.audited(ann());
    for ddl in [
        samples::table::drop_history_ddl::<Sqlite>(),
        samples::table::history_ddl::<Sqlite>(),
        samples::table::guard_ddl::<Sqlite>(guard),
    ] {
        conn.batch_execute(&ddl).unwrap();
    }
    database
}

#[test]
fn plain_writes_are_refused_in_process() {
    // Without a guard, so nothing else refuses them.
    let database = Database::new();
    let mut conn = database.audited(ann());
    let rows = vec![samples::name.eq("a"), samples::name.eq("b")];
    let results = [
        diesel::insert_into(samples::table)
            .values(samples::name.eq("a"))
            .execute(&mut conn),
        diesel::insert_into(samples::table)
            .values(&rows)
            .execute(&mut conn),
        diesel::insert_or_ignore_into(samples::table)
            .values(samples::name.eq("a"))
            .execute(&mut conn),
        diesel::replace_into(samples::table)
            .values(samples::name.eq("a"))
            .execute(&mut conn),
        diesel::update(samples::table)
            .set(samples::name.eq("a"))
            .execute(&mut conn),
        diesel::delete(samples::table).execute(&mut conn),
        diesel::insert_into(samples::table)
            .values(samples::name.eq("a"))
            .returning(samples::id)
            .get_result::<i64>(&mut conn)
            .map(|_| 1),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert!(
            matches!(error, DieselError::QueryBuilderError(_)),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("of `samples` would leave no history: use `conn.audited_"),
            "{error}"
        );
    }
    let count: i64 = samples::table.count().get_result(&mut conn).unwrap();
    assert_eq!(count, 0);
}

#[test]
fn pauses_and_attributed_transactions_let_plain_writes_through() {
    let database = guarded(&Guard::refuse());
    let mut conn = database.audited(ann());
    let insert = |name| diesel::insert_into(samples::table).values(samples::name.eq(name));
    conn.audit_paused("a test")
        .run(|conn| insert("paused").execute(conn))
        .unwrap();
    assert_eq!(entries_of(samples::table, 1).load(&mut conn).unwrap(), []);
    // A guard that refuses does so, whoever it is.
    let refused: Result<_, Error> = conn
        .build_transaction()
        .attributed()
        .run(|conn| Ok(insert("plain").execute(conn)?));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("INSERT of samples refused"),
    );

    let database = guarded(&Guard::capture());
    let mut conn = database.audited(ann());
    conn.build_transaction()
        .attributed()
        .run(|conn| insert("plain").execute(conn))
        .unwrap();
    let entries = entries_of(samples::table, 1).load(&mut conn).unwrap();
    assert_eq!(entries[0].user.as_ref().unwrap(), "ann");
    assert_eq!(entries[0].captured(), Some("INSERT"));
    assert_eq!(entries[0].database_role(), None);
}

#[test]
fn guard_that_cannot_be_armed_says_what_to_do() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.batch_execute("DROP VIEW koherent_pause; DROP VIEW koherent_said; DROP VIEW koherent_admit; DROP TABLE koherent_session;")
        .unwrap();
    let error = conn
        .audited_insert(samples::table, samples::name.eq("a"))
        .execute()
        .unwrap_err();
    assert!(matches!(error, Error::GuardNotArmed(_)));
    assert_eq!(error.reason(), "GUARD_NOT_ARMED");
    assert_eq!(
        error.to_string(),
        "the guard of the table could not be armed, so nothing was changed; is `koherent_session` there? Run the migrations \
         `koherent_diesel::MIGRATIONS`"
    );
}

/// Rows that take the place of others are met before they do.
#[test]
fn history_is_not_replaced() {
    let database = guarded(&Guard::refuse());
    let mut conn = database.audited(under_task("task-a"));
    conn.audited_insert(samples::table, samples::name.eq("a"))
        .execute()
        .unwrap();
    for (sql, expected) in [
        (
            "INSERT OR REPLACE INTO samples_history SELECT * FROM samples_history",
            "KO002: INSERT of samples_history refused: there is an entry of that number already",
        ),
        (
            "REPLACE INTO koherent_task SELECT * FROM koherent_task",
            "KO002: INSERT of koherent_task refused: there is a row of that task or token already",
        ),
        (
            "UPDATE OR REPLACE samples_history SET history_id = 7",
            "KO002: UPDATE of samples_history refused: rows are only added here; `koherent prune` is what deletes old entries",
        ),
    ] {
        let DieselError::DatabaseError(_, details) = conn.batch_execute(sql).unwrap_err() else {
            panic!("{sql}")
        };
        assert_eq!(details.message(), expected);
    }
}
