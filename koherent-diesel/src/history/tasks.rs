//! Tasks: the runs of work under which something was changed here.

use chrono::{DateTime, Utc};
use diesel::row::Row;
use koherent_core::{ClientId, Issuer, Organization, Subject, TaskId, TaskRecord};

use super::count::{Counts, write_count};
use super::filter::{alternatives, push_any, push_texts, push_tree};
use super::page::{HistoryOrder, Page, TaskCursor, pages};
use super::period::Period;
use super::read::task_record;
use super::scope::HistoryScope;
use super::select::{GroupBy, GroupColumn, GroupPart, Groups, push_groups, push_limit};
use crate::catalog::TASK_TABLE;
use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::reading::Reading;
use crate::schema::TASK_COLUMNS;
use crate::script::Script;
use crate::sql::Write as _;

/// The tasks under which something was changed here, newest first.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection();
/// use koherent_diesel::{TaskFilter, tasks};
///
/// let of_the_agent = TaskFilter::new().agent_client("robot");
/// let newest = tasks().filter(of_the_agent).limit(50).load(conn)?;
/// assert!(newest.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn tasks() -> TaskQuery {
    TaskQuery {
        groups: None,
        filters: Vec::new(),
        page: Page::default(),
        after: None,
    }
}

/// Which tasks are meant. Everything, unless a method says otherwise; methods combine as those of
/// [`HistoryFilter`](crate::HistoryFilter) do.
///
/// ```
/// use koherent_diesel::TaskFilter;
/// let caused_by_task_a = TaskFilter::new().parent("task-a");
/// # assert_ne!(caused_by_task_a, TaskFilter::new());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct TaskFilter {
    ids: Vec<TaskId>,
    parents: Vec<TaskId>,
    roots: Vec<TaskId>,
    trees: Vec<TaskId>,
    agents: Vec<Subject>,
    agent_clients: Vec<ClientId>,
    issuers: Vec<Issuer>,
    assigners: Vec<Subject>,
    callers: Vec<Subject>,
    organizations: Vec<Organization>,
    period: Period,
    within: Vec<HistoryScope>,
}

impl TaskFilter {
    /// All tasks.
    pub fn new() -> Self {
        Self::default()
    }

    alternatives! {
        /// The task with that id.
        id(TaskId) -> ids;
        /// Tasks that this one caused directly.
        parent(TaskId) -> parents;
        /// Tasks of the causal tree with that root.
        root(TaskId) -> roots;
        /// That task, and all that it caused, directly or through others.
        tree(TaskId) -> trees;
        /// Executed by that agent.
        agent(Subject) -> agents;
        /// Executed by an agent with that OAuth client.
        agent_client(ClientId) -> agent_clients;
        /// Attested by that issuer.
        issuer(Issuer) -> issuers;
        /// With that human at the root of the causal tree.
        assigner(Subject) -> assigners;
        /// Caused immediately by that principal.
        caller(Subject) -> callers;
        /// Of that organization.
        organization(Organization) -> organizations;
    }

    /// First seen at that time or later. Of several, the latest counts.
    pub fn since(mut self, date: DateTime<Utc>) -> Self {
        self.period.since(date);
        self
    }

    /// First seen before that time. Of several, the earliest counts.
    pub fn before(mut self, date: DateTime<Utc>) -> Self {
        self.period.before(date);
        self
    }

    /// Only what that scope may see, whatever else is asked for.
    pub fn within(mut self, scope: &HistoryScope) -> Self {
        self.within.push(scope.clone());
        self
    }

    /// Writes ` AND …` for what must hold of the task `h`.
    fn push<DB: Engine>(&self, sql: &mut Script<DB>) {
        push_texts(sql, "h", "task_id", &self.ids);
        push_texts(sql, "h", "parent_task_id", &self.parents);
        push_texts(sql, "h", "root_task_id", &self.roots);
        push_any(sql, &self.trees, |sql, task| {
            sql.push("h.task_id IN (");
            push_tree(sql, task);
            sql.push(")");
        });
        push_texts(sql, "h", "agent_sub", &self.agents);
        push_texts(sql, "h", "agent_client_id", &self.agent_clients);
        push_texts(sql, "h", "issuer", &self.issuers);
        push_texts(sql, "h", "assigner_sub", &self.assigners);
        push_texts(sql, "h", "caller_sub", &self.callers);
        push_texts(sql, "h", "organization", &self.organizations);
        for scope in &self.within {
            scope.push(sql, "organization");
        }
        self.period.push(sql, "created_at");
    }
}

/// The column that tells the children of one task from those of another.
const PARENT: GroupColumn = GroupColumn::text("parent_task_id");

/// What is asked of the tasks: which, how many, in which order. [`tasks()`] makes one.
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is loaded"]
pub struct TaskQuery {
    groups: Option<Groups>,
    filters: Vec<TaskFilter>,
    page: Page,
    after: Option<TaskCursor>,
}

impl TaskQuery {
    /// The tasks that each of these caused directly, with a page for each: [`load_each`](Self::load_each).
    pub fn children_of<'t>(parents: impl IntoIterator<Item = &'t TaskId>) -> Self {
        let parents = parents.into_iter().map(|parent| parent.as_str().into());
        Self {
            groups: Some(Groups {
                by: GroupBy::Task,
                values: parents.collect(),
            }),
            ..tasks()
        }
    }

    /// Only these tasks. With several filters, tasks must match all.
    pub fn filter(mut self, filter: TaskFilter) -> Self {
        self.filters.push(filter);
        self
    }

    pages! {
        /// Only that many; of each parent, where several are asked for.
        limit;
        /// Leaves out that many.
        offset;
    }

    /// What comes behind that place; of each parent, where several are asked for.
    pub fn after(mut self, cursor: TaskCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// In that order, by the time at which they first changed something.
    pub const fn order(mut self, order: HistoryOrder) -> Self {
        self.page.order = order;
        self
    }

    /// Loads the tasks, in one statement (SQLite, MariaDB and MySQL take 400 parents in one; more are several).
    ///
    /// # Errors
    ///
    /// [`Error::HistoryNotRead`] where the database cannot be asked.
    pub fn load<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<TaskRecord>, Error>> {
        let (order, count) = (self.page.order, Groups::count(self.groups.as_ref()));
        self.run(connection, move |found| {
            let mut tasks: Vec<TaskRecord> = found.into_iter().map(|(_, task)| task).collect();
            if count > 1 {
                // They may come from several statements.
                tasks.sort_by(|a, b| order.compare(&a.created_at, &b.created_at));
            }
            tasks
        })
    }

    /// Loads the tasks of each parent that was asked for, in that order.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_each<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<Vec<TaskRecord>>, Error>> {
        let count = Groups::count(self.groups.as_ref());
        self.run(connection, move |found| Groups::lists(count, found))
    }

    /// How many tasks there are, whatever part of them is asked for: limit, offset and cursor do not count.
    ///
    /// ```
    /// # include!("../doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let conn = &mut connection();
    /// assert_eq!(koherent_diesel::tasks().count(conn)?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn count<C: Driver>(self, connection: &mut C) -> C::Reply<'_, Result<u64, Error>> {
        self.counted(connection, |counts| counts.into_iter().sum())
    }

    /// How many tasks each parent caused that was asked for, in that order. See [`count`](Self::count).
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn count_each<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<u64>, Error>> {
        self.counted(connection, |counts| counts)
    }

    fn counted<C, R>(
        self,
        connection: &mut C,
        finish: impl FnOnce(Vec<u64>) -> R + Send + 'static,
    ) -> C::Reply<'_, Result<R, Error>>
    where
        C: Driver,
        R: Send + 'static,
    {
        let statements = self.statements(|groups| {
            write_count(TASK_TABLE, &[PARENT], groups, |sql| {
                for filter in &self.filters {
                    filter.push(sql);
                }
            })
        });
        let counts = Counts::new(Groups::count(self.groups.as_ref()), finish);
        connection.run(Ok(C::Backend::reads(statements)), counts, Ours)
    }

    /// A statement, or several, where one does not take all parents.
    fn statements<DB: Engine>(
        &self,
        write: impl Fn(Option<GroupPart<'_>>) -> Script<DB>,
    ) -> Vec<(Script<DB>, &'static str)> {
        let statement = |part| (write(part), TASK_TABLE.table);
        match &self.groups {
            None => vec![statement(None)],
            Some(groups) => {
                let parts = groups.parts::<DB>(|one| write(Some(one)).values());
                parts.map(|part| statement(Some(part))).collect()
            }
        }
    }

    fn run<C, R>(
        self,
        connection: &mut C,
        finish: impl FnOnce(Vec<(usize, TaskRecord)>) -> R + Send + 'static,
    ) -> C::Reply<'_, Result<R, Error>>
    where
        C: Driver,
        R: Send + 'static,
    {
        let statements = self.statements::<C::Backend>(|groups| self.write(groups));
        let work = C::Backend::reads(statements);
        let found = Vec::new();
        connection.run(Ok(work), Tasks { found, finish }, Ours)
    }

    fn write<DB: Engine>(&self, groups: Option<GroupPart<'_>>) -> Script<DB> {
        let mut sql = Script::new();
        let sql_ = &mut sql;
        sql_.push("SELECT p.k_group");
        for column in TASK_COLUMNS {
            sql_.push(", ");
            DB::push_own(sql_, "t", column);
        }
        sql_.push(" FROM (");
        match groups {
            None => {
                sql_.push("SELECT '0' AS k_group, ");
                self.push_page(sql_, &|_| {});
            }
            Some(groups) => {
                push_groups(sql_, TASK_TABLE, &[PARENT], groups, |sql, matches| {
                    self.push_page(sql, &|sql| {
                        sql.push(" AND ");
                        matches(sql);
                    });
                });
            }
        }
        sql_.push(") AS p JOIN koherent_task AS t ON t.task_id = p.task_id ORDER BY t.created_at");
        let direction = self.page.order.direction();
        sql_.push(direction).push(", t.task_id").push(direction);
        sql
    }

    fn push_page<DB: Engine>(&self, sql: &mut Script<DB>, matches: &dyn Fn(&mut Script<DB>)) {
        sql.push("h.task_id AS task_id FROM koherent_task AS h WHERE 1 = 1");
        matches(sql);
        for filter in &self.filters {
            filter.push(sql);
        }
        if let Some(TaskCursor { date, id }) = &self.after {
            let beyond = self.page.order.beyond();
            sql.push(" AND (h.created_at ").push(beyond).push(" ");
            sql.date(*date).push(" OR h.created_at = ").date(*date);
            sql.push(" AND h.task_id ").push(beyond).push(" ");
            sql.text(id.as_str()).push(")");
        }
        let direction = self.page.order.direction();
        sql.push(" ORDER BY h.created_at").push(direction);
        sql.push(", h.task_id").push(direction);
        push_limit(sql, &self.page);
    }
}

/// Tasks, as they come.
struct Tasks<F> {
    found: Vec<(usize, TaskRecord)>,
    finish: F,
}

impl<DB, R, F> Reading<DB> for Tasks<F>
where
    DB: Engine,
    R: Send + 'static,
    F: FnOnce(Vec<(usize, TaskRecord)>) -> R + Send + 'static,
{
    type Output = R;

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        let mut cells = DB::cells(row).into_iter().map(DB::text);
        let group = cells.next().flatten().and_then(|at| at.parse().ok());
        let stored = std::array::from_fn(|_| cells.next().flatten());
        let task = task_record(stored).ok_or(Error::UnreadableEntry {
            table: TASK_TABLE.table,
            id: 0,
            problem: "a task lacks something, or its date is none",
        })?;
        self.found.push((group.unwrap_or(0), task));
        Ok(())
    }

    fn finish(self, _: usize) -> Result<R, Error> {
        Ok((self.finish)(self.found))
    }
}
