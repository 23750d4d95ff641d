//! `runledger recompute`: the statistics, counted anew.

use super::{Stop, block_on, print};
use crate::app;
use crate::config::Config;

/// How many executions are counted from one word to the next.
const NOTE_EXECUTIONS: u64 = 100_000;

pub(super) fn run(config: &Config) -> Result<(), Stop> {
    let note = |executions: u64| {
        if executions.is_multiple_of(NOTE_EXECUTIONS) {
            tracing::info!(executions, "counting");
        }
    };
    let recount = block_on(app::recompute(config, note))?;
    let verdict = match recount.wrong_rows {
        None => "They had not been counted before.".to_owned(),
        Some(0) => "The statistics agreed with them.".to_owned(),
        Some(wrong) => {
            format!("The statistics did not agree with them: {wrong} rows were wrong, and are right now.")
        }
    };
    print(&format!("Counted {} executions into {} rows. {verdict}\n", recount.executions, recount.rows))
}
