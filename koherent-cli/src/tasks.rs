//! `koherent tasks` and `koherent task`: the runs of work, and what they changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use clap::Args;
use serde_json::{Map, Value};

use crate::database::Database;
use crate::failure::{Failure, Result};
use crate::output::{Format, Output};
use crate::registry::{Audited, with_history};

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// At most this many tasks, 0 for all.
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
    /// How to show them.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Args)]
pub(crate) struct TreeArguments {
    /// The task.
    task: String,
    /// How to show it: the tree, or its tasks as JSON.
    #[arg(long, value_enum)]
    format: Option<TreeFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TreeFormat {
    /// A tree, as text.
    Tree,
    /// One JSON array.
    Json,
}

const COLUMNS: [&str; 12] = [
    "task_id",
    "parent_task_id",
    "root_task_id",
    "assigner_sub",
    "caller_sub",
    "agent_sub",
    "agent_client_id",
    "issuer",
    "token_id",
    "args_hash",
    "args_hash_algorithm",
    "organization",
];

/// A task, by the names of its columns; and how many entries it has, by table and kind.
struct Task {
    values: BTreeMap<&'static str, String>,
    entries: Vec<(String, String, u64)>,
}

impl Task {
    fn get(&self, column: &str) -> &str {
        self.values.get(column).map_or("", String::as_str)
    }

    fn count(&self) -> u64 {
        self.entries.iter().map(|(_, _, count)| count).sum()
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        for column in COLUMNS.into_iter().chain(["created_at"]) {
            let value = self.values.get(column).cloned();
            object.insert(column.to_owned(), value.into());
        }
        let mut entries = Map::new();
        for (table, kind, count) in &self.entries {
            let of_table = entries
                .entry(table.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            of_table[kind] = (*count).into();
        }
        object.insert("entries".into(), Value::Object(entries));
        object
    }

    /// `samples +1 ~2, tags +1`.
    fn changes(&self) -> String {
        let mut tables: BTreeMap<&str, String> = BTreeMap::new();
        for (table, kind, count) in &self.entries {
            let sign = match kind.as_str() {
                "create" => '+',
                "delete" => '-',
                _ => '~',
            };
            tables
                .entry(table)
                .or_default()
                .push_str(&format!(" {sign}{count}"));
        }
        let tables = tables
            .iter()
            .map(|(table, counts)| format!("{table}{counts}"));
        tables.collect::<Vec<_>>().join(", ")
    }
}

fn tasks(database: &mut Database, rest: &str) -> Result<Vec<Task>> {
    let engine = database.engine();
    let mut values: Vec<_> = COLUMNS.iter().map(|column| engine.text(column)).collect();
    values.push(engine.date("created_at"));
    let rows = database.rows(&values, &format!("FROM koherent_task {rest}"))?;
    Ok(rows
        .into_iter()
        .map(|row| Task {
            values: COLUMNS
                .into_iter()
                .chain(["created_at"])
                .zip(row)
                .filter_map(|(column, value)| Some((column, value?)))
                .collect(),
            entries: Vec::new(),
        })
        .collect())
}

/// Counts the entries of each task.
fn count(database: &mut Database, tables: &[Audited], tasks: &mut [Task]) -> Result<()> {
    let engine = database.engine();
    for tasks in tasks.chunks_mut(500) {
        let ids: Vec<_> = tasks
            .iter()
            .map(|task| engine.literal(task.get("task_id")))
            .collect();
        for table in tables {
            let values = [
                engine.text("history_task"),
                engine.text("history_kind"),
                "count(*)".to_owned(),
            ];
            let rest = format!(
                "FROM {} WHERE history_task IN ({}) GROUP BY history_task, history_kind ORDER BY history_kind",
                table.quoted_history(engine),
                ids.join(", ")
            );
            for row in database.rows(&values, &rest)? {
                let [Some(id), Some(kind), Some(count)] = &row[..] else {
                    continue;
                };
                let kind = match kind.as_str() {
                    "+" => "create",
                    "-" => "delete",
                    _ => "update",
                };
                if let Some(task) = tasks.iter_mut().find(|task| task.get("task_id") == id) {
                    let count = count.parse().unwrap_or_default();
                    task.entries
                        .push((table.full_name(), kind.to_owned(), count));
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn list(
    database: &mut Database,
    arguments: &ListArguments,
    output: &mut Output,
) -> Result<()> {
    let tables = with_history(database, &[])?;
    let mut tasks = tasks(
        database,
        &format!(
            "ORDER BY created_at DESC, task_id DESC LIMIT {}",
            match arguments.limit {
                0 => i64::MAX,
                limit => limit.into(),
            }
        ),
    )?;
    count(database, &tables, &mut tasks)?;
    let format = output.format(arguments.format);
    let columns = &[
        "task",
        "created (UTC)",
        "agent",
        "for",
        "organization",
        "parent",
        "changes",
    ];
    let mut list = output.list(format, columns)?;
    for task in &tasks {
        let created = task.get("created_at");
        let cells = vec![
            task.get("task_id").to_owned(),
            created.get(..19).unwrap_or(created).replace('T', " "),
            format!(
                "{} via {}",
                task.get("agent_sub"),
                task.get("agent_client_id")
            ),
            task.get("assigner_sub").to_owned(),
            task.get("organization").to_owned(),
            task.get("parent_task_id").to_owned(),
            task.changes(),
        ];
        list.push(task.to_json(), cells)?;
    }
    list.finish("no tasks")?;
    Ok(())
}

pub(crate) fn tree(
    database: &mut Database,
    arguments: &TreeArguments,
    output: &mut Output,
) -> Result<()> {
    let engine = database.engine();
    let id = engine.literal(&arguments.task);
    let tables = with_history(database, &[])?;
    let asked = tasks(database, &format!("WHERE task_id = {id}"))?;
    let asked = asked.first().ok_or_else(|| {
        Failure::new(format!(
            "there is no task `{}` in this database: `koherent tasks` lists those that changed something",
            arguments.task
        ))
    })?;
    let root = asked.get("root_task_id").to_owned();
    let mut all = tasks(
        database,
        &format!(
            "WHERE root_task_id = {} ORDER BY created_at, task_id",
            engine.literal(&root)
        ),
    )?;
    count(database, &tables, &mut all)?;
    if arguments.format == Some(TreeFormat::Json) {
        let list: Vec<_> = all
            .iter()
            .map(|task| Value::Object(task.to_json()))
            .collect();
        let pretty = serde_json::to_string_pretty(&list).unwrap_or_default();
        return output.line(&pretty);
    }
    for column in COLUMNS.into_iter().chain(["created_at"]) {
        if !asked.get(column).is_empty() {
            output.line(&format!("{column:>20}: {}", asked.get(column)))?;
        }
    }
    output.line("")?;
    // Ancestors that changed nothing here are known by their ids alone.
    let known: Vec<_> = all
        .iter()
        .map(|task| task.get("task_id").to_owned())
        .collect();
    let mut tops = vec![root];
    for task in &all {
        let parent = task.get("parent_task_id");
        if !parent.is_empty()
            && !known.iter().any(|id| id == parent)
            && !tops.iter().any(|id| id == parent)
        {
            tops.push(parent.to_owned());
        }
    }
    let mut children: HashMap<&str, Vec<&Task>> = HashMap::new();
    for task in &all {
        let parent = task.get("parent_task_id");
        if parent != task.get("task_id") {
            children.entry(parent).or_default().push(task);
        }
    }
    let tasks = all.iter().map(|task| (task.get("task_id"), task)).collect();
    for top in &tops {
        let tree = Tree {
            tasks: &tasks,
            children: &children,
            asked: &arguments.task,
        };
        tree.draw(top, output)?;
    }
    Ok(())
}

struct Tree<'t> {
    tasks: &'t HashMap<&'t str, &'t Task>,
    children: &'t HashMap<&'t str, Vec<&'t Task>>,
    asked: &'t str,
}

impl Tree<'_> {
    /// Draws a task and what it started, however deep that goes.
    fn draw(&self, top: &str, output: &mut Output) -> Result<()> {
        /// Deeper ones are not indented any further.
        const DEEPEST: usize = 24;
        let mut left = vec![(top, Vec::new(), true)];
        // A task is not its own ancestor, whatever a token says.
        let mut drawn = HashSet::new();
        while let Some((id, above, is_last)) = left.pop() {
            let depth = above.len();
            let mut line = String::new();
            for is_last in above.iter().skip(1).take(DEEPEST) {
                line.push_str(if *is_last { "    " } else { "│   " });
            }
            if depth > DEEPEST {
                line.push_str(&format!("({depth}) "));
            }
            if depth > 0 {
                line.push_str(if is_last { "└── " } else { "├── " });
            }
            line.push_str(&self.told(id));
            output.line(&line)?;
            if !drawn.insert(id) {
                continue;
            }
            let children = self.children.get(id).map_or(&[][..], Vec::as_slice);
            for (at, child) in children.iter().enumerate().rev() {
                let mut above: Vec<bool> = above.clone();
                if above.len() <= DEEPEST + 1 {
                    above.push(is_last);
                }
                left.push((child.get("task_id"), above, at + 1 == children.len()));
            }
        }
        Ok(())
    }

    fn told(&self, id: &str) -> String {
        let mark = if id == self.asked { " ←" } else { "" };
        let Some(task) = self.tasks.get(id) else {
            return format!("{id}  (changed nothing here)");
        };
        let changes = match task.count() {
            0 => "no entries".to_owned(),
            _ => task.changes(),
        };
        format!(
            "{id}  {} via {}  {changes}{mark}",
            task.get("agent_sub"),
            task.get("agent_client_id")
        )
    }
}
