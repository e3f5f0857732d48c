//! The history table of a tracked table, as SQL.

use crate::sql::Write;
use crate::table::TrackedTable;

/// The types of the columns that history tables have beside the kept ones, as an engine declares them.
pub(crate) struct OwnTypes {
    pub(crate) kind: &'static str,
    pub(crate) date: &'static str,
    /// Of columns that are indexed.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    pub(crate) transaction: &'static str,
    pub(crate) context: &'static str,
}

/// Writes each of Koherent's own columns but `history_id`, each behind `before`.
pub(crate) fn push_own_columns<W: Write>(sql: &mut W, types: &OwnTypes, before: &str) {
    for (name, declared, nullable) in [
        ("history_kind", types.kind, false),
        ("history_date", types.date, false),
        ("history_user", types.name, true),
        ("history_client", types.text, true),
        ("history_organization", types.text, true),
        ("history_task", types.name, true),
        ("history_transaction", types.transaction, false),
        ("history_reason", types.text, true),
        ("history_context", types.context, true),
    ] {
        sql.push(before).push(name).push(" ").push(declared);
        sql.push(if nullable { "" } else { " NOT NULL" });
    }
}

/// Writes the indexes of a history table: by row, by task, by user and by date.
pub(crate) fn push_indexes<W: Write>(sql: &mut W, table: &TrackedTable, place: IndexSchema) {
    let key: Vec<_> = table.key_in_history().chain(["history_id"]).collect();
    let indexes: [(&str, Vec<&str>); 4] = [
        ("key", key),
        ("task", vec!["history_task"]),
        ("user", vec!["history_user", "history_date"]),
        ("date", vec!["history_date"]),
    ];
    for (name, columns) in indexes {
        let index = format!("{}_{name}", table.history.table);
        sql.push(";\nCREATE INDEX ");
        match (place, table.history.schema) {
            #[cfg(feature = "sqlite")]
            (IndexSchema::OfIndex, Some(schema)) => {
                sql.identifier(schema).push(".").identifier(&index);
                sql.push(" ON ").identifier(table.history.table);
            }
            _ => {
                sql.identifier(&index).push(" ON ").table(table.history);
            }
        }
        sql.push(" (").identifiers("", columns).push(")");
    }
    sql.push(";\n");
}

/// Which name of `CREATE INDEX` takes the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexSchema {
    #[cfg(any(feature = "postgres_backend", feature = "mysql"))]
    OfTable,
    #[cfg(feature = "sqlite")]
    OfIndex,
}

/// SQL text without values.
pub(crate) struct Text<const QUOTE: char>(pub(crate) String);

impl<const QUOTE: char> Write for Text<QUOTE> {
    const QUOTE: char = QUOTE;

    fn push(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }
}
