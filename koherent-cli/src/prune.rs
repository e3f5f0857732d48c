//! `koherent prune`: deleting old entries, the only way to do that.

use chrono::{DateTime, Utc};
use clap::Args;
use koherent_core::{Clock as _, SystemClock};
use uuid::{NoContext, Timestamp, Uuid};

use crate::database::{Database, Engine};
use crate::failure::Result;
use crate::output::{Output, progress};
use crate::registry::{Audited, with_history};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables; by default all that are under audit.
    tables: Vec<String>,
    /// Delete entries from before then: 2026-11-21, 2026-11-21T10:00:00Z, or an age such as 365d.
    #[arg(long, value_parser = crate::log::date)]
    before: DateTime<Utc>,
    /// Keep the last entries of each row, so many at least, whatever their age.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: u32,
    /// Keep no entry of rows that were deleted before then: nothing is left of them.
    #[arg(long)]
    forget_deleted: bool,
    /// Who asks for it.
    #[arg(long)]
    user: Option<String>,
    /// Why.
    #[arg(long, default_value = "retention")]
    reason: String,
    /// How many entries one transaction looks at.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Say how many entries there are, and delete nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<()> {
    for table in with_history(database, &arguments.tables)? {
        let deleted = prune(database, &table, arguments)?;
        let verb = if arguments.dry_run {
            "would delete"
        } else {
            "deleted"
        };
        output.line(&format!(
            "{verb} {deleted} entries of {}",
            table.full_name()
        ))?;
    }
    Ok(())
}

/// Goes through the entries by their numbers, batch by batch; whatever stops it, what is done is done.
fn prune(database: &mut Database, table: &Audited, arguments: &Arguments) -> Result<u64> {
    let engine = database.engine();
    let history = table.quoted_history(engine);
    let same: Vec<_> = table
        .keys()
        .map(|(_, there)| {
            let there = engine.quote(there);
            format!("n.{there} = h.{there}")
        })
        .collect();
    let (before, same) = (engine.date_literal(arguments.before), same.join(" AND "));
    // The oldest of the last that are kept.
    let mut is_old = format!(
        "h.history_id < (SELECT n.history_id FROM {history} AS n WHERE {same} ORDER BY n.history_id DESC LIMIT 1 OFFSET {})",
        arguments.keep_last - 1,
    );
    if arguments.forget_deleted {
        is_old = format!(
            "({is_old} OR '-' = (SELECT CASE WHEN n.history_date < {before} THEN n.history_kind END FROM {history} AS n WHERE {same} \
             ORDER BY n.history_id DESC LIMIT 1))"
        );
    }
    let is_old = format!("h.history_date < {before} AND {is_old}");
    if arguments.dry_run {
        return database.number("count(*)", &format!("FROM {history} AS h WHERE {is_old}"));
    }
    let total = database.number(
        "count(*)",
        &format!(
            "FROM {history} AS h WHERE h.history_date < {}",
            engine.date_literal(arguments.before)
        ),
    )?;
    let bar = progress(total, "old entries");
    let transaction = new_transaction();
    // As the triggers of its history call it.
    let name = table.full_tracked_name();
    let mut is_recorded = false;
    let operation = Operation {
        operation: "prune",
        user: arguments.user.as_deref(),
        reason: &arguments.reason,
        table: &name,
        transaction: &transaction,
    };
    let (mut last, mut deleted) = (i64::MIN, 0);
    loop {
        let rows = database.rows(
            &[engine.text("h.history_id")],
            &format!(
                "FROM {history} AS h WHERE h.history_id > {last} AND h.history_date < {} ORDER BY h.history_id LIMIT {}",
                engine.date_literal(arguments.before),
                arguments.batch
            ),
        )?;
        let looked_at = rows.len() as u64;
        let Some(end) = rows.into_iter().flatten().flatten().next_back() else {
            break;
        };
        let end: i64 = end.parse().unwrap_or(i64::MAX);
        let range = format!("h.history_id > {last} AND h.history_id <= {end}");
        if !is_recorded
            && database.number(
                "count(*)",
                &format!("FROM {history} AS h WHERE {range} AND {is_old}"),
            )? > 0
        {
            operation.record(database)?;
            is_recorded = true;
        }
        deleted += database.transaction_with_retry(|database| {
            let old = database.rows(
                &[engine.text("h.history_id")],
                &format!("FROM {history} AS h WHERE {range} AND {is_old}"),
            )?;
            let old: Vec<_> = old.into_iter().flatten().flatten().collect();
            if old.is_empty() {
                return Ok(0);
            }
            if !is_recorded {
                return Ok(0);
            }
            operation.begin(database)?;
            let count = database.execute(&format!(
                "DELETE FROM {history} WHERE history_id IN ({})",
                old.join(", ")
            ))?;
            database.execute(&format!(
                "UPDATE koherent_operation SET deleted_rows = deleted_rows + {count} WHERE operation_transaction = {} AND tracked_table = {}",
                engine.literal(&transaction),
                engine.literal(&name)
            ))?;
            operation.end(database)?;
            Ok(count)
        })?;
        last = end;
        bar.inc(looked_at);
    }
    bar.finish_and_clear();
    Ok(deleted)
}

/// The id of an operation (UUID of version 7).
pub(crate) fn new_transaction() -> String {
    let now = SystemClock.since_epoch();
    let time = Timestamp::from_unix(NoContext, now.as_secs(), now.subsec_nanos());
    Uuid::new_v7(time).to_string()
}

/// A row of `koherent_operation`, which lets its own transaction count.
pub(crate) struct Operation<'o> {
    pub(crate) operation: &'static str,
    pub(crate) user: Option<&'o str>,
    pub(crate) reason: &'o str,
    pub(crate) table: &'o str,
    pub(crate) transaction: &'o str,
}

impl Operation<'_> {
    /// Records it, with no rows yet.
    pub(crate) fn record(&self, database: &mut Database) -> Result<()> {
        let engine = database.engine();
        let transaction = engine.literal(self.transaction);
        let user = match (self.user, engine) {
            (Some(user), _) => engine.literal(user),
            (None, Engine::Sqlite) => "NULL".to_owned(),
            (None, Engine::Postgres) => "session_user".to_owned(),
            (None, Engine::Mysql) => "USER()".to_owned(),
        };
        let values = [
            engine.literal(self.operation),
            engine.now().to_owned(),
            user,
            transaction,
            engine.literal(self.reason),
            engine.literal(self.table),
        ];
        let insert = format!(
            "INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_transaction, operation_reason, \
             tracked_table) VALUES ({})",
            values.join(", ")
        );
        database.transaction_with_retry(|database| database.execute(&insert))?;
        Ok(())
    }

    /// Says in the open transaction that it belongs to this operation.
    pub(crate) fn begin(&self, database: &mut Database) -> Result<()> {
        let transaction = database.engine().literal(self.transaction);
        database.batch(&match database.engine() {
            Engine::Sqlite => format!("UPDATE koherent_session SET operation = {transaction}"),
            Engine::Postgres => {
                format!("SELECT set_config('koherent.operation', {transaction}, true)")
            }
            Engine::Mysql => format!("SET @koherent_operation = {transaction}"),
        })
    }

    /// The rest of the transaction does not belong to it.
    pub(crate) fn end(&self, database: &mut Database) -> Result<()> {
        database.batch(match database.engine() {
            Engine::Sqlite => "UPDATE koherent_session SET operation = NULL",
            Engine::Postgres => "SELECT set_config('koherent.operation', '', true)",
            Engine::Mysql => "SET @koherent_operation = NULL",
        })
    }
}
