#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod cells;
mod form;
mod problem;
mod question;
mod router;

pub use answer::{
    Activity, Change, Counted, Entry, Link, LinkedRow, Page, Task, TransactionOutcome, Value,
};
pub use problem::Problem;
pub use question::{Form, Format, Kind, Order, Question, Sort};
pub use router::{openapi, router, router_for};
