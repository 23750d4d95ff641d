//! Work in the background. What is to be done is known from rows, so that it is found again after a restart; each step
//! is idempotent, and several processes may be at it at once.
//!
//! [`sweep()`] needs no rows of its own: it looks for what is due. [`work()`] does what stands in the table `job`, under a
//! lease, and tries again later what fails. [`clean()`] keeps the disk of this server tidy, [`expire()`] removes old logs, [`fold()`] sums up
//! statistics.

mod clean;
mod delete;
mod expire;
mod fold;
mod retry;
mod source;
mod start;
mod sweep;
mod upload;
mod worker;

use crate::event::Wakeups;
use crate::storage::Storage;
use crate::store::Store;

pub use clean::clean;
pub use expire::expire;
pub use fold::fold;
pub use start::{plan, prepare_buckets};
pub use sweep::sweep;
pub use worker::work;

/// What jobs work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tools {
    pub store: Store,
    pub storage: Storage,
    pub wakeups: Wakeups,
}
