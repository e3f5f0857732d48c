//! Links: join tables whose rows say that two others belong together.

use std::sync::LazyLock;

use diesel::query_dsl::methods::FindDsl;
use koherent_core::{ChangeKind, FieldValue, HistoryEntry, RowKey};

use super::filter::HistoryFilter;
use super::page::Cursor;
use super::query::HistoryQuery;
use super::read::Found;
use super::select::{GroupBy, Groups};
use crate::driver::Driver;
use crate::error::Error;
use crate::table::{Audited, TrackedTable};

/// A join table with two ends. Implemented by [`audited_link!`](crate::audited_link).
#[diagnostic::on_unimplemented(
    message = "the table `{Self}` is not declared as a link",
    note = "declare it: `koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);`"
)]
pub trait AuditedLink: Audited {
    /// The columns that point at the ends, and the tables they point at.
    fn ends() -> [LinkEnd; 2];
}

/// One end of a link: a column of the join table, and the table whose key it holds.
#[derive(Debug, Clone, Copy)]
pub struct LinkEnd {
    pub(crate) column: &'static str,
    pub(crate) table: &'static TrackedTable,
}

impl LinkEnd {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(column: &'static str, table: &'static TrackedTable) -> Self {
        Self { column, table }
    }

    /// The column of the join table.
    #[must_use]
    pub const fn column(&self) -> &'static str {
        self.column
    }

    /// The table that it points at.
    #[must_use]
    pub const fn table(&self) -> &'static TrackedTable {
        self.table
    }
}

/// A join table that points at `T`. Implemented by [`audited_link!`](crate::audited_link).
#[diagnostic::on_unimplemented(
    message = "the link `{Self}` has no end at `{T}`",
    note = "ask for the links of one of the two tables that `audited_link!` names"
)]
pub trait LinksTo<T: Audited>: AuditedLink {
    /// Which of its ends that is.
    #[doc(hidden)]
    const END: usize;
}

/// What happened to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkKind {
    /// The two were put together.
    Associate,
    /// Another column of the join table changed.
    Update,
    /// The two were taken apart.
    Disassociate,
}

impl LinkKind {
    /// What an entry's kind means for a link.
    #[must_use]
    pub const fn of(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Create => Self::Associate,
            ChangeKind::Update => Self::Update,
            ChangeKind::Delete => Self::Disassociate,
        }
    }

    /// `history_kind` of such an entry.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Associate => "+",
            Self::Update => "~",
            Self::Disassociate => "-",
        }
    }
}

/// A link, as [`audited_link!`](crate::audited_link) submits it.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "it is two functions")]
pub struct SubmittedLink {
    pub link: fn() -> &'static TrackedTable,
    pub ends: fn() -> [LinkEnd; 2],
}

inventory::collect!(SubmittedLink);

type Links = Vec<(&'static TrackedTable, [LinkEnd; 2])>;

static LINKS: LazyLock<Links> = LazyLock::new(|| {
    let links = inventory::iter::<SubmittedLink>.into_iter();
    links.map(|link| ((link.link)(), (link.ends)())).collect()
});

impl TrackedTable {
    /// The columns that point at other rows, and their tables, where [`audited_link!`](crate::audited_link) declares the table.
    ///
    /// ```
    /// koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, } }
    /// koherent_diesel::audited_table! { tags => tags_history (id) { id -> BigInt, } }
    /// koherent_diesel::audited_table! {
    ///     sample_tags => sample_tags_history (sample_id, tag_id) { sample_id -> BigInt, tag_id -> BigInt, }
    /// }
    /// koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);
    /// # fn main() {
    /// use koherent_diesel::Audited;
    ///
    /// let [sample, tag] = sample_tags::table::tracked().link_ends().unwrap();
    /// assert_eq!((sample.column(), tag.table().name()), ("sample_id", "tags"));
    /// assert!(tags::table::tracked().link_ends().is_none());
    /// # }
    /// ```
    #[must_use]
    pub fn link_ends(&self) -> Option<[LinkEnd; 2]> {
        let mut links = LINKS.iter();
        let link = links.find(|(link, _)| link.name == self.name && link.history == self.history);
        link.map(|(_, ends)| *ends)
    }
}

/// A row that a link points at.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkedRow {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub key: Option<FieldValue>,
}

/// An entry of a link's history.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkEntry {
    /// What happened.
    pub kind: LinkKind,
    /// Between which rows, in the order of the declaration.
    pub ends: [LinkedRow; 2],
    /// When, by whom, under which task.
    pub entry: HistoryEntry,
}

/// The entries of all links of the row with that key, newest first: what it was put together with, and what it was taken
/// apart from. The key is what `table.find` takes.
///
/// ```
/// # include!("../doctest_setup.rs");
/// koherent_diesel::audited_table! { tags => tags_history (id) { id -> BigInt, label -> Text, } }
/// koherent_diesel::audited_table! {
///     sample_tags => sample_tags_history (sample_id, tag_id) { sample_id -> BigInt, tag_id -> BigInt, }
/// }
/// koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);
///
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// use koherent_diesel::{Audited, LinkKind, audited_insert, links_of};
/// # use diesel::connection::SimpleConnection;
/// # let conn = &mut connection_with_liver();
/// # conn.batch_execute("CREATE TABLE sample_tags (sample_id BIGINT, tag_id BIGINT, PRIMARY KEY (sample_id, tag_id));")?;
/// # conn.batch_execute(&sample_tags::table::history_ddl::<diesel::sqlite::Sqlite>())?;
/// let job = Attribution::system("tagging");
/// let link = (sample_tags::sample_id.eq(1), sample_tags::tag_id.eq(7));
/// audited_insert(sample_tags::table, link).by(&job).execute(conn)?;
///
/// let links = links_of(sample_tags::table, samples::table, 1).load(conn)?;
/// assert_eq!(links[0].kind, LinkKind::Associate);
/// assert_eq!((links[0].ends[1].table, links[0].ends[1].key.as_ref().unwrap().text()), ("tags", "7".to_owned()));
/// # Ok(())
/// # }
/// ```
pub fn links_of<L, T, K>(_: L, _: T, key: K) -> LinkQuery
where
    L: LinksTo<T>,
    T: Audited + FindDsl<K>,
    K: Into<RowKey>,
{
    LinkQuery::of_rows::<L, T>(vec![key.into()])
}

/// The entries of all links of several rows, with a page for each: [`LinkQuery::load_each`] answers in the order of the keys.
pub fn links_of_each<L, T, K>(_: L, _: T, keys: impl IntoIterator<Item = K>) -> LinkQuery
where
    L: LinksTo<T>,
    T: Audited,
    K: Into<RowKey>,
{
    LinkQuery::of_rows::<L, T>(keys.into_iter().map(Into::into).collect())
}

/// What is asked of the history of links: which rows', which entries, how many.
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is loaded"]
pub struct LinkQuery {
    query: HistoryQuery,
    ends: [LinkEnd; 2],
}

impl LinkQuery {
    /// The links of rows of `T`, whose keys are known at run time only.
    pub fn of_rows<L: LinksTo<T>, T: Audited>(keys: Vec<RowKey>) -> Self {
        let ends = L::ends();
        let groups = Groups {
            by: GroupBy::Column(ends[L::END].column),
            values: keys,
        };
        let query = HistoryQuery::new(vec![L::tracked()], Some(groups));
        Self { query, ends }
    }

    /// Changes what is asked, as [`HistoryQuery`] says it: filters, order, part.
    ///
    /// ```
    /// use koherent_diesel::{HistoryOrder, LinkQuery};
    /// fn oldest(links: LinkQuery) -> LinkQuery {
    ///     links.map(|query| query.order(HistoryOrder::OldestFirst).limit(50))
    /// }
    /// ```
    pub fn map(mut self, change: impl FnOnce(HistoryQuery) -> HistoryQuery) -> Self {
        self.query = change(self.query);
        self
    }

    /// Only these entries.
    pub fn filter(self, filter: HistoryFilter) -> Self {
        self.map(|query| query.filter(filter))
    }

    /// Only that many; of each row, where several are asked for.
    pub fn limit(self, limit: u32) -> Self {
        self.map(|query| query.limit(limit))
    }

    /// What comes behind that place.
    pub fn after(self, cursor: Cursor) -> Self {
        self.map(|query| query.after(cursor))
    }

    /// Loads them, in one statement.
    ///
    /// # Errors
    ///
    /// As [`HistoryQuery::load`].
    pub fn load<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<LinkEntry>, Error>> {
        let Self { query, ends } = self;
        query.run(connection, move |found| {
            let entries = found.into_iter();
            Ok(entries.map(|found| LinkEntry::new(found, ends)).collect())
        })
    }

    /// How many entries match, whatever part of them is asked for.
    ///
    /// # Errors
    ///
    /// As [`HistoryQuery::load`].
    pub fn count<C: Driver>(self, connection: &mut C) -> C::Reply<'_, Result<u64, Error>> {
        self.query.count(connection)
    }

    /// How many entries match of each row that was asked for, in that order.
    ///
    /// # Errors
    ///
    /// As [`HistoryQuery::load`].
    pub fn count_each<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<u64>, Error>> {
        self.query.count_each(connection)
    }

    /// Loads those of each row that was asked for, in that order, in as many statements as [`HistoryQuery::load`].
    ///
    /// # Errors
    ///
    /// As [`HistoryQuery::load`].
    pub fn load_each<C: Driver>(
        self,
        connection: &mut C,
    ) -> C::Reply<'_, Result<Vec<Vec<LinkEntry>>, Error>> {
        let Self { query, ends } = self;
        query.run_each(connection, move |found| LinkEntry::new(found, ends))
    }
}

impl LinkEntry {
    fn new(found: Found, ends: [LinkEnd; 2]) -> Self {
        let Found {
            entry,
            values,
            table,
            ..
        } = found;
        let value = |column: &str| {
            let at = table.fields.iter().position(|known| *known == column);
            at.and_then(|at| values[at].clone())
        };
        Self {
            kind: LinkKind::of(entry.kind),
            ends: ends.map(|end| LinkedRow {
                table: end.table.name(),
                key: value(end.column),
            }),
            entry,
        }
    }
}
