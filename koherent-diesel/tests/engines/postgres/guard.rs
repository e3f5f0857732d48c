//! What guards meet on PostgreSQL alone: SQLSTATEs, partitions, cascades of keys, tables of the session's own.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::SimpleAsyncConnection as _;
use koherent_diesel::{Audited as _, AuditedConnection, Error, Guard, check, entries_of};

use super::engine::{Backend, Conn, Database};
use crate::tables::*;

koherent_diesel::audited_table! {
    categories => categories_history (code) {
        code -> Text,
        parent -> Nullable<Text>,
    }
}

koherent_diesel::audited_table! {
    readings => readings_history (id) {
        id -> BigInt,
        value -> Double,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_a_state_and_a_hint() {
    let database = Database::guarded(&Guard::refuse()).await;
    let (client, connection) = tokio_postgres::connect(&database.address(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let error = client
        .execute("INSERT INTO samples (name) VALUES ('raw')", &[])
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "KO001");
    assert_eq!(error.table(), Some("samples"));
    assert_eq!(error.constraint(), Some("koherent_guard"));
    assert_eq!(
        error.hint(),
        Some(
            "audited_insert is a function of koherent-diesel, and a method of its AuditedConnection; it writes the history row as well."
        )
    );
    let error = client
        .execute("DELETE FROM samples_history", &[])
        .await
        .unwrap_err();
    assert_eq!(error.as_db_error().unwrap().code().code(), "KO002");
}

/// A foreign key of a table to itself, which follows when a key changes: rows that the update names are audited, those that
/// follow are refused or captured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_followed_do_not_escape() {
    for guard in [Guard::refuse(), Guard::capture()] {
        let database = Database::new().await;
        let mut conn = database.audited(ann()).await;
        for ddl in [
            "CREATE TABLE categories (code text PRIMARY KEY, parent text REFERENCES categories (code) ON UPDATE CASCADE)",
            &categories::table::history_ddl::<Backend>(),
            &categories::table::guard_ddl::<Backend>(&guard),
        ] {
            conn.batch_execute(ddl).await.unwrap();
        }
        let rows = [("a", None), ("b", Some("a")), ("c", None)];
        let rows =
            rows.map(|(code, parent)| (categories::code.eq(code), categories::parent.eq(parent)));
        conn.audited_insert(categories::table, rows.to_vec())
            .execute()
            .await
            .unwrap();
        // Nothing follows this one.
        conn.audited_update(categories::table.find("c"), categories::code.eq("d"))
            .execute()
            .await
            .unwrap();
        let result = conn
            .audited_update(categories::table.find("a"), categories::code.eq("z"))
            .execute()
            .await;
        if guard == Guard::refuse() {
            let error = result.unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::GuardRefused {
                        table: "categories",
                        ..
                    }
                ),
                "{error:?}"
            );
            continue;
        }
        result.unwrap();
        let told = async |conn: &mut AuditedConnection<Conn>, code: &'static str| {
            let entries = entries_of(categories::table, code)
                .load(conn)
                .await
                .unwrap();
            let captured = entries[0].captured().is_some();
            (kinds(&entries), captured, entries[0].user.clone())
        };
        let ann = ann().user().cloned();
        assert_eq!(
            told(&mut conn, "a").await,
            ("-+".into(), false, ann.clone())
        );
        assert_eq!(told(&mut conn, "z").await, ("+".into(), false, ann.clone()));
        assert_eq!(told(&mut conn, "b").await, ("~+".into(), true, ann.clone()));
        assert_eq!(told(&mut conn, "d").await, ("+".into(), false, ann));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_without_a_guard_are_named() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    for ddl in [
        "CREATE TABLE readings (id bigint PRIMARY KEY, value double precision NOT NULL) PARTITION BY RANGE (id);
         CREATE TABLE readings_low PARTITION OF readings FOR VALUES FROM (0) TO (10);
         CREATE TABLE readings_high PARTITION OF readings FOR VALUES FROM (10) TO (100);",
        &readings::table::history_ddl::<Backend>(),
        &readings::table::guard_ddl::<Backend>(&Guard::refuse()),
    ] {
        conn.batch_execute(ddl).await.unwrap();
    }
    let rows =
        [(1, 0.5), (11, 1.5)].map(|(id, value)| (readings::id.eq(id), readings::value.eq(value)));
    conn.audited_insert(readings::table, rows.to_vec())
        .execute()
        .await
        .unwrap();
    conn.audited_update(readings::table, readings::value.eq(2.5))
        .execute()
        .await
        .unwrap();
    let raw = conn.batch_execute("UPDATE readings SET value = 3").await;
    assert!(
        raw.unwrap_err()
            .to_string()
            .contains("UPDATE of readings refused")
    );
    let mut lines: Vec<_> = check(&mut conn, [readings::table::tracked()])
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["readings_high", "readings_low"].map(|partition| format!(
            "the table `readings` has the partition `{partition}`, to which rows can be written past the guard: create its \
             triggers there as well"
        ))
    );
    let ddl = readings::table::guard_ddl::<Backend>(&Guard::refuse());
    let (triggers, _) = ddl.split_once("DELETE FROM koherent_table").unwrap();
    for partition in ["readings_low", "readings_high"] {
        let triggers = triggers.replace("ON \"readings\"", &format!("ON {partition}"));
        conn.batch_execute(&triggers).await.unwrap();
    }
    assert_eq!(
        check(&mut conn, [readings::table::tracked()])
            .await
            .unwrap(),
        []
    );
    let raw = conn
        .batch_execute("UPDATE readings_low SET value = 3")
        .await;
    assert!(
        raw.unwrap_err()
            .to_string()
            .contains("UPDATE of readings_low refused")
    );
    conn.audited_update(readings::table, readings::value.eq(4.5))
        .execute()
        .await
        .unwrap();
}

/// Functions of guards look at Koherent's tables, whatever tables a session makes or wherever it looks for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_the_session_fool_no_guard() {
    let database = Database::guarded(&Guard::refuse()).await;
    let mut conn = database.connect().await;
    let forged = "CREATE TEMP TABLE koherent_operation (LIKE koherent_operation INCLUDING DEFAULTS);
        INSERT INTO pg_temp.koherent_operation (operation_id, operation, operation_date, operation_transaction)
            VALUES (1, 'pause', now(), '0199a1b2-0000-7000-8000-000000000000');
        CREATE FUNCTION pg_temp.koherent_role() RETURNS text LANGUAGE sql AS $$ SELECT 'somebody else'::text $$;
        SET search_path = pg_temp, public;";
    conn.batch_execute(forged).await.unwrap();
    let schema = database.schema();
    for sql in [
        format!(
            "BEGIN; SELECT set_config('koherent.operation', '0199a1b2-0000-7000-8000-000000000000', true); INSERT INTO {schema}.samples (name) VALUES ('raw')"
        ),
        format!("ROLLBACK; INSERT INTO {schema}.samples (name) VALUES ('raw')"),
    ] {
        let error = conn.batch_execute(&sql).await.unwrap_err();
        assert!(
            error.to_string().contains("INSERT of samples refused"),
            "{error}"
        );
    }
}

/// A function that the statement calls runs before the guard looks: what it changes is not the statement's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_of_a_statement_do_not_use_its_arms() {
    for guard in [Guard::refuse(), Guard::capture()] {
        let database = Database::guarded(&guard).await;
        let mut conn = database.audited(ann()).await;
        conn.batch_execute(
            "CREATE FUNCTION smuggle() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO samples (name) VALUES ('smuggled'); RETURN 'note'; END $$",
        )
        .await
        .unwrap();
        let smuggle =
            diesel::dsl::sql::<diesel::sql_types::Nullable<diesel::sql_types::Text>>("smuggle()");
        let error = conn
            .audited_insert(
                samples::table,
                (samples::name.eq("liver"), samples::note.eq(smuggle.clone())),
            )
            .execute()
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains(
                "INSERT of samples refused, it would leave no history: a function that the audited statement calls changes the table as well"
            ),
            "{error}"
        );
        // Of another kind, it is as every raw write.
        conn.audited_insert(samples::table, samples::name.eq("liver"))
            .execute()
            .await
            .unwrap();
        let result = conn
            .audited_update(samples::table, samples::note.eq(smuggle))
            .execute()
            .await;
        if guard == Guard::refuse() {
            assert!(matches!(result.unwrap_err(), Error::GuardRefused { .. }));
        } else {
            result.unwrap();
            let entries: Vec<(String, String)> = diesel_async::RunQueryDsl::load(
                samples_history::table
                    .order(samples_history::history_id)
                    .select((samples_history::history_kind, samples_history::name)),
                &mut conn,
            )
            .await
            .unwrap();
            let mut said: Vec<_> = entries
                .iter()
                .map(|(kind, name)| format!("{kind}{name}"))
                .collect();
            said.sort_unstable();
            assert_eq!(said, ["+liver", "+smuggled", "~liver"]);
        }
    }
}

/// TRUNCATE takes more rows than a transaction may see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncate_takes_no_rows_that_are_not_seen() {
    for guard in [Guard::refuse(), Guard::capture()] {
        let database = Database::guarded(&guard).await;
        let mut old = database.connect().await;
        old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM samples")
            .await
            .unwrap();
        let mut conn = database.audited(ann()).await;
        conn.audited_insert(samples::table, samples::name.eq("unseen"))
            .execute()
            .await
            .unwrap();
        let error = old.batch_execute("TRUNCATE samples").await.unwrap_err();
        assert!(
            error.to_string().contains("TRUNCATE of samples refused"),
            "{error}"
        );
    }
}

/// The functions of triggers run with the rights of their owner: nobody else may put them on a table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_borrows_the_rights_of_a_guard() {
    let database = Database::guarded(&Guard::capture()).await;
    let mut conn = database.connect().await;
    let (schema, role) = (
        database.schema(),
        format!("borrower_{}", std::process::id()),
    );
    conn.batch_execute(&format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT TEMP ON DATABASE postgres TO {role}; SET ROLE {role};
         CREATE TEMP TABLE mine (id bigint)"
    ))
    .await
    .unwrap();
    for (events, function) in [
        (
            "AFTER INSERT ON mine REFERENCING NEW TABLE AS koherent_new",
            "koherent_guard('capture', '', 'samples_history', '{id}', '{id}', '{id}')",
        ),
        ("BEFORE UPDATE ON mine", "koherent_append_only()"),
    ] {
        let error = conn
            .batch_execute(&format!(
                "CREATE TRIGGER borrowed {events} FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{function}"
            ))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("permission denied for function"),
            "{error}"
        );
    }
    conn.batch_execute(&format!(
        "RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}"
    ))
    .await
    .unwrap();
}
