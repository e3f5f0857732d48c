//! The change and its history are one transaction: neither is ever there without the other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use koherent_core::ErrorCode;
use koherent_diesel::{AuditedConnection, Error};
use support::*;

const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON samples_history WHEN NEW.name LIKE 'bad%' OR NEW.history_kind <> '+'
                      BEGIN SELECT RAISE(ABORT, 'history is full'); END;";

fn with_refusing_history() -> (Database, AuditedConnection<SqliteConnection>) {
    let database = Database::new();
    let mut conn = database.audited(under_task("task-a"));
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    conn.batch_execute(REFUSE).unwrap();
    (database, conn)
}

fn state(conn: &mut AuditedConnection<SqliteConnection>) -> (Vec<String>, i64) {
    let names = samples::table
        .select(samples::name)
        .order(samples::id)
        .load(conn)
        .unwrap();
    (names, count(conn, "samples_history"))
}

#[test]
fn change_is_rolled_back_when_its_history_cannot_be_written() {
    let (_database, mut conn) = with_refusing_history();
    let before = state(&mut conn);

    let rows = [named("good"), named("bad")];
    let failed = [
        conn.audited_insert(samples::table, &rows).execute(),
        conn.audited_update(samples::table.find(1), samples::name.eq("heart"))
            .execute(),
        conn.audited_update(samples::table, samples::mass.eq(7.0))
            .get_results::<Sample>()
            .map(|rows| rows.len()),
        conn.audited_delete(samples::table.find(1)).execute(),
    ];
    for result in failed {
        let error = result.unwrap_err();
        assert!(
            matches!(
                error,
                Error::HistoryNotWritten {
                    table: "samples",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.code(), ErrorCode::InternalError);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("history is full"), "{cause}");
    }
    assert_eq!(state(&mut conn), before);
}

/// The same writes, with change and history as two statements of their own, lose history: the harness can fail.
#[test]
fn negative_control_two_statements_keep_the_change_without_history() {
    let (_database, mut conn) = with_refusing_history();
    let before = state(&mut conn);
    diesel::sql_query("UPDATE samples SET name = 'heart'")
        .execute(&mut conn)
        .unwrap();
    let history = diesel::sql_query(
        "INSERT INTO samples_history (id, name, active, history_kind, history_date, history_transaction) \
         SELECT id, name, active, '~', '', '' FROM samples",
    )
    .execute(&mut conn);
    assert!(history.is_err());
    assert_ne!(state(&mut conn), before);
}

#[test]
fn history_is_rolled_back_when_the_change_fails() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, vec![named("liver"), named("heart")])
        .execute()
        .unwrap();
    let before = state(&mut conn);
    let error = conn
        .audited_update(samples::table.find(1), samples::name.eq("heart"))
        .execute()
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Diesel(DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation,
            _
        ))
    ));
    assert_eq!(
        (error.code(), error.reason()),
        (ErrorCode::Conflict, "CONSTRAINT_VIOLATED")
    );
    let rows = vec![named("new"), named("liver")];
    conn.audited_insert(samples::table, &rows)
        .execute()
        .unwrap_err();
    assert_eq!(state(&mut conn), before);
}

/// A delete that a trigger silently swallows would leave an entry without its change.
#[test]
fn swallowed_delete_is_an_error_and_leaves_no_entry() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    conn.batch_execute(
        "CREATE TRIGGER swallow BEFORE DELETE ON samples BEGIN SELECT RAISE(IGNORE); END;",
    )
    .unwrap();
    let before = state(&mut conn);
    let error = conn
        .audited_delete(samples::table.find(1))
        .execute()
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::HistoryIncomplete {
                changed: 0,
                recorded: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(state(&mut conn), before);
}

/// A row that cannot be read as asked fails the whole statement.
#[test]
fn unreadable_result_rolls_everything_back() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    let before = state(&mut conn);
    let not_json = diesel::dsl::sql::<diesel::sql_types::Nullable<diesel::sql_types::Json>>("'{'");
    let result: Result<Sample, Error> = conn
        .audited_update(
            samples::table.find(1),
            (samples::name.eq("x"), samples::metadata.eq(not_json)),
        )
        .get_result();
    assert!(matches!(
        result,
        Err(Error::Diesel(DieselError::DeserializationError(_)))
    ));
    assert_eq!(state(&mut conn), before);
}

#[test]
fn entries_of_one_transaction_share_its_id_and_go_with_it() {
    let database = Database::new();
    let mut conn = database.audited(under_task("task-a"));
    conn.transaction(|conn| {
        conn.audited_insert(samples::table, named("liver"))
            .execute()?;
        conn.audited_update(samples::table.find(1), samples::name.eq("heart"))
            .execute()?;
        conn.transaction(|conn| conn.audited_delete(samples::table.find(1)).execute())
    })
    .unwrap();
    let entries = history_of(&mut conn, 1);
    assert_eq!(kinds(&entries), "-~+");
    assert!(
        entries
            .iter()
            .all(|entry| entry.transaction == entries[0].transaction)
    );

    let rolled_back = conn.transaction::<(), Error, _>(|conn| {
        conn.audited_insert(samples::table, named("kidney"))
            .execute()?;
        Err(DieselError::RollbackTransaction.into())
    });
    assert!(rolled_back.is_err());
    conn.audited_insert(samples::table, named("lung"))
        .execute()
        .unwrap();
    assert_eq!(state(&mut conn), (vec!["lung".to_owned()], 4));
    let lung = history_of(&mut conn, 1);
    assert_ne!(
        lung[0].transaction, lung[1].transaction,
        "an id is not carried into the next transaction"
    );
}

/// What fails inside a transaction takes its own savepoint with it, not the transaction.
#[test]
fn failed_change_inside_a_transaction_leaves_the_rest() {
    let (_database, mut conn) = with_refusing_history();
    conn.transaction::<_, Error, _>(|conn| {
        conn.audited_insert(samples::table, named("good"))
            .execute()?;
        assert!(
            conn.audited_insert(samples::table, named("bad"))
                .execute()
                .is_err()
        );
        Ok(())
    })
    .unwrap();
    assert_eq!(
        state(&mut conn),
        (vec!["liver".to_owned(), "good".to_owned()], 2)
    );
}

#[test]
fn missing_tables_are_named_with_what_to_do() {
    let database = Database::new();
    let mut conn = database.audited(under_task("task-a"));
    conn.batch_execute("DROP VIEW koherent_admit; DROP TABLE koherent_task;")
        .unwrap();
    let error = conn
        .audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap_err();
    assert!(matches!(error, Error::TaskNotWritten(_)), "{error}");
    assert!(
        error.to_string().contains("koherent_diesel::MIGRATIONS"),
        "{error}"
    );
    assert_eq!(state(&mut conn), (vec![], 0));

    let error = koherent_diesel::entries_of(samples::table, 1)
        .load(&mut conn)
        .unwrap_err();
    assert!(
        error.to_string().contains("koherent_diesel::MIGRATIONS"),
        "{error}"
    );

    conn.batch_execute("ALTER TABLE samples_history DROP COLUMN note;")
        .unwrap();
    let mut conn = database.audited(ann());
    let error = conn
        .audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap_err();
    assert!(
        error.to_string().contains("koherent_diesel::check"),
        "{error}"
    );
    assert_eq!(error.to_string().lines().count(), 1);
}

/// A history table whose ids number nothing could not tell a delete which rows it has recorded.
#[test]
fn history_without_numbers_refuses_deletes() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.batch_execute(
        "DROP TABLE samples_history;
         CREATE TABLE samples_history (
             history_id BIGINT PRIMARY KEY, id BIGINT NOT NULL, name TEXT NOT NULL, note TEXT, mass DOUBLE,
             active BOOLEAN NOT NULL, scan BLOB, metadata TEXT, history_kind TEXT NOT NULL, history_date TEXT NOT NULL,
             history_user TEXT, history_client TEXT, history_organization TEXT, history_task TEXT,
             history_transaction TEXT NOT NULL, history_reason TEXT, history_context TEXT
         );",
    )
    .unwrap();
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    let before = state(&mut conn);
    let error = conn
        .audited_delete(samples::table.find(1))
        .execute()
        .unwrap_err();
    assert!(
        matches!(error, Error::HistoryNotNumbered { table: "samples" }),
        "{error}"
    );
    assert_eq!(state(&mut conn), before);
}

/// A panic while a result is read must not leave a transaction open, in which later changes would never be committed.
#[test]
fn panic_while_reading_a_result_rolls_back_and_leaves_the_connection_usable() {
    #[derive(Debug, Queryable)]
    #[diesel(table_name = samples)]
    #[expect(dead_code, reason = "it is never read to the end")]
    struct Panicking {
        id: i64,
        #[diesel(deserialize_as = Panics)]
        name: String,
        note: Option<String>,
        mass: Option<f64>,
        active: bool,
        scan: Option<Vec<u8>>,
        metadata: Option<serde_json::Value>,
        storage_code: String,
    }

    struct Panics;

    impl From<Panics> for String {
        fn from(_: Panics) -> Self {
            panic!("a panic of the application's")
        }
    }

    impl<ST> Queryable<ST, diesel::sqlite::Sqlite> for Panics
    where
        String: Queryable<ST, diesel::sqlite::Sqlite>,
    {
        type Row = <String as Queryable<ST, diesel::sqlite::Sqlite>>::Row;

        fn build(row: Self::Row) -> diesel::deserialize::Result<Self> {
            String::build(row).map(|_| Self)
        }
    }

    let database = Database::new();
    let mut conn = database.audited(ann());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        conn.audited_insert(samples::table, named("liver"))
            .get_result::<Panicking>()
    }));
    assert!(panicked.is_err());
    conn.audited_insert(samples::table, named("heart"))
        .execute()
        .unwrap();
    let mut other = database.audited(ann());
    assert_eq!(
        state(&mut other),
        (vec!["heart".to_owned()], 1),
        "committed, and seen by others"
    );
}

#[test]
fn error_of_a_statement_that_ends_the_transaction_is_kept() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.batch_execute(
        "CREATE TRIGGER ended BEFORE INSERT ON samples_history BEGIN SELECT RAISE(ROLLBACK, 'no more'); END;",
    )
    .unwrap();
    let error = conn
        .audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("no more"), "{error}: {cause}");
    conn.batch_execute("DROP TRIGGER ended;").unwrap();
    assert_eq!(state(&mut conn), (vec![], 0));
}

#[test]
fn waiting_for_a_lock_in_vain_is_unavailable() {
    let database = Database::new();
    let mut holder = database.connect();
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    let mut conn = database.audited(under_task("task-a"));
    conn.batch_execute("PRAGMA busy_timeout = 0;").unwrap();
    let alone = conn
        .audited_insert(samples::table, named("liver"))
        .execute();
    let nested = conn.transaction(|conn| {
        conn.audited_insert(samples::table, named("liver"))
            .execute()
    });
    for error in [alone.unwrap_err(), nested.unwrap_err()] {
        assert_eq!(
            (error.code(), error.reason()),
            (ErrorCode::Unavailable, "DATABASE_BUSY"),
            "{error}"
        );
    }
    holder.batch_execute("ROLLBACK").unwrap();
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
}
