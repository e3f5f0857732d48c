//~ SQLite's transactions are always serializable; it has `immediate()` and `exclusive()`
use diesel::prelude::*;
use koherent_diesel::AuditedConnection;

fn asks(mut conn: AuditedConnection<SqliteConnection>) {
    let _ = conn
        .build_transaction()
        .serializable()
        .run(|_| Ok::<_, koherent_diesel::Error>(()));
}

fn main() {}
