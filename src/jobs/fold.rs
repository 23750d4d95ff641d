//! Keeping the rows of the statistics near what has changed: the fewer changes wait, the less there is to add when somebody
//! reads. What is read is exact however long that takes.

use std::time::Duration;

use super::Tools;
use crate::clock::now;
use crate::domain::limits::STATS_FOLD_INTERVAL_MILLISECONDS;
use crate::error::Result;

/// How long to wait for somebody else's recount, or after a failure of our own.
const RECOUNT_WAIT: Duration = Duration::from_secs(2);

/// Folds for ever. Before that, counts the executions from before there were statistics, if nobody has.
pub async fn fold(tools: Tools) {
    while let Err(error) = recount_if_needed(&tools).await {
        tracing::warn!(?error, "could not count the executions from before; trying again");
        tokio::time::sleep(RECOUNT_WAIT).await;
    }
    let mut timer = tokio::time::interval(Duration::from_millis(STATS_FOLD_INTERVAL_MILLISECONDS));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(error) = fold_all(&tools).await {
            tracing::warn!(?error, "could not add the last changes to the statistics; trying again");
        }
    }
}

async fn recount_if_needed(tools: &Tools) -> Result<()> {
    if tools.store.statistics_are_complete().await? {
        return Ok(());
    }
    tracing::info!("counting the executions from before there were statistics");
    let recount = tools.store.recount_statistics(|_| {}).await?;
    tracing::info!(executions = recount.executions, "statistics are complete");
    Ok(())
}

async fn fold_all(tools: &Tools) -> Result<()> {
    while tools.store.fold_statistics(now()).await? {
        // Others write in between.
        tokio::task::yield_now().await;
    }
    Ok(())
}
