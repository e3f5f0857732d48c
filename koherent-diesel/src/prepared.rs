//! Which statements are worth keeping as prepared ones.
//!
//! Diesel keeps no insert that can leave out columns, no update and no upsert: each choice of columns is a text of its own,
//! and who may choose columns in a request could make a server keep millions. But most applications make few choices. So
//! the first texts of each kind are kept, in the whole process, and no others.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Statements whose texts depend on what a request says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Inserts of one row.
    Insert,
    Upsert,
    Update,
    /// What is asked of histories.
    Read,
}

/// How many texts of each kind are kept.
const MOST: usize = 512;

/// How long a text may be for that, in bytes.
const LONGEST: usize = 16 * 1024;

type Texts = [Mutex<HashSet<u64>>; 4];

static KEPT: LazyLock<(RandomState, Texts)> = LazyLock::new(Default::default);

/// Whether that text is kept.
pub(crate) fn is_kept(kind: Kind, text: &str) -> bool {
    if text.len() > LONGEST {
        return false;
    }
    let (hasher, texts) = &*KEPT;
    let hash = hasher.hash_one(text);
    let mut texts = texts[kind as usize]
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    texts.contains(&hash) || (texts.len() < MOST && texts.insert(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_texts_are_kept() {
        let kept = (0..2 * MOST).filter(|n| is_kept(Kind::Upsert, &format!("text {n}")));
        assert_eq!(kept.count(), MOST);
        assert!(is_kept(Kind::Upsert, "text 0"));
        assert!(!is_kept(Kind::Insert, &"long".repeat(LONGEST)));
    }
}
