//! Keeping the disk of this server tidy: the cache small, and no file without a row.

use std::time::{Duration, SystemTime};

use super::Tools;
use crate::clock::{Timestamp, new_id, now};
use crate::domain::generation::UploadState;
use crate::domain::limits::STRAY_AGE_SECONDS_MIN;
use crate::error::{Error, Result};
use crate::storage::Storage;

/// Files that one statement asks the database about.
const FILES_AT_ONCE: usize = 200;
const SECONDS_PER_HOUR: u64 = 3_600;

/// Cleans at the start, and then on a timer, for ever. `interval_hours` is `None` when the timer is switched off: then only
/// what a crash has left is removed, once.
pub async fn clean(tools: Tools, started_at: Timestamp, interval_hours: Option<u64>) {
    loop {
        // At the start everything that is older than `started_at`, when nobody could save yet; later what no save under
        // way can have written.
        let young = now() - chrono::TimeDelta::seconds(STRAY_AGE_SECONDS_MIN.cast_signed());
        if let Err(error) = remove_strays(&tools, started_at.max(young)).await {
            tracing::warn!(?error, "could not remove files that belong to nothing; trying again later");
        }
        let Some(hours) = interval_hours else { return std::future::pending().await };
        if let Err(error) = on_disk(&tools.storage, |storage| storage.copies().clean_cache()).await {
            tracing::warn!(?error, "could not clean the cache; trying again later");
        }
        tokio::time::sleep(Duration::from_secs(hours.saturating_mul(SECONDS_PER_HOUR))).await;
    }
}

/// Removes archives of saves that were cut off, of generations that were deleted, and of those that the cloud has.
async fn remove_strays(tools: &Tools, before: Timestamp) -> Result<()> {
    if !tools.storage.is_of(tools.store.database_id(new_id(), now()).await?)? {
        tracing::warn!(
            "the data folder has objects of another database: nothing is removed there; give each database its own"
        );
        return Ok(());
    }
    let before = SystemTime::from(before);
    let kept = on_disk(&tools.storage, move |storage| {
        storage.copies().kept_archives(storage.archive_bucket(), before)
    });
    let kept = kept.await?;
    for some in kept.chunks(FILES_AT_ONCE) {
        let ids: Vec<_> = some.iter().map(|file| file.generation_id).collect();
        let states = tools.store.existing_generations(&ids).await?;
        let needed = |id| states.get(id).is_some_and(|state| *state != UploadState::Uploaded);
        let strays: Vec<_> = some.iter().filter(|file| !needed(&file.generation_id)).cloned().collect();
        let removed = strays.len();
        on_disk(&tools.storage, move |storage| {
            strays.iter().try_for_each(|file| storage.copies().remove_kept(file))
        })
        .await?;
        if removed > 0 {
            tracing::info!(removed, "removed files that belong to nothing here");
        }
    }
    Ok(())
}

async fn on_disk<T: Send + 'static>(
    storage: &Storage,
    work: impl FnOnce(&Storage) -> Result<T> + Send + 'static,
) -> Result<T> {
    let storage = storage.clone();
    tokio::task::spawn_blocking(move || work(&storage)).await.map_err(Error::internal)?
}
