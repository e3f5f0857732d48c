//! A token that has been read, and not checked.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Malformed};
use crate::json::{Duplicates, Json, JsonError, parse};

/// The most bytes a token may have. Nothing is decoded beyond it.
pub const MAX_TOKEN_BYTES: usize = 16_384;

/// How deep the JSON of a token may nest; real tokens nest three levels.
const MAX_DEPTH: usize = 64;

/// A token that nobody has checked: it tells its issuer and its key id, to find a key and for the log, and whether it can
/// be verified at all. Of its task it tells nothing.
///
/// ```
/// use koherent_core::UnverifiedToken;
/// # let text = koherent_core::testing::test_issuer("rekuest").task("task-a").mint();
/// let token = UnverifiedToken::parse(&text)?;
/// assert_eq!(token.issuer(), Some("rekuest"));
/// # Ok::<(), koherent_core::Error>(())
/// ```
///
/// It does not give away what it has not checked:
///
/// ```compile_fail
/// # let text = koherent_core::testing::test_issuer("rekuest").task("task-a").mint();
/// let task = koherent_core::UnverifiedToken::parse(&text).unwrap().task();
/// ```
pub struct UnverifiedToken {
    issuer: Option<Box<str>>,
    key_id: Option<Box<str>>,
    asks_for_extensions: bool,
}

impl UnverifiedToken {
    /// Reads the encoding, strictly: segments, base64url, JSON.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] and [`Error::Malformed`].
    pub fn parse(token: &str) -> Result<Self, Error> {
        let decoded = Decoded::of(token)?;
        let segments = decoded.read()?;
        Ok(Self {
            issuer: segments.issuer().map(Into::into),
            key_id: segments.key_id().map(Into::into),
            asks_for_extensions: segments.asks_for_extensions(),
        })
    }

    /// What the token says its issuer is.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Whether the header asks for what could change the token's meaning: `crit` of any kind (RFC 7515 §4.1.11), a `b64`
    /// other than true (RFC 7797 §3), a `typ` that is no string. Such a token is refused.
    #[must_use]
    pub const fn asks_for_extensions(&self) -> bool {
        self.asks_for_extensions
    }

    /// What the token says its key is.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

/// A token, decoded from base64url.
pub(super) struct Decoded<'t> {
    pub(super) signing_input: &'t str,
    pub(super) signature: Vec<u8>,
    header: Vec<u8>,
    payload: Vec<u8>,
}

/// The two JSON objects of a token.
pub(super) struct Segments<'d> {
    pub(super) header: Json<'d>,
    pub(super) payload: Json<'d>,
}

impl<'t> Decoded<'t> {
    pub(super) fn of(token: &'t str) -> Result<Self, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::TooLarge {
                limit: MAX_TOKEN_BYTES,
            });
        }
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) = (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) else {
            return Err(Error::Malformed(Malformed::Segments));
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(Error::Malformed(Malformed::Segments));
        }
        Ok(Self {
            signing_input: &token[..header.len() + 1 + payload.len()],
            signature: decode(signature)?,
            header: decode(header)?,
            payload: decode(payload)?,
        })
    }

    pub(super) fn read(&self) -> Result<Segments<'_>, Error> {
        Ok(Segments {
            header: object(&self.header)?,
            payload: object(&self.payload)?,
        })
    }
}

impl Segments<'_> {
    fn issuer(&self) -> Option<&str> {
        as_text(self.payload.member("iss"))
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        as_text(self.header.member("kid"))
    }

    pub(super) fn asks_for_extensions(&self) -> bool {
        self.header.member("crit").is_some()
            || !matches!(self.header.member("b64"), None | Some(Json::Bool(true)))
            || !matches!(self.header.member("typ"), None | Some(Json::String(_)))
    }
}

impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("issuer", &self.issuer())
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Error::Malformed(Malformed::Base64))
}

fn object(bytes: &[u8]) -> Result<Json<'_>, Error> {
    let value = parse(bytes, MAX_DEPTH, Duplicates::Refuse)
        .map_err(|error| Error::Malformed(Malformed::Json(error)))?;
    match value {
        Json::Object(_) if value.is_finite() => Ok(value),
        Json::Object(_) => Err(Error::Malformed(Malformed::Json(JsonError::NonFinite))),
        _ => Err(Error::Malformed(Malformed::NotAnObject)),
    }
}

pub(super) fn as_text<'j>(value: Option<&'j Json<'_>>) -> Option<&'j str> {
    match value {
        Some(Json::String(text)) => Some(text),
        _ => None,
    }
}
