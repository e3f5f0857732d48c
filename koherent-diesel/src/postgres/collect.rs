//! Collecting the values of a part before the connection is there to be asked for the numbers of its types.
//!
//! Values of enums, domains and other types of the application's own carry the type's object id, and arrays and records of
//! them carry it inside their bytes. Only the server knows it. So values are collected with numbers that stand for the
//! types, twice and each time with others: where the bytes differ, a number is to be replaced before the statement runs.

use diesel::QueryResult;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::QueryFragment;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::result::Error as DieselError;

/// A type that the application declared: its schema, if it named one, and its name.
pub(super) type TypeName = (Option<String>, String);

/// Values, and what is yet to be known of their types.
#[derive(Debug, Clone, Default)]
pub(super) struct Binds {
    values: Vec<Value>,
    /// The types whose object ids must be known.
    named: Vec<TypeName>,
}

#[derive(Debug, Clone)]
struct Value {
    /// Of the value, and of arrays of such values.
    types: [Oid; 2],
    bytes: Option<Vec<u8>>,
    /// From which byte on there is the object id of which type.
    places: Vec<(usize, Oid)>,
}

/// An object id.
#[derive(Debug, Clone, Copy)]
enum Oid {
    Known(u32),
    /// That of the type with this number in [`Binds::named`], or of arrays of it.
    Named {
        at: usize,
        array: bool,
    },
}

/// Numbers that no server gives out: all of their bytes but the last differ between the two.
const STAND_INS: [u32; 2] = [0xF1B2_C300, 0xFE4D_3C00];

/// How many types one part can name: the last byte counts two numbers for each.
const MOST_TYPES: usize = 128;

/// Gives out numbers that stand for types.
struct StandIns {
    first: u32,
    named: Vec<TypeName>,
}

impl PgMetadataLookup for StandIns {
    fn lookup_type(&mut self, name: &str, schema: Option<&str>) -> PgTypeMetadata {
        let at = number_of(
            &mut self.named,
            &(schema.map(ToOwned::to_owned), name.to_owned()),
        );
        let number = self.first + 2 * u32::try_from(at % MOST_TYPES).unwrap_or_default();
        PgTypeMetadata::new(number, number + 1)
    }
}

fn number_of(named: &mut Vec<TypeName>, wanted: &TypeName) -> usize {
    let known = named.iter().position(|known| known == wanted);
    known.unwrap_or_else(|| {
        named.push(wanted.clone());
        named.len() - 1
    })
}

impl Binds {
    pub(super) const fn len(&self) -> usize {
        self.values.len()
    }

    /// Collects the values of a part.
    pub(super) fn collect(part: &dyn QueryFragment<Pg>) -> QueryResult<Self> {
        let (first, named) = collect(part, STAND_INS[0])?;
        if named.len() > MOST_TYPES {
            return Err(DieselError::SerializationError(
                "a statement can bind values of at most 128 types of the application's own".into(),
            ));
        }
        let second = match named.is_empty() {
            true => None,
            false => Some(collect(part, STAND_INS[1])?.0),
        };
        let mut values = Vec::with_capacity(first.binds.len());
        for (at, (bytes, metadata)) in first.binds.into_iter().zip(first.metadata).enumerate() {
            let other = second.as_ref().and_then(|second| second.binds[at].as_ref());
            let places = match (&bytes, other) {
                (Some(one), Some(other)) => stand_ins(one, other),
                _ => Vec::new(),
            };
            let unknown = |error: Box<dyn std::error::Error + Send + Sync>| {
                DieselError::SerializationError(error)
            };
            let oid = metadata.oid().map_err(|error| unknown(Box::new(error)))?;
            let array = metadata.array_oid();
            let array = array.map_err(|error| unknown(Box::new(error)))?;
            values.push(Value {
                types: [oid, array].map(Oid::of),
                bytes,
                places,
            });
        }
        Ok(Self { values, named })
    }

    /// Takes over values, behind those that are there.
    pub(super) fn append(&mut self, other: Self) {
        if other.named.is_empty() {
            self.values.extend(other.values);
            return;
        }
        let numbers: Vec<_> = other
            .named
            .iter()
            .map(|name| number_of(&mut self.named, name))
            .collect();
        let renumber = |oid: &mut Oid| {
            if let Oid::Named { at, .. } = oid {
                *at = numbers[*at];
            }
        };
        self.values
            .extend(other.values.into_iter().map(|mut value| {
                value.types.iter_mut().for_each(renumber);
                value.places.iter_mut().for_each(|(_, oid)| renumber(oid));
                value
            }));
    }

    /// Takes over one value of a type that every server knows.
    pub(super) fn push(&mut self, oid: u32, array: u32, bytes: Option<Vec<u8>>) {
        self.values.push(Value {
            types: [oid, array].map(Oid::Known),
            bytes,
            places: Vec::new(),
        });
    }

    /// The types whose object ids must be known.
    pub(super) fn named(&self) -> &[TypeName] {
        &self.named
    }

    /// What a driver takes, with these object ids for [`Binds::named`] and for arrays of them.
    pub(super) fn resolve(self, known: &[(u32, u32)]) -> RawBytesBindCollector<Pg> {
        let real = |oid| match oid {
            Oid::Known(oid) => oid,
            Oid::Named { at, array: false } => known[at].0,
            Oid::Named { at, array: true } => known[at].1,
        };
        let mut collector = RawBytesBindCollector::new();
        for mut value in self.values {
            if let Some(bytes) = &mut value.bytes {
                for (place, oid) in value.places {
                    bytes[place..place + 4].copy_from_slice(&real(oid).to_be_bytes());
                }
            }
            let [oid, array] = value.types.map(real);
            collector.metadata.push(PgTypeMetadata::new(oid, array));
            collector.binds.push(value.bytes);
        }
        collector
    }
}

impl Oid {
    fn of(number: u32) -> Self {
        match offset(number, STAND_INS[0]) {
            Some(offset) => Self::standing(offset),
            None => Self::Known(number),
        }
    }

    const fn standing(offset: u8) -> Self {
        Self::Named {
            at: offset as usize / 2,
            array: offset % 2 == 1,
        }
    }
}

/// Which of the numbers from `first` on it is, if it is one.
fn offset(number: u32, first: u32) -> Option<u8> {
    let offset = number.checked_sub(first)?;
    u8::try_from(offset).ok()
}

fn collect(
    part: &dyn QueryFragment<Pg>,
    first: u32,
) -> QueryResult<(RawBytesBindCollector<Pg>, Vec<TypeName>)> {
    let mut collector = RawBytesBindCollector::new();
    let mut lookup = StandIns {
        first,
        named: Vec::new(),
    };
    part.collect_binds(&mut collector, &mut lookup, &Pg)?;
    Ok((collector, lookup.named))
}

/// Where the two hold numbers that stand for the same type.
fn stand_ins(one: &[u8], other: &[u8]) -> Vec<(usize, Oid)> {
    let read = |bytes: &[u8], first| {
        let number = u32::from_be_bytes(bytes.try_into().ok()?);
        offset(number, first)
    };
    let windows = one.windows(4).zip(other.windows(4)).enumerate();
    windows
        .filter_map(|(at, (one, other))| {
            let (one, other) = (read(one, STAND_INS[0])?, read(other, STAND_INS[1])?);
            (one == other).then_some((at, Oid::standing(one)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_where_both_runs_have_them() {
        let run = |first: u32| {
            let mut bytes = vec![0xF1, 0xB2, 0xC3, 0, 7];
            bytes.extend((first + 3).to_be_bytes());
            bytes.extend([0xFE, 0x4D, 0x3C, 3]);
            bytes.extend(first.to_be_bytes());
            bytes
        };
        let found = stand_ins(&run(STAND_INS[0]), &run(STAND_INS[1]));
        let found: Vec<_> = found
            .into_iter()
            .map(|(place, oid)| match oid {
                Oid::Named { at, array } => (place, at, array),
                Oid::Known(_) => panic!("{oid:?}"),
            })
            .collect();
        assert_eq!(found, [(5, 1, true), (13, 0, false)]);
    }
}
