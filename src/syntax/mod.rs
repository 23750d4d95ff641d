//! Whether source can be read in its language.
//!
//! Promises: a source of up to 2 MiB gets an answer; the parsers, which are C, cannot harm the server, whatever they
//! are given; at most [`SOURCE_CHECKS_AT_ONCE_MAX`] sources are parsed at once.
//!
//! So each parse runs in a process of its own (`runledger check-source`, not for people) with a second of processor
//! time, some 1.5 gigabytes of memory, and neither environment nor open files. A thread would be some milliseconds cheaper;
//! but the grammars' hand-written scanners have assertions that abort the process, buffers that deep nesting overruns
//! by a byte, and loops that never look at the clock. Publishing is rare; a registry that its tenants can crash is not
//! worth the milliseconds.

mod child;
mod language;
mod parse;
mod problems;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::domain::code::Validation;
use crate::domain::limits::{SOURCE_CHECK_SECONDS_MAX, SOURCE_CHECKS_AT_ONCE_MAX};
use crate::error::{Error, Result};

pub use child::{COMMAND, run};
pub use language::Language;

/// Checks sources. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Checker {
    turns: Arc<Semaphore>,
}

impl Default for Checker {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(SOURCE_CHECKS_AT_ONCE_MAX)) }
    }
}

impl Checker {
    /// What the parser of a language says about a source; a language without a parser is not checked.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the machine is too busy to say.
    pub async fn check(&self, language: &str, source: &str) -> Result<Validation> {
        let Some(language) = Language::named(language) else { return Ok(Validation::default()) };
        let ask = async {
            let _turn = self.turns.acquire().await.map_err(Error::internal)?;
            child::ask(language, source).await
        };
        match timeout(SOURCE_CHECK_SECONDS_MAX.to_duration(), ask).await {
            Ok(problems) => Ok(Validation { is_checked: true, problems: problems? }),
            Err(_elapsed) => Err(Error::Unavailable {
                message: "the source cannot be checked right now; try again".into(),
                cause: Some("parsing took too long".into()),
            }),
        }
    }
}
