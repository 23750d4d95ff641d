//! Executions side by side.

use async_graphql::{Context, SimpleObject};

use super::Execution;
use crate::domain::compare::Difference;
use crate::error::{Error, Result};
use crate::graphql::context::ContextExt as _;
use crate::graphql::scalars::Json;
use crate::service::ComparedExecutions;

/// Executions side by side.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ExecutionComparison {
    /// In the order of the ids.
    executions: Vec<Execution>,
    /// Where their inputs differ, at most 1,000 places.
    inputs: Vec<JsonDifference>,
    /// Where their results differ, at most 1,000 places.
    results: Vec<JsonDifference>,
    /// Whether there are more differences than are shown.
    truncated: bool,
}

/// A place where JSON values differ. Objects are compared by their fields and lists by position, as deep as all values have
/// one; what is missing counts as null.
#[derive(SimpleObject)]
struct JsonDifference {
    /// An RFC 6901 pointer, such as `/steps/0/name`; empty for the whole value.
    path: String,
    /// What each execution has there, in the order of the ids; null where it has nothing.
    values: Vec<Option<Json>>,
}

impl ExecutionComparison {
    pub(in crate::graphql) fn new(context: &Context<'_>, compared: ComparedExecutions) -> Result<Self> {
        Ok(Self {
            executions: Execution::page(compared.executions),
            inputs: shown(context, "inputs", compared.inputs)?,
            results: shown(context, "results", compared.results)?,
            truncated: compared.is_cut,
        })
    }
}

fn shown(
    context: &Context<'_>,
    field: &'static str,
    differences: Vec<Difference>,
) -> Result<Vec<JsonDifference>> {
    let json = |value: serde_json::Value| {
        if value.is_null() {
            return Ok(None);
        }
        let text = value.to_string();
        context.charge(field, text.len())?;
        Ok::<_, Error>(Some(Json::from_text(text)))
    };
    let difference = |Difference { path, values }| {
        let values = values.into_iter().map(json).collect::<Result<_>>()?;
        Ok(JsonDifference { path, values })
    };
    differences.into_iter().map(difference).collect()
}
