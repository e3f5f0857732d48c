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
    next: u64,
    questions: Vec<Question<K, V>>,
}

struct Question<K, V> {
    number: u64,
    key: K,
    answer: oneshot::Sender<Result<V, Error>>,
}

/// How often the first lets others run before it asks. Lists inside of lists wake one after the other.
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
            next: 0,
            questions: Vec::new(),
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
        // Where the one that asked for all is dropped half-way, the others ask again.
        loop {
            let (answer, answered) = oneshot::channel();
            let number = {
                let mut waiting = self.waiting();
                let number = waiting.next;
                waiting.next += 1;
                waiting.questions.push(Question {
                    number,
                    key: key.clone(),
                    answer,
                });
                number
            };
            for _ in 0..PATIENCE {
                let_others_run().await;
            }
            let questions = {
                let mut waiting = self.waiting();
                let mine = waiting.questions.iter().any(|asked| asked.number == number);
                // A question whose asker is gone needs no answer.
                waiting
                    .questions
                    .retain(|asked| !asked.answer.is_canceled());
                match mine {
                    true => std::mem::take(&mut waiting.questions),
                    false => Vec::new(),
                }
            };
            if !questions.is_empty() {
                let keys = questions.iter().map(|asked| asked.key.clone()).collect();
                answer_all(questions, load(keys).await);
            }
            if let Ok(value) = answered.await {
                return value;
            }
        }
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
