// What the examples of this crate stand on: one audited table in a database in memory.
use diesel::prelude::*;
use koherent_core::Attribution;

koherent_diesel::audited_table! {
    samples => samples_history (id) {
        id -> BigInt,
        name -> Text,
        note -> Nullable<Text>,
    }
}

#[derive(Debug, PartialEq, Queryable, Identifiable)]
#[diesel(table_name = samples)]
#[allow(dead_code)]
struct Sample {
    id: i64,
    name: String,
    note: Option<String>,
}

#[allow(dead_code)]
const DDL: &str = "
    CREATE TABLE samples (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT);
    CREATE TABLE samples_history (
        history_id INTEGER PRIMARY KEY AUTOINCREMENT, id BIGINT NOT NULL, name TEXT NOT NULL, note TEXT,
        history_kind TEXT NOT NULL, history_date TEXT NOT NULL, history_user TEXT, history_client TEXT,
        history_organization TEXT, history_task TEXT, history_transaction TEXT NOT NULL, history_reason TEXT,
        history_context TEXT
    );";

#[allow(dead_code)]
fn connection() -> SqliteConnection {
    use diesel::connection::SimpleConnection;
    use diesel_migrations::MigrationHarness;
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    connection.batch_execute(DDL).unwrap();
    connection.run_pending_migrations(koherent_diesel::MIGRATIONS).unwrap();
    connection
}

#[allow(dead_code)]
fn connection_with_liver() -> SqliteConnection {
    let mut connection = connection();
    let nightly = Attribution::system("nightly-import");
    koherent_diesel::audited_insert(samples::table, samples::name.eq("liver")).by(&nightly).execute(&mut connection).unwrap();
    connection
}
