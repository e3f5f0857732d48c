//~ type mismatch resolving
//~ AsChangeset
use diesel::prelude::*;
use koherent_diesel::AuditedConnection;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
koherent_diesel::audited_table! { places => places_history (id) { id -> BigInt, name -> Text, } }

fn mixes(mut conn: AuditedConnection<SqliteConnection>) {
    let _ = conn.audited_update(samples::table.find(1), places::name.eq("attic")).execute();
}

fn main() {}
