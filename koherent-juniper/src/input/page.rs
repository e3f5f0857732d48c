//! Pages.

use juniper::{GraphQLEnum, GraphQLInputObject};
use koherent_core::ErrorCode;

use crate::error::Error;

/// How many may be left out: each costs as much as if it were shown.
const MOST_LEFT_OUT: u32 = 10_000;

/// Which part of a list.
///
/// ```
/// use koherent_juniper::OffsetPaginationInput;
/// let page = OffsetPaginationInput { offset: 20, limit: Some(10) };
/// assert_eq!(page.checked(200).unwrap(), (20, 10));
/// assert!(page.checked(5).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, GraphQLInputObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL input")]
#[graphql(description = "Which part of a list.")]
pub struct OffsetPaginationInput {
    /// How many to leave out: at most 10,000.
    #[graphql(default = 0)]
    pub offset: i32,
    /// How many to show; without it, as many as one page may have.
    pub limit: Option<i32>,
}

impl OffsetPaginationInput {
    /// Offset and limit, where a page has at most `most` entries.
    ///
    /// # Errors
    ///
    /// A refusal with the reason `PAGE_INVALID`, which says what is allowed.
    pub fn checked(self, most: u32) -> Result<(u32, u32), Error> {
        let offset = u32::try_from(self.offset).ok();
        let limit = self
            .limit
            .map_or(Some(most), |limit| u32::try_from(limit).ok());
        match (offset, limit) {
            (Some(offset), Some(limit)) if offset <= MOST_LEFT_OUT && limit <= most => {
                Ok((offset, limit))
            }
            _ => Err(Error::refused(
                ErrorCode::BadRequest,
                "PAGE_INVALID",
                format!(
                    "Ask for an offset of 0 to {MOST_LEFT_OUT}, and for a limit of 0 to {most}; what lies further is found with a filter, or with `after` where there is one."
                ),
            )),
        }
    }
}

/// In which order entries, or tasks, come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, GraphQLEnum)]
#[expect(clippy::exhaustive_enums, reason = "there are two directions")]
pub enum HistoryOrder {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

impl From<HistoryOrder> for koherent_diesel::HistoryOrder {
    fn from(order: HistoryOrder) -> Self {
        match order {
            HistoryOrder::NewestFirst => Self::NewestFirst,
            HistoryOrder::OldestFirst => Self::OldestFirst,
        }
    }
}
