//! Statistics of all time of code agents: what lists and pages of agents ask for, and therefore read together.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait as _, Statement, Value};
use uuid::Uuid;

use super::read::{StatsOf, StatsQuery, StatsRow};
use super::subject_id;
use crate::auth::Viewer;
use crate::domain::stats::{Figures, Span, Subject, Width};
use crate::error::Result;
use crate::store::Store;
use crate::store::dialect::Dialect;
use crate::store::failure::failed;
use crate::store::together::{Line, Shareable, ask};

/// The statistics of one code agent, for somebody who sees all of its tenant.
pub(in crate::store) struct WantedStats {
    tenant_id: String,
    code_agent_id: Uuid,
}

impl WantedStats {
    /// When that is what is asked for.
    fn of(viewer: &Viewer, query: &StatsQuery) -> Option<Self> {
        let StatsOf::CodeAgents(keys) = &query.of else { return None };
        let [(tenant_id, code_agent_id)] = keys.as_slice() else { return None };
        let scope = viewer.reads();
        let sees_all = scope.tenant_id() == Some(tenant_id.as_str()) && scope.owner_id().is_none();
        let is_of_all_time = query.mode.is_none() && query.span == Span::default();
        (sees_all && is_of_all_time)
            .then(|| Self { tenant_id: tenant_id.clone(), code_agent_id: *code_agent_id })
    }

    fn subject(&self) -> Uuid {
        subject_id(&Subject { code_agent_id: Some(self.code_agent_id), ..Subject::default() })
    }
}

impl Store {
    /// The rows that add up to what was asked for, of any width. All of them are of one moment.
    ///
    /// # Errors
    /// What the database says.
    pub async fn statistics(&self, viewer: &Viewer, query: &StatsQuery) -> Result<Vec<StatsRow>> {
        match WantedStats::of(viewer, query) {
            Some(wanted) => ask(self, wanted).await,
            None => self.reader(viewer).statistics(query, Width::All).await,
        }
    }
}

impl Shareable for WantedStats {
    type Answer = Vec<StatsRow>;
    type Source = Store;

    fn line(store: &Store) -> &Line<Self> {
        &store.0.stats_of_code_agents
    }

    async fn read(store: &Store, calls: &[Self]) -> Result<Vec<Self::Answer>> {
        let rows = store.0.read.query_all_raw(statement(store.0.dialect, calls)).await.map_err(failed)?;
        let mut answers = vec![Vec::new(); calls.len()];
        for row in rows {
            let place: i32 = row.try_get_by_index(0).map_err(failed)?;
            let figures: Option<Vec<u8>> = row.try_get_by_index(3).map_err(failed)?;
            let row = StatsRow {
                of: 0,
                start: row.try_get_by_index(1).map_err(failed)?,
                mode: row.try_get_by_index(2).map_err(failed)?,
                figures: figures
                    .map_or_else(|| Ok(Figures::default()), |figures| Figures::decode(&figures))?,
            };
            if let Some(answer) = usize::try_from(place).ok().and_then(|place| answers.get_mut(place)) {
                answer.push(row);
            }
        }
        Ok(answers)
    }
}

/// One of a few lengths, so that it stays prepared: some parts are of nobody. They are no nulls: what has those seems cheaper
/// to PostgreSQL than what is prepared for any value, and it would plan each anew.
fn statement(dialect: Dialect, calls: &[WantedStats]) -> Statement {
    let parts = calls.len().next_power_of_two();
    let mut text = String::with_capacity(parts * 1_024);
    let mut bound: Vec<Value> = Vec::with_capacity(parts * 3);
    for place in 0..parts {
        let call = calls.get(place);
        let mut bind = |value: Value| {
            bound.push(value);
            bound.len()
        };
        let tenant = bind(call.map(|call| call.tenant_id.clone()).unwrap_or_default().into());
        let subject = bind(call.map(WantedStats::subject).unwrap_or_default().into());
        let code_agent = bind(call.map(|call| call.code_agent_id).unwrap_or_default().into());
        let unfolded = dialect.unfolded_of(&format!("${tenant}"));
        let and = if place == 0 { "" } else { " UNION ALL " };
        // What is written is memory: it cannot fail.
        let _ = write!(
            text,
            "{and}SELECT {place}, start, mode, figures FROM statistic
             WHERE tenant_id = ${tenant} AND subject = ${subject} AND width = 'ALL'
                 AND epoch = (SELECT epoch FROM statistic_state WHERE id = 1)
             UNION ALL SELECT {place}, hour, mode, figures FROM change_event
             WHERE tenant_id = ${tenant} AND code_agent_id = ${code_agent} AND hour IS NOT NULL AND {unfolded}"
        );
    }
    Statement::from_sql_and_values(dialect.backend(), text, bound)
}
