//! Live tails against real servers: what a message to a subscriber costs, how late it is, and what a subscriber costs that
//! waits.
//!
//! `cargo bench --bench tails -- [sqlite|postgres|all] [SECONDS] [SUBSCRIBERS]`, by default all, 8 seconds a run and 1,000
//! subscribers. The server, the database and the subscribers share the machine; the processor time is the server's alone, and
//! has the calls that append the lines in it: what those cost is printed, too.

#[path = "../integration/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness of the tests, of which this takes a part"
)]
mod harness;
mod subscribers;

use std::time::Duration;

use harness::{Backend, Client, Database, Server, Team};
use subscribers::{Pace, Subscribers, cost_of_appending, memory_of_an_idle_one, start_many};

const MODEST_PER_SECOND: u64 = 20;
const KIB: f64 = 1024.0;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let which = arguments.next();
    let mut number =
        |default: u64| arguments.next().map_or(default, |argument| argument.parse().expect("it is a number"));
    let (seconds, subscribers) = (number(8), number(1_000));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    for (name, backend) in [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres)] {
        if which.as_deref().is_none_or(|which| which == name || which == "all") {
            println!("{name}:");
            runtime.block_on(all(backend, Duration::from_secs(seconds), subscribers as usize));
        }
    }
}

async fn all(backend: Backend, long: Duration, count: usize) {
    if !Database::available(backend).await {
        return println!("  there is none here");
    }
    idle(backend, count).await;
    let server = Server::builder(backend).await.start().await;
    let owner = Team::of(&server).owner.clone();
    on_one(&server, &owner, 1, long).await;
    on_one(&server, &owner, count, long).await;
    on_each(&server, &owner, count, long).await;
    println!("  the most memory at once: {:.0} MiB", server.peak_memory_bytes() as f64 / KIB / KIB);
}

/// What a subscriber takes that waits, each time of a new server: one that has worked has room from before.
async fn idle(backend: Backend, count: usize) {
    for (name, is_own) in [("one execution", false), ("an execution of its own", true)] {
        let server = Server::builder(backend).await.start().await;
        let owner = Team::of(&server).owner.clone();
        let executions = start_many(&owner, if is_own { 2 * count } else { 1 }).await;
        let bytes = memory_of_an_idle_one(&server, &owner, &executions, count).await;
        println!("  an idle subscriber of {name}: {:.1} KiB", bytes as f64 / KIB);
    }
}

/// So many subscribers of one execution.
async fn on_one(server: &Server, owner: &Client, count: usize, long: Duration) {
    let executions = start_many(owner, 1).await;
    let subscribers = Subscribers::open(owner, &executions, count).await;
    for pace in [Pace::PerSecond(MODEST_PER_SECOND), Pace::Full] {
        let figures = subscribers.follow_one(server, owner, &executions[0], pace, long).await;
        figures.print(&format!("{count} on one, {pace:?}"));
    }
    println!("  the server has {:.0} MiB", server.memory_bytes() as f64 / KIB / KIB);
    Subscribers::close(subscribers).await;
}

/// So many subscribers, each of its own execution.
async fn on_each(server: &Server, owner: &Client, count: usize, long: Duration) {
    let executions = start_many(owner, count).await;
    for pace in [Pace::PerSecond(count as u64), Pace::Full] {
        let cost = cost_of_appending(server, owner, &executions, pace, long).await;
        println!("  appending alone, {pace:?}: {:.1} µs CPU a call", cost * 1e6);
    }
    let executions = start_many(owner, count).await;
    let subscribers = Subscribers::open(owner, &executions, count).await;
    for pace in [Pace::PerSecond(count as u64), Pace::Full] {
        let figures = subscribers.follow_each(server, owner, &executions, pace, long).await;
        figures.print(&format!("{count} on {count}, {pace:?}"));
    }
    println!("  the server has {:.0} MiB", server.memory_bytes() as f64 / KIB / KIB);
    Subscribers::close(subscribers).await;
}
