//! Visual events, as a test writes and reads them.

use serde_json::{Value, json};

use super::{Client, Refusal, Socket, Subscription};

/// When the first event of every test happened, in milliseconds since 1970.
pub(crate) const FIRST_MS: i64 = 1_763_700_000_000;

/// The event with this number: one each 40 milliseconds.
pub(crate) fn event(number: i64) -> Value {
    json!({ "type": 3, "data": { "source": 1, "positions": [{ "x": number, "y": 207.89999389648438, "id": 7 }], "z": null, "a": "é\n" },
            "timestamp": FIRST_MS + 40 * number })
}

/// Events from one number up to another.
pub(crate) fn events(numbers: std::ops::Range<i64>) -> Vec<Value> {
    numbers.map(event).collect()
}

const APPEND: &str = "mutation ($input: AppendVisualEventsInput!) {
    appendVisualEvents(input: $input) { nextSeq appended }
}";
const READ: &str = "query ($id: ID!, $from: BigInt! = 0, $first: Int! = 200) { execution(id: $id) {
    visualEvents(fromSeq: $from, first: $first) { events nextSeq caughtUp ended }
} }";
const FOLLOW: &str = "subscription ($id: ID!, $from: BigInt! = 0) {
    visualEvents(executionId: $id, fromSeq: $from) { events nextSeq caughtUp ended }
}";

impl Client {
    /// Appends events; the payload, or why not.
    pub(crate) async fn try_append_events(
        &self,
        id: &str,
        events: &[Value],
        first_seq: Option<i64>,
    ) -> Result<Value, Refusal> {
        let input = json!({ "executionId": id, "events": events, "firstSeq": first_seq });
        let mut data = self.try_query(APPEND, json!({ "input": input })).await?;
        Ok(data["appendVisualEvents"].take())
    }

    /// Appends events that must be taken; the payload.
    pub(crate) async fn append_events(&self, id: &str, events: &[Value]) -> Value {
        self.try_append_events(id, events, None).await.expect("the events are fine")
    }

    /// Some events of an execution.
    pub(crate) async fn visual_events(&self, id: &str, from: i64, first: i64) -> Value {
        let variables = json!({ "id": id, "from": from, "first": first });
        self.query(READ, variables).await["execution"]["visualEvents"].take()
    }

    /// All events of an execution, read page by page.
    pub(crate) async fn all_visual_events(&self, id: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let page = self.visual_events(id, all.len() as i64, 1_000).await;
            all.extend(page["events"].as_array().expect("a list").iter().cloned());
            assert_eq!(page["nextSeq"], all.len(), "no event is left out");
            if page["caughtUp"] == true {
                return all;
            }
        }
    }
}

/// One `visualEvents` subscription that checks its numbers.
#[derive(Debug)]
pub(crate) struct Watch {
    subscription: Subscription,
    next_seq: i64,
}

impl Watch {
    pub(crate) fn open(socket: &Socket, id: &str, from: i64) -> Self {
        let subscription = socket.subscribe(FOLLOW, json!({ "id": id, "from": from }));
        Self { subscription, next_seq: from }
    }

    pub(crate) async fn batch(&mut self) -> Value {
        let batch = self.subscription.next().await["visualEvents"].take();
        self.next_seq += batch["events"].as_array().expect("a list").len() as i64;
        assert_eq!(batch["nextSeq"], self.next_seq, "each event once");
        batch
    }

    /// The next events, as many as asked for.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            let batch = self.batch().await;
            events.extend(batch["events"].as_array().expect("a list").iter().cloned());
            assert!(batch["ended"] == false || events.len() >= count, "it ended after {}", events.len());
        }
        assert_eq!(events.len(), count);
        events
    }

    /// Everything up to the end, which must come.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let batch = self.batch().await;
            events.extend(batch["events"].as_array().expect("a list").iter().cloned());
            if batch["ended"] == true {
                self.subscription.completed().await;
                return events;
            }
        }
    }

    /// Where it would resume.
    pub(crate) fn next_seq(&self) -> i64 {
        self.next_seq
    }

    /// The refusal, which must be all that comes.
    pub(crate) async fn refused(&mut self) -> Refusal {
        self.subscription.refused().await
    }
}
