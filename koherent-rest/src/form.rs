//! The forms in which what was found is written: entries, activities, changes.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use koherent_core::{ErrorCode, HistoryEntry};
use koherent_diesel::{
    ChangeColumn, ChangeCursor, Cursor, HistoryFilter, HistoryOrder, HistoryQuery, HistoryReader,
    ResourceChange, ResourceChangeQuery, TrackedColumn, TrackedTable, feed,
};
use serde::Serialize;

use crate::answer::{Activity, Change, Entry, Page};
use crate::cells;
use crate::problem::Problem;
use crate::question::{Form, Format, Question};

/// What is asked, checked and ready to be loaded, page by page.
pub(crate) struct Asked {
    reader: HistoryReader,
    question: Question,
    tables: Vec<&'static TrackedTable>,
    filter: HistoryFilter,
    after: Option<Place>,
}

/// Where a list goes on.
#[derive(Clone)]
enum Place {
    Entry(Cursor),
    Change(ChangeCursor),
}

/// What was found, and where each item stands.
pub(crate) enum Found {
    Entries(Vec<Entry>),
    Activities(Vec<Activity>),
    Changes(Vec<Change>),
}

/// How many are loaded at once, where all are streamed.
const LOADED: u32 = 500;

impl Asked {
    pub(crate) fn new(reader: HistoryReader, question: Question) -> Result<Self, Problem> {
        let tables = question.tables(&reader)?;
        let filter = question.filter(&tables)?;
        let after = question.after.as_deref();
        let is_of_changes = question.form == Form::Changes;
        let after = after.map(|text| match is_of_changes {
            true => text.parse().map(Place::Change),
            false => text.parse().map(Place::Entry),
        });
        let after = after.transpose().map_err(|_| {
            const TEXT: &str =
                "This is no cursor: give the `next` of an answer to the same question, unchanged.";
            Problem::new(ErrorCode::BadRequest, "CURSOR_INVALID", TEXT)
        })?;
        if is_of_changes && tables.len() != 1 {
            const TEXT: &str = "Changes one by one are those of one table: give `table`.";
            return Err(Problem::new(ErrorCode::BadRequest, "FORM_INVALID", TEXT));
        }
        Ok(Self {
            reader,
            question,
            tables,
            filter,
            after,
        })
    }

    /// One page, as JSON, and the cursor of the next one.
    pub(crate) async fn page(mut self) -> Result<(String, Option<String>), Problem> {
        let limit = self.question.page();
        let offset = self.question.offset.unwrap_or(0);
        let (found, next) = self.load(offset, limit, 1).await?;
        fn json<T: Serialize>(items: Vec<T>, next: Option<&String>) -> String {
            let next = next.cloned();
            serde_json::to_string(&Page { items, next }).unwrap_or_default()
        }
        let page = match found {
            Found::Entries(items) => json(items, next.as_ref()),
            Found::Activities(items) => json(items, next.as_ref()),
            Found::Changes(items) => json(items, next.as_ref()),
        };
        Ok((page, next))
    }

    /// How many there are, whatever part of them is asked for.
    pub(crate) async fn count(self) -> Result<u64, Problem> {
        let count = match self.question.form {
            Form::Changes => {
                let query = self.changes();
                self.reader.count_changes(query).await?
            }
            _ => {
                let query = feed(self.tables.iter().copied()).filter(self.filter.clone());
                self.reader.count(query).await?
            }
        };
        Ok(count)
    }

    /// Everything, as lines. The first lines are there when this is, so what is wrong with the question is known by then.
    pub(crate) async fn lines(
        mut self,
    ) -> Result<BoxStream<'static, Result<Bytes, Problem>>, Problem> {
        let as_csv = self.question.format() == Format::Csv;
        let mut head = String::new();
        if as_csv {
            head = cells::line(cells::header(self.question.form));
        }
        let mut left = self.question.limit.unwrap_or(u32::MAX);
        let offset = self.question.offset.unwrap_or(0);
        let (first, _) = self.load(offset, left.min(LOADED), 0).await?;
        let write = move |found: &Found| match as_csv {
            true => cells::csv(found),
            false => json_lines(found),
        };
        let begin = Bytes::from(head + &write(&first));
        let mut count = first.len();
        let rest = stream::unfold(Some(self), move |asked| {
            let went_on = u32::try_from(count).unwrap_or(u32::MAX);
            let is_last = went_on < left.min(LOADED);
            left = left.saturating_sub(went_on);
            let limit = left.min(LOADED);
            count = limit as usize;
            async move {
                let mut asked = asked.filter(|_| !is_last && limit > 0)?;
                match asked.load(0, limit, 0).await {
                    Ok((found, _)) if found.len() == 0 => None,
                    Ok((found, _)) => {
                        let is_full = found.len() == limit as usize;
                        Some((Ok(Bytes::from(write(&found))), is_full.then_some(asked)))
                    }
                    // What has been sent cannot be taken back: the connection ends before its time.
                    Err(problem) => Some((Err(problem), None)),
                }
            }
        });
        Ok(stream::once(async { Ok(begin) }).chain(rest).boxed())
    }

    /// Loads so many, and moves on behind them. With one more than is shown, it says whether there is a next page.
    async fn load(
        &mut self,
        offset: u32,
        limit: u32,
        more: u32,
    ) -> Result<(Found, Option<String>), Problem> {
        let most = limit.saturating_add(more);
        if self.question.form == Form::Changes {
            let mut changes = self.load_changes(offset, most).await?;
            let has_more = changes.len() > limit as usize;
            changes.truncate(limit as usize);
            let column = self.question.column();
            let cursor = changes.last().map(|last| ChangeCursor::of(last, column));
            let next = cursor
                .as_ref()
                .filter(|_| has_more)
                .map(ToString::to_string);
            self.after = cursor.map(Place::Change).or(self.after.take());
            return Ok((
                Found::Changes(changes.iter().map(Change::from).collect()),
                next,
            ));
        }
        let mut entries = self.load_entries(offset, most).await?;
        let has_more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let cursor = entries.last().map(Cursor::of);
        let next = cursor
            .as_ref()
            .filter(|_| has_more)
            .map(ToString::to_string);
        self.after = cursor.map(Place::Entry).or(self.after.take());
        let of = |entry: &HistoryEntry| {
            self.tables
                .iter()
                .copied()
                .find(|table| table.name() == entry.table)
        };
        let entries = entries.iter();
        let found = match self.question.form {
            Form::Activity => Found::Activities(
                entries
                    .map(|entry| Activity::of(entry, of(entry)))
                    .collect(),
            ),
            _ => Found::Entries(entries.map(|entry| Entry::of(entry, of(entry))).collect()),
        };
        Ok((found, next))
    }

    async fn load_entries(&self, offset: u32, limit: u32) -> Result<Vec<HistoryEntry>, Problem> {
        let query: HistoryQuery = feed(self.tables.iter().copied())
            .filter(self.filter.clone())
            .order(self.question.order())
            .offset(offset)
            .limit(limit);
        let query = match &self.after {
            Some(Place::Entry(cursor)) => query.after(cursor.clone()),
            _ => query,
        };
        Ok(self.reader.entries(query).await?)
    }

    /// The changes that are asked for, in their order.
    fn changes(&self) -> ResourceChangeQuery {
        ResourceChangeQuery::of_table(self.tables[0])
            .filter(self.filter.clone())
            .sort(self.question.column(), self.question.order())
    }

    async fn load_changes(&self, offset: u32, limit: u32) -> Result<Vec<ResourceChange>, Problem> {
        let after = match &self.after {
            Some(Place::Change(cursor)) => Some(cursor),
            _ => None,
        };
        let behind = |query: ResourceChangeQuery, after: Option<&ChangeCursor>| match after {
            Some(cursor) => query.after(cursor.clone()),
            None => query,
        };
        if self.question.column() != ChangeColumn::Field || offset > 0 {
            let query = behind(self.changes(), after).offset(offset).limit(limit);
            return Ok(self.reader.resource_changes(query).await?);
        }
        // Field by field: each page of one field is found through the index of dates.
        let mut found = Vec::new();
        for field in self.fields_from(after.map(ChangeCursor::field)) {
            let left = limit - u32::try_from(found.len()).unwrap_or(limit).min(limit);
            if left == 0 {
                break;
            }
            let within = after.filter(|cursor| cursor.field() == field);
            let of_field = HistoryFilter::new().field(field);
            let query = behind(self.changes().filter(of_field), within).limit(left);
            found.extend(self.reader.resource_changes(query).await?);
        }
        Ok(found)
    }

    /// The fields of the table, in the order that is asked for, from that one on.
    fn fields_from(&self, first: Option<&str>) -> Vec<&'static str> {
        let columns = self.tables[0].columns().iter();
        let mut fields: Vec<_> = columns.map(TrackedColumn::name).collect();
        fields.sort_unstable();
        if self.question.order() == HistoryOrder::NewestFirst {
            fields.reverse();
        }
        let from = first.and_then(|first| fields.iter().position(|field| *field == first));
        fields.split_off(from.unwrap_or(0))
    }
}

impl Found {
    fn len(&self) -> usize {
        match self {
            Self::Entries(entries) => entries.len(),
            Self::Activities(activities) => activities.len(),
            Self::Changes(changes) => changes.len(),
        }
    }
}

fn json_lines(found: &Found) -> String {
    fn lines<T: Serialize>(items: &[T]) -> String {
        let lines = items
            .iter()
            .map(|item| serde_json::to_string(item).unwrap_or_default() + "\n");
        lines.collect()
    }
    match found {
        Found::Entries(entries) => lines(entries),
        Found::Activities(activities) => lines(activities),
        Found::Changes(changes) => lines(changes),
    }
}
