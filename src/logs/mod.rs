//! Log lines and visual events: appended durably, read by range, tailed live.
//!
//! An execution has a stream of each kind. They differ in the text of their entries alone (`entry`): group commit, archiving,
//! tails, downloads and retention are the same code and the same tables for both, and what is said of lines goes for events.
//!
//! - An appended line is acknowledged when the database has it; its number is final and dense.
//! - A tail gives every line from any number on, once, in order, stored or live: it registers for wake-ups, reads what
//!   is stored, and goes on reading whenever it is woken; what this process has just stored it is given with the wake-up. It
//!   never buffers for a slow reader, because the store does.
//! - Lines leave the database for one object per log, at which whole lines can be read at any moment; their rows stay as
//!   its index. Reading joins both: whoever reads sees no difference.
//! - Text is read by the byte, not by the row: what is held at once is bounded for a log, for a list of logs and for the
//!   whole process.

mod append;
mod archive;
mod chunks;
mod entry;
mod many;
mod objects;
mod page;
mod range;
mod tail;
mod whole;

pub use append::{Admitted, Appender, Gate, append_in_groups};
pub use archive::{Archiver, Health};
pub use chunks::{LogReader, ReadMemory};
pub use many::newest_of_many;
pub use page::{LogPage, count, pages};
pub use range::{EventRange, event_ranges};
pub use tail::{TailBatch, TailPlace, TailStart, tail};
pub use whole::whole;
