//! Tables as the database has them.

use super::{Database, Engine};
use crate::failure::{Failure, Result};

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The columns of its primary key, in their order.
    pub(crate) key: Vec<String>,
    /// The columns of its other unique indexes, with collations where these are not those of the columns; SQLite only.
    pub(crate) unique: Vec<Vec<(String, Option<String>)>>,
    /// A unique index over expressions; SQLite only.
    pub(crate) unique_expression: Option<String>,
    /// What keeps it from being put under audit.
    pub(crate) unfit: Option<&'static str>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its type, as the engine declares it.
    pub(crate) declared: String,
    /// The type in which a history keeps its values: PostgreSQL's histories have no types of the application's.
    pub(crate) kept: String,
    /// What stands behind the type where it is declared anew: a character set (MySQL).
    pub(crate) suffix: String,
    pub(crate) nullable: bool,
}

impl Table {
    /// A table that is not there any more.
    pub(crate) fn nothing(name: &str) -> Self {
        Self {
            schema: None,
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            unique: Vec::new(),
            unique_expression: None,
            unfit: None,
        }
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Its name, with its schema where it was given.
    pub(crate) fn full_name(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Reads a table: `name` or `schema.name`. `None` where there is none. A schema that goes without saying is left out.
pub(crate) fn describe(database: &mut Database, name: &str) -> Result<Option<Table>> {
    let whole = read(database, None, name)?;
    let Some((schema, table)) = name.split_once('.').filter(|_| whole.columns.is_empty()) else {
        return Ok((!whole.columns.is_empty()).then_some(whole));
    };
    let engine = database.engine();
    let is_usual = match engine {
        Engine::Sqlite if schema.eq_ignore_ascii_case("main") => true,
        Engine::Sqlite => {
            let attached = format!(
                "FROM pragma_database_list WHERE name = {}",
                engine.literal(schema)
            );
            if database.number("count(*)", &attached)? == 0 {
                return Ok(None);
            }
            false
        }
        Engine::Postgres => {
            let relation = |schema| engine.literal(&engine.quote_table(schema, table));
            let same = format!(
                "(to_regclass({}) = to_regclass({}))::int",
                relation(None),
                relation(Some(schema))
            );
            database.number(&same, "")? == 1
        }
        Engine::Mysql => {
            let same = format!("IF(DATABASE() = {}, 1, 0)", engine.literal(schema));
            database.number(&same, "")? == 1
        }
    };
    let found = read(database, Some(schema).filter(|_| !is_usual), table)?;
    Ok((!found.columns.is_empty()).then_some(found))
}

/// The tables that may be put under audit, by name.
pub(crate) fn candidates(database: &mut Database) -> Result<Vec<String>> {
    let (value, rest) = match database.engine() {
        Engine::Sqlite => (
            "name",
            "FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        ),
        // But partitions, and what extensions have made.
        Engine::Postgres => (
            "relname",
            "FROM pg_class WHERE relkind IN ('r', 'p') AND relpersistence = 'p' AND NOT relispartition AND pg_table_is_visible(oid) \
             AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) \
             AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e') \
             ORDER BY relname",
        ),
        Engine::Mysql => (
            "CAST(table_name AS CHAR)",
            "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name",
        ),
    };
    Ok(firsts(database.rows(&[value.to_owned()], rest)?))
}

fn read(database: &mut Database, schema: Option<&str>, table: &str) -> Result<Table> {
    match database.engine() {
        Engine::Sqlite => sqlite(database, schema, table),
        Engine::Postgres => postgres(database, schema, table),
        Engine::Mysql => mysql(database, schema, table),
    }
}

/// The type in which PostgreSQL's histories keep values of a column.
fn kept_type(database: &mut Database) -> Result<String> {
    // A database of an earlier version keeps values as they are.
    let knows = "(to_regproc('koherent_kept_type') IS NOT NULL)::int";
    let expression = match database.number(knows, "")? {
        0 => "format_type(atttypid, atttypmod)",
        _ => "koherent_kept_type(atttypid)",
    };
    Ok(expression.to_owned())
}

fn strings<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(ToOwned::to_owned).to_vec()
}

fn columns(rows: Vec<super::Row>) -> Vec<Column> {
    let column = |row: super::Row| {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || values.next().unwrap_or_default();
        Column {
            name: next(),
            declared: next(),
            nullable: next() == "1",
            suffix: next(),
            kept: next(),
        }
    };
    rows.into_iter().map(column).collect()
}

fn firsts(rows: Vec<super::Row>) -> Vec<String> {
    rows.into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect()
}

fn sqlite(database: &mut Database, schema: Option<&str>, table: &str) -> Result<Table> {
    let engine = Engine::Sqlite;
    let of = |name: &str| match schema {
        Some(schema) => format!("({}, {})", engine.literal(name), engine.literal(schema)),
        None => format!("({})", engine.literal(name)),
    };
    let schema_table = engine.quote_table(schema, "sqlite_schema");
    let kinds = database.rows(
        &strings(["type", "name"]),
        &format!(
            "FROM {schema_table} WHERE name = {} COLLATE NOCASE AND type IN ('table', 'view')",
            engine.literal(table)
        ),
    )?;
    let (kind, name) = match kinds.into_iter().next().as_deref() {
        Some([Some(kind), Some(name)]) => (kind.clone(), name.clone()),
        _ => (String::new(), table.to_owned()),
    };
    if kind == "view" {
        return Err(no_view(table));
    }
    let found = database.rows(
        &strings([
            "name",
            "type",
            // An `INTEGER PRIMARY KEY` and the key of a table WITHOUT ROWID are never NULL; other keys may be.
            "\"notnull\" = 0 AND (pk = 0 OR upper(type) <> 'INTEGER')",
            "''",
            "type",
        ]),
        &format!(
            "FROM pragma_table_xinfo{} WHERE hidden <> 1 ORDER BY cid",
            of(&name)
        ),
    )?;
    let key = database.rows(
        &strings(["name"]),
        &format!(
            "FROM pragma_table_xinfo{} WHERE pk > 0 ORDER BY pk",
            of(&name)
        ),
    )?;
    let indexes = database.rows(
        &strings(["name"]),
        &format!(
            "FROM pragma_index_list{} WHERE \"unique\" = 1 AND origin <> 'pk'",
            of(&name)
        ),
    )?;
    let replaces = database.number(
        "count(*)",
        &format!(
            "FROM {schema_table} WHERE name = {} AND type = 'table' AND replace(replace(replace(sql, char(10), ''), char(9), ''), ' ', '') LIKE '%ONCONFLICTREPLACE%'",
            engine.literal(&name)
        ),
    )? > 0;
    let mut unique = Vec::new();
    let mut unique_expression = None;
    for index in firsts(indexes) {
        let parts = database.rows(
            &strings(["name", "coll"]),
            &format!(
                "FROM pragma_index_xinfo{} WHERE key = 1 ORDER BY seqno",
                of(&index)
            ),
        )?;
        let columns: Option<Vec<_>> = parts
            .into_iter()
            .map(|mut part| {
                let collation = part.pop().flatten().filter(|name| name != "BINARY");
                Some((part.pop().flatten()?, collation))
            })
            .collect();
        match columns {
            Some(columns) => unique.push(columns),
            None => unique_expression = Some(index),
        }
    }
    Ok(Table {
        schema: schema.map(ToOwned::to_owned),
        name,
        columns: columns(found),
        key: firsts(key),
        unique,
        unique_expression,
        unfit: replaces.then_some(
            "declares a constraint ON CONFLICT REPLACE, which deletes rows that leave no history: take that away first",
        ),
    })
}

fn postgres(database: &mut Database, schema: Option<&str>, table: &str) -> Result<Table> {
    let engine = Engine::Postgres;
    let relation = format!(
        "to_regclass({})",
        engine.literal(&engine.quote_table(schema, table))
    );
    let kind = database.rows(
        &strings(["relkind"]),
        &format!("FROM pg_class WHERE oid = {relation}"),
    )?;
    if let Some(kind) = firsts(kind).first()
        && !matches!(kind.as_str(), "r" | "p")
    {
        return Err(no_view(table));
    }
    let kept = kept_type(database)?;
    let found = database.rows(
        &strings([
            "attname",
            "format_type(atttypid, atttypmod)",
            "(NOT attnotnull)::int",
            "''",
            &kept,
        ]),
        &format!(
            "FROM pg_attribute WHERE attrelid = {relation} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
    )?;
    let key = database.rows(
        &strings(["attname"]),
        &format!(
            "FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey) WHERE indrelid = {relation} \
             AND indisprimary ORDER BY array_position(indkey::int2[], attnum)"
        ),
    )?;
    Ok(Table {
        schema: schema.map(ToOwned::to_owned),
        name: table.to_owned(),
        columns: columns(found),
        key: firsts(key),
        unique: Vec::new(),
        unique_expression: None,
        unfit: None,
    })
}

fn mysql(database: &mut Database, schema: Option<&str>, table: &str) -> Result<Table> {
    let engine = Engine::Mysql;
    let of = format!(
        "table_schema = {} AND table_name = {}",
        schema.map_or_else(|| "DATABASE()".to_owned(), |schema| engine.literal(schema)),
        engine.literal(table)
    );
    let kind = database.rows(
        &strings(["CAST(table_type AS CHAR)"]),
        &format!("FROM information_schema.tables WHERE {of}"),
    )?;
    if firsts(kind)
        .first()
        .is_some_and(|kind| kind.contains("VIEW"))
    {
        return Err(no_view(table));
    }
    let found = database.rows(
        &strings([
            "CAST(column_name AS CHAR)",
            "CAST(column_type AS CHAR)",
            "IF(is_nullable = 'YES', 1, 0)",
            "IF(character_set_name IS NULL, '', CONCAT(' CHARACTER SET ', character_set_name, ' COLLATE ', collation_name))",
            "CAST(column_type AS CHAR)",
        ]),
        &format!("FROM information_schema.columns WHERE {of} ORDER BY ordinal_position"),
    )?;
    let partitions = database.number(
        "count(*)",
        &format!("FROM information_schema.partitions WHERE {of} AND partition_name IS NOT NULL"),
    )?;
    let key = database.rows(
        &strings(["CAST(column_name AS CHAR)"]),
        &format!(
            "FROM information_schema.statistics WHERE {of} AND index_name = 'PRIMARY' ORDER BY seq_in_index"
        ),
    )?;
    Ok(Table {
        schema: schema.map(ToOwned::to_owned),
        name: table.to_owned(),
        columns: columns(found),
        key: firsts(key),
        unique: Vec::new(),
        unique_expression: None,
        unfit: (partitions > 0).then_some(
            "is partitioned: no other table can refer to it then, so TRUNCATE could not be refused, and partitions go without a trigger",
        ),
    })
}

fn no_view(table: &str) -> Failure {
    Failure::new(format!(
        "`{table}` is not a table: give the table under it, views have no history of their own"
    ))
}
