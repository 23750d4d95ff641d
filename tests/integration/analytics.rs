//! Product analytics: PostHog is told what people do and nothing of what they keep, and nobody waits for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::harness::{Backend, Server, Team, files, for_each_backend, get, id_of, soon};

for_each_backend!(
    nobody_waits_for_a_posthog_that_is_away_slow_or_refusing,
    posthog_is_told_what_people_do_and_nothing_of_what_they_keep,
    an_event_that_was_refused_for_a_while_arrives_once,
);

const KEY: &str = "phc_for_tests";

/// What PostHog does with what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    /// Takes it, and says that it did not.
    Fails,
    Refuses,
    Hangs,
}

struct PostHog {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    events: watch::Receiver<Vec<Value>>,
}

type Shared = (Arc<Mutex<Mood>>, Arc<watch::Sender<Vec<Value>>>);

impl PostHog {
    async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has one");
        let mood = Arc::new(Mutex::new(mood));
        let (sender, events) = watch::channel(Vec::new());
        let router = Router::new()
            .route("/ingest/batch/", post(take))
            .with_state((Arc::clone(&mood), Arc::new(sender)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, mood, events }
    }

    async fn server(&self, backend: Backend) -> Server {
        let host = format!("http://{}/ingest", self.address);
        let builder = Server::builder(backend).await.env("POSTHOG_API_KEY", KEY);
        builder.env("POSTHOG_HOST", &host).start().await
    }

    fn turns(&self, mood: Mood) {
        *self.mood.lock().expect("no holder panics") = mood;
    }

    /// What it has been sent, once it is so many events.
    async fn events(&self, count: usize) -> Vec<Value> {
        let mut events = self.events.clone();
        let enough = events.wait_for(|events| events.len() >= count);
        soon("the events", enough).await.expect("it listens").clone()
    }
}

async fn take(State((mood, events)): State<Shared>, body: String) -> StatusCode {
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let mood = *mood.lock().expect("no holder panics");
    if mood == Mood::Hangs {
        std::future::pending::<()>().await;
    }
    if mood == Mood::Refuses {
        return StatusCode::UNAUTHORIZED;
    }
    assert_eq!(body["api_key"], KEY);
    events.send_modify(|events| events.extend(body["batch"].as_array().expect("a batch").clone()));
    if mood == Mood::Fails { StatusCode::BAD_GATEWAY } else { StatusCode::OK }
}

async fn nobody_waits_for_a_posthog_that_is_away_slow_or_refusing(backend: Backend) {
    let posthog = PostHog::start(Mood::Refuses).await;
    let server = posthog.server(backend).await;
    let team = Team::of(&server);
    team.owner.start_any().await;
    soon("the drop", metric(&server, "dropped", 1)).await;

    posthog.turns(Mood::Hangs);
    // More than one batch, while the first one hangs: each call answers all the same.
    let inputs: Vec<_> = (0..1_000).map(|_| recorded()).collect();
    for _ in 0..12 {
        let recorded = team.owner.record(json!(inputs)).await.expect("it is recorded");
        assert_eq!(recorded["createdCount"], 1_000);
    }
    soon("the full queue", metric(&server, "dropped", 500)).await;
    assert!(server.terminate().await.success(), "it ends all the same");
}

async fn posthog_is_told_what_people_do_and_nothing_of_what_they_keep(backend: Backend) {
    let posthog = PostHog::start(Mood::Takes).await;
    let server = posthog.server(backend).await;
    let team = Team::of(&server);
    let create = "mutation ($source: String!, $name: String!) {
        createCodeAgent(input: { name: $name, language: \"json\", source: $source }) { codeAgent { id } } }";
    team.owner.refused(create, json!({ "source": "[", "name": "secret" })).await;
    let made = team.owner.query(create, json!({ "source": "[\"secret\"]", "name": "secret" })).await;
    let agent = made["createCodeAgent"]["codeAgent"]["id"].clone();
    let publish = "mutation ($agent: ID!, $source: String!) {
        publishCodeVersion(input: { codeAgentId: $agent, source: $source }) { created } }";
    for source in ["[", "[\"secret\"]", "[\"secrets\"]"] {
        team.colleague.refused(publish, json!({ "agent": agent, "source": source })).await;
        team.owner.query(publish, json!({ "agent": agent, "source": source })).await;
    }
    let input = json!({ "name": "secret", "inputs": { "secret": 1 }, "codeAgentId": agent });
    let id = id_of(&team.owner.start(input.clone()).await);
    team.owner.finish(json!({ "id": id, "status": "FAILED", "error": "secret" })).await.expect("it ends");
    team.admin.finish(json!({ "id": id, "status": "FAILED" })).await.expect("it has ended");
    let generation = team.owner.save("secret", &files(&[("secret", b"secret")])).await;
    let download = "query ($id: ID!) { generation(id: $id) { download { url } } }";
    team.colleague.query(download, json!({ "id": generation["id"] })).await;

    let events = posthog.events(9).await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        *counts.entry(event["event"].as_str().expect("a name")).or_default() += 1;
        assert_eq!(event["properties"]["$groups"]["organization"], format!("org:{}", team.org));
        assert!(event["uuid"].is_string() && event["timestamp"].is_string());
        assert!(!event.to_string().contains("secret"), "{event}");
    }
    let expected = BTreeMap::from([
        ("agent_created", 1),
        ("execution_finished", 1),
        ("execution_started", 1),
        ("generation_created", 1),
        ("generation_downloaded", 1),
        ("validation_failed", 2),
        ("version_published", 2),
    ]);
    assert_eq!(counts, expected);
    let of = |name: &str| events.iter().find(|event| event["event"] == name).expect("it was told");
    assert_eq!(of("execution_finished")["properties"]["status"], "FAILED");
    assert_eq!(of("execution_finished")["distinct_id"], Team::OWNER);
    assert_eq!(of("generation_downloaded")["distinct_id"], Team::COLLEAGUE);
}

async fn an_event_that_was_refused_for_a_while_arrives_once(backend: Backend) {
    let posthog = PostHog::start(Mood::Fails).await;
    let server = posthog.server(backend).await;
    Team::of(&server).owner.start_any().await;
    posthog.events(1).await;
    posthog.turns(Mood::Takes);
    let events = posthog.events(2).await;
    assert_eq!(events[0]["uuid"], events[1]["uuid"], "PostHog counts the same event once");
    soon("the count", metric(&server, "sent", 1)).await;
}

fn recorded() -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({ "status": "COMPLETED", "startedAt": at, "completedAt": at })
}

/// Until at least so many events have had this outcome.
async fn metric(server: &Server, outcome: &str, count: u64) {
    let name = format!("runledger_analytics_events_total{{outcome=\"{outcome}\"}} ");
    loop {
        let text = get(&format!("{}/metrics", server.url()), &[]).await.body;
        let text = String::from_utf8(text).expect("text");
        let value = text.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric is there");
        if value.parse::<u64>().expect("a number") >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
