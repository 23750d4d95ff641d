//! Generations: whole projects that are saved, read, compared, downloaded and deleted, also where somebody attacks them or
//! the power fails.

mod attacks;
mod comparing;
mod crash;
mod deleting;
mod downloading;
mod executions;
mod reading;
mod saving;

use crate::harness::{Files, files};

/// A project with all kinds of files.
fn project() -> Files {
    let all_bytes: Vec<u8> = (0..=255).collect();
    files(&[
        (".env", b"A=1\n"),
        ("README.md", "# Ünï 🦀\r\n".as_bytes()),
        ("empty", b""),
        ("logo.png", &all_bytes),
        ("src/deep/ly/nested/main.py", b"print('hello')\n"),
        ("src/main.py", b"\xef\xbb\xbfimport os\n"),
        ("Ünï/a b/🦀.txt", b"no line break at the end"),
    ])
}
