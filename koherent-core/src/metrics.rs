//! What is counted, through the facade of the crate `metrics`: whatever recorder the application installs gets
//! it; without one, counting costs next to nothing.
//!
//! | counter | labels | counts |
//! | --- | --- | --- |
//! | `koherent_verifications_total` | `token`: `provenance`, `access`; `outcome`: `ACCEPTED`, or the reason of the refusal | verified and refused tokens |
//! | `koherent_token_cache_hits_total` | `token` | accepted tokens that had been verified before |
//! | `koherent_refreshes_total` | `document`: `provenance keys`, `access keys`, `revocations`; `of`: the issuer; `outcome`: `changed`, `unchanged`, `failed` | loads of key sets and revocation lists |
//!
//! Labels come from the configuration and from constants, never from a token: their number is bounded.

use metrics::describe_counter;

/// Tells the recorder what each counter counts.
///
/// ```
/// koherent_core::metrics::describe();
/// ```
pub fn describe() {
    describe_counter!(
        "koherent_verifications_total",
        "Tokens that were verified, by kind and outcome"
    );
    describe_counter!(
        "koherent_token_cache_hits_total",
        "Accepted tokens that had been verified before"
    );
    describe_counter!(
        "koherent_refreshes_total",
        "Loads of key sets and revocation lists, by outcome"
    );
}
