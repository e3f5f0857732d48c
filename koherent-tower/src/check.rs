//! What a layer asks of a request, and what it decides: the two checks are in `principal.rs` and `provenance.rs`.

use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Response};
use koherent_core::Attribution;
use koherent_core::source::{Need, Refresh};

use crate::refresh;
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
    /// It is answered, and may be sent again after that time, where something will be loaded then.
    Refuse(Rejection, Option<Duration>),
    /// It cannot be decided before this is loaded.
    LoadFirst(Refresh),
}

/// Does about a need what can be done without waiting; says when what is missing may be loaded again.
pub(crate) fn act_on(need: Need) -> Result<Option<Duration>, Decision> {
    match need {
        Need::First(load) => Err(Decision::LoadFirst(load)),
        Need::Beside(load) => {
            refresh::begin(load);
            Ok(None)
        }
        Need::Later(wait) => Ok(Some(wait)),
        Need::Nothing => Ok(None),
    }
}

/// The answer to a refused request. Refused tokens have been logged by the check, which knows whose they are.
pub(crate) fn answer(
    responder: &Responder,
    rejection: Rejection,
    headers: &HeaderMap,
    retry: Option<Duration>,
) -> Response<Bytes> {
    let mut response = match rejection {
        Rejection::AccessToken(_) | Rejection::ProvenanceToken(_) => {
            responder.respond_silently(rejection, headers)
        }
        other => responder.respond(other, headers),
    };
    if let Some(retry) = retry {
        let seconds = HeaderValue::from(u64::from(retry.subsec_nanos() > 0) + retry.as_secs());
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

impl From<Rejection> for Decision {
    fn from(rejection: Rejection) -> Self {
        Self::Refuse(rejection, None)
    }
}
