//! A subscription has one root field, and it stands at the root.
//!
//! async-graphql looks for streams only among the root's own fields: of `subscription { ...F }` it makes a stream
//! that ends at once and says nothing, and of two fields two streams in one. Here the root's fragments are replaced
//! by what they select, and anything but one field is refused, as the specification asks.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;

use crate::error::Error;

/// The arguments that say where a stream begins: what comes later does not depend on them.
const START_ARGUMENTS: [&str; 2] = ["fromSeq", "last"];

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Puts the root field of every subscription at its root.
pub(super) fn flatten_roots(document: &mut ExecutableDocument) -> Result<(), Error> {
    let has_subscription =
        document.operations.iter().any(|(_, operation)| operation.node.ty == OperationType::Subscription);
    if !has_subscription {
        return Ok(());
    }
    let used_before = used_fragments(document);
    match &mut document.operations {
        DocumentOperations::Single(operation) => flatten_root(&mut operation.node, &document.fragments)?,
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                flatten_root(&mut operation.node, &document.fragments)?;
            }
        }
    }
    // A fragment that only a root spread used would now be refused as unused.
    let used_after = used_fragments(document);
    document.fragments.retain(|name, _| used_after.contains(name) || !used_before.contains(name));
    Ok(())
}

fn flatten_root(operation: &mut OperationDefinition, fragments: &Fragments) -> Result<(), Error> {
    if operation.ty != OperationType::Subscription {
        return Ok(());
    }
    let mut fields = Vec::new();
    collect_fields(&operation.selection_set.node, fragments, &mut fields)?;
    let same_key =
        |field: &Positioned<Selection>| response_key(field) == fields.first().and_then(response_key);
    if !fields.iter().all(same_key) || fields.first().is_some_and(is_introspection) {
        return Err(Error::bad_input("query", "a subscription selects exactly one field"));
    }
    // No field at all: a fragment that does not exist, which validation names.
    if !fields.is_empty() {
        operation.selection_set.node.items = fields;
    }
    Ok(())
}

fn collect_fields(
    set: &SelectionSet,
    fragments: &Fragments,
    fields: &mut Vec<Positioned<Selection>>,
) -> Result<(), Error> {
    for selection in &set.items {
        if !selection.node.directives().is_empty() {
            let message = "the root of a subscription takes no directives";
            return Err(Error::bad_input("query", message));
        }
        match &selection.node {
            Selection::Field(_) => fields.push(selection.clone()),
            Selection::InlineFragment(inline) => {
                collect_fields(&inline.node.selection_set.node, fragments, fields)?;
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                    collect_fields(&fragment.node.selection_set.node, fragments, fields)?;
                }
            }
        }
    }
    Ok(())
}

/// The variables that are used for where to begin and for nothing else.
pub(super) fn variables_for_the_start(operation: &OperationDefinition, text: &str) -> Vec<Name> {
    let fields = operation.selection_set.node.items.iter().filter_map(|selection| match &selection.node {
        Selection::Field(field) => Some(&field.node),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => None,
    });
    let arguments = fields.flat_map(|field| &field.arguments);
    let starts = arguments.filter(|(name, _)| START_ARGUMENTS.contains(&name.node.as_str()));
    let variables = starts.filter_map(|(_, value)| match &value.node {
        Value::Variable(name) => Some(name.clone()),
        _ => None,
    });
    // Once where it is declared, and once here.
    variables.filter(|name| mentions(text, name) == 2).collect()
}

/// How often a text has the variable, be it in a comment; 0 when that is hard to say.
fn mentions(text: &str, name: &str) -> usize {
    let is_in_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let after_each_dollar = || text.split('$').skip(1);
    // Blanks and comments may stand between.
    if !after_each_dollar().all(|rest| rest.starts_with(is_in_name)) {
        return 0;
    }
    let is_it = |rest: &&str| rest.strip_prefix(name).is_some_and(|after| !after.starts_with(is_in_name));
    after_each_dollar().filter(is_it).count()
}

fn response_key(selection: &Positioned<Selection>) -> Option<&Name> {
    match &selection.node {
        Selection::Field(field) => Some(&field.node.response_key().node),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => None,
    }
}

fn is_introspection(selection: &Positioned<Selection>) -> bool {
    matches!(&selection.node, Selection::Field(field) if field.node.name.node.starts_with("__"))
}

fn used_fragments(document: &ExecutableDocument) -> HashSet<Name> {
    let mut used = HashSet::new();
    for (_, operation) in document.operations.iter() {
        collect_used(&operation.node.selection_set.node, &document.fragments, &mut used);
    }
    used
}

fn collect_used(set: &SelectionSet, fragments: &Fragments, used: &mut HashSet<Name>) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => collect_used(&field.node.selection_set.node, fragments, used),
            Selection::InlineFragment(inline) => {
                collect_used(&inline.node.selection_set.node, fragments, used);
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                if used.insert(name.clone())
                    && let Some(fragment) = fragments.get(name)
                {
                    collect_used(&fragment.node.selection_set.node, fragments, used);
                }
            }
        }
    }
}
