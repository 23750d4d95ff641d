//! Publishing versions: numbered 1, 2, 3, … without gaps, and never changed.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::super::Service;
use crate::analytics::Event;
use crate::auth::Viewer;
use crate::clock::{Timestamp, new_id, now};
use crate::domain::code::{Outcome, Storage, Validation};
use crate::domain::limits::{DATABASE_SOURCE_BYTES_MAX, SOURCE_BYTES_MAX, at_most};
use crate::domain::object::Place;
use crate::domain::text::hex;
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::store::{CodeAgentRow, CodeVersionRow, JobKind, NewJob, Reader, Writable, WriteTx};

/// Source to be published.
#[derive(Debug, Clone)]
pub struct PublishCodeVersion {
    pub code_agent_id: Uuid,
    pub source: String,
    /// Keep a source that is not valid.
    pub allow_invalid: bool,
}

/// What became of it.
#[derive(Debug)]
pub struct Published {
    /// `None` when the source was refused.
    pub version: Option<CodeVersionRow>,
    /// False when the newest version has this source already, and when it was refused.
    pub created: bool,
    pub validation: Validation,
}

impl Service {
    /// Publishes the next version, unless the newest has this source already or it is refused because it is not valid.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `TOO_LARGE`; `UNAVAILABLE` when the source cannot be checked now.
    pub async fn publish_code_version(
        &self,
        viewer: &Viewer,
        publish: PublishCodeVersion,
    ) -> Result<Published> {
        let PublishCodeVersion { code_agent_id, source, allow_invalid } = publish;
        at_most("input.source", source.len(), SOURCE_BYTES_MAX)?;
        let sha256 = sha256(&source);
        // What was checked before the lock: others need not wait for a parser.
        let reader = self.store.reader(viewer);
        let agent = reader.code_agents_by_ids(&[code_agent_id]).await?.remove(&code_agent_id);
        let agent = agent.ok_or(Error::NotFound { what: "code agent" })?;
        viewer.may_write(&agent.tenant_id, &agent.owner_id)?;
        let mut checked = match newest(&reader, &agent).await? {
            Some(newest) if newest.sha256 == sha256 => None,
            _ => Some(self.checker.check(&agent.language, &source).await?),
        };
        loop {
            let now = now();
            let tx = self.store.begin().await?;
            let agent = tx.reader(viewer).writable_code_agent(viewer, code_agent_id).await?;
            let mut agent = agent.ok_or(Error::NotFound { what: "code agent" })?;
            if let Some(newest) = newest(&tx.reader(viewer), agent.row()).await?
                && newest.sha256 == sha256
            {
                tx.record_publish(&agent, Outcome::Unchanged, now).await?;
                tx.commit().await?;
                let validation = validation_of(&newest)?;
                return Ok(Published { version: Some(newest), created: false, validation });
            }
            let Some(validation) = checked.take() else {
                // Somebody published something else in between.
                drop(tx);
                checked = Some(self.checker.check(&agent.row().language, &source).await?);
                continue;
            };
            if !validation.is_valid() && !allow_invalid {
                tx.record_publish(&agent, Outcome::Refused, now).await?;
                tx.commit().await?;
                self.tell_failed(
                    viewer,
                    &agent.row().tenant_id,
                    Some(code_agent_id),
                    &agent.row().language,
                    &validation,
                );
                return Ok(Published { version: None, created: false, validation });
            }
            let version = new_version(viewer, next_number(&mut agent, now), &source, &validation, now)?;
            tx.save_code_agent(&agent).await?;
            let version = tx.insert_code_version(&agent, version, source).await?;
            let outcome = if validation.is_valid() { Outcome::Created } else { Outcome::KeptInvalid };
            tx.record_publish(&agent, outcome, now).await?;
            self.plan_move(&tx, &version, now).await?;
            tx.commit().await?;
            self.tell_published(viewer, agent.row(), &version);
            let version = self.move_at_once(version).await;
            return Ok(Published { version: Some(version), created: true, validation });
        }
    }
}

impl Service {
    pub(super) fn tell_published(&self, viewer: &Viewer, agent: &CodeAgentRow, version: &CodeVersionRow) {
        let event = Event::VersionPublished {
            code_agent_id: agent.id,
            language: &agent.language,
            version: version.number,
            is_valid: version.problems.is_none(),
        };
        self.analytics.tell(viewer.user_id(), &agent.tenant_id, &event);
    }

    pub(super) fn tell_failed(
        &self,
        viewer: &Viewer,
        tenant_id: &str,
        code_agent_id: Option<Uuid>,
        language: &str,
        validation: &Validation,
    ) {
        let problems = validation.problems.len();
        let event = Event::ValidationFailed { code_agent_id, language, problems };
        self.analytics.tell(viewer.user_id(), tenant_id, &event);
    }

    /// Plans that a large source leaves the database, which has it durably meanwhile.
    pub(super) async fn plan_move(
        &self,
        tx: &WriteTx,
        version: &CodeVersionRow,
        now: Timestamp,
    ) -> Result<()> {
        if !is_large(version) || self.storage.place_of_objects(&self.store).is_none() {
            return Ok(());
        }
        let job = NewJob {
            kind: JobKind::MoveSource,
            tenant_id: version.tenant_id.clone(),
            subject_id: version.id,
            node_id: None,
            detail: None,
            run_at: now,
        };
        tx.insert_jobs(vec![job], now).await
    }

    /// Moves a large source to this server's disk before the call answers; what goes to the cloud goes behind it.
    pub(super) async fn move_at_once(&self, version: CodeVersionRow) -> CodeVersionRow {
        if !is_large(&version) {
            return version;
        }
        self.wakeups.announce([Topic::Jobs]);
        if self.storage.place_of_objects(&self.store) != Some(Place::Local) {
            return version;
        }
        match self.storage.move_source(&self.store, &version).await {
            Ok(moved) => moved.unwrap_or(version),
            Err(failure) => {
                tracing::warn!(?failure, "a source stays in the database for now");
                version
            }
        }
    }
}

fn is_large(version: &CodeVersionRow) -> bool {
    usize::try_from(version.size_bytes).is_ok_and(|size| DATABASE_SOURCE_BYTES_MAX.is_passed_by(size))
}

/// What is known of a version's source.
///
/// # Errors
/// `INTERNAL` when what is stored cannot be read.
pub(super) fn validation_of(version: &CodeVersionRow) -> Result<Validation> {
    let problems = version.problems.as_deref().map(serde_json::from_str).transpose();
    Ok(Validation {
        is_checked: version.is_checked,
        problems: problems.map_err(Error::internal)?.unwrap_or_default(),
    })
}

/// Why a source is refused, in one line.
pub(super) fn first_problem(validation: &Validation) -> String {
    let Some(first) = validation.problems.first() else { return "the source is not valid".into() };
    let more = match validation.problems.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("line {}, column {}: {}{more}", first.line, first.column, first.message)
}

/// A version that its agent's tenant and owner are still to be put on.
pub(super) fn new_version(
    viewer: &Viewer,
    number: i32,
    source: &str,
    validation: &Validation,
    now: Timestamp,
) -> Result<CodeVersionRow> {
    let problems = (!validation.is_valid()).then(|| serde_json::to_string(&validation.problems));
    Ok(CodeVersionRow {
        tenant_id: String::new(),
        owner_id: String::new(),
        code_agent_id: Uuid::nil(),
        id: new_id(),
        number,
        size_bytes: i32::try_from(source.len()).map_err(Error::internal)?,
        sha256: sha256(source),
        storage: Storage::Database,
        storage_key: None,
        object_place: None,
        is_checked: validation.is_checked,
        problems: problems.transpose().map_err(Error::internal)?,
        created_by: viewer.user_id().to_owned(),
        created_at: now,
    })
}

/// The number of the next version of an agent that is locked.
fn next_number(agent: &mut Writable<CodeAgentRow>, now: Timestamp) -> i32 {
    let row = agent.row_mut();
    row.latest_version += 1;
    row.updated_at = now;
    row.latest_version
}

async fn newest(reader: &Reader<'_>, agent: &CodeAgentRow) -> Result<Option<CodeVersionRow>> {
    if agent.latest_version == 0 {
        return Ok(None);
    }
    let key = (agent.tenant_id.clone(), agent.id, agent.latest_version);
    Ok(reader.code_versions_by_key(&BTreeSet::from([key])).await?.pop())
}

/// In hexadecimal.
fn sha256(source: &str) -> String {
    hex(digest(&SHA256, source.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_bytes() {
        assert_eq!(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_ne!(sha256("a\n"), sha256("a\r\n"));
    }
}
