//! `DateTime`: a moment, as clients write it.

use chrono::Utc;
use juniper::{
    ArcStr, ExecutionResult, Executor, FromInputValue, GraphQLType, GraphQLValue, InputValue,
    ParseScalarResult, ParseScalarValue, Registry, ScalarToken, ScalarValue, Selection,
    ToInputValue, macros::reflect, marker, meta,
};
use koherent_diesel::read_date;

/// A moment as clients write it, with Juniper's name for `chrono::DateTime`: `2026-01-31T12:00:00+02:00`, and also, read as UTC,
/// `2026-01-31T12:00` and `2026-01-31`. What the original accepts is accepted here.
///
/// It is an input alone: what is shown is a `chrono::DateTime<Utc>`. Juniper checks the values of a document by what the schema
/// says of `DateTime`; where a schema has this type, dates are taken as it takes them.
///
/// ```
/// use juniper::FromInputValue;
/// use koherent_juniper::DateTime;
///
/// let date: juniper::InputValue = juniper::InputValue::scalar("2026-01-31");
/// assert_eq!(DateTime::from_input_value(&date).unwrap().0.to_rfc3339(), "2026-01-31T00:00:00+00:00");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is the moment itself")]
pub struct DateTime(pub chrono::DateTime<Utc>);

const NAME: &str = "DateTime";

const DESCRIPTION: &str =
    "A moment (RFC 3339). As input, a date without an offset, or without a time, is read as UTC.";

impl<S: ScalarValue> GraphQLType<S> for DateTime {
    /// None, so that Juniper asks for the type wherever it stands, and gets its name from there.
    fn name((): &()) -> Option<ArcStr> {
        None
    }

    /// Says it to the whole schema, whichever of the types with that name was there first.
    fn meta((): &(), registry: &mut Registry<S>) -> meta::MetaType<S> {
        let url = "https://graphql-scalars.dev/docs/scalars/date-time";
        let scalar = || {
            let scalar = meta::ScalarMeta::new::<Self>(NAME);
            scalar
                .description(DESCRIPTION)
                .specified_by_url(url)
                .into_meta()
        };
        registry.get_type::<chrono::DateTime<Utc>>(&());
        if let Some(known) = registry.types.get_mut(NAME) {
            *known = scalar();
        }
        scalar()
    }
}

impl<S: ScalarValue> GraphQLValue<S> for DateTime {
    type Context = ();
    type TypeInfo = ();

    fn type_name(&self, (): &()) -> Option<ArcStr> {
        Some(NAME.into())
    }

    fn resolve(
        &self,
        (): &(),
        selection: Option<&[Selection<'_, S>]>,
        executor: &Executor<'_, '_, (), S>,
    ) -> ExecutionResult<S> {
        self.0.resolve(&(), selection, executor)
    }
}

impl<S: ScalarValue> FromInputValue<S> for DateTime {
    type Error = Box<str>;

    fn from_input_value(value: &InputValue<S>) -> Result<Self, Box<str>> {
        let scalar = value.as_scalar();
        let text = scalar.and_then(|scalar| scalar.try_as_str());
        let date = read_date(text.unwrap_or_default());
        date.map(Self).map_err(|error| error.to_string().into())
    }
}

impl<S: ScalarValue> ToInputValue<S> for DateTime {
    fn to_input_value(&self) -> InputValue<S> {
        self.0.to_input_value()
    }
}

impl<S: ScalarValue> ParseScalarValue<S> for DateTime {
    fn from_str(token: ScalarToken<'_>) -> ParseScalarResult<S> {
        <String as ParseScalarValue<S>>::from_str(token)
    }
}

impl<S: ScalarValue> marker::IsInputType<S> for DateTime {}

impl<S: ScalarValue> reflect::BaseType<S> for DateTime {
    const NAME: reflect::Type = NAME;
}

impl<S: ScalarValue> reflect::BaseSubTypes<S> for DateTime {
    const NAMES: reflect::Types = &[NAME];
}

impl<S: ScalarValue> reflect::WrappedType<S> for DateTime {
    const VALUE: reflect::WrappedValue = 1;
}

impl From<DateTime> for chrono::DateTime<Utc> {
    fn from(date: DateTime) -> Self {
        date.0
    }
}

impl From<chrono::DateTime<Utc>> for DateTime {
    fn from(date: chrono::DateTime<Utc>) -> Self {
        Self(date)
    }
}
