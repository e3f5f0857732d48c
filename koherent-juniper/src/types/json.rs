//! `JSON`: a value of any shape.

use juniper::{
    ArcStr, ExecutionResult, Executor, FromInputValue, GraphQLType, GraphQLValue,
    GraphQLValueAsync, InputValue, Object, ParseScalarResult, ParseScalarValue, Registry,
    ScalarToken, ScalarValue, Selection, ToInputValue, Value, macros::reflect, marker, meta,
};

/// A JSON value (RFC 8259), as the original's scalar `JSON` shows it: objects are objects, numbers are numbers.
///
/// Numbers that neither a 32-bit integer nor a double holds exactly come as text. What clients give is JSON text, or a number or
/// truth value: Juniper takes no objects and lists where a scalar stands.
///
/// ```
/// use koherent_juniper::Json;
/// assert_eq!(Json(serde_json::json!({"stain": "HE"})).0["stain"], "HE");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is the value itself")]
pub struct Json(pub serde_json::Value);

const NAME: &str = "JSON";

const DESCRIPTION: &str = "A JSON value of any shape. Numbers that neither a 32-bit integer nor a double holds exactly come as \
                           text. As input it is JSON text, such as \"{\\\"stain\\\": \\\"HE\\\"}\", a number or a truth value.";

/// The value as Juniper writes it out.
fn output<S: ScalarValue>(json: &serde_json::Value) -> Value<S> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::scalar(*truth),
        Json::Number(number) => Value::Scalar(number_of(number)),
        Json::String(text) => Value::Scalar(text.clone().into()),
        Json::Array(items) => Value::List(items.iter().map(output).collect()),
        Json::Object(fields) => {
            let mut object = Object::with_capacity(fields.len());
            for (name, value) in fields {
                object.add_field(name, output(value));
            }
            Value::Object(object)
        }
    }
}

fn number_of<S: ScalarValue>(number: &serde_json::Number) -> S {
    let whole = number.as_i64().map(i32::try_from);
    if let Some(Ok(whole)) = whole {
        return whole.into();
    }
    let digits = number.to_string();
    match number.as_f64() {
        Some(double) if number.is_f64() || format!("{double:.0}") == digits => double.into(),
        _ => digits.into(),
    }
}

impl<S: ScalarValue> GraphQLType<S> for Json {
    fn name((): &()) -> Option<ArcStr> {
        Some(NAME.into())
    }

    fn meta(info: &(), registry: &mut Registry<S>) -> meta::MetaType<S> {
        let scalar = registry.build_scalar_type::<Self>(info);
        let url = "https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf";
        scalar
            .description(DESCRIPTION)
            .specified_by_url(url)
            .into_meta()
    }
}

impl<S: ScalarValue> GraphQLValue<S> for Json {
    type Context = ();
    type TypeInfo = ();

    fn type_name(&self, info: &()) -> Option<ArcStr> {
        <Self as GraphQLType<S>>::name(info)
    }

    fn resolve(
        &self,
        (): &(),
        _: Option<&[Selection<'_, S>]>,
        _: &Executor<'_, '_, (), S>,
    ) -> ExecutionResult<S> {
        Ok(output(&self.0))
    }
}

impl<S: ScalarValue + Send + Sync> GraphQLValueAsync<S> for Json {
    fn resolve_async<'a>(
        &'a self,
        info: &'a (),
        selection: Option<&'a [Selection<'_, S>]>,
        executor: &'a Executor<'_, '_, (), S>,
    ) -> juniper::BoxFuture<'a, ExecutionResult<S>> {
        Box::pin(std::future::ready(self.resolve(info, selection, executor)))
    }
}

impl<S: ScalarValue> FromInputValue<S> for Json {
    type Error = Box<str>;

    fn from_input_value(value: &InputValue<S>) -> Result<Self, Box<str>> {
        const HINT: &str = "give JSON as text, such as \"{\\\"stain\\\": \\\"HE\\\"}\"";
        let scalar = value.as_scalar().ok_or(HINT)?;
        if let Some(text) = scalar.try_as_str() {
            let json = serde_json::from_str(text);
            return json
                .map(Self)
                .map_err(|error| format!("{HINT}: {error}").into());
        }
        serde_json::to_value(scalar)
            .map(Self)
            .map_err(|_| HINT.into())
    }
}

impl<S: ScalarValue> ToInputValue<S> for Json {
    fn to_input_value(&self) -> InputValue<S> {
        InputValue::scalar(self.0.to_string())
    }
}

impl<S: ScalarValue> ParseScalarValue<S> for Json {
    fn from_str(token: ScalarToken<'_>) -> ParseScalarResult<S> {
        match token {
            ScalarToken::String(_) => <String as ParseScalarValue<S>>::from_str(token),
            ScalarToken::Int(_) => {
                let whole = <i32 as ParseScalarValue<S>>::from_str(token);
                whole.or_else(|_| <f64 as ParseScalarValue<S>>::from_str(token))
            }
            ScalarToken::Float(_) => <f64 as ParseScalarValue<S>>::from_str(token),
        }
    }
}

impl<S: ScalarValue> marker::IsInputType<S> for Json {}
impl<S: ScalarValue> marker::IsOutputType<S> for Json {}

impl<S: ScalarValue> reflect::BaseType<S> for Json {
    const NAME: reflect::Type = NAME;
}

impl<S: ScalarValue> reflect::BaseSubTypes<S> for Json {
    const NAMES: reflect::Types = &[NAME];
}

impl<S: ScalarValue> reflect::WrappedType<S> for Json {
    const VALUE: reflect::WrappedValue = 1;
}
