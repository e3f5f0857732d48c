//! What clients say: which entries, which tasks, how many, in which order.

mod date;
mod filter;
mod page;
mod tasks;

pub use date::DateTime;
pub use filter::ProvenanceFilter;
pub use page::{HistoryOrder, OffsetPaginationInput};
pub use tasks::TaskFilter;
