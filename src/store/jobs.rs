//! Work in the background: rows with a lease. Who is at a job holds its lease; a lease that ends is anybody's again.
//!
//! These are system operations: jobs are made by what a viewer did, and done for nobody in particular.

use std::collections::HashMap;

use entity::generation::UploadState;
use entity::{code_source, code_version, generation, job, server_secret};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Set,
};
use uuid::Uuid;

use super::code_versions::CodeVersionRow;
use super::failure::failed;
use super::generations::{GenerationRow, save_upload_states};
use super::write::{INSERT_ROWS_MAX, delete, insert_many};
use super::{Store, WriteTx};
use crate::clock::{Timestamp, new_id};
use crate::domain::code::Storage;
use crate::domain::limits::DATABASE_SOURCE_BYTES_MAX;
use crate::domain::object::Place;
use crate::error::{Error, Result};

pub use entity::job::Kind as JobKind;

/// A piece of work, held under a lease.
pub type JobRow = job::Model;

/// Work to be done.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub kind: JobKind,
    pub tenant_id: String,
    /// Whom it is about: there is one job of a kind for each.
    pub subject_id: Uuid,
    /// The server that must do it; `None` for any.
    pub node_id: Option<Uuid>,
    /// What else it needs to know, as JSON.
    pub detail: Option<String>,
    /// Not before.
    pub run_at: Timestamp,
}

impl Store {
    /// How many jobs of these kinds are not done; a kind without any is missing.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn jobs_waiting(&self, kinds: &[JobKind]) -> Result<Vec<(JobKind, i64)>> {
        use job::Column as C;
        job::Entity::find()
            .select_only()
            .column(C::Kind)
            .column_as(C::SubjectId.count(), "jobs")
            .filter(C::Kind.is_in(kinds.iter().copied()))
            .group_by(C::Kind)
            .into_tuple()
            .all(&self.0.read)
            .await
            .map_err(failed)
    }
}

impl WriteTx {
    /// Adds jobs. One of the same kind and subject that is there already starts anew, as soon as nobody is at it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_jobs(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<()> {
        use job::Column as C;
        let row = |job: NewJob| job::ActiveModel {
            id: Set(new_id()),
            kind: Set(job.kind),
            tenant_id: Set(job.tenant_id),
            subject_id: Set(job.subject_id),
            node_id: Set(job.node_id),
            detail: Set(job.detail),
            attempts: Set(0),
            run_at: Set(job.run_at),
            lease_id: Set(None),
            leased_until: Set(None),
            created_at: Set(now),
        };
        let on_conflict = OnConflict::columns([C::Kind, C::SubjectId])
            .update_columns([C::Attempts, C::RunAt, C::NodeId, C::Detail])
            .to_owned();
        insert_many::<job::Entity>(self, jobs.into_iter().map(row).collect(), Some(on_conflict))
            .await
            .map_err(failed)
    }

    /// Makes the jobs of some subjects due, if they have any.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub(super) async fn hurry_jobs(&self, kind: JobKind, subjects: &[Uuid], now: Timestamp) -> Result<()> {
        use job::Column as C;
        if subjects.is_empty() {
            return Ok(());
        }
        let which = C::Kind.eq(kind).and(C::SubjectId.is_in(subjects.iter().copied()));
        let mut select = job::Entity::find().filter(which.and(C::LeaseId.is_null()));
        if self.dialect.is_postgres() {
            select = select.lock(LockType::Update);
        }
        let mut jobs = select.all(&self.inner).await.map_err(failed)?;
        for job in &mut jobs {
            job.run_at = now;
        }
        save_jobs(self, jobs, [C::RunAt]).await
    }

    /// Removes the jobs of subjects, whoever is at them; gives when the last of their leases ends, if somebody is.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn remove_jobs(&self, kind: JobKind, subject_ids: &[Uuid]) -> Result<Option<Timestamp>> {
        let mut leased_until = None;
        for subject_ids in subject_ids.chunks(INSERT_ROWS_MAX) {
            let which =
                job::Column::Kind.eq(kind).and(job::Column::SubjectId.is_in(subject_ids.iter().copied()));
            let mut select = job::Entity::find().filter(which);
            if self.dialect.is_postgres() {
                // Nobody begins with one that is being removed.
                select = select.lock(LockType::Update);
            }
            let found = select.all(&self.inner).await.map_err(failed)?;
            let ids: Vec<_> = found.iter().map(|job| job.id).collect();
            if !ids.is_empty() {
                delete::<job::Entity>(self, Condition::all().add(job::Column::Id.is_in(ids))).await?;
            }
            let leases = found.into_iter().filter_map(|job| job.leased_until);
            leased_until = leases.chain(leased_until).max();
        }
        Ok(leased_until)
    }
}

impl Store {
    /// Takes at most `rows` jobs that are due and that `node_id` may do, each until `until`.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn claim_jobs(
        &self,
        node_id: Uuid,
        now: Timestamp,
        until: Timestamp,
        rows: u64,
    ) -> Result<Vec<JobRow>> {
        use job::Column as C;
        let tx = self.begin().await?;
        let mut select = job::Entity::find()
            .filter(C::RunAt.lte(now))
            .filter(C::NodeId.is_null().or(C::NodeId.eq(node_id)))
            .filter(C::LeasedUntil.is_null().or(C::LeasedUntil.lte(now)))
            .order_by_asc(C::RunAt)
            .limit(rows);
        if tx.dialect.is_postgres() {
            select = select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        let mut jobs = select.all(&tx.inner).await.map_err(failed)?;
        for job in &mut jobs {
            job.lease_id = Some(new_id());
            job.leased_until = Some(until);
            job.attempts += 1;
        }
        let columns = [C::LeaseId, C::LeasedUntil, C::Attempts];
        save_jobs(&tx, jobs.clone(), columns).await?;
        tx.commit().await?;
        Ok(jobs)
    }

    /// Frees the jobs of `node_id` that an earlier process was at, which is gone; where no other server works on this
    /// database, all jobs.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn free_jobs(&self, node_id: Uuid, now: Timestamp) -> Result<()> {
        use job::Column as C;
        let tx = self.begin().await?;
        let mut select = job::Entity::find().filter(C::RunAt.lte(now)).filter(C::LeaseId.is_not_null());
        if tx.dialect.is_postgres() {
            select = select.filter(C::NodeId.eq(node_id)).lock(LockType::Update);
        }
        let mut jobs = select.all(&tx.inner).await.map_err(failed)?;
        for job in &mut jobs {
            job.lease_id = None;
            job.leased_until = None;
        }
        save_jobs(&tx, jobs, [C::LeaseId, C::LeasedUntil]).await?;
        tx.commit().await
    }

    /// When the next job that `node_id` may do, and that nobody is at, is due.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn next_job_at(&self, node_id: Uuid, now: Timestamp) -> Result<Option<Timestamp>> {
        use job::Column as C;
        let next = job::Entity::find()
            .filter(C::NodeId.is_null().or(C::NodeId.eq(node_id)))
            .filter(C::LeasedUntil.is_null().or(C::LeasedUntil.lte(now)))
            .order_by_asc(C::RunAt)
            .one(&self.0.read)
            .await
            .map_err(failed)?;
        Ok(next.map(|job| job.run_at))
    }

    /// Makes a lease last longer; false when it is lost.
    ///
    /// # Errors
    /// What the database says.
    pub async fn renew_lease(&self, held: &JobRow, until: Timestamp) -> Result<bool> {
        let tx = self.begin().await?;
        let Some(mut job) = tx.held(held).await? else { return Ok(false) };
        job.leased_until = Some(until);
        save_jobs(&tx, vec![job], [job::Column::LeasedUntil]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Removes a job that is done; false when its lease was lost.
    ///
    /// # Errors
    /// What the database says.
    pub async fn finish_job(&self, held: &JobRow) -> Result<bool> {
        let tx = self.begin().await?;
        let Some(job) = tx.held(held).await? else { return Ok(false) };
        tx.remove_held(&job).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Puts a job back until `run_at`, and shows `error` on the generation that it uploads; gives that generation.
    ///
    /// # Errors
    /// What the database says.
    pub async fn postpone_job(
        &self,
        held: &JobRow,
        run_at: Timestamp,
        error: &str,
    ) -> Result<Option<GenerationRow>> {
        let tx = self.begin().await?;
        let uploaded = tx.lock_uploaded(held).await?;
        let Some(mut job) = tx.held(held).await? else { return Ok(None) };
        job.run_at = run_at;
        job.lease_id = None;
        job.leased_until = None;
        let columns = [job::Column::RunAt, job::Column::LeaseId, job::Column::LeasedUntil];
        save_jobs(&tx, vec![job], columns).await?;
        let shown = tx.show_upload(uploaded, UploadState::Pending, Some(error)).await?;
        tx.commit().await?;
        Ok(shown)
    }

    /// Ends the upload of a generation: removes the job, and shows its state; gives the generation. `None` when the
    /// lease was lost, or the generation is gone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn end_upload(
        &self,
        held: &JobRow,
        state: UploadState,
        error: Option<&str>,
    ) -> Result<Option<GenerationRow>> {
        let tx = self.begin().await?;
        let uploaded = tx.lock_uploaded(held).await?;
        let Some(job) = tx.held(held).await? else { return Ok(None) };
        tx.remove_held(&job).await?;
        let shown = tx.show_upload(uploaded, state, error).await?;
        tx.commit().await?;
        Ok(shown)
    }

    /// The generation that a job is about.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn generation_of_job(&self, job: &JobRow) -> Result<Option<GenerationRow>> {
        use generation::Column as C;
        let which = C::TenantId.eq(&job.tenant_id).and(C::Id.eq(job.subject_id));
        generation::Entity::find().filter(which).one(&self.0.read).await.map_err(failed)
    }

    /// The generation that a link is for: whoever made the link has seen it.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn linked_generation(&self, tenant_id: &str, id: Uuid) -> Result<Option<GenerationRow>> {
        use generation::Column as C;
        let which = C::TenantId.eq(tenant_id).and(C::Id.eq(id));
        generation::Entity::find().filter(which).one(&self.0.read).await.map_err(failed)
    }

    /// The next generations after `after`, by id, that this server has and cloud storage does not.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn generations_not_uploaded(
        &self,
        node_id: Uuid,
        with_local_only: bool,
        after: Uuid,
        rows: u64,
    ) -> Result<Vec<GenerationRow>> {
        use generation::Column as C;
        // Word for word as the indexes have it, or they are not used.
        let state = match with_local_only {
            true => "upload_state <> 'UPLOADED'",
            false => "upload_state <> 'UPLOADED' AND upload_state <> 'LOCAL_ONLY'",
        };
        generation::Entity::find()
            .filter(Expr::cust(state))
            .filter(C::NodeId.eq(node_id))
            .filter(C::Id.gt(after))
            .order_by_asc(C::Id)
            .limit(rows)
            .all(&self.0.read)
            .await
            .map_err(failed)
    }

    /// Plans the upload of generations (`PENDING`, with a job each), or calls it off (`LOCAL_ONLY`, without).
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn plan_uploads(
        &self,
        generations: &[GenerationRow],
        state: UploadState,
        now: Timestamp,
    ) -> Result<()> {
        use generation::Column as C;
        let tx = self.begin().await?;
        let ids: Vec<_> = generations.iter().map(|row| row.id).collect();
        let mut select = generation::Entity::find()
            .filter(C::Id.is_in(ids.iter().copied()))
            .filter(C::TenantId.is_in(generations.iter().map(|row| &row.tenant_id)))
            .filter(C::UploadState.ne(UploadState::Uploaded))
            .order_by_asc(C::Id);
        if tx.dialect.is_postgres() {
            select = select.lock(LockType::NoKeyUpdate);
        }
        let mut rows = select.all(&tx.inner).await.map_err(failed)?;
        match state {
            UploadState::Pending => {
                let jobs = rows.iter().map(|row| upload_job(row, now)).collect();
                tx.insert_jobs(jobs, now).await?;
            }
            _ => {
                let of_them = job::Column::Kind
                    .eq(JobKind::UploadGeneration)
                    .and(job::Column::SubjectId.is_in(ids.iter().copied()));
                delete::<job::Entity>(&tx, Condition::all().add(of_them)).await?;
            }
        }
        rows.retain(|row| row.upload_state != state);
        for row in &mut rows {
            row.upload_state = state;
            row.upload_error = None;
            row.revision += 1;
        }
        save_upload_states(&tx, rows).await?;
        tx.commit().await
    }

    /// Which of these generations there are.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn existing_generations(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, UploadState>> {
        use generation::Column as C;
        let rows: Vec<(Uuid, UploadState)> = generation::Entity::find()
            .select_only()
            .columns([C::Id, C::UploadState])
            .filter(self.0.dialect.ids_anywhere(C::Id, ids))
            .into_tuple()
            .all(&self.0.read)
            .await
            .map_err(failed)?;
        Ok(rows.into_iter().collect())
    }

    /// The version of a code agent that a job is about.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn code_version_of_job(&self, job: &JobRow) -> Result<Option<CodeVersionRow>> {
        use code_version::Column as C;
        let which = C::TenantId.eq(&job.tenant_id).and(C::Id.eq(job.subject_id));
        code_version::Entity::find().filter(which).one(&self.0.read).await.map_err(failed)
    }

    /// The next versions after `after`, by id, whose large source is not where it belongs: at `place`.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn sources_to_move(&self, place: Place, after: Uuid, rows: u64) -> Result<Vec<CodeVersionRow>> {
        use code_version::Column as C;
        // Word for word as the two indexes have it, or they are not used. What is in the cloud stays there.
        let large = DATABASE_SOURCE_BYTES_MAX.max;
        let in_database = format!("storage = 'DATABASE' AND size_bytes > {large}");
        let elsewhere = match place {
            Place::Cloud => vec![in_database, "object_place = 'LOCAL'".to_owned()],
            Place::Local => vec![in_database],
        };
        let mut found = Vec::new();
        for condition in elsewhere {
            let next = code_version::Entity::find()
                .filter(Expr::cust(condition))
                .filter(C::Id.gt(after))
                .order_by_asc(C::Id)
                .limit(rows);
            found.extend(next.all(&self.0.read).await.map_err(failed)?);
        }
        found.sort_by_key(|row: &CodeVersionRow| row.id);
        found.truncate(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The source of a version that is in the database.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn source_of(&self, version: &CodeVersionRow) -> Result<Option<Vec<u8>>> {
        use code_source::Column as C;
        let which = C::TenantId.eq(&version.tenant_id).and(C::CodeVersionId.eq(version.id));
        let row = code_source::Entity::find().filter(which).one(&self.0.read).await.map_err(failed)?;
        Ok(row.map(|row| row.source))
    }

    /// Notes that the source of a version is an object now, and takes it out of the database; `None` when the version is
    /// gone.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn source_moved(
        &self,
        version: &CodeVersionRow,
        key: &str,
        place: Place,
    ) -> Result<Option<CodeVersionRow>> {
        use code_version::Column as C;
        let tx = self.begin().await?;
        let which = C::TenantId.eq(&version.tenant_id).and(C::Id.eq(version.id));
        let mut select = code_version::Entity::find().filter(which);
        if tx.dialect.is_postgres() {
            select = select.lock(LockType::NoKeyUpdate);
        }
        let Some(mut row) = select.one(&tx.inner).await.map_err(failed)? else { return Ok(None) };
        row.storage = Storage::Object;
        row.storage_key = Some(key.to_owned());
        row.object_place = Some(place);
        let on_conflict = OnConflict::columns([C::TenantId, C::Id])
            .update_columns([C::Storage, C::StorageKey, C::ObjectPlace])
            .to_owned();
        let rows = vec![row.clone().into_active_model()];
        insert_many::<code_version::Entity>(&tx, rows, Some(on_conflict)).await.map_err(failed)?;
        let of_it = code_source::Column::TenantId
            .eq(&version.tenant_id)
            .and(code_source::Column::CodeVersionId.eq(version.id));
        delete::<code_source::Entity>(&tx, Condition::all().add(of_it)).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// Whether other servers may work on this database, too.
    pub fn is_shared(&self) -> bool {
        self.0.dialect.is_postgres()
    }

    /// Which database this is: `new` when nobody has asked before.
    ///
    /// # Errors
    /// What the database says.
    pub async fn database_id(&self, new: Uuid, now: Timestamp) -> Result<Uuid> {
        let id = self.shared_secret("database id", new.as_bytes().to_vec(), now).await?;
        Uuid::from_slice(&id).map_err(Error::internal)
    }

    /// A secret of this name that all servers share: made by `new` when there is none.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn shared_secret(&self, name: &str, new: Vec<u8>, now: Timestamp) -> Result<Vec<u8>> {
        let tx = self.begin().await?;
        let row =
            server_secret::ActiveModel { name: Set(name.to_owned()), value: Set(new), created_at: Set(now) };
        let on_conflict = OnConflict::column(server_secret::Column::Name).do_nothing().to_owned();
        insert_many::<server_secret::Entity>(&tx, vec![row], Some(on_conflict)).await.map_err(failed)?;
        let found = server_secret::Entity::find()
            .filter(server_secret::Column::Name.eq(name))
            .one(&tx.inner)
            .await
            .map_err(failed)?;
        tx.commit().await?;
        found.map(|row| row.value).ok_or_else(|| Error::internal("a secret that was just made is not there"))
    }
}

impl WriteTx {
    /// The job, locked, if this lease still holds it.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub(super) async fn held(&self, job: &JobRow) -> Result<Option<JobRow>> {
        use job::Column as C;
        let mut select = job::Entity::find().filter(C::Id.eq(job.id)).filter(C::LeaseId.eq(job.lease_id));
        if self.dialect.is_postgres() {
            select = select.lock(LockType::Update);
        }
        select.one(&self.inner).await.map_err(failed)
    }

    pub(super) async fn remove_held(&self, job: &JobRow) -> Result<()> {
        delete::<job::Entity>(self, Condition::all().add(job::Column::Id.eq(job.id))).await?;
        Ok(())
    }

    /// The generation that a job uploads, locked: before the job, as whoever deletes it does.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    async fn lock_uploaded(&self, job: &JobRow) -> Result<Option<GenerationRow>> {
        use generation::Column as C;
        if job.kind != JobKind::UploadGeneration {
            return Ok(None);
        }
        let which = C::TenantId.eq(&job.tenant_id).and(C::Id.eq(job.subject_id));
        let mut select = generation::Entity::find().filter(which);
        if self.dialect.is_postgres() {
            select = select.lock(LockType::NoKeyUpdate);
        }
        select.one(&self.inner).await.map_err(failed)
    }

    /// Shows on a generation how its upload stands.
    async fn show_upload(
        &self,
        uploaded: Option<GenerationRow>,
        state: UploadState,
        error: Option<&str>,
    ) -> Result<Option<GenerationRow>> {
        let Some(mut row) = uploaded else { return Ok(None) };
        row.upload_state = state;
        row.upload_error = error.map(str::to_owned);
        row.revision += 1;
        save_upload_states(self, vec![row.clone()]).await?;
        Ok(Some(row))
    }
}

/// The job that uploads a generation: for the server that has it.
pub fn upload_job(row: &GenerationRow, now: Timestamp) -> NewJob {
    NewJob {
        kind: JobKind::UploadGeneration,
        tenant_id: row.tenant_id.clone(),
        subject_id: row.id,
        node_id: Some(row.node_id),
        detail: None,
        run_at: now,
    }
}

async fn save_jobs(
    tx: &WriteTx,
    rows: Vec<JobRow>,
    columns: impl IntoIterator<Item = job::Column>,
) -> Result<()> {
    let on_conflict = OnConflict::column(job::Column::Id).update_columns(columns).to_owned();
    let rows = rows.into_iter().map(IntoActiveModel::into_active_model).collect();
    insert_many::<job::Entity>(tx, rows, Some(on_conflict)).await.map_err(failed)
}
