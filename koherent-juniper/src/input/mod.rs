//! What clients say: which entries, which tasks, how many, in which order.

mod filter;
mod page;

pub(crate) use filter::key_of;
pub use filter::{ProvenanceFilter, TaskFilter, id_of};
pub use page::{HistoryOrder, OffsetPaginationInput};
