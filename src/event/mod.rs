//! Telling followers that something has changed.
//!
//! A wake-up may be repeated, and but for one exception it carries no data: whoever is woken reads the database, which alone
//! is the truth. That is why none can be lost for good, whatever happens on the way:
//!
//! - a follower registers first and reads then, so that nothing falls between;
//! - wake-ups are sent after the commit that they are about;
//! - between processes they travel by PostgreSQL's NOTIFY, outside any writing transaction (inside, NOTIFY serialises
//!   commits: 300 a second instead of 5,000), at once while quiet and gathered for 10 ms while busy;
//! - after a lost connection every follower is woken, and each looks by itself every [`SLOW_POLL_SECONDS`].
//!
//! The exception: entries that this process has just committed are given to the followers of their stream that it has. They
//! are taken only as the direct continuation of what was read; whoever finds a hole, or missed them, reads the database.

mod changes;
mod relay;
mod wakeups;

pub use changes::{Change, ChangeKind, changes, current_cursor};
pub use relay::relay_between_processes;
pub use wakeups::{AppendedHere, SLOW_POLL_SECONDS, Topic, Wakeup, Wakeups};
