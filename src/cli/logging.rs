//! Where log lines go: standard error, so that standard output holds only what a command was asked for.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{Log, LogFormat};

/// Starts logging for the rest of the process. A second call changes nothing.
pub(super) fn start(log: &Log) {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(colours).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry().with(filter(log)).with(lines).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}

/// A filter of modules and levels costs nothing where nothing is logged; one that asks for spans or their fields has to look at
/// every span that is entered.
fn filter(log: &Log) -> Box<dyn Layer<Registry> + Send + Sync> {
    match log.filter.parse::<Targets>() {
        Ok(targets) => targets.boxed(),
        Err(_) => EnvFilter::new(&log.filter).boxed(),
    }
}
