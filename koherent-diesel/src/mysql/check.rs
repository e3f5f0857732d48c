//! What MariaDB and MySQL say of the declared tables (`information_schema`).

use diesel::mysql::Mysql;

use super::guard;
use super::work::Sql;
use crate::catalog;
use crate::engine::Engine as _;
use crate::objects::ObjectKind;
use crate::sql::Write as _;
use crate::table::{Name, TrackedTable, ValueKind};

/// The facts of all tables, as [`Catalog::add`](catalog::Catalog::add) takes them.
pub(super) fn catalog(tables: &[&'static TrackedTable]) -> Sql {
    let mut sql = Sql::new();
    for (at, table) in catalog::wanted(tables).enumerate() {
        let at = at.to_string();
        sql.push(if at == "0" { "" } else { " UNION ALL " });
        sql.push("SELECT '").push(&at).push(
            "', 'column', CAST(column_name AS CHAR), CAST(column_type AS CHAR), \
             IF(is_nullable = 'YES', '1', '0'), IF(extra LIKE '%auto_increment%', '1', '0') FROM information_schema.columns",
        );
        of(&mut sql, table);
        sql.push(" UNION ALL SELECT DISTINCT '").push(&at).push(
            "', 'unique', CAST(index_name AS CHAR), NULL, NULL, NULL FROM information_schema.statistics",
        );
        of(&mut sql, table);
        sql.push(" AND non_unique = 0 AND index_name <> 'PRIMARY' UNION ALL SELECT '")
            .push(&at)
            .push("', 'key', CAST(column_name AS CHAR), NULL, NULL, NULL FROM information_schema.statistics");
        of(&mut sql, table);
        sql.push(" AND index_name = 'PRIMARY' UNION ALL SELECT '")
            .push(&at)
            .push(
                "', 'unfit', CONCAT('is stored by ', engine, ', which has no transactions: change it with \
                 ALTER TABLE … ENGINE = InnoDB'), NULL, NULL, NULL FROM information_schema.tables",
            );
        of(&mut sql, table);
        sql.push(" AND engine <> 'InnoDB' UNION ALL SELECT '")
            .push(&at)
            .push("', 'part', CAST(trigger_name AS CHAR), NULL, NULL, NULL FROM information_schema.triggers WHERE event_object_schema = ");
        schema(&mut sql, table);
        sql.push(" AND event_object_table = ").bind(table.table);
        sql.push(" UNION ALL SELECT '")
            .push(&at)
            .push("', 'part', CAST(table_name AS CHAR), NULL, NULL, NULL FROM information_schema.tables WHERE table_schema = ");
        schema(&mut sql, table);
        sql.push(" AND table_name = ")
            .bind(guard::companion(table).as_str());
        sql.push(" UNION ALL SELECT '").push(&at).push(
            "', 'unfit', CONCAT('is changed by the foreign key `', constraint_name, '` (ON DELETE ', delete_rule, ', ON UPDATE ', \
             update_rule, '), which runs no triggers and so leaves no history: make it RESTRICT, and delete these rows first'), \
             NULL, NULL, NULL FROM information_schema.referential_constraints WHERE constraint_schema = ",
        );
        schema(&mut sql, table);
        sql.push(" AND table_name = ").bind(table.table);
        sql.push(" AND (delete_rule NOT IN ('RESTRICT', 'NO ACTION') OR update_rule NOT IN ('RESTRICT', 'NO ACTION'))");
    }
    push_missing(&mut sql);
    sql
}

/// Adds the routines and triggers of Koherent's own that are missing: a dump has no routines unless it is told to.
/// Triggers are asked for by the schema of their table: by their own, the server opens the tables of all databases.
fn push_missing(sql: &mut Sql) {
    for (kinds, rest) in [
        (
            [ObjectKind::Procedure, ObjectKind::Function],
            "information_schema.routines WHERE routine_schema = DATABASE() AND CAST(routine_name AS CHAR)",
        ),
        (
            [ObjectKind::Trigger; 2],
            "information_schema.triggers WHERE event_object_schema = DATABASE() AND CAST(trigger_name AS CHAR)",
        ),
    ] {
        let objects = Mysql::objects().into_iter();
        for object in objects.filter(|object| kinds.contains(&object.kind)) {
            sql.push(" UNION ALL SELECT '0', 'unfit', 'stands without the ")
                .push(object.kind.name())
                .push(" `")
                .push(&object.name)
                .push("`: `koherent setup` creates it', NULL, NULL, NULL FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM ")
                .push(rest)
                .push(" = '")
                .push(&object.name)
                .push("')");
        }
    }
}

/// The facts about guards.
pub(super) fn guards(tables: &[&'static TrackedTable]) -> Sql {
    let mut sql = Sql::new();
    for (at, table) in catalog::wanted(tables).enumerate() {
        let at = at.to_string();
        sql.push(if at == "0" {
            "SELECT '"
        } else {
            " UNION ALL SELECT '"
        })
        .push(&at)
        .push("', 'guard', CAST(policy AS CHAR), CAST(kept_columns AS CHAR), NULL, NULL FROM koherent_table WHERE tracked_table = ")
            .bind(table.table);
        sql.push(" AND tracked_schema = ")
            .bind(table.schema.unwrap_or_default());
    }
    sql.do_not_cache();
    sql
}

/// ` WHERE` it is that table.
fn of(sql: &mut Sql, table: Name) {
    sql.push(" WHERE table_schema = ");
    schema(sql, table);
    sql.push(" AND table_name = ").bind(table.table);
}

/// The database that the table is in.
fn schema(sql: &mut Sql, table: Name) {
    match table.schema {
        Some(schema) => sql.bind(schema),
        None => sql.push("DATABASE()"),
    };
}

/// Whether a column of that type stores what its declaration holds.
pub(super) fn fits(kind: ValueKind, declared: &str) -> bool {
    let base = declared.split(['(', ' ']).next().unwrap_or_default();
    match kind {
        ValueKind::Bool => base == "tinyint",
        ValueKind::Integer => base.ends_with("int"),
        ValueKind::Float => matches!(base, "double" | "float"),
        ValueKind::Numeric => base == "decimal",
        ValueKind::Text => {
            base.ends_with("char")
                || base.ends_with("text")
                || matches!(base, "enum" | "set" | "uuid")
        }
        ValueKind::Binary => base.ends_with("blob") || base.ends_with("binary"),
        ValueKind::Json => matches!(base, "json" | "longtext"),
        ValueKind::Other => true,
    }
}
