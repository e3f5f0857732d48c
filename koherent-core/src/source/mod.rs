//! Key sets and revocation lists that change while the service runs: where they come from, and when they are loaded again.
//!
//! ```text
//! KeySource::inline("{…}")            never changes
//! KeySource::file("keys.json")        read again at most once a second, when it is needed
//! KeySource::url("https://…", http)   fetched when it is needed, by the rules below
//!        │
//!     Live<T>  ── look ──▶  what is known now, without waiting, and whether to load first, beside, or not at all
//! ```
//!
//! # When a URL is fetched
//!
//! - Before the first token, and whenever a token names a key that is not known: it waits for the fetch. So a rotation is
//!   picked up at once, or within the interval if a load has just been made.
//! - Beside a request when the document is older than its *maximum age* (1 minute), and before a request when it is older
//!   than twice that, unless a load has just failed. So a removed key is refused soon, also where no unknown key ever comes.
//! - At most once per *interval* (10 seconds) and one at a time, whatever the traffic. A failed load counts: until the
//!   interval is over nobody waits for another.
//!
//! All of this is per issuer: two that name the same URL fetch it each.
//!
//! A failed load keeps what is known, for up to 24 hours for keys. Then, or if nothing was ever loaded, tokens are refused
//! with [`Error::KeysUnavailable`](crate::Error::KeysUnavailable).
//!
//! Intervals are measured by [`Clock::monotonic`](crate::Clock::monotonic): setting the machine's clock stretches none.
//!
//! Nothing here needs a runtime: a [`Refresh`] is a plain future, that whoever needs it drives. Who has a runtime spawns
//! it, so that it is finished even when the request that needed it is gone. Files are read where they are asked for, at
//! most once a second, which takes microseconds for a key set and milliseconds for a long revocation list: keep them on a
//! disk, not on a network that may hang.

mod fetch;
mod live;
mod origin;
mod refresh;

pub use fetch::{Fetch, FetchError, FetchFuture};
pub use live::{Live, View};
pub use origin::{KeySource, MAX_KEY_SET_BYTES, MAX_REVOCATION_LIST_BYTES};
pub use refresh::{Need, Refresh};
