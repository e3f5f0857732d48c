//! Tokens that were taken back before they expired.

use std::collections::HashSet;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::{Error, SetupError};
use crate::json::{Duplicates, Json, parse};
use crate::source::{KeySource, Live, Need};

/// How deep a list may nest: an object with a list of strings.
const MAX_DEPTH: usize = 4;

/// The ids (`jti`) of tokens that do not hold any more although they have not expired: the document
/// `{"revoked": ["id", …]}`, or the list alone.
///
/// It has at most 4 MiB ([`MAX_REVOCATION_LIST_BYTES`](crate::source::MAX_REVOCATION_LIST_BYTES)): list what has not
/// expired, and no more. It is fetched at most once per interval of its source, and loaded before a request when it is
/// older than twice that, unless a load has just failed; an old list is used rather than none. Until it was loaded once,
/// nobody can say that a token is not on it.
///
/// ```
/// use std::sync::Arc;
/// use koherent_core::source::Need;
/// use koherent_core::{Clock, Error, KeySource, RevocationList, SystemClock};
///
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock);
/// let list = RevocationList::new(KeySource::inline(r#"{"revoked": ["lost-laptop"]}"#))?;
/// let mut need = Need::Nothing;
/// assert_eq!(list.check("lost-laptop", &clock, &mut need), Err(Error::Revoked));
/// assert_eq!(list.check("another", &clock, &mut need), Ok(()));
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RevocationList(Live<HashSet<Box<str>>>);

impl RevocationList {
    /// The list of that source.
    ///
    /// # Errors
    ///
    /// [`SetupError::NotARevocationList`] and [`SetupError::UnreadableFile`] where it is inline or a file.
    pub fn new(source: KeySource) -> Result<Self, SetupError> {
        let source = source.for_revocations();
        Live::new("revocations", "access tokens", source, read).map(Self)
    }

    /// What should be done about the list now: at start, to load it before the first token.
    pub fn need(&self, clock: &Arc<dyn Clock>) -> Need {
        self.0.look(clock, |_| true).1
    }

    /// Checks that the token of that id has not been revoked, by the list at hand; what to do about the list is added to
    /// `need`.
    ///
    /// # Errors
    ///
    /// [`Error::Revoked`]; [`Error::RevocationsUnavailable`] where the list was never loaded.
    pub fn check(
        &self,
        token_id: &str,
        clock: &Arc<dyn Clock>,
        need: &mut Need,
    ) -> Result<(), Error> {
        let (list, own_need) = self.0.look(clock, |_| true);
        *need = std::mem::replace(need, Need::Nothing).and(own_need);
        match list.value {
            Some(list) if list.contains(token_id) => Err(Error::Revoked),
            Some(_) => Ok(()),
            None => Err(Error::RevocationsUnavailable),
        }
    }
}

fn read(text: &str) -> Result<HashSet<Box<str>>, SetupError> {
    let no_list = |why: String| SetupError::NotARevocationList(why);
    let document = parse(text.as_bytes(), MAX_DEPTH, Duplicates::Refuse)
        .map_err(|error| no_list(error.to_string()))?;
    let list = document.member("revoked").unwrap_or(&document);
    let Json::Array(ids) = list else {
        return Err(no_list("it has no list \"revoked\"".to_owned()));
    };
    let id = |id: &Json<'_>| match id {
        Json::String(id) => Ok((**id).into()),
        _ => Err(no_list("an id in it is no string".to_owned())),
    };
    ids.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_list_are_read_and_others_are_not() {
        for text in [
            r#"{"revoked": ["a", "b"]}"#,
            r#"["a", "b"]"#,
            r#"{"revoked": ["a", "b"], "as_of": 7}"#,
        ] {
            assert_eq!(read(text).unwrap().len(), 2, "{text}");
        }
        for text in [
            "",
            "{}",
            "null",
            r#"{"revoked": "a"}"#,
            r#"{"revoked": [1]}"#,
            r#"{"revoked": [{"jti": "a"}]}"#,
            r#"{"revoked": [], "revoked": ["a"]}"#,
            "<html>",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
