//! Statistics of all time of code agents: what lists and pages of agents ask for, and therefore read together.

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
#[derive(PartialEq, Eq)]
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
        // Of what many ask for, changes that are not counted yet are added up once.
        let mut wanted: Vec<&Self> = Vec::with_capacity(calls.len());
        let places: Vec<_> = calls
            .iter()
            .map(|call| {
                wanted.iter().position(|other| *other == call).unwrap_or_else(|| {
                    wanted.push(call);
                    wanted.len() - 1
                })
            })
            .collect();
        let rows = store.0.read.query_all_raw(statement(store.0.dialect, &wanted)).await.map_err(failed)?;
        let mut answers = vec![Vec::new(); wanted.len()];
        for row in rows {
            let place: i64 = row.try_get_by_index(0).map_err(failed)?;
            let figures: Option<Vec<u8>> = row.try_get_by_index(3).map_err(failed)?;
            let row = StatsRow {
                of: 0,
                start: row.try_get_by_index(1).map_err(failed)?,
                mode: row.try_get_by_index(2).map_err(failed)?,
                figures: figures
                    .map_or_else(|| Ok(Figures::default()), |figures| Figures::decode(&figures))?,
            };
            if let Some(answer) = usize::try_from(place - 1).ok().and_then(|place| answers.get_mut(place)) {
                answer.push(row);
            }
        }
        Ok(places.into_iter().map(|place| answers[place].clone()).collect())
    }
}

/// Which rows of the statistics are those of a code agent that is `given`. The index is of subjects that are no nulls.
const COUNTED: &str = "statistic.tenant_id = given.tenant_id AND statistic.subject = given.subject
    AND statistic.subject IS NOT NULL AND width = 'ALL'
    AND epoch = (SELECT epoch FROM statistic_state WHERE id = 1)";

/// Which changes are, and are not among those.
fn since(dialect: Dialect) -> String {
    format!(
        "change_event.tenant_id = given.tenant_id AND change_event.code_agent_id = given.code_agent_id
         AND hour IS NOT NULL AND {}",
        dialect.unfolded_of("given.tenant_id")
    )
}

/// The rows of each call, by its place from 1 on.
fn statement(dialect: Dialect, calls: &[&WantedStats]) -> Statement {
    let since = since(dialect);
    let (text, bound) = if dialect.is_postgres() {
        let tenants: Vec<_> = calls.iter().map(|call| call.tenant_id.clone()).collect();
        let subjects: Vec<_> = calls.iter().map(|call| call.subject()).collect();
        let code_agents: Vec<_> = calls.iter().map(|call| call.code_agent_id).collect();
        (lateral(&since), vec![tenants.into(), subjects.into(), code_agents.into()])
    } else {
        // Of one of a few lengths, so that it stays prepared: some may be of nobody.
        let places = calls.len().next_power_of_two();
        let bound = (0..places).flat_map(|place| {
            let call = calls.get(place);
            let tenant = call.map(|call| call.tenant_id.clone());
            let code_agent = call.map(|call| call.code_agent_id);
            [tenant.into(), call.map(|call| call.subject()).into(), code_agent.into()]
        });
        (cross(&since, places), bound.collect::<Vec<Value>>())
    };
    Statement::from_sql_and_values(dialect.backend(), text, bound)
}

/// PostgreSQL looks up one after the other. It does not see how many there are, as in [`crate::store::arrays`].
fn lateral(since: &str) -> String {
    format!(
        "SELECT place, start, mode, figures
         FROM unnest((SELECT $1::text[]), (SELECT $2::uuid[]), (SELECT $3::uuid[]))
             WITH ORDINALITY AS given (tenant_id, subject, code_agent_id, place)
         CROSS JOIN LATERAL (
             SELECT start, mode, figures FROM statistic WHERE {COUNTED}
             UNION ALL SELECT hour, mode, figures FROM change_event WHERE {since}
         ) AS found"
    )
}

/// SQLite joins in the order in which it is told to.
fn cross(since: &str, places: usize) -> String {
    let given: Vec<_> = (1..=places).map(|place| format!("({place}, ?, ?, ?)")).collect();
    let given = given.join(", ");
    format!(
        "WITH given (place, tenant_id, subject, code_agent_id) AS (VALUES {given})
         SELECT place, start, mode, figures FROM given CROSS JOIN statistic WHERE {COUNTED}
         UNION ALL SELECT place, hour, mode, figures FROM given CROSS JOIN change_event WHERE {since}"
    )
}
