//! How far an import is, on a terminal only.

use std::fmt::Display;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::notice::say;

/// A bar on standard error; nothing when that is no terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of `count` generations.
    pub(super) fn start(count: usize) -> Self {
        let bar = ProgressBar::new(count.try_into().unwrap_or(u64::MAX));
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// What is being done.
    pub(super) fn show(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
        self.0.tick();
    }

    /// One more is done.
    pub(super) fn advance(&self) {
        self.0.inc(1);
    }

    /// Says something that stays on the screen.
    pub(super) fn say(&self, message: impl Display) {
        self.0.suspend(|| say(message));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
