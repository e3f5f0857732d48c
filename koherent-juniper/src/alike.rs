//! Questions that can be one statement.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use crate::error::Error;
use crate::question::Listed;

/// Questions that are asked in the same way, and so can be one statement.
pub(crate) struct Alike<'q, Q> {
    /// Each once.
    pub(crate) questions: Vec<&'q Q>,
    /// Where the question with that number was asked.
    pub(crate) places: Vec<(usize, usize)>,
    pub(crate) numbers: HashMap<String, usize>,
}

/// Puts questions together that are `alike`; `key` tells them from each other, `room` says how many may be together.
pub(crate) fn alike_groups<Q>(
    asked: &[Q],
    room: impl Fn(&Q) -> usize,
    alike: impl Fn(&Q, &Q) -> bool,
    key: impl Fn(&Q) -> String,
) -> Vec<Alike<'_, Q>> {
    let mut groups: Vec<Alike<'_, Q>> = Vec::new();
    for (place, question) in asked.iter().enumerate() {
        let key = key(question);
        let fits = |group: &Alike<'_, Q>| {
            let has_room =
                group.questions.len() < room(question) || group.numbers.contains_key(&key);
            has_room && alike(group.questions[0], question)
        };
        let at = groups.iter().position(fits).unwrap_or_else(|| {
            groups.push(Alike {
                questions: Vec::new(),
                places: Vec::new(),
                numbers: HashMap::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[at];
        let next = group.questions.len();
        let number = *group.numbers.entry(key).or_insert(next);
        if number == next {
            group.questions.push(question);
        }
        group.places.push((place, number));
    }
    groups
}

/// Loads what was asked, each question once: fields at the root that are asked for twice show the same.
pub(crate) async fn each_once<'q, Q, V, F>(
    asked: &'q [Q],
    load: impl Fn(&'q Q) -> F,
) -> Vec<Listed<V>>
where
    Q: PartialEq,
    F: Future<Output = Result<Vec<V>, koherent_diesel::Error>>,
{
    let mut answers: Vec<Listed<V>> = Vec::with_capacity(asked.len());
    for (at, question) in asked.iter().enumerate() {
        let answer = match asked[..at].iter().position(|known| known == question) {
            Some(known) => answers[known].clone(),
            None => {
                let found = load(question).await.map_err(Error::from);
                found.map(|found| found.into_iter().map(Arc::new).collect())
            }
        };
        answers.push(answer);
    }
    answers
}

/// How many there are.
pub(crate) fn count<V>(found: &[V]) -> u32 {
    u32::try_from(found.len()).unwrap_or(u32::MAX)
}
