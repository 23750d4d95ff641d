//! What the guard promises.

use std::time::{Duration, Instant};

use async_graphql::parser::types::{Selection, SelectionSet};
use async_graphql::{ServerError, Value, Variables, value};

use super::*;

const SDL: &str = r#"
    schema { query: Query mutation: Mutation subscription: Subscription }
    scalar JSON
    scalar Upload
    enum Level { DEBUG INFO }
    input Line { message: String! level: Level! = INFO fields: JSON weight: Float }
    input Append { id: ID! lines: [Line!]! count: Int tags: [[String]] file: Upload }
    input Choice @oneOf { byId: ID byName: String }
    type Query { a: Int b: Int node: Query }
    type Mutation { start: Int append(input: Append!): Int }
    type Subscription { tick: Int tock: Int }
"#;

fn guard() -> Guard {
    Guard::new(SDL).ok().unwrap()
}

fn check(query: &str) -> Result<GuardedRequest, Vec<ServerError>> {
    guard().check(Params { query: query.into(), ..Params::default() })
}

fn extension(errors: &[ServerError], name: &str) -> Option<Value> {
    errors.first()?.extensions.as_ref()?.get(name).cloned()
}

/// The name of the limit that refuses a document.
fn limit_of(query: &str) -> Option<String> {
    let errors = check(query).err()?;
    match extension(&errors, "limit")? {
        Value::Object(limit) => match limit.get("name") {
            Some(Value::String(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn refusal(query: &str) -> String {
    check(query).err().map(|errors| errors[0].message.clone()).unwrap_or_default()
}

/// The document as async-graphql will see it: operation and fragments, one line each.
fn selections(query: &str) -> Vec<String> {
    let guarded = check(query).ok().unwrap();
    let mut lines: Vec<_> = guarded
        .document
        .operations
        .iter()
        .map(|(_, operation)| print(&operation.node.selection_set.node))
        .collect();
    lines.extend(
        guarded
            .document
            .fragments
            .iter()
            .map(|(name, fragment)| format!("{name} {}", print(&fragment.node.selection_set.node))),
    );
    lines.sort();
    lines
}

fn print(set: &SelectionSet) -> String {
    let items = set.items.iter().map(|selection| match &selection.node {
        Selection::Field(field) => {
            let below = &field.node.selection_set.node;
            let below = if below.items.is_empty() { String::new() } else { print(below) };
            format!("{}{below}", field.node.response_key().node)
        }
        Selection::FragmentSpread(spread) => format!("...{}", spread.node.fragment_name.node),
        Selection::InlineFragment(inline) => format!("...{}", print(&inline.node.selection_set.node)),
    });
    format!("{{{}}}", items.collect::<Vec<_>>().join(" "))
}

/// Fragments that each spread the next one some times.
fn nested_fragments(count: usize, times: usize, last: &str) -> String {
    let mut query = "{ node { ...F0 } }".to_owned();
    for index in 0..count {
        let spreads = format!("...F{} ", index + 1).repeat(times);
        query += &format!(" fragment F{index} on Query {{ {spreads} }}");
    }
    query + last
}

#[test]
fn two_to_the_fortieth_fields_are_refused_at_once() {
    let started = Instant::now();
    let query = nested_fragments(40, 2, " fragment F40 on Query { a }");
    assert!(query.len() < 2_000);
    assert_eq!(limit_of(&query).as_deref(), Some("graphql_fields_max"));
    // The leaves may be missing: then only the spreads multiply.
    assert_eq!(limit_of(&nested_fragments(40, 2, "")).as_deref(), Some("graphql_spreads_max"));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn sums_saturate() {
    let query = nested_fragments(48, 3, " fragment F48 on Query { a b }");
    assert_eq!(limit_of(&query).as_deref(), Some("graphql_fields_max"));
}

#[test]
fn cycles_are_refused_whoever_reaches_them() {
    for query in [
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { node { ...B } } fragment B on Query { node { ...A } }",
        "{ a } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A }",
        "{ a } fragment A on Query { ... { node { ...A } } }",
        "subscription { ...A } fragment A on Subscription { ...A }",
        "mutation { ...A } fragment A on Mutation { ...A }",
    ] {
        assert!(refusal(query).contains("spreads itself"), "{query}: {}", refusal(query));
    }
}

#[test]
fn every_limit_lets_its_value_pass_and_refuses_one_more() {
    let many =
        |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(" ");
    let fields = |count: usize| {
        format!(
            "{{ node {{ {} }} }}",
            many(count - 1, &|index| if index % 2 == 0 { "a".into() } else { "b".into() })
        )
    };
    let aliases = |count: usize| format!("{{ node {{ {} }} }}", many(count, &|index| format!("x{index}: a")));
    let roots = |count: usize| format!("{{ {} }}", many(count, &|index| format!("x{index}: a")));
    let depth = |count: usize| format!("{}a{}", "{ node ".repeat(count - 1) + "{ ", " }".repeat(count));
    let directives = |count: usize| format!("{{ a {} }}", "@include(if: true) ".repeat(count));
    let spreads = |count: usize| format!("{{ node {{ {} }} }}", "... { a } ".repeat(count));
    let definitions = |count: usize| {
        format!("{{ a }} {}", many(count - 1, &|index| format!("fragment F{index} on Query {{ a }}")))
    };
    let variables =
        |count: usize| format!("query({}) {{ a }}", many(count, &|index| format!("$v{index}: Int")));
    let lists = |count: usize| format!("query($v: {}Int{}) {{ a }}", "[".repeat(count), "]".repeat(count));
    let lists_of_introspection = |count: usize| {
        format!(
            "{{ __schema {{ types {{ {}name{} }} }} }}",
            "fields { type { ".repeat(count),
            " } }".repeat(count)
        )
    };
    type Document<'a> = &'a dyn Fn(usize) -> String;
    let table: [(&str, usize, Document<'_>); 10] = [
        ("graphql_fields_max", 1_000, &fields),
        ("graphql_aliases_max", 30, &aliases),
        ("graphql_root_fields_max", 20, &roots),
        ("graphql_depth_max", 15, &depth),
        ("graphql_directives_max", 50, &directives),
        ("graphql_spreads_max", 200, &spreads),
        ("graphql_definitions_max", 50, &definitions),
        ("graphql_variables_max", 100, &variables),
        ("graphql_depth_max", 15, &lists),
        ("graphql_introspection_depth_max", 2, &lists_of_introspection),
    ];
    for (name, max, document) in table {
        assert_eq!(limit_of(&document(max)), None, "{name} at its value: {}", refusal(&document(max)));
        assert_eq!(limit_of(&document(max + 1)).as_deref(), Some(name), "{name} passed");
    }
}

#[test]
fn ten_thousand_aliases_and_a_long_document_are_refused() {
    let aliases = (0..3_000).map(|index| format!("x{index}:a")).collect::<Vec<_>>().join(" ");
    assert!(limit_of(&format!("{{ {aliases} }}")).is_some());
    let aliases = (0..10_000).map(|index| format!("x{index}:a")).collect::<Vec<_>>().join(" ");
    assert_eq!(limit_of(&format!("{{ {aliases} }}")).as_deref(), Some("graphql_document_bytes_max"));
}

#[test]
fn limits_hold_through_fragments() {
    let depth = "{ node { ...F } } fragment F on Query { node { node { node { node { node { node { node { ...G } } } } } } } }
         fragment G on Query { node { node { node { node { node { node { node { a } } } } } } } }";
    assert_eq!(limit_of(depth).as_deref(), Some("graphql_depth_max"));
    let aliases =
        "{ ...F n: node { ...F ...F ...F } } fragment F on Query { q: a r: a s: a t: a u: a v: a w: a x: a }";
    assert_eq!(limit_of(aliases).as_deref(), Some("graphql_aliases_max"));
    let introspection = "{ __schema { types { ...F } } } fragment F on __Type { fields { type { ...G } } }
         fragment G on __Type { fields { type { interfaces { name } } } }";
    assert_eq!(limit_of(introspection).as_deref(), Some("graphql_introspection_depth_max"));
}

#[test]
fn the_introspection_query_of_graphiql_passes() {
    let query = "query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind }
          subscriptionType { name kind } types { ...FullType }
          directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
        fragment FullType on __Type { kind name description specifiedByURL isOneOf
          fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue }
            type { ...TypeRef } isDeprecated deprecationReason }
          inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
          enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
          possibleTypes { ...TypeRef } }
        fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated
          deprecationReason }
        fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType {
          kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType {
          kind name } } } } } } } } } }";
    assert!(check(query).is_ok(), "{}", refusal(query));
}

#[test]
fn fields_with_the_same_key_become_one() {
    for (query, expected) in [
        ("{ a a a }", "{a}"),
        ("{ a b a }", "{a b}"),
        ("{ x: a x: a }", "{x}"),
        ("{ node { a } node { b } node { a node { a } node { b } } }", "{node{a b node{a b}}}"),
        ("{ ... { node { a } node { b } } }", "{...{node{a b}}}"),
        ("mutation { start start x: start }", "{start x}"),
        ("mutation { append(input: {id: 1}) append(input: {id: 1}) }", "{append}"),
    ] {
        assert_eq!(selections(query), [expected], "{query}");
    }
}

#[test]
fn fields_that_differ_stay_for_validation_to_judge() {
    for (query, expected) in [
        ("{ x: a x: b }", "{x x}"),
        ("{ node(id: 1) { a } node(id: 2) { b } }", "{node{a} node{b}}"),
        ("{ a @include(if: true) a }", "{a a}"),
        ("{ a ... { a } }", "{a ...{a}}"),
    ] {
        assert_eq!(selections(query), [expected], "{query}");
    }
}

#[test]
fn a_mutation_that_could_run_twice_is_refused() {
    for query in [
        "mutation { start ...F } fragment F on Mutation { start }",
        "mutation { ...F ...F } fragment F on Mutation { start }",
        "mutation { start ... { start } }",
        "mutation { start @include(if: true) start @skip(if: false) }",
        "mutation { x: start x: append(input: {id: 1}) }",
    ] {
        assert!(refusal(query).contains("more than once"), "{query}: {}", refusal(query));
    }
    for query in [
        "mutation { start ...F } fragment F on Mutation { again: start }",
        "mutation { __typename ... { __typename } }",
    ] {
        assert!(check(query).is_ok(), "{query}: {}", refusal(query));
    }
}

#[test]
fn a_subscription_has_one_field_at_its_root() {
    for (query, expected) in [
        ("subscription { tick }", vec!["{tick}"]),
        ("subscription { tick tick }", vec!["{tick}"]),
        ("subscription { ... on Subscription { ... { tick } } }", vec!["{tick}"]),
        (
            "subscription { ...F } fragment F on Subscription { ...G } fragment G on Subscription { tick }",
            vec!["{tick}"],
        ),
        ("subscription { tick ...F } fragment F on Subscription { tick }", vec!["{tick}"]),
        // An unused fragment stays, for validation to refuse.
        ("subscription { tick } fragment F on Subscription { tick }", vec!["F {tick}", "{tick}"]),
    ] {
        assert_eq!(selections(query), expected, "{query}");
    }
    for query in [
        "subscription { tick tock }",
        "subscription { tick again: tick }",
        "subscription { __typename }",
        "subscription { ...F tock } fragment F on Subscription { tick }",
    ] {
        assert!(refusal(query).contains("exactly one field"), "{query}: {}", refusal(query));
    }
    assert!(refusal("subscription { tick @include(if: false) }").contains("no directives"));
}

#[test]
fn subscriptions_are_the_same_that_differ_only_in_where_they_begin() {
    let same = |query: &str, variables: [Value; 2]| {
        let sameness = |variables| {
            let params = Params {
                query: query.into(),
                variables: Variables::from_value(variables),
                ..Params::default()
            };
            guard().check(params).ok().unwrap().sameness().unwrap()
        };
        let [one, other] = variables.map(sameness);
        one == other
    };
    let begins = || [value!({ "id": 1, "from": 5 }), value!({ "id": 1, "from": 6 })];
    let plain = "subscription ($id: Int, $from: Int) { tick(id: $id, fromSeq: $from) }";
    assert!(same(plain, begins()));
    assert!(same(plain, [value!({ "id": 1 }), value!({ "id": 1, "from": 6 })]));
    assert!(!same(plain, [value!({ "id": 1, "from": 5 }), value!({ "id": 2, "from": 5 })]));
    for also_elsewhere in [
        "subscription ($id: Int, $from: Int) { tick(id: $id, fromSeq: $from, other: $from) }",
        "subscription ($id: Int, $from: Int) { tick(id: $id, fromSeq: $from, other: $ from) }",
        "subscription ($id: Int, $from: Int) { tick(id: $id, fromSeq: $from, other: $#\n from) }",
        "subscription ($id: Int, $from: Int) { tick(id: $id, fromSeq: [$from]) }",
        "subscription ($id: Int, $from: Int) { tick(id: $id, from: $from) }",
    ] {
        assert!(!same(also_elsewhere, begins()), "{also_elsewhere}");
    }
    let longer = "subscription ($id: Int, $from: Int, $fromHere: Int) { tick(id: $id, fromSeq: $from, other: $fromHere) }";
    assert!(same(longer, begins()));
    assert!(check("{ a }").ok().unwrap().sameness().is_none());
}

#[test]
fn the_operation_is_the_one_that_is_named() {
    let check = |query: &str, name: Option<&str>| {
        let params =
            Params { query: query.into(), operation_name: name.map(Into::into), ..Params::default() };
        guard().check(params).map(|guarded| guarded.kind()).ok()
    };
    let both = "query Q { a } mutation M { start }";
    assert_eq!(check(both, Some("Q")), Some(OperationKind::Query));
    assert_eq!(check(both, Some("M")), Some(OperationKind::Mutation));
    assert_eq!(check(both, None), None);
    assert_eq!(check(both, Some("X")), None);
    assert_eq!(check("query Q { a }", None), Some(OperationKind::Query));
    assert_eq!(check("{ a }", Some("Q")), None);
    assert_eq!(check("subscription { tick }", None), Some(OperationKind::Subscription));
}

#[test]
fn a_syntax_error_says_where_and_does_not_repeat_the_document() {
    let errors = check(&format!("{{ a( }} # {}", "x".repeat(30_000))).err().unwrap();
    assert_eq!(errors[0].locations.len(), 1);
    assert!(errors[0].message.starts_with("syntax error: expected"), "{}", errors[0].message);
    assert!(errors[0].message.len() < 200);
}

#[test]
fn nesting_that_would_exhaust_a_stack_is_refused() {
    for query in [
        format!("{{ a(b: {}", "[".repeat(30_000)),
        format!("{{ a(b: {}", "{a:".repeat(10_000)),
        "{a".repeat(16_000),
        format!("query($a: {}", "[".repeat(30_000)),
    ] {
        assert!(check(&query).is_err());
    }
}

/// What is wrong with the variable `$v` of a type, by field.
fn fault(ty: &str, variables: Value) -> Option<(String, String)> {
    let params = Params {
        query: format!("query($v: {ty}) {{ a }}"),
        variables: Variables::from_value(variables),
        ..Params::default()
    };
    let errors = guard().check(params).err()?;
    match extension(&errors, "field") {
        Some(Value::String(field)) => Some((field, errors[0].message.clone())),
        _ => Some((String::new(), errors[0].message.clone())),
    }
}

#[test]
fn variables_that_fit_pass() {
    for (ty, variables) in [
        ("Int", value!({})),
        ("Int", value!({ "v": null })),
        ("Int", value!({ "v": 2_147_483_647 })),
        ("Int!", value!({ "v": -2_147_483_648 })),
        ("Int! = 3", value!({})),
        ("Float", value!({ "v": 1 })),
        ("Float", value!({ "v": 1.5 })),
        ("String", value!({ "v": "" })),
        ("Boolean", value!({ "v": false })),
        ("ID", value!({ "v": "x" })),
        ("ID", value!({ "v": 7 })),
        ("Level", value!({ "v": "INFO" })),
        ("JSON!", value!({ "v": { "any": [1, null] } })),
        ("[Int!]", value!({ "v": [1, 2] })),
        ("[Int!]", value!({ "v": 1 })),
        ("[[Int]]", value!({ "v": [[1, null], null] })),
        ("Append", value!({ "v": { "id": 1, "lines": [] } })),
        (
            "Append",
            value!({ "v": { "id": 1, "lines": { "message": "m", "level": "DEBUG", "weight": null } } }),
        ),
        ("Choice", value!({ "v": { "byId": 1 } })),
        // Validation refuses it.
        ("NoSuchType", value!({ "v": 1 })),
        // Variables that the operation does not declare are nobody's.
        ("Int", value!({ "w": "x" })),
    ] {
        assert_eq!(fault(ty, variables.clone()), None, "{ty} {variables}");
    }
}

#[test]
fn variables_that_do_not_fit_are_refused_with_their_path() {
    for (ty, variables, field) in [
        ("Int!", value!({}), "v"),
        ("Int!", value!({ "v": null }), "v"),
        ("Int! = 3", value!({ "v": null }), "v"),
        ("Int", value!({ "v": 2_147_483_648_i64 }), "v"),
        ("Int", value!({ "v": 1.5 }), "v"),
        ("Int", value!({ "v": "1" }), "v"),
        ("Int", value!({ "v": [1] }), "v"),
        ("Float", value!({ "v": "1" }), "v"),
        ("String", value!({ "v": 1 }), "v"),
        ("Boolean", value!({ "v": "true" }), "v"),
        ("ID", value!({ "v": 1.5 }), "v"),
        ("ID", value!({ "v": true }), "v"),
        ("Level", value!({ "v": "LOUD" }), "v"),
        ("Level", value!({ "v": 1 }), "v"),
        ("[Int!]", value!({ "v": [1, null] }), "v.1"),
        ("[Int!]!", value!({ "v": [1, 2, "3"] }), "v.2"),
        ("[[Int]]", value!({ "v": [[1, "x"]] }), "v.0.1"),
        ("Append", value!({ "v": "x" }), "v"),
        ("Append", value!({ "v": { "lines": [] } }), "v.id"),
        ("Append", value!({ "v": { "id": 1, "lines": [{ "message": "m" }, {}] } }), "v.lines.1.message"),
        ("Append", value!({ "v": { "id": 1, "lines": [], "more": 1 } }), "v"),
        ("Append", value!({ "v": { "id": 1, "lines": [], "tags": [["x"], [1]] } }), "v.tags.1.0"),
        ("Append", value!({ "v": { "id": 1, "lines": [], "file": "#__graphql_file__:0" } }), "v.file"),
        ("Choice", value!({ "v": {} }), "v"),
        ("Choice", value!({ "v": { "byId": 1, "byName": "x" } }), "v"),
        ("Choice", value!({ "v": { "byId": null } }), "v"),
    ] {
        let found = fault(ty, variables.clone()).map(|(field, _)| field);
        assert_eq!(found.as_deref(), Some(field), "{ty} {variables}");
    }
}

#[test]
fn the_name_of_an_unknown_field_is_not_repeated_at_any_length() {
    let variables = value!({ "v": { ("x".repeat(1_000_000)): 1 } });
    let (_, message) = fault("Append", variables).unwrap();
    assert!(message.len() < 1_000);
}

#[test]
fn a_file_is_only_what_the_request_brought() {
    let check = |reference: &str, files: usize| {
        let uploads = (0..files).map(|_| UploadValue {
            filename: "f".into(),
            content_type: None,
            content: tempfile::tempfile().unwrap(),
        });
        let params = Params {
            query: "mutation($f: Upload!) { start }".into(),
            variables: Variables::from_value(value!({ "f": reference })),
            uploads: uploads.collect(),
            operation_name: None,
        };
        guard().check(params).is_ok()
    };
    assert!(check(&upload_reference(0), 1));
    assert!(!check(&upload_reference(1), 1));
    assert!(!check("#__graphql_file__:x", 1));
    assert!(!check("x", 1));
    assert!(tests::check("mutation { start(file: \"#__graphql_file__:9\") }").is_err());
}

#[test]
fn values_that_are_nested_and_closed_are_refused_before_anything_recurses() {
    for depth in [101, 300, 500, 800, 5_000] {
        for (open, close) in [("[", "]"), ("{a:", "}")] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for query in [
                format!("mutation {{ append(input: {value}) }}"),
                format!("query ($v: JSON = {value}) {{ a }}"),
                format!("{{ a @skip(if: {value}) }}"),
            ] {
                let name = if query.len() > 32 * 1024 { None } else { Some("graphql_nesting_max") };
                assert!(limit_of(&query).as_deref() == name || query.len() > 32 * 1024, "{depth}");
            }
        }
    }
}
