//! Work in the background. What is to be done is known from rows, so that it is found again after a restart; each step
//! is idempotent, and several processes may be at it at once.
//!
//! [`sweep()`] needs no rows of its own: it looks for what is due. [`work()`] does what stands in the table `job`, under a
//! lease, and tries again later what fails. [`clean()`] keeps the disk of this server tidy, [`expire()`] removes old logs,
//! [`retain_history()`] old executions; [`end_silent()`] ends executions whose runners are lost;
//! [`fold()`] sums up statistics; [`checkpoint()`] keeps SQLite's log short, [`merge_words()`] its index of words in few parts.

mod checkpoint;
mod clean;
mod delete;
mod expire;
mod fill;
mod fold;
mod history;
mod merge;
mod retry;
mod silence;
mod source;
mod start;
mod sweep;
mod upload;
mod waiting;
mod worker;

use crate::event::{Topic, Wakeups};
use crate::storage::Storage;
use crate::store::{ExecutionRow, Store};

pub use checkpoint::checkpoint;
pub use clean::clean;
pub use expire::expire;
pub use fill::fill_in_words;
pub use fold::fold;
pub use history::retain_history;
pub use merge::merge_words;
pub use silence::end_silent;
pub use start::{plan, prepare_buckets};
pub use sweep::sweep;
pub use waiting::show_waiting;
pub use worker::work;

/// What jobs work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tools {
    pub store: Store,
    pub storage: Storage,
    pub wakeups: Wakeups,
    /// How many thousandths of the time a deletion has the database while others are served.
    pub deletion_permille: u32,
}

/// Who is to be told of a change of an execution.
fn topics(row: &ExecutionRow) -> [Topic; 4] {
    let tenant = Topic::Tenant(row.tenant_id.clone());
    [tenant, Topic::Execution(row.id), Topic::Log(row.id), Topic::Visual(row.id)]
}
