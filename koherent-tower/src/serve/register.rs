//! The connections there are, and who goes where there are too many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Register {
    entries: Mutex<Entries>,
    /// Told when a connection is gone, or might go.
    changed: Notify,
    cut: CancellationToken,
}

#[derive(Debug, Default)]
struct Entries {
    of: HashMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    since: Instant,
    cut: CancellationToken,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has been sent on it yet.
    New,
    /// The next request is waited for.
    Idle,
    /// The head of a request has begun to come.
    Head,
    /// A request is answered, or the connection is no HTTP any more.
    Busy,
}

impl Register {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            changed: Notify::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Enters a connection; it is there as long as its place is.
    pub(super) fn enter(register: &Arc<Self>) -> Place {
        let cut = register.cut.child_token();
        let mut entries = register.lock();
        let id = entries.next;
        entries.next += 1;
        let entry = Entry {
            phase: Phase::New,
            since: Instant::now(),
            cut: cut.clone(),
        };
        entries.of.insert(id, entry);
        let register = Arc::clone(register);
        Place { register, id, cut }
    }

    /// Waits until there is room for another connection. Meanwhile the one that has kept silent for longest goes.
    pub(super) async fn place(&self, most: usize) {
        loop {
            let changed = self.changed.notified();
            if self.lock().of.len() < most {
                return;
            }
            self.close_longest_silent();
            changed.await;
        }
    }

    /// Closes the connection that has waited for its request for longest, if any waits.
    pub(super) fn close_longest_silent(&self) {
        let entries = self.lock();
        let silent = entries.of.values();
        let silent = silent.filter(|entry| entry.phase != Phase::Busy && !entry.cut.is_cancelled());
        if let Some(longest) = silent.min_by_key(|entry| entry.since) {
            longest.cut.cancel();
        }
    }

    /// Waits until there is no connection.
    pub(super) async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().of.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Cuts all connections; says how many there were.
    pub(super) fn cut(&self) -> usize {
        self.cut.cancel();
        self.lock().of.len()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection in the register.
#[derive(Debug)]
pub(super) struct Place {
    register: Arc<Register>,
    id: u64,
    cut: CancellationToken,
}

impl Place {
    pub(super) fn phase(&self) -> Phase {
        let entries = self.register.lock();
        entries
            .of
            .get(&self.id)
            .map_or(Phase::Busy, |entry| entry.phase)
    }

    /// Says what the connection does from now on.
    pub(super) fn enter(&self, phase: Phase) {
        if let Some(entry) = self.register.lock().of.get_mut(&self.id) {
            entry.phase = phase;
            entry.since = Instant::now();
        }
        if phase == Phase::Idle {
            self.register.changed.notify_waiters();
        }
    }

    /// Says that something has come, where it was waited for.
    pub(super) fn heard(&self) {
        if let Some(entry) = self.register.lock().of.get_mut(&self.id)
            && matches!(entry.phase, Phase::New | Phase::Idle)
        {
            entry.phase = Phase::Head;
        }
    }

    /// What ends with the connection.
    pub(super) const fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.lock().of.remove(&self.id);
        self.register.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_connection_goes_and_a_busy_one_never_does() {
        let register = Arc::new(Register::new());
        let places: Vec<_> = (0..3).map(|_| Register::enter(&register)).collect();
        places[0].enter(Phase::Busy);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        places[1].enter(Phase::Idle);
        register.close_longest_silent();
        let cut: Vec<_> = places
            .iter()
            .map(|place| place.cut().is_cancelled())
            .collect();
        assert_eq!(cut, [false, false, true]);
        register.close_longest_silent();
        register.close_longest_silent();
        assert!(places[1].cut().is_cancelled() && !places[0].cut().is_cancelled());
        drop(places);
        register.empty().await;
        register.place(1).await;
    }
}
