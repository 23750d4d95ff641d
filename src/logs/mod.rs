//! Log lines: appended durably, read by range, tailed live.
//!
//! - An appended line is acknowledged when the database has it; its number is final and dense.
//! - A tail gives every line from any number on, once, in order, stored or live: it registers for wake-ups, reads what
//!   is stored, and goes on reading whenever it is woken. It never buffers for a slow reader, because the store does.
//! - Text is read by the byte, not by the row: what is held at once is bounded for a log, for a list of logs and for the
//!   whole process.

mod append;
mod chunks;
mod many;
mod page;
mod tail;

pub use append::{Appender, append_in_groups};
pub use chunks::{LogReader, ReadMemory};
pub use many::newest_of_many;
pub use page::{LogPage, count, pages};
pub use tail::{TailBatch, TailStart, tail};
