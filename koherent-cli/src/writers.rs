//! The triggers of the application that write to a table, as far as the text of triggers tells.
//!
//! What they write as part of an audited statement is recorded with that. On MariaDB and MySQL the guard of the table has to be told
//! (`Guard::capture_triggers`), because it names the columns of the table then.

use crate::database::{Database, Engine, Row, Table, describe};
use crate::failure::Result;

/// Returns the triggers that seem to write to the table, each as "`name` of `table`". Routines that a trigger calls are not looked into,
/// but for the function of a trigger on PostgreSQL.
pub(crate) fn writers(database: &mut Database, live: &Table) -> Result<Vec<String>> {
    let engine = database.engine();
    let (name, table, body, rest) = match engine {
        Engine::Sqlite => (
            "name",
            "tbl_name",
            "sql",
            "FROM sqlite_schema WHERE type = 'trigger' AND name NOT LIKE 'koherent\\_%' ESCAPE '\\' ORDER BY name",
        ),
        Engine::Postgres => (
            "t.tgname",
            "c.relname",
            "p.prosrc",
            "FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS p ON p.oid = t.tgfoid \
             WHERE NOT t.tgisinternal AND t.tgname NOT LIKE 'koherent\\_%' ORDER BY t.tgname, c.relname",
        ),
        Engine::Mysql => (
            "trigger_name",
            "event_object_table",
            "action_statement",
            "FROM information_schema.triggers WHERE event_object_schema = DATABASE() AND trigger_name NOT LIKE 'koherent\\_%' ORDER BY trigger_name",
        ),
    };
    let values = [name, table, body].map(|value| engine.text(value));
    let texts = |row: Row| row.into_iter().map(Option::unwrap_or_default).collect();
    let rows = database.rows(&values, rest)?;
    let rows: Vec<Vec<String>> = rows.into_iter().map(texts).collect();
    let writing = rows.iter().filter(|row| writes_to(&row[2], &live.name));
    Ok(writing
        .map(|row| format!("`{}` of `{}`", row[0], row[1]))
        .collect())
}

/// Whether guards capture what triggers write only where they are told to.
pub(crate) fn is_trigger_capture_optional(database: &mut Database) -> Result<bool> {
    if database.engine() != Engine::Mysql {
        return Ok(false);
    }
    // A database of an earlier version does without.
    let registered = describe(database, "koherent_table")?;
    Ok(registered.is_some_and(|table| table.column("captures_triggers").is_some()))
}

/// Whether a text has a statement that writes to the table.
fn writes_to(body: &str, table: &str) -> bool {
    let plain = body.replace(['"', '`'], "").to_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    let words = plain.split(|c| !is_part(c));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let table = table.to_lowercase();
    let is_table = |word: &str| word.rsplit('.').next() == Some(&table);
    (0..words.len())
        .filter(|at| is_table(words[*at]))
        .any(|at| {
            let mut before = words[..at].iter().rev();
            let word = before.find(|word| !BETWEEN.contains(word));
            word.is_some_and(|word| VERBS.contains(word))
        })
}

const VERBS: [&str; 4] = ["insert", "update", "delete", "replace"];

/// What may stand between a verb and the name of a table.
const BETWEEN: [&str; 12] = [
    "into",
    "from",
    "only",
    "ignore",
    "or",
    "abort",
    "fail",
    "rollback",
    "low_priority",
    "delayed",
    "high_priority",
    "quick",
];

#[cfg(test)]
mod tests {
    use super::writes_to;

    #[test]
    fn statements_that_write_to_a_table() {
        for body in [
            "UPDATE tallies SET n = n + 1",
            "BEGIN insert into `tallies` (id) VALUES (1); END",
            "INSERT OR IGNORE INTO \"tallies\" VALUES (1)",
            "DELETE FROM lab.tallies WHERE id = OLD.id",
            "delete from only tallies",
            "REPLACE INTO tallies VALUES (1)",
            "INSERT INTO others SELECT 1; UPDATE Tallies SET n = 1",
        ] {
            assert!(writes_to(body, "tallies"), "{body}");
        }
        for body in [
            "",
            "INSERT INTO others SELECT n FROM tallies",
            "UPDATE tallies_2 SET n = 1",
            "CREATE TRIGGER t AFTER UPDATE ON tallies BEGIN UPDATE others SET n = 1; END",
            "SELECT n FROM tallies FOR UPDATE",
            "UPDATE others SET n = (SELECT n FROM tallies)",
        ] {
            assert!(!writes_to(body, "tallies"), "{body}");
        }
    }
}
