//! Changing a history table so that it fits its table again, without losing what it has.

use crate::database::{Column, Engine, Table};
use crate::registry::Audited;

/// A column of a history, and the column that it is to fit.
pub(super) type Retyped<'f> = (&'f Column, &'f Column);

/// The statements that change a history table.
pub(super) struct Alteration<'f> {
    engine: Engine,
    table: String,
    pub(super) up: String,
    pub(super) down: Vec<String>,
    /// The columns that the history table has by now.
    names: Vec<String>,
    /// Columns that stay in use: their names before and after, and their types where these change.
    kept: Vec<(String, String, Option<Retyped<'f>>)>,
    /// Columns that are new, and their names in the history table.
    new: Vec<(&'f Column, String)>,
    /// The types of columns that were added.
    new_types: Vec<(String, String)>,
    /// Each change of a name, in its order.
    renamed: Vec<(String, String)>,
    /// Whether columns change in a way for which SQLite makes the table anew.
    pub(super) rebuilds: bool,
}

impl<'f> Alteration<'f> {
    pub(super) fn new(engine: Engine, audited: &Audited, history: &Table) -> Self {
        let names = history.columns.iter().map(|column| column.name.clone());
        Self {
            engine,
            table: audited.quoted_history(engine),
            up: String::new(),
            down: Vec::new(),
            names: names.collect(),
            kept: Vec::new(),
            new: Vec::new(),
            new_types: Vec::new(),
            renamed: Vec::new(),
            rebuilds: false,
        }
    }

    pub(super) fn keeps(&mut self, from: &str, to: &str, retyped: Option<Retyped<'f>>) {
        self.kept.push((from.to_owned(), to.to_owned(), retyped));
    }

    pub(super) fn adds(&mut self, column: &'f Column, name: &str) {
        self.new.push((column, name.to_owned()));
    }

    /// Writes the statements; says which columns are new.
    pub(super) fn write(
        &mut self,
        history: &Table,
        nullable: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let (kept, new) = (
            std::mem::take(&mut self.kept),
            std::mem::take(&mut self.new),
        );
        // What is in the way, and nobody's any more, is set aside.
        let targets = kept
            .iter()
            .map(|(_, to, _)| to)
            .chain(new.iter().map(|(_, name)| name));
        let in_the_way: Vec<_> = targets
            .filter_map(|target| self.stored_as(target))
            .filter(|stored| !kept.iter().any(|(from, _, _)| from == stored))
            .collect();
        let mut unused = Vec::new();
        for name in in_the_way {
            unused.push((name.clone(), self.set_aside(&name)));
        }
        // Columns that take each other's names go by way of others.
        let moves: Vec<_> = kept.iter().filter(|(from, to, _)| from != to).collect();
        let crosses = moves
            .iter()
            .any(|(from, to, _)| self.stored_as(to).is_some_and(|stored| stored != *from));
        if crosses {
            for (at, (from, _, _)) in moves.iter().enumerate() {
                self.rename(from, &format!("koherent_moving_{at}"));
            }
            for (at, (_, to, _)) in moves.iter().enumerate() {
                self.rename(&format!("koherent_moving_{at}"), to);
            }
        } else {
            for (from, to, _) in &moves {
                self.rename(from, to);
            }
        }
        for (_, to, retyped) in &kept {
            if let Some((stored, column)) = retyped {
                self.retype(to, stored, column);
            }
        }
        for (column, name) in &new {
            self.add(column, name);
        }
        for stored in history.columns.iter().filter(|stored| !stored.nullable) {
            let own = koherent_diesel::schema::ATTRIBUTION_COLUMNS;
            if own.contains(&stored.name.as_str()) || stored.name == "history_id" {
                continue;
            }
            let in_use = kept.iter().find(|(from, _, _)| *from == stored.name);
            let name = match (in_use, unused.iter().find(|(from, _)| *from == stored.name)) {
                (Some((_, to, _)), _) if !nullable(to) => continue,
                (Some((_, to, retyped)), _) => {
                    let declared = retyped.map_or(stored, |(_, column)| column);
                    self.drop_not_null(to, declared);
                    continue;
                }
                (None, Some((_, aside))) => aside.clone(),
                (None, None) => stored.name.clone(),
            };
            self.drop_not_null(&name, stored);
        }
        new.iter().map(|(column, _)| column.name.clone()).collect()
    }

    /// The name under which the history table has a column of that name: not each engine looks at capitals.
    fn stored_as(&self, name: &str) -> Option<String> {
        let same = |other: &&String| match self.engine {
            Engine::Postgres => *other == name,
            _ => other.eq_ignore_ascii_case(name),
        };
        self.names.iter().find(same).cloned()
    }

    fn alter(&self, change: &str) -> String {
        format!("ALTER TABLE {} {change};\n", self.table)
    }

    fn add(&mut self, column: &Column, name: &str) {
        let quoted = self.engine.quote(name);
        let declared = format!("{quoted} {}{}", column.kept, column.suffix);
        let null = match self.engine {
            Engine::Mysql => " NULL",
            _ => "",
        };
        self.up
            .push_str(&self.alter(&format!("ADD COLUMN {}{null}", declared.trim_end())));
        self.down.push(self.alter(&format!("DROP COLUMN {quoted}")));
        self.names.push(name.to_owned());
        self.new_types.push((name.to_owned(), column.kept.clone()));
    }

    fn rename(&mut self, old: &str, new: &str) {
        let quote = |name| self.engine.quote(name);
        let rename =
            |from, to| self.alter(&format!("RENAME COLUMN {} TO {}", quote(from), quote(to)));
        let (there, back) = (rename(old, new), rename(new, old));
        self.up.push_str(&there);
        self.down.push(back);
        self.names.retain(|name| name != old);
        self.names.push(new.to_owned());
        self.renamed.push((old.to_owned(), new.to_owned()));
    }

    /// The name that a column had at first.
    fn original(&self, name: &str) -> String {
        let changes = self.renamed.iter().rev();
        changes.fold(name.to_owned(), |name, (old, new)| match name == *new {
            true => old.clone(),
            false => name,
        })
    }

    /// Keeps the values of a column under another name.
    fn set_aside(&mut self, name: &str) -> String {
        let aside = |number| self.engine.bounded(&format!("{name}_before_{number}"));
        let free = |number: &u32| !self.names.contains(&aside(*number));
        let aside = aside((1..).find(free).unwrap_or(1));
        self.rename(name, &aside);
        aside
    }

    fn retype(&mut self, name: &str, stored: &Column, column: &Column) {
        if self.engine == Engine::Sqlite {
            self.rebuilds = true;
            return;
        }
        let quoted = self.engine.quote(name);
        let null = if stored.nullable { "NULL" } else { "NOT NULL" };
        let to = |declared: &str, suffix: &str| match self.engine {
            Engine::Mysql => format!("MODIFY COLUMN {quoted} {declared}{suffix} {null}"),
            _ => {
                format!("ALTER COLUMN {quoted} TYPE {declared} USING CAST({quoted} AS {declared})")
            }
        };
        self.up
            .push_str(&self.alter(&to(&column.kept, &column.suffix)));
        self.down
            .push(self.alter(&to(&stored.declared, &stored.suffix)));
    }

    fn drop_not_null(&mut self, name: &str, column: &Column) {
        let quoted = self.engine.quote(name);
        let change = match self.engine {
            Engine::Postgres => format!("ALTER COLUMN {quoted} DROP NOT NULL"),
            Engine::Mysql => format!(
                "MODIFY COLUMN {quoted} {}{} NULL",
                column.declared, column.suffix
            ),
            Engine::Sqlite => {
                self.rebuilds = true;
                return;
            }
        };
        self.up.push_str(&self.alter(&change));
    }

    /// The columns of a history table of SQLite, as they are in the end.
    pub(super) fn columns(&self, history: &Table, after: &Audited, live: &Table) -> Vec<Column> {
        let own = koherent_diesel::schema::ATTRIBUTION_COLUMNS;
        let mut columns = self.columns_before(history);
        for column in &mut columns {
            let kept = after.kept.iter().find(|(_, there)| *there == column.name);
            let Some(live_column) = kept.and_then(|(name, _)| live.column(name)) else {
                column.nullable |= !own.contains(&column.name.as_str());
                continue;
            };
            column.nullable = !live.key.contains(&live_column.name);
            column.declared = match live_column.declared.to_ascii_uppercase().as_str() {
                // Of a STRICT table: values as they are.
                "ANY" => "BLOB".to_owned(),
                _ => live_column.declared.clone(),
            };
        }
        columns
    }

    /// The same columns, by the names of the end, as they were declared before.
    pub(super) fn columns_before(&self, history: &Table) -> Vec<Column> {
        let column = |name: &String| {
            let stored = history.column(&self.original(name)).cloned();
            let added = self.new_types.iter().find(|(added, _)| added == name);
            let declared = added.map_or(String::new(), |(_, declared)| declared.clone());
            let stored = stored.filter(|_| added.is_none()).unwrap_or(Column {
                name: String::new(),
                kept: declared.clone(),
                declared,
                suffix: String::new(),
                nullable: true,
            });
            Column {
                name: name.clone(),
                ..stored
            }
        };
        self.names.iter().map(column).collect()
    }
}
