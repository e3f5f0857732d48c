//! Hostile documents: each is refused before Juniper sees it, and none takes the process with it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it measured"
)]

use std::time::{Duration, Instant};

use juniper::{EmptyMutation, EmptySubscription, RootNode};
use koherent_juniper::{Limits, answer};
use serde_json::{Value, json};

struct Query;

/// Leads to itself, as tasks and entries do.
#[juniper::graphql_object]
impl Query {
    fn node(_id: Option<String>, _ids: Option<Vec<Option<i32>>>) -> Query {
        Query
    }

    fn nodes() -> Vec<Query> {
        vec![Query]
    }

    fn name() -> &'static str {
        "node"
    }
}

type Schema = RootNode<Query, EmptyMutation<()>, EmptySubscription<()>>;

fn schema() -> Schema {
    Schema::new(Query, EmptyMutation::new(), EmptySubscription::new())
}

async fn ask(schema: &Schema, limits: &Limits, body: &str) -> (u16, Value) {
    let answered = answer(schema, &(), limits, body.as_bytes()).await;
    let status = answered.status().as_u16();
    (status, serde_json::from_str(answered.body()).unwrap())
}

/// `f0 … fn`, each as `one` says with its number.
fn fragments(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count)
        .map(|n| format!("fragment f{n} on Query {{ {} }} ", one(n)))
        .collect()
}

/// Documents, with what they try.
#[derive(Default)]
struct Documents(Vec<(&'static str, String)>);

impl Documents {
    fn add(&mut self, what: &'static str, document: String) {
        self.0.push((what, document));
    }

    fn nested(&mut self) {
        for depth in [
            11, 12, 20, 40, 63, 64, 65, 100, 500, 900, 2_000, 10_000, 60_000,
        ] {
            let nested = |open: &str, inner: &str, close: &str| {
                format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
            };
            self.add(
                "fields in fields",
                format!("{{ {} }}", nested("node { ", "name", " }")),
            );
            self.add(
                "fields, never closed",
                format!("{{ {}", "node { ".repeat(depth)),
            );
            let inline = nested("... on Query { node { ", "name", " } }");
            self.add("inline fragments around fields", format!("{{ {inline} }}"));
            let (list, many) = (nested("[", "1", "]"), "name ".repeat(2_000));
            self.add(
                "lists in a value",
                format!("{{ node(ids: {list}) {{ name }} {many} }}"),
            );
            self.add("braces alone", nested("{", "", "}"));
            self.add(
                "parentheses alone",
                format!("{{ node{} }}", nested("(", "", ")")),
            );
            self.add("brackets alone", nested("[", "", "]"));
        }
    }

    fn fragments(&mut self) {
        for length in [1, 2, 3, 10, 50, 200] {
            let next = |n: usize| (n + 1) % length;
            let cycle = fragments(length, |n| format!("node {{ ...f{} }}", next(n)));
            self.add("a cycle of fragments", format!("{{ ...f0 }} {cycle}"));
            self.add("a cycle that nobody uses", format!("{{ name }} {cycle}"));
            let bare = fragments(length, |n| format!("...f{}", next(n)));
            self.add("a cycle without fields", format!("{{ ...f0 }} {bare}"));
        }
        // Each holds the next twice.
        for doublings in [10, 12, 16, 20, 30, 60, 90] {
            let last = format!("fragment f{doublings} on Query {{ name }}");
            let plain = fragments(doublings, |n| format!("...f{m} ...f{m}", m = n + 1));
            self.add(
                "fragments that double",
                format!("{{ ...f0 }} {plain} {last}"),
            );
            let inline = |n: usize| format!("...f{m} ... on Query {{ ...f{m} }}", m = n + 1);
            let inline = fragments(doublings, inline);
            self.add(
                "fragments that double inline",
                format!("{{ ...f0 }} {inline} {last}"),
            );
            let nested = |n: usize| format!("node {{ ...f{m} }} nodes {{ ...f{m} }}", m = n + 1);
            let nested = fragments(doublings, nested);
            self.add(
                "fragments that double and nest",
                format!("{{ ...f0 }} {nested} {last}"),
            );
        }
    }

    fn aliases(&mut self) {
        for count in [31, 100, 500, 2_000, 8_000] {
            let aliases =
                |field: &str| -> String { (0..count).map(|n| format!("a{n}: {field} ")).collect() };
            self.add("aliases", format!("{{ {} }}", aliases("name")));
            self.add(
                "aliases of one name",
                format!("{{ {} }}", "a: name ".repeat(count)),
            );
            self.add(
                "aliases with fields",
                format!("{{ {} }}", aliases("node { name }")),
            );
            let fragment = format!("fragment f on Query {{ {} }}", aliases("name"));
            self.add("aliases in a fragment", format!("{{ ...f }} {fragment}"));
            self.add("aliases that nobody uses", format!("{{ name }} {fragment}"));
            let operations = (0..count).map(|n| format!("query q{n} {{ a: name }} "));
            self.add("operations", operations.collect());
        }
    }

    fn floods(&mut self) {
        for count in [1_001, 1_500, 3_000, 10_000] {
            self.add("fields", format!("{{ {} }}", "name ".repeat(count)));
            let list = "1 ".repeat(2 * count);
            self.add("a list", format!("{{ node(ids: [{list}]) {{ name }} }}"));
            let nulls = "null,".repeat(2 * count);
            self.add(
                "a list of nulls",
                format!("{{ node(ids: [{nulls}]) {{ name }} }}"),
            );
            let object = "a: 1 ".repeat(count);
            self.add(
                "an object",
                format!("{{ node(id: {{ {object} }}) {{ name }} }}"),
            );
            let directives = "@skip(if: false) ".repeat(count);
            self.add("directives", format!("{{ name {directives} }}"));
            let variables: String = (0..count).map(|n| format!("$v{n}: Int ")).collect();
            self.add("variables", format!("query({variables}) {{ name }}"));
            let spreads = "...f ".repeat(count);
            self.add(
                "spreads",
                format!("{{ {spreads} }} fragment f on Query {{ name }}"),
            );
            self.add(
                "spreads of nothing",
                format!("{{ {} }}", "...nothing ".repeat(count)),
            );
            let arguments = "id: \"x\" ".repeat(count);
            self.add("arguments", format!("{{ node({arguments}) {{ name }} }}"));
        }
        for length in [66_000, 1_000_000] {
            self.add("blanks without end", " ".repeat(length));
            self.add("a long name", format!("{{ {} }}", "n".repeat(length)));
            let text = "é".repeat(length / 2);
            self.add(
                "a long text",
                format!("{{ node(id: \"{text}\") {{ name }} }}"),
            );
            self.add(
                "a long comment",
                format!("#{}\n{{ name }}", "x".repeat(length)),
            );
        }
    }

    /// What is asked for again without an alias costs as much as with one; and what is not there must cost nothing.
    fn repeated(&mut self) {
        for count in [32, 100, 300] {
            self.add(
                "one field again and again",
                format!("{{ {} }}", "node { name } ".repeat(count)),
            );
            let inside = "nodes { name } ".repeat(count);
            self.add(
                "one field again in another",
                format!("{{ node {{ {inside} }} }}"),
            );
            let spread = fragments(count, |_| "node { name }".to_owned());
            let spreads: String = (0..count).map(|n| format!("...f{n} ")).collect();
            self.add(
                "one field again in fragments",
                format!("{{ {spreads} }} {spread}"),
            );
        }
        self.add(
            "a leaf again and again",
            format!("{{ {} }}", "name ".repeat(102)),
        );
        for kind in ["query", "mutation", "subscription"] {
            let doubled = fragments(60, |n| format!("...f{0} ...f{0}", n + 1));
            self.add("nothing, doubled", format!("{kind} {{ ...f0 }} {doubled}"));
        }
    }

    /// What is asked of the schema itself multiplies with each list that it goes through.
    fn introspection(&mut self) {
        for lists in [3, 4, 5, 9] {
            for (open, close) in [
                ("fields { type { ", "} } "),
                ("possibleTypes { interfaces { ", "} } "),
                ("fields { args { type { ", "} } } "),
            ] {
                let (open, close) = (open.repeat(lists), close.repeat(lists));
                let document = format!("{{ __schema {{ types {{ {open} name {close} }} }} }}");
                self.add("introspection through lists", document);
            }
        }
        let (open, close) = ("ofType { ".repeat(25), "}".repeat(25));
        let document = format!("{{ __schema {{ types {{ {open} name {close} }} }} }}");
        self.add("introspection in depth", document);
        let doubled =
            fragments(12, |n| format!("...f{0} ...f{0}", n + 1)).replace(" on Query", " on __Type");
        let document = format!(
            "{{ __schema {{ types {{ ...f0 }} }} }} {doubled} fragment f12 on __Type {{ name }}"
        );
        self.add("introspection that doubles", document);
        let document = format!("{{ __schema {{ types {{ {} }} }} }}", "name ".repeat(1_500));
        self.add("introspection of one thing many times", document);
    }

    fn odd_texts(&mut self) {
        for (what, text) in [
            ("nothing", ""),
            ("blanks", "  \n\t ,,, "),
            ("a comment", "# nothing"),
            ("a byte order mark alone", "\u{feff}"),
            ("a NUL", "{ na\0me }"),
            ("an escape", "{ \u{1b}[2J name }"),
            ("a name of another alphabet", "{ ｎａｍｅ }"),
            ("a name that looks like another", "{ n\u{430}me }"),
            ("a combining mark", "{ name\u{301} }"),
            ("a writing direction", "{ \u{202e}eman }"),
            ("an emoji", "{ 🧪 }"),
            ("a text that does not end", "{ node(id: \"abc) { name } }"),
            (
                "a block text that does not end",
                "{ node(id: \"\"\"abc) { name } }",
            ),
            ("half a surrogate", "{ node(id: \"\\ud800\") { name } }"),
            (
                "two halves the wrong way round",
                "{ node(id: \"\\udc00\\ud800\") { name } }",
            ),
            ("an unknown escape", "{ node(id: \"\\x41\") { name } }"),
            (
                "a code point beyond all",
                "{ node(id: \"\\u{110000}\") { name } }",
            ),
            ("a number that is none", "{ node(ids: [00]) { name } }"),
            ("a number without digits", "{ node(ids: [-]) { name } }"),
            ("a number of another kind", "{ node(ids: [0x10]) { name } }"),
            ("a type system", "type Query { name: String }"),
            ("a fragment alone", "fragment f on Query { name }"),
            ("an operation without fields", "{ }"),
            ("a selection that is not closed", "{ name"),
            ("one brace too many", "{ name } }"),
            (
                "a keyword as fragment",
                "fragment on on Query { name } { ...on }",
            ),
            ("a variable as field", "{ $name }"),
            ("dots", "{ .... }"),
        ] {
            self.add(what, text.to_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_documents_are_refused() {
    let schema = schema();
    let mut documents = Documents::default();
    documents.nested();
    documents.fragments();
    documents.aliases();
    documents.floods();
    documents.repeated();
    documents.introspection();
    documents.odd_texts();
    assert!(documents.0.len() >= 200, "{}", documents.0.len());
    let mut slowest = (Duration::ZERO, "");
    for (what, document) in &documents.0 {
        let body = json!({ "query": document }).to_string();
        let begun = Instant::now();
        let (status, answer) = ask(&schema, &Limits::default(), &body).await;
        slowest = slowest.max((begun.elapsed(), what));
        let start: String = document.chars().take(60).collect();
        assert!(
            matches!(status, 400 | 413),
            "{what}: {start}: {status} {answer}"
        );
        let message = &answer["errors"][0]["message"];
        assert!(message.is_string(), "{what}: {start}: {answer}");
        assert!(
            answer.to_string().len() < 2_000,
            "{what}: {start}: the answer is long"
        );
    }
    let (took, what) = slowest;
    println!(
        "{} documents, the slowest took {took:?}: {what}",
        documents.0.len()
    );
}

/// What people ask is not refused: also what GraphiQL asks of the schema.
#[tokio::test]
async fn documents_of_people_are_answered() {
    let nested = format!("{{ {} name {} }}", "node { ".repeat(9), "} ".repeat(9));
    let aliases: String = (0..30).map(|n| format!("a{n}: name ")).collect();
    let fields = format!(
        "{{ ...f {} }} fragment f on Query {{ name }}",
        "name ".repeat(90)
    );
    for query in [
        INTROSPECTION,
        "{ name }",
        "query a { name } query b { name }",
        "{ __typename node { __typename } }",
        "{ __type(name: \"Query\") { name fields { name type { name kind ofType { name } } } } }",
        &nested,
        &format!("{{ {aliases} }}"),
        &fields,
    ] {
        let name = query.contains("query a").then_some("a");
        let body = json!({ "query": query, "operationName": name, "extensions": { "any": 1 } });
        let (status, answer) = ask(&schema(), &Limits::default(), &body.to_string()).await;
        assert_eq!(status, 200, "{query}: {answer}");
    }
}

#[tokio::test]
async fn limits_are_set_and_named() {
    let all = Limits::default();
    let told = Limits {
        introspection: false,
        ..all
    };
    let in_fragment = "{ ...f } fragment f on Query { __type(name: \"Query\") { name } }";
    for (limits, query, reason, says) in [
        (
            Limits { depth: 1, ..all },
            "{ node { name } }",
            "QUERY_TOO_DEEP",
            "`depth`",
        ),
        (
            Limits {
                complexity: 1,
                ..all
            },
            "{ node { name } }",
            "QUERY_TOO_COMPLEX",
            "`complexity`",
        ),
        (
            Limits { aliases: 0, ..all },
            "{ a: name }",
            "TOO_MANY_ALIASES",
            "`aliases`",
        ),
        (
            Limits { tokens: 3, ..all },
            "{ node { name } }",
            "QUERY_TOO_LONG",
            "`tokens`",
        ),
        (
            Limits { body: 10, ..all },
            "{ name }",
            "BODY_TOO_LONG",
            "`body`",
        ),
        (
            told,
            "{ __schema { types { name } } }",
            "INTROSPECTION_DISABLED",
            "schema",
        ),
        (told, in_fragment, "INTROSPECTION_DISABLED", "schema"),
    ] {
        let body = json!({ "query": query }).to_string();
        let (_, said) = ask(&schema(), &limits, &body).await;
        let error = &said["errors"][0];
        assert_eq!(error["extensions"]["reason"], reason, "{query}: {said}");
        assert!(
            error["message"].as_str().unwrap().contains(says),
            "{query}: {said}"
        );
    }
    let limits = Limits { batch: 2, ..all };
    for (count, expected) in [(1, 200), (2, 200), (3, 400)] {
        let body = Value::Array(vec![json!({ "query": "{ name }" }); count]).to_string();
        let (status, said) = ask(&schema(), &limits, &body).await;
        assert_eq!(status, expected, "{count}: {said}");
    }
}

/// What GraphiQL asks when it starts.
const INTROSPECTION: &str = "query IntrospectionQuery {
    __schema { queryType { name } mutationType { name } subscriptionType { name }
        types { ...FullType } directives { name description locations args { ...InputValue } } } }
    fragment FullType on __Type { kind name description
        fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef }
            isDeprecated deprecationReason }
        inputFields { ...InputValue } interfaces { ...TypeRef }
        enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
        possibleTypes { ...TypeRef } }
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        } } } } } } } } } }";

/// Juniper would do twice what a mutation names twice; tokens of tasks that come in the wrong place must not count for nothing.
#[tokio::test]
async fn what_would_be_done_otherwise_than_it_reads_is_refused() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static DONE: AtomicU32 = AtomicU32::new(0);

    struct Mutation;

    #[juniper::graphql_object]
    impl Mutation {
        fn add() -> Query {
            DONE.fetch_add(1, Ordering::Relaxed);
            Query
        }
    }

    let schema = RootNode::new(Query, Mutation, EmptySubscription::<()>::new());
    let limits = Limits::default();
    for (query, reason) in [
        (
            "mutation { add { name } add { __typename } }",
            "MUTATION_REPEATED",
        ),
        (
            "mutation { add { name } ... on Mutation { add { name } } }",
            "MUTATION_REPEATED",
        ),
        (
            "mutation { ...f ...f } fragment f on Mutation { add { name } }",
            "MUTATION_REPEATED",
        ),
        (
            "mutation { a: add { name } a: add { name } }",
            "MUTATION_REPEATED",
        ),
        (
            "mutation { add { name } again: add { name } __typename __typename }",
            "",
        ),
    ] {
        let body = json!({ "query": query }).to_string();
        let answered = answer(&schema, &(), &limits, body.as_bytes()).await;
        let said: Value = serde_json::from_str(answered.body()).unwrap();
        let refusal = &said["errors"][0]["extensions"]["reason"];
        assert_eq!(
            refusal.as_str().unwrap_or_default(),
            reason,
            "{query}: {said}"
        );
    }
    assert_eq!(DONE.load(Ordering::Relaxed), 2);

    // Of a list, all or nothing.
    let add = json!({ "query": "mutation { add { name } }" });
    for (other, status) in [
        (json!({ "query": "{ name" }), 400),
        (
            json!({ "query": "{ name }", "extensions": { "rekuestTask": "a.b.c" } }),
            400,
        ),
        (json!({ "query": "{ nothing }" }), 200),
    ] {
        let before = DONE.load(Ordering::Relaxed);
        let body = json!([add, other]).to_string();
        let answered = answer(&schema, &(), &limits, body.as_bytes()).await;
        assert_eq!(answered.status().as_u16(), status, "{}", answered.body());
        let done = DONE.load(Ordering::Relaxed) - before;
        assert_eq!(done, u32::from(status == 200), "{}", answered.body());
        let said: Value = serde_json::from_str(answered.body()).unwrap();
        if status == 400 {
            assert_eq!(said[0]["errors"][0]["extensions"]["reason"], "NOT_EXECUTED");
        }
    }

    for (token, status) in [(json!("a.b.c"), 400), (json!(7), 400), (Value::Null, 200)] {
        let body = json!({ "query": "{ name }", "extensions": { "rekuestTask": token } });
        let (found, said) = ask(&self::schema(), &limits, &body.to_string()).await;
        assert_eq!(found, status, "{said}");
        if status == 400 {
            let refusal = &said["errors"][0]["extensions"]["reason"];
            assert_eq!(refusal, "TASK_TOKEN_MISPLACED");
        }
    }
}

/// What is asked for first is answered first (GraphQL specification, §7.2.2).
#[tokio::test]
async fn answers_have_the_order_of_the_question() {
    let one = json!({ "query": "{ z: name node { y: name name } a: name }" });
    let expected = r#"{"data":{"z":"node","node":{"y":"node","name":"node"},"a":"node"}}"#;
    for (body, expected) in [
        (one.clone(), expected.to_owned()),
        (json!([one, one]), format!("[{expected},{expected}]")),
    ] {
        let body = body.to_string();
        let answered = answer(&schema(), &(), &Limits::default(), body.as_bytes()).await;
        assert_eq!(*answered.body(), expected);
    }
}
