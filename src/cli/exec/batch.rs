//! From the blocks of the queue to requests of a good size.

use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use super::api::FinishInput;
use super::lines::{Lines, LogLine};
use super::queue::{Next, Queue};

/// A request has at most this many lines …
pub(super) const BATCH_LINES_MAX: usize = 500;
/// … and at most this many bytes of them. One line always fits.
pub(super) const BATCH_BYTES_MAX: usize = 512 * 1024;

/// Lines for one request.
#[derive(Default)]
pub(super) struct Batch {
    pub lines: Vec<LogLine>,
    /// Blocks whose last line is in this batch.
    pub blocks: usize,
    /// Lines at the beginning of the block behind those, in this batch or in earlier ones.
    pub lines_of_next_block: u64,
    bytes: usize,
}

impl Batch {
    /// Whether there may be more to take at once.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINES_MAX || self.bytes >= BATCH_BYTES_MAX / 2
    }

    fn has_room(&self, line: &LogLine) -> bool {
        self.lines.len() < BATCH_LINES_MAX
            && (self.lines.is_empty() || self.bytes + line.request_bytes() <= BATCH_BYTES_MAX)
    }
}

/// What there is to do next.
pub(super) enum Work {
    Send(Batch),
    Finish(FinishInput),
}

/// Reads the lines of the queue's blocks in order, a batch at a time.
pub(super) struct Batches {
    queue: Arc<Queue>,
    open: Option<Peekable<Lines>>,
    taken_of_open: u64,
    end: Option<FinishInput>,
}

impl Batches {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, open: None, taken_of_open: 0, end: None }
    }

    /// Waits until there is something to do. Cancelling it loses nothing.
    pub(super) async fn ready(&mut self) -> io::Result<()> {
        if self.open.is_none() && self.end.is_none() {
            match self.queue.next().await? {
                Next::Block(block) => self.open = Some(Lines::new(block).peekable()),
                Next::End(end) => self.end = Some(end),
                Next::Empty => {}
            }
        }
        Ok(())
    }

    /// Takes what is there, after [`Batches::ready`]. Not to be cancelled: lines that it has taken would be missing.
    pub(super) async fn take(&mut self) -> io::Result<Work> {
        match self.end.take() {
            Some(end) => Ok(Work::Finish(end)),
            None => self.fill().await.map(Work::Send),
        }
    }

    async fn fill(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        loop {
            if let Some(lines) = &mut self.open {
                while let Some(line) = lines.next_if(|line| batch.has_room(line)) {
                    batch.bytes += line.request_bytes();
                    batch.lines.push(line);
                    self.taken_of_open += 1;
                }
                if lines.peek().is_some() {
                    break;
                }
                self.open = None;
                self.taken_of_open = 0;
                batch.blocks += 1;
            }
            if batch.is_full() {
                break;
            }
            match self.queue.try_next().await? {
                Next::Block(block) => self.open = Some(Lines::new(block).peekable()),
                Next::Empty | Next::End(_) => break,
            }
        }
        batch.lines_of_next_block = self.taken_of_open;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exec::queue::Limits;
    use crate::cli::exec::test_support::{block, finish_input, header};

    fn batches(
        memory_bytes_max: usize,
        blocks: impl IntoIterator<Item = String>,
    ) -> (Batches, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let limits =
            Limits { memory_bytes_max, spool_bytes_max: 1 << 30, spool_folder: folder.path().into() };
        let queue = Queue::new(header(), limits);
        for text in blocks {
            queue.push(block(&text));
        }
        queue.close(finish_input());
        (Batches::new(Arc::new(queue)), folder)
    }

    async fn all(mut batches: Batches) -> Vec<Batch> {
        let mut sent = Vec::new();
        let mut seq = 0;
        loop {
            batches.ready().await.unwrap();
            let Work::Send(batch) = batches.take().await.unwrap() else { break };
            seq += batch.lines.len() as u64;
            batches.queue.delivered(batch.blocks, seq - batch.lines_of_next_block);
            sent.push(batch);
        }
        sent
    }

    #[tokio::test]
    async fn a_batch_takes_the_lines_of_many_small_blocks() {
        let (batches, _folder) = batches(1 << 20, (0..1200).map(|n| format!("{n}\n")));
        let sizes: Vec<_> = all(batches).await.iter().map(|batch| batch.lines.len()).collect();
        assert_eq!(sizes, [500, 500, 200]);
    }

    #[tokio::test]
    async fn a_large_block_becomes_many_batches_in_order() {
        let text = (0..1200).map(|n| format!("{n}\n")).collect::<String>();
        let (batches, _folder) = batches(0, [text.clone(), text]);
        let queue = Arc::clone(&batches.queue);
        let sent = all(batches).await;
        assert_eq!(sent.iter().map(|batch| batch.blocks).sum::<usize>(), 2);
        let messages: Vec<_> =
            sent.into_iter().flat_map(|batch| batch.lines).map(|line| line.message).collect();
        let expected: Vec<_> = (0..1200).chain(0..1200).map(|n| n.to_string()).collect();
        assert_eq!(messages, expected);
        assert_eq!(queue.first_seq(), 2400);
    }

    #[tokio::test]
    async fn no_batch_is_larger_than_a_request_may_be() {
        let lines = ["\0".repeat(60_000), "\"".repeat(65_000), "x".repeat(65_000)];
        let (batches, _folder) = batches(0, (0..60).map(|n| format!("{}\n", lines[n % 3])));
        let sent = all(batches).await;
        assert_eq!(sent.iter().map(|batch| batch.lines.len()).sum::<usize>(), 60);
        for batch in sent {
            assert!(serde_json::to_vec(&batch.lines).unwrap().len() <= BATCH_BYTES_MAX);
        }
    }
}
