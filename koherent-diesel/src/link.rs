//! Links: join tables whose rows say that two others belong together.

use diesel::dsl::Find;
use diesel::query_builder::{IntoUpdateTarget, QueryFragment};
use diesel::query_dsl::methods::FindDsl;
use diesel::row::Row;
use koherent_core::{ChangeKind, FieldValue, HistoryEntry};

use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::reading::Reading;
use crate::snapshot::Entries;
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
/// # include!("doctest_setup.rs");
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
pub fn links_of<L, T, K>(
    _: L,
    table: T,
    key: K,
) -> LinksOf<L, T, <Find<T, K> as IntoUpdateTarget>::WhereClause>
where
    L: LinksTo<T>,
    T: Audited + FindDsl<K>,
    Find<T, K>: IntoUpdateTarget<Table = T>,
{
    LinksOf {
        key: table.find(key).into_update_target().where_clause,
        limit: None,
        link: std::marker::PhantomData,
    }
}

/// The entries of a row's links, about to be loaded.
#[derive(Debug)]
#[must_use = "nothing is read until it is loaded"]
pub struct LinksOf<L, T, W> {
    key: W,
    limit: Option<u32>,
    link: std::marker::PhantomData<(L, T)>,
}

impl<L, T, W> LinksOf<L, T, W>
where
    L: LinksTo<T>,
    T: Audited,
{
    /// Loads only that many, the newest.
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Loads them, in one statement.
    ///
    /// # Errors
    ///
    /// As [`EntriesOf::load`](crate::EntriesOf::load).
    pub fn load<'c, C>(self, connection: &'c mut C) -> C::Reply<'c, Result<Vec<LinkEntry>, Error>>
    where
        C: Driver,
        W: QueryFragment<C::Backend>,
    {
        let (link, ends) = (L::tracked(), L::ends());
        let entries = Entries::new(link, self.limit);
        let column = link.history_name_of(ends[L::END].column);
        let work = C::Backend::entries(link, T::tracked(), &[column], &self.key, entries.rows());
        connection.run(work, Links { entries, ends }, Ours)
    }
}

/// The entries of links, as they come.
struct Links {
    entries: Entries,
    ends: [LinkEnd; 2],
}

impl<DB: Engine> Reading<DB> for Links {
    type Output = Vec<LinkEntry>;

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        Reading::<DB>::row(&mut self.entries, row)
    }

    fn finish(self, _: usize) -> Result<Self::Output, Error> {
        let ends = self.ends;
        let entries = self.entries.with_values().into_iter();
        Ok(entries
            .map(|(entry, values)| LinkEntry {
                kind: match entry.kind {
                    ChangeKind::Create => LinkKind::Associate,
                    ChangeKind::Update => LinkKind::Update,
                    ChangeKind::Delete => LinkKind::Disassociate,
                },
                ends: ends.map(|end| LinkedRow {
                    table: end.table.name(),
                    key: values(end.column),
                }),
                entry,
            })
            .collect())
    }
}
