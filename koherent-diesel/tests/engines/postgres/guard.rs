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
        "CREATE TABLE readings (id bigint PRIMARY KEY, value double precision NOT NULL) PARTITION BY RANGE (id)",
        &readings::table::history_ddl::<Backend>(),
        &readings::table::guard_ddl::<Backend>(&Guard::refuse()),
        "CREATE TABLE readings_low PARTITION OF readings FOR VALUES FROM (0) TO (10);
         CREATE TABLE readings_high PARTITION OF readings FOR VALUES FROM (10) TO (100);",
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
            "the table `readings` has the partition `{partition}`, to which rows can be written past the guard: call \
             `SELECT koherent_guard_partitions('readings')`"
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

koherent_diesel::audited_table! {
    items => items_history (id) {
        id -> BigInt,
        state -> Text,
        old -> Text,
    }
}

koherent_diesel::audited_table! {
    users => users_history (id) {
        id -> BigInt,
        name -> Text,
    }
}

koherent_diesel::audited_table! {
    cities => cities_history (id) {
        id -> BigInt,
        name -> Text,
    }
}

/// A table with an enum, its history, and its guard.
async fn items(guard: &Guard) -> (Database, AuditedConnection<Conn>) {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    for ddl in [
        "CREATE TYPE st AS ENUM ('new', 'done');
         CREATE TABLE items (id bigint PRIMARY KEY, state st NOT NULL, old varchar(5) NOT NULL)",
        &items::table::history_ddl::<Backend>(),
        &items::table::guard_ddl::<Backend>(guard),
    ] {
        conn.batch_execute(ddl).await.unwrap();
    }
    (database, conn)
}

async fn lines(conn: &mut AuditedConnection<Conn>, sql: &str) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text)]
        line: String,
    }
    let lines: Vec<Line> = diesel_async::RunQueryDsl::load(diesel::sql_query(sql), conn)
        .await
        .unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

/// The usual way to take a value out of an enum: the type is made anew, and the old one dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_of_the_application_can_be_replaced_and_no_value_is_lost() {
    for guard in [Guard::refuse(), Guard::capture()] {
        let (_database, mut conn) = items(&guard).await;
        let insert = "INSERT INTO items VALUES (1, 'done', 'a')";
        conn.batch_execute(&format!(
            "BEGIN; SELECT koherent_pause('seed'); {insert}; COMMIT"
        ))
        .await
        .unwrap();
        conn.batch_execute(
            "ALTER TYPE st RENAME TO st_old; CREATE TYPE st AS ENUM ('open', 'done');
             ALTER TABLE items ALTER COLUMN state TYPE st USING state::text::st; DROP TYPE st_old;
             ALTER TABLE items ALTER COLUMN old TYPE varchar(50)",
        )
        .await
        .unwrap();
        let update = diesel::dsl::sql::<diesel::sql_types::Text>("'open'");
        conn.audited_update(items::table.find(1), items::state.eq(update))
            .execute()
            .await
            .unwrap();
        conn.audited_update(items::table.find(1), items::old.eq("as long as it is now"))
            .execute()
            .await
            .unwrap();
        let told = lines(
            &mut conn,
            "SELECT history_kind || state || ' ' || old AS line FROM items_history ORDER BY history_id",
        )
        .await;
        assert_eq!(told, ["~open a", "~open as long as it is now"]);
    }
}

/// What a migration does to a table goes on behind it, in the same run: the guard leaves empty what is gone, and keeps as text
/// what its history cannot hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_survives_columns_that_are_dropped_renamed_and_retyped() {
    let (_database, mut conn) = items(&Guard::capture()).await;
    conn.batch_execute(
        "INSERT INTO items VALUES (1, 'new', 'a');
         ALTER TABLE items DROP COLUMN old; UPDATE items SET state = 'done';
         ALTER TABLE items RENAME COLUMN state TO status; UPDATE items SET status = 'new';
         ALTER TABLE items ADD COLUMN state jsonb NOT NULL DEFAULT '{}'; UPDATE items SET state = '{\"a\": 1}'",
    )
    .await
    .unwrap();
    let told = lines(
        &mut conn,
        "SELECT concat_ws(' ', history_kind, state, old, history_context->'unkept') AS line FROM items_history ORDER BY history_id",
    )
    .await;
    assert_eq!(told, ["+ new a", "~ done", "~ {\"a\": 1}"]);
    // The key is what a history is of.
    conn.batch_execute("ALTER TABLE items RENAME COLUMN id TO item_id")
        .await
        .unwrap();
    let error = conn
        .batch_execute("UPDATE items SET state = '{}'")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "UPDATE of items refused, it would leave no history: its guard knows the key (id), which is not there any more"
    );
}

/// A table keeps its guard when it gets another name, and another table of its old name has none of its arms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guards_know_their_table_by_schema_and_identity() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let other = format!("{}_other", database.schema());
    for ddl in [
        "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL)".to_owned(),
        users::table::history_ddl::<Backend>(),
        format!(
            "CREATE SCHEMA {other}; CREATE TABLE {other}.users (id bigint PRIMARY KEY, name text NOT NULL);"
        ),
        users::table::history_ddl::<Backend>()
            .replace("\"users_history\"", &format!("{other}.users_history")),
    ] {
        // The indexes of the second history have names in a schema of their own.
        conn.batch_execute(&ddl).await.unwrap();
    }
    let guard = users::table::guard_ddl::<Backend>(&Guard::capture());
    conn.batch_execute(&format!(
        "SET search_path = {other}, {schema}; {guard}
         CREATE FUNCTION touch() RETURNS text LANGUAGE plpgsql AS
             $$ BEGIN UPDATE {other}.users SET name = 'touched'; RETURN 'renamed'; END $$;
         SET search_path = {schema}, {other};
         INSERT INTO {other}.users VALUES (1, 'a'); INSERT INTO {schema}.users VALUES (1, 'a')",
        schema = database.schema(),
    ))
    .await
    .unwrap();
    let touch = diesel::dsl::sql::<diesel::sql_types::Text>("touch()");
    conn.audited_update(users::table.find(1), users::name.eq(touch))
        .execute()
        .await
        .unwrap();
    let sql = format!(
        "SELECT history_kind || name AS line FROM {other}.users_history ORDER BY history_id"
    );
    assert_eq!(lines(&mut conn, &sql).await, ["+a", "~touched"]);
    conn.batch_execute(&format!("DROP SCHEMA {other} CASCADE"))
        .await
        .unwrap();
}

/// Where raw writes are refused, a trigger of a statement that is not audited is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_the_trigger_and_what_to_do() {
    let database = Database::guarded(&Guard::refuse()).await;
    let (client, connection) = tokio_postgres::connect(&database.address(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute(
            "CREATE FUNCTION count_plain() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO samples (name) VALUES ('counted'); RETURN NULL; END $$;
             CREATE TRIGGER counting AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION count_plain()",
        )
        .await
        .unwrap();
    let error = client
        .execute("INSERT INTO plain VALUES (1, 'one')", &[])
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(
        error.message(),
        "INSERT of samples refused, it would leave no history: the trigger counting of plain makes it as part of a statement that is not audited"
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("Or give samples a guard that captures.")
    );
}

/// Partitions are guarded with their table, and those that come later by a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_guarded_with_their_table() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    for ddl in [
        "CREATE TABLE readings (id bigint PRIMARY KEY, value double precision NOT NULL) PARTITION BY RANGE (id);
         CREATE TABLE readings_low PARTITION OF readings FOR VALUES FROM (0) TO (10);",
        &readings::table::history_ddl::<Backend>(),
        &readings::table::guard_ddl::<Backend>(&Guard::capture()),
        "CREATE TABLE readings_high PARTITION OF readings FOR VALUES FROM (10) TO (100);
         SELECT koherent_guard_partitions('readings');
         INSERT INTO readings_low VALUES (1, 0.5); INSERT INTO readings_high VALUES (11, 1.5);
         UPDATE readings SET value = 2",
    ] {
        conn.batch_execute(ddl).await.unwrap();
    }
    conn.audited_update(readings::table, readings::value.eq(2.5))
        .execute()
        .await
        .unwrap();
    assert_eq!(
        check(&mut conn, [readings::table::tracked()])
            .await
            .unwrap(),
        []
    );
    let told = lines(
        &mut conn,
        "SELECT history_kind || id || ' ' || value AS line FROM readings_history ORDER BY history_id",
    )
    .await;
    assert_eq!(
        told,
        ["+1 0.5", "+11 1.5", "~1 2", "~11 2", "~1 2.5", "~11 2.5"]
    );
}

/// Of partitions at any level: `check` names those that came later, a guard that differs is made anew, and all go with the table's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guards_of_partitions_follow_their_table() {
    const GUARDS: &str = "SELECT tgrelid::regclass || ' ' || count(*) AS line FROM pg_trigger WHERE tgfoid = 'koherent_guard'::regproc AND tgrelid::regclass::text LIKE 'readings%' \
                          GROUP BY tgrelid ORDER BY tgrelid::regclass::text";
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    for ddl in [
        "CREATE TABLE readings (id bigint PRIMARY KEY, value double precision NOT NULL) PARTITION BY RANGE (id);
         CREATE TABLE readings_all PARTITION OF readings FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
         CREATE TABLE readings_low PARTITION OF readings_all FOR VALUES FROM (0) TO (10)",
        &readings::table::history_ddl::<Backend>(),
        &readings::table::guard_ddl::<Backend>(&Guard::refuse()),
        "CREATE TABLE readings_high PARTITION OF readings_all FOR VALUES FROM (10) TO (100)",
    ] {
        conn.batch_execute(ddl).await.unwrap();
    }
    let found = check(&mut conn, [readings::table::tracked()])
        .await
        .unwrap();
    let [finding] = &found[..] else {
        panic!("{found:?}")
    };
    let finding = finding.to_string();
    assert!(finding.contains("`readings_high`"), "{finding}");
    assert!(
        finding.contains("SELECT koherent_guard_partitions('readings')"),
        "{finding}"
    );

    let unguard = readings::table::unguard_ddl::<Backend>();
    let triggers_only = &unguard[..unguard.find("DELETE FROM koherent_table").unwrap()];
    for ddl in [
        triggers_only,
        &readings::table::guard_ddl::<Backend>(&Guard::capture()),
        "INSERT INTO readings_low VALUES (1, 0.5); INSERT INTO readings_high VALUES (11, 1.5)",
    ] {
        conn.batch_execute(ddl).await.unwrap();
    }
    let told = lines(
        &mut conn,
        "SELECT history_kind || id AS line FROM readings_history ORDER BY history_id",
    )
    .await;
    assert_eq!(told, ["+1", "+11"]);
    assert_eq!(
        lines(&mut conn, GUARDS).await,
        [
            "readings 4",
            "readings_all 4",
            "readings_high 4",
            "readings_low 4"
        ]
    );
    conn.batch_execute(&unguard).await.unwrap();
    assert_eq!(lines(&mut conn, GUARDS).await, Vec::<String>::new());
}

/// A row that is written through the parent of its table would have its entry in the history of the parent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_child_table_are_not_written_through_its_parent() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    for ddl in [
        "CREATE TABLE cities (id bigint PRIMARY KEY, name text NOT NULL);
         CREATE TABLE capitals (PRIMARY KEY (id)) INHERITS (cities);
         INSERT INTO capitals VALUES (1, 'Bern'); INSERT INTO cities VALUES (2, 'Basel')",
        &cities::table::history_ddl::<Backend>(),
        &cities::table::guard_ddl::<Backend>(&Guard::capture()),
    ] {
        conn.batch_execute(ddl).await.unwrap();
    }
    let update = conn.audited_update(cities::table.find(1), cities::name.eq("Berne"));
    let error = update.execute().await.unwrap_err().to_string();
    assert!(
        error.contains("the row stands in capitals, which inherits from cities"),
        "{error}"
    );
    let error = conn
        .audited_delete(cities::table)
        .execute()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("the row stands in capitals"), "{error}");
    conn.audited_update(cities::table.find(2), cities::name.eq("Basle"))
        .execute()
        .await
        .unwrap();
    let error = conn
        .batch_execute("UPDATE cities SET name = 'raw'")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("which inherits from cities"),
        "{error}"
    );
}
