//! How much stored text one answer may hold. Aliases can ask for the same text many times, so it is charged where it
//! goes into the answer, not where it is read.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::limits::ANSWER_TEXT_BYTES_MAX;
use crate::error::{Error, Result};

/// What one query or mutation has taken so far. Subscriptions have none: their answers are small, and many.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    /// Takes `bytes` for `field`.
    ///
    /// # Errors
    /// `TOO_LARGE` when the answer would hold more than [`ANSWER_TEXT_BYTES_MAX`].
    pub(super) fn take(&self, field: &'static str, bytes: usize) -> Result<()> {
        let taken = self.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if ANSWER_TEXT_BYTES_MAX.is_passed_by(taken) {
            return Err(Error::TooLarge { field: field.into(), limit: ANSWER_TEXT_BYTES_MAX });
        }
        Ok(())
    }
}
