//! What PostgreSQL says of the declared tables (`pg_catalog`).

use diesel::pg::Pg;

use super::sql::Sql;
use crate::catalog;
use crate::engine::Engine as _;
use crate::objects::ObjectKind;
use crate::sql::Write as _;
use crate::table::{TrackedTable, ValueKind};

/// The facts of all tables, as [`Catalog::add`](catalog::Catalog::add) takes them.
pub(super) fn catalog(tables: &[&'static TrackedTable]) -> Sql {
    let mut sql = wanted(tables);
    sql.push(
        "SELECT at::text, 'column', attname::text, format_type(atttypid, atttypmod), (NOT attnotnull)::int::text, \
         (attidentity <> '' OR COALESCE(pg_get_expr(adbin, adrelid) LIKE 'nextval(%', false))::int::text \
         FROM wanted JOIN pg_attribute ON attrelid = relation AND attnum > 0 AND NOT attisdropped \
         LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
         UNION ALL SELECT at::text, 'unique', indexrelid::regclass::text, NULL, NULL, NULL \
         FROM wanted JOIN pg_index ON indrelid = relation AND indisunique AND NOT indisprimary \
         UNION ALL SELECT at::text, 'key', attname::text, NULL, NULL, NULL \
         FROM wanted JOIN pg_index ON indrelid = relation AND indisprimary \
         JOIN pg_attribute ON attrelid = relation AND attnum = ANY (indkey) \
         UNION ALL SELECT at::text, 'part', tgname::text, NULL, NULL, NULL \
         FROM wanted JOIN pg_trigger ON tgrelid = relation AND tgenabled IN ('O', 'A') \
         JOIN pg_proc AS p ON p.oid = tgfoid AND proname IN ('koherent_guard', 'koherent_append_only') \
         UNION ALL SELECT at::text, 'unfit', 'has the partition `' || inhrelid::regclass::text || '`, to which rows can be written past the guard: ' || CASE \
         WHEN relkind = 'f' THEN 'it is a foreign table, which cannot be guarded: detach it' \
         WHEN relispartition THEN 'call `SELECT koherent_guard_partitions(' || quote_literal(relation::text) || ')`' ELSE 'create its triggers there as well' END, \
         NULL, NULL, NULL FROM wanted CROSS JOIN LATERAL (SELECT inhrelid FROM pg_inherits WHERE inhparent = relation \
         UNION SELECT relid FROM pg_partition_tree(relation) WHERE relid <> relation) AS below JOIN pg_class ON oid = inhrelid \
         WHERE EXISTS (SELECT FROM pg_trigger WHERE tgrelid = relation AND tgname = 'koherent_guard_insert') \
         AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = inhrelid AND tgname = 'koherent_guard_insert' AND tgenabled IN ('O', 'A')) \
         UNION ALL SELECT at::text, 'unfit', 'is a partition of `' || inhparent::regclass::text || '`, through which rows can be written past its guard: guard that table', \
         NULL, NULL, NULL FROM wanted JOIN pg_inherits ON inhrelid = relation \
         WHERE EXISTS (SELECT FROM pg_trigger WHERE tgrelid = relation AND tgname = 'koherent_guard_insert') \
         AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = inhparent AND tgname = 'koherent_guard_insert' AND tgenabled IN ('O', 'A')) ",
    );
    sql.push("UNION ALL SELECT '0', 'unfit', 'stands without the function `' || name || '`: `koherent setup` creates it', NULL, NULL, NULL FROM unnest(ARRAY[");
    let functions = Pg::objects().into_iter();
    let functions = functions.filter(|object| object.kind == ObjectKind::Function);
    for (at, function) in functions.enumerate() {
        sql.push(if at > 0 { ", " } else { "" })
            .push(&Pg::literal(&function.name));
    }
    sql.push("]) AS name WHERE NOT EXISTS (SELECT FROM pg_proc WHERE proname = name AND pg_function_is_visible(oid))");
    sql.keep = false;
    sql
}

/// Returns a row where there is a list of guarded tables.
pub(super) fn is_guarded() -> Sql {
    let mut sql = Sql::new();
    sql.push("SELECT 1::bigint FROM pg_class WHERE oid = to_regclass('koherent_table')");
    sql
}

/// The facts about guards.
pub(super) fn guards(tables: &[&'static TrackedTable]) -> Sql {
    let mut sql = wanted(tables);
    sql.push(
        "SELECT at::text, 'guard', policy, kept_columns::text, NULL::text, NULL::text FROM wanted JOIN koherent_table ON relation = \
         to_regclass(CASE WHEN tracked_schema <> '' THEN quote_ident(tracked_schema) || '.' ELSE '' END || quote_ident(tracked_table))",
    );
    sql.keep = false;
    sql
}

/// `WITH wanted AS (…) `: the tables, by number.
fn wanted(tables: &[&'static TrackedTable]) -> Sql {
    let mut sql = Sql::new();
    sql.push("WITH wanted AS (SELECT at, to_regclass(name) AS relation FROM (VALUES ");
    for (at, table) in catalog::wanted(tables).enumerate() {
        let mut name = Sql::new();
        name.table(table);
        sql.push(if at > 0 { ", (" } else { "(" })
            .push(&at.to_string())
            .push(", ");
        sql.bind(Some(name.text)).push(")");
    }
    sql.push(") AS names (at, name)) ");
    sql
}

/// Whether a column of that type stores what its declaration holds.
pub(super) fn fits(kind: ValueKind, declared: &str) -> bool {
    let base = declared.split('(').next().unwrap_or_default().trim();
    match kind {
        ValueKind::Bool => base == "boolean",
        ValueKind::Integer => matches!(base, "bigint" | "integer" | "smallint" | "oid"),
        ValueKind::Float => matches!(base, "double precision" | "real"),
        ValueKind::Numeric => matches!(base, "numeric" | "money"),
        ValueKind::Binary => base == "bytea",
        ValueKind::Json => matches!(base, "json" | "jsonb"),
        // Domains, enums, citext: Diesel reads them as text where the application says so.
        ValueKind::Text => !matches!(
            base,
            "boolean"
                | "bigint"
                | "integer"
                | "smallint"
                | "double precision"
                | "real"
                | "numeric"
                | "bytea"
        ),
        ValueKind::Other => true,
    }
}

/// Whether a history column of one type keeps values of a base column of the other: without lengths and precisions, and values
/// of types that are not the database's own as text, or as the type under a domain.
pub(super) fn holds(base: &str, history: &str) -> bool {
    if !is_builtin(element(base)) {
        return is_builtin(element(history));
    }
    // A history that limits lengths does not follow when the table's grow.
    base == history || unbounded(base) == history
}

fn element(declared: &str) -> &str {
    declared.strip_suffix("[]").unwrap_or(declared)
}

/// A type without its length or precision, as `format_type` writes it.
fn unbounded(declared: &str) -> String {
    let unbounded = match (declared.find('('), declared.find(')')) {
        (Some(from), Some(to)) => format!("{}{}", &declared[..from], &declared[to + 1..]),
        _ => declared.to_owned(),
    };
    match element(&unbounded) {
        "character" => unbounded.replace("character", "bpchar"),
        "bit" => unbounded.replace("bit", "\"bit\""),
        _ => unbounded,
    }
}

/// Whether that is a type of `pg_catalog`: others are shown with a name of their own, in a schema or in the search path.
fn is_builtin(declared: &str) -> bool {
    let name = unbounded(declared);
    BUILTIN.contains(&&*name) || name.starts_with("reg") || name.starts_with("interval")
}

/// The types of `pg_catalog` that columns can have, as `format_type` writes them.
const BUILTIN: [&str; 59] = [
    "\"bit\"",
    "\"char\"",
    "bigint",
    "bit varying",
    "boolean",
    "box",
    "bpchar",
    "bytea",
    "character varying",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "double precision",
    "inet",
    "int4multirange",
    "int4range",
    "int8multirange",
    "int8range",
    "integer",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "real",
    "refcursor",
    "smallint",
    "text",
    "tid",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "uuid",
    "xid",
    "xid8",
    "xml",
];

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn histories_keep_values_without_pinning_types_and_lengths() {
        for (base, history) in [
            ("text", "text"),
            ("character varying(10)", "character varying"),
            ("character varying(20)", "character varying(20)"),
            ("character(3)", "bpchar"),
            ("numeric(30,12)", "numeric"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
            ("bit(3)[]", "\"bit\"[]"),
            ("mood", "text"),
            ("public.mood[]", "text[]"),
            ("positive", "integer"),
        ] {
            assert!(holds(base, history), "{base} in {history}");
        }
        for (base, history) in [
            ("mood", "mood"),
            ("integer", "bigint"),
            ("text", "mood"),
            ("text[]", "text"),
            ("character varying(20)", "character varying(10)"),
        ] {
            assert!(!holds(base, history), "{base} in {history}");
        }
    }
}
