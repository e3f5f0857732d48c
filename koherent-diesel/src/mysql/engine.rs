//! MariaDB and MySQL as an engine: how values, entries and the catalog are read.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::mysql::{Mysql, MysqlQueryBuilder, MysqlType};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AstPass, QueryBuilder as _, QueryFragment};
use diesel::row::{Field as _, Row};
use diesel_migrations::EmbeddedMigrations;
use koherent_core::FieldValue;
use serde_json::Value as Json;
use uuid::Uuid;

use super::value::Value;
use super::work::{Read, Sql, Work};
use super::{check, guard};
use crate::change::Audit;
use crate::ddl::{IndexStyle, OwnTypes, Text, push_indexes, push_own_columns};
use crate::engine::{Engine, sealed};
use crate::error::Error;
use crate::guard::{Guard, Policy};
use crate::history::read;
use crate::migrate::MigrationLock;
use crate::names::Limit;
use crate::objects::{self, OwnObject};
use crate::positional::Positional;
use crate::script::{Bind, Script, bind_any};
use crate::sql::Write as _;
use crate::table::{Name, TrackedColumn, TrackedTable, ValueKind};
use crate::transaction::Options;

impl sealed::Sealed for Mysql {}

impl Positional for Mysql {
    const ROWS: &'static str = "";
    type Value = Value;
    type Binds = RawBytesBindCollector<Self>;

    fn rendered(part: &dyn QueryFragment<Self>) -> QueryResult<(String, Self::Binds)> {
        let mut text = MysqlQueryBuilder::new();
        part.to_sql(&mut text, &Self)?;
        let mut binds = RawBytesBindCollector::new();
        part.collect_binds(&mut binds, &mut (), &Self)?;
        Ok((text.finish(), binds))
    }

    fn value(bind: Bind) -> Value {
        match bind {
            Bind::Text(text) => text.as_str().into(),
            Bind::Integer(number) => number.into(),
            Bind::Bytes(bytes) => bytes.into(),
        }
    }

    fn push_value<'b>(value: &'b Value, mut out: AstPass<'_, 'b, Self>) -> QueryResult<()> {
        out.push_bind_collector_data(value.bind())
    }

    fn push_binds<'b>(binds: &'b Self::Binds, mut out: AstPass<'_, 'b, Self>) -> QueryResult<()> {
        out.push_bind_collector_data(binds)
    }
}

impl Engine for Mysql {
    const NUMBERING: &'static str = "`BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY`";
    // Two rows are no value: the statement fails where the lock cannot be had.
    const MIGRATION_LOCK: MigrationLock = MigrationLock::Named {
        take: "SELECT IF(GET_LOCK(CONCAT('koherent migrates ', SHA1(COALESCE(DATABASE(), ''))), 600) = 1, 1, \
               (SELECT 1 UNION ALL SELECT 2))",
        release: "DO RELEASE_LOCK(CONCAT('koherent migrates ', SHA1(COALESCE(DATABASE(), ''))))",
    };
    const WAITING_READ: &'static str = " LOCK IN SHARE MODE";
    const INSERT_UNLESS_THERE: (&'static str, &'static str) = ("INSERT IGNORE INTO ", "");
    const QUOTE: char = '`';
    const UNSIGNED: bool = true;
    const DATE_FORMAT: &'static str = "%Y-%m-%d %H:%M:%S%.6f";
    const COUNT: &'static str = "CAST(count(*) AS CHAR)";
    const NOW: &'static str = "UTC_TIMESTAMP(6)";
    const CLOSE_SCOPE: &'static str =
        "SET @koherent_attribution = NULL, @koherent_operation = NULL";
    const CLOSE_LOST_SCOPE: &'static str = Self::CLOSE_SCOPE;
    type Part = Sql;
    type Work = Work;
    /// Everything is read as text.
    type Cell = Option<String>;

    fn render(part: &dyn QueryFragment<Self>) -> QueryResult<Sql> {
        Sql::render(part)
    }

    fn text_in(part: &Sql) -> String {
        part.text().to_owned()
    }

    fn values_in(part: &Sql) -> usize {
        // Each value is one `?`; those in literals only make parts smaller than they need be.
        part.text().matches('?').count()
    }

    fn is_empty(part: &Sql) -> bool {
        part.is_empty()
    }

    fn change(audit: Audit<Sql>) -> Result<Work, Error> {
        Ok(Work::Change(Box::new(audit)))
    }

    fn reads(statements: Vec<(Script<Self>, &'static str)>) -> Work {
        Work::Reads(statements.into_iter().map(Read::history).collect())
    }

    fn push_bind<'b>(value: &'b Bind, out: AstPass<'_, 'b, Self>) -> QueryResult<()> {
        bind_any(value, out)
    }

    fn push_own(sql: &mut Script<Self>, alias: &str, column: &'static str) {
        let is_date = column == "history_date" || column == "created_at";
        sql.push(if is_date { "DATE_FORMAT(" } else { "CAST(" });
        sql.push(alias).push(".").push(column).push(if is_date {
            ", '%Y-%m-%d %H:%i:%s.%f+00:00')"
        } else {
            " AS CHAR)"
        });
    }

    fn push_kept(sql: &mut Script<Self>, alias: &str, column: &TrackedColumn) {
        let binary = column.kind == ValueKind::Binary;
        sql.push(if binary { "TO_BASE64(" } else { "CAST(" });
        sql.push(alias).push(".").identifier(column.history_name);
        sql.push(if binary { ")" } else { " AS CHAR)" });
    }

    /// The first comparison finds it in the index; the second knows no collation, and no blanks that do not count.
    fn push_is_text(sql: &mut Script<Self>, alias: &str, column: &str, text: &str) {
        sql.push("(").push(alias).push(".").push(column).push(" = ");
        sql.text(text).push(" AND BINARY ");
        sql.push(alias).push(".").push(column).push(" = BINARY ");
        sql.text(text).push(")");
    }

    fn push_is_value(
        sql: &mut Script<Self>,
        _: Name,
        alias: &str,
        column: &TrackedColumn,
        value: Bind,
    ) {
        // Text is compared byte for byte: without its collation, and with the blanks at its end.
        let (before, after) = match column.kind {
            ValueKind::Json => ("JSON_EXTRACT(", ", '$')"),
            ValueKind::Text => ("BINARY ", ""),
            _ => ("", ""),
        };
        sql.push(before).push(alias).push(".");
        sql.identifier(column.history_name).push(after).push(" = ");
        sql.push(before).bind(value).push(after);
    }

    fn push_is_context(sql: &mut Script<Self>, name: &'static str, text: &str) {
        sql.push("BINARY JSON_UNQUOTE(JSON_EXTRACT(h.history_context, '$.");
        sql.push(name).push("')) = BINARY ").text(text);
    }

    fn push_differs(sql: &mut Script<Self>, column: &TrackedColumn) {
        sql.push("NOT (BINARY h.").identifier(column.history_name);
        sql.push(" <=> BINARY b.")
            .identifier(column.history_name)
            .push(")");
    }

    /// Rows of values are not looked for in an index here.
    fn push_beyond(sql: &mut Script<Self>, beyond: &str, date: DateTime<Utc>, id: Bind) {
        sql.push(" AND (h.history_date ")
            .push(beyond)
            .push(" ")
            .date(date);
        sql.push(" OR h.history_date = ").date(date);
        sql.push(" AND h.history_id ")
            .push(beyond)
            .push(" ")
            .bind(id)
            .push(")");
    }

    fn catalog(tables: &[&'static TrackedTable]) -> QueryResult<Work> {
        let mut sql = check::catalog(tables);
        sql.do_not_cache();
        let history_of = None;
        let mut is_there = Sql::new();
        is_there.push(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'koherent_table'",
        );
        let also = Some(Box::new((is_there, check::guards(tables))));
        Ok(Work::Read(Read {
            sql,
            history_of,
            also,
        }))
    }

    fn fits(column: &TrackedColumn, declared: &str) -> bool {
        check::fits(column.kind, declared)
    }

    fn holds(base: &str, history: &str) -> bool {
        base.eq_ignore_ascii_case(history)
    }

    fn column_count(metadata: fn(&mut (), &mut Vec<Option<MysqlType>>)) -> usize {
        let mut columns = Vec::new();
        metadata(&mut (), &mut columns);
        columns.len()
    }

    fn cells<'a>(row: &impl Row<'a, Self>) -> Vec<Option<String>> {
        (0..row.field_count()).map(|at| text_of(row, at)).collect()
    }

    fn text(cell: Option<String>) -> Option<String> {
        cell
    }

    fn field_value(cell: Option<String>, kind: ValueKind) -> Option<FieldValue> {
        let text = cell?;
        let json = match kind {
            ValueKind::Bool => Json::Bool(text != "0"),
            ValueKind::Float => read::float(text),
            ValueKind::Integer | ValueKind::Json => {
                serde_json::from_str(&text).unwrap_or(Json::String(text))
            }
            // `TO_BASE64` breaks lines.
            ValueKind::Binary => Json::String(text.replace('\n', "")),
            ValueKind::Text | ValueKind::Numeric | ValueKind::Other => Json::String(text),
        };
        Some(FieldValue::from_json(json))
    }

    fn begin(options: Options) -> String {
        options.mysql()
    }

    fn open_scope(said: &str, operation: Option<Uuid>) -> String {
        let operation = operation.map_or("NULL".to_owned(), |operation| format!("'{operation}'"));
        let said = Self::literal(said);
        format!("SET @koherent_attribution = {said}, @koherent_operation = {operation}")
    }

    fn admit_said_task(said: &str) -> String {
        format!("CALL koherent_admit_said_task({})", Self::literal(said))
    }

    fn history_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'`'>(String::new());
        sql.push("CREATE TABLE ").table(table.history);
        sql.push(" ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 AS SELECT ");
        for (at, column) in table.columns.iter().enumerate() {
            sql.push(if at > 0 { ", " } else { "" });
            sql.identifier(column.name)
                .push(" AS ")
                .identifier(column.history_name);
        }
        sql.push(" FROM ").table(table.name);
        sql.push(" WHERE 1 = 0;\nALTER TABLE ").table(table.history);
        sql.push(" ADD COLUMN history_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY");
        push_own_columns(
            &mut sql,
            &OWN_TYPES,
            ",
    ADD COLUMN ",
        );
        push_indexes(&mut sql, table, IndexStyle::Mysql);
        guard::push_append_only(&mut sql, table);
        sql.0
    }

    const NAMES: Limit = super::NAMES;

    fn probe(condition: &str) -> String {
        format!("SELECT (SELECT 1 UNION ALL SELECT 1 FROM DUAL WHERE NOT {condition}) AS probe")
    }

    fn append_only_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'`'>(String::new());
        guard::push_append_only(&mut sql, table);
        sql.0
    }

    fn drop_append_only_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'`'>(String::new());
        for part in guard::append_only_parts(table) {
            if part == guard::companion(table.history) {
                continue;
            }
            sql.push("DROP TRIGGER IF EXISTS ");
            if let Some(schema) = table.history.schema {
                sql.identifier(schema).push(".");
            }
            sql.identifier(&part).push(";\n");
        }
        guard::push_drop_companion(&mut sql, table.history);
        sql.0
    }

    fn objects() -> Vec<OwnObject> {
        objects::objects(crate::migrations::MYSQL)
    }

    /// In hexadecimal digits: whatever the server takes a backslash for.
    fn literal(text: &str) -> String {
        let mut digits = String::from("_utf8mb4 X'");
        for byte in text.bytes() {
            digits.push_str(&format!("{byte:02X}"));
        }
        digits.push('\'');
        digits
    }

    fn drop_history_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'`'>(String::new());
        guard::push_drop_companion(&mut sql, table.history);
        sql.push("DROP TABLE ").table(table.history).push(";\n");
        sql.0
    }

    fn guard_ddl(table: &TrackedTable, guard: &Guard) -> String {
        guard::guard(table, guard)
    }

    fn unguard_ddl(table: &TrackedTable) -> String {
        guard::unguard(table)
    }

    fn guard_parts(table: &TrackedTable, _: Policy) -> Vec<String> {
        guard::parts(table)
    }

    fn append_only_parts(table: &TrackedTable) -> Vec<String> {
        guard::append_only_parts(table)
    }

    fn migrations() -> EmbeddedMigrations {
        super::MIGRATIONS
    }
}

const OWN_TYPES: OwnTypes = OwnTypes {
    kind: "CHAR(1)",
    date: "DATETIME(6)",
    name: "VARCHAR(512) COLLATE utf8mb4_bin",
    text: "TEXT",
    transaction: "CHAR(36)",
    context: "LONGTEXT",
};

/// A column that holds text.
pub(super) fn text_of<'a>(row: &impl Row<'a, Mysql>, at: usize) -> Option<String> {
    let field = row.get(at);
    let value = field.as_ref().and_then(|field| field.value())?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
