//! A code agent together with its statistics of all time: what a page about one asks for. Those who ask at once share one
//! statement.

use entity::code_agent;
use sea_orm::{ConnectionTrait as _, FromQueryResult as _, Iden as _, Iterable as _, Statement, Value};
use uuid::Uuid;

use super::read::StatsRow;
use super::subject_id;
use crate::auth::Viewer;
use crate::domain::stats::{Figures, Subject};
use crate::error::Result;
use crate::store::Store;
use crate::store::code_agents::CodeAgentRow;
use crate::store::dialect::Dialect;
use crate::store::failure::failed;
use crate::store::together::{Line, Shareable, ask};

/// A code agent, and the rows that its statistics of all time add up from; `None` when they are to be asked for by themselves.
pub type CountedCodeAgent = (CodeAgentRow, Option<Vec<StatsRow>>);

/// One code agent, for somebody who sees all of its tenant.
#[derive(PartialEq, Eq)]
pub(in crate::store) struct WantedCounted {
    tenant_id: String,
    code_agent_id: Uuid,
}

impl WantedCounted {
    fn subject(&self) -> Uuid {
        subject_id(&Subject { code_agent_id: Some(self.code_agent_id), ..Subject::default() })
    }
}

impl Store {
    /// One code agent with its statistics, all of one moment, for a viewer who sees all of a tenant.
    ///
    /// # Errors
    /// What the database says.
    pub async fn find_counted_code_agent(
        &self,
        viewer: &Viewer,
        id: Uuid,
    ) -> Result<Option<CountedCodeAgent>> {
        let scope = viewer.reads();
        match (scope.tenant_id(), scope.owner_id()) {
            (Some(tenant_id), None) => {
                let wanted = WantedCounted { tenant_id: tenant_id.to_owned(), code_agent_id: id };
                let found = ask(self, wanted).await?;
                Ok(found.map(|(agent, counted)| (agent, Some(counted))))
            }
            _ => Ok(self.find_code_agent(viewer, id).await?.map(|agent| (agent, None))),
        }
    }
}

impl Shareable for WantedCounted {
    type Answer = Option<(CodeAgentRow, Vec<StatsRow>)>;
    type Source = Store;

    fn line(store: &Store) -> &Line<Self> {
        &store.0.counted_code_agents
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
        let mut answers: Vec<(Option<CodeAgentRow>, Vec<StatsRow>)> = Vec::new();
        answers.resize_with(wanted.len(), Default::default);
        for row in rows {
            let place: i64 = row.try_get_by_index(0).map_err(failed)?;
            let Some((agent, counted)) =
                usize::try_from(place - 1).ok().and_then(|place| answers.get_mut(place))
            else {
                continue;
            };
            let Some(start) = row.try_get_by_index(1).map_err(failed)? else {
                *agent = Some(CodeAgentRow::from_query_result(&row, "").map_err(failed)?);
                continue;
            };
            let figures: Option<Vec<u8>> = row.try_get_by_index(3).map_err(failed)?;
            counted.push(StatsRow {
                of: 0,
                start,
                mode: row.try_get_by_index(2).map_err(failed)?,
                figures: figures
                    .map_or_else(|| Ok(Figures::default()), |figures| Figures::decode(&figures))?,
            });
        }
        let answer = |place: usize| {
            let (agent, counted) = &answers[place];
            agent.clone().map(|agent| (agent, counted.clone()))
        };
        Ok(places.into_iter().map(answer).collect())
    }
}

const GIVEN_AGENT: &str = "code_agent.tenant_id = given.tenant_id AND code_agent.id = given.code_agent_id";

/// Which rows of the statistics are those of a code agent that is `given`. The index is of subjects that are no nulls.
const COUNTED: &str = "statistic.tenant_id = given.tenant_id AND statistic.subject = given.subject
    AND statistic.subject IS NOT NULL AND width = 'ALL'
    AND epoch = (SELECT epoch FROM statistic_state WHERE id = 1)";

/// Which changes are, and are not among those: after the place `xid` and `seq` of the tenant's statistics.
fn since(dialect: Dialect) -> String {
    format!(
        "change_event.tenant_id = given.tenant_id AND change_event.code_agent_id = given.code_agent_id
         AND hour IS NOT NULL AND {}",
        dialect.unfolded_of("given.tenant_id")
    )
}

/// The agent of each call and what counts, by the call's place from 1 on. A row is either: an agent has no `start`.
fn statement(dialect: Dialect, calls: &[&WantedCounted]) -> Statement {
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

/// The columns of an agent, and as many nulls.
fn agent_columns() -> (String, String) {
    let names: Vec<_> = code_agent::Column::iter().map(|column| column.unquoted().to_owned()).collect();
    (names.join(", "), vec!["NULL"; names.len()].join(", "))
}

/// PostgreSQL looks up one after the other. It does not see how many there are, as in [`crate::store::arrays`].
fn lateral(since: &str) -> String {
    let (agent, no_agent) = agent_columns();
    format!(
        "SELECT place, found.*
         FROM unnest((SELECT $1::text[]), (SELECT $2::uuid[]), (SELECT $3::uuid[]))
             WITH ORDINALITY AS given (tenant_id, subject, code_agent_id, place)
         CROSS JOIN LATERAL (
             SELECT NULL AS start, NULL AS mode, NULL AS figures, {agent} FROM code_agent WHERE {GIVEN_AGENT}
             UNION ALL SELECT start, mode, figures, {no_agent} FROM statistic WHERE {COUNTED}
             UNION ALL SELECT hour, mode, figures, {no_agent} FROM change_event WHERE {since}
         ) AS found"
    )
}

/// SQLite joins in the order in which it is told to.
fn cross(since: &str, places: usize) -> String {
    let (agent, no_agent) = agent_columns();
    let agent = agent.replace("tenant_id", "code_agent.tenant_id");
    let given: Vec<_> = (1..=places).map(|place| format!("({place}, ?, ?, ?)")).collect();
    let given = given.join(", ");
    format!(
        "WITH given (place, tenant_id, subject, code_agent_id) AS (VALUES {given})
         SELECT place, NULL, NULL, NULL, {agent} FROM given CROSS JOIN code_agent WHERE {GIVEN_AGENT}
         UNION ALL SELECT place, start, mode, figures, {no_agent} FROM given CROSS JOIN statistic WHERE {COUNTED}
         UNION ALL SELECT place, hour, mode, figures, {no_agent} FROM given CROSS JOIN change_event WHERE {since}"
    )
}
