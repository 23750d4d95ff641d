//! Group commit: calls that wait together are stored together, in one transaction. It costs each the latency of one commit,
//! and gives five to ten times the throughput of a commit a call.
//!
//! A failed commit is never tried again: nobody knows whether it was carried out, and a call could be stored twice.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::error::{Code, Error, Result};

/// Calls that may wait; further ones wait to be let in.
const WAITING_CALLS_MAX: usize = 4_096;
/// Calls stored in one transaction.
const GROUP_CALLS_MAX: usize = 256;

/// Why none of a group's calls has an answer.
#[derive(Debug)]
pub struct GroupFailure {
    pub error: Error,
    /// The transaction never came to its commit, so nothing is stored. Otherwise nobody knows, and a call that is
    /// stored again could be doubled.
    pub before_commit: bool,
}

impl From<Error> for GroupFailure {
    fn from(error: Error) -> Self {
        Self { error, before_commit: true }
    }
}

/// What stores a group of calls in one transaction.
pub trait StoreGroup: Sync {
    type Call: Send + Sync;
    type Answer: Send;

    /// Stores each call or refuses it; the answers stand in the order of the calls, and are true once this returns `Ok`.
    fn store(
        &self,
        calls: &[Self::Call],
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer>>, GroupFailure>> + Send;
}

/// Channels side by side, each for one task: calls about the same id take the same one, and stay in order.
#[derive(Debug)]
pub struct Lanes<T>(Arc<[mpsc::Sender<T>]>);

impl<T> Lanes<T> {
    /// So many channels, in which `waiting_max` calls may wait; further ones wait to be let in.
    pub fn new(count: NonZeroUsize, waiting_max: usize) -> (Self, Vec<mpsc::Receiver<T>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..count.get()).map(|_| mpsc::channel(waiting_max / count)).unzip();
        (Self(senders.into()), receivers)
    }

    /// The one for calls about `id`.
    pub fn of(&self, id: Uuid) -> &mpsc::Sender<T> {
        // Which bytes of an id are random depends on its version.
        let all = id.as_bytes().iter().fold(0, |all, byte| all ^ byte);
        &self.0[usize::from(all) % self.0.len()]
    }
}

impl<T> Clone for Lanes<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The way in. Cheap to clone.
#[derive(Debug)]
pub struct Entrance<C, A>(Lanes<Waiting<C, A>>);

/// One task's end of the way in.
#[derive(Debug)]
pub struct Calls<C, A>(mpsc::Receiver<Waiting<C, A>>);

#[derive(Debug)]
struct Waiting<C, A> {
    call: C,
    answer: oneshot::Sender<Result<A>>,
}

/// Makes both ends; each of the second is for a [`store_in_groups`].
pub fn entrance<C, A>(lanes: NonZeroUsize) -> (Entrance<C, A>, Vec<Calls<C, A>>) {
    let (lanes, receivers) = Lanes::new(lanes, WAITING_CALLS_MAX);
    (Entrance(lanes), receivers.into_iter().map(Calls).collect())
}

impl<C, A> Clone for Entrance<C, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C, A> Entrance<C, A> {
    /// Stores a call about `id`; about several, that of the first. Once this returns `Ok` it is durable.
    ///
    /// # Errors
    /// What refuses the call; `UNAVAILABLE` when the server is shutting down.
    pub async fn store(&self, id: Uuid, call: C) -> Result<A> {
        let stopped = || Error::Unavailable { message: "the server is shutting down".into(), cause: None };
        let (answer, answered) = oneshot::channel();
        self.0.of(id).send(Waiting { call, answer }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

/// Stores calls until every [`Entrance`] is gone. The calls of a group have `weight_max` together, give or take one call.
pub async fn store_in_groups<S: StoreGroup>(
    mut calls: Calls<S::Call, S::Answer>,
    store: S,
    weight_of: impl Fn(&S::Call) -> usize,
    weight_max: usize,
) {
    while let Some(first) = calls.0.recv().await {
        let mut weight = weight_of(&first.call);
        let mut group = vec![first.call];
        let mut answers = vec![first.answer];
        while group.len() < GROUP_CALLS_MAX && weight < weight_max {
            let Ok(next) = calls.0.try_recv() else { break };
            weight += weight_of(&next.call);
            group.push(next.call);
            answers.push(next.answer);
        }
        for (answer, result) in answers.into_iter().zip(store_calls(&store, &group).await) {
            // The caller may have gone; its call is stored all the same.
            let _ = answer.send(result);
        }
    }
}

/// Stores the calls of a group together. When one of them is at fault, it must not fail the others: each then gets its
/// own transaction. When the database is, all are told so: it would be asked once per call, and each could take seconds.
pub async fn store_calls<S: StoreGroup>(store: &S, calls: &[S::Call]) -> Vec<Result<S::Answer>> {
    match store.store(calls).await {
        Ok(results) => results,
        Err(failure) if calls.len() > 1 && may_be_one_calls_fault(&failure) => one_by_one(store, calls).await,
        Err(failure) => calls.iter().map(|_| Err(failure.error.clone())).collect(),
    }
}

async fn one_by_one<S: StoreGroup>(store: &S, calls: &[S::Call]) -> Vec<Result<S::Answer>> {
    let mut results = Vec::with_capacity(calls.len());
    for call in calls {
        match store.store(std::slice::from_ref(call)).await {
            Ok(mut answers) => {
                results.push(answers.pop().unwrap_or_else(|| Err(Error::internal("a call has no answer"))));
            }
            Err(failure) if may_be_one_calls_fault(&failure) => results.push(Err(failure.error)),
            Err(failure) => {
                results.resize_with(calls.len(), || Err(failure.error.clone()));
                break;
            }
        }
    }
    results
}

fn may_be_one_calls_fault(failure: &GroupFailure) -> bool {
    failure.before_commit && failure.error.code() != Code::Unavailable
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A database that fails for groups with some calls, and remembers what it was asked to store.
    struct Faulty {
        fails_with: fn() -> GroupFailure,
        on: &'static [u8],
        asked: Mutex<Vec<Vec<u8>>>,
    }

    impl StoreGroup for Faulty {
        type Call = u8;
        type Answer = u8;

        async fn store(&self, calls: &[u8]) -> Result<Vec<Result<u8>>, GroupFailure> {
            self.asked.lock().unwrap().push(calls.to_vec());
            if calls.iter().any(|call| self.on.contains(call)) {
                return Err((self.fails_with)());
            }
            Ok(calls.iter().map(|call| Ok(*call)).collect())
        }
    }

    async fn store(fails_with: fn() -> GroupFailure, on: &'static [u8]) -> (Vec<Option<Code>>, Vec<Vec<u8>>) {
        let store = Faulty { fails_with, on, asked: Mutex::default() };
        let results = store_calls(&store, &[1, 2, 3]).await;
        let codes = results.into_iter().map(|result| result.err().map(|error| error.code())).collect();
        (codes, store.asked.into_inner().unwrap())
    }

    fn away() -> Error {
        Error::Unavailable { message: "the database is away".into(), cause: None }
    }

    #[tokio::test]
    async fn one_calls_fault_fails_only_that_call() {
        let (codes, asked) = store(|| Error::internal("a fault").into(), &[2]).await;
        assert_eq!(codes, [None, Some(Code::Internal), None]);
        assert_eq!(asked, [vec![1, 2, 3], vec![1], vec![2], vec![3]]);
    }

    #[tokio::test]
    async fn a_failed_commit_is_never_tried_again() {
        for error in [away as fn() -> Error, || Error::internal("COMMIT")] {
            let failed: fn() -> GroupFailure = match error().code() {
                Code::Unavailable => || GroupFailure { error: away(), before_commit: false },
                _ => || GroupFailure { error: Error::internal("COMMIT"), before_commit: false },
            };
            let (codes, asked) = store(failed, &[2]).await;
            assert_eq!(codes, [Some(error().code()); 3]);
            assert_eq!(asked, [vec![1, 2, 3]]);
        }
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_asked_once() {
        let (codes, asked) = store(|| away().into(), &[1, 2, 3]).await;
        assert_eq!(codes, [Some(Code::Unavailable); 3]);
        assert_eq!(asked.len(), 1);
    }

    #[tokio::test]
    async fn a_database_that_goes_away_in_between_is_not_asked_for_the_rest() {
        struct GoesAway(Mutex<u32>);
        impl StoreGroup for GoesAway {
            type Call = u8;
            type Answer = u8;

            async fn store(&self, calls: &[u8]) -> Result<Vec<Result<u8>>, GroupFailure> {
                let mut asked = self.0.lock().unwrap();
                *asked += 1;
                match *asked {
                    1 => Err(Error::internal("a fault").into()),
                    2 => Ok(calls.iter().map(|call| Ok(*call)).collect()),
                    _ => Err(away().into()),
                }
            }
        }
        let store = GoesAway(Mutex::default());
        let results = store_calls(&store, &[1, 2, 3, 4]).await;
        let codes: Vec<_> = results.iter().map(|result| result.as_ref().err().map(Error::code)).collect();
        assert_eq!(codes, [None, Some(Code::Unavailable), Some(Code::Unavailable), Some(Code::Unavailable)]);
        assert_eq!(*store.0.lock().unwrap(), 3);
    }
}
