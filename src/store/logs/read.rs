//! Reading chunks by range, of many logs at once.

use std::collections::HashMap;

use entity::{log_chunk, log_stream};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, FromQueryResult, Order};
use uuid::Uuid;

use super::{LogChunk, LogStream};
use crate::domain::limits::APPEND_LINES_MAX;
use crate::domain::page::Direction;
use crate::domain::stream::StreamKind;
use crate::error::Result;
use crate::store::arrivals::{self, Arrival, ArrivedRow};
use crate::store::scoped::{Reader, ScopedSelect, of_executions};

/// Which chunks of one log: those with lines in `range`, from its start or, backwards, from its end.
#[derive(Debug, Clone)]
pub struct ChunkSelection {
    pub tenant_id: String,
    pub execution_id: Uuid,
    pub kind: StreamKind,
    pub range: LogRange,
    pub direction: Direction,
    /// Leaves out chunks that have no line of these levels.
    pub levels: Option<i16>,
    /// At most so many.
    pub chunks: u64,
}

/// What is known of a chunk before its text is read.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub struct ChunkSize {
    pub execution_id: Uuid,
    pub last_seq: i64,
    byte_count: i32,
}

impl ChunkSize {
    const COLUMNS: [log_chunk::Column; 3] =
        [log_chunk::Column::ExecutionId, log_chunk::Column::LastSeq, log_chunk::Column::ByteCount];

    /// How long its text is.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.byte_count).unwrap_or(0)
    }
}

/// Line numbers `from..before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    pub from: i64,
    pub before: i64,
}

/// Whose executions' lines are read together.
#[derive(Debug, Clone, Copy)]
pub enum LogsOf<'a> {
    WorkflowRun(&'a str),
    CodeAgent { tenant_id: &'a str, id: Uuid },
}

/// What belongs to an execution that was not to be kept and has ended is on its way out.
const NOT_DISCARDED: &str = "(SELECT execution.discard_at FROM execution WHERE execution.tenant_id = log_chunk.tenant_id \
    AND execution.id = log_chunk.execution_id) IS NULL";

impl Reader<'_> {
    /// How far the logs, or the visual sessions, of executions that have been read are written.
    ///
    /// # Errors
    /// What the database says.
    pub async fn log_streams(
        &self,
        kind: StreamKind,
        executions: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, LogStream>> {
        use log_stream::Column as C;
        let select = self
            .select::<log_stream::Entity>()
            .filter(of_executions(C::TenantId, C::ExecutionId, executions))
            .filter(C::Kind.eq(kind));
        Ok(select.all().await?.into_iter().map(|stream| (stream.execution_id, stream)).collect())
    }

    /// Chunks of some logs, in one statement: for each selection its chunks, in its direction.
    ///
    /// # Errors
    /// What the database says.
    pub async fn log_chunks(&self, selections: &[ChunkSelection]) -> Result<Vec<Vec<LogChunk>>> {
        let selects = selections.iter().map(|selection| self.select_chunks(selection)).collect();
        let chunks = self.union_all(selects, LogChunk::COLUMNS).await?;
        Ok(by_selection(selections, chunks, |chunk: &LogChunk| (chunk.execution_id, chunk.last_seq)))
    }

    /// The sizes of the chunks that [`Self::log_chunks`] would read.
    ///
    /// # Errors
    /// What the database says.
    pub async fn log_chunk_sizes(&self, selections: &[ChunkSelection]) -> Result<Vec<Vec<ChunkSize>>> {
        let selects = selections.iter().map(|selection| self.select_chunks(selection)).collect();
        let sizes = self.union_all(selects, ChunkSize::COLUMNS).await?;
        Ok(by_selection(selections, sizes, |size: &ChunkSize| (size.execution_id, size.last_seq)))
    }

    fn select_chunks(&self, selection: &ChunkSelection) -> ScopedSelect<'_, '_, log_chunk::Entity> {
        use log_chunk::Column as C;
        let LogRange { from, before } = selection.range;
        let order = match selection.direction {
            Direction::Forward => Order::Asc,
            Direction::Backward => Order::Desc,
        };
        let mut select = self
            .select_within::<log_chunk::Entity>(&selection.tenant_id)
            .filter(C::ExecutionId.eq(selection.execution_id))
            .filter(C::Kind.eq(selection.kind))
            .filter(C::LastSeq.gte(from))
            .filter(C::FirstSeq.lt(before))
            .order_by(C::LastSeq.into_expr(), order)
            .limit(selection.chunks);
        if let (Direction::Backward, true) = (selection.direction, before < i64::MAX) {
            // No chunk has more lines than one call, which bounds the index range from above, too.
            select = select.filter(C::LastSeq.lt(before.saturating_add_unsigned(APPEND_LINES_MAX.max)));
        }
        with_levels(select, selection.levels)
    }

    /// The newest calls that appended lines to any of many executions, newest first, at most `rows` of them; with levels,
    /// those whose lines may be of them. One statement, so that what is being archived meanwhile changes nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn newest_arrivals(
        &self,
        of: LogsOf<'_>,
        levels: Option<i16>,
        rows: u64,
    ) -> Result<Vec<Arrival>> {
        use log_chunk::Column as C;
        let mut select = match of {
            LogsOf::WorkflowRun(id) => self.select::<log_chunk::Entity>().filter(C::WorkflowRunId.eq(id)),
            LogsOf::CodeAgent { tenant_id, id } => {
                self.select_within::<log_chunk::Entity>(tenant_id).filter(C::CodeAgentId.eq(id))
            }
        }
        .filter(Expr::cust(NOT_DISCARDED))
        .limit(rows);
        for column in [C::AppendedAt, C::ExecutionId, C::LastSeq] {
            select = select.order_by(column.into_expr(), Order::Desc);
        }
        let found = self.union_all(vec![with_levels(select, levels)], ArrivedRow::COLUMNS).await?;
        arrivals::newest(found, usize::try_from(rows).unwrap_or(usize::MAX))
    }
}

fn with_levels<'r, 'c>(
    select: ScopedSelect<'r, 'c, log_chunk::Entity>,
    levels: Option<i16>,
) -> ScopedSelect<'r, 'c, log_chunk::Entity> {
    match levels {
        None => select,
        Some(levels) => select.filter(log_chunk::Column::Levels.into_expr().bit_and(levels).ne(0)),
    }
}

/// Gives each selection its rows, in its direction.
fn by_selection<R>(
    selections: &[ChunkSelection],
    rows: Vec<R>,
    key: impl Fn(&R) -> (Uuid, i64),
) -> Vec<Vec<R>> {
    let mut by_log: HashMap<Uuid, Vec<R>> = HashMap::new();
    for row in rows {
        by_log.entry(key(&row).0).or_default().push(row);
    }
    let rows_of = |selection: &ChunkSelection| {
        let mut rows = by_log.remove(&selection.execution_id).unwrap_or_default();
        rows.sort_unstable_by_key(|row| key(row).1);
        if selection.direction == Direction::Backward {
            rows.reverse();
        }
        rows
    };
    selections.iter().map(rows_of).collect()
}
