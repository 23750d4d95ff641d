//! Follows a log through every cut, as a careful client does, and notices each hole and repeat.

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{Server, Socket, socket::Event, soon};

const LOG_TAIL: &str = "subscription ($execution: ID!, $from: BigInt!) {
    logTail(executionId: $execution, fromSeq: $from) { lines { seq message } nextSeq caughtUp ended }
}";

/// A task that tails one execution from its first line to its last.
#[derive(Debug)]
pub(crate) struct ResumingTail {
    task: JoinHandle<Vec<String>>,
    next_seq: watch::Receiver<i64>,
    cuts: mpsc::UnboundedSender<()>,
}

struct Follower<F> {
    server: Server,
    execution: String,
    new_token: F,
    next_seq: watch::Sender<i64>,
    cuts: mpsc::UnboundedReceiver<()>,
    messages: Vec<String>,
}

impl ResumingTail {
    /// Follows with a token from `new_token` for each connection.
    pub(crate) fn start(
        server: &Server,
        execution: &str,
        new_token: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let (cuts, cut_orders) = mpsc::unbounded_channel();
        let (progress, next_seq) = watch::channel(0);
        let follower = Follower {
            server: server.clone(),
            execution: execution.into(),
            new_token,
            next_seq: progress,
            cuts: cut_orders,
            messages: Vec::new(),
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

    /// The messages of all lines, once the execution's last has come.
    pub(crate) async fn finish(self) -> Vec<String> {
        soon("the tail's end", self.task).await.expect("the tail has no hole and no repeat")
    }
}

impl<F: Fn() -> String> Follower<F> {
    async fn run(mut self) -> Vec<String> {
        while !self.follow_one_connection().await {}
        self.messages
    }

    /// Whether the end of the log was reached before the connection's.
    async fn follow_one_connection(&mut self) -> bool {
        self.server.running().await;
        let token = (self.new_token)();
        let Ok(socket) = Socket::try_connect(&self.server, Some(&token)).await else { return false };
        let from = *self.next_seq.borrow();
        let mut tail = socket.subscribe(LOG_TAIL, json!({ "execution": self.execution, "from": from }));
        loop {
            tokio::select! {
                event = tail.event_whenever() => match event {
                    Event::Next(data) => self.take(&data["logTail"]),
                    Event::Complete => return true,
                    Event::Closed(_) => return false,
                    Event::Refused(refusal) => panic!("the tail was refused: {refusal:?}"),
                },
                Some(()) = self.cuts.recv() => socket.cut(),
            }
        }
    }

    fn take(&mut self, batch: &Value) {
        let mut next = *self.next_seq.borrow();
        for line in batch["lines"].as_array().expect("a batch has lines") {
            assert_eq!(line["seq"], next, "the next line of {} is {next}", self.execution);
            self.messages.push(line["message"].as_str().expect("a line has a message").to_owned());
            next += 1;
        }
        assert_eq!(batch["nextSeq"], next, "nextSeq follows the last line");
        self.next_seq.send_replace(next);
    }
}
