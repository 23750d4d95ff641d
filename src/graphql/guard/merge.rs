//! Fields with the same response key are one field.
//!
//! async-graphql runs a field once per occurrence: `mutation { start start }` starts twice. The specification
//! merges them first, and so does [`merge_fields`], in one pass, for what stands in the same selection set. A
//! mutation that repeats a field in a way that cannot be merged is refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

use crate::error::Error;

/// Merges what repeats the same key, name and arguments without directives.
pub(super) fn merge_fields(document: &mut ExecutableDocument) {
    match &mut document.operations {
        DocumentOperations::Single(operation) => merge_set(&mut operation.node.selection_set.node),
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                merge_set(&mut operation.node.selection_set.node);
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        merge_set(&mut fragment.node.selection_set.node);
    }
}

/// Refuses a mutation that still has a response key twice, directly or through fragments.
pub(super) fn check_mutation_roots(document: &ExecutableDocument) -> Result<(), Error> {
    for (_, operation) in document.operations.iter() {
        if operation.node.ty == OperationType::Mutation {
            check_root(document, &operation.node.selection_set.node, &mut Vec::new())?;
        }
    }
    Ok(())
}

fn merge_set(set: &mut SelectionSet) {
    if set.items.len() > 1 {
        let mut first_of_key = HashMap::new();
        let mut merged: Vec<Positioned<Selection>> = Vec::with_capacity(set.items.len());
        for mut selection in std::mem::take(&mut set.items) {
            if let Selection::Field(field) = &mut selection.node {
                match first_of_key.entry(field.node.response_key().node.clone()) {
                    Entry::Vacant(place) => {
                        place.insert(merged.len());
                    }
                    Entry::Occupied(place) => {
                        if let Selection::Field(first) = &mut merged[*place.get()].node
                            && are_same(&first.node, &field.node)
                        {
                            first
                                .node
                                .selection_set
                                .node
                                .items
                                .append(&mut field.node.selection_set.node.items);
                            continue;
                        }
                    }
                }
            }
            merged.push(selection);
        }
        set.items = merged;
    }
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => merge_set(&mut field.node.selection_set.node),
            Selection::InlineFragment(inline) => merge_set(&mut inline.node.selection_set.node),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn are_same(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && one.directives.is_empty()
        && other.directives.is_empty()
        && one.arguments.len() == other.arguments.len()
        && one
            .arguments
            .iter()
            .all(|(name, value)| other.get_argument(&name.node).is_some_and(|other| other.node == value.node))
}

/// At most `graphql_root_fields_max` keys are met, because the document has been measured.
fn check_root<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    keys: &mut Vec<&'a Name>,
) -> Result<(), Error> {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) if field.node.name.node == "__typename" => {}
            Selection::Field(field) => {
                let key = &field.node.response_key().node;
                if keys.contains(&key) {
                    let message = format!("the mutation selects `{key}` more than once: use an alias");
                    return Err(Error::bad_input("query", message));
                }
                keys.push(key);
            }
            Selection::InlineFragment(inline) => {
                check_root(document, &inline.node.selection_set.node, keys)?;
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    check_root(document, &fragment.node.selection_set.node, keys)?;
                }
            }
        }
    }
    Ok(())
}
