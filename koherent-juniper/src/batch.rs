//! Loading for many resolvers at once.
//!
//! Juniper resolves the fields of a list side by side. Each of them asks for its own; the first that asked waits until all
//! have, and asks for all.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use futures_channel::oneshot;

use crate::error::Error;

/// What resolvers that stand side by side ask for, asked at once: one statement instead of one per row.
///
/// Keep one in the context of a request. The answers are in the order of the questions. Nothing is remembered: who asks
/// after a change sees it.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), koherent_juniper::Error> {
/// use koherent_juniper::Batch;
///
/// let squares: Batch<i64, i64> = Batch::new();
/// let load = |numbers: Vec<i64>| async move {
///     assert_eq!(numbers, [2, 3]); // asked for once, together
///     Ok(numbers.iter().map(|number| number * number).collect())
/// };
/// let (two, three) = tokio::join!(squares.ask(2, load), squares.ask(3, load));
/// assert_eq!((two?, three?), (4, 9));
/// # Ok(())
/// # }
/// ```
pub struct Batch<K, V> {
    waiting: Mutex<Waiting<K, V>>,
}

struct Waiting<K, V> {
    questions: Vec<Question<K, V>>,
    /// Whether one of those who asked will ask for all.
    has_speaker: bool,
}

struct Question<K, V> {
    key: K,
    answer: oneshot::Sender<Result<V, Error>>,
}

/// How often the speaker lets others run, with nobody else asking, before it asks. Lists inside of lists wake one after the
/// other.
const PATIENCE: u32 = 16;

impl<K, V> Default for Batch<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for Batch<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

impl<K, V> Batch<K, V> {
    /// Nobody has asked yet.
    #[must_use]
    pub const fn new() -> Self {
        let waiting = Waiting {
            questions: Vec::new(),
            has_speaker: false,
        };
        Self {
            waiting: Mutex::new(waiting),
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting<K, V>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, together with whoever asks meanwhile. `load` answers all: one value per key, in their order.
    ///
    /// # Errors
    ///
    /// What `load` fails with; all get it.
    pub async fn ask<F>(&self, key: K, load: impl Fn(Vec<K>) -> F) -> Result<V, Error>
    where
        K: Clone,
        F: Future<Output = Result<Vec<V>, Error>>,
    {
        // Where the speaker is dropped half-way, the others ask again.
        loop {
            let (answer, answered) = oneshot::channel();
            let speaks = {
                let mut waiting = self.waiting();
                let key = key.clone();
                waiting.questions.push(Question { key, answer });
                !std::mem::replace(&mut waiting.has_speaker, true)
            };
            if speaks {
                let speaker = Speaker {
                    batch: self,
                    has_asked: false,
                };
                speaker.wait_for_others().await;
                let questions = speaker.take();
                let keys = questions.iter().map(|asked| asked.key.clone()).collect();
                answer_all(questions, load(keys).await);
            }
            if let Ok(value) = answered.await {
                return value;
            }
        }
    }
}

/// The one who asks for all. Where it goes before it has asked, all are told to ask again.
struct Speaker<'b, K, V> {
    batch: &'b Batch<K, V>,
    has_asked: bool,
}

impl<K, V> Speaker<'_, K, V> {
    async fn wait_for_others(&self) {
        let (mut asked, mut quiet) = (0, 0);
        while quiet < PATIENCE {
            let_others_run().await;
            let now = self.batch.waiting().questions.len();
            quiet = if now == asked { quiet + 1 } else { 0 };
            asked = now;
        }
    }

    /// The questions, of which those need no answer whose asker is gone.
    fn take(mut self) -> Vec<Question<K, V>> {
        self.has_asked = true;
        let mut waiting = self.batch.waiting();
        waiting.has_speaker = false;
        let mut questions = std::mem::take(&mut waiting.questions);
        drop(waiting);
        questions.retain(|asked| !asked.answer.is_canceled());
        questions
    }
}

impl<K, V> Drop for Speaker<'_, K, V> {
    fn drop(&mut self) {
        if self.has_asked {
            return;
        }
        let mut waiting = self.batch.waiting();
        waiting.has_speaker = false;
        let unanswered = std::mem::take(&mut waiting.questions);
        drop(waiting);
        drop(unanswered);
    }
}

fn answer_all<K, V>(questions: Vec<Question<K, V>>, answers: Result<Vec<V>, Error>) {
    let asked = questions.len();
    match answers {
        Ok(answers) if answers.len() == asked => {
            for (question, answer) in questions.into_iter().zip(answers) {
                let _ = question.answer.send(Ok(answer));
            }
        }
        Ok(answers) => {
            tracing::error!(
                asked,
                answered = answers.len(),
                "a loader answers other questions than were asked"
            );
            for question in questions {
                let _ = question.answer.send(Err(Error::internal()));
            }
        }
        Err(error) => {
            for question in questions {
                let _ = question.answer.send(Err(error.clone()));
            }
        }
    }
}

/// Ready when it is polled again.
fn let_others_run() -> impl Future<Output = ()> {
    let mut polled = false;
    std::future::poll_fn(move |context| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use futures_util::stream::{FuturesUnordered, StreamExt as _};

    use super::*;

    type Doubles = Batch<usize, usize>;

    async fn double(batch: &Doubles, loads: &AtomicUsize, number: usize) -> usize {
        let load = |numbers: Vec<usize>| async move {
            loads.fetch_add(1, Ordering::Relaxed);
            let_others_run().await;
            Ok(numbers.iter().map(|number| 2 * number).collect())
        };
        batch.ask(number, load).await.unwrap()
    }

    /// Lists inside of lists, as Juniper runs them.
    #[tokio::test]
    async fn all_that_stand_side_by_side_are_asked_for_once() {
        let (batch, loads) = (Doubles::new(), AtomicUsize::new(0));
        let lists = (0..60).map(|list| {
            let (batch, loads) = (&batch, &loads);
            async move {
                let items = (0..40).map(|item| double(batch, loads, 40 * list + item));
                items
                    .collect::<FuturesUnordered<_>>()
                    .collect::<Vec<_>>()
                    .await
            }
        });
        let lists: Vec<_> = lists.collect::<FuturesUnordered<_>>().collect().await;
        let mut found: Vec<_> = lists.into_iter().flatten().collect();
        found.sort_unstable();
        assert_eq!(found, (0..2400).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    }

    /// Whoever is dropped, at whichever moment, the others are answered.
    #[tokio::test]
    async fn others_are_answered_when_one_is_dropped() {
        use futures_util::FutureExt as _;
        for dropped in 0..4 {
            for polls in 0..60 {
                let (batch, loads) = (Doubles::new(), AtomicUsize::new(0));
                let mut asking: Vec<_> = (0..4)
                    .map(|n| double(&batch, &loads, n).boxed_local())
                    .collect();
                let mut answered = Vec::new();
                for at in (0..polls).map(|poll| poll % 4) {
                    if !answered.contains(&at) && futures_util::poll!(&mut asking[at]).is_ready() {
                        answered.push(at);
                    }
                }
                let others = asking.into_iter().enumerate();
                let others = others.filter(|(at, _)| *at != dropped && !answered.contains(at));
                let others = join_all(others.map(|(_, one)| one));
                let others = tokio::time::timeout(std::time::Duration::from_secs(10), others).await;
                others.expect("nobody waits for ever");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn askers_on_several_threads_are_answered() {
        let (batch, loads) = (Arc::new(Doubles::new()), Arc::new(AtomicUsize::new(0)));
        let askers: Vec<_> = (0..2000)
            .map(|number| {
                let (batch, loads) = (Arc::clone(&batch), Arc::clone(&loads));
                tokio::spawn(async move { (number, double(&batch, &loads, number).await) })
            })
            .collect();
        for asker in askers {
            let (number, double) = asker.await.unwrap();
            assert_eq!(double, 2 * number);
        }
    }

    #[tokio::test]
    async fn failures_are_everybodys() {
        let batch = Doubles::new();
        let fail = |_: Vec<usize>| async { Err(Error::internal()) };
        let (one, other) = tokio::join!(batch.ask(1, fail), batch.ask(2, fail));
        assert_eq!(
            (one.unwrap_err().reason(), other.unwrap_err().reason()),
            ("INTERNAL", "INTERNAL")
        );
        // A loader that answers too little is not believed.
        let too_little = |_: Vec<usize>| async { Ok(Vec::new()) };
        assert!(batch.ask(1, too_little).await.is_err());
    }
}
