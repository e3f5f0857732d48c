//! SQLite as an engine: how values, entries and the catalog are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, MoveableBindCollector, QueryBuilder as _, QueryFragment};
use diesel::row::{Field as _, Row};
use diesel::sql_types::{BigInt, Binary, Double, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::EmbeddedMigrations;
use koherent_core::FieldValue;
use serde_json::Value as Json;
use uuid::Uuid;

use super::value::Value;
use super::work::{Read, Sql, Work};
use super::{check, guard};
use crate::change::Audit;
use crate::ddl::{IndexStyle, OwnTypes, Text as Ddl, push_indexes, push_own_columns};
use crate::engine::{Engine, sealed};
use crate::error::Error;
use crate::guard::{Guard, Policy};
use crate::migrate::MigrationLock;
use crate::objects::{self, OwnObject};
use crate::positional::Positional;
use crate::script::{Bind, Script, bind_any};
use crate::sql::Write as _;
use crate::table::{Name, TrackedColumn, TrackedTable, ValueKind};
use crate::transaction::Options;

type Collector<'a> = <Sqlite as Backend>::BindCollector<'a>;

impl sealed::Sealed for Sqlite {}

impl Positional for Sqlite {
    const ROWS: &'static str = "VALUES ";
    type Value = Value;
    type Binds = <Collector<'static> as MoveableBindCollector<Self>>::BindData;

    fn rendered(part: &dyn QueryFragment<Self>) -> QueryResult<(String, Self::Binds)> {
        let mut text = <Self as Backend>::QueryBuilder::default();
        part.to_sql(&mut text, &Self)?;
        let mut binds = Collector::default();
        part.collect_binds(&mut binds, &mut (), &Self)?;
        Ok((text.finish(), binds.moveable()))
    }

    fn value(bind: Bind) -> Value {
        match bind {
            Bind::Text(text) => Value::Text(text),
            Bind::Integer(number) => Value::Integer(number),
            Bind::Bytes(bytes) => Value::Blob(bytes),
        }
    }

    fn push_value<'b>(value: &'b Value, mut out: AstPass<'_, 'b, Self>) -> QueryResult<()> {
        match value {
            Value::Null => out.push_bind_param_value_only::<Nullable<Text>, Option<String>>(&None),
            Value::Integer(number) => out.push_bind_param_value_only::<BigInt, _>(number),
            Value::Real(number) => out.push_bind_param_value_only::<Double, _>(number),
            Value::Text(text) => out.push_bind_param_value_only::<Text, _>(text),
            Value::Blob(bytes) => out.push_bind_param_value_only::<Binary, _>(bytes),
        }
    }

    fn push_binds<'b>(binds: &'b Self::Binds, mut out: AstPass<'_, 'b, Self>) -> QueryResult<()> {
        out.push_bind_collector_data(binds)
    }
}

impl Engine for Sqlite {
    const NUMBERING: &'static str =
        "INTEGER PRIMARY KEY AUTOINCREMENT (another integer type numbers nothing in SQLite)";
    const ROW_BY_ROW: bool = true;
    const QUOTE: char = '`';
    const NOW: &'static str = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000+00:00'";
    const MIGRATION_LOCK: MigrationLock = MigrationLock::Transaction(
        "CREATE TABLE koherent_migrating (id INTEGER); DROP TABLE koherent_migrating",
    );
    const READ_ONLY: Option<[&'static str; 2]> =
        Some(["PRAGMA query_only = ON", "PRAGMA query_only = OFF"]);
    const CLOSE_SCOPE: &'static str =
        "UPDATE koherent_session SET attribution = NULL, operation = NULL";
    type Part = Sql;
    type Work = Work;
    type Cell = Value;

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
        sql.push(alias).push(".").push(column);
    }

    fn push_kept(sql: &mut Script<Self>, alias: &str, column: &TrackedColumn) {
        let name = |sql: &mut Script<Self>| {
            sql.push(alias).push(".").identifier(column.history_name);
        };
        if column.kind != ValueKind::Json {
            return name(sql);
        }
        // SQLite's binary JSON is its own affair; text stands as it was written.
        sql.push("CASE typeof(");
        name(sql);
        sql.push(") WHEN 'blob' THEN json(");
        name(sql);
        sql.push(") ELSE ");
        name(sql);
        sql.push(" END");
    }

    fn push_is_value(
        sql: &mut Script<Self>,
        _: Name,
        alias: &str,
        column: &TrackedColumn,
        value: Bind,
    ) {
        let is_json = column.kind == ValueKind::Json;
        let (before, after) = if is_json { ("json(", ")") } else { ("", "") };
        sql.push(before).push(alias).push(".");
        sql.identifier(column.history_name).push(after).push(" = ");
        sql.push(before).bind(value).push(after);
    }

    fn push_is_context(sql: &mut Script<Self>, name: &'static str, text: &str) {
        sql.push("json_extract(h.history_context, '$.").push(name);
        sql.push("') = ").text(text);
    }

    fn push_differs(sql: &mut Script<Self>, column: &TrackedColumn) {
        Self::push_kept(sql, "h", column);
        sql.push(" IS NOT ");
        Self::push_kept(sql, "b", column);
    }

    fn catalog(tables: &[&'static TrackedTable]) -> QueryResult<Work> {
        let sql = check::catalog(tables);
        let history_of = None;
        let mut is_there = Sql::new();
        is_there
            .push("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'koherent_table'");
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
        check::holds(base, history)
    }

    fn column_count(metadata: fn(&mut (), &mut Vec<Option<Self::TypeMetadata>>)) -> usize {
        let mut columns = Vec::new();
        metadata(&mut (), &mut columns);
        columns.len()
    }

    fn cells<'a>(row: &impl Row<'a, Self>) -> Vec<Value> {
        (0..row.field_count())
            .map(|at| {
                let field = row.get(at);
                Value::read(field.as_ref().and_then(|field| field.value()))
            })
            .collect()
    }

    fn text(cell: Value) -> Option<String> {
        match cell {
            Value::Text(text) => Some(text),
            Value::Integer(number) => Some(number.to_string()),
            Value::Null | Value::Real(_) | Value::Blob(_) => None,
        }
    }

    fn field_value(cell: Value, kind: ValueKind) -> Option<FieldValue> {
        let json = match (cell, kind) {
            (Value::Null, _) => return None,
            (Value::Integer(number), ValueKind::Bool) => Json::Bool(number != 0),
            (Value::Integer(number), _) => number.into(),
            // JSON has no infinities.
            (Value::Real(number), _) => match serde_json::Number::from_f64(number) {
                Some(number) => Json::Number(number),
                None => number.to_string().into(),
            },
            (Value::Text(text), ValueKind::Json) => {
                serde_json::from_str(&text).unwrap_or(Json::String(text))
            }
            (Value::Text(text), _) => Json::String(text),
            (Value::Blob(bytes), _) => STANDARD.encode(bytes).into(),
        };
        Some(FieldValue::from_json(json))
    }

    fn begin(options: Options) -> String {
        options.sqlite()
    }

    fn open_scope(said: &str, operation: Option<Uuid>) -> String {
        let operation = operation.map_or("NULL".to_owned(), |operation| format!("'{operation}'"));
        let said = Self::literal(said);
        format!("UPDATE koherent_session SET attribution = {said}, operation = {operation}")
    }

    fn admit_said_task(said: &str) -> String {
        format!(
            "INSERT INTO koherent_admit VALUES ({})",
            Self::literal(said)
        )
    }

    fn history_ddl(table: &TrackedTable) -> String {
        let mut sql = Ddl::<'`'>(String::new());
        sql.push("CREATE TABLE ").table(table.history);
        sql.push(" (\n    history_id INTEGER PRIMARY KEY AUTOINCREMENT");
        for column in &table.columns {
            let is_key = table.key.contains(&column.name);
            sql.push(",\n    ").identifier(column.history_name);
            match column.declared {
                // Of a STRICT table: values as they are. Elsewhere that is a type for numbers.
                Some(declared) if declared.eq_ignore_ascii_case("ANY") => sql.push(" BLOB"),
                Some(declared) => sql.push(" ").push(declared),
                None => sql.push(check::type_of(column.kind)),
            };
            sql.push(if is_key { " NOT NULL" } else { "" });
        }
        push_own_columns(
            &mut sql, &OWN_TYPES, ",
    ",
        );
        sql.push("\n)");
        push_indexes(&mut sql, table, IndexStyle::Sqlite);
        guard::push_append_only(&mut sql, table);
        sql.0
    }

    fn probe(condition: &str) -> String {
        // A text that is no JSON is an error; two rows are not.
        format!("SELECT CASE WHEN {condition} THEN 1 ELSE json('no') END")
    }

    fn append_only_ddl(table: &TrackedTable) -> String {
        let mut sql = Ddl::<'`'>(String::new());
        guard::push_append_only(&mut sql, table);
        sql.0
    }

    fn drop_append_only_ddl(table: &TrackedTable) -> String {
        let mut sql = Ddl::<'`'>(String::new());
        for part in guard::append_only_parts(table) {
            sql.push("DROP TRIGGER IF EXISTS ");
            if let Some(schema) = table.history.schema {
                sql.identifier(schema).push(".");
            }
            sql.identifier(&part).push(";\n");
        }
        sql.0
    }

    fn objects() -> Vec<OwnObject> {
        objects::objects(crate::migrations::SQLITE)
    }

    fn literal(text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn drop_history_ddl(table: &TrackedTable) -> String {
        let mut sql = Ddl::<'`'>(String::new());
        sql.push("DROP TABLE ").table(table.history).push(";\n");
        sql.0
    }

    fn guard_ddl(table: &TrackedTable, guard: &Guard) -> String {
        guard::guard(table, guard)
    }

    fn unguard_ddl(table: &TrackedTable) -> String {
        guard::unguard(table)
    }

    fn guard_parts(table: &TrackedTable, policy: Policy) -> Vec<String> {
        guard::parts(table, policy)
    }

    fn append_only_parts(table: &TrackedTable) -> Vec<String> {
        guard::append_only_parts(table)
    }

    fn migrations() -> EmbeddedMigrations {
        super::MIGRATIONS
    }
}

const OWN_TYPES: OwnTypes = OwnTypes {
    kind: "TEXT",
    date: "TEXT",
    name: "TEXT",
    text: "TEXT",
    transaction: "TEXT",
    context: "TEXT",
};
