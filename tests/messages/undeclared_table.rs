//~ the table `tags::table` is not audited
//~ declare it: `koherent_diesel::audited!(
use koherent_diesel::AuditedConnection;

diesel::table! { tags (id) { id -> BigInt, label -> Text, } }

pub fn rejected(conn: &mut AuditedConnection<diesel::SqliteConnection>) {
    let _ = conn.audited_delete(tags::table);
}

fn main() {}
