//! Making a history table of SQLite anew: it cannot change the type of a column, nor drop NOT NULL
//! (<https://www.sqlite.org/lang_altertable.html> §7).

use crate::database::{Column, Database, Engine};
use crate::failure::Result;

/// What stands on a table: its indexes and triggers, as SQLite keeps their texts.
pub(super) struct Attachments(Vec<(String, String)>);

impl Attachments {
    pub(super) fn read(database: &mut Database, table: &str) -> Result<Self> {
        let engine = database.engine();
        let rows = database.rows(
            &["name".to_owned(), "sql".to_owned()],
            &format!(
                "FROM sqlite_schema WHERE tbl_name = {} COLLATE NOCASE AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid",
                engine.literal(table)
            ),
        )?;
        let named = rows.into_iter().filter_map(|mut row| {
            let (sql, name) = (row.pop()??, row.pop()??);
            Some((name, sql))
        });
        Ok(Self(named.collect()))
    }
}

/// The statements that give a history table these columns. It has them all by now, perhaps of other types.
///
/// `ddl` is what creates such a history, with its indexes and triggers.
pub(super) fn rebuild(
    history: &str,
    columns: &[Column],
    ddl: &str,
    attachments: &Attachments,
) -> String {
    let engine = Engine::Sqlite;
    let (table, anew) = (engine.quote(history), format!("{history}_anew"));
    let quoted = engine.quote(&anew);
    let others = columns.iter().filter(|column| column.name != "history_id");
    let declared = others.map(|column| {
        let null = if column.nullable { "" } else { " NOT NULL" };
        let line = format!("{} {}", engine.quote(&column.name), column.declared);
        format!(",\n    {}{null}", line.trim_end())
    });
    let names: Vec<_> = columns
        .iter()
        .map(|column| engine.quote(&column.name))
        .collect();
    let names = names.join(", ");
    let mut sql = format!(
        "CREATE TABLE {quoted} (\n    history_id INTEGER PRIMARY KEY AUTOINCREMENT{}\n);\n\
         INSERT INTO {quoted} ({names}) SELECT {names} FROM {table};\n",
        declared.collect::<String>()
    );
    // Numbers go on behind the last that was ever there.
    let (old_name, new_name) = (engine.literal(history), engine.literal(&anew));
    sql.push_str(&format!(
        "DELETE FROM sqlite_sequence WHERE name = {new_name};\n\
         INSERT INTO sqlite_sequence (name, seq) SELECT {new_name}, seq FROM sqlite_sequence WHERE name = {old_name};\n\
         DROP TABLE {table};\n\
         PRAGMA legacy_alter_table = ON;\nALTER TABLE {quoted} RENAME TO {table};\nPRAGMA legacy_alter_table = OFF;\n"
    ));
    sql.push_str(ddl.find("CREATE INDEX").map_or("", |at| &ddl[at..]));
    // And those of others.
    for (name, attachment) in &attachments.0 {
        if !ddl.contains(&engine.quote(name)) {
            sql.push_str(attachment.trim_end().trim_end_matches(';'));
            sql.push_str(";\n");
        }
    }
    sql
}
