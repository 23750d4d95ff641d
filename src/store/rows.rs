//! Executions from the columns of a statement, by their places: finding each column by its name takes as long again as the
//! statement.

use entity::execution;
use sea_orm::{DbErr, FromQueryResult, QueryResult};

/// An execution of a statement that selects the columns of the table in their order, as SeaORM's own selects do.
#[derive(Debug)]
pub(super) struct InOrder(pub(super) execution::Model);

macro_rules! in_order {
    ($row:expr; $($column:ident),+ $(,)?) => {{
        let mut places = 0..;
        let mut place = || places.next().unwrap_or_default();
        execution::Model { $($column: $row.try_get_by_index(place())?),+ }
    }};
}

impl FromQueryResult for InOrder {
    fn from_query_result(row: &QueryResult, _prefix: &str) -> Result<Self, DbErr> {
        Ok(Self(in_order!(row;
            tenant_id, id, owner_id, status, mode, name, code_agent_id, code_version, workflow_id, workflow_run_id, project_key,
            generation_id, input_tokens, cached_input_tokens, output_tokens, cost_microusd, duration_ms, visual_enabled,
            visual_streaming, visual_quality, visual_session_id, visual_events_captured, visual_stream_duration_ms,
            keep_history, discard_at, stale_after_seconds, check_at, revision, created_at, started_at, completed_at, updated_at,
        )))
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{Iden, Iterable as _};

    use super::*;

    #[test]
    fn the_columns_are_in_the_order_of_the_table() {
        let source = include_str!("rows.rs");
        let (_, listed) = source.split_once("in_order!(row;").expect("it is there");
        let (listed, _) = listed.split_once(")))").expect("it ends");
        let listed: Vec<_> = listed.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let columns: Vec<_> = execution::Column::iter().map(|column| column.unquoted().to_owned()).collect();
        assert_eq!(listed, columns);
    }
}
