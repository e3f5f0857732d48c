//! PostgreSQL as an engine: how entries and the catalog are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::QueryResult;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::row::{Field as _, Row};
use diesel_migrations::EmbeddedMigrations;
use koherent_core::FieldValue;
use serde_json::Value as Json;
use uuid::Uuid;

use super::sql::{Part, Sql};
use super::work::{About, Work};
use super::{check, compose, guard};
use crate::change::Audit;
use crate::ddl::{IndexStyle, OwnTypes, Text, push_indexes, push_own_columns};
use crate::engine::{Engine, sealed};
use crate::error::Error;
use crate::guard::{Guard, Policy};
use crate::history::read;
use crate::history::select::Given;
use crate::migrate::MigrationLock;
use crate::names::Limit;
use crate::objects::{self, OwnObject};
use crate::script::{Bind, Script, bind_any};
use crate::sql::Write as _;
use crate::table::{Name, TrackedColumn, TrackedTable, ValueKind};
use crate::transaction::Options;

impl sealed::Sealed for Pg {}

impl Engine for Pg {
    const NUMBERING: &'static str = "`bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY`";
    const WAIT_FOR_TRANSACTION: Option<(&'static str, &'static str)> =
        Some(("SELECT 1 WHERE pg_advisory_xact_lock(", ") IS NULL"));
    // The key is "koherent", as a number.
    const MIGRATION_LOCK: MigrationLock = MigrationLock::Session {
        take: "SELECT 1 WHERE pg_try_advisory_lock(7741521069393407604)",
        release: "SELECT pg_advisory_unlock(7741521069393407604)",
    };
    const NOW: &'static str = "clock_timestamp()";
    const QUOTE: char = '"';
    const LATERAL: bool = true;
    const DATE: (&'static str, &'static str) = ("CAST(", " AS timestamptz)");
    const UUID: (&'static str, &'static str) = ("CAST(", " AS uuid)");
    const COUNT: &'static str = "count(*)::text";
    type Part = Part;
    type Work = Work;
    /// Everything is read as text.
    type Cell = Option<String>;

    fn render(part: &dyn QueryFragment<Self>) -> QueryResult<Part> {
        Part::render(part)
    }

    fn text_in(part: &Part) -> String {
        part.text()
    }

    fn values_in(part: &Part) -> usize {
        part.values()
    }

    fn is_empty(part: &Part) -> bool {
        part.is_empty()
    }

    fn change(audit: Audit<Part>) -> Result<Work, Error> {
        Ok(compose::change(audit))
    }

    fn reads(statements: Vec<(Script<Self>, &'static str)>) -> Work {
        let (statements, histories) = statements
            .into_iter()
            .map(|(script, history)| (Sql::from(script), history))
            .unzip();
        Work {
            statements,
            about: About::Histories(histories),
        }
    }

    fn push_bind<'b>(value: &'b Bind, out: AstPass<'_, 'b, Self>) -> QueryResult<()> {
        bind_any(value, out)
    }

    fn bind_text(value: Bind) -> String {
        let Bind::Bytes(bytes) = value else {
            return value.into_text();
        };
        bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
            text.push_str(&format!("{byte:02x}"));
            text
        })
    }

    fn push_own(sql: &mut Script<Self>, alias: &str, column: &'static str) {
        let is_date = column == "history_date" || column == "created_at";
        sql.push(if is_date { "to_char(" } else { "" });
        sql.push(alias).push(".").push(column).push(if is_date {
            " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US\"+00:00\"')"
        } else {
            "::text"
        });
    }

    fn push_kept(sql: &mut Script<Self>, alias: &str, column: &TrackedColumn) {
        let as_text = matches!(
            column.kind,
            ValueKind::Binary | ValueKind::Numeric | ValueKind::Float
        );
        sql.push(if as_text { "" } else { "to_json(" });
        sql.push(alias).push(".").identifier(column.history_name);
        sql.push(if as_text { "::text" } else { ")::text" });
    }

    /// It takes no zero byte in any text, not even to compare with.
    fn push_is_text(sql: &mut Script<Self>, alias: &str, column: &str, text: &str) {
        if text.contains('\0') {
            sql.push("1 = 0");
            return;
        }
        sql.push(alias).push(".").push(column).push(" = ");
        sql.text(text);
    }

    /// The function makes of a text what the column is of, whatever its type.
    fn push_given(
        sql: &mut Script<Self>,
        table: Name,
        column: &str,
        kind: ValueKind,
        given: Given,
    ) {
        let is_number = kind == ValueKind::Integer;
        if is_number {
            sql.push("CAST(");
        } else {
            sql.push("koherent_typed((NULL::").table(table);
            sql.push(").").identifier(column).push(", ");
        }
        match given {
            Given::Value(bind) => sql.text(Self::bind_text(bind)),
            Given::Place(at) => sql.push("(k.value->>").push(&at.to_string()).push(")"),
        };
        sql.push(if is_number { " AS bigint)" } else { ")" });
    }

    fn push_is_value(
        sql: &mut Script<Self>,
        history: Name,
        alias: &str,
        column: &TrackedColumn,
        value: Bind,
    ) {
        let (name, kind) = (column.history_name, column.kind);
        if kind != ValueKind::Json {
            sql.push(alias).push(".").identifier(name).push(" = ");
            return Self::push_given(sql, history, name, kind, Given::Value(value));
        }
        sql.push("CAST(").push(alias).push(".").identifier(name);
        sql.push(" AS jsonb) = CAST(").text(Self::bind_text(value));
        sql.push(" AS jsonb)");
    }

    fn push_is_context(sql: &mut Script<Self>, name: &'static str, text: &str) {
        if text.contains('\0') {
            sql.push("1 = 0");
            return;
        }
        sql.push("h.history_context ->> '").push(name).push("' = ");
        sql.text(text);
    }

    fn push_differs(sql: &mut Script<Self>, column: &TrackedColumn) {
        Self::push_kept(sql, "h", column);
        sql.push(" IS DISTINCT FROM ");
        Self::push_kept(sql, "b", column);
    }

    fn catalog(tables: &[&'static TrackedTable]) -> QueryResult<Work> {
        Ok(Work {
            statements: vec![check::catalog(tables)],
            about: About::Catalog {
                is_there: Box::new(check::is_guarded()),
                guards: Box::new(check::guards(tables)),
            },
        })
    }

    fn fits(column: &TrackedColumn, declared: &str) -> bool {
        check::fits(column.kind, declared)
    }

    /// What a history keeps as text is given the type that the table has now.
    fn push_row_value(
        sql: &mut Script<Self>,
        table: &TrackedTable,
        alias: &str,
        column: &TrackedColumn,
    ) {
        if column.is_builtin {
            sql.push(alias).push(".").identifier(column.history_name);
            return;
        }
        sql.push("koherent_typed((NULL::").table(table.name);
        sql.push(").")
            .identifier(column.name)
            .push(", ")
            .push(alias);
        sql.push(".")
            .identifier(column.history_name)
            .push("::text)");
    }

    fn holds(base: &str, history: &str) -> bool {
        check::holds(base, history)
    }

    fn column_count(
        metadata: fn(&mut (dyn PgMetadataLookup + 'static), &mut Vec<Option<PgTypeMetadata>>),
    ) -> usize {
        let mut columns = Vec::new();
        metadata(&mut NoTypes, &mut columns);
        columns.len()
    }

    fn cells<'a>(row: &impl Row<'a, Self>) -> Vec<Option<String>> {
        (0..row.field_count())
            .map(|at| {
                let field = row.get(at);
                let value = field.as_ref().and_then(|field| field.value())?;
                Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect()
    }

    fn text(cell: Option<String>) -> Option<String> {
        cell
    }

    fn field_value(cell: Option<String>, kind: ValueKind) -> Option<FieldValue> {
        let text = cell?;
        let json = match kind {
            // `to_json` writes bytes as `\x…`.
            ValueKind::Binary => STANDARD.encode(bytes(&text)).into(),
            ValueKind::Numeric => Json::String(text),
            ValueKind::Float => read::float(text),
            _ => serde_json::from_str(&text).unwrap_or(Json::String(text)),
        };
        Some(FieldValue::from_json(json))
    }

    fn begin(options: Options) -> String {
        options.postgres()
    }

    fn open_scope(said: &str, operation: Option<Uuid>) -> String {
        let mut sql = format!(
            "SELECT set_config('koherent.attribution', {}, true)",
            Self::literal(said)
        );
        if let Some(operation) = operation {
            sql.push_str(&format!(
                ", set_config('koherent.operation', '{operation}', true)"
            ));
        }
        sql
    }

    fn admit_said_task(said: &str) -> String {
        format!(
            "SELECT koherent_admit_said_task({}::json)",
            Self::literal(said)
        )
    }

    fn history_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'"'>(String::new());
        sql.push("CREATE TABLE ").table(table.history);
        sql.push(" AS SELECT ");
        for (at, column) in table.columns.iter().enumerate() {
            sql.push(if at > 0 { ", " } else { "" });
            sql.identifier(column.name)
                .push(" AS ")
                .identifier(column.history_name);
        }
        sql.push(" FROM ").table(table.name);
        sql.push(" WITH NO DATA;\nALTER TABLE ")
            .table(table.history);
        sql.push(" ADD COLUMN history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
        for key in table.key_in_history() {
            sql.push(", ALTER COLUMN ")
                .identifier(key)
                .push(" SET NOT NULL");
        }
        push_own_columns(
            &mut sql,
            &OWN_TYPES,
            ",
    ADD COLUMN ",
        );
        sql.push(";\nSELECT koherent_keep_types(")
            .push(&guard::identity(table.history))
            .push(")");
        push_indexes(&mut sql, table, IndexStyle::Postgres);
        guard::push_append_only(&mut sql, table);
        sql.0
    }

    const NAMES: Limit = super::NAMES;

    const DOOMS_TRANSACTIONS: bool = true;

    fn append_only_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'"'>(String::new());
        guard::push_append_only(&mut sql, table);
        sql.0
    }

    fn drop_append_only_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'"'>(String::new());
        for part in guard::append_only_parts() {
            sql.push("DROP TRIGGER IF EXISTS ")
                .identifier(&part)
                .push(" ON ");
            sql.table(table.history).push(";\n");
        }
        sql.0
    }

    fn objects() -> Vec<OwnObject> {
        objects::objects(crate::migrations::POSTGRES)
    }

    fn literal(text: &str) -> String {
        let quoted = text.replace('\'', "''");
        // Whatever `standard_conforming_strings` is.
        if quoted.contains('\\') {
            format!("E'{}'", quoted.replace('\\', "\\\\"))
        } else {
            format!("'{quoted}'")
        }
    }

    fn drop_history_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'"'>(String::new());
        sql.push("DROP TABLE ").table(table.history).push(";\n");
        sql.0
    }

    fn guard_ddl(table: &TrackedTable, guard: &Guard) -> String {
        guard::guard(table, guard)
    }

    fn unguard_ddl(table: &TrackedTable) -> String {
        guard::unguard(table)
    }

    fn notify_ddl(table: &TrackedTable) -> String {
        let mut sql = Text::<'"'>(String::new());
        sql.push("CREATE TRIGGER koherent_notify AFTER INSERT ON ")
            .table(table.history);
        sql.push(" REFERENCING NEW TABLE AS k_new FOR EACH STATEMENT EXECUTE FUNCTION koherent_notify();\n");
        sql.0
    }

    fn guard_parts(_: &TrackedTable, _: Policy) -> Vec<String> {
        guard::parts()
    }

    fn append_only_parts(_: &TrackedTable) -> Vec<String> {
        guard::append_only_parts()
    }

    fn migrations() -> EmbeddedMigrations {
        super::MIGRATIONS
    }
}

const OWN_TYPES: OwnTypes = OwnTypes {
    kind: "text",
    date: "timestamptz",
    name: "text",
    text: "text",
    transaction: "uuid",
    context: "json",
};

/// Reads `\x…`.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("\\x").unwrap_or(text).as_bytes();
    let digit = |at: u8| char::from(at).to_digit(16).unwrap_or_default();
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).unwrap_or_default();
    digits.chunks_exact(2).map(byte).collect()
}

/// Columns are counted without looking at their types.
struct NoTypes;

impl PgMetadataLookup for NoTypes {
    fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }
}
