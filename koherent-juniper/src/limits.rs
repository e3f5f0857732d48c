//! What an operation may cost, judged by its text, before Juniper sees it.
//!
//! Juniper keeps documents from taking the stack; what they cost, it does not ask: fragments that double each other, thousands of
//! aliases, introspection that multiplies. So tokens are counted first, in one pass without recursion; only what is short and
//! flat enough is parsed, and its fields are counted with their fragments taken apart, each fragment once.

use std::collections::{HashMap, HashSet};

use juniper::parser::{Lexer, Token, parse_document_source};
use juniper::{Definition, OperationType, ScalarValue, SchemaType, Selection};
use koherent_core::ErrorCode;

use crate::error::Error;

/// What requests and operations may cost. The defaults are on; each can be set.
///
/// ```
/// use koherent_juniper::Limits;
/// let limits = Limits { depth: 15, ..Limits::default() };
/// assert_eq!(limits.aliases, 30);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "`..Limits::default()` says the rest"
)]
pub struct Limits {
    /// How deep fields may stand in each other: 10. Introspection has a limit of its own.
    pub depth: u32,
    /// How many fields an operation may ask for, with its fragments taken apart: 1,000.
    pub complexity: u32,
    /// How many aliases a document may have: 30.
    pub aliases: u32,
    /// How many tokens (names, numbers, texts, punctuation) a document may have: 2,000.
    pub tokens: u32,
    /// How many bytes a request may have: 65,536.
    pub body: usize,
    /// How many operations one request may carry: 5.
    pub batch: usize,
    /// Whether clients may ask for the schema: yes.
    pub introspection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 10,
            complexity: 1_000,
            aliases: 30,
            tokens: 2_000,
            body: 64 * 1024,
            batch: 5,
            introspection: true,
        }
    }
}

/// How deep braces, brackets and parentheses may stand in each other: what is parsed takes the stack.
const NESTING: u32 = 64;

/// How many fragments may contain each other: those too take the stack.
const FRAGMENTS: usize = 64;

/// How deep introspection may go: what GraphiQL asks for is 15 deep.
const INTROSPECTION_DEPTH: u32 = 20;

/// How many lists of types, fields or arguments introspection may go through: each multiplies what is answered. What GraphiQL
/// asks for goes through three.
const INTROSPECTION_LISTS: u32 = 3;

impl Limits {
    /// Judges a document, and says what kind of operation it asks for.
    ///
    /// # Errors
    ///
    /// A refusal that says which limit is exceeded, and how it stands; or that this is no GraphQL document.
    pub fn check<S: ScalarValue>(
        &self,
        schema: &SchemaType<S>,
        query: &str,
        operation_name: Option<&str>,
    ) -> Result<OperationType, Error> {
        self.count_tokens(query)?;
        let document = parse_document_source(query, schema).map_err(|error| {
            let at = error.start();
            let text = format!(
                "This is no GraphQL document: {} (line {}, column {}).",
                error.item,
                at.line() + 1,
                at.column() + 1
            );
            Error::refused(ErrorCode::BadRequest, "GRAPHQL_PARSE_FAILED", text)
        })?;
        let mut fragments = HashMap::new();
        for definition in &document {
            if let Definition::Fragment(fragment) = definition {
                let fragment = &fragment.item;
                fragments.insert(fragment.name.item, &fragment.selection_set[..]);
            }
        }
        let mut counted = Counted {
            limits: self,
            fragments,
            known: HashMap::new(),
            open: Vec::new(),
            aliases: 0,
            leaves: 0,
        };
        let names: Vec<_> = counted.fragments.keys().copied().collect();
        for name in names {
            counted.fragment(name)?;
        }
        let mut asked = None;
        let mut operations = 0;
        for definition in &document {
            if let Definition::Operation(operation) = definition {
                let operation = &operation.item;
                let cost = counted.selections(&operation.selection_set)?;
                cost.judge(self)?;
                // Behind the judgement, so that fragments that double each other have been refused.
                let root = counted.repeated(&operation.selection_set)?;
                match operation.operation_type {
                    OperationType::Mutation if root.repeated > 0 => return Err(MUTATION_REPEATED),
                    OperationType::Subscription if root.fields != 1 => {
                        return Err(SUBSCRIPTION_SEVERAL);
                    }
                    _ => {}
                }
                operations += 1;
                let name = operation.name.as_ref().map(|name| name.item);
                if operation_name.is_none() || name == operation_name {
                    asked = Some(operation.operation_type);
                }
            }
        }
        match asked {
            Some(kind) if operations == 1 || operation_name.is_some() => Ok(kind),
            Some(_) => Err(SEVERAL_OPERATIONS),
            None => Err(NO_OPERATION),
        }
    }

    /// Counts tokens and nesting, without recursion.
    fn count_tokens(&self, query: &str) -> Result<(), Error> {
        if query.len() > self.body {
            return Err(exceeded("QUERY_TOO_LONG", "bytes", query.len(), self.body));
        }
        let (mut tokens, mut nesting) = (0_u32, 0_u32);
        for token in Lexer::new(query) {
            // What is wrong with it, the parser says.
            let Ok(token) = token else { break };
            tokens += 1;
            if tokens > self.tokens {
                return Err(exceeded("QUERY_TOO_LONG", "tokens", "more", self.tokens));
            }
            match token.item {
                Token::CurlyOpen | Token::BracketOpen | Token::ParenOpen => nesting += 1,
                Token::CurlyClose | Token::BracketClose | Token::ParenClose => {
                    nesting = nesting.saturating_sub(1);
                }
                Token::EndOfFile => break,
                _ => {}
            }
            if nesting > NESTING {
                return Err(exceeded("QUERY_TOO_DEEP", "nesting", "more", NESTING));
            }
        }
        Ok(())
    }
}

const NO_OPERATION: Error = Error::fixed(
    ErrorCode::BadRequest,
    "OPERATION_UNKNOWN",
    "The document has no such operation.",
);

const SEVERAL_OPERATIONS: Error = Error::fixed(
    ErrorCode::BadRequest,
    "OPERATION_UNKNOWN",
    "The document has several operations: say which with `operationName`.",
);

const NO_INTROSPECTION: Error = Error::fixed(
    ErrorCode::PermissionDenied,
    "INTROSPECTION_DISABLED",
    "This service does not tell its schema.",
);

pub(crate) fn exceeded(
    reason: &'static str,
    limit: &str,
    is: impl std::fmt::Display,
    most: impl std::fmt::Display,
) -> Error {
    let text =
        format!("The limit `{limit}` is exceeded: at most {most} are allowed, and there are {is}.");
    Error::refused(ErrorCode::BadRequest, reason, text)
}

/// What a selection comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    fields: u32,
    depth: u32,
    /// The same for what is asked of the schema itself.
    introspection_fields: u32,
    introspection_depth: u32,
    /// How many lists of the schema stand in each other.
    lists: u32,
}

impl Cost {
    /// Together with what stands beside it.
    fn beside(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            introspection_fields: self
                .introspection_fields
                .saturating_add(other.introspection_fields),
            introspection_depth: self.introspection_depth.max(other.introspection_depth),
            lists: self.lists.max(other.lists),
        }
    }

    /// Around what stands inside of a field.
    fn around(name: &str, inside: Self) -> Self {
        let is_list = matches!(
            name,
            "fields"
                | "args"
                | "inputFields"
                | "interfaces"
                | "possibleTypes"
                | "enumValues"
                | "types"
                | "directives"
        );
        let introspects = name.starts_with("__");
        let (fields, depth) = (inside.fields.saturating_add(1), inside.depth + 1);
        if introspects {
            return Self {
                fields: 1,
                depth: 1,
                introspection_fields: inside.introspection_fields.saturating_add(fields),
                introspection_depth: depth.max(inside.introspection_depth),
                lists: inside.lists,
            };
        }
        Self {
            fields,
            depth,
            lists: inside.lists + u32::from(is_list),
            ..inside
        }
    }

    fn judge(self, limits: &Limits) -> Result<(), Error> {
        if self.depth > limits.depth {
            return Err(exceeded(
                "QUERY_TOO_DEEP",
                "depth",
                self.depth,
                limits.depth,
            ));
        }
        if self.fields > limits.complexity {
            let fields = self.fields;
            return Err(exceeded(
                "QUERY_TOO_COMPLEX",
                "complexity",
                fields,
                limits.complexity,
            ));
        }
        if self.introspection_depth > 0 {
            if !limits.introspection {
                return Err(NO_INTROSPECTION);
            }
            let depth = self.introspection_depth;
            if depth > INTROSPECTION_DEPTH {
                return Err(exceeded(
                    "QUERY_TOO_DEEP",
                    "introspection depth",
                    depth,
                    INTROSPECTION_DEPTH,
                ));
            }
            if self.introspection_fields > limits.complexity {
                return Err(exceeded(
                    "QUERY_TOO_COMPLEX",
                    "introspection complexity",
                    self.introspection_fields,
                    limits.complexity,
                ));
            }
            if self.lists > INTROSPECTION_LISTS {
                let lists = self.lists;
                return Err(exceeded(
                    "QUERY_TOO_COMPLEX",
                    "introspection lists",
                    lists,
                    INTROSPECTION_LISTS,
                ));
            }
        }
        Ok(())
    }
}

type Selections<'d, 'q, S> = &'d [Selection<'q, S>];

/// Counts, each fragment once.
struct Counted<'d, 'q, S> {
    limits: &'d Limits,
    fragments: HashMap<&'q str, Selections<'d, 'q, S>>,
    known: HashMap<&'q str, Cost>,
    open: Vec<&'q str>,
    aliases: u32,
    /// How many fields without fields of their own are asked for again.
    leaves: u32,
}

impl<'q, S> Counted<'_, 'q, S> {
    fn selections(&mut self, selections: &[Selection<'q, S>]) -> Result<Cost, Error> {
        let mut cost = Cost::default();
        for selection in selections {
            let one = match selection {
                Selection::Field(field) => {
                    let field = &field.item;
                    if field.alias.is_some() {
                        self.aliases += 1;
                        let (is, most) = (self.aliases, self.limits.aliases);
                        if is > most {
                            return Err(exceeded("TOO_MANY_ALIASES", "aliases", "more", most));
                        }
                    }
                    let inside = match &field.selection_set {
                        Some(inside) => self.selections(inside)?,
                        None => Cost::default(),
                    };
                    // `__typename` asks for nothing.
                    match field.name.item {
                        "__typename" => Cost {
                            fields: 1,
                            depth: 1,
                            ..Cost::default()
                        },
                        name => Cost::around(name, inside),
                    }
                }
                Selection::FragmentSpread(spread) => self.fragment(spread.item.name.item)?,
                Selection::InlineFragment(inline) => self.selections(&inline.item.selection_set)?,
            };
            cost = cost.beside(one);
        }
        Ok(cost)
    }

    fn fragment(&mut self, name: &'q str) -> Result<Cost, Error> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let Some(selections) = self.fragments.get(name).copied() else {
            return Err(FRAGMENT_UNKNOWN);
        };
        if self.open.contains(&name) {
            return Err(FRAGMENT_CYCLE);
        }
        if self.open.len() >= FRAGMENTS {
            return Err(exceeded("QUERY_TOO_DEEP", "fragments", "more", FRAGMENTS));
        }
        self.open.push(name);
        let cost = self.selections(selections)?;
        self.open.pop();
        self.known.insert(name, cost);
        Ok(cost)
    }
}

/// What stands in a selection, with its fragments taken apart.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    fields: u32,
    /// Of these, how many have the name of another one in the answer.
    repeated: u32,
}

impl<'q, S> Counted<'_, 'q, S> {
    /// Counts fields that have the name of another one in the answer. GraphQL merges them; Juniper does each by itself, and
    /// merges the answers. Those with fields of their own are as dear as aliases.
    fn repeated(&mut self, selections: &[Selection<'q, S>]) -> Result<Taken, Error> {
        let (mut names, mut taken) = (HashSet::new(), Taken::default());
        self.take(selections, &mut names, &mut taken)?;
        Ok(taken)
    }

    fn take(
        &mut self,
        selections: &[Selection<'q, S>],
        names: &mut HashSet<&'q str>,
        taken: &mut Taken,
    ) -> Result<(), Error> {
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    let field = &field.item;
                    taken.fields += 1;
                    let name = field.alias.as_ref().unwrap_or(&field.name).item;
                    if name != "__typename" && !names.insert(name) {
                        taken.repeated += 1;
                        let (count, most) = match &field.selection_set {
                            Some(_) => (&mut self.aliases, self.limits.aliases),
                            None => (&mut self.leaves, REPEATED_LEAVES),
                        };
                        *count += 1;
                        if *count > most {
                            let limit = "aliases and repeated fields";
                            return Err(exceeded("TOO_MANY_ALIASES", limit, "more", most));
                        }
                    }
                    if let Some(inside) = &field.selection_set {
                        self.repeated(inside)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(inside) = self.fragments.get(spread.item.name.item).copied() {
                        self.take(inside, names, taken)?;
                    }
                }
                Selection::InlineFragment(inline) => {
                    self.take(&inline.item.selection_set, names, taken)?;
                }
            }
        }
        Ok(())
    }
}

/// How many fields without fields of their own may be asked for again: fragments that are written apart share some.
const REPEATED_LEAVES: u32 = 100;

const MUTATION_REPEATED: Error = Error::fixed(
    ErrorCode::BadRequest,
    "MUTATION_REPEATED",
    "Two fields of the mutation have one name in the answer: put them together, or give each an alias.",
);

const SUBSCRIPTION_SEVERAL: Error = Error::fixed(
    ErrorCode::BadRequest,
    "SUBSCRIPTION_SEVERAL",
    "A subscription has exactly one field at its root: subscribe several times.",
);

const FRAGMENT_UNKNOWN: Error = Error::fixed(
    ErrorCode::BadRequest,
    "FRAGMENT_UNKNOWN",
    "A fragment is used that the document does not have.",
);

const FRAGMENT_CYCLE: Error = Error::fixed(
    ErrorCode::BadRequest,
    "FRAGMENT_CYCLE",
    "A fragment contains itself: take the cycle out.",
);
