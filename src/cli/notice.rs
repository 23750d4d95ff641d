//! What a command has to say beside its output, on stderr.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes one line, marked as Runledger's, in one write so that the command's output does not get between. When nobody
/// can read it any more, it is dropped.
pub(super) fn say(message: impl Display) {
    let _ = io::stderr().write_all(format!("runledger: {message}\n").as_bytes());
}
