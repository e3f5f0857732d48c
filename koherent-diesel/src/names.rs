//! Names that a database takes: of longer ones, the end is replaced by a checksum, so that they stay different.

/// How long the names of an engine can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// As long as one likes.
    None,
    /// So many bytes (PostgreSQL: `NAMEDATALEN` is 64, with the zero at the end).
    Bytes(usize),
    /// So many characters (MariaDB and MySQL, "Identifier Length Limits").
    Characters(usize),
}

impl Limit {
    /// The name, or a shorter one.
    pub(crate) fn bound(self, name: &str) -> String {
        /// An underscore and eight digits.
        const CHECKSUM: usize = 9;
        let (length, max): (fn(char) -> usize, usize) = match self {
            Self::None => return name.to_owned(),
            Self::Bytes(max) => (char::len_utf8, max),
            Self::Characters(max) => (|_| 1, max),
        };
        if name.chars().map(length).sum::<usize>() <= max {
            return name.to_owned();
        }
        let mut taken = 0;
        let start: String = name
            .chars()
            .take_while(|character| {
                taken += length(*character);
                taken <= max - CHECKSUM
            })
            .collect();
        format!("{start}_{:08x}", checksum(name))
    }
}

/// FNV-1a, 32 bits (RFC 9923).
fn checksum(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::Limit;

    #[test]
    fn names_are_bounded_and_stay_different() {
        assert_eq!(Limit::Bytes(63).bound("samples_history"), "samples_history");
        for limit in [Limit::Bytes(63), Limit::Characters(64)] {
            let (one, other) = (limit.bound(&"ü".repeat(70)), limit.bound(&"ü".repeat(71)));
            assert_ne!(one, other);
            assert!(one.len() <= 63 || one.chars().count() == 64, "{one}");
        }
        assert_eq!(Limit::None.bound(&"a".repeat(300)).len(), 300);
    }
}
