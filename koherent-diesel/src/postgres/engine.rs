//! PostgreSQL as an engine: how entries and the catalog are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::QueryResult;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::QueryFragment;
use diesel::row::{Field as _, Row};
use diesel_migrations::EmbeddedMigrations;
use koherent_core::FieldValue;
use serde_json::Value as Json;
use uuid::Uuid;

use super::sql::{Part, Sql};
use super::work::{About, Work};
use super::{check, compose, guard};
use crate::change::Audit;
use crate::ddl::{IndexSchema, OwnTypes, Text, push_indexes, push_own_columns};
use crate::engine::{Engine, sealed};
use crate::error::Error;
use crate::guard::{Guard, Policy};
use crate::snapshot;
use crate::sql::{Write as _, is_plain_key, push_plain_key};
use crate::table::{TrackedColumn, TrackedTable, ValueKind};
use crate::transaction::Options;

impl sealed::Sealed for Pg {}

impl Engine for Pg {
    const NUMBERING: &'static str = "`bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY`";
    const NOW: &'static str = "clock_timestamp()";
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

    fn entries(
        table: &'static TrackedTable,
        key_of: &TrackedTable,
        columns: &[&'static str],
        key: &dyn QueryFragment<Self>,
        limit: Option<i64>,
    ) -> Result<Work, Error> {
        let key = Part::render(key)?;
        let mut expected = Sql::new();
        push_plain_key(&mut expected, key_of, |sql| {
            sql.push("$");
        });
        if !is_plain_key(&key.text(), &expected.text) {
            return Err(Error::not_a_key());
        }
        let mut sql = Sql::new();
        let mut number = 0;
        snapshot::push_select(&mut sql, table, own, kept, columns, |sql| {
            number += 1;
            sql.place(number);
        });
        sql.binds = key.into_binds();
        sql.push(" ORDER BY h.history_id DESC");
        if let Some(limit) = limit {
            sql.push(" LIMIT ").push(&limit.to_string());
        }
        // The limit is part of the text.
        sql.keep = limit.is_none();
        Ok(Work {
            statements: vec![sql],
            about: About::History(table),
        })
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

    fn holds(base: &str, history: &str) -> bool {
        base == history
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
            ValueKind::Float => snapshot::float(text),
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
        push_indexes(&mut sql, table, IndexSchema::OfTable);
        guard::push_append_only(&mut sql, table);
        sql.0
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

/// A column of Koherent's own, as text.
fn own(sql: &mut Sql, alias: &str, column: &'static str) {
    sql.push(if column.ends_with("_date") || column == "created_at" {
        "to_char("
    } else {
        ""
    });
    sql.push(alias).push(".").identifier(column);
    sql.push(if column.ends_with("_date") || column == "created_at" {
        " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US\"+00:00\"')"
    } else {
        "::text"
    });
}

/// A kept column, as JSON in text.
fn kept(sql: &mut Sql, column: &TrackedColumn) {
    match column.kind {
        ValueKind::Binary | ValueKind::Numeric | ValueKind::Float => {
            sql.push("h.")
                .identifier(column.history_name)
                .push("::text");
        }
        _ => {
            sql.push("to_json(h.")
                .identifier(column.history_name)
                .push(")::text");
        }
    }
}

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
