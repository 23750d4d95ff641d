//! What the command has written and the server has not taken: in memory up to a limit, in a [`Spool`] beyond it.
//!
//! Promises: blocks come out in the order in which they went in; a block stays until it is reported as delivered, so
//! that [`Queue::keep`] can save everything that the server may lack; memory holds at most
//! [`Limits::memory_bytes_max`] and one block; putting a block in never waits for the network, only (past the limit)
//! for the page cache. Once it is past the limit, the oldest block is on disk and newer ones follow it there, until
//! the sender has caught up: then the file goes away and memory takes over again.
//!
//! When the file cannot be written (disk full, its own limit), what comes after is not recorded. What was recorded
//! before stays a gapless beginning, and [`Queue::lost`] says why it ends.

use std::collections::VecDeque;
use std::io;
use std::mem::size_of;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::api::FinishInput;
use super::lines::Block;
use super::spool::{Header, Opened, Spool};
use crate::cli::notice::say;

/// Where the queue goes when, and how far.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub memory_bytes_max: usize,
    pub spool_bytes_max: u64,
    pub spool_folder: PathBuf,
}

/// What the sender finds in the queue.
pub(super) enum Next {
    Block(Arc<Block>),
    /// Nothing now.
    Empty,
    /// Nothing now and never again.
    End(FinishInput),
}

/// A queue with many writers and one reader.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    limits: Limits,
}

struct State {
    /// For the spool, when one is needed. Its `first_seq` is the number of the oldest block's first line.
    header: Header,
    /// Oldest first; empty while there is a spool.
    memory: VecDeque<Arc<Block>>,
    memory_bytes: usize,
    /// Blocks that the sender has, but has not reported: the first ones in memory, or those before the spool's reader.
    taken: usize,
    spool: Option<Spool>,
    /// Whether the spool stays until the very end: it was there before, and is all that there is.
    resumed: bool,
    end: Option<FinishInput>,
    discarding: bool,
    lost: Option<String>,
}

impl Queue {
    /// An empty one.
    pub(super) fn new(header: Header, limits: Limits) -> Self {
        Self::with(
            limits,
            State {
                header,
                memory: VecDeque::new(),
                memory_bytes: 0,
                taken: 0,
                spool: None,
                resumed: false,
                end: None,
                discarding: false,
                lost: None,
            },
        )
    }

    /// What an earlier run left, with its end.
    pub(super) fn resume(opened: Opened, end: FinishInput, limits: Limits) -> Self {
        let Opened { spool, header, .. } = opened;
        let queue = Self::new(header, limits);
        {
            let mut state = queue.lock();
            state.spool = Some(spool);
            state.end = Some(end);
            state.resumed = true;
        }
        queue
    }

    fn with(limits: Limits, state: State) -> Self {
        Self { state: Mutex::new(state), changed: Notify::new(), limits }
    }

    /// Puts a block at the end. After [`Queue::close`] or [`Queue::discard`] it is dropped.
    pub(super) fn push(&self, block: Block) {
        let mut state = self.lock();
        if state.discarding || state.end.is_some() || state.lost.is_some() {
            return;
        }
        if let Err(error) = state.push(block, &self.limits) {
            let lost = format!("cannot keep it in {}: {error}", self.limits.spool_folder.display());
            say(format_args!("output from here on is not recorded: {lost}"));
            state.lost = Some(lost);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing comes after; `end` is what is to be said when all is delivered.
    pub(super) fn close(&self, end: FinishInput) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_one();
    }

    /// The next block, if there is one now.
    pub(super) async fn try_next(&self) -> io::Result<Next> {
        let mut reader = {
            let mut state = self.lock();
            match &state.spool {
                Some(spool) if !spool.is_read() => spool.reader(),
                Some(_) => return Ok(state.nothing()),
                None => {
                    let next = state.memory.get(state.taken).map(Arc::clone);
                    return Ok(match next {
                        Some(block) => {
                            state.taken += 1;
                            Next::Block(block)
                        }
                        None => state.nothing(),
                    });
                }
            }
        };
        // Only this reader moves the position, so it is still the next block when the disk has answered.
        let (reader, block) = tokio::task::spawn_blocking(move || {
            let block = reader.block();
            (reader, block)
        })
        .await
        .map_err(io::Error::other)?;
        let Some(block) = block? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let mut state = self.lock();
        if let Some(spool) = &mut state.spool {
            spool.advance(&reader);
            state.taken += 1;
        }
        Ok(Next::Block(Arc::new(block)))
    }

    /// The next block or the end, when there is one. Cancelling it loses nothing.
    pub(super) async fn next(&self) -> io::Result<Next> {
        loop {
            match self.try_next().await? {
                Next::Empty => self.changed.notified().await,
                found => return Ok(found),
            }
        }
    }

    /// The first `blocks` that were taken are delivered; the block behind them begins with line `first_seq`.
    pub(super) fn delivered(&self, blocks: usize, first_seq: u64) {
        let mut state = self.lock();
        state.header.first_seq = first_seq;
        state.taken = state.taken.saturating_sub(blocks);
        let finished = if state.spool.is_some() {
            let caught_up = state.taken == 0 && state.spool.as_ref().is_some_and(Spool::is_read);
            if caught_up && !state.resumed { state.spool.take() } else { None }
        } else {
            for _ in 0..blocks {
                let Some(block) = state.memory.pop_front() else { break };
                state.memory_bytes -= weight(&block);
            }
            None
        };
        // Freeing a large file takes a while; the command need not wait for it.
        drop(state);
        if let Some(spool) = finished {
            spool.delete();
        }
    }

    /// Forgets everything there is and everything to come.
    pub(super) fn discard(&self) {
        let mut state = self.lock();
        state.discarding = true;
        state.memory.clear();
        state.memory_bytes = 0;
        let spool = state.spool.take();
        drop(state);
        if let Some(spool) = spool {
            spool.delete();
        }
    }

    /// Saves what is not reported as delivered, with the end, in a file that outlives the process.
    pub(super) fn keep(&self) -> io::Result<PathBuf> {
        let mut state = self.lock();
        state.spill(&self.limits)?;
        let end = state.end.clone();
        match &mut state.spool {
            Some(spool) => spool.keep(end.as_ref()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The number of the oldest block's first line.
    pub(super) fn first_seq(&self) -> u64 {
        self.lock().header.first_seq
    }

    /// Why the recording ends before the output did, if so.
    pub(super) fn lost(&self) -> Option<String> {
        self.lock().lost.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, block: Block, limits: &Limits) -> io::Result<()> {
        let weight = weight(&block);
        if self.spool.is_none() && self.memory_bytes + weight <= limits.memory_bytes_max {
            self.memory.push_back(Arc::new(block));
            self.memory_bytes += weight;
            return Ok(());
        }
        self.spill(limits)?;
        match &mut self.spool {
            Some(spool) => spool.push(&block),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Moves all of memory into a spool, unless there is one. Nothing changes when that fails.
    fn spill(&mut self, limits: &Limits) -> io::Result<()> {
        if self.spool.is_some() {
            return Ok(());
        }
        let mut spool = Spool::create(&limits.spool_folder, &self.header, limits.spool_bytes_max)?;
        for block in &self.memory {
            if let Err(error) = spool.push(block) {
                spool.delete();
                return Err(error);
            }
        }
        for block in self.memory.iter().take(self.taken) {
            spool.skip(block);
        }
        self.memory = VecDeque::new();
        self.memory_bytes = 0;
        self.spool = Some(spool);
        Ok(())
    }

    fn nothing(&self) -> Next {
        self.end.clone().map_or(Next::Empty, Next::End)
    }
}

/// What a block costs in memory, with what surrounds it: many short ones must not be free.
fn weight(block: &Block) -> usize {
    const AROUND_BYTES: usize = size_of::<Block>() + 4 * size_of::<usize>();
    AROUND_BYTES + block.bytes.capacity()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::exec::test_support::{block, finish_input, header};

    fn queue(folder: &Path, memory_bytes_max: usize) -> Queue {
        let spool_folder = folder.to_owned();
        Queue::new(header(), Limits { memory_bytes_max, spool_bytes_max: 1 << 20, spool_folder })
    }

    fn numbered(number: usize) -> Block {
        block(&format!("line {number}\n"))
    }

    async fn take(queue: &Queue) -> Block {
        match queue.try_next().await.unwrap() {
            Next::Block(block) => (*block).clone(),
            Next::Empty | Next::End(_) => panic!("nothing there"),
        }
    }

    fn files(folder: &Path) -> usize {
        folder.read_dir().unwrap().count()
    }

    #[tokio::test]
    async fn blocks_come_out_in_order_whatever_is_spilled_when() {
        let folder = tempfile::tempdir().unwrap();
        let memory_bytes_max = 10 * weight(&numbered(100));
        let queue = queue(folder.path(), memory_bytes_max);
        let (mut pushed, mut taken, mut delivered) = (0, 0, 0);
        let mut spilled = 0;
        // Each round pushes `a`, takes up to `b` and reports up to `c`, in amounts that drift past each other.
        for round in 0..400 {
            for _ in 0..round * 7 % 13 {
                queue.push(numbered(pushed));
                pushed += 1;
            }
            for _ in 0..(round * 5 % 17).min(pushed - taken) {
                assert_eq!(take(&queue).await, numbered(taken));
                taken += 1;
            }
            let some = (round * 3 % 11).min(taken - delivered);
            delivered += some;
            queue.delivered(some, delivered as u64);
            assert!(queue.lock().memory_bytes <= memory_bytes_max);
            spilled += files(folder.path());
        }
        assert!(spilled > 50 && spilled < 400, "both forms were used: {spilled}");
        while taken < pushed {
            assert_eq!(take(&queue).await, numbered(taken));
            taken += 1;
        }
        queue.delivered(taken - delivered, taken as u64);
        assert!(matches!(queue.try_next().await.unwrap(), Next::Empty));
        assert_eq!(files(folder.path()), 0, "a spool that is delivered goes away");
    }

    #[tokio::test]
    async fn what_is_kept_begins_with_the_oldest_block_that_was_not_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path(), 1 << 20);
        for number in 0..5 {
            queue.push(numbered(number));
        }
        for _ in 0..3 {
            take(&queue).await;
        }
        queue.delivered(1, 1);
        queue.close(finish_input());
        let path = queue.keep().unwrap();
        drop(queue);

        let opened = Spool::open(&path).unwrap();
        assert_eq!(opened.header.first_seq, 1);
        let end = opened.end.clone().unwrap();
        let limits = Limits { memory_bytes_max: 0, spool_bytes_max: 0, spool_folder: folder.path().into() };
        let queue = Queue::resume(opened, end, limits);
        for number in 1..5 {
            assert_eq!(take(&queue).await, numbered(number));
        }
        queue.delivered(4, 5);
        assert!(path.exists(), "until the end is delivered too");
        assert!(matches!(queue.try_next().await.unwrap(), Next::End(end) if end == finish_input()));
        queue.discard();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn without_room_the_recording_is_a_beginning_without_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let spool_folder = folder.path().join("file");
        std::fs::write(&spool_folder, "").unwrap(); // where no folder can be made
        let queue =
            Queue::new(header(), Limits { memory_bytes_max: 1000, spool_bytes_max: 1 << 20, spool_folder });
        for number in 0..100 {
            queue.push(numbered(number));
        }
        assert!(queue.lost().unwrap().contains("file"));
        for number in 0.. {
            match queue.try_next().await.unwrap() {
                Next::Block(block) => assert_eq!(*block, numbered(number)),
                Next::Empty | Next::End(_) => {
                    assert!(number > 3);
                    break;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_waiting_sender_is_woken_by_a_block_and_by_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Arc::new(queue(folder.path(), 1 << 20));
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                let first = matches!(queue.next().await.unwrap(), Next::Block(_));
                first && matches!(queue.next().await.unwrap(), Next::End(_))
            }
        });
        tokio::task::yield_now().await;
        queue.push(block("a\n"));
        tokio::task::yield_now().await;
        queue.close(finish_input());
        queue.push(block("too late\n"));
        assert!(waiting.await.unwrap());
    }
}
