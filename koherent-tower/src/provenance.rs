//! `ProvenanceLayer`: under which task the request comes, from a provenance token.

use std::sync::Arc;

use http::HeaderName;
use koherent_core::{Attribution, Error, Principal, VerifiedToken, Verifier, verify_actor};
use tower_layer::Layer;

use crate::check::{Check, Decision, act_on};
use crate::context::{LoginChecked, ProvenanceChecked};
use crate::policy::Presence;
use crate::rejection::{Rejection, Responder, TokenKind, correlation_id, log_refusal};
use crate::service::Gate;

/// The headers in which a task token may stand, bare, without a scheme before it: one of them, once.
pub const DEFAULT_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("rekuest-task"),
    HeaderName::from_static("x-rekuest-task"),
    HeaderName::from_static("provenance-token"),
    HeaderName::from_static("x-provenance-token"),
];

/// Takes the provenance token of a request, verifies it, binds it to the caller, and puts a
/// [`VerifiedToken`] and an [`Attribution`] into the request's extensions.
///
/// It stands *inside* of whatever signs the caller in, because a task token proves nothing about who presents it:
///
/// ```
/// use axum::{Router, routing::get};
/// use koherent_tower::{Presence, PrincipalLayer, ProvenanceLayer};
/// # use koherent_tower::{AccessIssuer, AccessVerifier};
/// # let login = AccessIssuer::new("https://login.example", koherent_core::KeySource::inline(r#"{"keys": []}"#), ["RS256"])?;
/// # let access_verifier = AccessVerifier::new("lab", [login])?;
/// # let verifier = koherent_core::testing::test_issuer("rekuest").verifier("lab");
///
/// let app: Router = Router::new()
///     .route("/samples", get(async || "samples"))
///     .layer(ProvenanceLayer::new(verifier))        // runs second
///     .layer(PrincipalLayer::new(access_verifier)); // runs first
/// # Ok::<(), koherent_tower::access::SetupError>(())
/// ```
///
/// A token that is present and wrong is refused, never taken for absent.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct ProvenanceLayer {
    check: ProvenanceCheck,
}

/// The service that [`ProvenanceLayer`] makes.
pub type ProvenanceService<S> = Gate<S, ProvenanceCheck>;

/// What [`ProvenanceLayer`] checks.
#[derive(Debug, Clone)]
pub struct ProvenanceCheck {
    verifier: Verifier,
    headers: Arc<[HeaderName]>,
    presence: Presence,
    binding: Binding,
    responder: Responder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    Required,
    OptedOut,
}

impl ProvenanceLayer {
    /// A layer that looks at [`DEFAULT_HEADERS`], lets requests without a task pass, and binds each token to the
    /// principal that is signed in.
    pub fn new(verifier: Verifier) -> Self {
        Self {
            check: ProvenanceCheck {
                verifier,
                headers: DEFAULT_HEADERS.into(),
                presence: Presence::Optional,
                binding: Binding::Required,
                responder: Responder::default(),
            },
        }
    }

    /// The same layer, with another rule for requests without a task.
    pub const fn with_presence(mut self, presence: Presence) -> Self {
        self.check.presence = presence;
        self
    }

    /// The same layer, looking at these headers alone, in this order.
    ///
    /// # Errors
    ///
    /// [`NoHeader`] where there is none: every token would be ignored.
    ///
    /// ```
    /// use http::HeaderName;
    /// # let verifier = koherent_core::testing::test_issuer("rekuest").verifier("lab");
    /// let layer = koherent_tower::ProvenanceLayer::new(verifier).with_headers([HeaderName::from_static("x-task")])?;
    /// # Ok::<(), koherent_tower::NoHeader>(())
    /// ```
    pub fn with_headers(
        mut self,
        headers: impl IntoIterator<Item = HeaderName>,
    ) -> Result<Self, NoHeader> {
        let mut names: Vec<HeaderName> = Vec::new();
        for name in headers {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(NoHeader);
        }
        self.check.headers = names.into();
        Ok(self)
    }

    /// The same layer, answering rejections otherwise.
    pub fn with_responder(mut self, responder: Responder) -> Self {
        self.check.responder = responder;
        self
    }

    /// The same layer, taking a token from whoever presents it.
    ///
    /// Without a login the change is then attributed to the actor that the token names: whoever gets hold of a token
    /// acts as that agent until it expires. Use it only where something in front of the service binds the two.
    pub const fn without_actor_binding(mut self) -> Self {
        self.check.binding = Binding::OptedOut;
        self
    }
}

/// The layer was given no header to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no header was given to look for provenance tokens: name at least one")]
#[non_exhaustive]
pub struct NoHeader;

/// Whether the sender means that header, and writes an underscore where it has a hyphen.
fn misnames(header: &HeaderName, sent: &HeaderName) -> bool {
    let (header, sent) = (header.as_str().as_bytes(), sent.as_str().as_bytes());
    let alike = |(own, sent): (&u8, &u8)| own == sent || (*own == b'-' && *sent == b'_');
    header.len() == sent.len() && header != sent && header.iter().zip(sent).all(alike)
}

impl<S> Layer<S> for ProvenanceLayer {
    type Service = ProvenanceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, self.check.clone())
    }
}

impl Check for ProvenanceCheck {
    fn check(&self, request: &mut http::request::Parts, may_wait: bool) -> Decision {
        let token = match self.token(request) {
            Ok(token) => token,
            Err(rejection) => return rejection.into(),
        };
        let mut verified = None;
        if let Some(token) = token {
            let (verdict, need) = if may_wait {
                self.verifier.verdict(token)
            } else {
                self.verifier.last_verdict(token)
            };
            let retry = match act_on(need) {
                Ok(retry) => retry,
                Err(decision) => return decision,
            };
            match verdict {
                Ok(token) => verified = Some(token),
                Err(error) => {
                    log_refusal(TokenKind::ProvenanceToken, token, &request.headers, &error);
                    return Decision::Refuse(Rejection::ProvenanceToken(error), retry);
                }
            }
        }
        match self.attribution(request, verified.as_ref()) {
            Ok(attribution) => {
                self.hand_on(request, verified, attribution.as_ref());
                Decision::PassOn(attribution)
            }
            Err(rejection) => rejection.into(),
        }
    }

    fn responder(&self) -> &Responder {
        &self.responder
    }
}

impl ProvenanceCheck {
    fn hand_on(
        &self,
        request: &mut http::request::Parts,
        token: Option<VerifiedToken>,
        attribution: Option<&Attribution>,
    ) {
        request.extensions.insert(ProvenanceChecked);
        request.extensions.insert(self.responder.clone());
        if let Some(token) = token {
            request.extensions.insert(token);
        }
        if let Some(attribution) = attribution {
            request.extensions.insert(attribution.clone());
        }
    }

    /// The one token there may be, over all the headers.
    fn token<'h>(&self, request: &'h http::request::Parts) -> Result<Option<&'h str>, Rejection> {
        let (headers, checked) = (&request.headers, &request.extensions);
        // Found at the first request of any kind, not at the first task weeks later.
        if self.binding == Binding::Required
            && checked.get::<LoginChecked>().is_none()
            && checked.get::<Principal>().is_none()
        {
            return Err(Rejection::NoLoginLayer);
        }
        let is_misnamed = |sent: &HeaderName| {
            !self.headers.contains(sent) && self.headers.iter().any(|own| misnames(own, sent))
        };
        if headers.keys().any(is_misnamed) {
            return Err(Rejection::Misnamed(TokenKind::ProvenanceToken));
        }
        let mut values = self.headers.iter().flat_map(|name| headers.get_all(name));
        let Some(value) = values.next() else {
            return match self.presence {
                Presence::Optional => Ok(None),
                Presence::Required => Err(Rejection::Missing(TokenKind::ProvenanceToken)),
            };
        };
        if values.next().is_some() {
            return Err(Rejection::Repeated(TokenKind::ProvenanceToken));
        }
        let text = value.to_str();
        text.map(Some)
            .map_err(|_| Rejection::Unreadable(TokenKind::ProvenanceToken))
    }

    /// Brings together who is calling and under which task.
    fn attribution(
        &self,
        request: &http::request::Parts,
        token: Option<&VerifiedToken>,
    ) -> Result<Option<Attribution>, Rejection> {
        let principal = request.extensions.get::<Principal>();
        let attribution = match (principal, token) {
            (None, None) => return Ok(None),
            (Some(principal), None) => Attribution::of(principal.clone()),
            (Some(principal), Some(token)) => {
                if self.binding == Binding::Required {
                    bind(token, principal).map_err(Rejection::ProvenanceToken)?;
                }
                Attribution::of(principal.clone()).with_unbound_task(token)
            }
            (None, Some(token)) if self.binding == Binding::OptedOut => {
                Attribution::of(actor(token)).with_unbound_task(token)
            }
            (None, Some(_)) => return Err(Rejection::TokenWithoutLogin),
        };
        Ok(Some(match correlation_id(&request.headers) {
            Some(id) => attribution.with_correlation_id(id),
            None => attribution,
        }))
    }
}

/// Binds the token to the principal. The log says which part differs; the client is told only that one does.
pub(crate) fn bind(token: &VerifiedToken, principal: &Principal) -> Result<(), Error> {
    verify_actor(token, principal).inspect_err(|error| {
        let task = token.task();
        tracing::warn!(
            task_id = %task.task_id, reason = error.reason(),
            token_subject = %task.agent, login_subject = %principal.subject,
            token_client = %task.agent_client_id, login_client = ?principal.client,
            token_actor_issuer = ?token.claims().actor_issuer, login_issuer = %principal.issuer,
            "provenance token refused: its actor (`act.sub`, `act.cid`, and `act.iss` where given) is not who is signed in"
        );
    })
}

/// The actor that a token names, as a principal.
fn actor(token: &VerifiedToken) -> Principal {
    let task = token.task();
    let issuer = token.claims().actor_issuer.as_ref().unwrap_or(&task.issuer);
    Principal::new(
        issuer.clone(),
        task.agent.clone(),
        task.agent_client_id.clone(),
    )
}
