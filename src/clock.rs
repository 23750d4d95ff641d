//! The one place that reads the time and makes ids.

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::Uuid;

/// A point in time, UTC, with microseconds: what both databases keep.
pub type Timestamp = DateTime<Utc>;

/// The current time, cut to whole microseconds so that a value reads back from a database as it was written.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Timestamp {
    Utc::now().trunc_subsecs(6)
}

/// A new id: UUIDv7, so that ids made later sort later and index pages stay dense.
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
