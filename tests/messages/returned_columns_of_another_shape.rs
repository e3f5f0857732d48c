//~ cannot be loaded from the columns that are returned
//~ load a tuple with one Rust type per returned column, in their order
use diesel::prelude::*;
use koherent_diesel::AuditedConnection;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

pub fn rejected(conn: &mut AuditedConnection<SqliteConnection>) {
    let update = conn.audited_update(samples::table.find(1), samples::name.eq("x"));
    let _: Vec<String> = update.returning(samples::id).get_results().unwrap();
}

fn main() {}
