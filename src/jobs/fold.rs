//! Keeping the rows of the statistics near what has changed. What is read is exact however far that has come; the fewer
//! changes of its tenant wait, the less a read has to add.
//!
//! The changes of a tenant wait until they are many, or have waited long, or until nobody changes anything: the more of them
//! meet in the same row, the less each of them costs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Tools;
use crate::clock::now;
use crate::domain::limits::{
    STATS_FOLD_INTERVAL_MILLISECONDS, STATS_FOLD_QUIET_MILLISECONDS, STATS_FOLD_TENANT_CHANGES,
    STATS_FOLD_WAIT_SECONDS,
};
use crate::error::Result;
use crate::store::{FeedPosition, Store, Waiting};

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
    let mut backlog = None;
    loop {
        timer.tick().await;
        match go_on(&tools.store, backlog.take()).await {
            Ok(left) => backlog = left,
            Err(error) => {
                tracing::warn!(?error, "could not add the last changes to the statistics; trying again");
            }
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

/// Gives what is known of the changes that wait; `None` when it is to be found out anew, because others are at it, too.
async fn go_on(store: &Store, backlog: Option<Backlog>) -> Result<Option<Backlog>> {
    let mut backlog = match backlog {
        Some(backlog) => backlog,
        None => match store.folded_place(now()).await? {
            Some(place) => Backlog::after(place),
            None => return Ok(None),
        },
    };
    backlog.add(store.waiting_changes(backlog.seen).await?);
    let is_due = backlog.is_due();
    let next = backlog.take_next(is_due);
    if !store.fold_statistics(&next, now()).await? {
        return Ok(None);
    }
    if is_due && !store.note_folded(backlog.folded, backlog.seen, now()).await? {
        return Ok(None);
    }
    if is_due {
        backlog.folded = backlog.seen;
        backlog.since = None;
    }
    Ok(Some(backlog))
}

/// Changes that wait.
struct Backlog {
    /// Up to here, none does.
    folded: FeedPosition,
    /// Up to here, they are counted in `tenants`.
    seen: FeedPosition,
    tenants: HashMap<String, u64>,
    /// Since when some wait.
    since: Option<Instant>,
    last: Instant,
}

impl Backlog {
    fn after(place: FeedPosition) -> Self {
        Self { folded: place, seen: place, tenants: HashMap::new(), since: None, last: Instant::now() }
    }

    fn add(&mut self, waiting: Waiting) {
        let Some(end) = waiting.end else { return };
        self.seen = end;
        self.last = Instant::now();
        self.since.get_or_insert(self.last);
        for (tenant_id, changes) in waiting.tenants {
            *self.tenants.entry(tenant_id).or_default() += changes;
        }
    }

    /// Whether everybody's changes are to be folded.
    fn is_due(&self) -> bool {
        self.since.is_some_and(|since| {
            since.elapsed() >= Duration::from_secs(STATS_FOLD_WAIT_SECONDS)
                || self.last.elapsed() >= Duration::from_millis(STATS_FOLD_QUIET_MILLISECONDS)
        })
    }

    /// Whose are to be folded now: those of everybody, or of who has many.
    fn take_next(&mut self, all: bool) -> Vec<String> {
        self.tenants
            .extract_if(|_, changes| all || *changes >= STATS_FOLD_TENANT_CHANGES)
            .map(|(id, _)| id)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(tenants: &[(&str, u64)]) -> Waiting {
        Waiting {
            end: Some(FeedPosition { xid: 0, seq: 9 }),
            tenants: tenants.iter().map(|(id, changes)| ((*id).to_owned(), *changes)).collect(),
        }
    }

    #[test]
    fn whoever_changes_much_is_folded_before_the_others() {
        let mut backlog = Backlog::after(FeedPosition { xid: 0, seq: 0 });
        backlog.add(waiting(&[("few", 3), ("many", STATS_FOLD_TENANT_CHANGES - 1)]));
        assert!(!backlog.is_due() && backlog.take_next(false).is_empty());
        backlog.add(waiting(&[("many", 1)]));
        assert_eq!(backlog.take_next(false), ["many"]);
        assert_eq!(backlog.take_next(true), ["few"], "each once");
    }

    #[test]
    fn nothing_is_due_when_nothing_waits() {
        let mut backlog = Backlog::after(FeedPosition { xid: 0, seq: 0 });
        backlog.add(Waiting { end: None, tenants: Vec::new() });
        assert!(!backlog.is_due());
    }
}
