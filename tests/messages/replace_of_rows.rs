//~ mismatched types
//~ expected `InsertStatement<_, _>`, found `InsertStatement
use diesel::prelude::*;
use koherent_diesel::AuditedConnection;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

fn replaces(mut conn: AuditedConnection<SqliteConnection>) {
    let replace = diesel::replace_into(samples::table).values(samples::name.eq("x"));
    let _ = conn.audited_upsert(replace).execute();
}

fn main() {}
