//! Filters, by the names of the original koherent and with fields of our own.

use juniper::{GraphQLInputObject, ID};
use koherent_core::{ErrorCode, FieldValue, RowKey};
use koherent_diesel::{HistoryFilter, RowFilter};

use crate::error::Error;
use crate::input::DateTime;
use crate::limits::exceeded;
use crate::types::HistoryKind;

/// Which entries of histories are meant. All that is said must hold, of one and the same entry.
///
/// `AND`, `OR` and `NOT` combine as those of the original (strawberry-django) do: what is said and `AND` and not `NOT`, or else
/// `OR`. Filters in which nothing is said do not count.
///
/// Put it into a filter input of your own: `provenance: Option<ProvenanceFilter>`, and
/// [`Provenance::changed`](crate::Provenance::changed) makes a condition of it.
///
/// ```
/// use koherent_core::ChangeKind;
/// use koherent_diesel::HistoryFilter;
/// use koherent_juniper::{HistoryKind, ProvenanceFilter};
///
/// let filter = ProvenanceFilter { task_id: Some("task-a".into()), kind: Some(HistoryKind::Create), ..Default::default() };
/// assert_eq!(filter.checked()?, HistoryFilter::new().task("task-a").kind(ChangeKind::Create));
/// # Ok::<(), koherent_juniper::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, GraphQLInputObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL input")]
#[graphql(
    description = "Which entries of histories are meant. All that is said must hold, of one and the same entry, and `AND`, and not `NOT`; or else `OR`. Of rows, `NOT` means that they have no such entry."
)]
pub struct ProvenanceFilter {
    /// What must hold as well.
    #[graphql(name = "AND")]
    pub and: Option<Box<Self>>,
    /// What may hold instead of all the rest.
    #[graphql(name = "OR")]
    pub or: Option<Box<Self>>,
    /// What must not hold.
    #[graphql(name = "NOT")]
    pub not: Option<Box<Self>>,
    /// For clients of the original: nothing is ever shown twice.
    #[graphql(name = "DISTINCT")]
    pub distinct: Option<bool>,
    /// Made under this task.
    pub task_id: Option<String>,
    /// Made under this task, or one that it caused, directly or through others.
    pub task_tree: Option<ID>,
    /// Made under a task of the causal tree with this root.
    pub root_task_id: Option<ID>,
    /// Made under a task that an agent with this OAuth client executed.
    pub agent_client_id: Option<String>,
    /// Made under a task that this issuer attested.
    pub issuer: Option<String>,
    /// Made by the principal with this `sub`.
    pub changed_by: Option<String>,
    /// Made by somebody in another's place, with this `sub`.
    pub impersonator: Option<String>,
    /// Made through this OAuth client.
    pub client_id: Option<String>,
    /// Made for this organization.
    pub organization: Option<String>,
    /// Of this kind.
    pub kind: Option<HistoryKind>,
    /// Made at this time or later.
    pub changed_since: Option<DateTime>,
    /// Made at this time or earlier.
    pub changed_before: Option<DateTime>,
    /// In which one of these fields changed.
    pub fields: Option<Vec<String>>,
    /// In which one of the `fields` had this value before, as `oldValue` shows it.
    pub old_value: Option<String>,
    /// In which one of the `fields` has this value now, as `newValue` shows it.
    pub new_value: Option<String>,
    /// Of one of the rows with these keys. A key of several columns is a JSON array of texts.
    pub keys: Option<Vec<ID>>,
    /// Of a table whose rows are called one of these.
    pub labels: Option<Vec<String>>,
    /// Made in this transaction.
    pub transaction: Option<ID>,
    /// Made for this reason, in these words.
    pub reason: Option<String>,
}

/// One thing that a filter says.
type Member<'f> = Box<dyn Fn(HistoryFilter) -> HistoryFilter + 'f>;

impl ProvenanceFilter {
    /// Which entries it means.
    ///
    /// # Errors
    ///
    /// A refusal where the transaction is no UUID, or values are given without `fields`, with the reason `FILTER_INVALID`; or
    /// where there are more than 200 keys, fields and labels, or more than 30 filters in it, with `FILTER_TOO_LONG`.
    pub fn checked(&self) -> Result<HistoryFilter, Error> {
        Size::default().add(self)?;
        self.entries()
    }

    /// Which rows it means, by their histories: as the original's filter does, `NOT` means that a row has no such entry, for each
    /// thing that stands in it, and where nothing is said, all rows are meant.
    ///
    /// ```
    /// use koherent_diesel::RowFilter;
    /// use koherent_juniper::ProvenanceFilter;
    /// assert_eq!(ProvenanceFilter::default().rows()?, RowFilter::all());
    /// # Ok::<(), koherent_juniper::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`checked`](Self::checked).
    pub fn rows(&self) -> Result<RowFilter, Error> {
        Size::default().add(self)?;
        self.rows_joined(Inside::Assertion)
    }

    /// Whether it asks for entries of that kind, itself or by `AND` and `OR`.
    #[must_use]
    pub fn asks_for(&self, kind: HistoryKind) -> bool {
        let inner = [&self.and, &self.or].into_iter().flatten();
        self.kind == Some(kind) || inner.into_iter().any(|filter| filter.asks_for(kind))
    }

    /// Whether nothing is said.
    fn is_empty(&self) -> bool {
        let without = Self {
            and: None,
            or: None,
            not: None,
            distinct: None,
            ..self.clone()
        };
        let inner = [&self.and, &self.or, &self.not].into_iter().flatten();
        without == Self::default() && inner.into_iter().all(|filter| filter.is_empty())
    }

    fn entries(&self) -> Result<HistoryFilter, Error> {
        let own = self
            .members()?
            .iter()
            .fold(HistoryFilter::new(), |filter, put| put(filter));
        let [and, not, or] = self.inner();
        let mut all = (own != HistoryFilter::new()).then_some(own);
        if let Some(and) = and {
            all = Some(joined(all, and.entries()?, HistoryFilter::and));
        }
        if let Some(not) = not {
            all = Some(joined(all, !not.entries()?, HistoryFilter::and));
        }
        if let Some(or) = or {
            all = Some(joined(all, or.entries()?, HistoryFilter::or));
        }
        Ok(all.unwrap_or_default())
    }

    fn rows_joined(&self, inside: Inside) -> Result<RowFilter, Error> {
        let members = self.members()?;
        let members = members.iter();
        let mut all = match inside {
            _ if members.len() == 0 => None,
            Inside::Assertion => {
                let own = members.fold(HistoryFilter::new(), |filter, put| put(filter));
                Some(own.into())
            }
            Inside::Negation => members
                .map(|put| RowFilter::from(put(HistoryFilter::new())))
                .reduce(RowFilter::and),
        };
        let [and, not, or] = self.inner();
        if let Some(and) = and {
            all = Some(joined(all, and.rows_joined(inside)?, RowFilter::and));
        }
        if let Some(not) = not {
            let not = !not.rows_joined(Inside::Negation)?;
            all = Some(joined(all, not, RowFilter::and));
        }
        if let Some(or) = or {
            all = Some(joined(all, or.rows_joined(inside)?, RowFilter::or));
        }
        Ok(all.unwrap_or(RowFilter::all()))
    }

    /// `AND`, `NOT` and `OR`, as far as they say something.
    fn inner(&self) -> [Option<&Self>; 3] {
        let said = |filter: &'_ Option<Box<Self>>| -> bool {
            filter.as_ref().is_some_and(|filter| !filter.is_empty())
        };
        [&self.and, &self.not, &self.or].map(|filter| filter.as_deref().filter(|_| said(filter)))
    }

    /// All that it says itself.
    fn members(&self) -> Result<Vec<Member<'_>>, Error> {
        let mut members: Vec<Member<'_>> = Vec::new();
        if let Some(task) = &self.task_id {
            members.push(Box::new(|filter| filter.task(task.as_str())));
        }
        if let Some(task) = &self.task_tree {
            members.push(Box::new(|filter| filter.task_tree(task.to_string())));
        }
        if let Some(task) = &self.root_task_id {
            members.push(Box::new(|filter| filter.root_task(task.to_string())));
        }
        if let Some(client) = &self.agent_client_id {
            members.push(Box::new(|filter| filter.agent_client(client.as_str())));
        }
        if let Some(issuer) = &self.issuer {
            members.push(Box::new(|filter| filter.issuer(issuer.as_str())));
        }
        if let Some(user) = &self.changed_by {
            members.push(Box::new(|filter| filter.user(user.as_str())));
        }
        if let Some(impersonator) = &self.impersonator {
            members.push(Box::new(|filter| {
                filter.impersonator(impersonator.as_str())
            }));
        }
        if let Some(client) = &self.client_id {
            members.push(Box::new(|filter| filter.client(client.as_str())));
        }
        if let Some(organization) = &self.organization {
            members.push(Box::new(|filter| {
                filter.organization(organization.as_str())
            }));
        }
        if let Some(kind) = self.kind {
            members.push(Box::new(move |filter| filter.kind(kind.into())));
        }
        if let Some(date) = self.changed_since {
            members.push(Box::new(move |filter| filter.since(date.0)));
        }
        if let Some(date) = self.changed_before {
            members.push(Box::new(move |filter| filter.until(date.0)));
        }
        if let Some(keys) = self.keys.as_ref().filter(|keys| !keys.is_empty()) {
            members.push(Box::new(|filter| {
                let keys = keys.iter().map(|key| RowKey::from_text(key));
                keys.fold(filter, HistoryFilter::key)
            }));
        }
        if let Some(labels) = self.labels.as_ref().filter(|labels| !labels.is_empty()) {
            members.push(Box::new(|filter| {
                labels.iter().fold(filter, HistoryFilter::label)
            }));
        }
        if let Some(transaction) = &self.transaction {
            let transaction = transaction.parse().map_err(|_| NOT_A_UUID)?;
            members.push(Box::new(move |filter| filter.transaction(transaction)));
        }
        if let Some(reason) = &self.reason {
            members.push(Box::new(move |filter| filter.reason(reason)));
        }
        members.extend(self.changes()?);
        Ok(members)
    }

    /// Which fields changed, and from what to what, of one and the same field.
    fn changes(&self) -> Result<Option<Member<'_>>, Error> {
        let fields = self.fields.as_deref().unwrap_or_default();
        let (old, new) = (self.old_value.as_deref(), self.new_value.as_deref());
        if fields.is_empty() {
            return match (old, new) {
                (None, None) => Ok(None),
                _ => Err(VALUES_WITHOUT_FIELDS),
            };
        }
        if old.is_none() && new.is_none() {
            return Ok(Some(Box::new(|filter| {
                fields.iter().fold(filter, HistoryFilter::field)
            })));
        }
        Ok(Some(Box::new(move |filter| {
            let value = |text: &str| FieldValue::from_json(text.into());
            let of_field = |field: &String| {
                let mut change = HistoryFilter::new();
                if let Some(old) = old {
                    change = change.value_before(field, value(old));
                }
                if let Some(new) = new {
                    change = change.value_after(field, value(new));
                }
                change
            };
            let any = fields.iter().map(of_field).reduce(HistoryFilter::or);
            filter.and(any.unwrap_or_default())
        })))
    }
}

/// What is joined with something that may not be there.
fn joined<F>(all: Option<F>, other: F, join: impl FnOnce(F, F) -> F) -> F {
    match all {
        Some(all) => join(all, other),
        None => other,
    }
}

/// Where a filter stands: within a `NOT`, each thing may hold of another entry.
#[derive(Debug, Clone, Copy)]
enum Inside {
    Assertion,
    Negation,
}

/// How large a filter is, with all that are in it.
#[derive(Default)]
struct Size {
    filters: usize,
    alternatives: usize,
}

impl Size {
    fn add(&mut self, filter: &ProvenanceFilter) -> Result<(), Error> {
        self.filters += 1;
        if self.filters > MOST_FILTERS {
            return Err(exceeded(
                "FILTER_TOO_LONG",
                "filters",
                self.filters,
                MOST_FILTERS,
            ));
        }
        let lists = [
            ("fields", filter.fields.as_ref().map(Vec::len)),
            ("keys", filter.keys.as_ref().map(Vec::len)),
            ("labels", filter.labels.as_ref().map(Vec::len)),
        ];
        for (name, length) in lists {
            self.alternatives += length.unwrap_or(0);
            if self.alternatives > MOST_ALTERNATIVES {
                let most = MOST_ALTERNATIVES;
                return Err(exceeded("FILTER_TOO_LONG", name, self.alternatives, most));
            }
        }
        let inner = [&filter.and, &filter.or, &filter.not].into_iter().flatten();
        inner.into_iter().try_for_each(|filter| self.add(filter))
    }
}

/// How many keys, fields and labels a filter may name.
const MOST_ALTERNATIVES: usize = 200;

/// How many filters may stand in one, itself included: each is a level of what the database must read.
const MOST_FILTERS: usize = 30;

const NOT_A_UUID: Error = Error::fixed(
    ErrorCode::BadRequest,
    "FILTER_INVALID",
    "The transaction of the filter is no UUID: give one that came with an entry, unchanged.",
);

const VALUES_WITHOUT_FIELDS: Error = Error::fixed(
    ErrorCode::BadRequest,
    "FILTER_INVALID",
    "The filter names a value and no field that has it: give `fields` beside `oldValue` and `newValue`.",
);
