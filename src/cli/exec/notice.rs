//! What `exec` itself has to say, on stderr, beside the output of the command.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes one line, marked as Runledger's, in one write so that the command's output does not get between. When nobody
/// can read it any more, it is dropped.
pub(super) fn say(message: impl Display) {
    let _ = io::stderr().write_all(format!("runledger: {message}\n").as_bytes());
}
