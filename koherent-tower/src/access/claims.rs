//! The claims of an access token (RFC 7519 §4, RFC 9068 §2.2), each checked for its type.

use koherent_core::{Error, Subject};
use serde_json::{Map, Value};

/// 0001-01-01T00:00:00Z and 10000-01-01T00:00:00Z, as for provenance tokens.
const YEARS_1_TO_9999: std::ops::Range<f64> = -62_135_596_800.0..253_402_300_800.0;

/// The claims of a token whose signature holds.
pub(super) struct Claims<'c>(pub(super) &'c Map<String, Value>);

impl<'c> Claims<'c> {
    /// The claim, where it is there; `null` is not.
    pub(super) fn get(&self, claim: &str) -> Option<&'c Value> {
        self.0.get(claim).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, claim: &str) -> bool {
        self.0.contains_key(claim)
    }

    pub(super) fn text(&self, claim: &'static str) -> Result<Option<&'c str>, Error> {
        let Some(value) = self.get(claim) else {
            return Ok(None);
        };
        match value.as_str() {
            // Providers write optional claims without a value as empty text.
            Some("") => Ok(None),
            Some(text) if text.chars().count() > 1000 => {
                Err(invalid(claim, "longer than 1000 characters"))
            }
            Some(text) if text.contains('\0') => Err(invalid(claim, "it contains a NUL")),
            Some(text) => Ok(Some(text)),
            None => Err(invalid(claim, "not a string")),
        }
    }

    pub(super) fn required_text(&self, claim: &'static str) -> Result<&'c str, Error> {
        if self.get(claim).and_then(Value::as_str) == Some("") {
            return Err(invalid(claim, "empty"));
        }
        self.text(claim)?.ok_or(Error::MissingClaim { claim })
    }

    pub(super) fn date(&self, claim: &'static str) -> Result<Option<f64>, Error> {
        let date = |value: &Value| match value.as_f64() {
            Some(date) if YEARS_1_TO_9999.contains(&date) => Ok(date),
            Some(_) => Err(invalid(claim, "not a date of the years 1 to 9999")),
            None => Err(invalid(claim, "not a number")),
        };
        self.get(claim).map(date).transpose()
    }

    pub(super) fn audience(&self) -> Result<Vec<&'c str>, Error> {
        let not_text = || invalid("aud", "neither a string nor a list of strings");
        match self
            .get("aud")
            .ok_or(Error::MissingClaim { claim: "aud" })?
        {
            Value::String(one) => Ok(vec![one]),
            Value::Array(many) => many
                .iter()
                .map(|item| item.as_str().ok_or_else(not_text))
                .collect(),
            _ => Err(not_text()),
        }
    }

    pub(super) fn texts(&self, claim: &'static str) -> Result<Vec<String>, Error> {
        let not_texts = || invalid(claim, "not a list of strings");
        match self.get(claim) {
            None => Ok(Vec::new()),
            Some(Value::Array(many)) => many
                .iter()
                .map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(not_texts))
                .collect(),
            Some(_) => Err(not_texts()),
        }
    }

    /// Scopes are one string, parted by spaces (RFC 8693 §4.2).
    pub(super) fn scopes(&self) -> Result<Vec<String>, Error> {
        match self.get("scope") {
            None => Ok(Vec::new()),
            Some(Value::String(scopes)) => Ok(scopes
                .split_ascii_whitespace()
                .map(ToOwned::to_owned)
                .collect()),
            Some(_) => Err(invalid("scope", "not a string")),
        }
    }
}

impl Claims<'_> {
    /// Who acts in the principal's stead: the current actor of `act` (RFC 8693 §4.1; those nested in it came before), else
    /// whom the configured claim names, as text or as an object with `sub` or `id`.
    pub(super) fn impersonator(&self, claim: Option<&str>) -> Result<Option<Subject>, Error> {
        if let Some(act) = self.get("act") {
            let name = member(act, &["sub", "client_id"]);
            return name
                .map(|name| Some(Subject::from(name)))
                .ok_or(invalid("act", "it names nobody by `sub`"));
        }
        let Some(value) = claim.and_then(|claim| self.get(claim)) else {
            return Ok(None);
        };
        let name = value.as_str().or_else(|| member(value, &["sub", "id"]));
        let name = name.filter(|name| is_name(name));
        name.map(|name| Some(Subject::from(name)))
            .ok_or(invalid("impersonator", "it names nobody"))
    }
}

/// The first of these members that is a name.
fn member<'v>(object: &'v Value, names: &[&str]) -> Option<&'v str> {
    let texts = names.iter().filter_map(|name| object.get(name)?.as_str());
    texts.into_iter().find(|text| is_name(text))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 1000 && !text.contains('\0')
}

pub(super) const fn invalid(claim: &'static str, problem: &'static str) -> Error {
    Error::InvalidClaim { claim, problem }
}
