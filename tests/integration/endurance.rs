//! Many executions at once, each appending and each tailed, while tokens end and connections break: no tail loses a
//! line, none sees one twice.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::harness::{Client, ResumingTail, Server, Session, Team, chance, for_each_backend, line};

for_each_backend!(no_tail_loses_or_doubles_a_line_while_tokens_end_and_sockets_are_cut);

const EXECUTIONS: usize = 100;
const DURATION: Duration = Duration::from_secs(10);
/// Short, so that each socket sees several of them end.
const TOKEN_SECONDS: i64 = 3;
const RENEWED_EVERY: Duration = Duration::from_millis(1_200);
const PAUSE_BETWEEN_CALLS_MS_MAX: u64 = 200;
const PAUSE_BETWEEN_CUTS_MS_MAX: u64 = 40;
const LINES_PER_CALL_MAX: u64 = 5;

async fn no_tail_loses_or_doubles_a_line_while_tokens_end_and_sockets_are_cut(server: Server) {
    let team = Team::of(&server);
    let mut ids = Vec::new();
    for _ in 0..EXECUTIONS {
        ids.push(team.owner.start_any().await);
    }
    let until = Instant::now() + DURATION;
    let mut appenders = JoinSet::new();
    let mut tails = Vec::new();
    for (number, id) in ids.into_iter().enumerate() {
        let session = Session::short(team.owner_claims(), TOKEN_SECONDS);
        let session = if number % 2 == 0 { session.renewed_every(RENEWED_EVERY) } else { session };
        tails.push(ResumingTail::start(&server, &id, session));
        let owner = team.owner.clone();
        appenders.spawn(async move { (number, append_until(&owner, &id, until).await) });
    }
    while Instant::now() < until {
        // Only every third, so that the others live long enough to see their tokens end.
        tails[chance(EXECUTIONS as u64 / 3) as usize * 3].cut();
        tokio::time::sleep(Duration::from_millis(chance(PAUSE_BETWEEN_CUTS_MS_MAX))).await;
    }
    let mut written = vec![Vec::new(); EXECUTIONS];
    for (number, lines) in appenders.join_all().await {
        written[number] = lines;
    }

    let (mut cut, mut expired, mut renewed) = (0, 0, 0);
    for (tail, written) in tails.into_iter().zip(written) {
        let followed = tail.finish().await;
        assert_eq!(followed.messages, written);
        cut += followed.close_codes.iter().filter(|code| **code == 1006).count();
        expired += followed.close_codes.iter().filter(|code| **code == 4403).count();
        renewed += followed.renewals;
        assert!(
            followed.close_codes.iter().all(|code| [1006, 4403].contains(code)),
            "{:?}",
            followed.close_codes
        );
    }
    assert!(cut > 50 && expired > 50 && renewed > 50, "cut {cut}, expired {expired}, renewed {renewed}");
}

/// Appends at its own pace until it is time, then ends the execution. Gives back what it has written.
async fn append_until(client: &Client, id: &str, until: Instant) -> Vec<String> {
    let mut written: Vec<String> = Vec::new();
    while Instant::now() < until {
        let first_seq = written.len();
        written.extend((0..=chance(LINES_PER_CALL_MAX)).map(|number| format!("{first_seq} + {number}")));
        let lines: Vec<_> = written[first_seq..].iter().map(|message| line(message)).collect();
        client.append(id, &lines).await;
        tokio::time::sleep(Duration::from_millis(chance(PAUSE_BETWEEN_CALLS_MS_MAX))).await;
    }
    client.complete(id).await;
    written
}
