//! The versions of code agents, and their sources.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entity::{code_source, code_version};
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait as _, Condition, IntoActiveModel as _, Order, Set};
use uuid::Uuid;

use super::WriteTx;
use super::code_agents::CodeAgentRow;
use super::failure::failed;
use super::scoped::{Reader, Writable, any_of, of_executions};
use super::write::insert_many;
use crate::domain::limits::DATABASE_SOURCE_BYTES_MAX;
use crate::domain::object::Place;
use crate::domain::page::{Direction, Page, Rows};
use crate::error::Result;

/// A version without its source.
pub type CodeVersionRow = code_version::Model;

/// Which version: tenant, code agent, number.
pub type CodeVersionKey = (String, Uuid, i32);

impl Reader<'_> {
    /// Versions by id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn code_versions_by_ids(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, CodeVersionRow>> {
        let select = self.select::<code_version::Entity>();
        let rows = select.filter(self.id_in(code_version::Column::Id, ids)).all().await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Versions by tenant, agent and number.
    ///
    /// # Errors
    /// What the database says.
    pub async fn code_versions_by_key(&self, keys: &BTreeSet<CodeVersionKey>) -> Result<Vec<CodeVersionRow>> {
        use code_version::Column as C;
        let mut by_agent: BTreeMap<(&str, Uuid), Vec<i32>> = BTreeMap::new();
        for (tenant_id, agent_id, number) in keys {
            by_agent.entry((tenant_id, *agent_id)).or_default().push(*number);
        }
        let each = |((tenant_id, agent_id), numbers): ((&str, Uuid), Vec<i32>)| {
            C::TenantId.eq(tenant_id).and(C::CodeAgentId.eq(agent_id)).and(C::Number.is_in(numbers))
        };
        let any = any_of(&by_agent.into_iter().map(each).collect::<Vec<_>>());
        self.select::<code_version::Entity>().filter(any).all().await
    }

    /// A page of an agent's versions, newest first; a cursor is a number.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_code_versions(
        &self,
        agent: &CodeAgentRow,
        page: &Page<i32>,
    ) -> Result<Rows<CodeVersionRow>> {
        use code_version::Column as C;
        let direction = match page.direction {
            Direction::Forward => Order::Desc,
            Direction::Backward => Order::Asc,
        };
        let cursors = Condition::all()
            .add_option(page.after.map(|number| C::Number.lt(number)))
            .add_option(page.before.map(|number| C::Number.gt(number)));
        let select = self
            .select_within::<code_version::Entity>(&agent.tenant_id)
            .filter(C::CodeAgentId.eq(agent.id))
            .filter(cursors)
            .order_by(C::Number.into_expr(), direction)
            .limit(page.rows + 1);
        Ok(Rows::from_read(select.all().await?, page))
    }

    /// How many versions an agent has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_code_versions(&self, agent: &CodeAgentRow) -> Result<u64> {
        let select = self.select_within::<code_version::Entity>(&agent.tenant_id);
        select.filter(code_version::Column::CodeAgentId.eq(agent.id)).count().await
    }

    /// The versions of this agent whose source is so large that it is an object, or will be one; and where it is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn large_sources(&self, agent: &CodeAgentRow) -> Result<Vec<(Uuid, Option<Place>)>> {
        use code_version::Column as C;
        self.select_within::<code_version::Entity>(&agent.tenant_id)
            .filter(C::CodeAgentId.eq(agent.id))
            .filter(C::SizeBytes.gt(DATABASE_SOURCE_BYTES_MAX.max.cast_signed()))
            .tuples([C::Id.into_expr(), C::ObjectPlace.into_expr()])
            .await
    }

    /// The sources of versions that have been read, as far as they are in the database, by tenant and id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn code_sources(&self, versions: &[(String, Uuid)]) -> Result<HashMap<Uuid, Vec<u8>>> {
        use code_source::Column as C;
        let select = self.select::<code_source::Entity>();
        let rows: Vec<(Uuid, Vec<u8>)> = select
            .filter(of_executions(C::TenantId, C::CodeVersionId, versions))
            .tuples([C::CodeVersionId.into_expr(), C::Source.into_expr()])
            .await?;
        Ok(rows.into_iter().collect())
    }
}

impl WriteTx {
    /// Inserts the next version of an agent that is locked, with its source. It gets tenant and owner of the agent.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_code_version(
        &self,
        agent: &Writable<CodeAgentRow>,
        mut row: CodeVersionRow,
        source: String,
    ) -> Result<CodeVersionRow> {
        agent.row().tenant_id.clone_into(&mut row.tenant_id);
        agent.row().owner_id.clone_into(&mut row.owner_id);
        row.code_agent_id = agent.row().id;
        let source = code_source::ActiveModel {
            tenant_id: Set(row.tenant_id.clone()),
            code_version_id: Set(row.id),
            owner_id: Set(row.owner_id.clone()),
            source: Set(source.into_bytes()),
        };
        let rows = vec![row.clone().into_active_model()];
        insert_many::<code_version::Entity>(self, rows, None).await.map_err(failed)?;
        insert_many::<code_source::Entity>(self, vec![source], None).await.map_err(failed)?;
        Ok(row)
    }
}
