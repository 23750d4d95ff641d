//! Wake-ups between processes on one PostgreSQL, by NOTIFY.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::postgres::PgListener;
use uuid::Uuid;

use super::wakeups::{Topic, Wakeups};
use crate::clock::new_id;

const CHANNEL: &str = "runledger_wake";
/// PostgreSQL takes payloads below 8,000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7_900;
/// While busy, wake-ups are gathered for this long.
const GATHER_MILLIS: u64 = 10;
/// How long to wait after a failure.
const RETRY_MILLIS: u64 = 500;

/// Tells other processes what was announced here and wakes followers for what was announced there; never returns. With
/// no pool there are no other processes.
pub async fn relay_between_processes(wakeups: Wakeups, pool: Option<sqlx::PgPool>) {
    match pool {
        None => wakeups.outbox().discard_forever().await,
        Some(pool) => {
            let process = new_id();
            tokio::join!(send(&wakeups, &pool, process), receive(&wakeups, &pool, process));
        }
    }
}

async fn send(wakeups: &Wakeups, pool: &sqlx::PgPool, process: Uuid) {
    loop {
        let topics = wakeups.outbox().take().await;
        match notify(pool, payloads(process, &topics)).await {
            Ok(()) => wakeups.outbox().sent(),
            Err(error) => {
                tracing::warn!(%error, "could not wake the other processes; trying again");
                wakeups.outbox().put_back(topics);
                tokio::time::sleep(Duration::from_millis(RETRY_MILLIS)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(GATHER_MILLIS)).await;
    }
}

async fn notify(pool: &sqlx::PgPool, payloads: Vec<String>) -> Result<(), sqlx::Error> {
    for payload in payloads {
        sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(pool).await?;
    }
    Ok(())
}

async fn receive(wakeups: &Wakeups, pool: &sqlx::PgPool, process: Uuid) {
    loop {
        if let Err(error) = listen(wakeups, pool, process).await {
            tracing::warn!(%error, "lost the connection that hears of other processes; trying again");
        }
        tokio::time::sleep(Duration::from_millis(RETRY_MILLIS)).await;
    }
}

async fn listen(wakeups: &Wakeups, pool: &sqlx::PgPool, process: Uuid) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    wakeups.wake_all(); // for what was announced before
    loop {
        match listener.try_recv().await? {
            Some(notification) => {
                if let Some(topics) = parse(notification.payload(), process) {
                    wakeups.wake(&topics);
                }
            }
            None => wakeups.wake_all(), // it has reconnected
        }
    }
}

/// The sender's id, then one topic a line, in as few payloads as the limit allows.
fn payloads(process: Uuid, topics: &HashSet<Topic>) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    for line in topics.iter().filter_map(to_line) {
        match payloads.last_mut() {
            Some(payload) if payload.len() + 1 + line.len() <= PAYLOAD_BYTES_MAX => {
                payload.push('\n');
                payload.push_str(&line);
            }
            _ => payloads.push(format!("{process}\n{line}")),
        }
    }
    payloads
}

/// The topics of a payload; `None` for this process's own and for what is not a payload.
fn parse(payload: &str, process: Uuid) -> Option<Vec<Topic>> {
    let (sender, topics) = payload.split_once('\n')?;
    if sender.parse::<Uuid>().ok()? == process {
        return None;
    }
    Some(topics.lines().filter_map(from_line).collect())
}

fn to_line(topic: &Topic) -> Option<String> {
    match topic {
        Topic::Tenant(tenant_id) => Some(format!("t{tenant_id}")),
        Topic::Execution(id) => Some(format!("e{id}")),
        Topic::Log(id) => Some(format!("l{id}")),
        Topic::Visual(id) => Some(format!("v{id}")),
        Topic::Generation(id) => Some(format!("g{id}")),
        Topic::Jobs => Some("j".into()),
        Topic::EveryTenant => None, // each tenant wakes it
    }
}

fn from_line(line: &str) -> Option<Topic> {
    let (kind, rest) = line.split_at_checked(1)?;
    match kind {
        "t" => Some(Topic::Tenant(rest.to_owned())),
        "e" => Some(Topic::Execution(rest.parse().ok()?)),
        "l" => Some(Topic::Log(rest.parse().ok()?)),
        "v" => Some(Topic::Visual(rest.parse().ok()?)),
        "g" => Some(Topic::Generation(rest.parse().ok()?)),
        "j" => Some(Topic::Jobs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_arrives_whatever_the_number_of_payloads() {
        let (here, there) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut topics: HashSet<_> = (0..1_000).map(|id| Topic::Log(Uuid::from_u128(id))).collect();
        topics.insert(Topic::Tenant("org:é".into()));
        topics.insert(Topic::Execution(Uuid::from_u128(3)));
        topics.insert(Topic::Visual(Uuid::from_u128(3)));
        topics.insert(Topic::Generation(Uuid::from_u128(4)));
        topics.insert(Topic::Jobs);
        let payloads = payloads(here, &topics);
        assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_BYTES_MAX));
        let received: HashSet<_> =
            payloads.iter().filter_map(|payload| parse(payload, there)).flatten().collect();
        assert_eq!(received, topics);
        assert!(payloads.iter().all(|payload| parse(payload, here).is_none()), "not its own");
    }
}
