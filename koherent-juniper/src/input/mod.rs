//! What clients say: which entries, which tasks, how many, in which order.

mod filter;
mod page;

pub use filter::{ProvenanceFilter, TaskFilter};
pub use page::{HistoryOrder, OffsetPaginationInput};
