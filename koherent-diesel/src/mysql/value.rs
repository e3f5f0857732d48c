//! A value as it is sent and read, whatever its type.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use diesel::mysql::{Mysql, MysqlType, MysqlValue};
use diesel::query_builder::bind_collector::RawBytesBindCollector;

/// A value, in the bytes of its type.
#[derive(Debug, Clone)]
pub struct Value(Arc<RawBytesBindCollector<Mysql>>);

impl Value {
    fn new(kind: MysqlType, bytes: Option<Vec<u8>>) -> Self {
        let mut value = RawBytesBindCollector::new();
        value.metadata.push(kind);
        value.binds.push(bytes);
        Self(Arc::new(value))
    }

    /// Reads a value so that it can be bound again: whole numbers come in eight bytes, whatever their column.
    pub(super) fn read(value: Option<MysqlValue<'_>>) -> Self {
        let Some(value) = value else {
            return Self::new(MysqlType::String, None);
        };
        let kind = match value.value_type() {
            MysqlType::Tiny | MysqlType::Short | MysqlType::Long => MysqlType::LongLong,
            MysqlType::UnsignedTiny | MysqlType::UnsignedShort | MysqlType::UnsignedLong => {
                MysqlType::UnsignedLongLong
            }
            MysqlType::Bit => MysqlType::Blob,
            kind => kind,
        };
        Self::new(kind, Some(value.as_bytes().to_vec()))
    }

    pub(super) fn bind(&self) -> &RawBytesBindCollector<Mysql> {
        &self.0
    }

    /// The whole number that it is, if it is one.
    pub(super) fn number(&self) -> Option<u64> {
        let bytes = self.bytes()?.try_into().ok()?;
        Some(u64::from_ne_bytes(bytes))
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.0.binds[0].as_deref()
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::new(MysqlType::String, text.map(String::into_bytes))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Some(text.to_owned()).into()
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::new(MysqlType::LongLong, Some(number.to_ne_bytes().to_vec()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(MysqlType::Blob, Some(bytes))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        let bytes = number.to_ne_bytes().to_vec();
        Self::new(MysqlType::UnsignedLongLong, Some(bytes))
    }
}
