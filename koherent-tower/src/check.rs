//! What a layer asks of a request, and what it decides: the two checks are in `principal.rs` and `provenance.rs`.

use bytes::Bytes;
use http::Response;
use koherent_core::Attribution;
use koherent_core::source::Refresh;

use crate::rejection::{Rejection, Responder};

/// What a layer decides about a request.
pub(crate) trait Check: Clone {
    /// Looks at headers and extensions, and puts what it verified into the extensions. It never waits. `may_wait` says
    /// whether it may ask to be called again when something has been loaded.
    fn check(&self, request: &mut http::request::Parts, may_wait: bool) -> Decision;

    fn responder(&self) -> &Responder;
}

/// What becomes of a request.
pub(crate) enum Decision {
    /// The inner service gets it, with its attribution, if it is this check that decides it.
    PassOn(Option<Attribution>),
    /// It is answered.
    Refuse(Rejection),
    /// It cannot be decided before this is loaded.
    LoadFirst(Refresh),
}

/// The answer to a refused request. Refused tokens have been logged by the check, which knows whose they are.
pub(crate) fn answer(responder: &Responder, rejection: Rejection) -> Response<Bytes> {
    match rejection {
        Rejection::AccessToken(_) | Rejection::ProvenanceToken(_) => {
            responder.respond_silently(rejection)
        }
        other => responder.respond(other),
    }
}

impl From<Rejection> for Decision {
    fn from(rejection: Rejection) -> Self {
        Self::Refuse(rejection)
    }
}
