//! Reads that wait together are read together: one statement, one connection and two wake-ups for all of them.
//!
//! Nobody waits for company. Who comes while fewer than [`READS_AT_ONCE`] read, reads for themselves; who comes later waits
//! until one of those has its answer, and is then read together with all others who wait.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Reads of one kind that are under way at once: one that waits for the disk does not hold up all others.
const READS_AT_ONCE: usize = 2;
/// Calls of one statement.
const GROUP_CALLS_MAX: usize = 64;

/// A call that can be answered together with others.
pub(super) trait Shareable: Send + Sync + Sized + 'static {
    type Answer: Send + 'static;
    /// What answers it.
    type Source: Clone + Send + Sync + 'static;

    /// Where calls of this kind wait.
    fn line(source: &Self::Source) -> &Line<Self>;

    /// The answers, in the order of the calls.
    fn read(source: &Self::Source, calls: &[Self]) -> impl Future<Output = Result<Vec<Self::Answer>>> + Send;
}

/// Calls that wait.
pub(super) struct Line<C: Shareable>(Mutex<State<C>>);

struct State<C: Shareable> {
    reading: usize,
    waiting: Vec<(C, oneshot::Sender<Result<C::Answer>>)>,
}

impl<C: Shareable> Default for Line<C> {
    fn default() -> Self {
        Self(Mutex::new(State { reading: 0, waiting: Vec::new() }))
    }
}

impl<C: Shareable> std::fmt::Debug for Line<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Line")
    }
}

/// Answers a call.
///
/// # Errors
/// What the database says; all calls of a statement are told the same.
pub(super) async fn ask<C: Shareable>(source: &C::Source, call: C) -> Result<C::Answer> {
    match enter(source, call) {
        Place::Reads(call, turn) => {
            let answer = C::read(source, std::slice::from_ref(&call)).await;
            drop(turn);
            answer?.pop().ok_or_else(|| Error::internal("a read has no answer"))
        }
        Place::Waits(answer) => {
            let stopped =
                || Error::Unavailable { message: "the server is shutting down".into(), cause: None };
            answer.await.map_err(|_| stopped())?
        }
    }
}

enum Place<C: Shareable> {
    Reads(C, Turn<C>),
    Waits(oneshot::Receiver<Result<C::Answer>>),
}

fn enter<C: Shareable>(source: &C::Source, call: C) -> Place<C> {
    let mut state = C::line(source).0.lock().unwrap_or_else(PoisonError::into_inner);
    if state.reading < READS_AT_ONCE {
        state.reading += 1;
        return Place::Reads(call, Turn { source: source.clone(), calls: PhantomData });
    }
    let (sender, answer) = oneshot::channel();
    state.waiting.push((call, sender));
    Place::Waits(answer)
}

/// The right to read. Whoever gives it up, also by going away, gives it to those who wait.
struct Turn<C: Shareable> {
    source: C::Source,
    calls: PhantomData<fn(C)>,
}

impl<C: Shareable> Drop for Turn<C> {
    fn drop(&mut self) {
        let mut state = C::line(&self.source).0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = state.waiting.len().min(GROUP_CALLS_MAX);
        let group: Vec<_> = state.waiting.drain(..calls).collect();
        // Without a runtime everything is being dropped, the callers among it.
        match Handle::try_current() {
            Ok(runtime) if !group.is_empty() => {
                let turn = Self { source: self.source.clone(), calls: PhantomData };
                runtime.spawn(read_group(turn, group));
            }
            _ => state.reading -= 1,
        }
    }
}

async fn read_group<C: Shareable>(turn: Turn<C>, group: Vec<(C, oneshot::Sender<Result<C::Answer>>)>) {
    let (calls, callers): (Vec<_>, Vec<_>) =
        group.into_iter().filter(|(_, caller)| !caller.is_closed()).unzip();
    if calls.is_empty() {
        return;
    }
    let answers = C::read(&turn.source, &calls).await;
    // The next group is on its way while these are told.
    drop(turn);
    match answers {
        Ok(answers) => {
            for (caller, answer) in callers.into_iter().zip(answers) {
                let _ = caller.send(Ok(answer));
            }
        }
        Err(error) => {
            for caller in callers {
                let _ = caller.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// A database that reads when it is told to, and says what it is asked for.
    #[derive(Clone)]
    struct Slow(Arc<Inner>);

    struct Inner {
        line: Line<Number>,
        may_read: Semaphore,
        asked: mpsc::UnboundedSender<Vec<u32>>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Number(u32);

    /// A call that no database likes.
    const FAULTY: u32 = 13;

    impl Shareable for Number {
        type Answer = u32;
        type Source = Slow;

        fn line(source: &Slow) -> &Line<Self> {
            &source.0.line
        }

        async fn read(source: &Slow, calls: &[Self]) -> Result<Vec<u32>> {
            let calls: Vec<_> = calls.iter().map(|call| call.0).collect();
            source.0.asked.send(calls.clone()).expect("the test listens");
            source.0.may_read.acquire().await.expect("it is never closed").forget();
            if calls.contains(&FAULTY) {
                return Err(Error::internal("a fault"));
            }
            Ok(calls.iter().map(|call| call * 10).collect())
        }
    }

    fn slow() -> (Slow, mpsc::UnboundedReceiver<Vec<u32>>) {
        let (asked, heard) = mpsc::unbounded_channel();
        let inner = Inner { line: Line::default(), may_read: Semaphore::new(0), asked };
        (Slow(Arc::new(inner)), heard)
    }

    fn call(slow: &Slow, number: u32) -> tokio::task::JoinHandle<Option<u32>> {
        let slow = slow.clone();
        tokio::spawn(async move { ask(&slow, Number(number)).await.ok() })
    }

    async fn until_waiting(slow: &Slow, count: usize) {
        while slow.0.line.0.lock().unwrap().waiting.len() != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn calls_that_wait_are_read_together_and_each_has_its_own_answer() {
        let (slow, mut heard) = slow();
        let first: Vec<_> = (0..2).map(|number| call(&slow, number)).collect();
        assert_eq!([heard.recv().await, heard.recv().await], [Some(vec![0]), Some(vec![1])]);
        let mut later = Vec::new();
        for number in 2..=70 {
            later.push(call(&slow, number + 100));
            until_waiting(&slow, later.len()).await;
        }
        slow.0.may_read.add_permits(4);
        let answers = join_all(first.into_iter().chain(later)).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap()).collect();
        let numbers = (0..2).chain(102..=170);
        assert_eq!(answers, numbers.map(|number| Some(number * 10)).collect::<Vec<_>>());
        assert_eq!(heard.recv().await, Some((102..102 + 64).collect()));
        assert_eq!(heard.recv().await, Some((166..=170).collect()));
    }

    #[tokio::test]
    async fn whoever_goes_away_leaves_the_turn_to_those_who_wait() {
        let (slow, mut heard) = slow();
        let first: Vec<_> = (0..2).map(|number| call(&slow, number)).collect();
        let gone = call(&slow, 2);
        until_waiting(&slow, 1).await;
        let waits = call(&slow, 3);
        until_waiting(&slow, 2).await;
        gone.abort();
        assert!(gone.await.is_err());
        assert_eq!([heard.recv().await, heard.recv().await], [Some(vec![0]), Some(vec![1])]);
        for first in first {
            first.abort();
        }
        assert_eq!(heard.recv().await, Some(vec![3]));
        slow.0.may_read.add_permits(1);
        assert_eq!(waits.await.unwrap(), Some(30));
        assert_eq!(slow.0.line.0.lock().unwrap().reading, 0);
    }

    #[tokio::test]
    async fn a_read_that_fails_fails_those_in_it_and_nobody_after() {
        let (slow, mut heard) = slow();
        let first: Vec<_> = (0..2).map(|number| call(&slow, number)).collect();
        assert_eq!([heard.recv().await, heard.recv().await], [Some(vec![0]), Some(vec![1])]);
        let unlucky = [call(&slow, FAULTY), call(&slow, 14)];
        until_waiting(&slow, 2).await;
        slow.0.may_read.add_permits(3);
        for unlucky in unlucky {
            assert_eq!(unlucky.await.unwrap(), None);
        }
        slow.0.may_read.add_permits(1);
        assert_eq!(call(&slow, 15).await.unwrap(), Some(150));
        assert!(join_all(first).await.into_iter().all(|first| first.unwrap().is_some()));
    }
}
