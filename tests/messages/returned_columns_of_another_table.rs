//~ SelectableExpression<samples::table>
use diesel::prelude::*;
use koherent_diesel::AuditedConnection;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
diesel::table! { tags (id) { id -> BigInt, } }

pub fn rejected(conn: &mut AuditedConnection<SqliteConnection>) {
    let update = conn.audited_update(samples::table.find(1), samples::name.eq("x"));
    let _: Vec<i64> = update.returning(tags::id).get_results().unwrap();
}

fn main() {}
