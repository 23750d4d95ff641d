//! What is done once, when a server starts.

use std::time::Duration;

use uuid::Uuid;

use super::Tools;
use super::retry::wait_after;
use crate::blob::{BlobError, Retry};
use crate::clock::now;
use crate::domain::generation::UploadState;
use crate::domain::limits::LOG_RULE_MARGIN_DAYS;
use crate::domain::object::Place;
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::storage::Storage;
use crate::store::{JobKind, NewJob};

/// Rows that one transaction plans.
const ROWS_AT_ONCE: u64 = 500;
/// How long a start waits for a storage that does not answer.
const BUCKETS_WAIT: Duration = Duration::from_secs(5);

/// Makes the buckets that are missing, and asks storage to remove logs after `log_retention_days`. A storage that is away
/// does not keep the server from starting: then the rest is done in the background.
///
/// # Errors
/// When a bucket is public, or storage refuses us: nobody should find that out later.
pub async fn prepare_buckets(storage: &Storage, log_retention_days: Option<u32>) -> Result<()> {
    if storage.upload_to().is_none() {
        return Ok(());
    }
    match tokio::time::timeout(BUCKETS_WAIT, ensure_buckets(storage)).await {
        Ok(Ok(())) => {
            let arranging = arrange_retention(storage, log_retention_days);
            if tokio::time::timeout(BUCKETS_WAIT, arranging).await.is_err() {
                tracing::warn!("storage was not asked in time to remove old logs; Runledger removes them");
            }
            return Ok(());
        }
        Ok(Err(error)) if error.retry() == Retry::Never => {
            return Err(Error::internal(format!("cloud storage cannot be used: {error}")));
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "cloud storage does not answer; uploads wait, trying again");
        }
        Err(_elapsed) => tracing::warn!("cloud storage does not answer; uploads wait, trying again"),
    }
    let storage = storage.clone();
    tokio::spawn(async move {
        for attempts in 1.. {
            tokio::time::sleep(wait_after(attempts)).await;
            match ensure_buckets(&storage).await {
                Ok(()) => return arrange_retention(&storage, log_retention_days).await,
                Err(error) if error.retry() == Retry::Never => {
                    tracing::error!(%error, "cloud storage cannot be used");
                    return;
                }
                Err(error) => tracing::debug!(%error, "cloud storage still does not answer"),
            }
        }
    });
    Ok(())
}

async fn ensure_buckets(storage: &Storage) -> Result<(), BlobError> {
    for bucket in storage.buckets() {
        storage.to_send_to(Place::Cloud, bucket).await?;
    }
    Ok(())
}

/// Has storage itself remove old logs, too, where it can: it does so also while no server runs. Runledger removes them
/// anyway, so it is no harm when this fails.
async fn arrange_retention(storage: &Storage, days: Option<u32>) {
    let Some(cloud) = storage.upload_to() else { return };
    // Storage counts from the last write, also while the execution is open: only Runledger knows that it is.
    let days = days.map(|days| days.saturating_add(LOG_RULE_MARGIN_DAYS));
    let bucket = storage.log_bucket();
    match (cloud.ensure_retention(bucket, days).await, days) {
        (Ok(true), Some(days)) => {
            tracing::info!(%bucket, days, "storage removes old logs by a rule of the bucket, and so does Runledger");
        }
        (Ok(true), None) => tracing::info!(%bucket, "logs are kept for ever"),
        (Ok(false), Some(days)) => {
            tracing::info!(%bucket, days, "Runledger removes old logs; storage has no rule for it");
        }
        (Ok(false), None) => {}
        (Err(error), _) => {
            tracing::warn!(%error, %bucket, "could not arrange with storage for how long it keeps logs");
        }
    }
}

/// Plans what the settings of this start want: uploads of what only this server has, also of what was given up before;
/// or no uploads, when there is no cloud.
///
/// # Errors
/// What the database says.
pub async fn plan(tools: &Tools) -> Result<()> {
    // Whoever was at them held the data folder that is ours now.
    tools.store.free_jobs(tools.storage.node_id(), now()).await?;
    let uses_cloud = tools.storage.uses_cloud();
    let state = if uses_cloud { UploadState::Pending } else { UploadState::LocalOnly };
    let (node_id, mut after) = (tools.storage.node_id(), Uuid::nil());
    loop {
        // Without a cloud, those that are to stay here are as they should be, and may be many.
        let rows = tools.store.generations_not_uploaded(node_id, uses_cloud, after, ROWS_AT_ONCE).await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        tools.store.plan_uploads(&rows, state, now()).await?;
    }
    plan_sources(tools).await?;
    tools.wakeups.announce([Topic::Jobs]);
    Ok(())
}

/// Plans that large sources go where they belong now.
async fn plan_sources(tools: &Tools) -> Result<()> {
    let Some(place) = tools.storage.place_of_objects(&tools.store) else { return Ok(()) };
    let mut after = Uuid::nil();
    loop {
        let rows = tools.store.sources_to_move(place, after, ROWS_AT_ONCE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        let job = |row: &crate::store::CodeVersionRow| NewJob {
            kind: JobKind::MoveSource,
            tenant_id: row.tenant_id.clone(),
            subject_id: row.id,
            node_id: None,
            detail: None,
            run_at: now(),
        };
        let tx = tools.store.begin().await?;
        tx.insert_jobs(rows.iter().map(job).collect(), now()).await?;
        tx.commit().await?;
    }
}
