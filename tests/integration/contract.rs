//! `schema.graphql` is the public contract: it has everything that clients already rely on, and describes all of it.

use std::{collections::BTreeMap, fs, path::Path};

use async_graphql::parser::{
    parse_schema,
    types::{FieldDefinition, InputValueDefinition, TypeKind, TypeSystemDefinition},
};

/// Parts of the contract that are not built yet, each with everything below it. This list may only shrink.
const LATER: &[&str] = &[];

#[test]
fn the_schema_has_every_part_of_the_contract() {
    let (contract, schema) = (contract(), schema());
    let mut complaints = Vec::new();
    for (path, part) in contract.iter().filter(|(path, _)| !is_later(path)) {
        match schema.get(path) {
            None => complaints.push(format!("{path} is missing")),
            Some(found) if found.signature != part.signature => {
                complaints.push(format!("{path} is `{}`, not `{}`", found.signature, part.signature));
            }
            Some(_) => {}
        }
    }
    assert!(contract.len() > 400 && complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn what_is_put_off_is_in_the_contract_and_not_yet_in_the_schema() {
    let (contract, schema) = (contract(), schema());
    for path in LATER {
        assert!(contract.contains_key(*path), "{path} is no part of the contract");
        assert!(!schema.contains_key(*path), "{path} is there: take it off the list");
    }
}

#[test]
fn what_the_schema_adds_to_the_contract_is_optional_for_callers() {
    let (contract, schema) = (contract(), schema());
    for (path, part) in schema.iter().filter(|(path, _)| !contract.contains_key(*path)) {
        let of = path.split(['(', '.']).next().unwrap_or("");
        let is_asked_of_callers = path.contains('(') || part.is_input_field;
        let is_new = !contract.contains_key(of)
            || path.split_once('(').is_some_and(|(field, _)| !contract.contains_key(field));
        let is_required = part.signature.ends_with('!');
        assert!(is_new || !is_asked_of_callers || !is_required, "{path} breaks callers that do not know it");
    }
}

#[test]
fn every_part_of_the_schema_is_described() {
    let schema = schema();
    let silent: Vec<_> =
        schema.iter().filter(|(_, part)| !part.is_described).map(|(path, _)| path.as_str()).collect();
    assert!(schema.len() > 200 && silent.is_empty(), "without a description: {}", silent.join(", "));
}

/// A type, a field, an argument, an input field, an enum value or an interface of a type.
struct Part {
    /// What callers depend on: the kind of a type, or the type of a field with its default.
    signature: String,
    is_described: bool,
    is_input_field: bool,
}

/// By path: `Type`, `Type.field`, `Type.field(argument)`, `Enum.VALUE`, `Type & Interface`.
type Parts = BTreeMap<String, Part>;

fn contract() -> Parts {
    parts("tests/contract.graphql")
}

fn schema() -> Parts {
    parts("schema.graphql")
}

fn is_later(path: &str) -> bool {
    LATER.iter().any(|later| {
        path.strip_prefix(later).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '(', ' ']))
    })
}

fn parts(file: &str) -> Parts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).expect("the file is checked in");
    let document = parse_schema(text).expect("it is a schema");
    let mut parts = Parts::new();
    for definition in document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let name = definition.node.name.node.to_string();
        let is_described = definition.node.description.is_some();
        let mut add = |path: String, signature: String, is_described: bool| {
            parts.insert(path, Part { signature, is_described, is_input_field: false });
        };
        match definition.node.kind {
            TypeKind::Scalar => add(name, "scalar".into(), is_described),
            TypeKind::Object(object) => {
                for interface in object.implements {
                    add(format!("{name} & {}", interface.node), String::new(), true);
                }
                add(name.clone(), "type".into(), is_described);
                add_fields(&mut parts, &name, object.fields.into_iter().map(|field| field.node));
            }
            TypeKind::Interface(interface) => {
                add(name.clone(), "interface".into(), is_described);
                add_fields(&mut parts, &name, interface.fields.into_iter().map(|field| field.node));
            }
            TypeKind::Union(union) => {
                add(name, format!("union of {} types", union.members.len()), is_described);
            }
            TypeKind::Enum(of) => {
                for value in of.values {
                    let path = format!("{name}.{}", value.node.value.node);
                    add(path, "value".into(), value.node.description.is_some());
                }
                add(name, "enum".into(), is_described);
            }
            TypeKind::InputObject(input) => {
                add(name.clone(), "input".into(), is_described);
                for field in input.fields {
                    let part = Part { is_input_field: true, ..input_part(&field.node) };
                    parts.insert(format!("{name}.{}", field.node.name.node), part);
                }
            }
        }
    }
    parts
}

fn add_fields(parts: &mut Parts, of: &str, fields: impl Iterator<Item = FieldDefinition>) {
    for field in fields {
        let path = format!("{of}.{}", field.name.node);
        for argument in field.arguments {
            parts.insert(format!("{path}({})", argument.node.name.node), input_part(&argument.node));
        }
        let signature = field.ty.node.to_string();
        parts.insert(
            path,
            Part { signature, is_described: field.description.is_some(), is_input_field: false },
        );
    }
}

fn input_part(value: &InputValueDefinition) -> Part {
    let default = value.default_value.as_ref().map(|default| format!(" = {}", default.node));
    let signature = format!("{}{}", value.ty.node, default.unwrap_or_default());
    Part { signature, is_described: value.description.is_some(), is_input_field: false }
}
