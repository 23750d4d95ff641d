//! Removing logs that were kept for as long as logs are kept: their index, what is still in the database, and, by a job
//! each, their objects; and giving the disk back that the database does not need any more.

use std::time::Duration;

use chrono::TimeDelta;

use super::Tools;
use crate::clock::now;
use crate::domain::limits::EXPIRE_CHUNKS_AT_ONCE;
use crate::error::Result;
use crate::event::Topic;

const EXPIRE_INTERVAL: Duration = Duration::from_secs(60);
/// Logs that are looked up at once.
const LOGS_AT_ONCE: u64 = 200;

/// Removes logs that are older than `retention_days`, for ever; `None` keeps them all.
pub async fn expire(tools: Tools, retention_days: Option<u32>) {
    loop {
        if let Some(days) = retention_days
            && let Err(error) = expire_logs(&tools, TimeDelta::days(days.into())).await
        {
            tracing::warn!(?error, "could not remove old logs; trying again later");
        }
        if let Err(error) = tools.store.give_back_disk().await {
            tracing::warn!(?error, "could not give disk space back; trying again later");
        }
        tokio::time::sleep(EXPIRE_INTERVAL).await;
    }
}

async fn expire_logs(tools: &Tools, retention: TimeDelta) -> Result<()> {
    loop {
        let streams = tools.store.logs_to_expire(now() - retention, LOGS_AT_ONCE).await?;
        for stream in &streams {
            while !tools.store.expire_log(stream, EXPIRE_CHUNKS_AT_ONCE).await? {}
        }
        let logs = streams.iter().map(|stream| Topic::stream(stream.kind, stream.execution_id));
        tools.wakeups.announce(logs.chain([Topic::Jobs]));
        if (streams.len() as u64) < LOGS_AT_ONCE {
            return Ok(());
        }
    }
}
