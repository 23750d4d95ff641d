//! Statistics: sums of the figures that the change feed carries.
//!
//! Every event of the feed says what its change has made of the figures, so a change costs no statement more. What has
//! been folded into rows is known by a place in the feed for each tenant; rows and the events after that place are read in
//! one statement, so that what is read is exact at any moment, however far folding has come.
//!
//! There are rows of an hour, a day, a month and all time: for no condition, for each condition that an execution meets,
//! and for all of them together. That is at most 24 rows for an execution and as many for a thousand like it. What is asked
//! for by one condition is looked up. What is asked for by several is added up from the rows of the combinations that have
//! one of those values, by an index: as many for each part of the time as executions have values of the other conditions
//! in it, and never more than there are executions.

mod cells;
mod fold;
mod read;
mod recount;
mod shared;

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use entity::{code_version_run, execution, statistic};
use sea_orm::Set;
use sea_orm::sea_query::OnConflict;
use uuid::Uuid;

use super::WriteTx;
use super::executions::ExecutionRow;
use super::failure::failed;
use super::write::insert_many;
use crate::clock::Timestamp;
use crate::domain::execution::{Mode, Status};
use crate::domain::stats::{Figures, Histogram, Subject, Width};
use crate::error::Result;

pub use fold::Waiting;
pub use read::{RegistryCounts, StatsOf, StatsQuery, StatsRow};
pub use recount::Recount;
pub use shared::CountedCodeAgent;
pub(super) use shared::WantedCounted;

/// What an execution adds to the statistics: nothing once it is being discarded, as it is in no list then.
pub(super) fn figures_of(row: &ExecutionRow) -> Figures {
    if row.discard_at.is_some() {
        return Figures::default();
    }
    let counted = Counted {
        status: row.status,
        has_code_agent: row.code_agent_id.is_some(),
        has_code_version: row.code_version.is_some(),
        input_tokens: row.input_tokens,
        cached_input_tokens: row.cached_input_tokens,
        output_tokens: row.output_tokens,
        cost_microusd: row.cost_microusd,
        duration_ms: row.duration_ms,
        visual_enabled: row.visual_enabled,
        visual_events_captured: row.visual_events_captured,
        visual_stream_duration_ms: row.visual_stream_duration_ms,
    };
    counted.figures()
}

/// What of an execution is counted.
struct Counted {
    status: Status,
    has_code_agent: bool,
    has_code_version: bool,
    input_tokens: i64,
    cached_input_tokens: i64,
    output_tokens: i64,
    cost_microusd: i64,
    duration_ms: Option<i64>,
    visual_enabled: bool,
    visual_events_captured: i64,
    visual_stream_duration_ms: i64,
}

impl Counted {
    fn figures(&self) -> Figures {
        let mut figures = Figures {
            agent_executions: i64::from(self.has_code_agent),
            version_executions: i64::from(self.has_code_version),
            input_tokens: self.input_tokens,
            cached_input_tokens: self.cached_input_tokens,
            output_tokens: self.output_tokens,
            cost_microusd: self.cost_microusd,
            duration_ms: self.duration_ms.unwrap_or(0),
            visual_executions: i64::from(self.visual_enabled),
            visual_events_captured: self.visual_events_captured,
            visual_stream_duration_ms: self.visual_stream_duration_ms,
            durations: self.duration_ms.map(Histogram::of).unwrap_or_default(),
            ..Figures::default()
        };
        *figures.in_status(self.status) = 1;
        figures
    }
}

/// All tenants together.
const EVERY_TENANT: &str = "";

/// A row, or what is to be added to it.
#[derive(Debug)]
struct Row {
    id: Uuid,
    told: Told,
    figures: Figures,
}

/// What tells the rows of one count apart.
#[derive(Debug)]
struct Told {
    tenant_id: Arc<str>,
    owner_id: Option<Arc<str>>,
    code_agent_id: Option<Uuid>,
    workflow_id: Option<Arc<str>>,
    project_key: Option<Arc<str>>,
    width: Width,
    start: Timestamp,
    mode: Mode,
}

impl Told {
    /// It begins with the tenant and the time: what is changed together lies together.
    fn id(&self) -> Uuid {
        let mut id = hash([
            self.tenant_id.as_bytes(),
            conditions_id(self.conditions()).as_bytes(),
            match self.width {
                Width::Hour => b"hour",
                Width::Day => b"day",
                Width::Month => b"month",
                Width::All => b"all",
            },
            &self.start.timestamp_micros().to_be_bytes(),
            match self.mode {
                Mode::CloudRun => b"cloud",
                Mode::LocalRun => b"local",
            },
        ])
        .into_bytes();
        let hours = self.start.timestamp().div_euclid(3_600).to_be_bytes();
        id[..3].copy_from_slice(&hash([self.tenant_id.as_bytes()]).as_bytes()[..3]);
        id[3..6].copy_from_slice(&hours[5..]);
        Uuid::from_bytes(id)
    }

    fn conditions(&self) -> Conditions<'_> {
        [
            self.owner_id.as_ref().map(|id| id.as_bytes()),
            self.code_agent_id.as_ref().map(|id| &id.as_bytes()[..]),
            self.workflow_id.as_ref().map(|id| id.as_bytes()),
            self.project_key.as_ref().map(|key| key.as_bytes()),
        ]
    }

    /// `None` when it is found otherwise.
    fn subject(&self) -> Option<Uuid> {
        let conditions = self.conditions();
        let count = conditions.iter().flatten().count();
        (count < 2).then(|| conditions_id(conditions))
    }
}

impl Row {
    fn into_model(self, epoch: i32, figures: &Figures) -> statistic::ActiveModel {
        let subject = self.told.subject();
        let Told { tenant_id, owner_id, code_agent_id, workflow_id, project_key, width, start, mode } =
            self.told;
        let text = |text: Option<Arc<str>>| text.map(|text| text.to_string());
        statistic::ActiveModel {
            id: Set(self.id),
            epoch: Set(epoch),
            subject: Set(subject),
            tenant_id: Set(tenant_id.to_string()),
            width: Set(width),
            start: Set(start),
            mode: Set(mode),
            owner_id: Set(text(owner_id)),
            code_agent_id: Set(code_agent_id),
            workflow_id: Set(text(workflow_id)),
            project_key: Set(text(project_key)),
            figures: Set(figures.encode()),
        }
    }
}

/// Owner, code agent, workflow and project, as far as there is a condition.
type Conditions<'c> = [Option<&'c [u8]>; 4];

fn subject_id(subject: &Subject) -> Uuid {
    let Subject { owner_id, code_agent_id, workflow_id, project_key } = subject;
    conditions_id([
        owner_id.as_ref().map(|id| id.as_bytes()),
        code_agent_id.as_ref().map(|id| &id.as_bytes()[..]),
        workflow_id.as_ref().map(|id| id.as_bytes()),
        project_key.as_ref().map(|key| key.as_bytes()),
    ])
}

/// Conditions may be too long for an index, so that rows are found by what they hash to.
fn conditions_id(conditions: Conditions<'_>) -> Uuid {
    hash(conditions.into_iter().flat_map(|part| match part {
        // What is not there differs from what is empty.
        None => [&b"0"[..], b""],
        Some(part) => [&b"1"[..], part],
    }))
}

fn hash<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Uuid {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&context.finish().as_ref()[..16]);
    Uuid::new_v8(bytes)
}

impl WriteTx {
    /// Notes which versions of code agents new executions run: the first execution of each is remembered.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn note_version_runs(&self, rows: &[execution::Model]) -> Result<()> {
        use code_version_run::Column as C;
        let mut runs: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((row.tenant_id.clone(), row.code_agent_id?, row.code_version?, row)))
            .collect();
        // In one order, so that two batches cannot wait for each other.
        runs.sort_by(|a, b| (&a.0, a.1, a.2, a.3.created_at).cmp(&(&b.0, b.1, b.2, b.3.created_at)));
        runs.dedup_by(|b, a| (&a.0, a.1, a.2) == (&b.0, b.1, b.2));
        let run = |(tenant_id, code_agent_id, code_version, row): (String, Uuid, i32, &execution::Model)| {
            code_version_run::ActiveModel {
                tenant_id: Set(tenant_id),
                code_agent_id: Set(code_agent_id),
                code_version: Set(code_version),
                owner_id: Set(row.owner_id.clone()),
                execution_id: Set(row.id),
            }
        };
        let on_conflict =
            OnConflict::columns([C::TenantId, C::CodeAgentId, C::CodeVersion]).do_nothing().to_owned();
        insert_many::<code_version_run::Entity>(self, runs.into_iter().map(run).collect(), Some(on_conflict))
            .await
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_one_condition_has_another_id() {
        let subjects = [
            Subject::default(),
            Subject { owner_id: Some(String::new()), ..Subject::default() },
            Subject { owner_id: Some("a".into()), ..Subject::default() },
            Subject { workflow_id: Some("a".into()), ..Subject::default() },
            Subject { project_key: Some("a".into()), ..Subject::default() },
            Subject { code_agent_id: Some(Uuid::nil()), ..Subject::default() },
        ];
        let ids: std::collections::HashSet<_> = subjects.iter().map(subject_id).collect();
        assert_eq!(ids.len(), subjects.len());
    }
}
