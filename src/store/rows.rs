//! Executions from the columns of a statement, by their places, so that no column is looked for by its name in every row; and
//! only the columns that are asked for, because each value of each row costs.

use entity::execution::{Column, Mode, Model, Status};
use sea_orm::{DbErr, FromQueryResult, Iterable as _, QueryResult, RuntimeErr};
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;
use sqlx::{ColumnIndex, Decode, Row};
use uuid::Uuid;

use crate::clock::Timestamp;

/// Which columns of an execution are read. Those that tell its place in a list always are; the others are as of a new row when
/// they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns(u32);

const ALWAYS: Columns = Columns::EMPTY
    .with(Column::Id)
    .with(Column::Status)
    .with(Column::Mode)
    .with(Column::CostMicrousd)
    .with(Column::DurationMs)
    .with(Column::CreatedAt);

impl Columns {
    /// All of them.
    pub const ALL: Self = Self(u32::MAX);
    /// None but those that are always read.
    pub const EMPTY: Self = Self(0);

    /// These, and another one.
    pub const fn with(self, column: Column) -> Self {
        Self(self.0 | 1 << column as u32)
    }

    /// These and those.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, column: Column) -> bool {
        self.and(ALWAYS).0 & 1 << column as u32 != 0
    }

    /// In the order in which [`Self::read`] expects them.
    pub(super) fn selected(self) -> impl Iterator<Item = Column> + Send {
        Column::iter().filter(move |column| self.has(*column))
    }

    /// An execution of a statement that selects these.
    pub(super) fn read(self, row: &QueryResult) -> Result<Model, DbErr> {
        match (row.try_as_sqlite_row(), row.try_as_pg_row()) {
            (Some(row), _) => self.read_row(row),
            (_, Some(row)) => self.read_row(row),
            (None, None) => Err(sqlx::Error::Decode("a row of another database".into())),
        }
        .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }

    /// Without asking for each value whether its type is the one that the table's migration gave its column.
    fn read_row<'r, R: Row>(self, row: &'r R) -> Result<Model, sqlx::Error>
    where
        usize: ColumnIndex<R>,
        bool: Decode<'r, R::Database>,
        i32: Decode<'r, R::Database>,
        i64: Decode<'r, R::Database>,
        &'r str: Decode<'r, R::Database>,
        String: Decode<'r, R::Database>,
        Uuid: Decode<'r, R::Database>,
        Timestamp: Decode<'r, R::Database>,
    {
        let mut places = 0..;
        let mut place = || places.next().unwrap_or_default();
        macro_rules! optional {
            ($column:ident) => {
                if self.has(Column::$column) { row.try_get_unchecked(place())? } else { Default::default() }
            };
        }
        macro_rules! required {
            () => {
                row.try_get_unchecked(place())?
            };
            ($name:ident) => {{
                let word: &'r str = row.try_get_unchecked(place())?;
                let word: StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
                $name::deserialize(word).map_err(|error| sqlx::Error::Decode(error.into()))?
            }};
        }
        // In the order of the table, in which fields are evaluated.
        Ok(Model {
            tenant_id: optional!(TenantId),
            id: required!(),
            owner_id: optional!(OwnerId),
            status: required!(Status),
            mode: required!(Mode),
            name: optional!(Name),
            code_agent_id: optional!(CodeAgentId),
            code_version: optional!(CodeVersion),
            workflow_id: optional!(WorkflowId),
            workflow_run_id: optional!(WorkflowRunId),
            project_key: optional!(ProjectKey),
            generation_id: optional!(GenerationId),
            input_tokens: optional!(InputTokens),
            cached_input_tokens: optional!(CachedInputTokens),
            output_tokens: optional!(OutputTokens),
            cost_microusd: required!(),
            duration_ms: required!(),
            visual_enabled: optional!(VisualEnabled),
            visual_streaming: optional!(VisualStreaming),
            visual_quality: optional!(VisualQuality),
            visual_session_id: optional!(VisualSessionId),
            visual_events_captured: optional!(VisualEventsCaptured),
            visual_stream_duration_ms: optional!(VisualStreamDurationMs),
            keep_history: optional!(KeepHistory),
            discard_at: optional!(DiscardAt),
            stale_after_seconds: optional!(StaleAfterSeconds),
            check_at: optional!(CheckAt),
            revision: optional!(Revision),
            created_at: required!(),
            started_at: optional!(StartedAt),
            completed_at: optional!(CompletedAt),
            updated_at: optional!(UpdatedAt),
        })
    }
}

/// An execution of a statement that selects the columns of the table in their order, as SeaORM's own selects do.
#[derive(Debug)]
pub(super) struct InOrder(pub(super) Model);

impl FromQueryResult for InOrder {
    fn from_query_result(row: &QueryResult, _prefix: &str) -> Result<Self, DbErr> {
        Columns::ALL.read(row).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveEnum, Iden};
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for status in <Status as sea_orm::Iterable>::iter() {
            assert_eq!(json!(status), status.to_value());
        }
        for mode in <Mode as sea_orm::Iterable>::iter() {
            assert_eq!(json!(mode), mode.to_value());
        }
    }

    #[test]
    fn the_columns_are_read_in_the_order_of_the_table() {
        let source = include_str!("rows.rs");
        let (_, listed) = source.split_once("Ok(Model {").expect("it is there");
        let (listed, _) = listed.split_once("})").expect("it ends");
        let listed: Vec<_> = listed.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let names: Vec<_> = listed.iter().map(|(name, _)| (*name).to_owned()).collect();
        let columns: Vec<_> = Column::iter().map(|column| column.unquoted().to_owned()).collect();
        assert_eq!(names, columns);
        for ((name, how), column) in listed.iter().zip(Column::iter()) {
            let is_always = Columns::EMPTY.has(column);
            let expected = match column {
                Column::Status | Column::Mode => format!("required!({column:?}),"),
                _ if is_always => "required!(),".to_owned(),
                _ => format!("optional!({column:?}),"),
            };
            assert_eq!(how.trim(), expected, "{name}");
        }
    }
}
