//! Making, changing and deleting code agents.

use chrono::TimeDelta;
use uuid::Uuid;

use super::super::Service;
use super::publish::{first_problem, new_version};
use crate::analytics::Event;
use crate::auth::Viewer;
use crate::clock::{Timestamp, new_id, now};
use crate::domain::code::{Outcome, join_tags, search_text};
use crate::domain::limits::{DESCRIPTION_BYTES_MAX, SOURCE_BYTES_MAX, TAGS_MAX, at_most};
use crate::domain::object::{Doomed, Place};
use crate::domain::text;
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::store::{CodeAgentRow, JobKind, NewJob};

/// A code agent to be made.
#[derive(Debug, Clone)]
pub struct CreateCodeAgent {
    pub name: String,
    /// Kept in lower case.
    pub language: String,
    pub description: Option<String>,
    pub tags: Vec<String>,
    /// Becomes version 1.
    pub source: Option<String>,
    /// Keep a source that is not valid.
    pub allow_invalid: bool,
}

/// A change; `None` stays as it is.
#[derive(Debug, Clone)]
pub struct UpdateCodeAgent {
    pub id: Uuid,
    pub name: Option<String>,
    /// `Some(None)` removes it.
    pub description: Option<Option<String>>,
    pub tags: Option<Vec<String>>,
}

impl Service {
    /// Makes a code agent, with its first version when there is a source.
    ///
    /// # Errors
    /// `BAD_INPUT`, also for a source that is not valid, `TOO_LARGE`; `UNAVAILABLE` when the source cannot be checked now.
    pub async fn create_code_agent(&self, viewer: &Viewer, create: CreateCodeAgent) -> Result<CodeAgentRow> {
        let stamp = viewer.stamp(None)?;
        let CreateCodeAgent { source, allow_invalid, .. } = create.clone();
        let row = new_agent(create, now())?;
        let Some(source) = source else {
            let tx = self.store.begin().await?;
            let agent = tx.insert_code_agent(&stamp, row).await?;
            tx.commit().await?;
            self.tell_created(viewer, agent.row());
            return Ok(agent.into_row());
        };
        at_most("input.source", source.len(), SOURCE_BYTES_MAX)?;
        let validation = self.checker.check(&row.language, &source).await?;
        let now = now();
        let tx = self.store.begin().await?;
        if !validation.is_valid() && !allow_invalid {
            tx.record_refused_agent(&stamp, now).await?;
            tx.commit().await?;
            self.tell_failed(viewer, stamp.tenant_id(), None, &row.language, &validation);
            return Err(Error::bad_input("input.source", first_problem(&validation)));
        }
        let row = CodeAgentRow { latest_version: 1, ..row };
        let outcome = if validation.is_valid() { Outcome::Created } else { Outcome::KeptInvalid };
        let version = new_version(viewer, 1, &source, &validation, now)?;
        let agent = tx.insert_code_agent(&stamp, row).await?;
        let version = tx.insert_code_version(&agent, version, source).await?;
        tx.record_publish(&agent, outcome, now).await?;
        self.plan_move(&tx, &version, now).await?;
        tx.commit().await?;
        self.tell_created(viewer, agent.row());
        self.tell_published(viewer, agent.row(), &version);
        self.move_at_once(version).await;
        Ok(agent.into_row())
    }

    fn tell_created(&self, viewer: &Viewer, agent: &CodeAgentRow) {
        let event = Event::AgentCreated { code_agent_id: agent.id, language: &agent.language };
        self.analytics.tell(viewer.user_id(), &agent.tenant_id, &event);
    }

    /// Changes what is known of a code agent; its versions stay as they are.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `BAD_INPUT`, `TOO_LARGE`.
    pub async fn update_code_agent(&self, viewer: &Viewer, update: UpdateCodeAgent) -> Result<CodeAgentRow> {
        let name = text::short_optional("input.name", update.name)?;
        let description = update.description.map(checked_description).transpose()?;
        let tags = update.tags.map(checked_tags).transpose()?;
        let tx = self.store.begin().await?;
        let agent = tx.reader(viewer).writable_code_agent(viewer, update.id).await?;
        let mut agent = agent.ok_or(Error::NotFound { what: "code agent" })?;
        let before = agent.row().clone();
        let row = agent.row_mut();
        row.name = name.unwrap_or_else(|| before.name.clone());
        row.description = description.unwrap_or_else(|| before.description.clone());
        row.tags = tags.unwrap_or_else(|| before.tags.clone());
        row.search_text = search_text(&row.name, row.description.as_deref());
        if *row == before {
            return Ok(before);
        }
        row.updated_at = now();
        tx.save_code_agent(&agent).await?;
        tx.commit().await?;
        Ok(agent.into_row())
    }

    /// Deletes a code agent with all its versions; says how many agents that were: none when it is not there (any more).
    /// Its executions stay.
    ///
    /// # Errors
    /// `FORBIDDEN` when the viewer can see it but not change it.
    pub async fn delete_code_agent(&self, viewer: &Viewer, id: Uuid) -> Result<u64> {
        let tx = self.store.begin().await?;
        let Some(agent) = tx.reader(viewer).writable_code_agent(viewer, id).await? else { return Ok(0) };
        let large = tx.reader(viewer).large_sources(agent.row()).await?;
        let deleted = tx.delete_code_agent(&agent).await?;
        if !large.is_empty() {
            let now = now();
            let versions: Vec<_> = large.iter().map(|(id, _)| *id).collect();
            let leased_until = tx.remove_jobs(JobKind::MoveSource, &versions).await?;
            let in_cloud = large.iter().any(|(_, place)| *place == Some(Place::Cloud));
            let doomed = Doomed::Sources { code_agent_id: id, in_cloud };
            let job = NewJob {
                kind: JobKind::DeleteObjects,
                tenant_id: agent.row().tenant_id.clone(),
                subject_id: new_id(),
                node_id: None,
                detail: Some(serde_json::to_string(&doomed).map_err(Error::internal)?),
                // Whoever is moving one of them has ended by then.
                run_at: leased_until.map_or(now, |until| until + TimeDelta::seconds(1)),
            };
            tx.insert_jobs(vec![job], now).await?;
        }
        tx.commit().await?;
        self.wakeups.announce([Topic::Jobs]);
        Ok(deleted)
    }
}

fn new_agent(create: CreateCodeAgent, now: Timestamp) -> Result<CodeAgentRow> {
    let name = text::short("input.name", create.name)?;
    let description = checked_description(create.description)?;
    Ok(CodeAgentRow {
        // Both are stamped when it is inserted.
        tenant_id: String::new(),
        owner_id: String::new(),
        id: new_id(),
        language: text::short("input.language", create.language)?.trim().to_lowercase(),
        tags: checked_tags(create.tags)?,
        search_text: search_text(&name, description.as_deref()),
        name,
        description,
        latest_version: 0,
        created_at: now,
        updated_at: now,
    })
}

fn checked_description(description: Option<String>) -> Result<Option<String>> {
    description.map(|text| text::long("input.description", text, DESCRIPTION_BYTES_MAX)).transpose()
}

/// The tags as they are stored, each once, in the order in which they were given.
fn checked_tags(tags: Vec<String>) -> Result<String> {
    at_most("input.tags", tags.len(), TAGS_MAX)?;
    let mut checked: Vec<String> = Vec::with_capacity(tags.len());
    for (index, tag) in tags.into_iter().enumerate() {
        let tag = text::short(&format!("input.tags.{index}"), tag)?;
        if !checked.contains(&tag) {
            checked.push(tag);
        }
    }
    Ok(join_tags(&checked))
}
