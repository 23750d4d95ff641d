//! Code agents.

use std::collections::HashMap;

use entity::{code_agent, code_publish};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, Condition, IntoActiveModel as _, Set};
use uuid::Uuid;

use super::WriteTx;
use super::failure::failed;
use super::scoped::{Reader, ScopedSelect, Writable, of_executions};
use super::write::{delete, insert_many};
use crate::auth::{Stamp, Viewer};
use crate::clock::{Timestamp, new_id};
use crate::domain::code::{Filter, Outcome, join_tags};
use crate::domain::page::{Cursor, Page, Rows};
use crate::error::Result;

/// A code agent.
pub type CodeAgentRow = code_agent::Model;

impl Reader<'_> {
    /// Code agents by id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn code_agents_by_ids(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, CodeAgentRow>> {
        let rows =
            self.select::<code_agent::Entity>().filter(self.id_in(code_agent::Column::Id, ids)).all().await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Code agents that rows of these tenants name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn code_agents_by_key(&self, keys: &[(String, Uuid)]) -> Result<Vec<CodeAgentRow>> {
        use code_agent::Column as C;
        self.select::<code_agent::Entity>().filter(of_executions(C::TenantId, C::Id, keys)).all().await
    }

    /// A page of code agents, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_code_agents(&self, filter: &Filter, page: &Page<Cursor>) -> Result<Rows<CodeAgentRow>> {
        use code_agent::Column as C;
        let select = self.matching_code_agents(filter).newest_first(C::CreatedAt, C::Id, page);
        Ok(Rows::from_read(select.all().await?, page))
    }

    /// How many code agents match.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_code_agents(&self, filter: &Filter) -> Result<u64> {
        self.matching_code_agents(filter).count().await
    }

    /// A code agent that `viewer` may see, locked for writing, and checked that it may be written.
    ///
    /// # Errors
    /// `FORBIDDEN` when it may be read but not written.
    pub async fn writable_code_agent(
        &self,
        viewer: &Viewer,
        id: Uuid,
    ) -> Result<Option<Writable<CodeAgentRow>>> {
        let by_id = self.id_in(code_agent::Column::Id, &[id]);
        let row = self.select::<code_agent::Entity>().filter(by_id).lock().one().await?;
        row.map(|row| {
            let (tenant_id, owner_id) = (row.tenant_id.clone(), row.owner_id.clone());
            Writable::check(viewer, &tenant_id, &owner_id, row)
        })
        .transpose()
    }

    /// The indexes serve name and language; words and tags are looked for in each of the remaining rows, which are as
    /// many as a tenant has agents.
    fn matching_code_agents(&self, filter: &Filter) -> ScopedSelect<'_, '_, code_agent::Entity> {
        use code_agent::Column as C;
        let Filter { name, words, language, tags } = filter;
        let mut condition = Condition::all()
            .add_option(name.as_ref().map(|name| C::Name.eq(name)))
            .add_option(language.as_ref().map(|language| C::Language.eq(language)));
        for word in words {
            condition = condition.add(self.dialect.contains(C::SearchText, word));
        }
        if let Some(tags) = tags {
            let any =
                tags.iter().map(|tag| self.dialect.contains(C::Tags, &join_tags(std::slice::from_ref(tag))));
            let any = any.fold(Condition::any().add(Expr::val(false)), Condition::add);
            condition = condition.add(any);
        }
        self.select::<code_agent::Entity>().filter(condition)
    }
}

impl WriteTx {
    /// Inserts a code agent, which gets its tenant and owner here.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_code_agent(
        &self,
        stamp: &Stamp,
        mut row: CodeAgentRow,
    ) -> Result<Writable<CodeAgentRow>> {
        stamp.tenant_id().clone_into(&mut row.tenant_id);
        stamp.owner_id().clone_into(&mut row.owner_id);
        let rows = vec![row.clone().into_active_model()];
        insert_many::<code_agent::Entity>(self, rows, None).await.map_err(failed)?;
        Ok(Writable::new(row))
    }

    /// Saves a code agent that has changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save_code_agent(&self, changed: &Writable<CodeAgentRow>) -> Result<()> {
        use code_agent::Column as C;
        let on_conflict = OnConflict::columns([C::TenantId, C::Id])
            .update_columns([C::Name, C::Description, C::Tags, C::SearchText, C::LatestVersion, C::UpdatedAt])
            .to_owned();
        let rows = vec![changed.row().clone().into_active_model()];
        insert_many::<code_agent::Entity>(self, rows, Some(on_conflict)).await.map_err(failed)
    }

    /// Deletes a code agent with its versions and their sources; see their foreign keys.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_code_agent(&self, agent: &Writable<CodeAgentRow>) -> Result<u64> {
        use code_agent::Column as C;
        let which = C::TenantId.eq(&agent.row().tenant_id).and(C::Id.eq(agent.row().id));
        delete::<code_agent::Entity>(self, Condition::all().add(which)).await
    }

    /// Notes what became of an attempt to publish.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_publish(
        &self,
        agent: &Writable<CodeAgentRow>,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<()> {
        let agent = agent.row();
        self.insert_publish(&agent.tenant_id, &agent.owner_id, Some(agent.id), outcome, now).await
    }

    /// Notes that a code agent was not made because its source was refused.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_refused_agent(&self, stamp: &Stamp, now: Timestamp) -> Result<()> {
        self.insert_publish(stamp.tenant_id(), stamp.owner_id(), None, Outcome::Refused, now).await
    }

    async fn insert_publish(
        &self,
        tenant_id: &str,
        owner_id: &str,
        code_agent_id: Option<Uuid>,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<()> {
        let row = code_publish::ActiveModel {
            tenant_id: Set(tenant_id.to_owned()),
            id: Set(new_id()),
            owner_id: Set(owner_id.to_owned()),
            code_agent_id: Set(code_agent_id),
            outcome: Set(outcome),
            created_at: Set(now),
        };
        insert_many::<code_publish::Entity>(self, vec![row], None).await.map_err(failed)
    }
}
