//! Turns: the writers of one process wait for each other in order, rather than for a lock of the database's.

use crate::remembered::Remembered;

/// How a transaction begins.
#[derive(Debug, Clone)]
#[expect(unnameable_types, reason = "nobody else begins transactions with it")]
pub struct Begin {
    /// The statement.
    pub(crate) sql: String,
    /// Whether it may write: then it takes a turn, where the database lets one write at a time.
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(dead_code, reason = "other databases let many write at a time")
    )]
    pub(crate) writes: bool,
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(dead_code, reason = "other databases let many write at a time")
    )]
    pub(crate) remembered: Remembered,
}

/// The right to write, where the database lets one write at a time. The next writer has it when this one is dropped.
#[derive(Debug, Default)]
#[expect(unnameable_types, reason = "only transactions hold one")]
pub struct Turn {
    #[cfg(feature = "sqlite")]
    #[expect(dead_code, reason = "it is held, and given back when it is dropped")]
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
}

#[cfg(feature = "sqlite")]
pub(crate) use of_files::Gate;

#[cfg(feature = "sqlite")]
mod of_files {
    use std::collections::HashMap;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::Thread;
    use std::time::{Duration, Instant};

    use diesel::QueryResult;
    use diesel::result::{DatabaseErrorKind, Error as DieselError};
    use tokio::sync::OwnedMutexGuard;
    use tokio::task::unconstrained;

    use super::Turn;

    /// What all writers of one file go through, one after the other, in the order in which they came.
    #[derive(Debug, Clone)]
    pub(crate) struct Gate(Arc<Inner>);

    #[derive(Debug, Default)]
    struct Inner {
        lock: Arc<tokio::sync::Mutex<()>>,
        /// How many turns there have been.
        turns: AtomicU64,
    }

    /// The gates of this process, by the file of the database.
    static GATES: LazyLock<Mutex<HashMap<String, Weak<Inner>>>> = LazyLock::new(Mutex::default);

    /// How long one turn may last before those behind it give up: whoever waits for itself does not wait for ever.
    const PATIENCE: Duration = Duration::from_secs(30);

    impl Gate {
        /// The gate of a file. Whoever asks for the same file has the same.
        pub(crate) fn of(file: &str) -> Self {
            let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = gates.get(file).and_then(Weak::upgrade) {
                return Self(known);
            }
            gates.retain(|_, gate| gate.strong_count() > 0);
            let gate = Arc::default();
            gates.insert(file.to_owned(), Arc::downgrade(&gate));
            Self(gate)
        }

        /// Waits for a turn.
        #[cfg(feature = "async")]
        pub(crate) async fn turn(&self) -> QueryResult<Turn> {
            let mut waiting = pin!(unconstrained(Arc::clone(&self.0.lock).lock_owned()));
            if tokio::runtime::Handle::try_current().is_err() {
                // Nothing there can tell the time.
                return Ok(self.taken(waiting.await));
            }
            loop {
                let before = self.turns();
                match tokio::time::timeout(PATIENCE, &mut waiting).await {
                    Ok(guard) => return Ok(self.taken(guard)),
                    Err(_) if self.turns() == before => return Err(waited_in_vain()),
                    Err(_) => {}
                }
            }
        }

        /// Waits for a turn, on this thread.
        pub(crate) fn turn_blocking(&self) -> QueryResult<Turn> {
            self.turn_within(PATIENCE)
        }

        fn turn_within(&self, patience: Duration) -> QueryResult<Turn> {
            let mut waiting = pin!(unconstrained(Arc::clone(&self.0.lock).lock_owned()));
            let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
            let mut context = Context::from_waker(&waker);
            loop {
                let (before, since) = (self.turns(), Instant::now());
                while since.elapsed() < patience {
                    if let Poll::Ready(guard) = waiting.as_mut().poll(&mut context) {
                        return Ok(self.taken(guard));
                    }
                    std::thread::park_timeout(patience.saturating_sub(since.elapsed()));
                }
                if self.turns() == before {
                    return Err(waited_in_vain());
                }
            }
        }

        fn turns(&self) -> u64 {
            self.0.turns.load(Ordering::Relaxed)
        }

        fn taken(&self, guard: OwnedMutexGuard<()>) -> Turn {
            self.0.turns.fetch_add(1, Ordering::Relaxed);
            Turn { guard: Some(guard) }
        }
    }

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn waited_in_vain() -> DieselError {
        let message = "database table is locked: another transaction of this process has been writing for too long; is it \
                       waiting for this one?";
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()))
    }

    #[cfg(test)]
    mod tests {
        use std::sync::mpsc;
        use std::thread;
        use std::time::Duration;

        use super::Gate;

        #[test]
        fn writers_of_one_file_have_one_gate() {
            let (a, b) = (Gate::of("/a.db"), Gate::of("/b.db"));
            let _turn = a.turn_blocking().unwrap();
            let _other = b.turn_blocking().unwrap();
            let waits = Gate::of("/a.db").turn_within(Duration::from_millis(10));
            assert!(waits.is_err());
        }

        #[test]
        fn turns_go_in_the_order_of_those_who_came() {
            let gate = Gate::of("/order.db");
            let first = gate.turn_blocking().unwrap();
            let (said, heard) = mpsc::channel();
            let mut writers = Vec::new();
            for n in 0..8 {
                let (gate, said) = (gate.clone(), said.clone());
                let (waits, waiting) = mpsc::channel();
                writers.push(thread::spawn(move || {
                    waits.send(()).unwrap();
                    let _turn = gate.turn_blocking().unwrap();
                    said.send(n).unwrap();
                }));
                waiting.recv().unwrap();
                thread::sleep(Duration::from_millis(20));
            }
            drop((first, said));
            assert_eq!(heard.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
            writers
                .into_iter()
                .for_each(|writer| writer.join().unwrap());
        }

        #[test]
        fn a_long_queue_is_no_reason_to_give_up() {
            const TURN: Duration = Duration::from_millis(30);
            let gate = Gate::of("/long.db");
            let writers: Vec<_> = (0..8)
                .map(|_| {
                    let gate = gate.clone();
                    thread::spawn(move || {
                        // The queue takes longer than any of them would wait for one turn.
                        let turn = gate.turn_within(TURN * 4);
                        thread::sleep(TURN);
                        turn.is_ok()
                    })
                })
                .collect();
            assert!(writers.into_iter().all(|writer| writer.join().unwrap()));
        }
    }
}
