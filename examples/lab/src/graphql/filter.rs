//! Which samples are meant.

use diesel::sql_types::Bool;
use diesel::{BoolExpressionMethods as _, BoxableExpression, ExpressionMethods as _, dsl::not};
use juniper::GraphQLInputObject;
use koherent_core::ErrorCode;
use koherent_juniper::{Error, HistoryKind, Provenance, ProvenanceFilter};

use crate::database::Backend;
use crate::schema::samples;

/// Which samples are meant. All that is said must hold, and `AND`, and not `NOT`; or else `OR`.
#[derive(Debug, Clone, Default, GraphQLInputObject)]
pub struct SampleFilter {
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
    /// Whose history has such an entry. Samples that are gone are shown where deletions are asked for by `kind`.
    pub provenance: Option<ProvenanceFilter>,
    /// Of this owner.
    pub owner: Option<String>,
}

/// A condition for a query of samples.
pub(super) type Condition = Box<dyn BoxableExpression<samples::table, Backend, SqlType = Bool>>;

/// How many filters may stand in one, itself included.
const MOST: usize = 30;

const TOO_LONG: Error = Error::fixed(
    ErrorCode::BadRequest,
    "FILTER_TOO_LONG",
    "Nest fewer filters: at most 30 can stand in one.",
);

impl SampleFilter {
    /// The condition that it means; `None` where nothing is said.
    pub(super) fn condition(&self, histories: &Provenance) -> Result<Option<Condition>, Error> {
        if self.size() > MOST {
            return Err(TOO_LONG);
        }
        self.joined(histories)
    }

    fn joined(&self, histories: &Provenance) -> Result<Option<Condition>, Error> {
        let inner = |filter: &Option<Box<Self>>| match filter {
            Some(filter) => filter.joined(histories),
            None => Ok(None),
        };
        let mut all: Vec<Condition> = Vec::new();
        if let Some(provenance) = &self.provenance {
            all.push(Box::new(histories.changed(samples::table, provenance)?));
        }
        if let Some(owner) = &self.owner {
            all.push(Box::new(samples::owner.eq(owner.clone())));
        }
        all.extend(inner(&self.and)?);
        if let Some(condition) = inner(&self.not)? {
            all.push(Box::new(not(condition)));
        }
        let both = |one: Condition, other| -> Condition { Box::new(one.and(other)) };
        let own = all.into_iter().reduce(both);
        Ok(match (own, inner(&self.or)?) {
            (Some(own), Some(or)) => Some(Box::new(own.or(or))),
            (own, or) => own.or(or),
        })
    }

    /// Whether samples that are gone are meant.
    pub(super) fn asks_for_deletions(&self) -> bool {
        let provenance = self.provenance.as_ref();
        let inner = [&self.and, &self.or].into_iter().flatten();
        provenance.is_some_and(|filter| filter.asks_for(HistoryKind::Delete))
            || inner.into_iter().any(|filter| filter.asks_for_deletions())
    }

    fn size(&self) -> usize {
        let inner = [&self.and, &self.or, &self.not].into_iter().flatten();
        1 + inner.map(|filter| filter.size()).sum::<usize>()
    }
}
