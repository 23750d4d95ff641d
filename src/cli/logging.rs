//! Where log lines go: standard error, so that standard output holds only what a command was asked for.

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging for the rest of the process. A second call changes nothing.
pub(super) fn start(log: &Log) {
    let logs =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(&log.filter)).with_writer(std::io::stderr);
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let started = match log.format {
        LogFormat::Text => logs.with_ansi(colours).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
