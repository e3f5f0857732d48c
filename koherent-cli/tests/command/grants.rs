//! With the recommended grants, the writer's role adds to histories and changes none.

use super::database::{Database, Engine};

#[test]
fn writers_cannot_change_history() {
    let database = Database::new(Engine::Postgres);
    database.sql("CREATE TABLE samples (id bigserial PRIMARY KEY, name text NOT NULL)");
    database.audit(&["samples"]);
    let (owner, writer) = (
        format!("owner_{}", std::process::id()),
        format!("writer_{}", std::process::id()),
    );
    database.sql(&format!("CREATE ROLE {owner}; CREATE ROLE {writer} LOGIN;"));
    let grants = database
        .koherent(&["grants", "--owner", &owner, "--writer", &writer])
        .ok();
    // Twice: it can be run after each migration.
    database.sql(&grants);
    database.sql(&grants);

    let as_writer = Database {
        engine: Engine::Postgres,
        url: database.url.replace("koherent@", &format!("{writer}@")),
        folder: tempfile::tempdir().unwrap(),
    };
    // What an audited statement does: the change, its entry and its task.
    let said = r#"{"user": "ann", "transaction": "0199a1b2-0000-7000-8000-000000000000"}"#;
    let write = format!(
        "WITH k_new AS (INSERT INTO samples (name) VALUES ('liver') RETURNING *), k_hist AS (
             INSERT INTO samples_history (id, name, history_kind, history_date, history_task, history_transaction)
             SELECT id, name, '+', clock_timestamp(), (SELECT koherent_admit_task('t', NULL, 't', 'a', 'a', 'a', 'c', 'i', 'j', 'h', 's', NULL)),
                 '0199a1b2-0000-7000-8000-000000000000' FROM k_new RETURNING 1)
         SELECT FROM k_new WHERE (SELECT CASE WHEN set_config('koherent.insert', 'samples', true) IS NOT NULL AND
             set_config('koherent.statement', statement_timestamp()::text || ' ' || '{said}', true) IS NOT NULL THEN true END)"
    );
    as_writer.sql(&write);
    for (sql, expected) in [
        (
            "INSERT INTO samples (name) VALUES ('raw')",
            "INSERT of samples refused",
        ),
        (
            "UPDATE samples_history SET name = 'forged'",
            "permission denied for table samples_history",
        ),
        (
            "DELETE FROM samples_history",
            "permission denied for table samples_history",
        ),
        (
            "TRUNCATE samples_history",
            "permission denied for table samples_history",
        ),
        (
            "UPDATE koherent_task SET agent_sub = 'x'",
            "permission denied for table koherent_task",
        ),
        ("TRUNCATE samples", "permission denied for table samples"),
        (
            "ALTER TABLE samples DISABLE TRIGGER ALL",
            "must be owner of table samples",
        ),
        (
            "DROP TRIGGER koherent_guard_insert ON samples",
            "must be owner of relation samples",
        ),
        (
            "DROP FUNCTION koherent_guard() CASCADE",
            "must be owner of function koherent_guard",
        ),
        (
            "DELETE FROM koherent_table",
            "permission denied for table koherent_table",
        ),
        (
            "SELECT koherent_pause('no')",
            "permission denied for table koherent_operation",
        ),
        (
            "SET session_replication_role = replica",
            "permission denied to set parameter",
        ),
    ] {
        let said = as_writer.try_sql(sql).unwrap_err();
        assert!(said.contains(expected), "{sql}: {said}");
    }
    assert_eq!(
        database.texts("SELECT name AS t FROM samples_history"),
        ["liver"]
    );

    // A guard that captures writes entries with the rights of its owner, and says whose statement it was.
    let (folder, _) = database.generate(&["samples", "--policy", "capture"]);
    database.up(&folder);
    database.sql(
        &database
            .koherent(&["grants", "--owner", &owner, "--writer", &writer])
            .ok(),
    );
    as_writer.sql("UPDATE samples SET name = 'hepar'");
    assert_eq!(
        database.texts("SELECT concat(name, ' ', history_user, ' ', history_context->>'database_role') AS t FROM samples_history WHERE history_kind = '~'"),
        [format!("hepar {writer} {writer}")]
    );
    database.check();
    for role in [&writer, &owner] {
        database.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
    }

    assert!(
        Database::new(Engine::Sqlite)
            .koherent(&["grants", "--owner", "a", "--writer", "b"])
            .failure()
            .starts_with("grants are for PostgreSQL: SQLite has no roles")
    );
}
