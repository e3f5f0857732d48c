//~ type `AuditedConnection<SqliteConnection>` cannot be dereferenced
use diesel::SqliteConnection;
use koherent_diesel::AuditedConnection;

pub fn rejected(mut conn: AuditedConnection<SqliteConnection>) {
    let _: &mut SqliteConnection = &mut *conn;
}

fn main() {}
