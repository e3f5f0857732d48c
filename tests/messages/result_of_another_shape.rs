//~ `i32` cannot be loaded from all columns of `samples::table`
//~ derive `diesel::Queryable` with one field per column of the table
use diesel::prelude::*;
use koherent_diesel::AuditedConnection;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

pub fn rejected(conn: &mut AuditedConnection<SqliteConnection>) {
    let _ = conn.audited_delete(samples::table.find(7)).get_result::<i32>();
}

fn main() {}
