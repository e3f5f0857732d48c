//! What PostgreSQL says of the declared tables (`pg_catalog`).

use super::sql::Sql;
use crate::catalog;
use crate::sql::Write as _;
use crate::table::{TrackedTable, ValueKind};

/// The facts of all tables, as [`Catalog::add`](catalog::Catalog::add) takes them.
pub(super) fn catalog(tables: &[&'static TrackedTable]) -> Sql {
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
    sql.push(
        ") AS names (at, name)) \
         SELECT at::text, 'column', attname::text, format_type(atttypid, atttypmod), (NOT attnotnull)::int::text, \
         (attidentity <> '' OR COALESCE(pg_get_expr(adbin, adrelid) LIKE 'nextval(%', false))::int::text \
         FROM wanted JOIN pg_attribute ON attrelid = relation AND attnum > 0 AND NOT attisdropped \
         LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
         UNION ALL SELECT at::text, 'unique', indexrelid::regclass::text, NULL, NULL, NULL \
         FROM wanted JOIN pg_index ON indrelid = relation AND indisunique AND NOT indisprimary \
         UNION ALL SELECT at::text, 'key', attname::text, NULL, NULL, NULL \
         FROM wanted JOIN pg_index ON indrelid = relation AND indisprimary \
         JOIN pg_attribute ON attrelid = relation AND attnum = ANY (indkey) \
         UNION ALL SELECT '0', 'unfit', 'stands without the function ' || name || ': run the migrations `koherent_diesel::MIGRATIONS`', \
         NULL, NULL, NULL FROM unnest(ARRAY['koherent_admit_task', 'koherent_history_incomplete', 'koherent_key_changed']) AS name \
         WHERE to_regproc(name) IS NULL",
    );
    sql.keep = false;
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
