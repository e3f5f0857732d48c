//! What to do about a request without a token.

/// Whether a request must carry the token.
///
/// It is about absence alone: a token that is there and wrong is refused under either rule.
///
/// ```
/// use koherent_tower::Presence;
/// assert_eq!(Presence::default(), Presence::Optional);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "a token is needed or it is not")]
pub enum Presence {
    /// A request without the token passes on, and its changes have no task.
    #[default]
    Optional,
    /// A request without the token is answered 401.
    Required,
}
