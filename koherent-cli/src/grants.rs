//! `koherent grants`: who may do what. PostgreSQL only: there, triggers and functions can run with the rights of their owner.

use clap::Args;

use crate::database::{Database, Engine};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::registry::{Audited, audited};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables; by default all that are under audit.
    tables: Vec<String>,
    /// The role that owns tables and triggers, and runs migrations. Only it can drop or disable a guard.
    #[arg(long)]
    owner: String,
    /// The role that the application connects as. It must not be a member of the owner.
    #[arg(long)]
    writer: String,
    /// A role that reads rows and histories, for auditors.
    #[arg(long)]
    reader: Option<String>,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<()> {
    if database.engine() != Engine::Postgres {
        return Err(Failure::new(
            "grants are for PostgreSQL: SQLite has no roles; on MariaDB and MySQL triggers are kept from being dropped by not \
             granting TRIGGER and DROP, and histories by granting SELECT and INSERT alone",
        ));
    }
    let tables = audited(database, &arguments.tables)?;
    output.line(&sql(database, &tables, arguments)?)
}

fn sql(database: &mut Database, tables: &[Audited], arguments: &Arguments) -> Result<String> {
    use std::fmt::Write as _;
    let engine = Engine::Postgres;
    let (owner, writer) = (
        engine.quote(&arguments.owner),
        engine.quote(&arguments.writer),
    );
    let reader = arguments
        .reader
        .as_deref()
        .map(|reader| engine.quote(reader));
    let home = database.rows(
        &["relnamespace::regnamespace::text".to_owned()],
        "FROM pg_class WHERE oid = to_regclass('koherent_task')",
    )?;
    let home = home
        .into_iter()
        .flatten()
        .flatten()
        .next()
        .unwrap_or_default();
    let own = ["koherent_table", "koherent_operation", "koherent_retired"];
    let mut sql = format!(
        "-- {owner} owns what the audit consists of; {writer} writes rows and adds entries, and changes none.\n\
         GRANT USAGE ON SCHEMA {home} TO {writer};\n"
    );
    let mut push = |line: String| {
        let _ = writeln!(sql, "{line}");
    };
    push(format!(
        "REVOKE CREATE ON SCHEMA {home} FROM {writer}, PUBLIC;"
    ));
    let functions = database.rows(
        &["oid::regprocedure::text".to_owned()],
        "FROM pg_proc WHERE proname LIKE 'koherent\\_%' AND pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('koherent_task')) ORDER BY 1",
    )?;
    for function in functions.into_iter().flatten().flatten() {
        push(format!("ALTER FUNCTION {function} OWNER TO {owner};"));
        // They run with the rights of the owner, so nobody else may put them on a table.
        if function.ends_with("koherent_guard()") || function.ends_with("koherent_append_only()") {
            push(format!(
                "REVOKE EXECUTE ON FUNCTION {function} FROM {writer}, PUBLIC;"
            ));
        }
    }
    for table in own
        .into_iter()
        .chain(["koherent_task", "koherent_transaction"])
    {
        push(format!("ALTER TABLE {home}.{table} OWNER TO {owner};"));
        push(format!(
            "REVOKE ALL ON {home}.{table} FROM {writer}, PUBLIC;"
        ));
        let rights = if matches!(table, "koherent_task" | "koherent_transaction") {
            "SELECT, INSERT"
        } else {
            "SELECT"
        };
        push(format!("GRANT {rights} ON {home}.{table} TO {writer};"));
        if let Some(reader) = &reader {
            push(format!("GRANT SELECT ON {home}.{table} TO {reader};"));
        }
    }
    for table in tables {
        let (base, history) = (table.quoted(engine), table.quoted_history(engine));
        push(format!("ALTER TABLE {base} OWNER TO {owner};"));
        push(format!("ALTER TABLE {history} OWNER TO {owner};"));
        push(format!(
            "REVOKE ALL ON {base}, {history} FROM {writer}, PUBLIC;"
        ));
        push(format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {base} TO {writer};"
        ));
        push(format!("GRANT SELECT, INSERT ON {history} TO {writer};"));
        if let Some(reader) = &reader {
            push(format!("GRANT SELECT ON {base}, {history} TO {reader};"));
        }
        let sequences = database.rows(
            &["d.refobjid::regclass::text".to_owned()],
            &format!(
                "FROM pg_attrdef AS a JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid \
                 JOIN pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S' WHERE a.adrelid = to_regclass({})",
                engine.literal(&base)
            ),
        );
        for sequence in sequences?.into_iter().flatten().flatten() {
            push(format!("GRANT USAGE ON SEQUENCE {sequence} TO {writer};"));
        }
    }
    push(format!(
        "-- {writer} cannot pause the audit. A role that may: GRANT INSERT ON {home}.koherent_operation TO it."
    ));
    Ok(sql.trim_end().to_owned())
}
