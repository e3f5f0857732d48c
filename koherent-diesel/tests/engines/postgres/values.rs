//! Random values of every type, written, read back through the history, and given to the database again: the same values.

use diesel::QueryableByName;
use diesel::prelude::{Insertable, QueryDsl};
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use koherent_diesel::{Audited as _, entries_of};

use super::engine::{Backend, Database};
use crate::tables::*;

/// Types of the application's own.
pub mod own {
    /// How somebody feels.
    #[derive(Debug, Clone, Copy, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
    #[diesel(postgres_type(name = "mood"))]
    pub struct Mood;
}

macro_rules! columns {
    ($($column:ident $kind:ty, $declared:literal, $random:literal;)+) => {
        koherent_diesel::audited_table! {
            use super::own::*;

            every => every_history (id) { id -> BigInt, $($column -> Nullable<$kind>,)+ }
        }

        diesel::table! {
            use diesel::sql_types::*;
            use super::own::*;

            stage (id) { id -> BigInt, $($column -> Nullable<$kind>,)+ }
        }

        /// Name, declaration, and an expression for a random value, of each column.
        const COLUMNS: &[(&str, &str, &str)] = &[$((stringify!($column), $declared, $random)),+];

        async fn copy(conn: &mut koherent_diesel::AuditedConnection<super::engine::Conn>, id: i64) {
            let staged = stage::table.find(id).select((stage::id, $(stage::$column),+));
            let copy = staged.insert_into(every::table).into_columns((every::id, $(every::$column),+));
            conn.audited_insert_select(copy).execute().await.unwrap();
        }
    };
}

columns! {
    c_smallint SmallInt, "smallint", "(random() * 65535 - 32768)::int";
    c_integer Integer, "integer", "(random() * 4294967295 - 2147483648)::bigint";
    c_bigint BigInt, "bigint", "((random() - 0.5) * 18446744073709549568)::numeric::bigint";
    c_real Float, "real", "(array['NaN', 'Infinity', '-Infinity', '0', (random() * 1e30)::real::text])[1 + floor(random() * 5)]::real";
    c_double Double, "double precision", "(array['NaN', 'Infinity', '-Infinity', '-0', (random() * 1e300)::text])[1 + floor(random() * 5)]::float8";
    c_numeric Numeric, "numeric", "(array['NaN', '0.00', (random() * 1e9)::numeric::text || '0000000000000000000000000000001'])[1 + floor(random() * 3)]::numeric";
    c_text Text, "text", "(array['', ' ', E'a\\n\\t\\\\\"''', '漢字🧪', md5(random()::text)])[1 + floor(random() * 5)]";
    c_varchar Text, "varchar(40)", "md5(random()::text)";
    c_bool Bool, "boolean", "random() < 0.5";
    c_bytea Binary, "bytea", "decode(substr(md5(random()::text), 1, 2 * floor(random() * 17)::int), 'hex')";
    c_date Date, "date", "(array['infinity', '-infinity', '0044-03-15 BC', (date '2000-01-01' + (random() * 20000)::int)::text])[1 + floor(random() * 4)]::date";
    c_time Time, "time", "time '00:00' + random() * interval '24 hours'";
    c_timestamp Timestamp, "timestamp", "timestamp '2000-01-01' + random() * interval '40 years'";
    c_timestamptz Timestamptz, "timestamptz", "timestamptz '2000-01-01' + random() * interval '40 years'";
    c_interval Interval, "interval", "random() * interval '400 days' - interval '13 months'";
    c_uuid Uuid, "uuid", "gen_random_uuid()";
    c_json Json, "json", "json_build_object('a', random(), 'b', array[null, 'é\"'], 'c', jsonb_build_object('d', 12345678901))";
    c_jsonb Jsonb, "jsonb", "jsonb_build_array(random() * 1e3, null, true, 'x', '[]'::jsonb)";
    c_ints Array<Nullable<Integer>>, "integer[]", "array[(random() * 1000)::int, null, -1]";
    c_texts Array<Nullable<Text>>, "text[]", "array['a,b', null, '{\"x\"}', md5(random()::text)]";
    c_inet Inet, "inet", "('10.' || floor(random() * 256) || '.0.1/8')::inet";
    c_macaddr MacAddr, "macaddr", "substr(md5(random()::text), 1, 12)::macaddr";
    c_range Int4range, "int4range", "int4range((random() * 100)::int, 100 + (random() * 100)::int)";
    c_mood Mood, "mood", "(array['glad', 'it''s \"so\"'])[1 + floor(random() * 2)]::mood";
}

#[derive(QueryableByName)]
struct Same {
    #[diesel(sql_type = Bool)]
    same: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_values_of_every_type_come_back_the_same() {
    const ROWS: i64 = 60;
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let declared: String = COLUMNS
        .iter()
        .map(|(name, kind, _)| format!(", {name} {kind}"))
        .collect();
    let random: Vec<_> = COLUMNS
        .iter()
        .map(|(_, kind, value)| format!("CASE WHEN random() < 0.9 THEN ({value})::{kind} END"))
        .collect();
    conn.batch_execute(&format!(
        "CREATE TYPE mood AS ENUM ('glad', 'it''s \"so\"');
         CREATE TABLE every (id bigint PRIMARY KEY{declared});
         CREATE TABLE stage (id bigint PRIMARY KEY{declared});
         INSERT INTO stage SELECT n, {} FROM generate_series(1, {ROWS}) AS n",
        random.join(", ")
    ))
    .await
    .unwrap();
    conn.batch_execute(&every::table::history_ddl::<Backend>())
        .await
        .unwrap();
    let mut compared = 0;
    for id in 1..=ROWS {
        copy(&mut conn, id).await;
        let entries = entries_of(every::table, id).load(&mut conn).await.unwrap();
        for (name, kind, _) in COLUMNS {
            let mut changes = entries[0].changes.iter();
            let change = changes.find(|change| change.field == *name);
            let value = change.map(|change| change.new.clone().unwrap());
            let text = value.as_ref().map(|value| match value.json() {
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                    value.json().to_string()
                }
                _ if kind.starts_with("json") => value.json().to_string(),
                _ => value.text(),
            });
            let same = match (text.is_some(), *kind) {
                (false, _) => format!("{name} IS NULL AND $1 = 'null'"),
                (true, "json" | "jsonb" | "integer[]" | "text[]") => {
                    format!("to_json({name})::jsonb = $1::jsonb")
                }
                (true, "bytea") => format!("decode($1, 'base64') = {name}"),
                (true, kind) => {
                    format!(
                        "$1::{kind} IS NOT DISTINCT FROM {name} AND $1::{kind}::text = {name}::text"
                    )
                }
            };
            compared += usize::from(text.is_some());
            let asked = format!("SELECT ({same}) AS same FROM every WHERE id = $2");
            let query = diesel::sql_query(asked)
                .bind::<Text, _>(text.clone().unwrap_or_else(|| "null".to_owned()))
                .bind::<BigInt, _>(id);
            let found: Same = RunQueryDsl::get_result(query, &mut conn).await.unwrap();
            assert!(found.same, "{name} of {id}: {text:?}");
        }
    }
    assert!(compared > 1_000, "{compared}");
}
