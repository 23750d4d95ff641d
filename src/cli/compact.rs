//! `runledger compact`: the disk that deleted rows took, given back.

use super::{Stop, block_on, print};
use crate::app;
use crate::config::Config;

const BYTES_PER_MEBIBYTE: u64 = 1 << 20;

pub(super) fn run(config: &Config) -> Result<(), Stop> {
    let compacted = block_on(app::compact(config))?;
    let [before, after] =
        [compacted.bytes_before, compacted.bytes_after].map(|bytes| bytes.div_ceil(BYTES_PER_MEBIBYTE));
    print(&format!("The database had {before} MiB, and has {after} MiB now.\n"))
}
