//! Comparing executions side by side.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::super::Service;
use crate::auth::Viewer;
use crate::domain::compare::{Difference, differences};
use crate::domain::limits::{COMPARE_DIFFERENCES_MAX, COMPARE_EXECUTIONS_MAX, at_most};
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, LargeValue};

/// Executions, and where they differ.
#[derive(Debug)]
pub struct ComparedExecutions {
    /// In the order in which they were asked for; so are the values of each difference.
    pub executions: Vec<ExecutionRow>,
    pub inputs: Vec<Difference>,
    pub results: Vec<Difference>,
    /// There are more differences than are shown.
    pub is_cut: bool,
}

impl Service {
    /// Compares inputs and results of 2 to [`COMPARE_EXECUTIONS_MAX`] executions.
    ///
    /// # Errors
    /// `NOT_FOUND` when one is not there; `BAD_INPUT` for fewer than two, or one that is named twice; `TOO_LARGE` when their
    /// values are too large together.
    pub async fn compare_executions(&self, viewer: &Viewer, ids: &[Uuid]) -> Result<ComparedExecutions> {
        at_most("ids", ids.len(), COMPARE_EXECUTIONS_MAX)?;
        let different: HashSet<_> = ids.iter().collect();
        if ids.len() < 2 || different.len() < ids.len() {
            return Err(Error::bad_input("ids", "give at least two executions, each once"));
        }
        let reader = self.store.reader(viewer);
        let mut found = reader.executions_by_ids(ids).await?;
        let executions: Vec<_> = ids
            .iter()
            .map(|id| found.remove(id).ok_or(Error::NotFound { what: "execution" }))
            .collect::<Result<_>>()?;
        let keys: Vec<_> = executions.iter().map(|row| (row.tenant_id.clone(), row.id)).collect();
        let inputs = reader.large_values(LargeValue::Inputs, &keys).await?;
        let results = reader.large_values(LargeValue::Result, &keys).await?;
        let ids = ids.to_vec();
        // Megabytes of JSON are work for a thread of its own.
        let compare = move || {
            let inputs = differences(&parsed(&ids, &inputs)?, COMPARE_DIFFERENCES_MAX);
            Ok::<_, Error>((inputs, differences(&parsed(&ids, &results)?, COMPARE_DIFFERENCES_MAX)))
        };
        let compared = tokio::task::spawn_blocking(compare).await.map_err(Error::internal)?;
        let ((inputs, more_inputs), (results, more_results)) = compared?;
        Ok(ComparedExecutions { executions, inputs, results, is_cut: more_inputs || more_results })
    }
}

fn parsed(ids: &[Uuid], texts: &HashMap<Uuid, String>) -> Result<Vec<Value>> {
    let parse = |id| texts.get(id).map_or(Ok(Value::Null), |text| serde_json::from_str(text));
    ids.iter().map(parse).collect::<Result<_, _>>().map_err(Error::internal)
}
