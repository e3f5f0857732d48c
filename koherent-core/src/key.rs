//! The key of a row, whatever its type.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use uuid::Uuid;

use crate::change::FieldValue;

/// The values of a row's primary key, in the order of its columns.
///
/// It is what a [`HistoryEntry`](crate::HistoryEntry) names its row by, and what a row's history is asked for by. Whole
/// numbers, text, bytes, UUIDs and tuples of them turn into it; a key type of your own with
/// `impl From<SampleId> for RowKey`. Values are in their typed form: bytes are base64 (RFC 4648 §4).
///
/// ```
/// use koherent_core::RowKey;
///
/// assert_eq!(RowKey::from(7).to_string(), "7");
/// assert_eq!(RowKey::from(("attic", 3)).to_string(), "attic, 3");
/// assert_eq!(RowKey::from(&[0_u8, 255][..]).to_string(), "AP8=");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct RowKey(Vec<FieldValue>);

impl RowKey {
    /// A key from the values of its columns.
    #[must_use]
    pub const fn new(values: Vec<FieldValue>) -> Self {
        Self(values)
    }

    /// A key from texts, as an API takes them: `"7"` for a number, base64 for bytes.
    ///
    /// ```
    /// use koherent_core::RowKey;
    /// assert_eq!(RowKey::from_texts(["attic", "3"]).to_string(), "attic, 3");
    /// ```
    #[must_use]
    pub fn from_texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        let value = |text: T| FieldValue::from_json(Value::String(text.into()));
        Self(texts.into_iter().map(value).collect())
    }

    /// The key as one text, for clients: the value itself, or several as a JSON array of texts. [`from_text`](Self::from_text)
    /// takes it back.
    ///
    /// ```
    /// use koherent_core::RowKey;
    /// assert_eq!(RowKey::from(7).to_text(), "7");
    /// assert_eq!(RowKey::from(("attic", 3)).to_text(), r#"["attic","3"]"#);
    /// ```
    #[must_use]
    pub fn to_text(&self) -> String {
        let texts: Vec<_> = self.0.iter().map(FieldValue::text).collect();
        match &texts[..] {
            // What looks like several values must not be read as several.
            [one] if !one.starts_with('[') => one.clone(),
            _ => Value::from(texts).to_string(),
        }
    }

    /// A key as a client gives it: one value, or a JSON array of them.
    ///
    /// ```
    /// use koherent_core::RowKey;
    /// assert_eq!(RowKey::from_text("7"), RowKey::from_texts(["7"]));
    /// assert_eq!(RowKey::from_text(r#"["attic", 3]"#).to_string(), "attic, 3");
    /// ```
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if text.starts_with('[')
            && let Ok(values) = serde_json::from_str::<Vec<Value>>(text)
        {
            return Self(values.into_iter().map(FieldValue::from_json).collect());
        }
        Self::from_texts([text])
    }

    /// The values of its columns.
    #[must_use]
    pub fn values(&self) -> &[FieldValue] {
        &self.0
    }
}

/// Its values as text, with commas between them.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            f.write_str(&value.text())?;
        }
        Ok(())
    }
}

macro_rules! from_values {
    ($($kind:ty => |$value:ident| $json:expr;)+) => {
        $(
            impl From<$kind> for RowKey {
                fn from($value: $kind) -> Self {
                    Self(vec![FieldValue::from_json($json)])
                }
            }
        )+
    };
}

from_values! {
    i16 => |key| key.into();
    i32 => |key| key.into();
    i64 => |key| key.into();
    u32 => |key| key.into();
    u64 => |key| key.into();
    bool => |key| key.into();
    &str => |key| key.into();
    String => |key| key.into();
    &String => |key| key.as_str().into();
    Uuid => |key| key.hyphenated().to_string().into();
    &[u8] => |key| STANDARD.encode(key).into();
    Vec<u8> => |key| STANDARD.encode(key).into();
    &Vec<u8> => |key| STANDARD.encode(key).into();
}

macro_rules! from_tuples {
    ($($($part:ident)+;)+) => {
        $(
            #[expect(non_snake_case, reason = "values are called as their types are")]
            impl<$($part: Into<RowKey>),+> From<($($part,)+)> for RowKey {
                fn from(($($part,)+): ($($part,)+)) -> Self {
                    let mut values = Vec::new();
                    $(values.extend($part.into().0);)+
                    Self(values)
                }
            }
        )+
    };
}

from_tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_of_what_diesel_finds_rows_by() {
        let id = Uuid::nil();
        let key = RowKey::from((7_i16, "a".to_owned(), id, vec![1_u8]));
        assert_eq!(
            key.to_string(),
            "7, a, 00000000-0000-0000-0000-000000000000, AQ=="
        );
        assert_eq!(key.values()[0].json(), &serde_json::json!(7));
        assert_eq!(RowKey::from((7,)), RowKey::from(7));
    }

    #[test]
    fn clients_can_give_back_what_they_were_shown() {
        let strange = [r#"["a"]"#, "[", "", "a, b", "\"", "[1]"];
        let keys = strange.map(RowKey::from).into_iter();
        for key in keys.chain([RowKey::from(("[", "b")), RowKey::from(("", ""))]) {
            assert_eq!(RowKey::from_text(&key.to_text()), key, "{}", key.to_text());
        }
    }
}
