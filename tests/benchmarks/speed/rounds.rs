//! Rounds of a load: so many requests by as many connections as there are, at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::harness::Server;
use crate::http::Connection;
use crate::loads::{Asker, Load, Loads};

pub(crate) const CONNECTIONS: usize = 32;
pub(crate) const ROUNDS: usize = 3;

/// What a round came to.
pub(crate) struct Figures {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Of the server, a request.
    pub(crate) cpu_micros: f64,
}

/// As many as ask at once.
pub(crate) async fn server_askers(server: &Server) -> Vec<Asker> {
    let mut askers = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        askers.push(Asker::Server(Connection::open(&server.url()).await));
    }
    askers
}

/// So many requests by all askers at once.
pub(crate) async fn round(
    loads: &Arc<Loads>,
    load: Load,
    requests: usize,
    askers: Vec<Asker>,
    server: &Server,
) -> Figures {
    let left = Arc::new(AtomicUsize::new(requests));
    let cpu_before = server.cpu_seconds();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for mut asker in askers {
        let (loads, left) = (Arc::clone(loads), Arc::clone(&left));
        tasks.spawn(async move {
            let mut times = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                let began = Instant::now();
                loads.ask(load, &mut asker).await;
                times.push(began.elapsed());
            }
            times
        });
    }
    let times = tasks.join_all().await;
    let took = began.elapsed().as_secs_f64();
    let cpu_seconds = server.cpu_seconds() - cpu_before;
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    Figures {
        rate: requests as f64 / took,
        p50_ms: at(50),
        p99_ms: at(99),
        cpu_micros: cpu_seconds * 1e6 / requests as f64,
    }
}

/// Of all rounds.
pub(crate) fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<_> = figures.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
