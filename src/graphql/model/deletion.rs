//! Deletions that go on in the background.

use async_graphql::{Enum, ID, Object};

use crate::graphql::scalars::{BigInt, DateTime};
use crate::store::DeletionRow;

/// A deletion of so many executions that it goes on in the background, also after a restart.
#[derive(Debug)]
pub(in crate::graphql) struct Deletion(DeletionRow);

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum DeletionState {
    /// It goes on.
    Running,
    /// Nothing is left of what it was to delete.
    Done,
}

/// A deletion of so many executions that it goes on in the background, also after a restart.
#[Object]
impl Deletion {
    /// A UUID.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// How far it is.
    fn state(&self) -> DeletionState {
        if self.0.finished_at.is_some() { DeletionState::Done } else { DeletionState::Running }
    }

    /// How many executions match. They are looked for when it is asked for, and it deletes these and no others; of very
    /// many some are still looked for after the answer.
    fn matched(&self) -> BigInt {
        BigInt(self.0.matched)
    }

    /// How many it has deleted so far; in the end fewer than `matched` when others were faster.
    fn deleted(&self) -> BigInt {
        BigInt(self.0.deleted)
    }

    /// Who asked for it.
    fn owner_id(&self) -> &str {
        &self.0.owner_id
    }

    /// When it was asked for.
    fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was done; null until then.
    fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(DateTime)
    }
}

impl From<DeletionRow> for Deletion {
    fn from(row: DeletionRow) -> Self {
        Self(row)
    }
}
