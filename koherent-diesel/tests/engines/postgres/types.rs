//! Types that only PostgreSQL has, types of the application's own, and tables in a schema.

use std::io::Write as _;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::query_builder::QueryId;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::SqlType;
use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable};
use diesel_async::{AsyncConnection as _, AsyncMigrationHarness, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;
use koherent_diesel::{Audited, AuditedConnection, audited_insert, check, entries_of};
use uuid::Uuid;

use super::engine::{Conn, Database};
use crate::tables::{ann, fresh_name, kinds, server, under_task, with_database};

#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(postgres_type(name = "stain"))]
pub struct Stain;

#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Stain)]
enum Staining {
    He,
    Pas,
}

impl ToSql<Stain, Pg> for Staining {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(match self {
            Self::He => b"he",
            Self::Pas => b"pas",
        })?;
        Ok(IsNull::No)
    }
}

impl FromSql<Stain, Pg> for Staining {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            b"he" => Ok(Self::He),
            b"pas" => Ok(Self::Pas),
            other => Err(format!("no stain: {other:?}").into()),
        }
    }
}

koherent_diesel::audited_table! {
    use super::Stain;

    slides => slides_history (code) {
        code -> diesel::sql_types::Uuid,
        stain -> Stain,
        earlier -> Array<Stain>,
        labels -> Array<Nullable<Text>>,
        thickness -> Numeric,
        settings -> Jsonb,
        raw -> Nullable<Json>,
        cut_on -> Date,
        stained_at -> Timestamp,
        scanned_at -> Nullable<Timestamptz>,
        checksum -> Nullable<Binary>,
        ratio -> Nullable<Float>,
    }
}

#[derive(Debug, Clone, PartialEq, Queryable, diesel::Insertable)]
#[diesel(table_name = slides)]
struct Slide {
    code: Uuid,
    stain: Staining,
    earlier: Vec<Staining>,
    labels: Vec<Option<String>>,
    thickness: BigDecimal,
    settings: serde_json::Value,
    raw: Option<serde_json::Value>,
    cut_on: NaiveDate,
    stained_at: NaiveDateTime,
    scanned_at: Option<DateTime<Utc>>,
    checksum: Option<Vec<u8>>,
    ratio: Option<f32>,
}

async fn with_slides(attribution: koherent_core::Attribution) -> AuditedConnection<Conn> {
    let database = Database::new().await;
    let mut conn = database.audited(attribution).await;
    conn.batch_execute(
        "CREATE TYPE stain AS ENUM ('he', 'pas');
         CREATE TABLE slides (
             code uuid PRIMARY KEY, stain stain NOT NULL, earlier stain[] NOT NULL, labels text[] NOT NULL,
             thickness numeric(30, 12) NOT NULL, settings jsonb NOT NULL, raw json, cut_on date NOT NULL,
             stained_at timestamp NOT NULL, scanned_at timestamptz, checksum bytea, ratio real
         );",
    )
    .await
    .unwrap();
    let ddl = slides::table::history_ddl::<Pg>();
    conn.batch_execute(&ddl).await.unwrap();
    conn
}

fn slide(stain: Staining) -> Slide {
    let moment = DateTime::from_timestamp_micros(1_763_721_600_123_456).unwrap();
    Slide {
        code: Uuid::from_u128(fastrand::u128(..)),
        stain,
        earlier: vec![Staining::Pas, stain],
        labels: vec![Some("a, \"b\"".to_owned()), None],
        thickness: "123456789012345.000000000001".parse().unwrap(),
        settings: serde_json::json!({"gain": 2, "on": true}),
        raw: None,
        cut_on: moment.date_naive(),
        stained_at: moment.naive_utc(),
        scanned_at: Some(moment),
        checksum: Some(vec![0, 92, 255]),
        ratio: Some(0.1),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_all_sorts_go_through() {
    let mut conn = with_slides(ann()).await;
    let differences = check(&mut conn, [slides::table::tracked()]).await;
    assert_eq!(differences.unwrap(), []);
    let new = slide(Staining::He);
    let stored: Slide = conn
        .audited_insert(slides::table, &new)
        .get_result()
        .await
        .unwrap();
    assert_eq!(stored, new);
    let changes = (
        slides::stain.eq(Staining::Pas),
        slides::earlier.eq(vec![Staining::He]),
        slides::thickness.eq("0.10".parse::<BigDecimal>().unwrap()),
        slides::settings.eq(serde_json::json!(["x"])),
    );
    let target = slides::table.filter(slides::stain.eq_any([Staining::He]));
    let changed: Slide = conn
        .audited_update(target, changes)
        .get_result()
        .await
        .unwrap();
    assert_eq!(
        (changed.stain, changed.earlier),
        (Staining::Pas, vec![Staining::He])
    );
    let entries = entries_of(slides::table, new.code)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(kinds(&entries), "~+");
    let json = |entry: usize, field: &str| {
        let change = entries[entry].changes.iter().find(|c| c.field == field);
        change.unwrap().new.as_ref().unwrap().json().clone()
    };
    assert_eq!(json(0, "stain"), "pas");
    assert_eq!(json(0, "earlier"), serde_json::json!(["he"]));
    assert_eq!(json(0, "thickness"), "0.100000000000");
    assert_eq!(json(1, "thickness"), "123456789012345.000000000001");
    assert_eq!(json(1, "code"), new.code.to_string());
    assert_eq!(json(1, "labels"), serde_json::json!(["a, \"b\"", null]));
    assert_eq!(
        json(1, "settings"),
        serde_json::json!({"gain": 2, "on": true})
    );
    assert_eq!(json(1, "scanned_at"), "2025-11-21T10:40:00.123456+00:00");
    assert_eq!(json(1, "stained_at"), "2025-11-21T10:40:00.123456");
    assert_eq!(json(1, "checksum"), "AFz/");
    // What is stored differently is a change, also where it counts as equal.
    conn.audited_update(slides::table, slides::labels.eq(vec![Some("c")]))
        .execute()
        .await
        .unwrap();
    conn.audited_delete(slides::table.find(new.code))
        .execute()
        .await
        .unwrap();
    let entries = entries_of(slides::table, new.code)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(kinds(&entries), "-~~+");
}

/// More values than one statement binds, among them numbers that stand for types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_of_types_of_the_applications_own() {
    let mut conn = with_slides(under_task("task-a")).await;
    let rows: Vec<_> = (0..12_000)
        .map(|n| {
            slide(if n % 2 == 0 {
                Staining::He
            } else {
                Staining::Pas
            })
        })
        .collect();
    let inserted = conn.audited_insert(slides::table, &rows).execute().await;
    assert_eq!(inserted.unwrap(), 12_000);
    let mut batch = conn.audited_batch();
    batch.insert(slides::table, &rows[0..0]);
    batch.update(slides::table, slides::earlier.eq(vec![Staining::Pas]));
    batch.update(
        slides::table.filter(slides::stain.eq(Staining::He)),
        slides::stain.eq(Staining::Pas),
    );
    assert_eq!(batch.execute().await.unwrap(), [0, 12_000, 6_000]);
    let entries = entries_of(slides::table, rows[0].code)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(kinds(&entries), "~~+");
}

mod stocks {
    koherent_diesel::audited_table! {
        #[sql_name = "the \"stock\""]
        stock => stock_history (id) {
            id -> BigInt,
            #[sql_name = "count"]
            amount -> Integer,
        }
    }
}

mod in_schema {
    diesel::table! {
        other_schema.racks (id) { id -> BigInt, label -> Text, }
    }
    diesel::table! {
        use diesel::sql_types::*;
        use koherent_diesel::sql_types::*;

        audit_schema.racks_log (history_id) {
            history_id -> BigInt,
            id -> BigInt,
            label -> Text,
            history_kind -> Text,
            history_date -> HistoryDate,
            history_user -> Nullable<Text>,
            history_client -> Nullable<Text>,
            history_organization -> Nullable<Text>,
            history_task -> Nullable<Text>,
            history_transaction -> HistoryTransaction,
            history_reason -> Nullable<Text>,
            history_context -> Nullable<HistoryContext>,
        }
    }
    koherent_diesel::audited!(racks (id) => racks_log (id, label));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_in_schemas_and_with_quotes_in_their_names() {
    use in_schema::racks;
    use stocks::stock;
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    // The schemas have fixed names, so this test has a database of its own.
    let name = fresh_name();
    conn.batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let address = with_database(&server("KOHERENT_TEST_POSTGRES"), &name);
    let mut bare = Conn::establish(&address).await.unwrap();
    let harness = Conn::establish(&address).await.unwrap();
    AsyncMigrationHarness::new(harness)
        .run_pending_migrations(koherent_diesel::MIGRATIONS)
        .unwrap();
    for sql in [
        "CREATE SCHEMA other_schema; CREATE SCHEMA audit_schema;
         CREATE TABLE other_schema.racks (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, label text NOT NULL);
         CREATE TABLE \"the \"\"stock\"\"\" (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, count integer NOT NULL);",
        &racks::table::history_ddl::<Pg>(),
        &stock::table::history_ddl::<Pg>(),
    ] {
        bare.batch_execute(sql).await.unwrap();
    }
    let mut conn = AuditedConnection::new(bare, ann());
    let tables = [racks::table::tracked(), stock::table::tracked()];
    assert_eq!(check(&mut conn, tables).await.unwrap(), []);

    let id: i64 = conn
        .audited_insert(racks::table, racks::label.eq("A"))
        .returning(racks::id)
        .get_result()
        .await
        .unwrap();
    let row: (i64, String) = conn
        .audited_update(racks::table.find(id), racks::label.eq("B"))
        .get_result()
        .await
        .unwrap();
    assert_eq!(row, (1, "B".to_owned()));
    let moved = conn
        .audited_update(racks::table.find(id), racks::id.eq(9))
        .execute()
        .await;
    assert_eq!(moved.unwrap(), 1);
    let upsert = diesel::insert_into(racks::table)
        .values((racks::id.eq(9), racks::label.eq("C")))
        .on_conflict(racks::id)
        .do_update()
        .set(racks::label.eq("C"));
    conn.audited_upsert(upsert).execute().await.unwrap();
    conn.audited_delete(racks::table).execute().await.unwrap();
    let entries = entries_of(racks::table, id).load(&mut conn).await.unwrap();
    assert_eq!(kinds(&entries), "-~+");
    let entries = entries_of(racks::table, 9).load(&mut conn).await.unwrap();
    assert_eq!(kinds(&entries), "-~+");

    let amount = stock::amount.eq(3);
    audited_insert(stock::table, amount)
        .by(&ann())
        .execute(&mut conn)
        .await
        .unwrap();
    conn.audited_update(stock::table, stock::amount.eq(stock::amount + 1))
        .execute()
        .await
        .unwrap();
    let entries = entries_of(stock::table, 1).load(&mut conn).await.unwrap();
    assert_eq!(kinds(&entries), "~+");
    assert_eq!(entries[0].changes[0].field, "count");
}

/// A key that is not named, and changes all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_triggers_change_are_refused() {
    use crate::tables::{named, samples};
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, named("a"))
        .execute()
        .await
        .unwrap();
    conn.batch_execute(
        "CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := NEW.id + 10; RETURN NEW; END $$;
         CREATE TRIGGER moves BEFORE UPDATE ON samples FOR EACH ROW EXECUTE FUNCTION moves();",
    )
    .await
    .unwrap();
    let error = conn
        .audited_update(samples::table, samples::note.eq("x"))
        .execute()
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "KEY_CHANGED", "{error:?}");
    let entries = entries_of(samples::table, 1).load(&mut conn).await.unwrap();
    assert_eq!(kinds(&entries), "+");
}

/// A type that is made anew has another number; the one that a rolled back transaction made is not remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_that_are_made_anew_are_found_again() {
    let mut conn = with_slides(ann()).await;
    let new = slide(Staining::He);
    let insert = conn.audited_insert(slides::table, &new);
    insert.execute().await.unwrap();
    conn.batch_execute(
        "DROP TABLE slides, slides_history; DROP TYPE stain; CREATE TYPE stain AS ENUM ('he', 'pas');
         CREATE TABLE slides (
             code uuid PRIMARY KEY, stain stain NOT NULL, earlier stain[] NOT NULL, labels text[] NOT NULL,
             thickness numeric(30, 12) NOT NULL, settings jsonb NOT NULL, raw json, cut_on date NOT NULL,
             stained_at timestamp NOT NULL, scanned_at timestamptz, checksum bytea, ratio real
         );",
    )
    .await
    .unwrap();
    let ddl = slides::table::history_ddl::<Pg>();
    conn.batch_execute(&ddl).await.unwrap();
    // The first attempt fails on what is remembered, and forgets it.
    let first = conn.audited_insert(slides::table, &new).execute().await;
    assert!(first.is_err());
    let second = conn.audited_insert(slides::table, &new).execute().await;
    assert_eq!(second.unwrap(), 1);
}

/// Each way to begin a transaction begins one; one that only reads refuses changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_begun_as_they_are_asked_for() {
    use crate::tables::{named, samples};
    use koherent_diesel::Error;
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    for (level, shown) in ["read committed", "repeatable read", "serializable"]
        .into_iter()
        .enumerate()
    {
        let begun = conn.build_transaction();
        let begun = match level {
            0 => begun.read_committed(),
            1 => begun.repeatable_read(),
            _ => begun.serializable(),
        };
        let isolation: String = begun
            .run(async |conn| {
                conn.audited_insert(samples::table, named(shown))
                    .execute()
                    .await?;
                let sql = diesel::dsl::sql::<diesel::sql_types::Text>(
                    "current_setting('transaction_isolation')",
                );
                let isolation = diesel_async::RunQueryDsl::get_result(diesel::select(sql), conn);
                Ok::<_, Error>(isolation.await?)
            })
            .await
            .unwrap();
        assert_eq!(isolation, shown);
    }
    let error = conn
        .build_transaction()
        .read_only()
        .run(async |conn| conn.audited_delete(samples::table).execute().await)
        .await
        .unwrap_err();
    assert!(error.to_string().to_lowercase().contains("read"), "{error}");
    let kept = conn.audited_delete(samples::table).execute().await;
    assert_eq!(kept.unwrap(), 3);
}
