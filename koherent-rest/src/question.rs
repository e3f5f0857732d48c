//! What is asked: the parameters of `GET /activity`.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::ACCEPT;
use koherent_core::{ChangeKind, ErrorCode, FieldValue, RowKey};
use koherent_diesel::{
    ChangeColumn, HistoryFilter, HistoryOrder, HistoryReader, LinkKind, TrackedTable, read_date,
};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// The parameters of `GET /activity`. Each of the lists can be given several times, for alternatives.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
#[non_exhaustive]
pub struct Question {
    /// Of this table.
    pub table: Vec<String>,
    /// Of a table whose rows are called so.
    pub label: Vec<String>,
    /// Of the row with this key. A key of several columns is a JSON array of texts.
    pub key: Vec<String>,
    /// With `key`: also of the links that point at these rows.
    pub links: bool,
    /// In which this field changed.
    pub field: Vec<String>,
    /// In which one of the fields had this value before.
    pub old: Vec<String>,
    /// In which one of the fields has this value now.
    pub new: Vec<String>,
    /// Made by the principal with this `sub`.
    pub user: Vec<String>,
    /// Made by somebody in another's place, with this `sub`.
    pub impersonator: Vec<String>,
    /// Made through this OAuth client.
    pub client: Vec<String>,
    /// Made for this organization.
    pub organization: Vec<String>,
    /// Of this kind.
    pub kind: Vec<Kind>,
    /// Made under this task.
    pub task: Vec<String>,
    /// Made under this task, or one that it caused, directly or through others.
    pub task_tree: Vec<String>,
    /// Made under a task of the causal tree with this root.
    pub root_task: Vec<String>,
    /// Made under a task that an agent with this OAuth client executed.
    pub agent_client: Vec<String>,
    /// Made under a task that this issuer attested.
    pub issuer: Vec<String>,
    /// Made in this transaction.
    pub transaction: Vec<String>,
    /// Made for this reason, in these words.
    pub reason: Vec<String>,
    /// Made at this time or later (RFC 3339). Without an offset, or a time, it is read as UTC.
    #[serde(deserialize_with = "date")]
    #[param(value_type = Option<String>)]
    pub since: Option<DateTime<Utc>>,
    /// Made before this time.
    #[serde(deserialize_with = "date")]
    #[param(value_type = Option<String>)]
    pub before: Option<DateTime<Utc>>,
    /// How many at most: 50 as JSON unless this says otherwise, and no more than 200; as JSON lines and CSV, all.
    pub limit: Option<u32>,
    /// How many to leave out.
    pub offset: Option<u32>,
    /// What comes behind this place: the `next` of an answer.
    pub after: Option<String>,
    /// In which order.
    pub order: Order,
    /// In which form.
    pub form: Form,
    /// By what changes are sorted.
    pub sort: Option<Sort>,
    /// As what it is written; without it, `Accept` says it.
    pub format: Option<Format>,
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$choice_doc:meta])* $choice:ident),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, ToSchema)]
            #[serde(rename_all = "lowercase")]
            #[non_exhaustive]
            pub enum $name {
                $($(#[$choice_doc])* $choice,)+
            }
        )+
    };
}

choices! {
    /// In which order entries come.
    Order {
        /// The newest first.
        #[default]
        Newest,
        /// The oldest first.
        Oldest,
    }
    /// In which form they come.
    Form {
        /// Entries, with their changes.
        #[default]
        Entries,
        /// Activities: actor, verb, object, and the fields that came, went and changed.
        Activity,
        /// Changes of fields, one by one.
        Changes,
    }
    /// By what changes are sorted.
    Sort {
        /// When.
        #[default]
        Date,
        /// By whom.
        User,
        /// The field's name.
        Field,
        /// The row's key.
        Key,
    }
    /// As what they are written.
    Format {
        /// One page, as one JSON document.
        #[default]
        Json,
        /// All, one JSON document per line.
        Jsonl,
        /// All, as CSV (RFC 4180).
        Csv,
    }
    /// What happened to the row.
    Kind {
        /// It came to be.
        #[default]
        Create,
        /// At least one audited field changed.
        Update,
        /// It is gone.
        Delete,
        /// Two rows were put together, by a link.
        Associate,
        /// Two rows were taken apart.
        Disassociate,
    }
}

fn date<'de, D: Deserializer<'de>>(text: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(text)?;
    let date = text.map(|text| read_date(&text)).transpose();
    date.map_err(serde::de::Error::custom)
}

/// The most entries of one page.
const MOST: u32 = 200;

/// How many may be left out: each costs as much as if it were shown.
const MOST_LEFT_OUT: u32 = 10_000;

/// How many values all lists of a question may have together.
const MOST_ALTERNATIVES: usize = 200;

/// How many entries a page has, unless it is said.
const PAGE: u32 = 50;

impl Question {
    /// Reads the parameters of a URL.
    pub(crate) fn read(query: &str, headers: &HeaderMap) -> Result<Self, Problem> {
        let parameters = serde_html_form::Deserializer::from_bytes(query.as_bytes());
        let question = serde_path_to_error::deserialize(parameters);
        let mut question: Self = question.map_err(|error| {
            let text = format!(
                "The parameter `{}` cannot be read: {}.",
                error.path(),
                error.inner()
            );
            Problem::new(ErrorCode::BadRequest, "PARAMETER_INVALID", text)
        })?;
        if question.format.is_none() {
            question.format = accepted(headers);
        }
        if question.format() == Format::Json && question.limit.is_some_and(|limit| limit > MOST) {
            let text = format!(
                "Ask for at most {MOST} entries at once, or for `format=jsonl` or `format=csv`."
            );
            return Err(Problem::new(ErrorCode::BadRequest, "PAGE_INVALID", text));
        }
        if question.offset.is_some_and(|offset| offset > MOST_LEFT_OUT) {
            let text = format!(
                "At most {MOST_LEFT_OUT} entries can be left out: what lies further is found with `after`, or with `since` and `before`."
            );
            return Err(Problem::new(ErrorCode::BadRequest, "PAGE_INVALID", text));
        }
        if question.sort.is_some_and(|sort| sort != Sort::Date) && question.form != Form::Changes {
            const TEXT: &str = "Entries and activities come by date: `sort` is for `form=changes`.";
            return Err(Problem::new(ErrorCode::BadRequest, "FORM_INVALID", TEXT));
        }
        if question.field.is_empty() && !(question.old.is_empty() && question.new.is_empty()) {
            const TEXT: &str = "Values are those of fields: give `field` beside `old` and `new`.";
            return Err(Problem::new(
                ErrorCode::BadRequest,
                "PARAMETER_INVALID",
                TEXT,
            ));
        }
        if question.links && (question.key.is_empty() || question.table.len() != 1) {
            const TEXT: &str =
                "The links of rows are meant: give one `table` and `key` beside `links`.";
            return Err(Problem::new(
                ErrorCode::BadRequest,
                "PARAMETER_INVALID",
                TEXT,
            ));
        }
        let alternatives = question.alternatives();
        if alternatives > MOST_ALTERNATIVES {
            let text = format!(
                "Lists of parameters may have at most {MOST_ALTERNATIVES} values, and there are {alternatives}: ask several times."
            );
            return Err(Problem::new(ErrorCode::BadRequest, "FILTER_TOO_LONG", text));
        }
        Ok(question)
    }

    fn alternatives(&self) -> usize {
        let lists = [
            &self.table,
            &self.label,
            &self.key,
            &self.field,
            &self.old,
            &self.new,
            &self.user,
            &self.impersonator,
            &self.client,
            &self.organization,
            &self.task,
            &self.task_tree,
            &self.root_task,
            &self.agent_client,
            &self.issuer,
            &self.transaction,
            &self.reason,
        ];
        lists.iter().map(|list| list.len()).sum::<usize>() + self.kind.len()
    }

    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// How many entries a page has.
    pub(crate) fn page(&self) -> u32 {
        self.limit.unwrap_or(PAGE).min(MOST)
    }

    pub(crate) const fn order(&self) -> HistoryOrder {
        match self.order {
            Order::Newest => HistoryOrder::NewestFirst,
            Order::Oldest => HistoryOrder::OldestFirst,
        }
    }

    pub(crate) const fn column(&self) -> ChangeColumn {
        match self.sort {
            None | Some(Sort::Date) => ChangeColumn::Date,
            Some(Sort::User) => ChangeColumn::User,
            Some(Sort::Field) => ChangeColumn::Field,
            Some(Sort::Key) => ChangeColumn::Key,
        }
    }

    /// The tables that are meant: all that the reader reads, unless they are named.
    pub(crate) fn tables(
        &self,
        reader: &HistoryReader,
    ) -> Result<Vec<&'static TrackedTable>, Problem> {
        if self.table.is_empty() {
            return Ok(reader.tables().collect());
        }
        let known = |name: &String| {
            reader.table(name).ok_or_else(|| {
                let names: Vec<_> = reader.tables().map(TrackedTable::name).collect();
                let text = format!("There is no such table. There are: {}.", names.join(", "));
                Problem::new(ErrorCode::BadRequest, "TABLE_UNKNOWN", text)
            })
        };
        let mut tables: Vec<&'static TrackedTable> = Vec::new();
        for name in &self.table {
            let table = known(name)?;
            if !tables.iter().any(|known| std::ptr::eq(*known, table)) {
                tables.push(table);
            }
        }
        if self.links {
            let of_rows = tables.clone();
            let points_there = |link: &&TrackedTable| {
                let mut ends = link.link_ends().into_iter().flatten();
                ends.any(|end| {
                    of_rows
                        .iter()
                        .any(|table| std::ptr::eq(end.table(), *table))
                })
            };
            tables.extend(reader.tables().filter(points_there));
        }
        Ok(tables)
    }

    /// Which entries are meant.
    pub(crate) fn filter(
        &self,
        tables: &[&'static TrackedTable],
    ) -> Result<HistoryFilter, Problem> {
        let mut filter = HistoryFilter::new();
        for key in &self.key {
            let key = RowKey::from_text(key);
            filter = match tables.first() {
                Some(table) if self.links => filter.row(table, key),
                _ => filter.key(key),
            };
        }
        for label in &self.label {
            filter = filter.label(label);
        }
        filter = filter.and(self.changes());
        for user in &self.user {
            filter = filter.user(user.as_str());
        }
        for impersonator in &self.impersonator {
            filter = filter.impersonator(impersonator.as_str());
        }
        for client in &self.client {
            filter = filter.client(client.as_str());
        }
        for organization in &self.organization {
            filter = filter.organization(organization.as_str());
        }
        filter = filter.and(self.kinds());
        for task in &self.task {
            filter = filter.task(task.as_str());
        }
        for task in &self.task_tree {
            filter = filter.task_tree(task.as_str());
        }
        for task in &self.root_task {
            filter = filter.root_task(task.as_str());
        }
        for client in &self.agent_client {
            filter = filter.agent_client(client.as_str());
        }
        for issuer in &self.issuer {
            filter = filter.issuer(issuer.as_str());
        }
        for transaction in &self.transaction {
            let transaction = transaction.parse().map_err(|_| {
                const TEXT: &str =
                    "The transaction is no UUID: give one that came with an entry, unchanged.";
                Problem::new(ErrorCode::BadRequest, "PARAMETER_INVALID", TEXT)
            })?;
            filter = filter.transaction(transaction);
        }
        for reason in &self.reason {
            filter = filter.reason(reason);
        }
        if let Some(date) = self.since {
            filter = filter.since(date);
        }
        if let Some(date) = self.before {
            filter = filter.before(date);
        }
        Ok(filter)
    }
}

impl Question {
    /// Which fields changed, and from what to what, of one and the same field.
    fn changes(&self) -> HistoryFilter {
        let fields = self.field.iter();
        if self.old.is_empty() && self.new.is_empty() {
            return fields.fold(HistoryFilter::new(), HistoryFilter::field);
        }
        let of_field = |field: &String| {
            let value = |text: &String| FieldValue::from_json(text.as_str().into());
            let olds = self.old.iter().map(value);
            let filter = olds.fold(HistoryFilter::new().field(field), |filter, old| {
                filter.value_before(field, old)
            });
            let news = self.new.iter().map(value);
            news.fold(filter, |filter, new| filter.value_after(field, new))
        };
        let any = fields.map(of_field).reduce(HistoryFilter::or);
        any.unwrap_or_default()
    }

    /// What happened to rows, or else to links.
    fn kinds(&self) -> HistoryFilter {
        let (mut rows, mut links) = (HistoryFilter::new(), HistoryFilter::new());
        for kind in &self.kind {
            match kind {
                Kind::Create => rows = rows.kind(ChangeKind::Create),
                Kind::Update => rows = rows.kind(ChangeKind::Update),
                Kind::Delete => rows = rows.kind(ChangeKind::Delete),
                Kind::Associate => links = links.link(LinkKind::Associate),
                Kind::Disassociate => links = links.link(LinkKind::Disassociate),
            }
        }
        let is_said = |filter: &HistoryFilter| *filter != HistoryFilter::new();
        match (is_said(&rows), is_said(&links)) {
            (true, true) => rows.or(links),
            (false, _) => links,
            _ => rows,
        }
    }
}

/// What `Accept` asks for, if it names one of the formats.
fn accepted(headers: &HeaderMap) -> Option<Format> {
    let accept = headers.get(ACCEPT)?.to_str().ok()?;
    let mut best: Option<(f32, Format)> = None;
    for kind in accept.split(',') {
        let mut parts = kind.split(';').map(str::trim);
        let format = match parts.next()? {
            "application/json" | "application/*" | "*/*" => Format::Json,
            "application/x-ndjson" | "application/jsonl" => Format::Jsonl,
            "text/csv" | "text/*" => Format::Csv,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
        let weight: f32 = weight.unwrap_or(1.0);
        // Of equals the first.
        if weight > best.map_or(0.0, |(known, _)| known) {
            best = Some((weight, format));
        }
    }
    best.map(|(_, format)| format)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn formats_are_weighed() {
        for (accept, format) in [
            ("text/csv", Some(Format::Csv)),
            ("text/csv;q=0.5, application/json", Some(Format::Json)),
            ("application/json;q=0.1, text/csv;q=0.2", Some(Format::Csv)),
            (
                "text/html, application/x-ndjson;q=0.9, */*;q=0.8",
                Some(Format::Jsonl),
            ),
            ("text/csv;q=0, */*;q=0.1", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("text/html", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepted(&headers), format, "{accept}");
        }
    }
}
