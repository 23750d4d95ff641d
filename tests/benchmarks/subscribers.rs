//! Cheap subscribers of `logTail`, and what a server spends on them. For benchmarks whose root has the tests' harness.
//!
//! A subscriber reads raw frames and looks for two texts in them: it parses nothing, because it shares the machine with the
//! server that is measured. A line carries the moment at which it was sent, in microseconds since the benchmark began.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::harness::{Client, Server, line};

/// Lines that may be on their way to each subscriber of one execution when lines come as fast as they are read.
const UNREAD_LINES: u64 = 2;
/// Executions that are appended to at once.
const APPENDERS: usize = 16;
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before memory is looked at: what was freed goes back by then.
const SETTLE: Duration = Duration::from_secs(3);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

const DOCUMENT: &str = "subscription ($execution: ID!, $from: BigInt! = 0) {
    logTail(executionId: $execution, fromSeq: $from) { lines { seq timestamp level message } nextSeq caughtUp ended }
}";

/// How lines come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as the subscribers read them.
    Full,
    /// So many a second together.
    PerSecond(u64),
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Figures {
    /// `next` messages that subscribers have read.
    pub(crate) events: u64,
    /// Lines in them.
    pub(crate) lines: u64,
    /// Calls of `appendLogs`, of one line each.
    pub(crate) appends: u64,
    pub(crate) seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    /// From before the call of `appendLogs` to the line's arrival, sorted.
    pub(crate) latency_micros: Vec<u32>,
}

impl Figures {
    pub(crate) fn print(&self, name: &str) {
        let Self { events, lines, appends, seconds, server_cpu_seconds, latency_micros } = self;
        let at = |percent: usize| {
            let index = (latency_micros.len() * percent / 100).min(latency_micros.len().saturating_sub(1));
            latency_micros.get(index).map_or(0.0, |micros| f64::from(*micros) / 1e3)
        };
        println!(
            "  {name:<42} {:>8.0} events/s {:>8.0} lines/s {:>6.0} appends/s  p50 {:>7.2} ms  p99 {:>7.2} ms  server {:>6.1} µs CPU an event",
            *events as f64 / seconds,
            *lines as f64 / seconds,
            *appends as f64 / seconds,
            at(50),
            at(99),
            server_cpu_seconds * 1e6 / (*events).max(1) as f64,
        );
    }
}

/// Sockets with a `logTail` each, which read until they are dropped.
pub(crate) struct Subscribers {
    counts: Arc<Counts>,
    sockets: u64,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts {
    events: AtomicU64,
    lines: AtomicU64,
    /// When so many lines have been read, somebody wants to know.
    wanted_lines: AtomicU64,
    read: Notify,
    is_timed: AtomicBool,
    latency_micros: Mutex<Vec<u32>>,
}

impl Subscribers {
    /// Opens `count` sockets; the executions take turns. Comes back when each has caught up.
    pub(crate) async fn open(owner: &Client, executions: &[String], count: usize) -> Self {
        LazyLock::force(&BEGAN);
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let execution = &executions[number % executions.len()];
            let socket = Socket::open(owner, execution, number).await;
            tasks.spawn(socket.read(Arc::clone(&counts)));
            // A subscriber that has nothing to read hears once that it has caught up.
            let opened = number as u64 + 1;
            let caught_up = async {
                while counts.events.load(Ordering::Relaxed) < opened.saturating_sub(50) {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(PATIENCE, caught_up).await.expect("they catch up");
        }
        let subscribers = Self { counts, sockets: count as u64, tasks };
        while subscribers.counts.events.load(Ordering::Relaxed) < count as u64 {
            sleep(Duration::from_millis(1)).await;
        }
        subscribers
    }

    async fn wait_for_lines(&self, lines: u64) {
        self.counts.wanted_lines.store(lines, Ordering::SeqCst);
        let read = async {
            while self.counts.lines.load(Ordering::SeqCst) < lines {
                let _ = timeout(Duration::from_millis(20), self.counts.read.notified()).await;
            }
        };
        timeout(PATIENCE, read).await.expect("every line comes");
    }

    /// Appends single lines to one execution that all of them follow.
    pub(crate) async fn follow_one(
        &self,
        server: &Server,
        owner: &Client,
        execution: &str,
        pace: Pace,
        long: Duration,
    ) -> Figures {
        self.measure(server, async |already| {
            let mut ticks = ticks(pace);
            let began = Instant::now();
            let mut appends = 0;
            while began.elapsed() < long {
                ticks.tick().await;
                owner.append(execution, &[line(&stamp())]).await;
                appends += 1;
                if matches!(pace, Pace::Full) && appends > UNREAD_LINES {
                    self.wait_for_lines(already + self.sockets * (appends - UNREAD_LINES)).await;
                }
            }
            self.wait_for_lines(already + self.sockets * appends).await;
            appends
        })
        .await
    }

    /// Appends single lines to many executions that each have one of them.
    pub(crate) async fn follow_each(
        &self,
        server: &Server,
        owner: &Client,
        executions: &[String],
        pace: Pace,
        long: Duration,
    ) -> Figures {
        self.measure(server, async |already| {
            let appends = append_to_many(owner, executions, pace, long).await;
            self.wait_for_lines(already + appends).await;
            appends
        })
        .await
    }

    async fn measure(&self, server: &Server, appending: impl AsyncFnOnce(u64) -> u64) -> Figures {
        self.counts.latency_micros.lock().expect("no holder panics").clear();
        self.counts.is_timed.store(true, Ordering::SeqCst);
        let counts = || (self.counts.events.load(Ordering::SeqCst), self.counts.lines.load(Ordering::SeqCst));
        let (events_before, lines_before) = counts();
        let (began, cpu_before) = (Instant::now(), server.cpu_seconds());
        let appends = appending(lines_before).await;
        let (seconds, server_cpu_seconds) =
            (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu_before);
        self.counts.is_timed.store(false, Ordering::SeqCst);
        let (events, lines) = counts();
        let mut latency_micros =
            std::mem::take(&mut *self.counts.latency_micros.lock().expect("no holder panics"));
        latency_micros.sort_unstable();
        Figures {
            events: events - events_before,
            lines: lines - lines_before,
            appends,
            seconds,
            server_cpu_seconds,
            latency_micros,
        }
    }

    /// Ends all of them.
    pub(crate) async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

/// What appending alone costs the server, as [`Subscribers::follow_each`] does it: seconds of CPU a call.
pub(crate) async fn cost_of_appending(
    server: &Server,
    owner: &Client,
    executions: &[String],
    pace: Pace,
    long: Duration,
) -> f64 {
    let before = server.cpu_seconds();
    let appends = append_to_many(owner, executions, pace, long).await;
    (server.cpu_seconds() - before) / appends as f64
}

/// What a subscriber that waits takes of a server's memory: each of the second `count`, as the first fill caches, too. The
/// executions take turns.
pub(crate) async fn memory_of_an_idle_one(
    server: &Server,
    owner: &Client,
    executions: &[String],
    count: usize,
) -> u64 {
    let (first, second) = executions.split_at(executions.len() / 2);
    let first = if first.is_empty() { second } else { first };
    let _others = Subscribers::open(owner, first, count).await;
    sleep(SETTLE).await;
    let before = server.memory_bytes();
    let _more = Subscribers::open(owner, second, count).await;
    sleep(SETTLE).await;
    server.memory_bytes().saturating_sub(before) / count as u64
}

/// Starts many executions.
pub(crate) async fn start_many(owner: &Client, count: usize) -> Vec<String> {
    let mut executions = Vec::with_capacity(count);
    for _ in 0..count {
        executions.push(owner.start_any().await);
    }
    executions
}

async fn append_to_many(owner: &Client, executions: &[String], pace: Pace, long: Duration) -> u64 {
    let began = Instant::now();
    let mut appenders = JoinSet::new();
    let size = executions.len().div_ceil(APPENDERS);
    for own in executions.chunks(size).map(<[String]>::to_vec) {
        let owner = owner.clone();
        let pace = match pace {
            Pace::Full => Pace::Full,
            Pace::PerSecond(lines) => Pace::PerSecond((lines / APPENDERS as u64).max(1)),
        };
        appenders.spawn(async move {
            let mut ticks = ticks(pace);
            let mut appends = 0;
            for execution in own.iter().cycle() {
                ticks.tick().await;
                owner.append(execution, &[line(&stamp())]).await;
                appends += 1;
                if began.elapsed() >= long {
                    break;
                }
            }
            appends
        });
    }
    appenders.join_all().await.into_iter().sum()
}

fn ticks(pace: Pace) -> tokio::time::Interval {
    let period = match pace {
        Pace::Full => Duration::from_nanos(1),
        Pace::PerSecond(lines) => Duration::from_secs(1) / u32::try_from(lines).expect("it is modest"),
    };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

const STAMP: &[u8] = b"\"message\":\"at ";
const NEXT: &[u8] = b"{\"type\":\"next\"";

fn micros() -> u64 {
    u64::try_from(BEGAN.elapsed().as_micros()).expect("it is not so long ago")
}

fn stamp() -> String {
    format!("at {}", micros())
}

/// A WebSocket by hand.
struct Socket {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Socket {
    async fn open(owner: &Client, execution: &str, number: usize) -> Self {
        let address = owner.server().url();
        let address = address.strip_prefix("http://").expect("it is an address");
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is a socket");
        let handshake = format!(
            "GET /graphql HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        );
        stream.write_all(handshake.as_bytes()).await.expect("it is open");
        let mut socket = Self { stream, received: Vec::with_capacity(4096) };
        while !socket.received.ends_with(b"\r\n\r\n") {
            socket.receive().await;
        }
        assert!(socket.received.starts_with(b"HTTP/1.1 101"), "the server speaks WebSocket");
        socket.received.clear();
        let token = owner.token().expect("the owner has a token");
        let init =
            json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } });
        let subscribe = json!({
            "type": "subscribe",
            "id": format!("00000000-0000-4000-8000-{number:012}"),
            "payload": { "query": DOCUMENT, "variables": { "execution": execution } },
        });
        socket.send(0x81, init.to_string().as_bytes()).await;
        socket.send(0x81, subscribe.to_string().as_bytes()).await;
        socket
    }

    /// Sends a frame, masked by zeros.
    async fn send(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![kind];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                let length = u16::try_from(payload.len()).expect("it is short");
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await.expect("the server reads");
    }

    async fn receive(&mut self) {
        let count = self.stream.read_buf(&mut self.received).await.expect("the connection lasts");
        assert!(count > 0, "the server has closed: {:?}", String::from_utf8_lossy(&self.received));
    }

    async fn read(mut self, counts: Arc<Counts>) {
        loop {
            self.receive().await;
            let mut at = 0;
            while let Some((kind, payload)) = frame(&self.received[at..]) {
                let start = at + payload.start;
                at += payload.end;
                match kind {
                    0x1 => counts.take(&self.received[start..at]),
                    0x9 => self.send(0x8a, b"").await,
                    _ => panic!("the server closed it"),
                }
            }
            self.received.drain(..at);
        }
    }
}

impl Counts {
    fn take(&self, message: &[u8]) {
        if !message.starts_with(NEXT) {
            assert!(
                message.starts_with(b"{\"type\":\"connection_ack\""),
                "{}",
                String::from_utf8_lossy(message)
            );
            return;
        }
        let mut lines = 0;
        let mut rest = message;
        while let Some(at) = find(rest, STAMP) {
            rest = &rest[at + STAMP.len()..];
            lines += 1;
            if self.is_timed.load(Ordering::Relaxed) {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
                let sent = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
                let latency = u32::try_from(micros() - sent).unwrap_or(u32::MAX);
                self.latency_micros.lock().expect("no holder panics").push(latency);
            }
        }
        self.events.fetch_add(1, Ordering::SeqCst);
        let before = self.lines.fetch_add(lines, Ordering::SeqCst);
        let wanted = self.wanted_lines.load(Ordering::SeqCst);
        if before < wanted && before + lines >= wanted {
            self.read.notify_one();
        }
    }
}

/// The kind of the first frame, and where its payload is; `None` while it is not whole.
fn frame(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (kind, length) = (bytes.first()? & 0x0f, bytes.get(1)? & 0x7f);
    let (start, length) = match length {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(length)),
    };
    (bytes.len() >= start + length).then_some((kind, start..start + length))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == wanted[0]) {
        from += at;
        if text[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
    None
}
