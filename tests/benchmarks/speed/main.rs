//! How fast Runledger is, against the same work by prepared statements on bare connections, in one run.
//!
//! `cargo bench --bench speed -- [sqlite|postgres|all] [EXECUTIONS] [TENANTS] [REQUESTS] [LOAD]`, by default all with 1,000,000
//! executions (and five log lines each) of 1,000 tenants, and rounds of 8,000 requests. 32 connections, each request under its
//! tenant's token. The server, the database and the load share the machine. Each load runs three times on both sides, which
//! take turns; what is printed are medians. With `LOAD` only those with this in their name run (a finish needs a start). Variables
//! `RUNLEDGER_*` are handed on to the server. `ratio` is requests a second through Runledger to those of the bare database.

#[path = "../../integration/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness of the tests, of which this takes a part"
)]
mod harness;

mod data;
#[path = "../database.rs"]
mod database;
mod http;
mod loads;
mod raw;
mod rounds;

use std::sync::Arc;

use data::Data;
use harness::{Backend, Database};
use loads::{Asker, Load, Loads};
use rounds::{CONNECTIONS, Figures, ROUNDS, median, round, server_askers};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let which = arguments.next();
    let mut number =
        |default| arguments.next().map_or(default, |argument| argument.parse().expect("it is a number"));
    let (executions, tenants, requests) = (number(1_000_000), number(1_000), number(8_000));
    let only = arguments.next();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    for (name, backend) in [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres)] {
        if which.as_deref().is_none_or(|which| which == name || which == "all") {
            println!("{name}");
            runtime.block_on(measure(backend, executions, tenants, requests, only.as_deref()));
        }
    }
}

async fn measure(backend: Backend, executions: usize, tenants: usize, requests: usize, only: Option<&str>) {
    if !Database::available(backend).await {
        return println!("  there is none here");
    }
    let data = Arc::new(Data::make(backend, executions, tenants).await);
    let idle_bytes = data.server.peak_memory_bytes();
    let loads = Arc::new(Loads::new(Arc::clone(&data)).await.beside_the_database().await);
    println!(
        "  {:34} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "load", "a second", "p50 ms", "p99 ms", "CPU µs", "raw/s", "ratio"
    );
    let is_wanted = |load: &Load| only.is_none_or(|part| load.name().contains(part));
    for load in Load::ALL.into_iter().filter(is_wanted) {
        let mut of_server = Vec::new();
        let mut of_database = Vec::new();
        for _ in 0..ROUNDS {
            let askers = server_askers(&data.server).await;
            of_server.push(round(&loads, load, load.requests(requests), askers, &data.server).await);
            let askers = raw::connections(&data.address, CONNECTIONS).await.into_iter().map(Asker::Database);
            of_database
                .push(round(&loads, load, load.requests(requests), askers.collect(), &data.server).await);
        }
        let rate = |figures: &Figures| figures.rate;
        let (rate_here, rate_there) = (median(&of_server, rate), median(&of_database, rate));
        println!(
            "  {:34} {rate_here:9.0} {:9.2} {:9.2} {:9.0} {rate_there:9.0} {:7.2}",
            load.name(),
            median(&of_server, |figures| figures.p50_ms),
            median(&of_server, |figures| figures.p99_ms),
            median(&of_server, |figures| figures.cpu_micros),
            rate_here / rate_there
        );
    }
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "  peak memory {:.0} MiB; {:.0} before the load",
        mebibytes(data.server.peak_memory_bytes()),
        mebibytes(idle_bytes)
    );
}
