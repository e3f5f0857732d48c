//! Changing a history table so that it fits its table again, without losing what it has.

use crate::database::{Column, Engine, Table};
use crate::failure::{Failure, Result};
use crate::registry::Audited;

/// A column of a history, and the column that it is to fit.
pub(super) type Retyped<'f> = (&'f Column, &'f Column);

/// The statements that change a history table.
pub(super) struct Follow<'f> {
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
}

impl<'f> Follow<'f> {
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
    ) -> Result<Vec<String>> {
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
                    self.drop_not_null(to, declared)?;
                    continue;
                }
                (None, Some((_, aside))) => aside.clone(),
                (None, None) => stored.name.clone(),
            };
            self.drop_not_null(&name, stored)?;
        }
        Ok(new.iter().map(|(column, _)| column.name.clone()).collect())
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
        let declared = format!("{quoted} {}{}", column.declared, column.suffix);
        let null = match self.engine {
            Engine::Mysql => " NULL",
            _ => "",
        };
        self.up
            .push_str(&self.alter(&format!("ADD COLUMN {}{null}", declared.trim_end())));
        self.down.push(self.alter(&format!("DROP COLUMN {quoted}")));
        self.names.push(name.to_owned());
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
    }

    /// Keeps the values of a column under another name.
    fn set_aside(&mut self, name: &str) -> String {
        let free = |number: &u32| {
            let other = format!("{name}_before_{number}");
            !self.names.contains(&other)
        };
        let number = (1..).find(free).unwrap_or(1);
        let aside = format!("{name}_before_{number}");
        self.rename(name, &aside);
        aside
    }

    fn retype(&mut self, name: &str, stored: &Column, column: &Column) {
        let quoted = self.engine.quote(name);
        let null = if stored.nullable { "NULL" } else { "NOT NULL" };
        let to = |column: &Column| match self.engine {
            Engine::Mysql => format!(
                "MODIFY COLUMN {quoted} {}{} {null}",
                column.declared, column.suffix
            ),
            _ => format!(
                "ALTER COLUMN {quoted} TYPE {} USING CAST({quoted} AS {})",
                column.declared, column.declared
            ),
        };
        self.up.push_str(&self.alter(&to(column)));
        self.down.push(self.alter(&to(stored)));
    }

    fn drop_not_null(&mut self, name: &str, column: &Column) -> Result<()> {
        let quoted = self.engine.quote(name);
        let change = match self.engine {
            Engine::Postgres => format!("ALTER COLUMN {quoted} DROP NOT NULL"),
            Engine::Mysql => format!(
                "MODIFY COLUMN {quoted} {}{} NULL",
                column.declared, column.suffix
            ),
            // Histories made by this command refuse NULL only in keys.
            Engine::Sqlite => {
                return Err(Failure::new(format!(
                    "the history column `{name}` refuses NULL, and SQLite cannot change that: make the history table anew by hand"
                )));
            }
        };
        self.up.push_str(&self.alter(&change));
        Ok(())
    }
}

/// Whether each value of one type is one of the other, without a change of what it says.
pub(super) fn widens(engine: Engine, from: &str, to: &str) -> bool {
    let base = |declared: &str| {
        let declared = declared.to_ascii_lowercase();
        declared
            .split('(')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let (from_base, to_base) = (base(from), base(to));
    let length = |declared: &str| -> Option<u32> {
        let (_, rest) = declared.split_once('(')?;
        rest.split([')', ',']).next()?.trim().parse().ok()
    };
    let longer = length(to).is_none_or(|to| length(from).is_some_and(|from| from <= to));
    match engine {
        Engine::Sqlite => false,
        Engine::Postgres => {
            let integers = ["smallint", "integer", "bigint", "numeric"];
            let floats = ["real", "double precision"];
            let texts = ["character varying", "text"];
            let rank = |order: &[&str], name: &str| order.iter().position(|other| *other == name);
            let wider = |order: &[&str]| {
                rank(order, &from_base)
                    .zip(rank(order, &to_base))
                    .is_some_and(|(from, to)| from < to)
            };
            wider(&integers) && length(to).is_none()
                || wider(&floats)
                || wider(&texts)
                || from_base == to_base && texts.contains(&from_base.as_str()) && longer
                || to_base == "text" && !matches!(from_base.as_str(), "bytea")
                || from_base == "json" && to_base == "jsonb"
        }
        Engine::Mysql => {
            let integers = ["tinyint", "smallint", "mediumint", "int", "bigint"];
            let texts = ["tinytext", "text", "mediumtext", "longtext"];
            let blobs = ["tinyblob", "blob", "mediumblob", "longblob"];
            let same_sign = from.contains("unsigned") == to.contains("unsigned");
            let bare = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
            let (from_base, to_base) = (bare(&from_base), bare(&to_base));
            let rank = |order: &[&str], name: &str| order.iter().position(|other| *other == name);
            let wider = |order: &[&str]| {
                rank(order, &from_base)
                    .zip(rank(order, &to_base))
                    .is_some_and(|(from, to)| from < to)
            };
            wider(&integers) && same_sign
                || wider(&texts)
                || wider(&blobs)
                || from_base == to_base
                    && matches!(from_base.as_str(), "varchar" | "varbinary")
                    && longer
                || from_base == "varchar" && texts[1..].contains(&to_base.as_str())
                || from_base == "float" && to_base == "double"
                || from_base == "enum" && to_base == "enum" && is_prefix(from, to)
        }
    }
}

/// `enum('a','b')` has all values of `enum('a')`, in the same places.
fn is_prefix(from: &str, to: &str) -> bool {
    from.strip_suffix(')')
        .is_some_and(|from| to.starts_with(from))
}
