//! Log lines at the rate that Runledger is made for, against real servers: executions start, append 20 lines a second each,
//! and end; at the end every object is compared with what was appended, line for line.
//!
//! `cargo bench --bench archive_load -- [sqlite|postgres|all] [SECONDS] [STARTS_PER_SECOND] [OUTAGE_SECONDS]`, by default all
//! for 120 seconds at 50 starts a second, with 1,000 executions open at once. It prints how far the objects are behind, the
//! server's memory over time, and appends a second. The server, the database, S3 and the load share the machine.
//!
//! What is promised is tried on a quiet machine by `all 600` (lag p99 under 25 s, memory flat, every object equal) and by
//! `all 900 50 600` (two minutes after an outage of ten nothing of it waits).
//!
//! With an outage S3 is away for so long, beginning after 20 s, while lines go on; it prints how long after its return no
//! line waits longer than usual. SQLite has its objects in S3, too, then.

#[path = "../integration/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness of the tests, of which this takes a part"
)]
mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::{Backend, Client, Cloud, CloudKind, Database, Server, Team, line};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

const CALLS: usize = 20;
const LINES_PER_CALL: usize = 20;
const CALL_INTERVAL: Duration = Duration::from_secs(1);
/// One execution of so many is watched for how far its object is behind.
const WATCHED_EACH: usize = 40;
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
const MEMORY_INTERVAL: Duration = Duration::from_secs(10);
const BEFORE_OUTAGE: Duration = Duration::from_secs(20);
const USUAL_LAG_SECONDS: f64 = 30.0;
const LOGS: &str = "agent-logs";

#[derive(Default)]
struct Figures {
    calls: AtomicU64,
    late_calls: AtomicU64,
    append_micros: Mutex<Vec<u64>>,
    lag_millis: Mutex<Vec<u64>>,
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let which = arguments.next();
    let mut number =
        |default: u64| arguments.next().map_or(default, |argument| argument.parse().expect("it is a number"));
    let load_of = Load { seconds: number(120), starts_per_second: number(50), outage_seconds: number(0) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    for (name, backend) in [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres)] {
        if which.as_deref().is_none_or(|which| which == name || which == "all") {
            println!("{name}: {load_of:?}");
            runtime.block_on(load(backend, load_of));
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Load {
    seconds: u64,
    starts_per_second: u64,
    outage_seconds: u64,
}

async fn load(backend: Backend, Load { seconds, starts_per_second, outage_seconds }: Load) {
    if !Database::available(backend).await {
        return println!("  there is none here");
    }
    let uses_cloud = outage_seconds > 0 || backend == Backend::Postgres;
    let cloud = if uses_cloud { Some(Arc::new(Cloud::start(CloudKind::S3).await)) } else { None };
    let server = match &cloud {
        None => Server::builder(backend).await,
        Some(cloud) => cloud.server(backend).await,
    };
    let server = server.start().await;
    let owner = Team::of(&server).owner.clone();
    let figures = Arc::new(Figures::default());
    let memory = tokio::spawn(print_memory(server.clone(), Instant::now()));

    let outage = cloud
        .clone()
        .filter(|_| outage_seconds > 0)
        .map(|cloud| tokio::spawn(outage(server.clone(), cloud, Duration::from_secs(outage_seconds))));

    let began = Instant::now();
    let mut ticks = interval(Duration::from_micros(1_000_000 / starts_per_second));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut executions = JoinSet::new();
    for number in 0..(seconds * starts_per_second) as usize {
        ticks.tick().await;
        executions.spawn(execute(owner.clone(), number, Arc::clone(&figures)));
    }
    let ids = executions.join_all().await;
    let took = began.elapsed();
    for id in &ids {
        while archived(&owner, id).await < (CALLS * LINES_PER_CALL) as i64 {
            sleep(Duration::from_millis(100)).await;
        }
    }
    let all_archived = began.elapsed();
    if let Some(outage) = outage {
        outage.await.expect("it does not panic");
    }
    let cpu_seconds = metric(&server, "process_cpu_seconds_total").await;
    memory.abort();
    let mut wrong = 0;
    let mut objects = cloud.as_ref().map(|cloud| cloud.objects(LOGS));
    for (number, id) in ids_by_number(&ids) {
        let key = format!("job-{id}.log");
        let object = match &mut objects {
            Some(objects) => objects.remove(&key),
            None => std::fs::read(server.data_folder().join("objects").join(LOGS).join(key)).ok(),
        };
        wrong += usize::from(!is_whole(&object.unwrap_or_default(), number));
    }
    let lines = (ids.len() * CALLS * LINES_PER_CALL) as f64;
    println!("  the server used {cpu_seconds:.0} s of CPU, {:.1} µs a line", cpu_seconds * 1e6 / lines);
    report(&figures, ids.len(), wrong, took, all_archived).await;
}

/// Storage is away for so long while lines go on.
async fn outage(server: Server, cloud: Arc<Cloud>, long: Duration) {
    sleep(BEFORE_OUTAGE).await;
    cloud.front().go_away().await;
    sleep(long).await;
    let waiting = metric(&server, "runledger_log_waiting_bytes").await;
    cloud.front().come_back().await;
    let back = Instant::now();
    loop {
        sleep(Duration::from_secs(1)).await;
        let lag = metric(&server, "runledger_log_archive_lag_seconds").await;
        // It is looked at every 5 s, and what was written before the look tells of the outage.
        if back.elapsed() > Duration::from_secs(6) && lag < USUAL_LAG_SECONDS {
            break;
        }
    }
    println!(
        "  storage was away for {} s, {:.0} MiB waited; {:.0} s after its return no line waits longer than {USUAL_LAG_SECONDS} s",
        long.as_secs(),
        waiting / f64::from(1 << 20),
        back.elapsed().as_secs_f64()
    );
}

async fn metric(server: &Server, name: &str) -> f64 {
    let answer = harness::get(&format!("{}/metrics", server.url()), &[]).await;
    let text = String::from_utf8(answer.body).expect("it is text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is a number"))
}

/// What [`execute`] gives back: `number id`.
fn ids_by_number(ids: &[String]) -> impl Iterator<Item = (usize, &str)> {
    ids.iter()
        .map(|both| both.split_once(' ').expect("it has both"))
        .map(|(number, id)| (number.parse().expect("it is a number"), id))
}

/// The whole life of one execution.
async fn execute(owner: Client, number: usize, figures: Arc<Figures>) -> String {
    let id = owner.start_any().await;
    let is_watched = number.is_multiple_of(WATCHED_EACH);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let watch = is_watched.then(|| {
        tokio::spawn(watch(owner.clone(), id.clone(), Arc::clone(&acknowledged), Arc::clone(&figures)))
    });
    let mut ticks = interval(CALL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for call in 0..CALLS {
        ticks.tick().await;
        let lines: Vec<_> =
            (0..LINES_PER_CALL).map(|index| line(&message(number, call * LINES_PER_CALL + index))).collect();
        let sent = Instant::now();
        owner.append(&id, &lines).await;
        let took = sent.elapsed();
        figures.calls.fetch_add(1, Ordering::Relaxed);
        figures.late_calls.fetch_add(u64::from(took > CALL_INTERVAL), Ordering::Relaxed);
        if is_watched {
            figures.append_micros.lock().await.push(took.as_micros() as u64);
            acknowledged.lock().await.push(Instant::now());
        }
    }
    owner.complete(&id).await;
    if let Some(watch) = watch {
        watch.await.expect("it does not panic");
    }
    format!("{number} {id}")
}

fn message(number: usize, line: usize) -> String {
    format!(
        "execution {number} line {line}: compiled module {} of 812 in 0.{line:03} s, nothing to report",
        line % 812
    )
}

/// Notes for each call how long after its acknowledgement its lines are in the object.
async fn watch(owner: Client, id: String, acknowledged: Arc<Mutex<Vec<Instant>>>, figures: Arc<Figures>) {
    let mut archived_calls = 0;
    while archived_calls < CALLS {
        sleep(WATCH_INTERVAL).await;
        let calls = archived(&owner, &format!("0 {id}")).await as usize / LINES_PER_CALL;
        let now = Instant::now();
        let acknowledged = acknowledged.lock().await;
        let archived = archived_calls..calls.min(acknowledged.len());
        archived_calls = archived.end;
        let lags = acknowledged[archived].iter().map(|at| (now - *at).as_millis() as u64);
        figures.lag_millis.lock().await.extend(lags);
    }
}

async fn archived(owner: &Client, id: &str) -> i64 {
    let (_, id) = id.split_once(' ').expect("it has both");
    let document = "query ($id: ID!) { execution(id: $id) { logObject { archivedLineCount } } }";
    let data = owner.query(document, json!({ "id": id })).await;
    data["execution"]["logObject"]["archivedLineCount"].as_i64().expect("it is a number")
}

/// Whether an object has exactly the lines of an execution.
fn is_whole(object: &[u8], number: usize) -> bool {
    let text = String::from_utf8_lossy(object);
    let is_line = |(seq, text): (usize, &str)| {
        let line: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        line["seq"] == seq && line["message"] == message(number, seq)
    };
    text.lines().count() == CALLS * LINES_PER_CALL && text.lines().enumerate().all(is_line)
}

async fn print_memory(server: Server, began: Instant) {
    loop {
        println!("  {:>4} s  {:>4} MiB", began.elapsed().as_secs(), server.memory_bytes() >> 20);
        sleep(MEMORY_INTERVAL).await;
    }
}

async fn report(figures: &Figures, executions: usize, wrong: usize, took: Duration, all_archived: Duration) {
    let calls = figures.calls.load(Ordering::Relaxed);
    let late = figures.late_calls.load(Ordering::Relaxed);
    let rate = calls as f64 / took.as_secs_f64();
    println!(
        "  {executions} executions, {calls} calls: {rate:.0} a second, {:.0} lines",
        rate * LINES_PER_CALL as f64
    );
    let mut append_micros = figures.append_micros.lock().await;
    println!(
        "  append      p50 {:>6.1} ms  p99 {:>6.1} ms  over a second: {late}",
        append_micros.at(50) as f64 / 1e3,
        append_micros.at(99) as f64 / 1e3
    );
    let mut lag_millis = figures.lag_millis.lock().await;
    println!(
        "  archive lag p50 {:>6.1} s   p99 {:>6.1} s   all archived {:.1} s after the last line",
        lag_millis.at(50) as f64 / 1e3,
        lag_millis.at(99) as f64 / 1e3,
        (all_archived - took).as_secs_f64()
    );
    println!("  objects that are not what was appended: {wrong}");
    assert_eq!(wrong, 0);
}

trait Percentile {
    fn at(&mut self, percent: usize) -> u64;
}

impl Percentile for Vec<u64> {
    fn at(&mut self, percent: usize) -> u64 {
        self.sort_unstable();
        self.get((self.len() * percent / 100).min(self.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}
