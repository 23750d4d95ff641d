//! Clients of `logTail`: one for a single connection, and one that follows through every cut, as a careful client does.

use std::{collections::VecDeque, time::Duration};

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, Interval, interval_at},
};

use super::{
    Claims, Refusal, Server, Socket, Subscription,
    socket::{Cut, Event},
    soon,
};

pub(crate) const LOG_TAIL: &str =
    "subscription ($execution: ID!, $from: BigInt! = 0, $last: Int, $filter: LogFilter) {
    logTail(executionId: $execution, fromSeq: $from, last: $last, filter: $filter) {
        lines { executionId seq message } nextSeq caughtUp ended
    }
}";

/// One `logTail` that checks that numbers only grow.
#[derive(Debug)]
pub(crate) struct Tail {
    subscription: Subscription,
    next_seq: i64,
    received: VecDeque<(i64, String)>,
}

impl Tail {
    /// Opens one with the variables `execution`, `from`, `last` and `filter`.
    pub(crate) fn open(socket: &Socket, variables: Value) -> Self {
        Self { subscription: socket.subscribe(LOG_TAIL, variables), next_seq: 0, received: VecDeque::new() }
    }

    /// The next batch. Its lines are also kept for the methods below.
    pub(crate) async fn batch(&mut self) -> Value {
        let batch = self.subscription.next().await["logTail"].take();
        for line in batch["lines"].as_array().expect("a batch has lines") {
            let seq = line["seq"].as_i64().expect("a line has a number");
            assert!(seq >= self.next_seq, "line {seq} came after nextSeq was {}", self.next_seq);
            self.next_seq = seq + 1;
            self.received
                .push_back((seq, line["message"].as_str().expect("a line has a message").to_owned()));
        }
        let next_seq = batch["nextSeq"].as_i64().expect("nextSeq is a number");
        assert!(next_seq >= self.next_seq, "nextSeq is after the last line");
        self.next_seq = next_seq;
        batch
    }

    /// The next `count` lines.
    pub(crate) async fn lines(&mut self, count: usize) -> Vec<(i64, String)> {
        while self.received.len() < count {
            let batch = self.batch().await;
            assert!(
                batch["ended"] == false || self.received.len() >= count,
                "the tail ended before line {count}"
            );
        }
        self.received.drain(..count).collect()
    }

    /// The lines up to the batch that says that everything stored has come.
    pub(crate) async fn until_caught_up(&mut self) -> Vec<(i64, String)> {
        while self.batch().await["caughtUp"] == false {}
        self.received.drain(..).collect()
    }

    /// The lines up to the end, which must come.
    pub(crate) async fn rest(&mut self) -> Vec<(i64, String)> {
        while self.batch().await["ended"] == false {}
        self.subscription.completed().await;
        self.received.drain(..).collect()
    }

    /// The numbers of the lines up to the end, which must come.
    pub(crate) async fn seqs_to_the_end(&mut self) -> Vec<i64> {
        self.rest().await.into_iter().map(|(seq, _)| seq).collect()
    }

    /// Where a tail would resume.
    pub(crate) fn next_seq(&self) -> i64 {
        self.next_seq
    }

    /// The refusal, which must be all that comes.
    pub(crate) async fn refused(&mut self) -> Refusal {
        self.subscription.refused().await
    }

    /// Says that no more is wanted.
    pub(crate) fn complete(&self) {
        self.subscription.complete();
    }

    /// Whether nothing has come that was not asked for.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.received.is_empty() && self.subscription.is_silent()
    }
}

/// Which tokens a [`ResumingTail`] connects with.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    claims: Claims,
    token_seconds: i64,
    renewed_every: Option<Duration>,
}

impl Session {
    /// One token that outlives the test.
    pub(crate) fn long(claims: Claims) -> Self {
        Self { claims, token_seconds: 3600, renewed_every: None }
    }

    /// Tokens that end after some seconds, and with them the connection.
    pub(crate) fn short(claims: Claims, token_seconds: i64) -> Self {
        Self { claims, token_seconds, renewed_every: None }
    }

    /// The same, but renewed in place, so that the connection goes on.
    pub(crate) fn renewed_every(self, period: Duration) -> Self {
        Self { renewed_every: Some(period), ..self }
    }

    fn new_token(&self) -> String {
        self.claims.clone().expiring_in(self.token_seconds).token()
    }

    /// A timer for the renewals of one connection, if there are to be any.
    fn renewals(&self) -> Option<Interval> {
        self.renewed_every.map(|period| interval_at(Instant::now() + period, period))
    }
}

/// A task that tails one execution from its first line to its last, over as many connections as it takes.
#[derive(Debug)]
pub(crate) struct ResumingTail {
    task: JoinHandle<Followed>,
    next_seq: watch::Receiver<i64>,
    cuts: mpsc::UnboundedSender<()>,
}

/// What a [`ResumingTail`] has seen.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// The messages of all lines, in order.
    pub(crate) messages: Vec<String>,
    /// The close code of each connection that ended before the log did.
    pub(crate) close_codes: Vec<u16>,
    /// How often the token was renewed in place.
    pub(crate) renewals: usize,
}

struct Follower {
    server: Server,
    execution: String,
    session: Session,
    next_seq: watch::Sender<i64>,
    cuts: mpsc::UnboundedReceiver<()>,
    followed: Followed,
}

impl ResumingTail {
    pub(crate) fn start(server: &Server, execution: &str, session: Session) -> Self {
        let (cuts, cut_orders) = mpsc::unbounded_channel();
        let (progress, next_seq) = watch::channel(0);
        let follower = Follower {
            server: server.clone(),
            execution: execution.into(),
            session,
            next_seq: progress,
            cuts: cut_orders,
            followed: Followed::default(),
        };
        Self { task: tokio::spawn(follower.run()), next_seq, cuts }
    }

    /// Drops its connection without a word; it comes back by itself.
    pub(crate) fn cut(&self) {
        // One that has ended has no connection.
        let _ = self.cuts.send(());
    }

    /// Waits until it has received every line before `seq`.
    pub(crate) async fn reached(&mut self, seq: i64) {
        soon("the tail's line", self.next_seq.wait_for(|next| *next >= seq)).await.expect("the tail goes on");
    }

    /// What it has seen, once the execution's last line has come.
    pub(crate) async fn finish(self) -> Followed {
        soon("the tail's end", self.task).await.expect("the tail has no hole and no repeat")
    }
}

impl Follower {
    async fn run(mut self) -> Followed {
        while let Err(Cut(code)) = self.follow_one_connection().await {
            self.followed.close_codes.push(code);
        }
        self.followed
    }

    /// Follows until the end of the log, or of the connection.
    async fn follow_one_connection(&mut self) -> Result<(), Cut> {
        self.server.running().await;
        let socket = Socket::try_connect(&self.server, Some(&self.session.new_token())).await?;
        let mut renewals = self.session.renewals();
        let from = *self.next_seq.borrow();
        let mut tail = socket.subscribe(LOG_TAIL, json!({ "execution": self.execution, "from": from }));
        loop {
            tokio::select! {
                event = tail.event_whenever() => match event {
                    Event::Next(data) => self.take(&data["logTail"]),
                    Event::Complete => return Ok(()),
                    Event::Closed(code) => return Err(Cut(code)),
                    Event::Refused(refusal) => panic!("the tail was refused: {refusal:?}"),
                },
                Some(()) = self.cuts.recv() => socket.cut(),
                () = due(&mut renewals) => {
                    socket.renew(&self.session.new_token()).await?;
                    self.followed.renewals += 1;
                }
            }
        }
    }

    fn take(&mut self, batch: &Value) {
        let mut next = *self.next_seq.borrow();
        for line in batch["lines"].as_array().expect("a batch has lines") {
            assert_eq!(line["seq"], next, "the next line of {} is {next}", self.execution);
            self.followed.messages.push(line["message"].as_str().expect("a line has a message").to_owned());
            next += 1;
        }
        assert_eq!(batch["nextSeq"], next, "nextSeq follows the last line");
        self.next_seq.send_replace(next);
    }
}

/// Waits for the timer's next tick; for ever without a timer.
async fn due(timer: &mut Option<Interval>) {
    match timer {
        Some(timer) => drop(timer.tick().await),
        None => std::future::pending().await,
    }
}
