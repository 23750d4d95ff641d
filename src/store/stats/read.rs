//! Reading statistics: few rows, and what has changed since.

use std::collections::{BTreeMap, HashMap};

use entity::{change_event, code_agent, code_publish, code_version, code_version_run, execution, statistic};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, DbErr, FromQueryResult, QueryResult};
use uuid::Uuid;

use super::{Counted, EVERY_TENANT, subject_id};
use crate::clock::Timestamp;
use crate::domain::execution::Mode;
use crate::domain::stats::{Bucket, Figures, Span, Stretch, Subject, Width, parts};
use crate::error::Result;
use crate::store::dialect::Unfolded;
use crate::store::scoped::{Part, Reader, ScopedSelect, any_of};

/// Whose statistics: each has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsOf {
    /// The executions that meet these conditions, together.
    Matching(Subject),
    /// Those of code agents, by tenant and id.
    CodeAgents(Vec<(String, Uuid)>),
    /// Those of projects, by tenant and key.
    Projects(Vec<(String, String)>),
}

/// Which statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsQuery {
    pub of: StatsOf,
    pub mode: Option<Mode>,
    /// When the executions were created.
    pub span: Span,
}

/// A part of what was asked for.
#[derive(Debug, Clone)]
pub struct StatsRow {
    /// Whose it is, by its place in the query.
    pub of: usize,
    /// When the executions were created, or the beginning of the hour, day or month of that.
    pub start: Timestamp,
    pub mode: Mode,
    pub figures: Figures,
}

/// What there is of code agents, and what became of publishing.
#[derive(Debug, Clone, Default, FromQueryResult)]
pub struct RegistryCounts {
    pub code_agents: i64,
    pub versions: i64,
    pub publishes: i64,
    pub validation_failures: i64,
    /// Executions that were the first to run their version.
    pub first_runs: i64,
}

/// Which columns the parts of a union have. Each of them costs in each row, so there are no others than are looked at.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Several have statistics, which are told apart by this.
    key: Key,
    /// Executions are among the rows.
    has_executions: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    None,
    CodeAgent,
    Project,
}

/// A row of the union: figures as they are stored, or an execution.
#[derive(Debug)]
struct Found {
    start: Timestamp,
    mode: Mode,
    figures: Figures,
    code_agent_id: Option<Uuid>,
    /// Its tenant and key.
    project: Option<(String, String)>,
}

#[derive(Debug, FromQueryResult)]
struct First {
    start: Option<Timestamp>,
}

/// The columns of a table that statistics are asked by.
struct Columns<C> {
    tenant: C,
    owner: C,
    code_agent: C,
    workflow: C,
    project: C,
}

impl Reader<'_> {
    /// The rows that add up to what was asked for, none wider than `widest`; executions at the ends of the span, where it
    /// cuts through an hour, one by one. All of them are of one moment.
    ///
    /// # Errors
    /// What the database says.
    pub async fn statistics(&self, query: &StatsQuery, widest: Width) -> Result<Vec<StatsRow>> {
        let Some(query) = self.narrowed(query) else { return Ok(Vec::new()) };
        let parts = parts(query.span, widest);
        let shape = Shape::of(&query.of, !parts.edges.is_empty());
        // Those with real columns come first: they tell PostgreSQL the types of the others' nulls.
        let mut union: Vec<_> = parts.edges.iter().map(|edge| self.edge(&query, shape, *edge)).collect();
        union.extend(parts.stretches.iter().map(|stretch| self.stretch(&query, shape, *stretch)));
        union.extend(parts.hours.map(|hours| self.unfolded(&query, shape, hours)));
        let found = self.union_of(union, |row| shape.read(row)).await?;
        let places = Places::of(&query.of);
        let row = |found: Found| {
            let of = places.find(&found)?;
            Some(StatsRow { of, start: found.start, mode: found.mode, figures: found.figures })
        };
        Ok(found.into_iter().filter_map(row).collect())
    }

    /// The beginning of the first day that has executions, of any of those that are asked for.
    ///
    /// # Errors
    /// What the database says.
    pub async fn first_day_of_statistics(&self, query: &StatsQuery) -> Result<Option<Timestamp>> {
        let Some(query) = self.narrowed(query) else { return Ok(None) };
        let day = Stretch { width: Bucket::Day.into(), starts: Span { from: None, to: query.span.to } };
        let first = |column: &str| vec![("start", Expr::cust(format!("min({column})")))];
        let rows = self.rows(&query, day).part(first("start"));
        let events = self.events(&query, day.starts).part(first("hour"));
        let first = self.union_of(vec![rows, events], |row| First::from_query_result(row, "")).await?;
        Ok(first.into_iter().filter_map(|first| first.start).min())
    }

    /// What there is of code agents of the span.
    ///
    /// # Errors
    /// What the database says.
    pub async fn registry_counts(&self, span: Span) -> Result<RegistryCounts> {
        let agents = self.select::<code_agent::Entity>().filter(within(code_agent::Column::CreatedAt, span));
        let versions =
            self.select::<code_version::Entity>().filter(within(code_version::Column::CreatedAt, span));
        let publishes =
            self.select::<code_publish::Entity>().filter(within(code_publish::Column::CreatedAt, span));
        let first_execution = Query::select()
            .expr(Expr::val(1))
            .from(execution::Entity)
            .cond_where(
                Condition::all()
                    .add(Expr::cust("execution.tenant_id = code_version_run.tenant_id"))
                    .add(Expr::cust("execution.id = code_version_run.execution_id"))
                    .add(execution::Column::DiscardAt.is_null())
                    .add(within(execution::Column::CreatedAt, span)),
            )
            .take();
        let runs = self.select::<code_version_run::Entity>().filter(Expr::exists(first_execution));
        let count = |name: &str| CASES.map(|case| (case, count_of(case == name)));
        let failures = "coalesce(sum(CASE WHEN outcome IN ('KEPT_INVALID', 'REFUSED') THEN 1 ELSE 0 END), 0)";
        let mut attempts = count("publishes");
        attempts[3].1 = Expr::cust(format!("CAST({failures} AS bigint)"));
        let parts = vec![
            agents.part(count("code_agents").into()),
            versions.part(count("versions").into()),
            publishes.part(attempts.into()),
            runs.part(count("first_runs").into()),
        ];
        let counts = self.union_of(parts, |row| RegistryCounts::from_query_result(row, "")).await?;
        Ok(counts.into_iter().fold(RegistryCounts::default(), |sum, counts| RegistryCounts {
            code_agents: sum.code_agents + counts.code_agents,
            versions: sum.versions + counts.versions,
            publishes: sum.publishes + counts.publishes,
            validation_failures: sum.validation_failures + counts.validation_failures,
            first_runs: sum.first_runs + counts.first_runs,
        }))
    }

    /// The query under this reader's scope; `None` when nothing of it is to be seen. Only rows that are counted by their
    /// owner can be limited to one.
    fn narrowed(&self, query: &StatsQuery) -> Option<StatsQuery> {
        let mut query = query.clone();
        if let (StatsOf::Matching(subject), Some(owner_id)) = (&mut query.of, self.only_owner()) {
            match &subject.owner_id {
                Some(asked) if asked != owner_id => return None,
                _ => subject.owner_id = Some(owner_id.to_owned()),
            }
        }
        Some(query)
    }

    fn stretch(&self, query: &StatsQuery, shape: Shape, stretch: Stretch) -> Part {
        use statistic::Column as C;
        self.rows(query, stretch).part(shape.stored(C::CodeAgentId, C::ProjectKey, "start"))
    }

    fn rows(&self, query: &StatsQuery, stretch: Stretch) -> ScopedSelect<'_, '_, statistic::Entity> {
        use statistic::Column as C;
        self.select::<statistic::Entity>()
            .filter(self.subjects(&query.of))
            .filter(C::Width.eq(stretch.width))
            .filter(within(C::Start, stretch.starts))
            .filter(Expr::cust("epoch = (SELECT epoch FROM statistic_state WHERE id = 1)"))
            .filter(Condition::all().add_option(query.mode.map(|mode| C::Mode.eq(mode))))
    }

    /// Which rows those are: by what their one condition hashes to, or by the values that are combined in them.
    fn subjects(&self, of: &StatsOf) -> Condition {
        use statistic::Column as C;
        let mut by_tenant: BTreeMap<&str, Vec<Uuid>> = BTreeMap::new();
        match (of, self.only_owner()) {
            (StatsOf::Matching(subject), _) if subject.is_combination() => {
                // Who sees every tenant finds those that have one of the values, by its row of all time.
                let tenants = self.reads_every_tenant().then(|| self.tenants_with(subject));
                return combined()
                    .add_option(tenants.map(|tenants| C::TenantId.in_subquery(tenants)))
                    .add(STATISTIC.of(of));
            }
            (StatsOf::Matching(subject), _) => {
                let id = subject_id(subject);
                return match (self.reads_every_tenant(), *subject == Subject::default()) {
                    (true, true) => Condition::all().add(C::TenantId.eq(EVERY_TENANT)).add(C::Subject.eq(id)),
                    (true, false) => self.subject_anywhere(id),
                    (false, _) => Condition::all().add(C::Subject.eq(id)),
                };
            }
            (_, Some(owner_id)) => return combined().add(C::OwnerId.eq(owner_id)).add(STATISTIC.of(of)),
            (StatsOf::CodeAgents(keys), None) => {
                for (tenant_id, id) in keys {
                    let subject = Subject { code_agent_id: Some(*id), ..Subject::default() };
                    by_tenant.entry(tenant_id).or_default().push(subject_id(&subject));
                }
            }
            (StatsOf::Projects(keys), None) => {
                for (tenant_id, key) in keys {
                    let subject = Subject { project_key: Some(key.clone()), ..Subject::default() };
                    by_tenant.entry(tenant_id).or_default().push(subject_id(&subject));
                }
            }
        }
        let of_tenant = |(tenant_id, subjects): (&str, Vec<Uuid>)| {
            C::TenantId.eq(tenant_id).and(C::Subject.is_in(subjects))
        };
        any_of(&by_tenant.into_iter().map(of_tenant).collect::<Vec<_>>())
    }

    fn subject_anywhere(&self, id: Uuid) -> Condition {
        use statistic::Column as C;
        Condition::all()
            .add(self.dialect.ids_anywhere(C::Subject, &[id]))
            .add(Expr::cust("subject IS NOT NULL"))
    }

    fn tenants_with(&self, subject: &Subject) -> SelectStatement {
        use statistic::Column as C;
        let Subject { code_agent_id, workflow_id, project_key, .. } = subject.clone();
        let one = match (code_agent_id, &workflow_id) {
            (Some(_), _) => Subject { code_agent_id, ..Subject::default() },
            (None, Some(_)) => Subject { workflow_id, ..Subject::default() },
            (None, None) => Subject { project_key, ..Subject::default() },
        };
        Query::select()
            .column(C::TenantId)
            .from(statistic::Entity)
            .cond_where(self.subject_anywhere(subject_id(&one)))
            .and_where(C::Width.eq(Width::All))
            .take()
    }

    /// What has changed since.
    fn unfolded(&self, query: &StatsQuery, shape: Shape, hours: Span) -> Part {
        use change_event::Column as C;
        self.events(query, hours).part(shape.stored(C::CodeAgentId, C::ProjectKey, "hour"))
    }

    fn events(&self, query: &StatsQuery, hours: Span) -> ScopedSelect<'_, '_, change_event::Entity> {
        use change_event::Column as C;
        let columns = Columns {
            tenant: C::TenantId,
            owner: C::OwnerId,
            code_agent: C::CodeAgentId,
            workflow: C::WorkflowId,
            project: C::ProjectKey,
        };
        let unfolded = match (self.tenant_id(), &query.of) {
            (Some(tenant_id), _) => Unfolded::Tenant(tenant_id),
            (None, StatsOf::Matching(subject)) if *subject == Subject::default() => {
                Unfolded::Tenant(EVERY_TENANT)
            }
            (None, _) => Unfolded::Each,
        };
        self.select::<change_event::Entity>()
            .filter(self.dialect.unfolded(unfolded))
            .filter(C::Hour.is_not_null())
            .filter(within(C::Hour, hours))
            .filter(columns.of(&query.of))
            .filter(Condition::all().add_option(query.mode.map(|mode| C::Mode.eq(mode))))
    }

    /// Executions that were created within less than an hour.
    fn edge(&self, query: &StatsQuery, shape: Shape, (from, to): (Timestamp, Timestamp)) -> Part {
        use execution::Column as C;
        let columns = Columns {
            tenant: C::TenantId,
            owner: C::OwnerId,
            code_agent: C::CodeAgentId,
            workflow: C::WorkflowId,
            project: C::ProjectKey,
        };
        let values = [
            C::Status,
            C::CodeVersion,
            C::InputTokens,
            C::CachedInputTokens,
            C::OutputTokens,
            C::CostMicrousd,
            C::DurationMs,
            C::VisualEnabled,
            C::VisualEventsCaptured,
            C::VisualStreamDurationMs,
        ];
        let start = C::CreatedAt.into_expr();
        let mut expressions = shape.told_apart(start, null("bytea"), C::CodeAgentId, C::ProjectKey);
        expressions
            .extend(VALUES.into_iter().map(|(name, _)| name).zip(values.map(|value| value.into_expr())));
        self.select::<execution::Entity>()
            .filter(C::DiscardAt.is_null())
            .filter(within(C::CreatedAt, Span { from: Some(from), to: Some(to) }))
            .filter(columns.of(&query.of))
            .filter(Condition::all().add_option(query.mode.map(|mode| C::Mode.eq(mode))))
            .part(expressions)
    }
}

const STATISTIC: Columns<statistic::Column> = Columns {
    tenant: statistic::Column::TenantId,
    owner: statistic::Column::OwnerId,
    code_agent: statistic::Column::CodeAgentId,
    workflow: statistic::Column::WorkflowId,
    project: statistic::Column::ProjectKey,
};

/// The rows of several conditions, as their indexes have it.
fn combined() -> Condition {
    Condition::all().add(Expr::cust("subject IS NULL"))
}

impl<C: ColumnTrait> Columns<C> {
    /// The rows that count, as they are themselves.
    fn of(&self, of: &StatsOf) -> Condition {
        match of {
            StatsOf::Matching(Subject { owner_id, code_agent_id, workflow_id, project_key }) => {
                Condition::all()
                    .add_option(owner_id.as_ref().map(|id| self.owner.eq(id)))
                    .add_option(code_agent_id.map(|id| self.code_agent.eq(id)))
                    .add_option(workflow_id.as_ref().map(|id| self.workflow.eq(id)))
                    .add_option(project_key.as_ref().map(|key| self.project.eq(key)))
            }
            StatsOf::CodeAgents(keys) => self.any(self.code_agent, keys),
            StatsOf::Projects(keys) => self.any(self.project, keys),
        }
    }

    fn any<V: Clone + Into<sea_orm::Value>>(&self, column: C, keys: &[(String, V)]) -> Condition {
        let mut by_tenant: BTreeMap<&str, Vec<V>> = BTreeMap::new();
        for (tenant_id, value) in keys {
            by_tenant.entry(tenant_id).or_default().push(value.clone());
        }
        let of_tenant =
            |(tenant_id, values): (&str, Vec<V>)| self.tenant.eq(tenant_id).and(column.is_in(values));
        any_of(&by_tenant.into_iter().map(of_tenant).collect::<Vec<_>>())
    }
}

/// Where in a query a row belongs.
enum Places<'q> {
    One,
    CodeAgents(HashMap<Uuid, usize>),
    Projects(HashMap<(&'q str, &'q str), usize>),
}

impl<'q> Places<'q> {
    fn of(of: &'q StatsOf) -> Self {
        match of {
            StatsOf::Matching(_) => Self::One,
            StatsOf::CodeAgents(keys) => Self::CodeAgents(keys.iter().map(|(_, id)| *id).zip(0..).collect()),
            StatsOf::Projects(keys) => {
                let key = |(tenant_id, key): &'q (String, String)| (tenant_id.as_str(), key.as_str());
                Self::Projects(keys.iter().map(key).zip(0..).collect())
            }
        }
    }

    fn find(&self, found: &Found) -> Option<usize> {
        match self {
            Self::One => Some(0),
            Self::CodeAgents(places) => places.get(&found.code_agent_id?).copied(),
            Self::Projects(places) => {
                let (tenant_id, key) = found.project.as_ref()?;
                places.get(&(tenant_id.as_str(), key.as_str())).copied()
            }
        }
    }
}

impl Shape {
    fn of(of: &StatsOf, has_executions: bool) -> Self {
        let key = match of {
            StatsOf::Matching(_) => Key::None,
            StatsOf::CodeAgents(_) => Key::CodeAgent,
            StatsOf::Projects(_) => Key::Project,
        };
        Self { key, has_executions }
    }

    fn has_code_agent(self) -> bool {
        self.has_executions || self.key == Key::CodeAgent
    }

    /// The columns of a row that has figures.
    fn stored<C: ColumnTrait>(
        self,
        code_agent: C,
        project: C,
        start: &'static str,
    ) -> Vec<(&'static str, Expr)> {
        let mut expressions = self.told_apart(Expr::cust(start), Expr::cust("figures"), code_agent, project);
        if self.has_executions {
            expressions.extend(VALUES.map(|(name, r#type)| (name, null(r#type))));
        }
        expressions
    }

    fn told_apart<C: ColumnTrait>(
        self,
        start: Expr,
        figures: Expr,
        code_agent: C,
        project: C,
    ) -> Vec<(&'static str, Expr)> {
        let mut expressions = vec![("start", start), ("mode", Expr::cust("mode")), ("figures", figures)];
        if self.key == Key::Project {
            expressions.push(("tenant_id", Expr::cust("tenant_id")));
            expressions.push(("project_key", project.into_expr()));
        }
        if self.has_code_agent() {
            expressions.push(("code_agent_id", code_agent.into_expr()));
        }
        expressions
    }

    /// A row of a statement that has these columns, in this order.
    fn read(self, row: &QueryResult) -> Result<Found, DbErr> {
        let mut places = 0..;
        let mut place = || places.next().unwrap_or_default();
        let start = row.try_get_by_index(place())?;
        let mode = row.try_get_by_index(place())?;
        let figures: Option<Vec<u8>> = row.try_get_by_index(place())?;
        let project = match self.key {
            Key::Project => {
                let tenant_id: String = row.try_get_by_index(place())?;
                let key: Option<String> = row.try_get_by_index(place())?;
                key.map(|key| (tenant_id, key))
            }
            Key::None | Key::CodeAgent => None,
        };
        let code_agent_id: Option<Uuid> =
            if self.has_code_agent() { row.try_get_by_index(place())? } else { None };
        let figures = match figures {
            Some(figures) => Figures::decode(&figures).map_err(|error| DbErr::Type(format!("{error:?}")))?,
            None if self.has_executions => Counted {
                status: row.try_get_by_index(place())?,
                has_code_agent: code_agent_id.is_some(),
                has_code_version: row.try_get_by_index::<Option<i32>>(place())?.is_some(),
                input_tokens: row.try_get_by_index(place())?,
                cached_input_tokens: row.try_get_by_index(place())?,
                output_tokens: row.try_get_by_index(place())?,
                cost_microusd: row.try_get_by_index(place())?,
                duration_ms: row.try_get_by_index(place())?,
                visual_enabled: row.try_get_by_index(place())?,
                visual_events_captured: row.try_get_by_index(place())?,
                visual_stream_duration_ms: row.try_get_by_index(place())?,
            }
            .figures(),
            None => Figures::default(),
        };
        Ok(Found { start, mode, figures, code_agent_id, project })
    }
}

/// What only executions have, and its type.
const VALUES: [(&str, &str); 10] = [
    ("status", "text"),
    ("code_version", "integer"),
    ("input_tokens", "bigint"),
    ("cached_input_tokens", "bigint"),
    ("output_tokens", "bigint"),
    ("cost_microusd", "bigint"),
    ("duration_ms", "bigint"),
    ("visual_enabled", "boolean"),
    ("visual_events_captured", "bigint"),
    ("visual_stream_duration_ms", "bigint"),
];

/// A null of a type; SQLite takes any name for one.
fn null(of_type: &str) -> Expr {
    Expr::cust(format!("CAST(NULL AS {of_type})"))
}

fn within<C: ColumnTrait>(column: C, span: Span) -> Condition {
    Condition::all()
        .add_option(span.from.map(|from| column.gte(from)))
        .add_option(span.to.map(|to| column.lt(to)))
}

const CASES: [&str; 5] = ["code_agents", "versions", "publishes", "validation_failures", "first_runs"];

fn count_of(is_counted: bool) -> Expr {
    Expr::cust(if is_counted { "count(*)" } else { "CAST(0 AS bigint)" })
}
