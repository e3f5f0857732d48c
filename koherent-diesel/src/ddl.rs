//! The history table of a tracked table, as SQL.

use crate::names::Limit;
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
    let mut by_row: Vec<_> = key.into_iter().chain(["history_id"]).collect();
    // A key may have as many columns as an index.
    by_row.truncate(style.columns());
    let prefixes = style.prefixes(table);
    let indexes: [(&str, Vec<&str>); 5] = [
        ("key", by_row),
        ("task", own("history_task")),
        ("user", own("history_user")),
        ("organization", own("history_organization")),
        ("date", vec!["history_date", "history_id"]),
    ];
    for (name, mut columns) in indexes {
        let index = style
            .names()
            .bound(&format!("{}_{name}", table.history.table));
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
        let covers = name == "task" && columns.len() + covered.len() <= style.columns();
        if covers && style.appends() {
            columns.extend(&covered);
        }
        sql.push(" (");
        for (at, column) in columns.iter().enumerate() {
            sql.push(if at > 0 { ", " } else { "" }).identifier(column);
            if let Some((_, length)) = prefixes.iter().find(|(name, _)| name == column) {
                sql.push("(").push(&length.to_string()).push(")");
            }
        }
        sql.push(")");
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

    /// How many columns an index can have.
    fn columns(self) -> usize {
        match self {
            // `INDEX_MAX_KEYS`
            #[cfg(feature = "postgres_backend")]
            Self::Postgres => 32,
            #[cfg(feature = "sqlite")]
            Self::Sqlite => 2_000,
            #[cfg(feature = "mysql")]
            Self::Mysql => 16,
        }
    }

    fn names(self) -> Limit {
        match self {
            #[cfg(feature = "postgres_backend")]
            Self::Postgres => crate::postgres::NAMES,
            #[cfg(feature = "sqlite")]
            Self::Sqlite => Limit::None,
            #[cfg(feature = "mysql")]
            Self::Mysql => crate::mysql::NAMES,
        }
    }

    /// The columns of the key of which an index can hold the start alone, and how many characters: InnoDB's indexes hold 3072
    /// bytes, which a key may need for itself. Known where the declared types are.
    #[cfg_attr(
        not(feature = "mysql"),
        expect(clippy::unused_self, reason = "other engines have no such limit")
    )]
    fn prefixes(self, table: &TrackedTable) -> Vec<(&'static str, u64)> {
        #[cfg(feature = "mysql")]
        if self == Self::Mysql {
            return mysql_prefixes(table);
        }
        let _ = table;
        Vec::new()
    }
}

#[cfg(feature = "mysql")]
fn mysql_prefixes(table: &TrackedTable) -> Vec<(&'static str, u64)> {
    /// The bytes of an index, without those of `history_id` and of lengths and marks of NULL.
    const BYTES: u64 = 3072 - 8 - 16 * 3;
    let key = table.key.iter().filter_map(|key| {
        let column = table.columns.iter().find(|column| column.name == *key)?;
        Some((column.history_name, length(column.declared?)?))
    });
    let lengths: Vec<_> = key.collect();
    let whole: u64 = lengths.iter().map(|(_, length)| length.bytes()).sum();
    if whole <= BYTES {
        return Vec::new();
    }
    // Short columns stand whole; long ones share what they leave.
    let share = BYTES / lengths.len() as u64;
    let (short, long): (Vec<_>, Vec<_>) = lengths
        .into_iter()
        .partition(|(_, length)| length.bytes() <= share || !length.is_text);
    let taken: u64 = short.iter().map(|(_, length)| length.bytes()).sum();
    let each = BYTES.saturating_sub(taken) / (long.len() as u64).max(1);
    long.into_iter()
        .map(|(name, length)| (name, (each / length.width).min(length.units)))
        .collect()
}

/// How long a column is.
#[cfg(feature = "mysql")]
#[derive(Debug, Clone, Copy)]
struct Length {
    units: u64,
    width: u64,
    is_text: bool,
}

#[cfg(feature = "mysql")]
impl Length {
    const fn bytes(self) -> u64 {
        self.units * self.width
    }
}

/// The length of a declared type. A character may be four bytes.
#[cfg(feature = "mysql")]
fn length(declared: &str) -> Option<Length> {
    let declared = declared.to_ascii_lowercase();
    let base = declared.split(['(', ' ']).next()?;
    let units = || declared.split_once('(')?.1.split(')').next()?.parse().ok();
    let (units, width, is_text) = match base {
        "varchar" | "char" => (units()?, 4, true),
        "varbinary" | "binary" => (units()?, 1, true),
        "decimal" => (32, 1, false),
        _ => (16, 1, false),
    };
    Some(Length {
        units,
        width,
        is_text,
    })
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
