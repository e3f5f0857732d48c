//! Extractors for axum handlers.
//!
//! | argument | gives | where the request has none |
//! | --- | --- | --- |
//! | `Attribution(who): Attribution` | who, through which client, under which task | 401; `Option<Attribution>` gives `None` |
//! | `Provenance(token): Provenance` | the verified token | 401; `Option<Provenance>` gives `None` |
//! | `Principal(who): Principal` | who is signed in | 401; `Option<Principal>` gives `None` |
//!
//! Where the layer that an extractor needs is not around the route, it answers 500 and the log says what to add. A token
//! that is present and wrong never reaches a handler, so `None` always means absent.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, HeaderMap};
use koherent_core::VerifiedToken;

use crate::context::{LoginChecked, ProvenanceChecked};
use crate::rejection::{Rejection, Responder, TokenKind};

/// The verified provenance token of the request.
///
/// ```
/// use koherent_tower::Provenance;
///
/// async fn which_task(Provenance(token): Provenance) -> String {
///     token.task().task_id.to_string()
/// }
/// async fn any_task(token: Option<Provenance>) -> &'static str {
///     if token.is_some() { "under a task" } else { "under no task" }
/// }
/// # let _: axum::Router = axum::Router::new()
/// #     .route("/1", axum::routing::get(which_task)).route("/2", axum::routing::get(any_task));
/// ```
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their arguments"
)]
pub struct Provenance(pub VerifiedToken);

/// The principal that is signed in.
///
/// ```
/// use koherent_tower::Principal;
///
/// async fn hello(Principal(who): Principal) -> String {
///     format!("hello {}", who.subject)
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(hello));
/// ```
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their arguments"
)]
pub struct Principal(pub koherent_core::Principal);

/// The attribution of the request, to be handed to the audited connection.
///
/// A request without login has none and is answered 401. A handler that serves such requests too takes
/// `Option<Attribution>` and says whose change it is: `who.unwrap_or_else(koherent_core::Attribution::anonymous)`.
///
/// ```
/// use koherent_tower::Attribution;
///
/// async fn whoami(Attribution(who): Attribution) -> String {
///     who.user().map(ToString::to_string).unwrap_or_default()
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(whoami));
/// ```
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart in their arguments"
)]
pub struct Attribution(pub koherent_core::Attribution);

/// An extractor found nothing, and what its layer answers then.
#[derive(Debug)]
pub struct Refusal {
    rejection: Rejection,
    responder: Responder,
    headers: HeaderMap,
}

impl Refusal {
    /// Why.
    #[must_use]
    pub const fn rejection(&self) -> &Rejection {
        &self.rejection
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let response = self.responder.respond(self.rejection, &self.headers);
        response.map(Body::from)
    }
}

/// The answer of a layer without a responder of its own.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let response = Responder::default().respond(self, &HeaderMap::new());
        response.map(Body::from)
    }
}

/// What an extractor looks up: its value, the mark of the layer that would have put it there, and what to say if neither
/// is there.
trait Lookup: Sized {
    type Mark: Clone + Send + Sync + 'static;
    const EXTRACTOR: &'static str;
    const LAYER: &'static str;
    const TOKEN: TokenKind;

    fn find(extensions: &Extensions) -> Result<Option<Self>, Rejection>;
}

fn optional<L: Lookup>(extensions: &Extensions) -> Result<Option<L>, Rejection> {
    let found = L::find(extensions)?;
    if found.is_none() && extensions.get::<L::Mark>().is_none() {
        return Err(Rejection::LayerMissing {
            extractor: L::EXTRACTOR,
            layer: L::LAYER,
        });
    }
    Ok(found)
}

fn refusal(parts: &Parts, rejection: Rejection) -> Refusal {
    let responder = parts.extensions.get::<Responder>();
    Refusal {
        rejection,
        responder: responder.cloned().unwrap_or_default(),
        headers: parts.headers.clone(),
    }
}

macro_rules! extractor {
    ($name:ident) => {
        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Refusal;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
                optional(&parts.extensions)
                    .and_then(|found| found.ok_or(Rejection::Missing(<Self as Lookup>::TOKEN)))
                    .map_err(|rejection| refusal(parts, rejection))
            }
        }

        impl<S: Sync> OptionalFromRequestParts<S> for $name {
            type Rejection = Refusal;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refusal> {
                optional(&parts.extensions).map_err(|rejection| refusal(parts, rejection))
            }
        }
    };
}

extractor!(Provenance);
extractor!(Principal);
extractor!(Attribution);

impl Lookup for Provenance {
    type Mark = ProvenanceChecked;
    const EXTRACTOR: &'static str = "Provenance";
    const LAYER: &'static str = "ProvenanceLayer";
    const TOKEN: TokenKind = TokenKind::ProvenanceToken;

    fn find(extensions: &Extensions) -> Result<Option<Self>, Rejection> {
        Ok(extensions.get::<VerifiedToken>().cloned().map(Self))
    }
}

impl Lookup for Principal {
    type Mark = LoginChecked;
    const EXTRACTOR: &'static str = "Principal";
    const LAYER: &'static str = "PrincipalLayer (or a login that inserts `LoginChecked`)";
    const TOKEN: TokenKind = TokenKind::AccessToken;

    fn find(extensions: &Extensions) -> Result<Option<Self>, Rejection> {
        Ok(extensions
            .get::<koherent_core::Principal>()
            .cloned()
            .map(Self))
    }
}

impl Lookup for Attribution {
    type Mark = ProvenanceChecked;
    const EXTRACTOR: &'static str = "Attribution";
    const LAYER: &'static str = "ProvenanceLayer";
    const TOKEN: TokenKind = TokenKind::AccessToken;

    fn find(extensions: &Extensions) -> Result<Option<Self>, Rejection> {
        let found = extensions
            .get::<koherent_core::Attribution>()
            .cloned()
            .map(Self);
        let checked = extensions.get::<ProvenanceChecked>().is_some();
        if found.is_none() && checked && extensions.get::<koherent_core::Principal>().is_some() {
            // Somebody is signed in, but was not yet when the task was looked for.
            return Err(Rejection::NoLoginLayer);
        }
        Ok(found)
    }
}
