//! What a document asks for once its fragments are expanded, without expanding them: one memo entry per fragment,
//! and sums that saturate instead of overflowing.

use std::collections::HashMap;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, FragmentDefinition, OperationDefinition, Selection, SelectionSet, Type,
};

use crate::domain::limits::{
    GRAPHQL_ALIASES_MAX, GRAPHQL_DEFINITIONS_MAX, GRAPHQL_DEPTH_MAX, GRAPHQL_DIRECTIVES_MAX,
    GRAPHQL_FIELDS_MAX, GRAPHQL_INTROSPECTION_DEPTH_MAX, GRAPHQL_ROOT_FIELDS_MAX, GRAPHQL_SPREADS_MAX,
    GRAPHQL_VARIABLES_MAX,
};
use crate::error::{Error, Limit};

type Fragments<'a> = &'a HashMap<async_graphql::Name, Positioned<FragmentDefinition>>;

/// Refuses a document that passes a limit, in any of its operations or fragments, or that has a fragment cycle.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), Error> {
    within(GRAPHQL_DEFINITIONS_MAX, document.operations.iter().len() + document.fragments.len())?;
    let mut measure = Measure { fragments: &document.fragments, memo: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        measure.operation(&operation.node)?;
    }
    // Validation walks fragments that no operation uses, too.
    for name in document.fragments.keys() {
        measure.fragment(name)?.check()?;
    }
    Ok(())
}

/// What a selection set costs, expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    fields: usize,
    root_fields: usize,
    aliases: usize,
    directives: usize,
    spreads: usize,
    depth: usize,
    /// Nesting of the lists by which introspection multiplies, wherever they stand.
    introspection_lists: usize,
}

impl Cost {
    fn check(&self) -> Result<(), Error> {
        within(GRAPHQL_FIELDS_MAX, self.fields)?;
        within(GRAPHQL_ALIASES_MAX, self.aliases)?;
        within(GRAPHQL_DEPTH_MAX, self.depth)?;
        within(GRAPHQL_DIRECTIVES_MAX, self.directives)?;
        within(GRAPHQL_SPREADS_MAX, self.spreads)
    }

    /// Selects `other` at the same level.
    fn add(&mut self, other: &Self) {
        self.root_fields = self.root_fields.saturating_add(other.root_fields);
        self.add_below(other);
        self.depth = self.depth.max(other.depth);
    }

    /// Selects `other` under a field.
    fn add_below(&mut self, other: &Self) {
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.spreads = self.spreads.saturating_add(other.spreads);
        self.introspection_lists = self.introspection_lists.max(other.introspection_lists);
    }
}

enum Memo {
    InProgress,
    Measured(Cost),
}

struct Measure<'a> {
    fragments: Fragments<'a>,
    memo: HashMap<&'a str, Memo>,
}

impl<'a> Measure<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<(), Error> {
        within(GRAPHQL_VARIABLES_MAX, operation.variable_definitions.len())?;
        let mut cost = self.selection_set(&operation.selection_set.node)?;
        within(GRAPHQL_ROOT_FIELDS_MAX, cost.root_fields)?;
        cost.directives = cost.directives.saturating_add(operation.directives.len());
        for variable in &operation.variable_definitions {
            within(GRAPHQL_DEPTH_MAX, list_depth(&variable.node.var_type.node))?;
            cost.directives = cost.directives.saturating_add(variable.node.directives.len());
        }
        cost.check()
    }

    fn fragment(&mut self, name: &str) -> Result<Cost, Error> {
        // An unknown fragment costs nothing here; validation refuses it.
        let Some((name, fragment)) = self.fragments.get_key_value(name) else {
            return Ok(Cost::default());
        };
        match self.memo.get(name.as_str()) {
            Some(Memo::Measured(cost)) => return Ok(*cost),
            Some(Memo::InProgress) => {
                let message = format!("the fragment `{name}` spreads itself");
                return Err(Error::bad_input("query", message));
            }
            None => {}
        }
        self.memo.insert(name, Memo::InProgress);
        let mut cost = self.selection_set(&fragment.node.selection_set.node)?;
        cost.directives = cost.directives.saturating_add(fragment.node.directives.len());
        self.memo.insert(name, Memo::Measured(cost));
        Ok(cost)
    }

    fn selection_set(&mut self, set: &'a SelectionSet) -> Result<Cost, Error> {
        let mut cost = Cost::default();
        for selection in &set.items {
            cost.directives = cost.directives.saturating_add(selection.node.directives().len());
            match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    let below = self.selection_set(&field.node.selection_set.node)?;
                    cost.fields = cost.fields.saturating_add(1);
                    cost.root_fields = cost.root_fields.saturating_add(1);
                    cost.aliases = cost.aliases.saturating_add(usize::from(field.node.alias.is_some()));
                    cost.add_below(&below);
                    if is_introspection_root(name) {
                        within(GRAPHQL_INTROSPECTION_DEPTH_MAX, below.introspection_lists)?;
                    } else {
                        cost.depth = cost.depth.max(below.depth.saturating_add(1));
                    }
                    let lists = below.introspection_lists + usize::from(is_introspection_list(name));
                    cost.introspection_lists = cost.introspection_lists.max(lists);
                }
                Selection::FragmentSpread(spread) => {
                    let expanded = self.fragment(&spread.node.fragment_name.node)?;
                    cost.spreads = cost.spreads.saturating_add(1);
                    cost.add(&expanded);
                }
                Selection::InlineFragment(inline) => {
                    let expanded = self.selection_set(&inline.node.selection_set.node)?;
                    cost.spreads = cost.spreads.saturating_add(1);
                    cost.add(&expanded);
                }
            }
        }
        Ok(cost)
    }
}

fn is_introspection_root(field: &str) -> bool {
    matches!(field, "__schema" | "__type")
}

fn is_introspection_list(field: &str) -> bool {
    matches!(field, "fields" | "inputFields" | "interfaces" | "possibleTypes")
}

fn list_depth(ty: &Type) -> usize {
    let mut depth = 0;
    let mut base = &ty.base;
    while let BaseType::List(inner) = base {
        depth += 1;
        base = &inner.base;
    }
    depth
}

fn within(limit: Limit, count: usize) -> Result<(), Error> {
    if limit.is_passed_by(count) { Err(Error::TooComplex { limit }) } else { Ok(()) }
}
