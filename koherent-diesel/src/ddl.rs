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
        ("history_organization", types.name, true),
        ("history_task", types.name, true),
        ("history_transaction", types.transaction, false),
        ("history_reason", types.text, true),
        ("history_context", types.context, true),
    ] {
        sql.push(before).push(name).push(" ").push(declared);
        sql.push(if nullable { "" } else { " NOT NULL" });
    }
}

/// Writes the indexes of a history table: by row, by task, by user, by organization and by date. Lists are ordered by date
/// and id, so each holds both.
pub(crate) fn push_indexes<W: Write>(sql: &mut W, table: &TrackedTable, style: IndexStyle) {
    let key: Vec<_> = table.key_in_history().collect();
    let mut covered = key.clone();
    covered.push("history_kind");
    let own = |column| vec![column, "history_date", "history_id"];
    let by_row = key.into_iter().chain(["history_id"]).collect();
    let indexes: [(&str, Vec<&str>); 5] = [
        ("key", by_row),
        ("task", own("history_task")),
        ("user", own("history_user")),
        ("organization", own("history_organization")),
        ("date", vec!["history_date", "history_id"]),
    ];
    for (name, mut columns) in indexes {
        let index = format!("{}_{name}", table.history.table);
        sql.push(";\nCREATE INDEX ");
        match (style, table.history.schema) {
            #[cfg(feature = "sqlite")]
            (IndexStyle::Sqlite, Some(schema)) => {
                sql.identifier(schema).push(".").identifier(&index);
                sql.push(" ON ").identifier(table.history.table);
            }
            _ => {
                sql.identifier(&index).push(" ON ").table(table.history);
            }
        }
        // Which rows a task touched is answered by the index alone, where keys of any type fit into it.
        let covers = name == "task";
        if covers && style.appends() {
            columns.extend(&covered);
        }
        sql.push(" (").identifiers("", columns).push(")");
        if covers && style.includes() {
            sql.push(" INCLUDE (")
                .identifiers("", covered.clone())
                .push(")");
        }
        // Changes without a task, or an organization, pay nothing for its index.
        if style.is_partial() && matches!(name, "task" | "user" | "organization") {
            sql.push(" WHERE history_").push(name).push(" IS NOT NULL");
        }
    }
    sql.push(";\n");
}

/// What indexes can be on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexStyle {
    /// Columns that are not ordered, and a condition.
    #[cfg(feature = "postgres_backend")]
    Postgres,
    /// A condition. The schema stands with the index.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// Neither; and columns of limited length.
    #[cfg(feature = "mysql")]
    Mysql,
}

impl IndexStyle {
    fn includes(self) -> bool {
        match self {
            #[cfg(feature = "postgres_backend")]
            Self::Postgres => true,
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            _ => false,
        }
    }

    fn appends(self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => true,
            #[cfg(any(feature = "postgres_backend", feature = "mysql"))]
            _ => false,
        }
    }

    fn is_partial(self) -> bool {
        self.includes() || self.appends()
    }
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
