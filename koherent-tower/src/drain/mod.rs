//! What is left of a request's body when it is answered early: it is read and dropped, or the answer says that the
//! connection closes.
//!
//! HTTP/1.1 finds the next request of a connection behind the body of this one (RFC 9112 §9.3). A server that answers before
//! it has read the body must read the rest, or close the connection and say so (`Connection: close`, §9.6); otherwise the
//! client sends its next request into a connection that is gone.
//!
//! | file | idea |
//! | --- | --- |
//! | `rest.rs` | reads what is left, within bounds |
//! | `body.rs` | a body that comes back where it is dropped unread |
//! | `known.rs` | the rest of a request that a layer refuses, whatever its body is |
//! | `layer.rs` | [`DrainLayer`]: the same for whatever a service answers early |

mod body;
mod known;
mod layer;
mod rest;

pub use body::DrainedBody;
pub(crate) use known::{KnownBody, rest_of};
pub use layer::{DrainFuture, DrainLayer, DrainService};
pub(crate) use rest::{Rest, close};
