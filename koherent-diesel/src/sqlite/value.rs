//! A value as SQLite stores it, whatever its declared type (<https://www.sqlite.org/datatype3.html>).

use std::hash::{Hash, Hasher};

use diesel::sqlite::{SqliteType, SqliteValue};

/// One of SQLite's five storage classes.
#[derive(Debug, Clone, PartialEq)]
#[expect(unnameable_types, reason = "it is how this crate reads rows")]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    pub(crate) fn read(value: Option<SqliteValue<'_, '_, '_>>) -> Self {
        let Some(mut value) = value else {
            return Self::Null;
        };
        match value.value_type() {
            None => Self::Null,
            Some(SqliteType::Text) => Self::Text(value.read_text().to_owned()),
            Some(SqliteType::Binary) => Self::Blob(value.read_blob().to_vec()),
            Some(SqliteType::Double | SqliteType::Float) => Self::Real(value.read_double()),
            Some(SqliteType::Integer | SqliteType::SmallInt | SqliteType::Long) => {
                Self::Integer(value.read_long())
            }
        }
    }

    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Eq for Value {}

/// Two values hash alike exactly if they are stored alike: 1 and 1.0 are two values.
impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Integer(number) => number.hash(state),
            Self::Real(number) => number.to_bits().hash(state),
            Self::Text(text) => text.hash(state),
            Self::Blob(bytes) => bytes.hash(state),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::positional::fingerprint::Fingerprints;

    #[test]
    fn values_that_are_stored_differently_have_other_fingerprints() {
        let prints = Fingerprints::default();
        let rows = [
            vec![Value::Null],
            vec![Value::Integer(1)],
            vec![Value::Real(1.0)],
            vec![Value::Text("1".into())],
            vec![Value::Blob(b"1".to_vec())],
            vec![Value::Text("a".into()), Value::Text("b".into())],
            vec![Value::Text("ab".into()), Value::Text(String::new())],
        ];
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(prints.of(row), prints.of(&row.clone()));
            for other in &rows[at + 1..] {
                assert_ne!(prints.of(row), prints.of(other), "{row:?} {other:?}");
            }
        }
    }
}
