//! The whole log of an execution, for a download: piece by piece, archived lines and those that wait.

use futures_util::Stream;

use super::objects::fill;
use crate::domain::limits::LOG_READ_BYTES_MAX;
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::store::{LogStream, Store};

/// All lines that `stream` had when it was read, as JSON lines, and perhaps some that came after them. It takes the memory
/// of one piece, about a mebibyte.
///
/// An item is `UNAVAILABLE` when storage does not give its lines now, `NOT_FOUND` when the log is removed meanwhile; it is
/// the last.
pub fn whole(store: Store, storage: Storage, stream: LogStream) -> impl Stream<Item = Result<String>> {
    async_stream::try_stream! {
        let mut next_seq = 0;
        while next_seq < stream.next_seq {
            let mut chunks = store.linked_log_chunks(&stream, next_seq, LOG_READ_BYTES_MAX.to_usize()).await?;
            let last = chunks.last().ok_or(Error::NotFound { what: "log" })?.last_seq;
            fill(&storage, &mut chunks).await?;
            // Lines that were archived since the last piece can be in one chunk with those before them.
            yield chunks.iter().map(|chunk| chunk.lines_from(next_seq)).collect();
            next_seq = last + 1;
        }
    }
}
