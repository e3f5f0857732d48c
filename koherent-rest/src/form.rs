//! The forms in which what was found is written: entries, activities, changes.

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use koherent_core::ErrorCode;
use koherent_diesel::{
    Cursor, HistoryFilter, HistoryQuery, HistoryReader, ResourceChangeQuery, TrackedTable, feed,
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
    after: Option<Cursor>,
}

/// What was found.
pub(crate) enum Found {
    Entries(Vec<Entry>),
    Activities(Vec<Activity>),
    Changes(Vec<Change>),
}

/// How many are loaded at once, where all are streamed.
const LOADED: u32 = 500;

impl Asked {
    pub(crate) fn new(reader: HistoryReader, question: Question) -> Result<Self, Problem> {
        let (tables, filter) = (question.tables(&reader)?, question.filter()?);
        let after = question.after.as_deref().map(str::parse).transpose();
        let after = after.map_err(|_| {
            const TEXT: &str = "This is no cursor: give one that came with an entry, unchanged.";
            Problem::new(ErrorCode::BadRequest, "CURSOR_INVALID", TEXT)
        })?;
        if question.form == Form::Changes && (tables.len() != 1 || after.is_some()) {
            const TEXT: &str = "Changes one by one are those of one table, and have no cursors: give `table`, and `offset`.";
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

    /// One page, as JSON.
    pub(crate) async fn page(mut self) -> Result<String, Problem> {
        let limit = self.question.page();
        let offset = self.question.offset.unwrap_or(0);
        let found = self.load(offset, limit).await?;
        let is_last = found.len() < limit as usize;
        let next = self
            .after
            .filter(|_| !is_last)
            .map(|cursor| cursor.to_string());
        fn json<T: Serialize>(items: Vec<T>, next: Option<String>) -> String {
            serde_json::to_string(&Page { items, next }).unwrap_or_default()
        }
        Ok(match found {
            Found::Entries(items) => json(items, next),
            Found::Activities(items) => json(items, next),
            Found::Changes(items) => json(items, None),
        })
    }

    /// Everything, as lines. The first lines are there when this is, so what is wrong with the question is known by then.
    pub(crate) async fn lines(
        mut self,
    ) -> Result<BoxStream<'static, Result<Bytes, Problem>>, Problem> {
        if self.question.form == Form::Changes {
            // They are counted, so what is added meanwhile must not be among them.
            let newest = feed(self.tables.iter().copied()).limit(1);
            if let Some(newest) = self.reader.entries(newest).await?.first() {
                let after = newest.date + TimeDelta::microseconds(1);
                self.filter = self.filter.before(after);
            }
        }
        let as_csv = self.question.format() == Format::Csv;
        let mut head = String::new();
        if as_csv {
            head = cells::line(cells::header(self.question.form));
        }
        let mut left = self.question.limit.unwrap_or(u32::MAX);
        let mut offset = self.question.offset.unwrap_or(0);
        let first = self.load(offset, left.min(LOADED)).await?;
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
            // Cursors say where entries go on; changes are counted.
            if asked
                .as_ref()
                .is_some_and(|asked| asked.question.form == Form::Changes)
            {
                offset = offset.saturating_add(went_on);
            } else {
                offset = 0;
            }
            let (limit, from) = (left.min(LOADED), offset);
            count = limit as usize;
            async move {
                let mut asked = asked.filter(|_| !is_last && limit > 0)?;
                match asked.load(from, limit).await {
                    Ok(found) if found.len() == 0 => None,
                    Ok(found) => {
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

    /// Loads so many, and moves on behind them.
    async fn load(&mut self, offset: u32, limit: u32) -> Result<Found, Problem> {
        if self.question.form == Form::Changes {
            let query = ResourceChangeQuery::of_table(self.tables[0])
                .filter(self.filter.clone())
                .sort(self.question.column(), self.question.order())
                .offset(offset)
                .limit(limit);
            let changes = self.reader.resource_changes(query).await?;
            return Ok(Found::Changes(changes.iter().map(Change::from).collect()));
        }
        let query: HistoryQuery = feed(self.tables.iter().copied())
            .filter(self.filter.clone())
            .order(self.question.order())
            .offset(offset)
            .limit(limit);
        let query = match self.after.take() {
            Some(cursor) => query.after(cursor),
            None => query,
        };
        let entries = self.reader.entries(query).await?;
        self.after = entries.last().map(Cursor::of);
        Ok(match self.question.form {
            Form::Activity => Found::Activities(entries.iter().map(Activity::from).collect()),
            _ => Found::Entries(entries.iter().map(Entry::from).collect()),
        })
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
