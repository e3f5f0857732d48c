//! How long a client may let us wait, by what it has sent or taken.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The bytes that buy a client another second.
const BYTES_PER_SECOND: u64 = 500;

/// The time for which a client may let us wait. Waiting uses it up, and each byte gives some of it back, so that a byte now
/// and then does not keep a connection.
#[derive(Debug)]
pub(super) struct Allowance {
    left: Duration,
    most: Duration,
    /// Since when it is waited.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Allowance {
    pub(super) const fn new(most: Duration) -> Self {
        Self {
            left: most,
            most,
            since: None,
            timer: None,
        }
    }

    /// Waits; ready when the client has let us wait for too long.
    pub(super) fn poll_used_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            let until = now + self.left;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(until),
                None => self.timer = Some(Box::pin(sleep_until(until))),
            }
        }
        let timer = self.timer.as_mut();
        timer.map_or(Poll::Pending, |timer| timer.as_mut().poll(cx))
    }

    /// The client has sent or taken so many bytes.
    pub(super) fn moved(&mut self, bytes: usize) {
        let waited = self.since.take().map_or(Duration::ZERO, |at| at.elapsed());
        let gained = Duration::from_millis(bytes as u64 * 1000 / BYTES_PER_SECOND);
        self.left = (self.left.saturating_sub(waited) + gained).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    async fn is_used_up(allowance: &mut Allowance) -> bool {
        poll_fn(|cx| Poll::Ready(allowance.poll_used_up(cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_does_not_help_and_a_steady_stream_does() {
        for (bytes, holds) in [(1, false), (5_000, true)] {
            let mut allowance = Allowance::new(Duration::from_secs(30));
            let mut held = true;
            for _ in 0..20 {
                held &= !is_used_up(&mut allowance).await;
                advance(Duration::from_secs(9)).await;
                held &= !is_used_up(&mut allowance).await;
                allowance.moved(bytes);
            }
            assert_eq!(held, holds, "{bytes} bytes in 9 s");
        }
    }
}
