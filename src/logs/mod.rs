//! Log lines: appended durably, read by range, tailed live.
//!
//! - An appended line is acknowledged when the database has it; its number is final and dense.
//! - A tail gives every line from any number on, once, in order, stored or live: it registers for wake-ups, reads what
//!   is stored, and goes on reading whenever it is woken. It never buffers for a slow reader, because the store does.

mod append;
mod chunks;
mod many;
mod page;
mod tail;

pub use append::{Appender, append_in_groups};
pub use many::newest_of_many;
pub use page::{LogPage, count, page};
pub use tail::{TailBatch, TailStart, tail};
