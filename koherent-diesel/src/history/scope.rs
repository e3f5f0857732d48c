//! Whose entries a reader may see.

use koherent_core::{Attribution, HistoryEntry, Organization};

use super::filter::push_texts;
use crate::engine::Engine;
use crate::script::Script;
use crate::sql::Write as _;

/// Whose entries a reader may see.
///
/// It is a setting of the reader, not of a query: resolvers and handlers that read through a scoped reader cannot forget
/// it.
///
/// A scope is about entries. Which rows somebody may see is the application's affair, with [`as_of`](crate::as_of) and
/// [`deleted`](crate::deleted) as with any other query; and an entry that may be seen says the whole change, the value that
/// stood there before included, whoever had written it. Rows of two organizations belong into two rows.
///
/// ```
/// use koherent_diesel::HistoryScope;
/// let scope = HistoryScope::organization("bio-lab");
/// assert_ne!(scope, HistoryScope::All);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryScope {
    /// All entries.
    All,
    /// Entries and tasks of one organization.
    Organization(Organization),
    /// Entries and tasks of no organization.
    NoOrganization,
    /// None at all.
    Nothing,
}

impl HistoryScope {
    /// Entries and tasks of that organization.
    pub fn organization(organization: impl Into<Organization>) -> Self {
        Self::Organization(organization.into())
    }

    /// What somebody sees who acts for that organization, or for none: entries and tasks that are its own.
    ///
    /// ```
    /// use koherent_core::{Attribution, Principal};
    /// use koherent_diesel::HistoryScope;
    ///
    /// let ann = Attribution::of(Principal::new("https://login.example", "ann", "lab-ui").with_organization("bio-lab"));
    /// assert_eq!(HistoryScope::own(&ann), HistoryScope::organization("bio-lab"));
    /// ```
    #[must_use]
    pub fn own(attribution: &Attribution) -> Self {
        match attribution.organization() {
            Some(organization) => Self::Organization(organization.clone()),
            None => Self::NoOrganization,
        }
    }

    /// What both allow.
    pub(crate) fn and(&self, other: Self) -> Self {
        match (self, other) {
            (Self::All, other) => other,
            (own, Self::All) => own.clone(),
            (own, other) if *own == other => other,
            _ => Self::Nothing,
        }
    }

    /// Writes ` AND …` for what it allows of `h`.
    pub(super) fn push<DB: Engine>(&self, sql: &mut Script<DB>, column: &str) {
        match self {
            Self::All => {}
            Self::Organization(organization) => push_texts(sql, "h", column, [organization]),
            Self::NoOrganization => {
                sql.push(" AND h.").push(column).push(" IS NULL");
            }
            Self::Nothing => {
                sql.push(" AND 1 = 0");
            }
        }
    }

    /// Whether it shows an entry.
    pub(crate) fn shows(&self, entry: Option<&HistoryEntry>) -> bool {
        match self {
            Self::All => true,
            Self::Organization(own) => {
                entry.is_some_and(|entry| entry.organization.as_ref() == Some(own))
            }
            Self::NoOrganization => entry.is_some_and(|entry| entry.organization.is_none()),
            Self::Nothing => false,
        }
    }
}
