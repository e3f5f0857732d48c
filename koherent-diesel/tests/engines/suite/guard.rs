//! Nothing escapes: what goes past the audit is refused or captured, whatever statement it is.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{ExpressionMethods as _, Insertable as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use koherent_core::ErrorCode;
use koherent_diesel::schema::koherent_task;
use koherent_diesel::{Audited, AuditedConnection, Difference, Error, Guard, check, entries_of};

use super::engine::{
    Backend, CASCADES_RUN_TRIGGERS, Conn, Database, FORGE_PAUSE, MEASUREMENTS, MOVES_KEYS, NODES,
    RAW, REFUSED, ROLE, leave, upsert,
};
use super::{count, history_of};
use crate::tables::*;

/// Liver, heart and lung, with their history; and a plain row.
async fn seeded(guard: &Guard) -> Database {
    let database = Database::guarded(guard).await;
    let mut conn = database.audited(ann()).await;
    for name in ["liver", "heart", "lung"] {
        conn.audited_insert(samples::table, named(name))
            .execute()
            .await
            .unwrap();
    }
    conn.batch_execute("INSERT INTO plain (id, name) VALUES (1, 'hepar')")
        .await
        .unwrap();
    database
}

fn refusal(statement: &str, table: &str) -> String {
    let helper = match statement {
        "INSERT" => "audited_insert",
        "UPDATE" => "audited_update",
        _ => "audited_delete",
    };
    format!(
        "{REFUSED}{statement} of {table} refused, it would leave no history: use {helper}, or audit_paused for a data migration"
    )
}

fn message(error: &DieselError) -> &str {
    let DieselError::DatabaseError(_, details) = error else {
        panic!("{error:?}")
    };
    details.message()
}

/// What an entry says: the captured statement, kind, id, name; user and role.
type Said = (
    Option<String>,
    String,
    i64,
    String,
    Option<String>,
    Option<String>,
);

/// The entries behind that one.
async fn entries_behind(conn: &mut Conn, last: i64) -> Vec<Said> {
    use samples_history as h;
    type Row = (
        String,
        i64,
        String,
        Option<String>,
        Option<serde_json::Value>,
    );
    let rows: Vec<Row> = h::table
        .filter(h::history_id.gt(last))
        .order(h::history_id)
        .select((
            h::history_kind,
            h::id,
            h::name,
            h::history_user,
            h::history_context,
        ))
        .load(conn)
        .await
        .unwrap();
    rows.into_iter()
        .map(|(kind, id, name, user, context)| {
            let said = |key: &str| Some(context.as_ref()?.get(key)?.as_str()?.to_owned());
            (
                said("captured"),
                kind,
                id,
                name,
                user,
                said("database_role"),
            )
        })
        .collect()
}

async fn last_entry(conn: &mut Conn) -> i64 {
    use samples_history as h;
    let last: Option<i64> = h::table
        .select(diesel::dsl::max(h::history_id))
        .first(conn)
        .await
        .unwrap();
    last.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_writes_are_refused_with_the_helper_to_use() {
    let database = seeded(&Guard::refuse()).await;
    let mut conn = database.connect().await;
    let before: Vec<Sample> = samples::table
        .order(samples::id)
        .load(&mut conn)
        .await
        .unwrap();
    let last = last_entry(&mut conn).await;
    for raw in RAW_EVERYWHERE.iter().chain(RAW) {
        conn.batch_execute("BEGIN").await.unwrap();
        let result = conn.batch_execute(raw.sql).await;
        match raw.refused {
            Some(statement) => {
                let error = result.expect_err(raw.sql);
                assert_eq!(
                    message(&error),
                    refusal(statement, "samples"),
                    "{}",
                    raw.sql
                );
            }
            None => result.unwrap_or_else(|error| panic!("{}: {error}", raw.sql)),
        }
        conn.batch_execute("ROLLBACK").await.unwrap();
        let after: Vec<Sample> = samples::table
            .order(samples::id)
            .load(&mut conn)
            .await
            .unwrap();
        assert_eq!(after, before, "{}", raw.sql);
        assert_eq!(entries_behind(&mut conn, last).await, [], "{}", raw.sql);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_writes_are_captured_once() {
    let database = seeded(&Guard::capture().unique(["name"])).await;
    let mut conn = database.connect().await;
    let last = last_entry(&mut conn).await;
    for raw in RAW_EVERYWHERE.iter().chain(RAW) {
        conn.batch_execute("BEGIN").await.unwrap();
        let result = conn.batch_execute(raw.sql).await;
        result.unwrap_or_else(|error| panic!("{}: {error}", raw.sql));
        let role = ROLE.map(ToOwned::to_owned);
        let expected: Vec<Said> = raw
            .captured
            .iter()
            .map(|(statement, kind, id, name)| {
                let statement = Some((*statement).to_owned());
                let (kind, name) = ((*kind).to_owned(), (*name).to_owned());
                (statement, kind, *id, name, role.clone(), role.clone())
            })
            .collect();
        assert_eq!(
            entries_behind(&mut conn, last).await,
            expected,
            "{}",
            raw.sql
        );
        conn.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(entries_behind(&mut conn, last).await, [], "{}", raw.sql);
    }
}

/// Where the guard captures, the helpers still leave one entry each, which is not marked as captured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helpers_leave_one_entry() {
    let database = seeded(&Guard::capture().unique(["name"])).await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.audited_insert(samples::table, vec![named("ear"), named("eye")])
        .execute()
        .await
        .unwrap();
    conn.audited_update(samples::table.find(4), samples::note.eq("left"))
        .execute()
        .await
        .unwrap();
    conn.audited_upsert(upsert!(
        (samples::id.eq(4), samples::name.eq("auris")),
        samples::name.eq("auris")
    ))
    .execute()
    .await
    .unwrap();
    conn.audited_upsert(leave!((samples::id.eq(4), samples::name.eq("left alone"))))
        .execute()
        .await
        .unwrap();
    if MOVES_KEYS {
        conn.audited_update(samples::table.find(5), samples::id.eq(6))
            .execute()
            .await
            .unwrap();
    }
    let copies = samples::table
        .filter(samples::id.eq(4))
        .select((samples::id + 10, samples::note));
    let copies = copies
        .insert_into(samples::table)
        .into_columns((samples::id, samples::note));
    // The name is missing: it fails, and leaves nothing armed.
    conn.audited_insert_select(copies).execute().await.ok();
    let mut batch = conn.audited_batch();
    batch.update(samples::table.find(1), samples::note.eq("one"));
    batch.delete(samples::table.find(2));
    batch.execute().await.unwrap();
    conn.audited_delete(samples::table.find(4))
        .execute()
        .await
        .unwrap();

    assert_eq!(kinds(&history_of(&mut conn, 4).await), "-~~+");
    let moved = if MOVES_KEYS { "-+" } else { "+" };
    assert_eq!(kinds(&history_of(&mut conn, 5).await), moved);
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "~+");
    assert_eq!(kinds(&history_of(&mut conn, 2).await), "-+");
    for id in 1..7 {
        for entry in history_of(&mut conn, id).await {
            assert_eq!(entry.captured(), None);
        }
    }
}

/// What arms a guard arms it for one statement: not for the next of the same transaction, and not after a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guards_are_armed_for_one_statement() {
    let database = seeded(&Guard::refuse()).await;
    let raw = [
        "INSERT INTO samples (id, name) VALUES (9, 'new')",
        "UPDATE samples SET note = 'raw'",
        "DELETE FROM samples WHERE id = 3",
    ];
    for raw in raw {
        for audited in 0..7 {
            let mut conn = database.audited(ann()).await;
            let result = conn
                .transaction(async |conn| {
                    match audited {
                        0 => drop(
                            conn.audited_insert(samples::table, named("a"))
                                .execute()
                                .await?,
                        ),
                        1 => drop(
                            conn.audited_update(samples::table.find(1), samples::note.eq("a"))
                                .execute()
                                .await?,
                        ),
                        // Nothing changes, and nothing is touched.
                        2 => drop(
                            conn.audited_update(samples::table.find(1), samples::name.eq("liver"))
                                .execute()
                                .await?,
                        ),
                        3 => drop(
                            conn.audited_update(samples::table.find(77), samples::note.eq("a"))
                                .execute()
                                .await?,
                        ),
                        4 => drop(
                            conn.audited_delete(samples::table.find(2))
                                .execute()
                                .await?,
                        ),
                        // It meets a row, and leaves it alone.
                        5 => drop(
                            conn.audited_upsert(leave!((
                                samples::id.eq(1),
                                samples::name.eq("left alone")
                            )))
                            .execute()
                            .await?,
                        ),
                        _ => drop(
                            conn.audited_delete(samples::table.find(77))
                                .execute()
                                .await?,
                        ),
                    }
                    conn.batch_execute(raw).await?;
                    Ok::<_, Error>(())
                })
                .await;
            let Err(Error::Diesel(error)) = result else {
                panic!("{raw} behind {audited}: {result:?}")
            };
            let statement = raw.split(' ').next().unwrap();
            assert_eq!(message(&error), refusal(statement, "samples"));

            // A statement that fails leaves nothing armed either.
            let taken = samples::name.eq("heart");
            let failed = match audited {
                0 => {
                    conn.audited_insert(samples::table, named("heart"))
                        .execute()
                        .await
                }
                _ => {
                    conn.audited_update(samples::table.find(1), taken)
                        .execute()
                        .await
                }
            };
            assert_eq!(failed.unwrap_err().code(), ErrorCode::Conflict);
            let error = conn.batch_execute(raw).await.unwrap_err();
            assert_eq!(message(&error), refusal(statement, "samples"));
        }
    }
    let mut conn = database.audited(ann()).await;
    assert_eq!(count(&mut conn, "samples_history").await, 3);
}

async fn with_measurements(guard: &Guard) -> Database {
    let database = seeded(guard).await;
    let mut conn = database.audited(ann()).await;
    for ddl in [
        MEASUREMENTS.to_owned(),
        measurements::table::history_ddl::<Backend>(),
        measurements::table::guard_ddl::<Backend>(&Guard::new(guard.policy())),
    ] {
        conn.batch_execute(&ddl).await.unwrap();
    }
    let row = (
        measurements::id.eq(1),
        measurements::sample_id.eq(1),
        measurements::value.eq(0.5),
    );
    conn.audited_insert(measurements::table, row)
        .execute()
        .await
        .unwrap();
    database
}

/// A cascade is refused or captured; where it runs no triggers, the check says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cascades_do_not_escape() {
    let database = with_measurements(&Guard::refuse()).await;
    let mut conn = database.audited(under_task("task-a")).await;
    let differences = check(
        &mut conn,
        [samples::table::tracked(), measurements::table::tracked()],
    )
    .await
    .unwrap();
    if !CASCADES_RUN_TRIGGERS {
        let [difference] = &differences[..] else {
            panic!("{differences:?}")
        };
        assert_eq!(
            difference.to_string(),
            "the table `measurements` is changed by the foreign key `of_sample` (ON DELETE CASCADE, ON UPDATE RESTRICT), which \
             runs no triggers and so leaves no history: make it RESTRICT, and delete these rows first"
        );
        return;
    }
    assert_eq!(differences, []);
    let error = conn
        .audited_delete(samples::table.find(1))
        .execute()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::GuardRefused { table: "samples", source } if message(source) == refusal("DELETE", "measurements")),
        "{error:?}"
    );
    assert_eq!(error.reason(), "GUARD_REFUSED");
    assert_eq!(count(&mut conn, "samples").await, 3);
    // Deleting them first is what works.
    conn.audited_delete(measurements::table)
        .execute()
        .await
        .unwrap();
    conn.audited_delete(samples::table.find(1))
        .execute()
        .await
        .unwrap();

    // Captured, the cascade belongs to whoever made the statement.
    let database = with_measurements(&Guard::capture().unique(["name"])).await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.audited_update(samples::table.find(1), samples::id.eq(7))
        .execute()
        .await
        .unwrap();
    conn.audited_delete(samples::table.find(7))
        .reason("thrown away")
        .execute()
        .await
        .unwrap();
    let entries = entries_of(measurements::table, 1)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(kinds(&entries), "-~+");
    let statements: Vec<_> = entries.iter().map(|entry| entry.captured()).collect();
    assert_eq!(statements, [Some("DELETE"), Some("UPDATE"), None]);
    let of_sample = history_of(&mut conn, 7).await;
    for (captured, audited) in [(&entries[0], &of_sample[0]), (&entries[1], &of_sample[1])] {
        assert_eq!(captured.user.as_ref().unwrap(), "agent-7");
        assert_eq!(captured.transaction, audited.transaction);
        assert_eq!(captured.reason, audited.reason);
        let task = captured.task.as_ref().unwrap();
        assert_eq!(task.task.task_id.as_str(), "task-a");
    }
    // A raw one belongs to the database's role, whoever made the statement before.
    conn.transaction(async |conn| {
        conn.audited_update(samples::table.find(2), samples::note.eq("beats"))
            .execute()
            .await?;
        let row = (
            measurements::id.eq(2),
            measurements::sample_id.eq(2),
            measurements::value.eq(0.5),
        );
        conn.audited_insert(measurements::table, row)
            .execute()
            .await?;
        conn.batch_execute("DELETE FROM samples WHERE id = 2")
            .await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    let entries = entries_of(measurements::table, 2)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(entries[0].captured(), Some("DELETE"));
    assert_eq!(entries[0].user.as_ref().map(|user| user.as_str()), ROLE);
    assert_eq!(entries[0].task, None);
}

/// A row that takes others of its own table with it: what arms the guard for the one does not let the others go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cascades_into_the_same_table_do_not_escape() {
    for guard in [Guard::refuse(), Guard::capture()] {
        let database = Database::new().await;
        let mut conn = database.audited(ann()).await;
        for ddl in [
            NODES.to_owned(),
            nodes::table::history_ddl::<Backend>(),
            nodes::table::guard_ddl::<Backend>(&guard),
        ] {
            conn.batch_execute(&ddl).await.unwrap();
        }
        let rows = [(1, None), (2, Some(1)), (3, Some(2)), (4, None)];
        let rows = rows.map(|(id, parent)| {
            (
                nodes::id.eq(id),
                nodes::parent.eq(parent),
                nodes::label.eq("a"),
            )
        });
        conn.audited_insert(nodes::table, rows.to_vec())
            .execute()
            .await
            .unwrap();
        let differences = check(&mut conn, [nodes::table::tracked()]).await.unwrap();
        if !CASCADES_RUN_TRIGGERS {
            assert_eq!(differences.len(), 1, "{differences:?}");
            assert!(
                differences[0]
                    .to_string()
                    .contains("`of_parent` (ON DELETE CASCADE")
            );
            continue;
        }
        let result = conn.audited_delete(nodes::table.find(1)).execute().await;
        if guard == Guard::refuse() {
            let error = result.unwrap_err();
            assert!(
                matches!(&error, Error::GuardRefused { table: "nodes", source } if message(source) == refusal("DELETE", "nodes")),
                "{error:?}"
            );
            assert_eq!(count(&mut conn, "nodes").await, 4);
            // All at once is what works.
            conn.audited_delete(nodes::table.filter(nodes::id.lt(4)))
                .execute()
                .await
                .unwrap();
            assert_eq!(count(&mut conn, "nodes_history").await, 7);
        } else {
            assert_eq!(result.unwrap(), 1);
            let mut captured = Vec::new();
            for id in 1..4 {
                let entries = entries_of(nodes::table, id).load(&mut conn).await.unwrap();
                assert_eq!(kinds(&entries), "-+");
                assert_eq!(entries[0].user.as_ref().unwrap(), "ann");
                captured.push(entries[0].captured().is_some());
            }
            assert_eq!(captured, [false, true, true]);
        }
        assert_eq!(count(&mut conn, "nodes").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captured_entries_take_user_and_task_from_the_session() {
    let database = seeded(&Guard::capture().unique(["name"])).await;
    let attribution = under_task("task-a")
        .with_reason("o'clock \\ \"noon\"")
        .with("batch", 7);
    let mut conn = database.audited(attribution).await;
    conn.build_transaction()
        .attributed()
        .run(async |conn| {
            diesel::update(samples::table.find(1))
                .set(samples::note.eq("plain"))
                .execute(conn)
                .await?;
            conn.audited_update(samples::table.find(2), samples::note.eq("audited"))
                .execute()
                .await?;
            conn.batch_execute("DELETE FROM samples WHERE id = 3")
                .await
                .map_err(Error::from)
        })
        .await
        .unwrap();
    let audited = history_of(&mut conn, 2).await;
    for (id, statement) in [(1, "UPDATE"), (3, "DELETE")] {
        let entries = history_of(&mut conn, id).await;
        let entry = &entries[0];
        assert_eq!(entry.captured(), Some(statement));
        assert_eq!(entry.database_role(), ROLE);
        assert_eq!(entry.user, audited[0].user);
        assert_eq!(entry.client, audited[0].client);
        assert_eq!(entry.organization, audited[0].organization);
        assert_eq!(entry.reason.as_deref(), Some("o'clock \\ \"noon\""));
        assert_eq!(entry.transaction, audited[0].transaction);
        assert_eq!(entry.task, audited[0].task);
        assert_eq!(entry.context.as_ref().unwrap()["batch"], 7);
        assert!(entry.date >= entries[1].date);
    }
    assert_eq!(audited[0].captured(), None);

    // The next transaction says nothing.
    conn.batch_execute("UPDATE samples SET note = 'raw' WHERE id = 1")
        .await
        .unwrap();
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(entries[0].user.as_ref().map(|user| user.as_str()), ROLE);
    assert_eq!(entries[0].task, None);
    assert_ne!(entries[0].transaction, entries[1].transaction);

    // Nor does one that was rolled back.
    let result: Result<(), Error> = conn
        .build_transaction()
        .attributed()
        .run(async |_| Err(DieselError::RollbackTransaction.into()))
        .await;
    assert!(result.is_err());
    conn.batch_execute("UPDATE samples SET note = 'raw again' WHERE id = 1")
        .await
        .unwrap();
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(entries[0].user.as_ref().map(|user| user.as_str()), ROLE);
}

/// The row of a task comes with a captured entry too, and no task is taken for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captured_entries_bring_their_task() {
    let database = seeded(&Guard::capture().unique(["name"])).await;
    let write = async |attribution| {
        let mut conn = database.audited(attribution).await;
        conn.build_transaction()
            .attributed()
            .run(async |conn| {
                diesel::update(samples::table.find(1))
                    .set(samples::mass.eq(fastrand::f64()))
                    .execute(conn)
                    .await
                    .map_err(Error::from)
            })
            .await
    };
    write(under_task("task-a")).await.unwrap();
    write(under_task("task-a")).await.unwrap();
    let mut conn = database.audited(ann()).await;
    let tasks: Vec<String> = koherent_task::table
        .select(koherent_task::task_id)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(tasks, ["task-a"]);
    let other = write(under_token("rekuest", "chem", "task-a", |token| token)).await;
    let error = other.unwrap_err().to_string();
    assert!(
        error.contains("the task is known here with another"),
        "{error}"
    );
    assert_eq!(history_of(&mut conn, 1).await.len(), 3);
}

#[derive(Debug, PartialEq, diesel::QueryableByName)]
struct Operation {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    tracked_table: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    operation_user: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    operation_task: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    operation_reason: Option<String>,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    created_rows: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    updated_rows: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    deleted_rows: i64,
}

async fn operations(conn: &mut AuditedConnection<Conn>) -> Vec<Operation> {
    diesel::sql_query("SELECT * FROM koherent_operation ORDER BY operation_id")
        .load(conn)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_are_recorded_with_what_they_let_through() {
    for guard in [Guard::refuse(), Guard::capture().unique(["name"])] {
        let database = seeded(&guard).await;
        let mut conn = database.audited(under_task("task-a")).await;
        conn.audit_paused("labels in upper case")
            .run(async |conn| {
                conn.batch_execute("UPDATE samples SET name = upper(name)")
                    .await?;
                conn.batch_execute("UPDATE samples SET note = 'loud' WHERE id = 1")
                    .await?;
                diesel::delete(samples::table.find(3)).execute(conn).await?;
                conn.audited_update(samples::table.find(2), samples::note.eq("audited"))
                    .execute()
                    .await?;
                conn.batch_execute("INSERT INTO samples (id, name) VALUES (8, 'EAR'), (9, 'EYE')")
                    .await
                    .map_err(Error::from)
            })
            .await
            .unwrap();
        assert_eq!(kinds(&history_of(&mut conn, 1).await), "+");
        assert_eq!(kinds(&history_of(&mut conn, 2).await), "~+");
        let paused = |table: Option<&str>, created_rows, updated_rows, deleted_rows| Operation {
            tracked_table: table.map(ToOwned::to_owned),
            operation_user: Some("agent-7".into()),
            operation_task: Some("task-a".into()),
            operation_reason: Some("labels in upper case".into()),
            created_rows,
            updated_rows,
            deleted_rows,
        };
        let expected = [paused(None, 0, 0, 0), paused(Some("samples"), 2, 4, 1)];
        assert_eq!(operations(&mut conn).await, expected);
        assert_eq!(count(&mut conn, "koherent_task").await, 1);

        // It is over, and it cannot be made up.
        let raw = "UPDATE samples SET note = 'after' WHERE id = 1";
        if guard == Guard::refuse() {
            let error = conn.batch_execute(raw).await.unwrap_err();
            assert_eq!(message(&error), refusal("UPDATE", "samples"));
            let forged = conn
                .batch_execute(&format!("BEGIN; {FORGE_PAUSE}; {raw}"))
                .await;
            assert_eq!(message(&forged.unwrap_err()), refusal("UPDATE", "samples"));
            // PostgreSQL and others differ in whether the transaction is still open.
            let _ = conn.batch_execute("ROLLBACK").await;
        } else {
            conn.batch_execute(&format!("BEGIN; {FORGE_PAUSE}; {raw}; ROLLBACK"))
                .await
                .unwrap();
            conn.batch_execute(raw).await.unwrap();
            assert_eq!(kinds(&history_of(&mut conn, 1).await), "~+");
        }

        // What is rolled back was not paused.
        let mut conn = database.audited(ann()).await;
        let result: Result<(), Error> = conn
            .audit_paused("no")
            .run(async |conn| {
                conn.batch_execute("DELETE FROM samples").await?;
                Err(DieselError::RollbackTransaction.into())
            })
            .await;
        assert!(result.is_err());
        assert_eq!(operations(&mut conn).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_writes_are_refused_before_they_reach_the_database() {
    // Nothing else would refuse them.
    let database = seeded(&Guard::refuse()).await;
    let unguard = samples::table::unguard_ddl::<Backend>();
    let mut conn = database.audited(ann()).await;
    conn.batch_execute(&unguard).await.unwrap();

    let insert = diesel::insert_into(samples::table).values(named("plain"));
    let update = diesel::update(samples::table.find(1)).set(samples::note.eq("plain"));
    let delete = diesel::delete(samples::table.filter(samples::id.gt(1)));
    let results = [
        (
            insert.clone().execute(&mut conn).await,
            "insert",
            "conn.audited_insert(table, &rows)",
        ),
        (
            update.execute(&mut conn).await,
            "update",
            "conn.audited_update(target, changes)",
        ),
        (
            delete.execute(&mut conn).await,
            "delete",
            "conn.audited_delete(target)",
        ),
        (
            upsert!(
                (samples::id.eq(1), samples::name.eq("x")),
                samples::name.eq("x")
            )
            .execute(&mut conn)
            .await,
            "insert",
            "conn.audited_insert(table, &rows)",
        ),
    ];
    for (result, statement, helper) in results {
        let error = result.unwrap_err();
        assert!(matches!(error, DieselError::QueryBuilderError(_)));
        assert_eq!(
            error.to_string(),
            format!(
                "a plain {statement} of `samples` would leave no history: use `{helper}`; plain writes go through in \
                 `conn.audit_paused(\"why\")`, which records that, and in `conn.build_transaction().attributed()`, for tables \
                 whose guard captures them"
            )
        );
    }
    assert_eq!(count(&mut conn, "samples").await, 3);

    // Other tables are nobody's business.
    diesel::insert_into(plain::table)
        .values((plain::id.eq(2), plain::name.eq("two")))
        .execute(&mut conn)
        .await
        .unwrap();
    diesel::delete(plain::table)
        .execute(&mut conn)
        .await
        .unwrap();

    // In a pause they go through; behind it, they do not.
    conn.audit_paused("a test")
        .run(async |conn| insert.execute(conn).await.map_err(Error::from))
        .await
        .unwrap();
    assert_eq!(count(&mut conn, "samples").await, 4);
    let delete = diesel::delete(samples::table).execute(&mut conn).await;
    assert!(matches!(delete, Err(DieselError::QueryBuilderError(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_only_added_to() {
    let database = seeded(&Guard::refuse()).await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.audited_update(samples::table.find(1), samples::note.eq("seen"))
        .execute()
        .await
        .unwrap();
    conn.audit_paused("a test")
        .run(async |_| Ok::<_, Error>(()))
        .await
        .unwrap();
    let prefix = if REFUSED.is_empty() { "" } else { "KO002: " };
    for (table, set) in [
        ("samples_history", "name = 'forged'"),
        ("samples_history", "history_user = 'nobody'"),
        ("koherent_task", "agent_sub = 'nobody'"),
        ("koherent_operation", "operation_reason = 'forged'"),
    ] {
        for (statement, sql) in [
            ("UPDATE", format!("UPDATE {table} SET {set}")),
            ("DELETE", format!("DELETE FROM {table}")),
            ("TRUNCATE", format!("TRUNCATE TABLE {table}")),
        ] {
            let Err(error) = conn.batch_execute(&sql).await else {
                panic!("{sql}")
            };
            let said = message(&error);
            match (statement, &error) {
                // SQLite has no TRUNCATE.
                ("TRUNCATE", _) if said.contains("syntax error") => {}
                // What can be said is the name of a constraint.
                ("TRUNCATE", DieselError::DatabaseError(DatabaseErrorKind::Unknown, _))
                    if prefix == "KO002: " =>
                {
                    let expected =
                        format!("CONSTRAINT `TRUNCATE of {table} refused: rows are only added");
                    assert!(said.contains(&expected), "{said}");
                }
                _ => assert_eq!(
                    said,
                    format!(
                        "{prefix}{statement} of {table} refused: rows are only added here; `koherent prune` is what deletes old entries"
                    )
                ),
            }
        }
    }
    assert_eq!(count(&mut conn, "samples_history").await, 4);
    assert_eq!(count(&mut conn, "koherent_task").await, 1);
    assert_eq!(count(&mut conn, "koherent_operation").await, 1);
}

/// A thousand raw writes of all kinds, one after the other, some in transactions with audited ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_random_raw_writes_are_all_refused() {
    let database = seeded(&Guard::refuse()).await;
    let mut conn = database.audited(ann()).await;
    let mut random = fastrand::Rng::with_seed(5);
    let before: Vec<Sample> = samples::table
        .order(samples::id)
        .load(&mut conn)
        .await
        .unwrap();
    let mut refused = 0;
    for _ in 0..1000 {
        let sql = random_write(&mut random, &[1, 2, 3]);
        let error = conn.batch_execute(&sql).await.expect_err(&sql);
        assert!(
            message(&error).contains("refused, it would leave no history"),
            "{sql}: {error}"
        );
        refused += 1;
    }
    assert_eq!(refused, 1000);
    let after: Vec<Sample> = samples::table
        .order(samples::id)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(after, before);
    assert_eq!(count(&mut conn, "samples_history").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_random_raw_writes_are_all_captured() {
    let database = seeded(&Guard::capture().unique(["name"])).await;
    let mut conn = database.audited(ann()).await;
    let mut random = fastrand::Rng::with_seed(6);
    let mut expected = count(&mut conn, "samples_history").await;
    for _ in 0..1000 {
        let before: Vec<Sample> = samples::table
            .order(samples::id)
            .load(&mut conn)
            .await
            .unwrap();
        let ids: Vec<_> = before.iter().map(|row| row.id).collect();
        let sql = random_write(&mut random, &ids);
        // A name may be taken.
        let done = conn.batch_execute(&sql).await.is_ok();
        let after: Vec<Sample> = samples::table
            .order(samples::id)
            .load(&mut conn)
            .await
            .unwrap();
        assert!(done || after == before, "{sql}");
        // One entry for each key that came, went, or holds other values.
        let gone = before
            .iter()
            .filter(|row| !after.iter().any(|other| other.id == row.id));
        let come = after
            .iter()
            .filter(|row| !before.iter().any(|other| other.id == row.id));
        let changed = after.iter().filter(|row| {
            before
                .iter()
                .any(|other| other.id == row.id && other != *row)
        });
        expected += (gone.count() + come.count() + changed.count()) as i64;
        assert_eq!(count(&mut conn, "samples_history").await, expected, "{sql}");
    }
    assert!(expected > 700, "{expected}");
    // The latest entry of each key is what the row is.
    for row in samples::table.load::<Sample>(&mut conn).await.unwrap() {
        let entries = history_of(&mut conn, row.id).await;
        assert_ne!(entries[0].kind.code(), "-");
        let image: (String, Option<String>) = samples_history::table
            .find(entries[0].id)
            .select((samples_history::name, samples_history::note))
            .first(&mut conn)
            .await
            .unwrap();
        assert_eq!(image, (row.name, row.note));
    }
}

/// A raw write that changes something.
fn random_write(random: &mut fastrand::Rng, ids: &[i64]) -> String {
    let id = ids
        .get(random.usize(0..ids.len().max(1)))
        .copied()
        .unwrap_or(1);
    let new = random.i64(100..1_000_000);
    match random.u8(0..10) {
        _ if ids.is_empty() => format!("INSERT INTO samples (id, name) VALUES ({new}, 'n{new}')"),
        0..=2 => format!("INSERT INTO samples (id, name) VALUES ({new}, 'n{new}')"),
        3 => format!(
            "INSERT INTO samples (id, name) VALUES ({new}, 'n{new}'), ({new} + 1, 'm{new}')"
        ),
        4 => format!("UPDATE samples SET note = 'u{new}'"),
        5 | 6 => format!("UPDATE samples SET name = 'r{new}', note = NULL WHERE id = {id}"),
        7 => format!("UPDATE samples SET id = {new} WHERE id = {id}"),
        8 => format!("DELETE FROM samples WHERE id = {id}"),
        _ => format!("DELETE FROM samples WHERE id >= {id}"),
    }
}

/// Where somebody drops or disables a trigger, the check says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_parts_of_a_guard_are_named() {
    let database = seeded(&Guard::capture().unique(["name"])).await;
    let mut conn = database.audited(ann()).await;
    assert_eq!(
        check(&mut conn, [samples::table::tracked()]).await.unwrap(),
        []
    );
    let ddl = samples::table::unguard_ddl::<Backend>();
    // All but the last: the table stays registered.
    let (drop_parts, _) = ddl.trim_end().rsplit_once('\n').unwrap();
    let parts = drop_parts.lines().count();
    conn.batch_execute(drop_parts).await.unwrap();
    let differences = check(&mut conn, [samples::table::tracked()]).await.unwrap();
    assert_eq!(differences.len(), parts, "{differences:?}");
    for difference in &differences {
        assert!(
            matches!(difference, Difference::Unguarded { table, .. } if table == "samples"),
            "{difference}"
        );
        let line = difference.to_string();
        assert!(
            line.starts_with("the table `samples` is not guarded: `koherent_"),
            "{line}"
        );
        assert!(line.contains("koherent setup"), "{line}");
    }
}
