//! Writing an audited statement down: the change, the task and the history in one.

use koherent_core::ChangeKind;

use super::guard;
use super::sql::{Part, Sql};
use super::work::{About, Work};
use crate::change::{Audit, Change, may_change_key};
use crate::guard::Event;
use crate::outcome::lock_key;
use crate::prepared::{Kind as Kept, is_kept};
use crate::record::Recorder;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::sql::Write as _;
use crate::stamp::{said, stamped, task_row};
use crate::table::TrackedTable;

/// Writes a change down.
pub(super) fn change(audit: Audit<Part>) -> Work {
    let Audit {
        table,
        change,
        recorder,
        record_unchanged,
        returned,
    } = audit;
    let (columns, count) = match returned {
        Some(returned) => (Some(returned.columns), Some(returned.count)),
        None => (None, None),
    };
    let composer = Composer {
        table,
        stamped: stamped(&recorder.attribution, recorder.transaction()),
        recorder: &recorder,
        returned: columns.zip(count),
        record_unchanged,
    };
    let statements = match change {
        Change::Insert {
            parts,
            one_row_each,
        } => {
            let inserts = parts.into_iter().map(|part| {
                let mut sql = composer.insert(part);
                sql.keep |= one_row_each && is_kept(Kept::Insert, &sql.text);
                sql
            });
            inserts.collect()
        }
        Change::Statement { statement, upsert } => {
            let mut sql = composer.statement(statement, upsert);
            sql.keep |= is_kept(Kept::Upsert, &sql.text);
            vec![sql]
        }
        Change::Update { changes, filter } => {
            let mut sql = composer.update(changes, filter);
            sql.keep &= is_kept(Kept::Update, &sql.text);
            vec![sql]
        }
        Change::Delete { filter } => vec![composer.delete(filter)],
    };
    let about = About::Change {
        table,
        returned: count,
        counts_entries: recorder.unknown_task().is_some(),
        recorder,
    };
    Work { statements, about }
}

struct Composer<'a> {
    table: &'static TrackedTable,
    recorder: &'a Recorder,
    /// The columns that the caller wants to see, and how many these are.
    returned: Option<(Part, usize)>,
    record_unchanged: bool,
    /// What all entries of a change have in common.
    stamped: [Option<String>; 7],
}

impl Composer<'_> {
    /// The task's row, where it may have to be written: also by the guard, where a trigger changes more than the statement does.
    fn task_row(&self) -> Option<[Option<String>; TASK_COLUMNS.len() - 1]> {
        let task = self.recorder.unknown_task()?;
        Some(task_row(task, self.recorder.attribution.organization()))
    }

    fn insert(&self, rows: Part) -> Sql {
        let mut sql = Sql::new();
        self.begin_new(&mut sql, "");
        sql.push("INSERT INTO ").table(self.table.name).push(" ");
        sql.part(rows);
        self.record_all(sql, "", &Kind::Always(ChangeKind::Create), &[Event::Insert])
    }

    fn statement(&self, statement: Part, upsert: bool) -> Sql {
        let mut sql = Sql::new();
        if !upsert {
            self.begin_new(&mut sql, "");
            sql.part(statement);
            return self.record_all(sql, "", &Kind::Always(ChangeKind::Create), &[Event::Insert]);
        }
        self.begin_new(&mut sql, "k_created, ");
        sql.part(statement);
        // The row that was there is locked by this transaction; a new one is locked by nobody.
        let mut created = Sql::new();
        created.table(self.table.name).push(".xmax = 0, ");
        let kind = Kind::When("CASE WHEN k_created THEN '+' ELSE '~' END");
        self.record_all(sql, &created.text, &kind, &[Event::Insert, Event::Update])
    }

    fn delete(&self, filter: Part) -> Sql {
        let mut sql = Sql::new();
        self.begin_new(&mut sql, "");
        sql.push("DELETE FROM ").table(self.table.name);
        sql.part(filter);
        self.record_all(sql, "", &Kind::Always(ChangeKind::Delete), &[Event::Delete])
    }

    fn update(&self, changes: Part, filter: Part) -> Sql {
        if may_change_key(&changes.text(), self.table) {
            return self.moving_update(changes, filter);
        }
        let mut sql = Sql::new();
        if self.record_unchanged {
            self.begin_new(&mut sql, "");
            self.set(&mut sql, changes);
            sql.part(filter);
            return self.record_all(sql, "", &Kind::Always(ChangeKind::Update), &[Event::Update]);
        }
        self.begin_old(&mut sql, filter);
        self.new_of_old(&mut sql, "k_changed, k_moved, ");
        self.set(&mut sql, changes);
        self.join_old(&mut sql);
        // As records, they are compared byte by byte.
        let mut changed = Sql::new();
        changed.push("CAST(ROW(");
        self.audited(&mut changed, "");
        changed
            .push(") AS record) *<> CAST(ROW(")
            .numbered("k_old.k_o", self.table.columns.len())
            .push(") AS record), ");
        let keys = self.table.key.iter().zip(self.table.key_positions());
        for (at, (key, position)) in keys.enumerate() {
            changed
                .push(if at > 0 { " OR " } else { "" })
                .table(self.table.name);
            changed.push(".").identifier(key).push(" <> k_old.k_o");
            changed.push(&position.to_string());
        }
        changed.push(", ");
        self.returning(&mut sql, &changed.text);
        sql.push("), k_hist AS (");
        // A trigger or a generated column may change the key, although the update does not name it.
        let kind = Kind::When("CASE WHEN k_moved THEN koherent_key_changed() ELSE '~' END");
        self.record(&mut sql, &kind);
        sql.push(" FROM k_new WHERE k_changed");
        self.finish(sql, "k_new WHERE k_changed", &[Event::Update])
    }

    /// An update that may change keys. A key that no row has any more is deleted, a key that no row had is created, and a
    /// key whose row holds other values is updated: its history is that of the key.
    fn moving_update(&self, changes: Part, filter: Part) -> Sql {
        let count = self.table.columns.len();
        let keys = self.table.key_positions();
        let mut sql = Sql::new();
        self.begin_old(&mut sql, filter);
        let was: String = (0..count).map(|at| format!("k_w{at}, ")).collect();
        self.new_of_old(&mut sql, &was);
        self.set(&mut sql, changes);
        self.join_old(&mut sql);
        self.returning(&mut sql, &was.replace("k_w", "k_old.k_o"));
        let same = |one: &str, other: &str| -> String {
            let pairs = keys.iter().map(|at| format!("{one}{at} = {other}{at}"));
            pairs.collect::<Vec<_>>().join(" AND ")
        };
        // What becomes of each key: gone ones first, so that a key that is left and taken again ends as it is.
        sql.push("), k_moves AS MATERIALIZED (SELECT '-' AS k_kind, ")
            .numbered("a.k_w", count)
            .push(" FROM k_new AS a WHERE NOT EXISTS (SELECT FROM k_new AS b WHERE ")
            .push(&same("b.k_c", "a.k_w"))
            .push(") UNION ALL SELECT CASE WHEN b.k_w")
            .push(&keys[0].to_string())
            .push(" IS NULL THEN '+' ELSE '~' END, ")
            .numbered("a.k_c", count)
            .push(" FROM k_new AS a LEFT JOIN k_new AS b ON ")
            .push(&same("b.k_w", "a.k_c"));
        if !self.record_unchanged {
            sql.push(" WHERE CAST(ROW(")
                .numbered("a.k_c", count)
                .push(") AS record) *<> CAST(ROW(")
                .numbered("b.k_w", count)
                .push(") AS record)");
        }
        sql.push("), k_hist AS (");
        self.insert_into_history(&mut sql);
        sql.push("SELECT ")
            .numbered("k_w", count)
            .push(", k_kind, ");
        self.stamp(&mut sql);
        sql.push(" FROM k_moves");
        self.finish(sql, "k_moves", &[Event::Update])
    }

    /// `WITH k_old … , `: what the rows are before, locked.
    fn begin_old(&self, sql: &mut Sql, filter: Part) {
        sql.push("WITH k_old(")
            .numbered("k_o", self.table.columns.len())
            .push(") AS MATERIALIZED (SELECT ");
        self.audited(sql, "");
        sql.push(" FROM ").table(self.table.name);
        sql.part(filter).push(" FOR NO KEY UPDATE), ");
    }

    /// `WITH k_new(…) AS (`.
    fn begin_new(&self, sql: &mut Sql, first: &str) {
        sql.push("WITH ");
        self.new_of_old(sql, first);
    }

    /// `k_new(…) AS (`: the columns of [`Self::returning`], behind some others.
    fn new_of_old(&self, sql: &mut Sql, first: &str) {
        sql.push("k_new(")
            .push(first)
            .numbered("k_c", self.table.columns.len());
        if let Some((_, count)) = &self.returned {
            sql.push(", ").numbered("k_u", *count);
        }
        sql.push(") AS (");
    }

    fn set(&self, sql: &mut Sql, changes: Part) {
        sql.push("UPDATE ").table(self.table.name).push(" SET ");
        sql.part(changes);
    }

    /// ` FROM k_old WHERE` it is the same row.
    fn join_old(&self, sql: &mut Sql) {
        sql.push(" FROM k_old WHERE ");
        let keys = self.table.key.iter().zip(self.table.key_positions());
        for (at, (key, position)) in keys.enumerate() {
            sql.push(if at > 0 { " AND " } else { "" })
                .table(self.table.name);
            sql.push(".").identifier(key).push(" = k_old.k_o");
            sql.push(&position.to_string());
        }
    }

    /// ` RETURNING first, audited columns, wanted columns`. A row of a table that inherits from this one is refused.
    fn returning(&self, sql: &mut Sql, first: &str) {
        let identity = guard::identity(self.table.name);
        sql.push(" RETURNING ").push(first).push("CASE WHEN ");
        sql.table(self.table.name)
            .push(".tableoid = ")
            .push(&identity)
            .push(" OR pg_partition_root(")
            .table(self.table.name);
        sql.push(".tableoid) IS NOT NULL OR koherent_row_of_child(")
            .push(&identity)
            .push(", ")
            .table(self.table.name);
        sql.push(".tableoid) THEN ");
        self.audited(sql, " END");
        if let Some((columns, _)) = &self.returned {
            sql.push(", ").part(columns.clone());
        }
    }

    /// `table.column, …`, with something behind the first.
    fn audited(&self, sql: &mut Sql, behind_first: &str) {
        for (at, column) in self.table.columns.iter().enumerate() {
            sql.push(if at > 0 { ", " } else { "" })
                .table(self.table.name);
            sql.push(".").identifier(column.name);
            sql.push(if at == 0 { behind_first } else { "" });
        }
    }

    fn insert_into_history(&self, sql: &mut Sql) {
        let names = self.table.columns.iter().map(|column| column.history_name);
        sql.push("INSERT INTO ")
            .table(self.table.history)
            .push(" (");
        sql.identifiers("", names.chain(ATTRIBUTION_COLUMNS))
            .push(") ");
    }

    /// The rest of a statement that records each row that it touches.
    fn record_all(&self, mut sql: Sql, first: &str, kind: &Kind, armed: &[Event]) -> Sql {
        self.returning(&mut sql, first);
        sql.push("), k_hist AS (");
        self.record(&mut sql, kind);
        sql.push(" FROM k_new");
        self.finish(sql, "k_new", armed)
    }

    /// `INSERT INTO history (…) SELECT …`, to be followed by `FROM`.
    fn record(&self, sql: &mut Sql, kind: &Kind) {
        self.insert_into_history(sql);
        sql.push("SELECT ")
            .numbered("k_c", self.table.columns.len())
            .push(", ");
        match kind {
            Kind::Always(kind) => sql.push("'").push(kind.code()).push("'"),
            Kind::When(expression) => sql.push(expression),
        };
        sql.push(", ");
        self.stamp(sql);
    }

    /// `date, user, …`.
    fn stamp(&self, sql: &mut Sql) {
        let [
            user,
            client,
            organization,
            task,
            transaction,
            reason,
            context,
        ] = self.stamped.clone();
        sql.push("clock_timestamp(), ")
            .bind_all([user, client, organization])
            .push(", ");
        match self.task_row() {
            // Called once, by the first row that needs it: a sub-select of its own.
            Some(row) => {
                sql.push(match self.recorder.hands_over {
                    true => "(SELECT koherent_admit_handed_over_task(",
                    false => "(SELECT koherent_admit_task(",
                })
                .bind_all(row);
                sql.push("))");
            }
            None => {
                sql.bind(task);
            }
        }
        sql.push(", ").bind(transaction).push("::uuid, ");
        sql.bind(reason).push(", ").bind(context).push("::json");
    }

    /// What the statement answers: the rows, or how many they are; and nothing unless each of these has its entry.
    fn finish(&self, mut sql: Sql, to_be_recorded: &str, armed: &[Event]) -> Sql {
        sql.push(" RETURNING 1) SELECT ");
        match &self.returned {
            Some((_, count)) => sql.numbered("k_u", *count),
            None => sql.push("count(*)"),
        };
        if self.recorder.unknown_task().is_some() {
            sql.push(", (SELECT count(*) FROM k_hist)");
        }
        sql.push(" FROM k_new WHERE (SELECT CASE WHEN ");
        self.arm(&mut sql, armed);
        sql.push(
            " THEN CASE WHEN recorded = changed OR koherent_history_incomplete(changed, recorded) THEN ",
        );
        disarm(&mut sql, armed);
        // Entries are counted first, so that each is written as soon as its row is changed: what a trigger does to that row when
        // the next one is changed comes behind it.
        sql.push(" END END FROM (SELECT (SELECT count(*) FROM k_hist) AS recorded, (SELECT count(*) FROM ")
            .push(to_be_recorded)
            .push(") AS changed) AS k_counts)");
        sql
    }

    /// Arms the guard of the table for this statement, and says whose it is: triggers that the statement fires run at its
    /// end. Nothing else has the same time of begin, so nothing else is taken for a part of it.
    fn arm(&self, sql: &mut Sql, armed: &[Event]) {
        let arms = guard::arms(self.table.name);
        // Whoever asks for the outcome of the transaction waits for this lock.
        let key = lock_key(self.recorder.transaction());
        sql.push("pg_advisory_xact_lock(")
            .bind(Some(key.to_string()));
        sql.push("::bigint) IS NOT NULL AND ");
        for event in armed {
            sql.push("set_config('")
                .push(guard::setting(*event))
                .push("', ")
                .push(&arms)
                .push(", true) IS NOT NULL AND ");
        }
        sql.push("set_config('koherent.statement', statement_timestamp()::text || ' ' || ")
            .bind(Some(said(&self.stamped, self.task_row().as_ref())))
            .push(", true) IS NOT NULL");
    }
}

/// Takes the arms away, once the counts have made the change run to its end: its guard has asked for them by then, if there
/// is one.
fn disarm(sql: &mut Sql, armed: &[Event]) {
    for (at, event) in armed.iter().enumerate() {
        sql.push(if at > 0 {
            " AND set_config('"
        } else {
            "set_config('"
        })
        .push(guard::setting(*event))
        .push("', '', true) IS NOT NULL");
    }
}

/// What kind of change an entry tells of.
enum Kind {
    Always(ChangeKind),
    When(&'static str),
}
