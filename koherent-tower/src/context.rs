//! What the layers leave behind for the code below them: marks in the request's extensions, and the attribution of the
//! request that is being served.

use koherent_core::Attribution;

tokio::task_local! {
    pub(crate) static CURRENT: Option<Attribution>;
}

/// The attribution of the request that this code serves, for code deep below the handler.
///
/// It is bound to the task that polls the handler: inside `spawn` and `spawn_blocking` there is none. Handlers take the
/// attribution as an argument instead (the extractor `Attribution`), and hand it on.
///
/// ```
/// assert!(koherent_tower::current().is_none(), "no request is being served here");
/// ```
#[must_use]
pub fn current() -> Option<Attribution> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Left in the extensions by whatever looked for a login, whether it found one or not.
///
/// It lets [`ProvenanceLayer`](crate::ProvenanceLayer) tell a request without login (401) from a service without login
/// layer (500). A service with a login of its own inserts it beside its `Principal`:
///
/// ```
/// use koherent_core::Principal;
/// use koherent_tower::LoginChecked;
///
/// fn after_own_login<B>(request: &mut http::Request<B>, who: Option<Principal>) {
///     request.extensions_mut().insert(LoginChecked);
///     if let Some(principal) = who {
///         request.extensions_mut().insert(principal);
///     }
/// }
/// # let mut request = http::Request::new(());
/// # after_own_login(&mut request, None);
/// # assert!(request.extensions().get::<LoginChecked>().is_some());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is a mark")]
pub struct LoginChecked;

/// Left in the extensions by [`ProvenanceLayer`](crate::ProvenanceLayer), whether there was a token or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvenanceChecked;
