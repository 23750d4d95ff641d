//! Product analytics: what people do with Runledger, told to PostHog, off unless it is configured.
//!
//! Promises: telling never waits and never fails: an event that finds the queue full is dropped and counted. An event
//! says what happened, when, by whom and in which organisation; names, sources, inputs, results and errors stay here.

mod event;
mod posthog;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use uuid::Uuid;

use crate::clock::{Timestamp, new_id, now};
use crate::config;
use crate::domain::limits::{ANALYTICS_BATCH_EVENTS, ANALYTICS_QUEUE_EVENTS_MAX};
use crate::error::Result;
use crate::monitor;

pub use event::Event;

use posthog::PostHog;

/// How long events are gathered before they are sent together.
const GATHER_TIME: Duration = Duration::from_secs(1);

/// Where events are told. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Analytics(Option<Sender<Captured>>);

/// An event with what is known of each.
#[derive(Debug, Serialize)]
struct Captured {
    /// So that an event that was sent twice counts once.
    uuid: Uuid,
    event: &'static str,
    distinct_id: String,
    timestamp: Timestamp,
    properties: Value,
}

impl Analytics {
    /// To PostHog, and the task that sends what is told; that ends when the last `Analytics` is dropped.
    ///
    /// # Errors
    /// When no connection could ever be made.
    pub fn start(settings: &config::PostHog) -> Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        let posthog = PostHog::new(settings)?;
        let (sender, receiver) = mpsc::channel(ANALYTICS_QUEUE_EVENTS_MAX);
        Ok((Self(Some(sender)), send(receiver, posthog)))
    }

    /// Tells what a user did in a tenant.
    pub fn tell(&self, user_id: &str, tenant_id: &str, event: &Event<'_>) {
        let Some(queue) = &self.0 else { return };
        // Checked first: nothing is put together for a queue that is full.
        let Ok(place) = queue.try_reserve() else { return monitor::analytics_dropped(1) };
        let mut properties = event.properties();
        properties["$groups"] = json!({ "organization": tenant_id });
        properties["$lib"] = json!("runledger");
        place.send(Captured {
            uuid: new_id(),
            event: event.name(),
            distinct_id: user_id.to_owned(),
            timestamp: now(),
            properties,
        });
    }
}

/// Sends what comes, many at a time; what cannot be sent is dropped and counted.
async fn send(mut queue: Receiver<Captured>, posthog: PostHog) {
    let mut events = Vec::new();
    while queue.recv_many(&mut events, ANALYTICS_BATCH_EVENTS).await > 0 {
        let gathered = async {
            while events.len() < ANALYTICS_BATCH_EVENTS {
                let room = ANALYTICS_BATCH_EVENTS - events.len();
                if queue.recv_many(&mut events, room).await == 0 {
                    return;
                }
            }
        };
        let _ = timeout(GATHER_TIME, gathered).await;
        match posthog.send(&events).await {
            Ok(()) => monitor::analytics_sent(events.len()),
            Err(why) => {
                tracing::warn!(%why, events = events.len(), "analytics events were dropped");
                monitor::analytics_dropped(events.len());
            }
        }
        events.clear();
    }
}
