//! Signals that `exec` gets are meant for the command.
//!
//! The command stays in `exec`'s process group, so that job control and programs that use the terminal work as
//! without it. A key such as Ctrl-C then reaches the command directly, and so does the hang-up of a terminal; those
//! must not be delivered twice (a second interrupt makes many programs give up their orderly end). There is no safe way
//! to ask who sent a signal, so this goes by what is possible: an interrupt or quit cannot come from the keyboard when
//! `exec` is not in the foreground of a terminal, and a hang-up came from the terminal when that is gone. What remains
//! in doubt is an interrupt sent to `exec` alone, by `kill`, while it is in the foreground: use `kill -TERM` there.

use std::fs::{self, File};
use std::io;

use rustix::process::{Pid, Signal, getpgid, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The signals that end a program politely, and those that programs give a meaning of their own.
const PASSED_ON: [Signal; 6] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// The signals that arrive from now on.
pub(super) struct Signals {
    arrived: mpsc::UnboundedReceiver<Signal>,
    terminal: Option<File>,
    // Dropping it ends the tasks.
    _listeners: JoinSet<()>,
}

impl Signals {
    /// Takes over the signals that were not ignored when the process began: under `nohup`, and in the background of
    /// a script, the command must go on ignoring them.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = ignored_at_start();
        let (sender, arrived) = mpsc::unbounded_channel();
        let mut listeners = JoinSet::new();
        for number in PASSED_ON.into_iter().filter(|signal| !is_in(ignored, *signal)) {
            let mut source = signal(SignalKind::from_raw(number.as_raw()))?;
            let sender = sender.clone();
            listeners
                .spawn(async move { while source.recv().await.is_some() && sender.send(number).is_ok() {} });
        }
        Ok(Self { arrived, terminal: File::open("/dev/tty").ok(), _listeners: listeners })
    }

    /// The next signal.
    pub(super) async fn recv(&mut self) -> Signal {
        match self.arrived.recv().await {
            Some(signal) => signal,
            // Every one of them is ignored.
            None => std::future::pending().await,
        }
    }

    /// Drops the signals that have arrived, because they were meant for something that is over.
    pub(super) fn forget(&mut self) {
        while self.arrived.try_recv().is_ok() {}
    }

    /// Passes a signal on to the command, unless that has it already.
    pub(super) fn pass_on(&self, signal: Signal, command: Pid) {
        if !self.reached_already(signal, command) {
            // It fails only when the command has just ended, which is what the signal is for.
            kill_process(command, signal).ok();
        }
    }

    fn reached_already(&self, signal: Signal, command: Pid) -> bool {
        let Some(terminal) = &self.terminal else { return false };
        match signal {
            Signal::INT | Signal::QUIT => {
                tcgetpgrp(terminal) == Ok(getpgrp()) && getpgid(Some(command)) == Ok(getpgrp())
            }
            Signal::HUP => tcgetpgrp(terminal).is_err(),
            _ => false,
        }
    }
}

/// Whether a signal asks to end; the others have no meaning that is known here.
pub(super) fn asks_to_end(signal: Signal) -> bool {
    matches!(signal, Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT)
}

/// The signals that this process was started to ignore, one bit each. Linux says so; elsewhere none is assumed.
fn ignored_at_start() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status).unwrap_or_default()
}

fn ignored_in(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn is_in(mask: u64, signal: Signal) -> bool {
    mask >> (signal.as_raw() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let mask = ignored_in("Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\t0\n").unwrap();
        assert!(is_in(mask, Signal::HUP) && is_in(mask, Signal::INT));
        assert!(!is_in(mask, Signal::TERM) && !is_in(mask, Signal::QUIT));
    }
}
