//! `PrincipalLayer`: who is calling, from an access token.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tower_layer::Layer;

use crate::access::AccessVerifier;
use crate::check::{Check, Decision, act_on};
use crate::context::{LoginChecked, ProvenanceChecked};
use crate::policy::Presence;
use crate::rejection::{Rejection, Responder, TokenKind, log_refusal};
use crate::service::Gate;

/// Takes `Authorization: Bearer` (RFC 6750 §2.1), verifies the access token, and puts a
/// [`Principal`](koherent_core::Principal) into the request's extensions.
///
/// A service with another login does not need it: see [`LoginChecked`].
///
/// ```
/// use koherent_tower::{AccessVerifier, AccessIssuer, PrincipalLayer, Presence};
/// # let keys = koherent_core::KeySource::inline(r#"{"keys": []}"#);
///
/// let login = AccessIssuer::new("https://login.example", keys, ["RS256"])?;
/// let layer = PrincipalLayer::new(AccessVerifier::new("lab", [login])?).with_presence(Presence::Required);
/// # Ok::<(), koherent_tower::access::SetupError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct PrincipalLayer {
    check: PrincipalCheck,
}

/// The service that [`PrincipalLayer`] makes.
pub type PrincipalService<S> = Gate<S, PrincipalCheck>;

/// What [`PrincipalLayer`] checks.
#[derive(Debug, Clone)]
pub struct PrincipalCheck {
    verifier: Arc<AccessVerifier>,
    presence: Presence,
    responder: Responder,
}

impl PrincipalLayer {
    /// A layer that lets requests without a login pass, as such.
    pub fn new(verifier: AccessVerifier) -> Self {
        Self {
            check: PrincipalCheck {
                verifier: Arc::new(verifier),
                presence: Presence::Optional,
                responder: Responder::default(),
            },
        }
    }

    /// The same layer, with another rule for requests without a login.
    pub const fn with_presence(mut self, presence: Presence) -> Self {
        self.check.presence = presence;
        self
    }

    /// The same layer, answering rejections otherwise.
    pub fn with_responder(mut self, responder: Responder) -> Self {
        self.check.responder = responder;
        self
    }
}

impl<S> Layer<S> for PrincipalLayer {
    type Service = PrincipalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, self.check.clone())
    }
}

impl Check for PrincipalCheck {
    fn check(&self, request: &mut http::request::Parts, may_wait: bool) -> Decision {
        let checked = &request.extensions;
        if checked.get::<ProvenanceChecked>().is_some() && checked.get::<LoginChecked>().is_none() {
            return Rejection::NoLoginLayer.into();
        }
        let token = match bearer_token(&request.headers) {
            Ok(token) => token,
            Err(rejection) => return rejection.into(),
        };
        let Some(token) = token else {
            if self.presence == Presence::Required {
                return Rejection::Missing(TokenKind::AccessToken).into();
            }
            self.mark(request);
            return Decision::PassOn(None);
        };
        let (verdict, need) = self.verifier.verdict(token, may_wait);
        let retry = match act_on(need) {
            Ok(retry) => retry,
            Err(decision) => return decision,
        };
        match verdict {
            Ok(principal) => {
                self.mark(request);
                request.extensions.insert(principal);
                Decision::PassOn(None)
            }
            Err(error) => {
                log_refusal(TokenKind::AccessToken, token, &request.headers, &error);
                Decision::Refuse(Rejection::AccessToken(error), retry)
            }
        }
    }

    fn responder(&self) -> &Responder {
        &self.responder
    }
}

impl PrincipalCheck {
    fn mark(&self, request: &mut http::request::Parts) {
        request.extensions.insert(LoginChecked);
        request.extensions.insert(self.responder.clone());
    }
}

/// The token of the one `Authorization` header there may be. The scheme is compared without case (RFC 9110 §11.1).
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Rejection::Repeated(TokenKind::AccessToken));
    }
    let unreadable = Rejection::Unreadable(TokenKind::AccessToken);
    let text = value.to_str().map_err(|_| unreadable.clone())?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Ok(Some(token))
        }
        _ => Err(unreadable),
    }
}
